package replay

import (
	"context"
	"fmt"
	"reflect"

	"rollcall/events"
)

// Changes says in what the plan that is decided now is not the recorded one, a
// line each: commands that come in, that go, that are the same with other words,
// and that come before others which they came after. The lines of the same two
// plans are always the same.
func (d *Difference) Changes() (lines []string) {
	if q := d.Quarantined; q != nil {
		return []string{fmt.Sprintf("%s: quarantined: %s: %s", planName(d.Seq, q.Ref), q.Code, q.Why)}
	}
	recorded, decided := d.recorded(), d.decided()
	say := func(format string, args ...any) {
		lines = append(lines, planName(d.Seq, d.owner())+": "+fmt.Sprintf(format, args...))
	}
	was, is := places(recorded.Commands), places(decided.Commands)
	var stay []int // where the commands that stay are now, in the order that they had
	for _, c := range recorded.Commands {
		j, ok := is[aimOf(c)]
		switch {
		case !ok:
			say("removed %s", c)
			continue
		case !reflect.DeepEqual(c, decided.Commands[j]):
			say("changed %+v to %+v", bare(c), bare(decided.Commands[j]))
		}
		stay = append(stay, j)
	}
	for _, c := range decided.Commands {
		if _, ok := was[aimOf(c)]; !ok {
			say("added %s", c)
		}
	}
	for i, j := range stay {
		if i > 0 && j < stay[i-1] {
			say("moved %s before %s", decided.Commands[j], decided.Commands[stay[i-1]])
		}
	}
	if len(lines) == 0 {
		say("%s", d.first())
	}
	return lines
}

// bare is a command of which all fields are printed.
type bare events.Command

// aim is what a command does to what. A pod that is to be made is known by its
// node: its name follows from what the command is about otherwise.
type aim struct {
	do   events.Verb
	ref  events.Ref
	node string
}

func aimOf(c events.Command) aim {
	if c.Do == events.CreatePod {
		return aim{do: c.Do, node: c.Node}
	}
	return aim{c.Do, c.Ref, c.Node}
}

// places returns where in a plan each command is.
func places(cs []events.Command) map[aim]int {
	at := map[aim]int{}
	for i, c := range cs {
		at[aimOf(c)] = i
	}
	return at
}

// Regression is how a log stands with this program.
type Regression struct {
	Plans int         // that the log has
	First *Difference // nil: all are decided as recorded
	Lines []string    // of what differs by position, then of what breaks an invariant
}

// Regress decides a log again and holds it against invariants.
func (h *History) Regress(ctx context.Context, ps Properties) (r Regression, err error) {
	decided, err := h.Verify(ctx)
	if err != nil {
		return r, err
	}
	r.Plans, r.First = decided.Equal+len(decided.Differences), decided.First()
	for _, d := range decided.Differences {
		r.Lines = append(r.Lines, d.Changes()...)
	}
	held, err := h.Check(ctx, ps, h.span.First, h.span.Last)
	if err != nil {
		return r, err
	}
	for _, b := range held.Broken {
		r.Lines = append(r.Lines, b.String())
	}
	return r, nil
}

// String says on one line what is broken where.
func (b Broken) String() string { return fmt.Sprintf("%s at #%d: %s", b.Invariant, b.seq, b.What) }
