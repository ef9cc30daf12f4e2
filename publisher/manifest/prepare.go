package manifest

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// DefaultNamespace is the namespace of an object that names none.
const DefaultNamespace = "default"

// Annotations and labels that the system writes, or that a command of its own
// sets: a manifest that does not name them leaves them.
var (
	keptAnnotations = []string{
		appsv1.DeprecatedTemplateGeneration, "kubectl.kubernetes.io/last-applied-configuration",
		events.AnnotationPaused, events.AnnotationSuspend, events.AnnotationFail,
	}
	keptTemplateAnnotations = []string{"kubectl.kubernetes.io/restartedAt"}
	keptNodeLabels          = []string{corev1.LabelHostname, corev1.LabelOSStable, corev1.LabelArchStable, events.LabelSimulated}
)

// InNamespace sets the namespace of a document that names none: namespace, or
// the default one if that is empty. A document that names another namespace
// than the one asked for is refused.
func (d Document) InNamespace(namespace string) error {
	if !Namespaced(d.Kind) {
		return nil
	}
	switch has := d.Object.GetNamespace(); {
	case has == "" && namespace == "":
		d.Object.SetNamespace(DefaultNamespace)
	case has == "":
		d.Object.SetNamespace(namespace)
	case namespace != "" && has != namespace:
		return &events.Error{Code: "E-MAN-NAMESPACE", What: fmt.Sprintf("the document names namespace %q", has),
			Where: d.at("metadata.namespace"), Why: fmt.Sprintf("namespace %q was asked for", namespace),
			Do: "remove one of the two, or make them equal", Exit: events.ExitInput}
	}
	return nil
}

// Stamp is what is new about an object: its uid and its time.
type Stamp struct {
	UID types.UID
	Now time.Time
}

// PrepareCreate completes o as a new object: defaults, uid, creation time,
// first generation; what only the system writes is wiped.
func PrepareCreate(o Object, s Stamp) {
	wipe(o)
	o.SetUID(s.UID)
	o.SetCreationTimestamp(metav1.NewTime(s.Now.UTC().Truncate(time.Second)))
	switch o := o.(type) {
	case *appsv1.DaemonSet:
		o.Status = appsv1.DaemonSetStatus{}
		o.Generation = 1
		daemonpod.SetDaemonSetDefaults(o)
		if n, bad := templateGeneration(o); len(bad) == 0 {
			setTemplateGeneration(o, max(n, 1))
		}
	case *corev1.Node:
		defaultLabel(o, corev1.LabelHostname, o.Name)
	case *corev1.Namespace:
		o.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
		o.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
		defaultLabel(o, corev1.LabelMetadataName, o.Name)
	case *schedulingv1.PriorityClass:
		o.Generation = 1
		defaultPreemption(o)
	}
}

// wipe clears what a manifest may carry because it was read from a cluster.
func wipe(o Object) {
	o.SetResourceVersion("")
	o.SetSelfLink("")
	o.SetManagedFields(nil)
	o.SetGeneration(0)
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	switch o := o.(type) {
	case *appsv1.DaemonSet:
		o.TypeMeta = metav1.TypeMeta{}
	case *corev1.Node:
		o.TypeMeta = metav1.TypeMeta{}
	case *corev1.Namespace:
		o.TypeMeta = metav1.TypeMeta{}
	case *schedulingv1.PriorityClass:
		o.TypeMeta = metav1.TypeMeta{}
	}
}

func defaultLabel(o Object, key, v string) {
	labels := o.GetLabels()
	if _, ok := labels[key]; ok {
		return
	}
	if labels == nil {
		labels = map[string]string{}
	}
	labels[key] = v
	o.SetLabels(labels)
}

func defaultPreemption(c *schedulingv1.PriorityClass) {
	if c.PreemptionPolicy == nil {
		p := corev1.PreemptLowerPriority
		c.PreemptionPolicy = &p
	}
}

func setTemplateGeneration(ds *appsv1.DaemonSet, n int64) {
	if ds.Annotations == nil {
		ds.Annotations = map[string]string{}
	}
	ds.Annotations[appsv1.DeprecatedTemplateGeneration] = strconv.FormatInt(n, 10)
}

// SameTemplate reports whether two templates make equal pods.
func SameTemplate(a, b *corev1.PodTemplateSpec) bool {
	return equality.Semantic.DeepEqual(a, b) || daemonpod.Digest(a) == daemonpod.Digest(b)
}

// PrepareUpdate completes next, an object as a manifest has it, as the
// successor of old: identity, status and what the system owns are those of
// old, the generation rises by one if the spec changed, the template's if the
// template means another pod. It reports whether anything changed; if not,
// there is nothing to append. old is not changed and next is consumed.
func PrepareUpdate(next, old Object) (changed bool) {
	inherit(next, old)
	switch n := next.(type) {
	case *appsv1.DaemonSet:
		o := old.(*appsv1.DaemonSet)
		n.Status = *o.Status.DeepCopy()
		daemonpod.SetDaemonSetDefaults(n)
		keep(&n.Annotations, o.Annotations, keptAnnotations)
		keep(&n.Spec.Template.Annotations, o.Spec.Template.Annotations, keptTemplateAnnotations)
		Generations(n, o)
	case *corev1.Node:
		o := old.(*corev1.Node)
		n.Status = *o.Status.DeepCopy()
		keep(&n.Labels, o.Labels, keptNodeLabels)
		keep(&n.Annotations, o.Annotations, keptAnnotations)
		keepNodeSpec(&n.Spec, &o.Spec)
	case *corev1.Namespace:
		o := old.(*corev1.Namespace)
		n.Spec, n.Status = *o.Spec.DeepCopy(), *o.Status.DeepCopy()
		keep(&n.Labels, o.Labels, []string{corev1.LabelMetadataName})
		keep(&n.Annotations, o.Annotations, keptAnnotations)
	case *schedulingv1.PriorityClass:
		n.Generation = old.GetGeneration()
		defaultPreemption(n)
		keep(&n.Annotations, old.GetAnnotations(), keptAnnotations)
	}
	return !equality.Semantic.DeepEqual(next, old)
}

// inherit gives next the identity of old.
func inherit(next, old Object) {
	wipe(next)
	next.SetUID(old.GetUID())
	next.SetCreationTimestamp(old.GetCreationTimestamp())
	next.SetGeneration(old.GetGeneration())
	next.SetGenerateName(old.GetGenerateName())
	next.SetDeletionTimestamp(old.GetDeletionTimestamp())
	next.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	next.SetManagedFields(slices.Clone(old.GetManagedFields()))
	next.SetResourceVersion(old.GetResourceVersion())
	if next.GetFinalizers() == nil {
		next.SetFinalizers(slices.Clone(old.GetFinalizers()))
	}
	if next.GetOwnerReferences() == nil {
		next.SetOwnerReferences(slices.Clone(old.GetOwnerReferences()))
	}
}

// keep copies keys of old that next does not have.
func keep(next *map[string]string, old map[string]string, keys []string) {
	for _, k := range keys {
		v, ok := old[k]
		if _, set := (*next)[k]; set || !ok {
			continue
		}
		if *next == nil {
			*next = map[string]string{}
		}
		(*next)[k] = v
	}
}

// keepNodeSpec keeps what a manifest of a node rarely names: taints and cordon
// belong to commands unless the manifest sets taints itself.
func keepNodeSpec(next, old *corev1.NodeSpec) {
	if next.Taints == nil {
		next.Taints = slices.Clone(old.Taints)
		next.Unschedulable = next.Unschedulable || old.Unschedulable
	}
	if next.PodCIDR == "" {
		next.PodCIDR, next.PodCIDRs = old.PodCIDR, slices.Clone(old.PodCIDRs)
	}
	if next.ProviderID == "" {
		next.ProviderID = old.ProviderID
	}
}

// Generations sets both generations of next, which was made from old: the
// annotation that counts templates is old's or one more, whatever next says.
func Generations(next, old *appsv1.DaemonSet) {
	n, _ := templateGeneration(old)
	if !SameTemplate(&next.Spec.Template, &old.Spec.Template) {
		n++
	}
	if _, written := old.Annotations[appsv1.DeprecatedTemplateGeneration]; written || n > 0 {
		setTemplateGeneration(next, n)
	}
	next.Generation = old.Generation
	if !equality.Semantic.DeepEqual(next.Spec, old.Spec) {
		next.Generation++
	}
}

// Check returns the refusal of a document whose defaults are set, or nil: by
// the rules for a new object if old is nil, for a change of old otherwise.
func (d *Document) Check(old Object) error {
	var errs field.ErrorList
	switch o := d.Object.(type) {
	case *appsv1.DaemonSet:
		was, _ := old.(*appsv1.DaemonSet)
		errs = append(ValidateDaemonSet(o, was), validateOptions(o.Annotations)...)
		d.Warnings = append(d.Warnings, d.daemonSetWarnings(o)...)
	case *corev1.Node:
		was, _ := old.(*corev1.Node)
		errs = ValidateNode(o, was)
	case *corev1.Namespace:
		was, _ := old.(*corev1.Namespace)
		errs = ValidateNamespace(o, was)
	case *schedulingv1.PriorityClass:
		was, _ := old.(*schedulingv1.PriorityClass)
		errs = ValidatePriorityClass(o, was)
	}
	return d.Refusal(errs)
}

// daemonSetWarnings are about what is legal and seldom meant.
func (d *Document) daemonSetWarnings(ds *appsv1.DaemonSet) (ws []string) {
	if s := ds.Spec.UpdateStrategy; s.Type == appsv1.OnDeleteDaemonSetStrategyType && s.RollingUpdate != nil {
		ws = append(ws, d.at("spec.updateStrategy.rollingUpdate")+": rollingUpdate has no effect with OnDelete")
	}
	if ds.Spec.Template.Spec.NodeName != "" {
		ws = append(ws, d.at("spec.template.spec.nodeName")+": with nodeName set the DaemonSet runs on that node only")
	}
	return ws
}

func validateOptions(annotations map[string]string) (errs field.ErrorList) {
	for _, bad := range events.CheckAnnotations(events.DaemonSet, nil, annotations) {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "annotations").Key(bad.Key), bad.Value, bad.Why))
	}
	return errs
}
