package apiserver

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/informers"
	"k8s.io/component-base/compatibility"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	api "k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/plugin/pkg/admission/defaulttolerationseconds"
	"k8s.io/kubernetes/plugin/pkg/admission/nodedeclaredfeatures"
	"k8s.io/kubernetes/plugin/pkg/admission/nodetaint"
	"k8s.io/kubernetes/plugin/pkg/admission/podresize"
	"k8s.io/kubernetes/plugin/pkg/admission/podtopologylabels"
	"k8s.io/kubernetes/plugin/pkg/admission/priority"
	"k8s.io/kubernetes/plugin/pkg/admission/runtimeclass"
	"k8s.io/kubernetes/plugin/pkg/admission/security/podsecurity"
	"k8s.io/kubernetes/plugin/pkg/admission/serviceaccount"
	"k8s.io/kubernetes/plugin/pkg/admission/storage/persistentvolume/resize"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// admissionPlugins are those of the plugins which kube-apiserver has on by
// default that decide about what is served, in its order. docs/API.md names the
// others, each with the reason why it is left out.
var admissionPlugins = []struct {
	name     string
	register func(*admission.Plugins)
}{
	{lifecycle.PluginName, lifecycle.Register},
	{serviceaccount.PluginName, serviceaccount.Register},
	{nodetaint.PluginName, nodetaint.Register},
	{podsecurity.PluginName, podsecurity.Register},
	{priority.PluginName, priority.Register},
	{defaulttolerationseconds.PluginName, defaulttolerationseconds.Register},
	{resize.PluginName, resize.Register},
	{runtimeclass.PluginName, runtimeclass.Register},
	{podtopologylabels.PluginName, podtopologylabels.Register},
	{nodedeclaredfeatures.PluginName, nodedeclaredfeatures.Register},
	{podresize.PluginName, podresize.Register},
}

// noConfig gives plugins no configuration file.
type noConfig struct{}

// ConfigFor implements admission.ConfigProvider.
func (noConfig) ConfigFor(string) (io.Reader, error) { return nil, nil }

// Admission is what a cluster's rules say of new and changed objects:
// Kubernetes' own plugins over the tables of a log. Its methods may be called
// from any goroutine.
type Admission struct {
	admission.Interface
	objects *table.Tables
	alike   *alike // of pods beside the API
}

var (
	_ admission.MutationInterface   = (*Admission)(nil)
	_ admission.ValidationInterface = (*Admission)(nil)
)

// newAdmission returns the admission of the cluster that tables show, with
// informers over them.
func newAdmission(objects *table.Tables, read informers.SharedInformerFactory) (*Admission, error) {
	all := admission.NewPlugins()
	var names []string
	for _, p := range admissionPlugins {
		p.register(all)
		names = append(names, p.name)
	}
	client, err := tableClient(objects)
	if err != nil {
		return nil, fmt.Errorf("make the client of the admission: %w", err)
	}
	start := initializer.New(client, nil, read, nil, featureGate,
		compatibility.NewEffectiveVersionFromString(Version, "", ""), nil, nil)
	chain, err := all.NewFromPlugins(names, noConfig{}, start, nil)
	if err != nil {
		return nil, fmt.Errorf("make the admission: %w", err)
	}
	return &Admission{chain, objects, &alike{known: map[revisionOf]*admittedPod{}}}, nil
}

// plannedKey is the key under which a context has the objects of WithPlanned.
type plannedKey struct{}

// WithPlanned returns a context for dry runs of clients in this process: the
// objects, of which no uid is asked for, count as there for what is to be made
// after them. So many objects can be rehearsed before the first is made.
func WithPlanned(ctx context.Context, objects map[events.Ref]bool) context.Context {
	return context.WithValue(ctx, plannedKey{}, objects)
}

// waits reports whether a dry run is of an object for which something has to be
// there that is only planned: the rules about it cannot be asked yet.
func (a *Admission) waits(ctx context.Context, x admission.Attributes) bool {
	planned, _ := ctx.Value(plannedKey{}).(map[events.Ref]bool)
	if len(planned) == 0 || !x.IsDryRun() {
		return false
	}
	has := func(kind events.Kind, namespace, name string) bool {
		key := events.Key{Namespace: namespace, Name: name}
		return planned[events.Ref{Kind: kind, Key: key}] && a.objects.Of(kind).Get(key) == nil
	}
	if has(events.Namespace, "", x.GetNamespace()) {
		return true
	}
	pod, ok := x.GetObject().(*api.Pod)
	return ok && (has(events.ServiceAccount, x.GetNamespace(), pod.Spec.ServiceAccountName) || has(events.PriorityClass, "", pod.Spec.PriorityClassName) ||
		pod.Spec.RuntimeClassName != nil && has(events.RuntimeClass, "", *pod.Spec.RuntimeClassName))
}

// Admit implements admission.MutationInterface.
func (a *Admission) Admit(ctx context.Context, x admission.Attributes, o admission.ObjectInterfaces) error {
	if a.waits(ctx, x) {
		return nil
	}
	return a.Interface.(admission.MutationInterface).Admit(ctx, x, o)
}

// Validate implements admission.ValidationInterface.
func (a *Admission) Validate(ctx context.Context, x admission.Attributes, o admission.ObjectInterfaces) error {
	if a.waits(ctx, x) {
		return nil
	}
	return a.Interface.(admission.ValidationInterface).Validate(ctx, x, o)
}

// daemonController is who asks for daemon pods in a cluster of Kubernetes.
var daemonController = &user.DefaultInfo{Name: "system:serviceaccount:kube-system:daemon-set-controller",
	Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", user.AllAuthenticated}}

// AdmitPod decides about a pod that is made beside the API, as if the DaemonSet
// controller of Kubernetes had asked for it, and fills in what admission fills
// in. An error that is an apierrors.APIStatus refuses the pod; another one says
// nothing. A refusal is of the cluster as the log has it, not as the tables had it. Pods of
// one revision share what they have in common: nobody may change it.
func (s *Server) AdmitPod(ctx context.Context, pod *corev1.Pod) error {
	a := s.admission
	if a.admitPod(ctx, pod) == nil {
		return nil
	}
	info, err := s.config.Log.Info(ctx)
	if err == nil {
		err = a.objects.Await(ctx, info.Last)
	}
	if err != nil {
		return fmt.Errorf("see whether the cluster has changed: %w", err)
	}
	return a.admitPod(ctx, pod)
}

func (a *Admission) admitPod(ctx context.Context, pod *corev1.Pod) error {
	rules := rulesOf(a.objects)
	if a.alike.fill(pod, rules) {
		return nil
	}
	asked := *pod
	if err := a.ask(ctx, pod); err != nil {
		return err
	}
	a.alike.keep(asked, pod, rules)
	return nil
}

// ask has the plugins decide about a pod.
func (a *Admission) ask(ctx context.Context, pod *corev1.Pod) error {
	o := new(api.Pod)
	if err := legacyscheme.Scheme.Convert(pod.DeepCopy(), o, nil); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	asked := func() admission.Attributes {
		return admission.NewAttributesRecord(o, nil, corev1.SchemeGroupVersion.WithKind("Pod"), pod.Namespace, o.Name,
			corev1.SchemeGroupVersion.WithResource("pods"), "", admission.Create, &metav1.CreateOptions{}, false, daemonController)
	}
	// Kubernetes names a pod after it has been filled in, and before it is
	// validated: refusals differ in it.
	o.Name, o.UID = "", ""
	if err := a.Admit(ctx, asked(), nil); err != nil {
		return err
	}
	o.Name, o.UID = pod.Name, pod.UID
	if err := a.Validate(ctx, asked(), nil); err != nil {
		return err
	}
	admitted := new(corev1.Pod)
	if err := legacyscheme.Scheme.Convert(o, admitted, nil); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	renameToken(pod, admitted)
	*pod = *admitted
	return nil
}

// tokenVolume begins the name of the volume with the token of a pod's account.
const tokenVolume = serviceaccount.ServiceAccountVolumeName + "-"

// renameToken gives the volume that admission has added a name that follows from
// the template of the pod: whoever makes this pod again makes the same, and pods
// of one template have one spec but for their node.
func renameToken(asked, pod *corev1.Pod) {
	if len(pod.Spec.Volumes) == len(asked.Spec.Volumes) {
		return
	}
	v := &pod.Spec.Volumes[len(pod.Spec.Volumes)-1]
	old := v.Name
	if !strings.HasPrefix(old, tokenVolume) {
		return
	}
	v.Name = tokenVolume + suffixFor(pod)
	for _, cs := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range cs {
			for j := range cs[i].VolumeMounts {
				if m := &cs[i].VolumeMounts[j]; m.Name == old {
					m.Name = v.Name
				}
			}
		}
	}
}

// suffixFor returns five letters and digits, as Kubernetes puts them behind
// names, that follow from what made a pod and from the revision of its template.
func suffixFor(pod *corev1.Pod) string {
	from := pod.UID
	if c := metav1.GetControllerOfNoCopy(pod); c != nil {
		from = c.UID + "/" + types.UID(pod.Labels[daemonpod.RevisionLabel])
	}
	sum := sha256.Sum256([]byte("token/" + from))
	return utilrand.SafeEncodeString(fmt.Sprintf("%05d", binary.BigEndian.Uint32(sum[:])%100_000))
}

func namespacePhase(data []byte) corev1.NamespacePhase {
	var n corev1.Namespace
	if wire.Unmarshal(data, &n) != nil {
		return ""
	}
	return n.Status.Phase
}
