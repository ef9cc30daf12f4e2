package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
)

// originName names the extension of a kubeconfig's cluster that holds an origin.
const originName = "rollcall"

// origin says where the log behind a Kubernetes API is. With it in the
// kubeconfig, commands that read the log follow $KUBECONFIG as kubectl does.
type origin struct {
	Dir       string `json:"dir,omitempty"` // of the instance, as it is listed
	Data      string `json:"data,omitempty"`
	NATSURL   string `json:"natsURL,omitempty"` // without a user: a kubeconfig is passed on more easily than meant
	NATSCreds string `json:"natsCreds,omitempty"`
	Cluster   string `json:"cluster"`
	Past      bool   `json:"past,omitempty"` // the API shows the cluster as it was, and not as it is
}

// origin returns where the log of an instance is.
func (in *instance) origin() origin {
	o := origin{Dir: in.dir, Cluster: in.options.cluster}
	if in.server == nil {
		o.NATSURL, o.NATSCreds = withoutUser(in.options.natsURL), in.options.natsCreds
	} else {
		o.Data = in.server.Dir()
	}
	return o.absolute()
}

// origin returns where a log is that was found.
func (t *target) origin() origin {
	return origin{Dir: t.dir, Data: t.data, NATSURL: withoutUser(t.natsURL), NATSCreds: t.natsCreds, Cluster: t.cluster}.absolute()
}

// absolute makes paths good for every working directory.
func (o origin) absolute() origin {
	for _, path := range []*string{&o.Dir, &o.Data, &o.NATSCreds} {
		if abs, err := filepath.Abs(*path); err == nil && *path != "" {
			*path = abs
		}
	}
	return o
}

// withoutUser returns URLs, with commas between them, without a name, a password
// or a token in them.
func withoutUser(urls string) string {
	list := strings.Split(urls, ",")
	for i, a := range list {
		a = strings.TrimSpace(a)
		if at := strings.LastIndex(a, "@"); at >= 0 {
			scheme, _, found := strings.Cut(a, "://")
			if !found {
				scheme = "nats"
			}
			a = scheme + "://" + a[at+1:]
		}
		list[i] = a
	}
	return strings.Join(list, ",")
}

// object is what a kubeconfig can hold.
func (o origin) object() runtime.Object {
	b, _ := json.Marshal(o) // strings always have a form in JSON
	return &runtime.Unknown{Raw: b, ContentType: runtime.ContentTypeJSON}
}

// originOf returns the origin that a cluster of a kubeconfig names, if one does.
func originOf(c *api.Cluster) (o origin, ok bool) {
	if c == nil {
		return o, false
	}
	raw, is := c.Extensions[originName].(*runtime.Unknown)
	if !is || json.Unmarshal(raw.Raw, &o) != nil {
		return o, false
	}
	return o, o.Data != "" || o.NATSURL != ""
}

// follow makes a target that of a kubeconfig: the file of --kubeconfig or, if
// that is empty, those of $KUBECONFIG.
func (t *target) follow(file string) error {
	rules, where := &clientcmd.ClientConfigLoadingRules{ExplicitPath: file}, "--kubeconfig "+file
	if file == "" {
		variable := os.Getenv(clientcmd.RecommendedConfigPathEnvVar)
		rules, where = &clientcmd.ClientConfigLoadingRules{Precedence: filepath.SplitList(variable)}, "$KUBECONFIG "+variable
	}
	c, err := rules.Load()
	switch {
	case err != nil && !os.IsNotExist(err):
		return originError("the kubeconfig cannot be read", where, datadir.Reason(err))
	case err != nil || !slices.ContainsFunc(rules.Precedence, exists) && file == "":
		return originError("the kubeconfig is not there", where, "the instance that wrote it has ended, or the path is wrong")
	}
	name := cmp.Or(t.context, c.CurrentContext)
	context := c.Contexts[name]
	if context == nil {
		return originError("the kubeconfig has no such context, or no current one", where, name)
	}
	cluster := c.Clusters[context.Cluster]
	o, ok := originOf(cluster)
	if !ok {
		why := fmt.Sprintf("its context is %q", name)
		if cluster != nil {
			why += " at " + cluster.Server
		}
		err := originError("the kubeconfig is not that of a rollcall instance", where, why)
		err.Err = errForeign
		return err
	}
	t.take(o)
	t.rules = rules
	return nil
}

// errForeign is in the refusal of a kubeconfig that names another cluster than
// one of rollcall: kubectl may be meant to ask that one.
var errForeign = errors.New("another cluster")

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func originError(what, where, why string) *events.Error {
	return &events.Error{Code: "E-CLI-INSTANCE", What: what, Where: where, Why: why,
		Do: "use the export line that rollcall up has printed, unset KUBECONFIG, or give --data DIR", Exit: events.ExitInput}
}

// take makes a target that of an origin. The list of instances knows how to
// log in to a NATS server, which a kubeconfig does not.
func (t *target) take(o origin) {
	t.dir, t.data, t.past = o.Dir, o.Data, o.Past
	if t.cluster == "" {
		t.cluster = o.Cluster
	}
	if o.NATSURL == "" {
		return
	}
	t.natsURL, t.natsCreds = o.NATSURL, o.NATSCreds
	for _, r := range instances() {
		if r.Dir != "" && r.Dir == o.Dir {
			t.natsURL, t.natsCreds = r.NATSURL, r.NATSCreds
		}
	}
}
