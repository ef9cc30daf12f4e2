package instance

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd/api"
)

// originName names the extension of a kubeconfig's cluster that holds an origin.
const originName = "rollcall"

// Origin says where the log behind a Kubernetes API is. With it in the
// kubeconfig, commands that read the log follow $KUBECONFIG as kubectl does.
type Origin struct {
	Dir       string   `json:"dir,omitempty"` // of the instance, as it is listed
	Data      string   `json:"data,omitempty"`
	Recs      []string `json:"recs,omitempty"`    // files of recordings
	NATSURL   string   `json:"natsURL,omitempty"` // without a user: a kubeconfig is passed on more easily than meant
	NATSCreds string   `json:"natsCreds,omitempty"`
	Cluster   string   `json:"cluster"`
	Past      bool     `json:"past,omitempty"` // the API shows the cluster as it was, and not as it is
}

// origin returns where the log of an instance is.
func (in *Instance) origin() Origin {
	o := Origin{Dir: in.dir, Cluster: in.Cluster}
	if in.Server == nil {
		o.NATSURL, o.NATSCreds = WithoutUser(in.NATSURL), in.NATSCreds
	} else {
		o.Data = in.Server.Dir()
	}
	return o.Absolute()
}

// Absolute makes paths good for every working directory.
func (o Origin) Absolute() Origin {
	o.Recs = slices.Clone(o.Recs)
	paths := []*string{&o.Dir, &o.Data, &o.NATSCreds}
	for i := range o.Recs {
		paths = append(paths, &o.Recs[i])
	}
	for _, path := range paths {
		if abs, err := filepath.Abs(*path); err == nil && *path != "" {
			*path = abs
		}
	}
	return o
}

// WithoutUser returns URLs, with commas between them, without a name, a password
// or a token in them.
func WithoutUser(urls string) string {
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
func (o Origin) object() runtime.Object {
	b, _ := json.Marshal(o) // strings always have a form in JSON
	return &runtime.Unknown{Raw: b, ContentType: runtime.ContentTypeJSON}
}

// OriginOf returns the origin that a cluster of a kubeconfig names, if one does.
func OriginOf(c *api.Cluster) (o Origin, ok bool) {
	if c == nil {
		return o, false
	}
	raw, is := c.Extensions[originName].(*runtime.Unknown)
	if !is || json.Unmarshal(raw.Raw, &o) != nil {
		return o, false
	}
	return o, o.Data != "" || len(o.Recs) > 0 || o.NATSURL != ""
}
