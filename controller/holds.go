package controller

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/events"
	"rollcall/projector/sets"
)

// A hold on a DaemonSet does what rollcall/paused does: no old pod is replaced,
// and none gets a new one beside it. Missing pods are made, unwanted and failed
// ones are deleted, and a node on which the new pod is there is handed over. A hold
// on nodes does so there, and the rollout goes on elsewhere.

// move finds the old cells that time has put into another set of work than they
// were in at the last event: pods that are available by now, and nodes that nobody
// holds any more. When the next hold ends the DaemonSet is asked about again.
func (d *decider) move() {
	for _, c := range d.due {
		if c.In(sets.OldYoung) {
			d.moved = append(d.moved, c)
		}
	}
	if d.ds.Size(sets.OldHeld) > 0 && d.ended(d.ds.NodeHolds()) {
		d.ds.Cells(sets.OldHeld, func(c *sets.Cell) bool {
			if !c.Hold.Stands(d.now) {
				d.moved = append(d.moved, c)
				d.resumed(c.Hold)
			}
			return true
		})
	}
	slices.SortFunc(d.moved, byAge)
	if d.ended(d.ds.Holds()) {
		for _, h := range d.ds.Holds() {
			d.resumed(h)
		}
	}
}

// ended reports whether one of some holds has ended since the last event, and
// asks to be called again when the next does.
func (d *decider) ended(hs []*sets.Hold) (ended bool) {
	for _, h := range hs {
		if h.Stands(d.now) {
			d.requeueBy(h.Until)
		} else {
			ended = true
		}
	}
	return ended
}

// resumed has the deadline of the rollout count from the end of a hold, if that
// has come.
func (d *decider) resumed(h *sets.Hold) {
	if !h.Stands(d.now) && h.Until.After(d.progress) {
		d.progress = h.Until
	}
}

// cells visits the cells that are in a set of work now, in its order.
func (d *decider) cells(w sets.Work, f func(*sets.Cell) bool) {
	if len(d.moved) == 0 || w < sets.OldBroken {
		d.ds.Cells(w, f)
		return
	}
	more, on := d.moved, true
	before := func(next *sets.Cell) { // nil: all that are left
		for ; on && len(more) > 0 && (next == nil || byAge(more[0], next) < 0); more = more[1:] {
			if more[0].OldAt(d.now) == w {
				on = f(more[0])
			}
		}
	}
	d.ds.Cells(w, func(c *sets.Cell) bool {
		if c.OldAt(d.now) == w { // else it is among those that moved
			before(c)
			on = on && f(c)
		}
		return on
	})
	before(nil)
}

// size returns the number of cells that are in a set of work now.
func (d *decider) size(w sets.Work) int {
	n := d.ds.Size(w)
	if w < sets.OldBroken {
		return n
	}
	for _, c := range d.moved {
		if c.In(w) {
			n--
		}
		if c.OldAt(d.now) == w {
			n++
		}
	}
	return n
}

// old returns the number of cells in some sets of work.
func (d *decider) old(ws ...sets.Work) (n int) {
	for _, w := range ws {
		n += d.size(w)
	}
	return n
}

// standing returns those of some holds that stand now.
func (d *decider) standing(hs []*sets.Hold) []*sets.Hold {
	if i := slices.IndexFunc(hs, func(h *sets.Hold) bool { return !h.Stands(d.now) }); i < 0 {
		return hs
	}
	return slices.DeleteFunc(slices.Clone(hs), func(h *sets.Hold) bool { return !h.Stands(d.now) })
}

// lastOf returns the hold that ends last.
func lastOf(hs []*sets.Hold) *sets.Hold {
	return slices.MaxFunc(hs, func(a, b *sets.Hold) int { return a.Until.Compare(b.Until) })
}

// holdSet notes the old pods that holds on the whole DaemonSet leave alone, and
// reports whether there is such a hold.
func (d *decider) holdSet() bool {
	hs := d.standing(d.ds.Holds())
	if len(hs) == 0 {
		return false
	}
	d.wait(lastOf(hs), sets.OldBroken, sets.OldYoung, sets.OldReady, sets.OldHeld, sets.OldWithheld)
	for _, h := range hs {
		d.blockOlder(blockerOf(h))
	}
	return true
}

// holdNodes notes the old pods that holds on their nodes leave alone.
func (d *decider) holdNodes() {
	if d.size(sets.OldHeld) == 0 {
		return
	}
	d.wait(nil, sets.OldHeld)
	if !d.trace.asks(Rule(events.HeldHold)) {
		return
	}
	d.cells(sets.OldHeld, func(c *sets.Cell) bool {
		for _, h := range d.standing(d.ds.HoldsOn(d.s.Node(c.Node))) {
			d.block(c, blockerOf(h))
		}
		return true
	})
}

// wait counts the cells of sets of work that wait for the end of a hold, and names
// the first few; of nil each waits for its own.
func (d *decider) wait(h *sets.Hold, ws ...sets.Work) {
	named := 0
	for _, w := range ws {
		d.cells(w, func(c *sets.Cell) bool {
			if named == events.MaxWaits {
				return false
			}
			named++
			of := h
			if of == nil {
				of = c.Hold
			}
			d.out.Waiting = append(d.out.Waiting, events.Wait{Node: c.Node, For: events.HeldHold, Until: of.Until, By: of.ID()})
			return true
		})
	}
	d.holdMore(d.old(ws...), events.HeldHold)
}

// blockerOf returns the blocker that a hold is.
func blockerOf(h *sets.Hold) Blocker {
	b := Blocker{Rule: Rule(events.HeldHold), Says: h.ID(), Until: h.Until, Placed: h.Seq}
	if h.Reason != "" {
		b.Says += ": " + h.Reason
	}
	return b
}

// holdText says of a hold who holds, until when and why.
func holdText(h *sets.Hold) string {
	text := h.ID() + " until " + h.Until.UTC().Format(time.RFC3339)
	if h.Reason != "" {
		text += ": " + h.Reason
	}
	return text
}

// heldBy says who holds the DaemonSet, or nodes on which it has old pods, and why
// Kubernetes is told so; nothing: nobody.
func (d *decider) heldBy() (reason, text string) {
	var says []string
	if hs := d.standing(d.ds.Holds()); len(hs) > 0 {
		for i, h := range hs {
			if i == maxNamed {
				says = append(says, fmt.Sprintf("and %d more", len(hs)-i))
				break
			}
			says = append(says, holdText(h))
		}
		return "Held", "held by " + strings.Join(says, "; ")
	}
	n := d.size(sets.OldHeld)
	if n == 0 {
		return "", ""
	}
	d.cells(sets.OldHeld, func(c *sets.Cell) bool {
		says = append(says, c.Node+" by "+holdText(c.Hold))
		return len(says) < maxNamed
	})
	if n > len(says) {
		says = append(says, fmt.Sprintf("and %d more", n-len(says)))
	}
	return "NodesHeld", plural(n, "node", "nodes") + " held: " + strings.Join(says, "; ")
}

// heldNodes returns the number of desired nodes whose old pod a hold keeps.
func (d *decider) heldNodes() int {
	n := d.ds.Counts.Held
	for _, c := range d.moved {
		if c.In(sets.OldHeld) && c.Place == sets.Run {
			n--
		}
	}
	return n
}

// heldUp reports whether holds keep the rollout from its end: those on the whole
// DaemonSet, or those on nodes if all other nodes have reached it.
func (d *decider) heldUp(available int) bool {
	if len(d.standing(d.ds.Holds())) > 0 {
		return true
	}
	n, up := d.heldNodes(), d.ds.Counts.HeldAvailable
	if n == 0 || n < d.ds.Counts.Held {
		return false // or nobody holds some that the rollout has still to reach
	}
	for _, c := range d.due {
		if c.In(sets.OldHeld) && c.Place == sets.Run {
			up++
		}
	}
	return available-up == d.ds.Counts.Desired-n && d.holdsBack(n)
}
