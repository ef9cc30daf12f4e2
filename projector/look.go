package projector

import (
	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/sets"
)

// Looker reads ahead of a fold what that wants to know of an event and what the
// event alone says: on another core than the one that folds. What it has read is
// what Fold would have. It has one user at a time.
type Looker struct{ words wire.Words }

// Look has e carry what Fold wants to know of it.
func (l *Looker) Look(e *events.Event) {
	if o, ok := e.Body.(events.Object); ok && o.Kind == events.Pod {
		e.Looked = sets.LookAt(o, &l.words)
	}
}
