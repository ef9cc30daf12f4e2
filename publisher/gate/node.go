package gate

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/publisher"
)

// ownPrefix begins the labels and annotations that rollcall reads, which nobody
// tells: they would decide something.
const ownPrefix = "rollcall/"

// newNode returns a node that a source tells of for the first time. Its uid is
// that of the event which does.
func newNode(t *told, name string) *corev1.Node {
	n := &corev1.Node{}
	n.Name = name
	n.UID = events.DerivedUID(sha256.Sum256([]byte("node/" + t.by.Name + "/" + name + "/" + t.id.String())))
	n.CreationTimestamp = metav1.NewTime(t.now.UTC().Truncate(time.Second))
	n.Labels = map[string]string{events.LabelSource: t.by.Name}
	return n
}

// observe makes a node what was told of it. What is not told stays.
func observe(n *corev1.Node, t *told, o publisher.NodeObserved) *publisher.Problem {
	var errs []publisher.ProblemError
	errs = append(errs, patch(&n.Labels, o.Labels, "/data/labels")...)
	errs = append(errs, patch(&n.Annotations, o.Annotations, "/data/annotations")...)
	n.Spec.ProviderID = cmp.Or(o.ProviderID, n.Spec.ProviderID)
	n.Spec.Unschedulable = ptr.Deref(o.Unschedulable, n.Spec.Unschedulable)
	if o.Taints != nil {
		n.Spec.Taints = t.taints(n, *o.Taints)
	}
	was := n.Status.Capacity.DeepCopy()
	errs = append(errs, amounts(&n.Status.Capacity, o.Capacity, "/data/capacity")...)
	follow(n, was)
	errs = append(errs, amounts(&n.Status.Allocatable, o.Allocatable, "/data/allocatable")...)
	if o.Addresses != nil {
		n.Status.Addresses = nil
		for _, a := range *o.Addresses {
			n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeAddressType(a.Type), Address: a.Address})
		}
	}
	for _, c := range o.Conditions {
		t.condition(n, c)
	}
	if o.Info != nil {
		inform(&n.Status.NodeInfo, *o.Info)
	}
	t.mark(n)
	if len(errs) > 0 {
		return dataProblem(errs)
	}
	return nil
}

// patch changes a map by a patch.
func patch(m *map[string]string, p publisher.Patch, at string) (errs []publisher.ProblemError) {
	for _, k := range slices.Sorted(maps.Keys(p)) {
		switch v := p[k]; {
		case strings.HasPrefix(k, ownPrefix):
			errs = append(errs, publisher.ProblemError{Pointer: at + "/" + escape(k), Expected: "a key that does not begin with " + ownPrefix,
				Got: quote(k), Hint: "what rollcall does is set through the Kubernetes API"})
		case v == nil:
			delete(*m, k)
		default:
			if *m == nil {
				*m = map[string]string{}
			}
			(*m)[k] = *v
		}
	}
	return errs
}

// amounts changes amounts of resources.
func amounts(l *corev1.ResourceList, q publisher.Quantities, at string) (errs []publisher.ProblemError) {
	for _, k := range slices.Sorted(maps.Keys(q)) {
		v := q[k]
		if v == nil {
			delete(*l, corev1.ResourceName(k))
			continue
		}
		n, err := resource.ParseQuantity(string(*v))
		if err != nil {
			errs = append(errs, publisher.ProblemError{Pointer: at + "/" + escape(k), Expected: "quantity", Got: quote(string(*v)), Hint: "such as 4, 500m or 8Gi"})
			continue
		}
		if *l == nil {
			*l = corev1.ResourceList{}
		}
		(*l)[corev1.ResourceName(k)] = n
	}
	return errs
}

// follow has what can be allocated of a node follow what it has, resource by
// resource, where it was the same before.
func follow(n *corev1.Node, was corev1.ResourceList) {
	for k, has := range n.Status.Capacity { // each by itself: the order does not matter
		can, told := n.Status.Allocatable[k]
		if before := was[k]; told && can.Cmp(before) != 0 {
			continue
		}
		if n.Status.Allocatable == nil {
			n.Status.Allocatable = corev1.ResourceList{}
		}
		n.Status.Allocatable[k] = has.DeepCopy()
	}
	for k := range was {
		if _, has := n.Status.Capacity[k]; !has {
			delete(n.Status.Allocatable, k)
		}
	}
}

// condition makes one condition of a node what was told.
func (t *told) condition(n *corev1.Node, c publisher.Condition) {
	at := t.stamp(c.LastTransitionTime)
	now := corev1.NodeCondition{Type: corev1.NodeConditionType(c.Type), Status: corev1.ConditionStatus(c.Status),
		Reason: c.Reason, Message: c.Message, LastTransitionTime: at, LastHeartbeatTime: t.stamp(nil)}
	i := slices.IndexFunc(n.Status.Conditions, func(o corev1.NodeCondition) bool { return o.Type == now.Type })
	if i < 0 {
		n.Status.Conditions = append(n.Status.Conditions, now)
		return
	}
	if was := n.Status.Conditions[i]; was.Status == now.Status && c.LastTransitionTime == nil {
		now.LastTransitionTime = was.LastTransitionTime
	}
	n.Status.Conditions[i] = now
}

// inform says what runs on a node, as far as it was told.
func inform(n *corev1.NodeSystemInfo, o publisher.NodeInfo) {
	for _, f := range []struct {
		to   *string
		told string
	}{
		{&n.Architecture, o.Architecture}, {&n.OperatingSystem, o.OperatingSystem}, {&n.OSImage, o.OSImage}, {&n.KernelVersion, o.KernelVersion},
		{&n.ContainerRuntimeVersion, o.ContainerRuntimeVersion}, {&n.KubeletVersion, o.KubeletVersion},
		{&n.MachineID, o.MachineID}, {&n.SystemUUID, o.SystemUUID}, {&n.BootID, o.BootID},
	} {
		*f.to = cmp.Or(f.told, *f.to)
	}
}

// marks are the taints that follow from the conditions of a node, as Kubernetes'
// node lifecycle controller puts them on; it leaves told nodes alone.
var marks = []struct {
	condition corev1.NodeConditionType // empty: that the node is cordoned
	status    corev1.ConditionStatus
	taint     string
	evicts    bool
}{
	{corev1.NodeReady, corev1.ConditionFalse, corev1.TaintNodeNotReady, true},
	{corev1.NodeReady, corev1.ConditionUnknown, corev1.TaintNodeUnreachable, true},
	{corev1.NodeMemoryPressure, corev1.ConditionTrue, corev1.TaintNodeMemoryPressure, false},
	{corev1.NodeDiskPressure, corev1.ConditionTrue, corev1.TaintNodeDiskPressure, false},
	{corev1.NodePIDPressure, corev1.ConditionTrue, corev1.TaintNodePIDPressure, false},
	{corev1.NodeNetworkUnavailable, corev1.ConditionTrue, corev1.TaintNodeNetworkUnavailable, false},
	{"", "", corev1.TaintNodeUnschedulable, false},
}

// marked reports whether a taint follows from the conditions of told nodes.
func marked(key string) bool {
	for _, m := range marks {
		if m.taint == key {
			return true
		}
	}
	return false
}

// taints returns the taints that a node is told to have, those that it had as they
// were. Those that follow from conditions cannot be told.
func (t *told) taints(n *corev1.Node, all []publisher.Taint) []corev1.Taint {
	var out []corev1.Taint
	for _, was := range n.Spec.Taints {
		if marked(was.Key) {
			out = append(out, was)
		}
	}
	for _, x := range all {
		taint := corev1.Taint{Key: x.Key, Value: x.Value, Effect: corev1.TaintEffect(x.Effect)}
		if marked(x.Key) {
			t.warn(fmt.Sprintf("the taint %s was left out: it follows from the node's conditions", x.Key))
			continue
		}
		if taint.Effect == corev1.TaintEffectNoExecute {
			taint.TimeAdded = ptr.To(t.stamp(nil))
		}
		for _, was := range n.Spec.Taints {
			if was.Key == taint.Key && was.Effect == taint.Effect && was.Value == taint.Value {
				taint = was
			}
		}
		out = append(out, taint)
	}
	return out
}

// mark has the taints of a told node follow from its conditions. Those of other
// nodes are the business of who plays them.
func (t *told) mark(n *corev1.Node) {
	if n.Labels[events.LabelSource] == "" {
		return
	}
	for _, m := range marks {
		on := m.condition == "" && n.Spec.Unschedulable
		for _, c := range n.Status.Conditions {
			on = on || c.Type == m.condition && c.Status == m.status
		}
		effects := []corev1.TaintEffect{corev1.TaintEffectNoSchedule}
		if m.evicts {
			effects = append(effects, corev1.TaintEffectNoExecute)
		}
		for _, e := range effects {
			has := func(x corev1.Taint) bool { return x.Key == m.taint && x.Effect == e }
			switch {
			case !on:
				n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, has)
			case !slices.ContainsFunc(n.Spec.Taints, has):
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: m.taint, Effect: e, TimeAdded: ptr.To(t.stamp(nil))})
			}
		}
	}
}

// simulated reports whether rollcall plays a node.
func simulated(labels map[string]string) bool { return labels[events.LabelSimulated] == "true" }
