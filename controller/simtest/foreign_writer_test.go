package simtest

import (
	"context"

	"rollcall/controller"
	"rollcall/events"
)

// foreignWriter is the foreign world as the controller writes to it.
type foreignWriter struct{ *foreign }

// Write implements controller.Writer.
func (w foreignWriter) Write(_ context.Context, x controller.Write) (controller.Write, error) {
	s, key := w.server, keyOf(x.Object)
	verb := map[events.Kind]string{events.DaemonSet: "status", events.ControllerRevision: "revision"}[x.Kind]
	w.reached(verb, "call")
	now, is := s.typed(x.Kind, key)
	switch {
	case x.Verb == events.VerbCreated && !is:
		x.Object.SetUID(s.uid())
	case !is || x.Verb == events.VerbCreated || now.GetResourceVersion() != x.Object.GetResourceVersion():
		return x, events.ErrConflict
	case x.Verb == events.VerbDeleted:
		if x.Kind != events.ControllerRevision {
			w.bad("%s %s is deleted", x.Kind, key)
		}
		x.Object = s.remove(x.Kind, key, us)
		w.reached(verb, "answer")
		return x, nil
	}
	s.put(x.Kind, x.Object, us)
	w.reached(verb, "answer")
	return x, nil
}
