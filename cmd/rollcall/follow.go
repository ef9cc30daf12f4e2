package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/client-go/tools/clientcmd"

	"rollcall/cmd/rollcall/instance"
	"rollcall/events"
)

// origin returns where a log is that was found.
func (t *target) origin() instance.Origin {
	return instance.Origin{Dir: t.dir, Data: t.data, Recs: t.recs, NATSURL: instance.WithoutUser(t.natsURL), NATSCreds: t.natsCreds, Cluster: t.cluster}.Absolute()
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
		return originError("the kubeconfig cannot be read", where, instance.Unreadable(err))
	case err != nil || !slices.ContainsFunc(rules.Precedence, exists) && file == "":
		return originError("the kubeconfig is not there", where, "the instance that wrote it has ended, or the path is wrong")
	}
	name := cmp.Or(t.context, c.CurrentContext)
	context := c.Contexts[name]
	if context == nil {
		return originError("the kubeconfig has no such context, or no current one", where, name)
	}
	cluster := c.Clusters[context.Cluster]
	o, ok := instance.OriginOf(cluster)
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
func (t *target) take(o instance.Origin) {
	t.dir, t.data, t.recs, t.past = o.Dir, o.Data, o.Recs, o.Past
	t.cluster = cmp.Or(t.cluster, o.Cluster)
	if o.NATSURL == "" {
		return
	}
	t.natsURL, t.natsCreds = o.NATSURL, o.NATSCreds
	for _, r := range instance.List() {
		if r.Dir != "" && r.Dir == o.Dir {
			t.natsURL, t.natsCreds = r.NATSURL, r.NATSCreds
		}
	}
}
