package simtest

import (
	"fmt"
	"maps"
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

// sortedKeys lists keys in order.
func sortedKeys[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), compare)
}
