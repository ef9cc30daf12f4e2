package replay

import (
	"slices"
	"time"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// dues are the commands that would be planned for the owner of plans, after each
// of the last events that have touched it: from the one on that was the last before
// the basis of its last plan.
type dues struct {
	at    []duesAt
	basis events.Basis // of its last plan; zero: it has none
}

type duesAt struct {
	seq   events.Seq
	until time.Time // it stays so until then if nothing happens; zero: for ever
	due   []dueCommand
	cut   bool // of the events until the next of dues nothing is kept
}

// dueCommand is a command that would be planned.
type dueCommand struct {
	sets.CellKey
	controller.Call
	since events.Seq // the event after which it would, and before which it would not
}

// maxDues bounds what is kept of an owner without plans.
const maxDues = 256

// unsure stands for an event that nobody knows who has not looked again.
const unsure = ^events.Seq(0)

func dueOf(c events.Command) dueCommand {
	return dueCommand{sets.CellKey{Node: c.Node, NodeUID: c.NodeUID}, controller.CallOf(c), 0}
}

func indexOf(due []dueCommand, c dueCommand) int {
	return slices.IndexFunc(due, func(x dueCommand) bool { return x.CellKey == c.CellKey && x.Call == c.Call })
}

// due notes what would be planned for an owner that an event has touched.
func (t *tracker) due(s *projector.State, owner events.Key) {
	d := t.dues[owner]
	if d == nil {
		d = &dues{}
		t.dues[owner] = d
	}
	d.take(s, owner)
}

// noteFreed notes what freed the commands of a plan.
func (t *tracker) noteFreed(at events.Seq, p *events.Plan) {
	if d := t.dues[p.Owner.Key]; d != nil {
		if freed := d.freed(p); freed != nil {
			t.out.freed[at] = freed
		}
	}
}

// take takes over what would be planned after an event that has touched the owner.
func (d *dues) take(s *projector.State, owner events.Key) {
	commands, until := controller.Due(s, owner, s.Time())
	now := duesAt{seq: s.Seq(), until: until}
	if n := len(d.at); n > 0 {
		now.due = d.at[n-1].due
	}
	if !areDue(now.due, commands) {
		now.due = next(now.due, commands, now.seq)
	}
	if d.at = append(d.at, now); len(d.at) > maxDues {
		d.at[1].cut = true
		d.at = slices.Delete(d.at, 2, maxDues/2)
	}
}

// areDue reports whether due are these commands, in the same order.
func areDue(due []dueCommand, commands []events.Command) bool {
	return slices.EqualFunc(due, commands, func(x dueCommand, c events.Command) bool {
		return x.Node == c.Node && x.NodeUID == c.NodeUID && x.Call == controller.CallOf(c)
	})
}

// next returns what is due after the event at a position. Commands come in the same
// order each time.
func next(was []dueCommand, commands []events.Command, seq events.Seq) []dueCommand {
	due := make([]dueCommand, 0, len(commands))
	for _, c := range commands {
		x := dueOf(c)
		x.since = seq
		if i := indexOf(was, x); i >= 0 {
			x.since = was[i].since
			was = append(was[i+1:len(was):len(was)], was[:i]...)
		}
		due = append(due, x)
	}
	return due
}

// last returns which of at is the last at or before a position; negative: none is.
func (d *dues) last(at events.Seq) int {
	i, found := slices.BinarySearchFunc(d.at, at, func(x duesAt, at events.Seq) int { return int(int64(x.seq) - int64(at)) })
	if !found {
		i--
	}
	return i
}

// freed returns of each command of a plan the event that freed it between the basis
// of the plan before and that of this one: after which it would be planned, and
// before which it would not. 0 is none; unsure, that the time that passed without
// an event may have freed or held it. Nil: 0 of each.
func (d *dues) freed(p *events.Plan) (freed []events.Seq) {
	from, to := d.last(d.basis.Seq), d.last(p.Basis.Seq)
	for i, c := range p.Commands {
		if seq := d.freedOne(dueOf(c), from, to); seq > 0 {
			if freed == nil {
				freed = make([]events.Seq, len(p.Commands))
			}
			freed[i] = seq
		}
	}
	d.basis = p.Basis
	d.at = slices.Delete(d.at, 0, max(to, 0))
	return freed
}

// freedOne is freed of one command between the bases after two of at.
func (d *dues) freedOne(c dueCommand, from, to int) events.Seq {
	switch {
	case from < 0 || to >= 0 && (d.at[from].cut || d.at[to].cut):
		return unsure
	case to <= from:
		return 0
	}
	i := indexOf(d.at[to].due, c)
	if i < 0 {
		return 0
	}
	since, was := d.at[to].due[i].since, d.at[from]
	switch {
	case since > d.at[from+1].seq:
		return since
	case was.seq != d.basis.Seq && !was.until.IsZero() && !d.basis.Now.Before(was.until):
		return unsure // time has passed at the basis since it was touched
	case since > was.seq:
		return since
	}
	return 0
}
