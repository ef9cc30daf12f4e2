package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/controller/replay"
	"rollcall/events"
)

// bisection is what the flags of bisect say.
type bisection struct {
	good, other string
	halve, scan bool
	ps          replay.Properties
	from        replay.Instant // --good
}

func (s *session) bisectCommand() *cobra.Command {
	var o bisection
	var expr string
	c := &cobra.Command{Use: "bisect INVARIANT | --expr CEL | --diff FILE", Short: "Find the first event that breaks something", Args: takes(0, 1),
		Long: `bisect finds the first event that breaks an invariant, or at which an expression turns
false, between --good and --bad. It looks at every event in turn, so that the one that
it finds is the first. With an expression that is costly, that is true at --good and
false at --bad, it halves instead: it looks at few positions, and of several events that
turn it false it finds one. It says which of both it did; --scan and --halve choose.

It tells what the event changed of what the expression compares, whether the controller
caused it, and by which command, and what that comes from. docs/DEBUGGING.md tells what
an expression can name.

--diff finds the first event at which the log and a recording part, from the first
position that both have on.

It exits 0 if nothing is broken or parts, and 1 if something does.

` + replay.InstantForms,
		Example: `  rollcall bisect --expr 'size(state.pods)<1000'
  rollcall bisect budget --good 20
  rollcall bisect --diff incident.rollcall`}
	q := addQuestion(c)
	f := c.Flags()
	addExpr(c, &expr)
	f.StringVar(&o.good, "good", "", "instant from which it is looked on (default: the first event)")
	q.flag = "--bad"
	f.StringVar(&q.at, "bad", "", "instant up to which it is looked (default: the end of the log)")
	f.BoolVar(&o.halve, "halve", false, "halve between --good and --bad instead of looking at every event")
	f.BoolVar(&o.scan, "scan", false, "look at every event, also with an expression that is costly")
	f.StringVar(&o.other, "diff", "", "recording to compare the log with")
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if err := o.check(expr, args); err != nil {
			return err
		}
		if o.ps, err = properties(expr, args); err != nil {
			return err
		}
		if o.from, err = q.instant(o.good); err != nil {
			return of("--good", err)
		}
		return s.ask(c.Context(), q, func(x *asked) error {
			if o.other != "" {
				return s.part(c.Context(), x, o.other)
			}
			return s.bisect(c.Context(), x, o)
		})
	}
	return c
}

// check refuses flags that do not go together.
func (o *bisection) check(expr string, args []string) error {
	named := len(args)
	for _, set := range []bool{expr != "", o.other != ""} {
		if set {
			named++
		}
	}
	switch {
	case named != 1:
		return usageError("E-CLI-ARGS", "bisect looks for one thing", "give an invariant, or --expr, or --diff")
	case o.halve && o.scan:
		return usageError("E-CLI-FLAG", "--halve and --scan exclude each other", "give one of them")
	case o.halve && expr == "":
		return usageError("E-CLI-FLAG", "--halve is for --expr", "leave it out: an invariant depends on all events before")
	}
	return nil
}

// bisected is the answer of bisect.
type bisected struct {
	Mode   string          `json:"mode"` // "scan", "halve"
	Good   events.Seq      `json:"good"`
	Bad    events.Seq      `json:"bad"`
	Events int             `json:"events"`          // that were judged
	First  []replay.Broken `json:"first"`           // one, or more if one event breaks several; empty: nothing is broken
	Blame  *replay.Blame   `json:"blame,omitempty"` // who caused it
}

func (s *session) bisect(ctx context.Context, x *asked, o bisection) (err error) {
	a := &bisected{Mode: "scan", Good: x.Span().First, Bad: x.at.Seq}
	if o.good != "" {
		m, err := x.find(ctx, o.from)
		if err != nil {
			return of("--good", err)
		}
		a.Good = m.Seq
	}
	if a.Good > a.Bad {
		return usageError("E-CLI-RANGE", fmt.Sprintf("--good, #%d, is after --bad, #%d", a.Good, a.Bad), "give a range that goes forward")
	}
	from, to := a.Good, a.Bad
	if o.ps.Condition != nil && !o.halve && !o.scan {
		if o.halve, err = x.Costly(ctx, o.ps.Condition, a.Good, a.Bad); err != nil {
			return err
		}
	}
	if o.halve {
		found, err := x.Halve(ctx, o.ps.Condition, a.Good, a.Bad)
		if err != nil {
			return err
		}
		a.Mode, a.Events = "halve", found.Probes
		from, to = found.Bad, found.Bad
	}
	o.ps.First = true
	found, err := x.Check(ctx, o.ps, from, to)
	if err != nil {
		return err
	}
	a.First = found.Broken
	if !o.halve {
		a.Events = found.Events
	}
	if len(a.First) > 0 {
		if a.Blame, err = x.Blame(ctx, o.ps.Condition, a.First[0].Event.Seq); err != nil {
			return err
		}
	}
	err = x.give("Bisect", []*bisected{a}, func() string { return bisectedText(a) })
	if err == nil && len(a.First) > 0 {
		return errBroken
	}
	return err
}

func bisectedText(a *bisected) string {
	var b strings.Builder
	fmt.Fprintf(&b, "bad at #%d   good at #%d   mode %s, %s looked at\n", a.Bad, a.Good, a.Mode, plural(a.Events, "event"))
	for _, v := range a.First {
		fmt.Fprintf(&b, "first violation  %s\n   %s: %s\n", stepText(v.Event), v.Invariant, v.What)
	}
	if len(a.First) > 0 {
		b.WriteString(blameText(a.Blame, a.First[0].Event))
	}
	if len(a.First) == 0 {
		b.WriteString("nothing is broken\n")
	}
	return b.String()
}

// blameText says what an event that breaks something changed, and who caused it.
func blameText(x *replay.Blame, e replay.Step) string {
	var b strings.Builder
	for _, c := range x.Changed {
		fmt.Fprintf(&b, "   %s   %s → %s\n", c.Term, c.Was, c.Is)
	}
	switch {
	case x.Command != nil && x.Command.Decision != nil:
		fmt.Fprintf(&b, "   the controller caused it: command #%d[%d]  %s\n", x.Command.Seq, x.Command.Decision.Index, x.Command.What)
	case x.Command != nil:
		fmt.Fprintf(&b, "   the controller caused it: %s\n", stepText(*x.Command))
	case x.Before != nil:
		fmt.Fprintf(&b, "   the controller did not cause it: the last commands before it are those of %s\n", stepText(*x.Before))
	default:
		b.WriteString("   the controller did not cause it: there is no command before it\n")
	}
	if x.Begun != nil {
		fmt.Fprintf(&b, "   begun by %s\n", stepText(*x.Begun))
	}
	if x.Without > 0 {
		fmt.Fprintf(&b, "   without that: rollcall whatif --without %d\n", x.Without)
	}
	why := ""
	if e.Object != "" {
		why = fmt.Sprintf("rollcall why %s --at %d, ", e.Object, e.Seq)
	}
	fmt.Fprintf(&b, "   see: %srollcall effects %d, rollcall state --at %d\n", why, e.Seq, e.Seq)
	return b.String()
}

// part finds where the log and a recording part.
func (s *session) part(ctx context.Context, x *asked, other string) error {
	a, err := (&target{recs: []string{other}}).open(ctx, s)
	if err != nil {
		return of("--diff", err)
	}
	defer a.close()
	h, err := replay.Open(ctx, a, nil)
	if err != nil {
		return err
	}
	p, err := replay.Part(ctx, x.History, h)
	if err != nil {
		return err
	}
	err = x.give("Parting", []*replay.Parting{p}, func() string { return partingText(p) })
	if err == nil && p.Parted() {
		return errBroken
	}
	return err
}

func partingText(p *replay.Parting) string {
	head := fmt.Sprintf("the first %s are the same\n", plural(p.Same, "event"))
	if p.From > 1 {
		head = fmt.Sprintf("%s from #%d on are the same\n", plural(p.Same, "event"), p.From)
	}
	if !p.Parted() {
		return head
	}
	side := func(s *replay.Step) string {
		if s == nil {
			return "ends"
		}
		return stepText(*s)
	}
	return head + fmt.Sprintf("this log    %s\nthe other   %s\n", side(p.First), side(p.Second))
}
