package stream

import (
	"cmp"
	"errors"
	"sync"

	"rollcall/events"
)

// written is what a process knows of the end of a log that it alone writes to
// (Options.Own). A server that is asked whether a fence holds reads the block with the
// last event of its subject, 8 MB and packed for most pods of a rollout: a sixth of what
// lives in one over 100,000 nodes, and a tenth of its time. So a batch expects the end of the
// whole log, at which this process has left it, and of its fences only those are sent
// that this process cannot answer itself: that the end is another makes the server
// refuse the batch, and then each append is sent by itself with its own fence.
type written struct {
	mu    sync.Mutex
	known bool       // where the log ends
	lost  int        // how often that became unknown
	end   events.Seq // of the log when all that was sent is stored
	// Of each subject with an event behind from, young or old has the last; young has
	// those behind turn.
	from, turn events.Seq
	young, old map[string]events.Seq
	most       events.Seq // that young has events before it becomes old; 0: generation
}

// generation is how many events young has at most: of who appends it is expected that he has
// read the log up to one or two generations before its end; others the server answers.
const generation = 50_000

// learn takes over where the log ends, while nothing is being appended.
func (w *written) learn(end events.Seq) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known, w.end, w.from, w.turn = true, end, end, end
	w.young, w.old = map[string]events.Seq{}, map[string]events.Seq{}
}

// knows reports whether it is known where the log ends.
func (w *written) knows() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.known
}

// lose forgets where the log ends: what became of an append is not what was expected.
func (w *written) lose() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known = false
	w.lost++
}

// losses counts what lose was called for: what was expected before is not after.
func (w *written) losses() int {
	if w == nil {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// add notes an event behind the end. w.mu is held.
func (w *written) add(subject string) {
	if w.end-w.turn >= cmp.Or(w.most, generation) {
		w.from, w.turn = w.turn, w.end
		w.old, w.young = w.young, w.old
		clear(w.young)
	}
	w.end++
	w.young[subject] = w.end
}

// holds reports whether the fence of a message holds at the end of the log, as far as
// that is known here. What it expects was read at m.seen or later: if nothing was
// written behind that, it is so still. That a subject has no event is asked of the
// server, which reads nothing for it, since of what is gone nobody who reads the state
// knows the last event. w.mu is held.
func (w *written) holds(m fencedMsg) bool {
	x := m.expect
	if x.Subject == "" || x.Last == 0 {
		return false
	}
	last, ok := w.young[x.Subject]
	if !ok {
		last, ok = w.old[x.Subject]
	}
	if ok {
		return last == x.Last
	}
	return m.seen >= w.from && x.Last <= w.from
}

// next notes the messages of a batch that will be stored next, and takes the fences
// that hold off them. It returns the end of the log before them; ok is false if that
// is not known, and then they are as they were.
func (w *written) next(ms []fencedMsg) (end events.Seq, ok bool) {
	if w == nil {
		return 0, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.known {
		return 0, false
	}
	end = w.end
	for i, m := range ms {
		if w.holds(m) {
			ms[i].expect = events.Expect{}
		}
	}
	for _, m := range ms {
		w.add(m.subject)
	}
	return end, true
}

// each notes what became of appends that were sent by themselves, all at once. Where
// they are not the only ones behind the end, that becomes unknown.
func (w *written) each(round []*batch, became []result) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.known {
		return
	}
	at := map[events.Seq]string{}
	n := 0
	for i, b := range round {
		if errors.Is(became[i].err, events.ErrConflict) {
			continue // nothing of it is stored
		}
		n += len(b.msgs)
		for k, m := range b.msgs {
			at[became[i].seq-events.Seq(len(b.msgs)-1-k)] = m.subject
		}
	}
	for range n {
		subject, ok := at[w.end+1]
		if !ok {
			w.known = false
			w.lost++
			return
		}
		w.add(subject)
	}
}
