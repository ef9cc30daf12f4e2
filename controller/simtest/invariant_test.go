package simtest

import (
	"slices"
	"testing"

	"rollcall/controller/invariant"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
	"rollcall/projector/table"
)

// watch holds the log of a history against all invariants. change may put
// something else in the place of an event.
func watch(h *History, change func(*projector.State, events.Event) events.Event) (found []invariant.Violation, raced int) {
	is, err := invariant.Named()
	if err != nil {
		panic(err)
	}
	s, w := projector.New(h.logID), invariant.NewWatch(is)
	for _, x := range h.entries {
		e := x.read
		if change != nil {
			e = change(s, e)
		}
		if w.Before(s, e) {
			raced++
		}
		found = append(found, w.After(s, projector.Fold(s, e))...)
	}
	return found, raced
}

// watchLegs is watch by one watch up to an event and by a later one from there on,
// which goes on from the state as a keyframe has it. It reports whether the first can
// go on with what the later one has seen.
func watchLegs(h *History, border int, change func(*projector.State, events.Event) events.Event) (found []invariant.Violation, raced int, met bool) {
	is, err := invariant.Named()
	if err != nil {
		panic(err)
	}
	s, first := projector.New(h.logID), invariant.NewWatch(is)
	w := first
	for i, x := range h.entries {
		if i == border {
			k, err := s.Keyframe()
			if err == nil {
				s, err = projector.ReadKeyframe(k, h.logID, table.New(table.History{}))
			}
			if err != nil {
				panic(err)
			}
			w = invariant.NewLaterWatch(is)
		}
		e := x.read
		if change != nil {
			e = change(s, e)
		}
		if w.Before(s, e) {
			raced++
		}
		found = append(found, w.After(s, projector.Fold(s, e))...)
	}
	return found, raced, first.GoOn(w)
}

// sameLegs demands that a history is judged on two legs as on one, wherever those
// meet, and counts where it cannot be.
func sameLegs(t *testing.T, h *History, change func() func(*projector.State, events.Event) events.Event) (apart, of int) {
	t.Helper()
	found, raced := watch(h, change())
	for border := 0; border < len(h.entries); border += 1 + len(h.entries)/16 {
		f, r, met := watchLegs(h, border, change())
		if of++; !met {
			apart++
		} else if r != raced || !slices.Equal(f, found) {
			t.Errorf("from #%d on another leg: %v, %d not judged\nwant %v, %d", h.entries[border].read.Seq, f, r, found, raced)
		}
	}
	return apart, of
}

// TestInvariantsLegs: who judges a history on two legs says what is said on one, and
// most histories can be judged so.
func TestInvariantsLegs(t *testing.T) {
	apart, of := 0, 0
	for seed := range uint64(40) {
		h := run(seed + 1).history
		a, n := sameLegs(t, h, func() func(*projector.State, events.Event) events.Event { return nil })
		apart, of = apart+a, of+n
		sameLegs(t, h, func() func(*projector.State, events.Event) events.Event { return changing(remade()) })
	}
	t.Logf("%d of %d legs could not be joined", apart, of)
	if of < 500 || apart > of/3 {
		t.Errorf("%d of %d legs could not be joined", apart, of)
	}
}

// TestInvariants: no history breaks an invariant, though clocks, copies and
// people's hands do what they can.
func TestInvariants(t *testing.T) {
	plans, raced := 0, 0
	for seed := range uint64(200) {
		r := run(seed + 1)
		if r.Violation != nil {
			t.Fatal(failure(r))
		}
		found, late := watch(r.history, nil)
		if len(found) > 0 {
			t.Fatalf("seed %d: %v\n%s", seed+1, found[0], r.Print(found[0].Seq, 30))
		}
		plans, raced = plans+r.Plans, raced+late
	}
	t.Logf("%d of %d plans were judged", plans-raced, plans)
	if raced > plans/3 {
		t.Errorf("%d of %d plans were not judged", raced, plans)
	}
}

// TestInvariantsSee: a command that was changed breaks the invariant that is for
// it, of each invariant in some history.
func TestInvariantsSee(t *testing.T) {
	elsewhere := func(c *events.Command) { c.Node, c.NodeUID = "n99", "node-n99" }
	for name, change := range map[string]func(*projector.State, *events.Plan) bool{
		"S1":     firstOf(events.CreatePod, "", twice),
		"S2":     firstOf(events.DeletePod, events.Rollout, func(p *events.Plan, i int) { p.Commands[i] = createIn(p.Commands[i]) }),
		"S3":     firstOf(events.CreatePod, events.Missing, func(p *events.Plan, i int) { elsewhere(&p.Commands[i]) }),
		"S4":     firstOf(events.DeletePod, events.Rollout, func(p *events.Plan, i int) { p.Commands[i].Reason = events.NodeGone }),
		"S7":     firstOf(events.DeletePod, "", func(p *events.Plan, i int) { p.Commands[i].UID = "another" }),
		"S9":     firstOf(events.CreatePod, "", func(p *events.Plan, i int) { p.Commands[i].NodeUID = "another" }),
		"S10":    nil, // remade, which remembers
		"S11":    firstOf(events.DeletePod, events.NotWanted, func(p *events.Plan, i int) { p.Commands[i].Reason = events.Duplicate }),
		"budget": takeAll,
		"hold":   stepWhileHeld,
		"S8":     firstOf(events.DeletePod, events.OwnerGone, func(p *events.Plan, i int) { p.Commands[i] = createIn(p.Commands[i]) }),
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(60) {
				h := run(seed + 1).history
				changed := func() func(*projector.State, events.Event) events.Event {
					if change == nil {
						return changing(remade())
					}
					return changing(change)
				}
				found, _ := watch(h, changed())
				sameLegs(t, h, changed)
				if slices.ContainsFunc(found, func(v invariant.Violation) bool { return v.Invariant == name }) {
					return
				}
			}
			t.Error("no history breaks it")
		})
	}
}

// changing changes the first plan that can be.
func changing(change func(*projector.State, *events.Plan) bool) func(*projector.State, events.Event) events.Event {
	done := false
	return func(s *projector.State, e events.Event) events.Event {
		if p, ok := e.Body.(*events.Plan); ok && !done {
			changed := *p
			changed.Commands = slices.Clone(p.Commands)
			if done = change(s, &changed); done {
				e.Body = &changed
			}
		}
		return e
	}
}

// firstOf changes the first command of a plan that does this for that reason.
func firstOf(do events.Verb, why events.Reason, change func(*events.Plan, int)) func(*projector.State, *events.Plan) bool {
	return func(_ *projector.State, p *events.Plan) bool {
		i := slices.IndexFunc(p.Commands, func(c events.Command) bool { return c.Do == do && (why == "" || c.Reason == why) })
		if i >= 0 {
			change(p, i)
		}
		return i >= 0
	}
}

// twice makes another pod where one is made.
func twice(p *events.Plan, i int) {
	c := p.Commands[i]
	c.UID, c.Name = c.UID+"-2", c.Name+"-2"
	p.Commands = append(p.Commands, c)
}

// createIn makes a pod where one is deleted.
func createIn(c events.Command) events.Command {
	c.Do, c.Reason, c.UID, c.Name, c.Revision = events.CreatePod, events.Missing, c.UID+"-2", c.Name+"-2", "r"
	return c
}

// remade makes a pod that was made before.
func remade() func(*projector.State, *events.Plan) bool {
	var was events.Command
	return func(_ *projector.State, p *events.Plan) bool {
		i := slices.IndexFunc(p.Commands, func(c events.Command) bool { return c.Do == events.CreatePod })
		if i < 0 {
			return false
		}
		again := was.UID != ""
		if again {
			p.Commands[i].UID = was.UID
		}
		was = p.Commands[i]
		return again
	}
}

// takeAll has a rollout take every pod.
func takeAll(s *projector.State, p *events.Plan) bool {
	i := slices.IndexFunc(p.Commands, func(c events.Command) bool { return c.Reason == events.Rollout })
	if i < 0 {
		return false
	}
	for pod := range s.PodsOf(p.Owner.Key.Namespace, p.Owner.UID) {
		p.Commands = append(p.Commands, events.Command{Do: events.DeletePod, Ref: pod.Ref(), Node: pod.Node, NodeUID: pod.NodeUID, Reason: events.Rollout})
	}
	return true
}

// stepWhileHeld has a pod of a DaemonSet that is held, or of a node that is, be
// deleted for the rollout.
func stepWhileHeld(s *projector.State, p *events.Plan) bool {
	ds := s.DaemonSet(p.Owner.Key)
	if ds == nil {
		return false
	}
	i := slices.IndexFunc(p.Commands, func(c events.Command) bool {
		cell := ds.Cell(sets.CellKey{Node: c.Node, NodeUID: c.NodeUID})
		return c.Do == events.DeletePod && cell != nil && (len(ds.Holds()) > 0 || cell.Hold != nil && cell.Hold.Stands(p.Basis.Now))
	})
	if i >= 0 {
		p.Commands[i].Reason = events.Rollout
	}
	return i >= 0
}
