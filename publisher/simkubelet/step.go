package simkubelet

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// stage is what a node, pod, claim or volume does until its next step.
type stage string

// Step is one fact to append, fenced by the last event of its object. It is a
// drive.Step.
type Step struct {
	Fence events.Expect
	Event events.Event

	item   *item
	data   []byte
	object any // what the event says, decoded: a pointer to a Kubernetes object
	of     *pod
	binds  bool // the pod holds what it needs of its host from here on
}

// newStep returns the step from an item to what it becomes; a body of Gone
// ends it.
func (w *World) newStep(i *item, verb string, body events.Body, now time.Time) *Step {
	s := &Step{
		Fence: events.Expect{Subject: w.subjects.Object(i.ref.Kind, i.ref.Key), Last: i.seq},
		item:  i,
	}
	if o, ok := body.(events.Object); ok {
		s.data = o.Data
	}
	// The same step from the same position is the same event, whoever makes it.
	what := source + "/" + string(i.ref.UID) + "/" + string(i.stage)
	s.Event = events.Event{
		ID:     events.AnswerID(events.Cause{Seq: i.seq}, i.since, what),
		Type:   events.ObjectType(i.ref.Kind, verb),
		Source: source,

		Body: body,
	}
	return s
}

// becomes returns the step by which an item becomes an object, or nil for one
// that has no form in the log: what came out of the log has one.
func (w *World) becomes(i *item, verb string, o metav1.Object, now time.Time) *Step {
	body, err := events.NewObject(i.ref.Kind, o)
	if err != nil {
		return nil
	}
	s := w.newStep(i, verb, body, now)
	s.object = o
	return s
}
