package simtest

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/projector"
)

// trouble is what is wrong with the log itself: its clock, and who else writes it.
type trouble struct {
	skew     time.Duration // of the log's clock against the real one; never ahead
	behind   time.Duration // the part of skew that ends when the leader of the log is replaced
	next     time.Duration // how far the log's clock is going to step back
	leads    bool          // because of a leader that is behind, and not for good
	forging  bool          // the event that is being appended is forged
	forged   []events.Seq  // every forged event
	believed time.Time     // when the last event was stored that is believed
	told     time.Duration // skew at that time

	clock logClock
}

// back is by how much clocks are wrong.
var back = [...]time.Duration{40 * time.Millisecond, 3 * time.Second, 20 * time.Second, time.Hour, 24 * time.Hour}

// sources are users, controllers, executors and kubelets.
const sources = 4

// turn makes trouble.
func (t *trouble) turn(h *History) {
	if h.cfg.has(faultClock) {
		t.shift(h)
	}
	if h.cfg.has(faultForge) && h.faults.IntN(40) == 0 {
		t.forge(h)
	}
}

// shift puts the clock back for good, or has a leader that is behind for a while.
func (t *trouble) shift(h *History) {
	if len(t.clock.offset) < sources {
		return // what a clock did is told by those that were heard before
	}
	by := back[h.faults.IntN(len(back))]
	switch p := h.faults.IntN(100); {
	case t.behind > 0 && p < 8:
		t.leave()
	case t.behind > 0:
	case p == 0:
		t.next, t.leads = by, false
	case p < 3:
		t.next, t.leads = by, true
	}
}

// storing begins an append, at which the clock may step back as far as the log
// will tell: nobody can see a step that is smaller than the silence before it,
// nor how far it was if the clock of the source was never heard before.
func (t *trouble) storing(h *History, source string) (stored func()) {
	n, by, leads := len(h.entries), t.next, t.leads
	_, known := t.clock.offset[source]
	if !known || by == 0 || t.behind > 0 || n == 0 || h.now.Sub(t.believed) >= by || t.skew != t.told {
		return func() {}
	}
	t.skew -= by
	return func() {
		switch {
		case len(h.entries) == n:
			t.skew += by // nothing was stored
			return
		case leads:
			h.seen.add(seenLeaderBehind)
			t.behind = by
		default:
			h.seen.add(seenClockBack)
		}
		t.next = 0
	}
}

// leave replaces a leader that is behind.
func (t *trouble) leave() {
	t.skew += t.behind
	t.behind = 0
}

// enter notes what an entry is and when it came.
func (t *trouble) enter(h *History, x *entry) {
	x.real, x.forged = h.now, t.forging
	if !t.forging {
		t.believed, t.told = h.now, t.skew
		x.time = t.clock.at(x.read)
		return
	}
	x.time = t.clock.now
	t.forged = append(t.forged, x.Seq)
	x.Body = events.Unreadable{Code: "forged", Ref: events.RefOf(x.read)}
	x.Cause = events.Cause{}
}

// forge appends what no part of the house would: a copy of an earlier plan or
// fact, or the fact of a node that cannot be.
func (t *trouble) forge(h *History) {
	subject, raw := "", []byte(nil)
	if p := h.faults.IntN(3); p == 0 {
		h.seen.add(seenForgedFact)
		name := []string{"n00", "*", "n\x00x", "n\x1b[2J"}[h.faults.IntN(4)]
		n := &corev1.Node{}
		n.Name = name
		if name != "n00" {
			n.UID = types.UID("uid-" + name)
		}
		e := events.Event{ID: h.id(), Type: "node.created", Source: "stranger", At: h.now, Body: object(events.Node, n)}
		var err error
		if raw, err = events.Encode(e); err != nil {
			panic("sim: " + err.Error())
		}
		subject = "rollcall.sim.node._.stranger"
	} else {
		old, ok := h.copied(p == 1)
		if !ok {
			return
		}
		subject, raw = old.read.Subject, old.read.Raw
	}
	t.forging = true
	h.log.AppendRaw(subject, raw)
	h.follow()
	t.forging = false
}

// copied picks an earlier plan, or an earlier fact about a pod.
func (h *History) copied(plan bool) (entry, bool) {
	var of []int
	for i := range h.entries {
		e := &h.entries[i]
		if !e.forged && (plan && e.Type == events.Planned || !plan && events.RefOf(e.Event).Kind == events.Pod) {
			of = append(of, i)
		}
	}
	if len(of) == 0 {
		return entry{}, false
	}
	if plan {
		h.seen.add(seenForgedPlan)
	} else {
		h.seen.add(seenForgedFact)
	}
	return h.entries[of[h.faults.IntN(len(of))]], true
}

// forgedUpTo returns how many of the first entries are forged.
func (h *History) forgedUpTo(seq events.Seq) int {
	n, _ := slices.BinarySearch(h.trouble.forged, seq+1)
	return n
}

// logTime is log time now, for who knows the real time.
func (h *History) logTime() time.Time {
	if len(h.entries) == 0 {
		return h.now
	}
	last := h.entries[len(h.entries)-1]
	return last.time.Add(h.now.Sub(last.real)) // and what passed before, if it is forged, is not known
}

// checkTime checks that log time passes between two events as it does in
// reality, or less, so that nobody who waits in log time waits less (L15).
func (h *History) checkTime(was time.Time, s *projector.State) {
	at := int(s.Seq()) - 1
	before := at - 1
	for before > 0 && h.entries[before].forged {
		before--
	}
	if before < 0 || h.broken != nil {
		return
	}
	passed, real := s.Time().Sub(was), h.entries[at].real.Sub(h.entries[before].real)
	if passed < 0 || passed > real+h.ahead() {
		h.broken = violation("L15", s.Seq(), "log time went on by %s while %s passed", passed, real)
	}
}

// logClock is log time, written down a second time: what passes between events
// that are believed counts, and a step back does not. Where the log's clock
// gains on its source's as much as it stepped back before, that is left out.
type logClock struct {
	now, last time.Time
	offset    map[string]time.Duration // of the log's clock against each source's, if it had not stepped
	steps     []time.Duration
}

func (c *logClock) at(e events.Event) time.Time {
	passed, offset := e.Stored.Sub(c.last), e.Stored.Sub(e.At)
	switch {
	case c.last.IsZero():
		c.now, c.offset = e.Stored, map[string]time.Duration{}
	case passed < 0:
		by := -passed
		if was, known := c.offset[e.Source]; known {
			by = max(by, was-offset-sum(c.steps))
		}
		c.steps = append(c.steps, by)
		slices.Sort(c.steps)
	default:
		c.now = c.now.Add(c.counts(e, passed, offset))
	}
	c.last = e.Stored
	c.offset[e.Source] = offset + sum(c.steps)
	return c.now
}

func (c *logClock) counts(e events.Event, passed, offset time.Duration) time.Duration {
	gain := passed
	was, known := c.offset[e.Source]
	if known {
		gain = offset + sum(c.steps) - was
	}
	var stay []time.Duration
	made := time.Duration(0)
	for _, step := range slices.Backward(c.steps) {
		if made+step <= gain {
			made += step
		} else {
			stay = append(stay, step)
		}
	}
	if known {
		slices.Sort(stay)
		c.steps = stay
	}
	return max(0, passed-made)
}

func sum(ds []time.Duration) (all time.Duration) {
	for _, d := range ds {
		all += d
	}
	return all
}
