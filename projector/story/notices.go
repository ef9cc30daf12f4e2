package story

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
)

// Notice is a core event of Kubernetes about a DaemonSet, as `kubectl describe`
// shows it. It is a view: nothing in the log.
type Notice struct {
	events.Notice
	Object events.Ref // the DaemonSet
}

// component is the source of Events about DaemonSets.
const component = "daemonset-controller"

// Reasons of notices.
const (
	reasonCreated      = "SuccessfulCreate"
	reasonNotCreated   = "FailedCreate"
	reasonDeleted      = "SuccessfulDelete"
	reasonNotDeleted   = "FailedDelete"
	reasonFailedPod    = "FailedDaemonPod"
	reasonSucceededPod = "SucceededDaemonPod"
	reasonSelectingAll = "SelectingAll"
)

// maxRemembered bounds the commands that a Noticer remembers until they are
// answered: those of twenty full plans. The oldest are forgotten first.
const maxRemembered = 20 * events.MaxCommands

// Noticer makes notices of the events of a log, which it takes in order from
// any position. Nothing is held back: the filter by which Kubernetes thins out
// its events is the reader's.
type Noticer struct {
	commands map[events.Cause]remembered
	order    []events.Cause // of commands, oldest first, with holes
}

type remembered struct {
	owner events.Ref
	do    events.Verb
}

// NewNoticer returns a noticer that has seen nothing.
func NewNoticer() *Noticer { return &Noticer{commands: map[events.Cause]remembered{}} }

// Observe takes e in and returns the notices that it gives, in order.
func (n *Noticer) Observe(e events.Event) []Notice {
	var out []Notice
	add := func(typ, reason string, object events.Ref, format string, args ...any) {
		told := events.Notice{Type: typ, Reason: reason, Message: OneLine(fmt.Sprintf(format, args...)), Component: component}
		out = append(out, Notice{told, object})
	}
	switch b := e.Body.(type) {
	case *events.Plan:
		n.plan(e, b, add)
	case events.Object:
		n.object(e, b, add)
	case events.Gone:
		if b.Kind == events.Pod {
			n.answered(e, b.Data, events.DeletePod, add)
		}
	case events.Outcome:
		delete(n.commands, e.Cause)
		if e.Type == events.Failed {
			refused(b, add)
		}
	}
	return out
}

type adder func(typ, reason string, object events.Ref, format string, args ...any)

// plan remembers the commands of a plan for a DaemonSet, and tells of the failed and the
// succeeded pods that it deletes.
func (n *Noticer) plan(e events.Event, p *events.Plan, add adder) {
	if p.Owner == (events.Ref{}) {
		return
	}
	for i, c := range p.Commands {
		cause := events.Cause{Seq: e.Seq, Index: i}
		n.commands[cause] = remembered{p.Owner, c.Do}
		n.order = append(n.order, cause)
		if c.Do != events.DeletePod {
			continue
		}
		switch c.Reason {
		case events.FailedPod:
			add(corev1.EventTypeWarning, reasonFailedPod, p.Owner,
				"Found failed daemon pod %s on node %s, will try to kill it", c.Key, c.Node)
		case events.Succeeded:
			add(corev1.EventTypeNormal, reasonSucceededPod, p.Owner,
				"Found succeeded daemon pod %s on node %s, will try to delete it", c.Key, c.Node)
		}
	}
	if drop := len(n.order) - maxRemembered; drop > 0 {
		for _, c := range n.order[:drop] {
			delete(n.commands, c)
		}
		n.order = n.order[drop:]
	}
}

func (n *Noticer) object(e events.Event, o events.Object, add adder) {
	switch o.Kind {
	case events.Pod:
		did := events.AdoptPod // or released: there is no notice for either
		switch {
		case e.Type == events.ObjectType(events.Pod, events.VerbCreated):
			did = events.CreatePod
		case find(o.Data, "metadata", "deletionTimestamp") != nil:
			did = events.DeletePod
		}
		n.answered(e, o.Data, did, add)
	case events.DaemonSet:
		if selectsAll(o.Data) {
			add(corev1.EventTypeWarning, reasonSelectingAll, o.Ref,
				"This daemon set is selecting all pods. A non-empty selector is required.")
		}
	}
}

// answered tells of a pod that a command made or deleted. A command that is
// not remembered is known by what became of the pod, did, and by its owner.
func (n *Noticer) answered(e events.Event, data []byte, did events.Verb, add adder) {
	if e.Cause.IsZero() {
		return
	}
	pod := events.RefOf(e)
	c, known := n.commands[e.Cause]
	delete(n.commands, e.Cause)
	if !known {
		c = remembered{controllerOf(pod, data), did}
		if c.owner.Kind != events.DaemonSet {
			return
		}
	}
	switch c.do {
	case events.CreatePod:
		add(corev1.EventTypeNormal, reasonCreated, c.owner, "Created pod: %s", pod.Key.Name)
	case events.DeletePod:
		add(corev1.EventTypeNormal, reasonDeleted, c.owner, "Deleted pod: %s", pod.Key.Name)
	}
}

// reasonNamespaceEnding is why a pod is refused in a namespace that is being
// deleted: nothing that anybody has to know.
const reasonNamespaceEnding = "NamespaceTerminating"

// refused tells of a command that failed.
func refused(o events.Outcome, add adder) {
	why := cmp.Or(o.Message, o.Reason)
	switch {
	case o.Command.Do == events.CreatePod && o.Reason != reasonNamespaceEnding:
		add(corev1.EventTypeWarning, reasonNotCreated, o.Owner, "Error creating: %s", why)
	case o.Command.Do == events.DeletePod:
		add(corev1.EventTypeWarning, reasonNotDeleted, o.Owner, "Error deleting: %s", why)
	}
}

// selectsAll reports whether the selector of a DaemonSet is there and empty.
func selectsAll(ds []byte) bool {
	s := find(ds, "spec", "selector")
	return s != nil && len(fields(find(s, "matchLabels"))) == 0 && len(elements(find(s, "matchExpressions"))) == 0
}

// controllerOf returns the reference to the controller of an object; the zero
// Ref: it has none.
func controllerOf(of events.Ref, data []byte) events.Ref {
	for _, o := range elements(find(data, "metadata", "ownerReferences")) {
		if text(find(o, "controller")) == "true" {
			return events.Ref{Kind: events.Kind(text(find(o, "kind"))),
				Key: events.Key{Namespace: of.Key.Namespace, Name: text(find(o, "name"))},
				UID: types.UID(text(find(o, "uid")))}
		}
	}
	return events.Ref{}
}
