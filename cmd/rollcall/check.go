package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/controller/invariant"
	"rollcall/controller/replay"
	"rollcall/events"
)

// errBroken ends a command whose answer is that the log breaks something. It has
// been printed.
var errBroken = errors.New("an invariant is broken")

func (s *session) checkCommand() *cobra.Command {
	var from string
	var list bool
	c := &cobra.Command{Use: "check [INVARIANT...]", Short: "Hold the whole log against invariants", Args: takes(0, -1),
		Long: `check goes over all events and says which of them break an invariant, with position
and explanation. Without names every invariant is checked; --list shows them. --from and
--to bound the events that are judged. It exits 0 if nothing is broken, and 1 if
something is.

A plan is judged by what it was decided from. Where something came between the two that
matters, check leaves the plan alone and says so; rollcall verify decides all again.

` + replay.InstantForms,
		Example: `  rollcall check
  rollcall check budget S1 --from -1h
  rollcall check --list`}
	q := addQuestion(c)
	f := c.Flags()
	f.StringVar(&from, "from", "", "first instant that is judged (default: the first event)")
	f.StringVar(&q.at, "to", "", "last instant that is judged (default: the end of the log)")
	f.BoolVar(&list, "list", false, "list the invariants")
	c.RunE = func(c *cobra.Command, args []string) error {
		is, err := invariant.Named(args...)
		if err != nil {
			return unknownInvariant(err, args)
		}
		if list {
			for _, i := range is {
				s.out.printf("%-7s %s\n", i.Name, i.Says)
			}
			return nil
		}
		first, err := q.instant(from)
		if err != nil {
			return of("--from", err)
		}
		return s.ask(c.Context(), q, func(x *asked) error { return s.check(c.Context(), x, is, from != "", first) })
	}
	return c
}

// unknownInvariant says which invariant may be meant.
func unknownInvariant(err error, args []string) error {
	all, _ := invariant.Named()
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	unknown := ""
	for _, a := range args {
		if _, err := invariant.Named(a); err != nil {
			unknown = a
			break
		}
	}
	return usageError("E-CLI-NAME", err.Error(), events.Suggest(unknown, names, "see rollcall check --list"))
}

func (s *session) check(ctx context.Context, x *asked, is []invariant.Invariant, bounded bool, first replay.Instant) error {
	from := x.Span().First
	if bounded {
		m, err := x.find(ctx, first)
		if err != nil {
			return of("--from", err)
		}
		if from = m.Seq; from > x.at.Seq {
			return usageError("E-CLI-RANGE", fmt.Sprintf("--from, #%d, is after --to, #%d", from, x.at.Seq), "give a range that goes forward")
		}
	}
	found, err := x.Check(ctx, is, from, x.at.Seq)
	if err != nil {
		return err
	}
	err = x.give("Check", []*replay.Checked{found}, func() string { return checkedText(found, len(is)) })
	if err == nil && len(found.Broken) > 0 {
		return errBroken
	}
	return err
}

func checkedText(x *replay.Checked, invariants int) string {
	var b strings.Builder
	for _, v := range x.Broken {
		fmt.Fprintf(&b, "%s broken by %s\n   %s\n", v.Invariant, stepText(v.Event), v.What)
	}
	fmt.Fprintf(&b, "%s of %s in %s, #%d to #%d\n", plural(len(x.Broken), "violation"), plural(invariants, "invariant"), plural(x.Events, "event"), x.From, x.To)
	if x.Raced > 0 {
		fmt.Fprintf(&b, "%s not judged: something came between them and what they were decided from\n", plural(x.Raced, "plan"))
	}
	return b.String()
}
