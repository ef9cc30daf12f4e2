package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/controller/condition"
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
	var expr string
	c := &cobra.Command{Use: "check [INVARIANT...]", Short: "Hold the whole log against invariants", Args: takes(0, -1),
		Long: `check goes over all events and says which of them break an invariant, with position
and explanation. Without names every invariant is checked; --list shows them. --from and
--to bound the events that are judged. --expr checks an expression instead, written in
CEL, that has to be true after every event; docs/DEBUGGING.md tells what it can name. It exits 0 if nothing is broken, and 1 if
something is.

A plan is judged by what it was decided from. Where something came between the two that
matters, check leaves the plan alone and says so; rollcall verify decides all again.

` + replay.InstantForms,
		Example: `  rollcall check
  rollcall check budget S1 --from 20
  rollcall check --expr 'size(state.nodes)<1000'
  rollcall check --list`}
	q := addQuestion(c)
	f := c.Flags()
	f.StringVar(&from, "from", "", "first instant that is judged (default: the first event)")
	q.flag = "--to"
	f.StringVar(&q.at, "to", "", "last instant that is judged (default: the end of the log)")
	addExpr(c, &expr)
	f.BoolVar(&list, "list", false, "list the invariants")
	c.RunE = func(c *cobra.Command, args []string) error {
		ps, err := properties(expr, args)
		if err != nil {
			return err
		}
		if list {
			for _, i := range ps.Invariants {
				s.out.printf("%-7s %s\n", i.Name, i.Says)
			}
			return nil
		}
		first, err := q.instant(from)
		if err != nil {
			return of("--from", err)
		}
		return s.ask(c.Context(), q, func(x *asked) error { return s.check(c.Context(), x, ps, from != "", first) })
	}
	return c
}

// addExpr gives a command the flag of an expression.
func addExpr(c *cobra.Command, expr *string) {
	c.Flags().StringVar(expr, "expr", "", "expression in CEL that has to be true after every event, in place of invariants")
}

// properties are what the arguments and the flag --expr name.
func properties(expr string, names []string) (ps replay.Properties, err error) {
	if expr == "" {
		if ps.Invariants, err = invariant.Named(names...); err != nil {
			return ps, unknownInvariant(err, names)
		}
		return ps, nil
	}
	if len(names) > 0 {
		return ps, usageError("E-CLI-FLAG", "--expr and names of invariants do not go together", "give one of them")
	}
	ps.Condition, err = condition.Compile(expr)
	return ps, err
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

func (s *session) check(ctx context.Context, x *asked, ps replay.Properties, bounded bool, first replay.Instant) error {
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
	found, err := x.Check(ctx, ps, from, x.at.Seq)
	if err != nil {
		return err
	}
	err = x.give("Check", []*replay.Checked{found}, func() string { return checkedText(found, ps) })
	if err == nil && len(found.Broken) > 0 {
		return errBroken
	}
	return err
}

func checkedText(x *replay.Checked, ps replay.Properties) string {
	var b strings.Builder
	for _, v := range x.Broken {
		fmt.Fprintf(&b, "%s broken by %s\n   %s\n", v.Invariant, stepText(v.Event), v.What)
	}
	of := plural(len(ps.Invariants), "invariant")
	if ps.Condition != nil {
		of = "the expression"
	}
	fmt.Fprintf(&b, "%s of %s in %s, #%d to #%d\n", plural(len(x.Broken), "violation"), of, plural(x.Events, "event"), x.From, x.To)
	if x.Raced > 0 {
		fmt.Fprintf(&b, "%s not judged: something came between them and what they were decided from\n", plural(x.Raced, "plan"))
	}
	if x.Vague > 0 {
		fmt.Fprintf(&b, "%s without a value: something that the expression names is not there\n", plural(x.Vague, "event"))
	}
	return b.String()
}
