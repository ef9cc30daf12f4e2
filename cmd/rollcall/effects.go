package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/controller/replay"
	"rollcall/events"
)

// maxEffects is how many effects are told one by one.
const maxEffects = 20

func (s *session) effectsCommand() *cobra.Command {
	c := &cobra.Command{Use: "effects EVENT", Short: "Tell what an event has led to, and how many pods it cost", Args: takes(1, 1),
		Long: `effects follows an event forwards: the commands that were planned because of it, the
facts that these brought about, and so on to the end of the log. It is why, read the
other way round. An effect that has several causes is one of the last of them, the one
without which it would not have been called for just then.

EVENT is an instant.

` + replay.InstantForms,
		Example: `  rollcall effects 12
  rollcall effects 20 -o json`}
	q := addQuestion(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		q.at, q.flag = args[0], "EVENT"
		return s.ask(c.Context(), q, func(x *asked) error { return s.effects(c.Context(), x) })
	}
	return c
}

func (s *session) effects(ctx context.Context, x *asked) error {
	of, err := x.EffectsOf(ctx, x.at.Seq, x.Span().Last, maxEffects)
	if err != nil {
		return err
	}
	return x.give("Effects", []*replay.Effects{of}, func() string { return effectsText(of) })
}

func effectsText(x *replay.Effects) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s #%d  %s  %s  %s\n", x.Of.Type, x.Of.Seq, x.Of.Object, x.Of.What, whoText(x.Of))
	if x.Last == 0 {
		b.WriteString(noEffectText(x.Of))
		return b.String()
	}
	n := 0
	for _, f := range x.Facts {
		n += f.N
	}
	for _, f := range x.Commands {
		n += f.N
	}
	fmt.Fprintf(&b, "cost   %s deleted, %s created, on %s, until #%d, %s later\n", plural(x.Deleted, "pod"), plural(x.Created, "pod"), plural(x.Nodes, "node"),
		x.Last, x.Until.Sub(x.Of.Time).Round(time.Millisecond))
	var commands, facts []string
	for _, c := range x.Commands {
		commands = append(commands, fmt.Sprintf("%d %s (%s)", c.N, c.Do, c.Reason))
	}
	for _, f := range x.Facts {
		facts = append(facts, fmt.Sprintf("%d %s", f.N, f.Type))
	}
	if len(commands) > 0 {
		fmt.Fprintf(&b, "by     %s in %s\n", strings.Join(commands, ", "), plural(x.Plans, "plan"))
	}
	if len(facts) > 0 {
		fmt.Fprintf(&b, "facts  %s\n", strings.Join(facts, ", "))
	}
	for _, s := range x.Steps {
		b.WriteString(effectLine(s))
	}
	if more := n - len(x.Steps); more > 0 {
		fmt.Fprintf(&b, "   and %d more\n", more)
	}
	return b.String()
}

func effectLine(s replay.Step) string {
	if d := s.Decision; d != nil {
		return fmt.Sprintf("   #%d[%d]  %s\n", s.Seq, d.Index, s.What)
	}
	return fmt.Sprintf("   #%d  %s  %s  %s\n", s.Seq, s.Type, s.Object, s.What)
}

// noEffectText says that a step has led to nothing, and if it cannot.
func noEffectText(s replay.Step) string {
	switch s.Type {
	case events.NoteTold, events.ToldUnchanged:
		return "it leads to nothing: it is kept, and decides nothing\n"
	case events.HoldPlaced, events.HoldLifted:
		return "it leads to nothing by itself: a hold keeps back what else is called for, as rollcall why-not tells\n"
	}
	return "it has led to nothing\n"
}
