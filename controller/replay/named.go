package replay

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"rollcall/events"
	"rollcall/projector"
)

// shortKinds are the names under which people know kinds besides their own.
var shortKinds = map[string]events.Kind{"po": events.Pod, "no": events.Node, "ds": events.DaemonSet, "ns": events.Namespace, "pc": events.PriorityClass,
	"cm": events.ConfigMap, "sa": events.ServiceAccount, "pv": events.PersistentVolume, "pvc": events.PersistentVolumeClaim, "deploy": events.Deployment,
	"rs": events.ReplicaSet, "sts": events.StatefulSet, "cj": events.CronJob, "pdb": events.PodDisruptionBudget, "rev": events.ControllerRevision,
	"svc": events.Service, "ep": events.Endpoints, "rc": "ReplicationController", "quota": "ResourceQuota", "limits": "LimitRange",
	"hpa": "HorizontalPodAutoscaler", "ing": "Ingress", "netpol": "NetworkPolicy", "sc": "StorageClass", "vac": "VolumeAttributesClass",
	"csr": "CertificateSigningRequest"}

// ParseKind reads the name of a kind, in the singular, in the plural or short. One
// with a group behind it is custom: the log says what is meant (History.Kind).
func ParseKind(name string) (events.Kind, error) {
	low := strings.ToLower(name)
	if k, ok := shortKinds[low]; ok {
		return k, nil
	}
	if k := events.Kind(low); k.Custom() && events.CheckName(k, low) == "" {
		return k, nil
	}
	var names []string
	for _, k := range events.Kinds() {
		one := strings.ToLower(string(k))
		many, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Kind: string(k)})
		if low == one || low == many.Resource {
			return k, nil
		}
		names = append(names, one)
	}
	return "", &events.Error{Code: "E-CLI-NAME", What: fmt.Sprintf("there is no kind %q", name), Do: events.Suggest(low, names, "write KIND/NAME, such as pod/NAME, ds/NAME or node/NAME; a custom kind has its group behind it"), Exit: events.ExitInput}
}

// Kind returns the kind that ParseKind has read. A custom one is looked up among
// those that the log tells of, and may be given by the name of its definition.
func (h *History) Kind(ctx context.Context, at events.Seq, given events.Kind) (events.Kind, error) {
	if !given.Custom() {
		return given, nil
	}
	st, err := h.At(ctx, at)
	if err != nil {
		return "", err
	}
	k, others := KindIn(st, given)
	if k != "" {
		return k, nil
	}
	return "", &events.Error{Code: "E-CLI-NAME", What: fmt.Sprintf("the log tells of no kind %q", given), Do: events.Suggest(string(given), others, "write a custom kind as KIND.GROUP, such as widget.example.com"), Exit: events.ExitInput}
}

// KindIn returns the custom kind of a name in a state, or what others there are.
func KindIn(st *projector.State, name events.Kind) (k events.Kind, others []string) {
	if k, _, ok := st.Objects().Defined(string(name)); ok {
		return k, nil
	}
	for _, k := range st.Kinds() {
		switch one := strings.ToLower(string(k)); {
		case one == string(name):
			return k, nil
		case k.Custom():
			others = append(others, one)
		}
	}
	return "", others
}

// Subject returns what ParseSubject has read, with a custom kind as the log has it.
func (h *History) Subject(ctx context.Context, at events.Seq, about Subject) (_ Subject, err error) {
	if !about.Kind.Custom() {
		return about, nil
	}
	if about.Kind, err = h.Kind(ctx, at, about.Kind); err != nil || about.Key.Namespace != "" {
		return about, err
	}
	st, err := h.At(ctx, at)
	if err != nil {
		return about, err
	}
	if _, _, there := st.Object(about.Kind, about.Key); !there {
		about.Key.Namespace = metav1.NamespaceDefault
	}
	return about, nil
}

// fieldIn finds where a field begins behind a name.
var fieldIn = regexp.MustCompile(`\.(metadata|spec|status)($|[.\[])`)

// Among takes the end of a name for a field where that is what makes it the name of
// one of some objects: creds.data.password is the field data.password of creds.
func (x Subject) Among(names []events.Key) (Subject, bool) {
	for i := strings.LastIndexByte(x.Key.Name, '.'); i > 0; i = strings.LastIndexByte(x.Key.Name[:i], '.') {
		if k := (events.Key{Namespace: x.Key.Namespace, Name: x.Key.Name[:i]}); slices.Contains(names, k) {
			return Subject{Kind: x.Kind, Key: k, Field: unquoted.Replace(x.Key.Name[i+1:])}, true
		}
	}
	return x, false
}

// ParseSubject reads KIND/NAME[.FIELD]. A name may have dots in it: a field
// begins with metadata, spec or status. Of other fields only the log tells where
// they begin (Subject.Among).
func ParseSubject(text, namespace string) (Subject, error) {
	kind, name, ok := strings.Cut(text, "/")
	if !ok || name == "" {
		return Subject{}, &events.Error{Code: "E-CLI-NAME", What: fmt.Sprintf("%q names no object", text), Do: "write KIND/NAME, such as pod/NAME, ds/NAME or node/NAME", Exit: events.ExitInput}
	}
	k, err := ParseKind(kind)
	if err != nil {
		return Subject{}, err
	}
	x := Subject{Kind: k, Key: events.Key{Name: name}}
	if before, after, ok := strings.Cut(name, "/"); ok { // as rollcall log has them
		x.Key.Name, namespace = after, before
	}
	if at := fieldIn.FindStringIndex(x.Key.Name); at != nil && at[0] > 0 {
		x.Key.Name, x.Field = x.Key.Name[:at[0]], unquoted.Replace(x.Key.Name[at[0]+1:])
	}
	switch {
	case events.Namespaced(k):
		x.Key.Namespace = cmp.Or(namespace, metav1.NamespaceDefault)
	case k.Custom():
		x.Key.Namespace = namespace
	}
	return x, nil
}
