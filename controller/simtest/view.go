package simtest

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// entry is a record of the log with its object decoded once for all readers,
// who do not change it.
type entry struct {
	events.Event               // as it is to be believed
	object       metav1.Object // nil: it is about none, or the object is gone
	read         events.Event  // as the log has it
	forged       bool          // by somebody else: nobody may believe it
	time         time.Time     // log time
	real         time.Time     // when it was stored indeed, whatever the log's clock said
}

func newEntry(e events.Event) entry {
	x := entry{Event: e, read: e}
	o, ok := e.Body.(events.Object)
	if !ok {
		return x
	}
	var into metav1.Object
	switch o.Kind {
	case events.Node:
		into = &corev1.Node{}
	case events.Pod:
		into = &corev1.Pod{}
	case events.DaemonSet:
		into = &appsv1.DaemonSet{}
	case events.ControllerRevision:
		into = &appsv1.ControllerRevision{}
	default:
		return x
	}
	if err := o.Decode(into); err != nil {
		panic(fmt.Sprintf("sim: position %d: %v", e.Seq, err))
	}
	x.object = into
	return x
}

// at is an object as of a position.
type at[T metav1.Object] struct {
	object T
	seq    events.Seq // of the last event of its subject
	told   events.Seq // of the one that said so
}

// order is a command to be carried out.
type order struct {
	cause   events.Cause
	set     events.Ref
	command events.Command
	plan    *events.Plan
}

// view is what one reader of the log knows.
type view struct {
	seq    events.Seq
	nodes  map[string]at[*corev1.Node]
	pods   map[events.Key]at[*corev1.Pod]
	sets   map[events.Key]at[*appsv1.DaemonSet]
	orders []*order // not answered, by cause
}

func newView() *view {
	return &view{nodes: map[string]at[*corev1.Node]{}, pods: map[events.Key]at[*corev1.Pod]{},
		sets: map[events.Key]at[*appsv1.DaemonSet]{}}
}

func (v *view) take(e entry) {
	v.seq = e.Seq
	switch b := e.Body.(type) {
	case events.Object:
		v.takeObject(e, b)
	case events.Gone:
		switch b.Kind {
		case events.Node:
			delete(v.nodes, b.Key.Name)
		case events.Pod:
			delete(v.pods, b.Key)
		case events.DaemonSet:
			delete(v.sets, b.Key)
		}
	case events.Unreadable:
		if p, ok := v.pods[b.Ref.Key]; ok && b.Ref.Kind == events.Pod {
			p.seq = e.Seq // who writes there next has to know
			v.pods[b.Ref.Key] = p
		}
	case *events.Plan:
		for i, c := range b.Commands {
			v.orders = append(v.orders, &order{events.Cause{Seq: e.Seq, Index: i}, b.Owner, c, b})
		}
	}
	if !e.Cause.IsZero() {
		v.orders = slices.DeleteFunc(v.orders, func(o *order) bool { return o.cause == e.Cause })
	}
}

func (v *view) takeObject(e entry, b events.Object) {
	switch o := e.object.(type) {
	case *corev1.Node:
		v.nodes[o.Name] = at[*corev1.Node]{o, e.Seq, e.Seq}
	case *corev1.Pod:
		v.pods[b.Key] = at[*corev1.Pod]{o, e.Seq, e.Seq}
	case *appsv1.DaemonSet:
		v.sets[b.Key] = at[*appsv1.DaemonSet]{o, e.Seq, e.Seq}
	}
}

// sortedKeys lists keys in order.
func sortedKeys[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	ks := make([]K, 0, len(m))
	for k := range m {
		ks = append(ks, k)
	}
	slices.SortFunc(ks, compare)
	return ks
}
