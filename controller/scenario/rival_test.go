package scenario_test

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/oklog/ulid/v2"

	"rollcall/controller"
	"rollcall/events"
)

// rival is a decision that was made and not appended yet, as by another
// controller or by one that reads late.
type rival struct {
	key    events.Key
	res    controller.Result
	fence  events.Seq
	writes []controller.Write
}

// doDecide keeps a decision of the present state under a name.
func (w *world) doDecide(c *command) {
	k := key(c.word(0))
	r := rival{key: k, res: controller.Reconcile(w.state, k, w.now), fence: w.state.LastPlan(k)}
	r.writes = r.res.Writes
	if r.res.Status != nil {
		r.writes = append(r.writes, *r.res.Status)
	}
	if w.rivals == nil {
		w.rivals = map[string]rival{}
	}
	w.rivals[c.opt("as")] = r
}

// doAppend appends a decision that was kept, and prints what the fences let through.
func (w *world) doAppend(c *command) {
	r, ok := w.rivals[c.word(0)]
	if !ok {
		w.fatal("nobody decided as %s", c.word(0))
	}
	if r.res.Plan != nil {
		w.try(controller.PlanEntry(r.res.Plan, w.subjects, r.fence))
	}
	for _, wr := range r.writes {
		e, err := wr.Entry(w.subjects)
		if err != nil {
			w.fatal("%v", err)
		}
		w.try(e)
	}
}

// try appends e if its fence holds.
func (w *world) try(e events.Entry) {
	e.ID, e.At = w.nextID(), w.now
	_, err := w.log.Append(w.t.Context(), e)
	switch {
	case errors.Is(err, events.ErrConflict):
		w.printf("%s refused: its fence has moved", e.Type)
		return
	case err != nil:
		w.fatal("%v", err)
	}
	w.printf("%s appended", e.Type)
	w.take()
}

// take folds what is in the log and not folded yet, and returns for whom there
// may be something to do since.
func (w *world) take() []events.Key {
	woken := map[events.Key]bool{}
	for e, err := range w.log.Read(w.t.Context(), w.state.Seq()) {
		if err != nil {
			w.fatal("read: %v", err)
		}
		w.fold(e)
		for _, k := range w.state.Touched() {
			woken[k], w.woken[k] = true, true
		}
	}
	return slices.SortedFunc(maps.Keys(woken), events.Key.Compare)
}

// nextID gives every event of a conversation an id of its own.
func (w *world) nextID() (id ulid.ULID) {
	w.ids++
	binary.BigEndian.PutUint64(id[8:], w.ids)
	return id
}
