package sim

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// executor carries out commands from its own, possibly old, view of the log.
// Each command is answered by one event whose id follows from the command, and
// a fact about a pod is fenced by the last one known of that pod.
type executor struct {
	h    *History
	id   int
	view *view
}

func newExecutor(h *History, id int) *executor { return &executor{h: h, id: id, view: newScreened()} }

// read takes over all records but the last few.
func (x *executor) read(but int) {
	for int(x.view.seq) < len(x.h.entries)-but {
		x.view.take(x.h.entries[x.view.seq])
	}
}

// turn carries out at most n commands.
func (x *executor) turn(n int) {
	h := x.h
	lag := 0
	if h.cfg.has(faultLag) && h.order.IntN(3) == 0 {
		lag = h.order.IntN(12)
	}
	if h.cfg.has(faultRestart) && h.order.IntN(60) == 0 {
		x.view = newScreened()
	}
	x.read(lag)
	if h.cfg.has(faultLate) && h.order.IntN(4) == 0 {
		return
	}
	for range n {
		if len(x.view.orders) == 0 {
			return
		}
		i := 0
		if h.cfg.has(faultLate) {
			i = h.order.IntN(len(x.view.orders))
		}
		o := x.view.orders[i]
		if !slices.ContainsFunc(h.tip.orders, func(y *order) bool { return y.cause == o.cause }) {
			h.seen.add(seenTwice)
		}
		x.carryOut(o)
		x.read(lag)
		if lag > 0 {
			return // it would do the same again
		}
	}
}

// drain carries out all commands and reports whether there were any.
func (x *executor) drain() bool {
	x.read(0)
	any := len(x.view.orders) > 0
	for len(x.view.orders) > 0 {
		x.carryOut(x.view.orders[0])
		x.read(0)
	}
	return any
}

// carryOut appends what comes of a command. A lost fence or a fault leaves it
// to be done again.
func (x *executor) carryOut(o *order) {
	body, typ := x.effect(o)
	e := events.Event{ID: events.AnswerID(o.cause, o.plan.Basis.Now, "answer"), Type: typ,
		Source: "executor", At: x.h.now, Cause: o.cause, Body: body}
	expect := events.Expect{}
	if ref := events.RefOf(e); ref.Kind == events.Pod {
		expect.Subject = x.h.subjects.Object(events.Pod, ref.Key)
		expect.Last = x.lastOf(ref.Key)
	}
	// Whatever the error: what is in the log decides, and is read next.
	_, _ = x.h.append(expect, e)
}

// lastOf returns the position of the last fact of a pod, also one that it is
// gone, in this view.
func (x *executor) lastOf(k events.Key) events.Seq {
	if p, ok := x.view.pods[k]; ok {
		return p.seq
	}
	for _, e := range slices.Backward(x.h.entries[:x.view.seq]) {
		if ref := events.RefOf(e.Event); ref.Kind == events.Pod && ref.Key == k {
			return e.Seq
		}
	}
	return 0
}

func (x *executor) outcome(o *order, typ events.Type, reason string) (events.Body, events.Type) {
	return events.Outcome{Owner: o.set, Command: o.command, Reason: reason}, typ
}

func (x *executor) effect(o *order) (events.Body, events.Type) {
	key := o.command.Key
	pod, there := x.view.pods[key]
	if o.command.Do == events.CreatePod {
		return x.create(o, pod.object)
	}
	if !there || pod.object.UID != o.command.UID {
		return x.outcome(o, events.Overtaken, "PodGone")
	}
	owner := types.UID("")
	if c := metav1.GetControllerOf(pod.object); c != nil {
		owner = c.UID
	}
	switch o.command.Do {
	case events.DeletePod:
		if owner != o.set.UID && owner != "" {
			return x.outcome(o, events.Overtaken, "NotOwned")
		}
		return x.delete(o, pod.object)
	case events.AdoptPod:
		return x.adopt(o, pod.object, owner)
	}
	if owner != o.set.UID {
		return x.outcome(o, events.Overtaken, "NotOwned")
	}
	p := pod.object.DeepCopy()
	p.OwnerReferences = nil
	return object(events.Pod, p), events.ObjectType(events.Pod, events.VerbUpdated)
}

func (x *executor) create(o *order, there *corev1.Pod) (events.Body, events.Type) {
	v := x.view
	ds, ok := v.sets[o.set.Key]
	node, up := v.nodes[o.command.Node]
	t := v.templates[templateKey(o.set.UID, o.command.Revision)]
	switch {
	case there != nil && there.UID == o.command.UID:
		return x.outcome(o, events.Overtaken, "Exists")
	case !ok || ds.object.UID != o.set.UID || ds.object.DeletionTimestamp != nil:
		return x.outcome(o, events.Overtaken, "DaemonSetGone")
	case !up || node.object.UID != o.command.NodeUID:
		return x.outcome(o, events.Overtaken, "NodeGone")
	case t == nil:
		return x.outcome(o, events.Overtaken, "RevisionGone")
	case there != nil:
		return x.outcome(o, events.Failed, "AlreadyExists")
	case x.h.kubelets.refuses(x.h.now):
		x.h.seen.add(seenRefusal)
		return x.outcome(o, events.Failed, "Forbidden")
	}
	return object(events.Pod, daemonpod.New(ds.object, t, o.command, x.h.now)),
		events.ObjectType(events.Pod, events.VerbCreated)
}

// delete begins the end of a pod. One that no kubelet has, or whose node is
// gone, is gone at once.
func (x *executor) delete(o *order, pod *corev1.Pod) (events.Body, events.Type) {
	node, up := x.view.nodes[o.command.Node]
	lost := !up || node.object.UID != o.command.NodeUID
	if lost || pod.Spec.NodeName == "" {
		return gone(pod), events.ObjectType(events.Pod, events.VerbDeleted)
	}
	if pod.DeletionTimestamp != nil {
		return x.outcome(o, events.Overtaken, "Terminating")
	}
	return object(events.Pod, terminating(pod, x.h.now)), events.ObjectType(events.Pod, events.VerbUpdated)
}

func (x *executor) adopt(o *order, pod *corev1.Pod, owner types.UID) (events.Body, events.Type) {
	ds, ok := x.view.sets[o.set.Key]
	switch {
	case owner != "":
		return x.outcome(o, events.Overtaken, "Owned")
	case pod.DeletionTimestamp != nil:
		return x.outcome(o, events.Overtaken, "Terminating")
	case !ok || ds.object.UID != o.set.UID || ds.object.DeletionTimestamp != nil:
		return x.outcome(o, events.Overtaken, "DaemonSetGone")
	}
	selector, err := metav1.LabelSelectorAsSelector(ds.object.Spec.Selector)
	if err != nil || !selector.Matches(labels.Set(pod.Labels)) {
		return x.outcome(o, events.Overtaken, "NotSelected")
	}
	p := pod.DeepCopy()
	p.OwnerReferences = []metav1.OwnerReference{daemonpod.ControllerRef(ds.object)}
	return object(events.Pod, p), events.ObjectType(events.Pod, events.VerbUpdated)
}
