package replay

import (
	"context"
	"fmt"
	"reflect"

	"rollcall/controller/invariant"
	"rollcall/events"
	"rollcall/projector"
)

// Changes says in what the plan that is decided now is not the recorded one, a
// line each: commands that come in, that go, that are the same with other words,
// and that come before others which they came after. The lines of the same two
// plans are always the same.
func (d *Difference) Changes() (lines []string) {
	if q := d.Quarantined; q != nil {
		return []string{fmt.Sprintf("%s: quarantined: %s: %s", planName(d.Seq, q.Ref), q.Code, q.Why)}
	}
	var decided events.Plan
	if d.Decided != nil {
		decided = *d.Decided
	}
	say := func(format string, args ...any) {
		lines = append(lines, planName(d.Seq, d.Recorded.Owner)+": "+fmt.Sprintf(format, args...))
	}
	was, is := places(d.Recorded.Commands), places(decided.Commands)
	var stay []int // where the commands that stay are now, in the order that they had
	for _, c := range d.Recorded.Commands {
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

// check holds all of a log against invariants.
func check(ctx context.Context, log events.Reader, is []invariant.Invariant) (found []invariant.Violation, err error) {
	w := invariant.NewWatch(is)
	s := projector.New("")
	for e, err := range log.Read(ctx, 0) {
		if err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
		w.Before(s, e)
		e = projector.Fold(s, e)
		found = append(found, w.After(s, e)...)
	}
	return found, nil
}

// Regression is how a log stands with this program.
type Regression struct {
	Plans int      // that the log has
	Lines []string // of what differs from it by position, then of what breaks an invariant
}

// Regress decides a log again and holds it against invariants.
func Regress(ctx context.Context, log events.Reader, is []invariant.Invariant) (r Regression, err error) {
	decided, err := Verify(ctx, log)
	if err != nil {
		return r, err
	}
	r.Plans = decided.Equal + len(decided.Differences)
	for _, d := range decided.Differences {
		r.Lines = append(r.Lines, d.Changes()...)
	}
	broken, err := check(ctx, log, is)
	for _, v := range broken {
		r.Lines = append(r.Lines, v.String())
	}
	return r, err
}
