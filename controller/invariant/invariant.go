// Package invariant says what must be so at every position of a log, whoever
// wrote it, and finds the positions where it is not.
//
// Plans are judged by the state that they were decided from, which is the state
// before them unless something came between that matters to their DaemonSet:
// those are counted, and left to who decides them again from their basis.
package invariant

import (
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// Invariant is a property of logs.
type Invariant struct {
	Name string // "S3", as docs/COVERAGE.md has it, or a word
	Says string

	plan    func(*planned) string           // what a plan breaks; "": nothing
	command func(*planned, *command) string // what one of its commands breaks
	after   bool                            // judged by the state that knows of the plan
}

// Violation is an invariant that does not hold.
type Violation struct {
	Invariant string
	Seq       events.Seq // of the event that breaks it
	What      string
}

func (v Violation) String() string { return fmt.Sprintf("%s at #%d: %s", v.Invariant, v.Seq, v.What) }

// Named returns the invariants of these names, or all.
func Named(names ...string) ([]Invariant, error) {
	if len(names) == 0 {
		return all, nil
	}
	var some []Invariant
	for _, name := range names {
		n := len(some)
		for _, i := range all {
			if i.Name == name {
				some = append(some, i)
			}
		}
		if len(some) == n {
			return nil, fmt.Errorf("no invariant is called %q", name)
		}
	}
	return some, nil
}

// Watch holds a log against invariants, event by event from the first. Before
// every event is folded Before is called, and then After.
type Watch struct {
	invariants []Invariant
	made       map[types.UID]events.Cause // pods by the command that makes them
	surged     map[types.UID]bool         // DaemonSets that have been surging
	touched    map[events.Key]events.Seq  // when a DaemonSet's decision last changed
	found      []Violation                // by the event at hand, if that is believed
	commands   []command                  // memory for those of a plan
	guessed    *guesses                   // nil: it has seen the log from its first event on
}

// NewWatch returns a watch that has seen nothing yet.
func NewWatch(is []Invariant) *Watch {
	return &Watch{invariants: is, made: map[types.UID]events.Cause{}, surged: map[types.UID]bool{}, touched: map[events.Key]events.Seq{}}
}

// guesses are what a watch that begins in the middle of a log has taken to be so
// before: that there was no other plan or change than those that the state tells of.
type guesses struct {
	made   map[types.UID]bool        // pods that commands have made
	steady map[types.UID]bool        // DaemonSets that have not been surging
	calm   map[events.Key]events.Seq // the position after which a DaemonSet's decision has not changed
}

// NewLaterWatch returns a watch that begins in the middle of a log, and has seen
// nothing of what was before. Another one has to go on with it (GoOn).
func NewLaterWatch(is []Invariant) *Watch {
	w := NewWatch(is)
	w.guessed = &guesses{map[types.UID]bool{}, map[types.UID]bool{}, map[events.Key]events.Seq{}}
	return w
}

// GoOn takes over what a later watch has seen, which begins where w has come to.
// It reports false, and does nothing, if that one would not have found the same
// had it seen what w has.
func (w *Watch) GoOn(next *Watch) bool {
	g := next.guessed
	for uid := range maps.Keys(g.made) {
		if _, made := w.made[uid]; !made {
			return false
		}
	}
	for uid := range maps.Keys(g.steady) {
		if w.surged[uid] {
			return false
		}
	}
	for k, since := range maps.All(g.calm) {
		if w.touched[k] > since {
			return false
		}
	}
	for uid := range maps.Keys(next.made) {
		if _, made := w.made[uid]; made {
			return false
		}
	}
	maps.Copy(w.made, next.made)
	maps.Copy(w.surged, next.surged)
	maps.Copy(w.touched, next.touched)
	return true
}

// hasMade reports whether a command has made a pod that is there.
func (w *Watch) hasMade(pod types.UID) bool {
	_, made := w.made[pod]
	if !made && w.guessed != nil {
		w.guessed.made[pod] = true
		return true
	}
	return made
}

// hasSurged reports whether a DaemonSet has been surging.
func (w *Watch) hasSurged(ds types.UID) bool {
	if !w.surged[ds] && w.guessed != nil {
		w.guessed.steady[ds] = true
	}
	return w.surged[ds]
}

// raced reports whether something has come between a plan and what it was decided
// from.
func (w *Watch) raced(p *events.Plan) bool {
	k, basis := p.Owner.Key, p.Basis.Seq
	at, seen := w.touched[k]
	if g := w.guessed; !seen && g != nil {
		if since, known := g.calm[k]; !known || basis < since {
			g.calm[k] = basis
		}
	}
	return at > basis
}

// planned is a plan of a DaemonSet in the state that judges it.
type planned struct {
	*events.Plan
	w   *Watch
	s   *projector.State
	ds  *sets.DaemonSet // nil: the log knows none of that uid
	seq events.Seq

	commands []command // of the plan, looked up once for all invariants
}

// command is a command with what the state has of it.
type command struct {
	*events.Command
	cell *sets.Cell // one without pods, if its node is not there
	pod  *sets.Pod  // that it names; nil: there is none, or it is to be made
}

// Before judges an event by the state right before it. Whether the event is to
// be believed is not known yet: what is found is told by After. It reports whether
// the event is a plan that is not judged, since that is not what it was decided from.
func (w *Watch) Before(s *projector.State, e events.Event) (raced bool) {
	w.found = w.found[:0]
	p, ok := e.Body.(*events.Plan)
	if !ok || p.Owner == (events.Ref{}) {
		return false
	}
	if w.raced(p) {
		return true
	}
	w.judge(&planned{Plan: p, w: w, s: s, ds: daemonSet(s, p.Owner), seq: e.Seq}, false)
	return false
}

// After takes the event as it was folded, with the state right after it, and
// returns what the event breaks.
func (w *Watch) After(s *projector.State, e events.Event) []Violation {
	for _, k := range s.Touched() {
		w.touched[k] = e.Seq
		if ds := s.DaemonSet(k); ds != nil && ds.Surge {
			w.surged[ds.UID] = true
		}
	}
	p, ok := e.Body.(*events.Plan)
	if !ok || p.Owner == (events.Ref{}) {
		return nil
	}
	w.judge(&planned{Plan: p, w: w, s: s, ds: daemonSet(s, p.Owner), seq: e.Seq}, true)
	for i, c := range p.Commands {
		if c.Do == events.CreatePod {
			w.made[c.UID] = events.Cause{Seq: e.Seq, Index: i}
		}
	}
	return w.found
}

func (w *Watch) judge(p *planned, after bool) {
	w.commands = p.lookUp(w.commands[:0])
	for _, i := range w.invariants {
		if i.after != after {
			continue
		}
		if i.plan != nil {
			w.note(i, p.seq, i.plan(p))
			continue
		}
		for n := range p.commands {
			w.note(i, p.seq, i.command(p, &p.commands[n]))
		}
	}
}

func (w *Watch) note(i Invariant, at events.Seq, what string) {
	if what != "" {
		w.found = append(w.found, Violation{i.Name, at, what})
	}
}

// daemonSet returns the DaemonSet that a plan is for, also a deleted one.
func daemonSet(s *projector.State, owner events.Ref) *sets.DaemonSet {
	for _, ds := range append(s.DeletedSets(owner.Key), s.DaemonSet(owner.Key)) {
		if ds != nil && ds.UID == owner.UID {
			return ds
		}
	}
	return nil
}

// lookUp looks up the commands of the plan, in memory that is handed to it.
func (p *planned) lookUp(memory []command) []command {
	for i := range p.Commands {
		c := &p.Commands[i]
		memory = append(memory, command{c, p.cell(c), p.pod(c)})
	}
	p.commands = memory
	return memory
}

// cell returns the cell that a command is about, or one without pods on a node
// that is not there.
func (p *planned) cell(c *events.Command) *sets.Cell {
	k := sets.CellKey{Node: c.Node, NodeUID: c.NodeUID}
	if p.ds != nil {
		if cell := p.ds.Cell(k); cell != nil {
			return cell
		}
	}
	return &sets.Cell{CellKey: k}
}

// pod returns the pod that a command names, or nil.
func (p *planned) pod(c *events.Command) *sets.Pod {
	if c.Do == events.CreatePod {
		return nil
	}
	if pod := p.s.Pod(c.Key); pod != nil && pod.UID == c.UID {
		return pod
	}
	return nil
}
