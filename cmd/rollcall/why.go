package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/controller"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector/story"
)

func (s *session) whyCommand() *cobra.Command {
	var namespace string
	var depth int
	c := &cobra.Command{Use: "why KIND/NAME[.FIELD]", Short: "Explain why something is so: from it back to what came from outside", Args: takes(1, 1),
		Long: `why tells what made an object, or a field of it, what it is: the fact, the command
that brought it about, the reason of the command with the rule and the numbers that it
was decided with, the fact since which that reason holds, and so on, back to who or
what outside the log began it. Every link is in the log, or follows from it by the
rules that the controller decides by; none is guessed.

A pod is explained by its end, by the deletion that is under way, or else by its
creation; another object by the last change that the controller did not write; a field
by its last change. Of a pod whose containers have failed or were started again it is
told how they ended. --depth tells of the first links alone. An element of a list is in brackets, by its name, its place or a
field of it: containers[main], containers[0], containers[name=main].

` + replay.InstantForms,
		Example: `  rollcall why ds/nginx-daemonset
  rollcall why ds/nginx-daemonset.spec.updateStrategy
  rollcall why node/node-0003 --at 20
  rollcall why ds/nginx-daemonset --depth 2`}
	q := addQuestion(c)
	q.addAt(c)
	c.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of the object (default: default)")
	c.Flags().IntVar(&depth, "depth", 0, "how many links to tell of (default: all)")
	c.RunE = func(c *cobra.Command, args []string) error {
		about, err := replay.ParseSubject(args[0], namespace)
		if err != nil {
			return err
		}
		if depth < 0 || depth == 0 && c.Flags().Changed("depth") {
			return usageError("E-CLI-FLAG", fmt.Sprintf("--depth cannot be %d", depth), "give 1 or more, or leave it out")
		}
		return s.ask(c.Context(), q, func(x *asked) error { return s.why(c.Context(), x, about, depth) })
	}
	return c
}

// why explains a subject, by so many links; 0: all.
func (s *session) why(ctx context.Context, x *asked, about replay.Subject, depth int) error {
	about, err := x.Subject(ctx, x.at.Seq, about)
	if err != nil {
		return err
	}
	why, err := x.WhyAt(ctx, x.at.Seq, about)
	if noObject(err) && about.Field == "" {
		names, keysErr := x.Keys(ctx, about.Kind, x.at.Seq)
		if keysErr != nil {
			return keysErr
		}
		if in, is := about.Among(names); is {
			about = in
			why, err = x.WhyAt(ctx, x.at.Seq, about)
		}
	}
	if err != nil {
		return x.unknownObject(ctx, err, about)
	}
	why.Cut(depth)
	return x.give("Why", []*replay.Explanation{why}, func() string { return whyText(why) })
}

// unknownObject adds to an error that the log does not tell of an object what to
// do about that.
func (x *asked) unknownObject(ctx context.Context, err error, about replay.Subject) error {
	if e := new(events.Error); errors.As(err, &e) && noObject(err) && e.Do == "" {
		names, err := x.Keys(ctx, about.Kind, x.at.Seq)
		if err != nil {
			return err
		}
		if e.Do = suggestObject(names, about); slices.Contains(names, about.Key) {
			object := story.Name(events.Ref{Kind: about.Kind, Key: about.Key})
			e.What, e.Do = object+" is not there any more", "see rollcall why "+object+", or ask about an earlier instant"
		}
	}
	return err
}

// noObject reports whether an error says that the log tells of no such object.
func noObject(err error) bool {
	e := new(events.Error)
	return errors.As(err, &e) && e.Code == "E-REPLAY-OBJECT"
}

// suggestObject says what to do about a name that the log does not tell of.
func suggestObject(of []events.Key, about replay.Subject) string {
	var names []string
	for _, k := range of {
		if k.Name == about.Key.Name {
			return "did you mean -n " + k.Namespace + "?"
		}
		if k.Namespace == about.Key.Namespace {
			names = append(names, k.Name)
		}
	}
	return events.Suggest(about.Key.Name, names, "see rollcall log --type '"+strings.ToLower(string(about.Kind))+".*'")
}

// whyText draws an explanation: each step below the one that comes from it.
func whyText(x *replay.Explanation) string {
	var b strings.Builder
	first := x.Steps[0]
	field := ""
	if x.Field != "" {
		field = " " + x.Field
	}
	when := fmt.Sprintf("#%d  %s", first.Seq, clockText(first.Time))
	if first.Before {
		when = first.What
	}
	fmt.Fprintf(&b, "%s%s   %s %s", x.Object, field, x.Is, when)
	if x.Lived > 0 {
		fmt.Fprintf(&b, "   (existed %s)", x.Lived.Round(time.Millisecond))
	}
	b.WriteByte('\n')
	for _, e := range x.Containers {
		fmt.Fprintf(&b, "   container %s\n", exitText(e))
	}
	for i := range x.Steps {
		next := ""
		if i+1 < len(x.Steps) {
			next = "│  "
		}
		drawStep(&b, strings.Repeat("   ", i), next, x, i)
	}
	b.WriteString(knownText(x))
	b.WriteString(notesText("notes about these objects", x.Notes))
	return b.String()
}

// exitText says how a container ended.
func exitText(e replay.Exit) string {
	text := e.Container
	if e.Restarts > 0 {
		text += " was restarted " + plural(int(e.Restarts), "time")
	}
	if !e.Ended {
		return text
	}
	if e.Restarts > 0 {
		text += " and"
	}
	text += fmt.Sprintf(" exited last with code %d", e.Code)
	if e.Signal > 0 {
		text += fmt.Sprintf(", signal %d", e.Signal)
	}
	for _, more := range []string{e.Reason, e.Message} {
		if more != "" {
			text += ", " + strings.ReplaceAll(strings.TrimSpace(more), "\n", " ")
		}
	}
	if !e.At.IsZero() {
		text += ", at " + clockText(e.At)
	}
	return text
}

// notesText lists what others told that is no fact.
func notesText(title string, n *replay.Notes) string {
	if n == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString(title)
	if n.Older > 0 {
		fmt.Fprintf(&b, ", and %d before", n.Older)
	}
	b.WriteString(":\n")
	for _, s := range n.Steps {
		fmt.Fprintf(&b, "   %s\n", stepText(s))
	}
	return b.String()
}

// drawStep draws one step: its line, and below it what else there is to say.
func drawStep(b *strings.Builder, indent, below string, x *replay.Explanation, i int) {
	s := x.Steps[i]
	at := fmt.Sprintf("#%d", s.Seq)
	if s.Before {
		fmt.Fprintf(b, "%s└─ %s\n", indent, s.What)
		return
	}
	if s.Decision != nil {
		fmt.Fprintf(b, "%s└─ command %s[%d]  %s\n", indent, at, s.Decision.Index, s.What)
		for _, line := range decisionLines(x, i) {
			fmt.Fprintf(b, "%s   %s%s\n", indent, below, line)
		}
		return
	}
	object := ""
	if i == 0 || x.Steps[i-1].Decision != nil || s.Object != x.Steps[i-1].Object {
		object = s.Object + "  "
	}
	fmt.Fprintf(b, "%s└─ %s %s  %s%s  %s\n", indent, s.Type, at, object, s.What, whoText(s))
}

// whoText says who told of an event.
func whoText(s replay.Step) string {
	if t := s.Told; t != nil {
		text := "told by source " + t.Source
		if s.Type != events.NoteTold { // which says its type itself
			text = "source " + t.Source + " told " + t.Type
		}
		if t.Late {
			text += ", late, of " + clockText(t.Time)
		}
		return text
	}
	parts := []string{"by " + cmp.Or(s.Actor, s.Source, "somebody outside, not known")}
	if s.Verb != "" {
		parts = append(parts, s.Verb)
	}
	if s.Manager != "" && s.Manager != s.Actor {
		parts = append(parts, "via "+s.Manager)
	}
	return strings.Join(parts, ", ")
}

// decisionLines says what a command was decided with.
func decisionLines(x *replay.Explanation, i int) []string {
	d := x.Steps[i].Decision
	decided := fmt.Sprintf("decided     from #%d at %s", d.Basis.Seq, clockText(d.Basis.Now))
	if i+1 < len(x.Steps) && !x.Steps[i+1].Before {
		if waited := d.Basis.Now.Sub(x.Steps[i+1].Time).Round(time.Millisecond); waited > 0 {
			decided += fmt.Sprintf(", %s after that", waited)
		}
	}
	lines := []string{"rule        " + d.Rule, decided}
	if d.Rollout != (events.Budget{}) {
		lines = append(lines, "numbers     "+budgetText(d.Rollout))
	}
	if len(d.NotChosen) > 0 {
		lines = append(lines, "not chosen  "+heldText(d.NotChosen, d.Waiting))
	}
	if h := d.Held; h != nil {
		lines = append(lines, heldLine(h))
	}
	return lines
}

// heldLine says what kept a command back before, and what ended that.
func heldLine(h *replay.Held) string {
	by := heldText(h.By, nil)
	if h.Node != "" {
		by = string(h.Node)
	}
	line := fmt.Sprintf("held        by %s with plan #%d", cmp.Or(by, "nothing"), h.Plan)
	if f := h.Freed; f != nil {
		return line + fmt.Sprintf(", freed by #%d %s %s", f.Seq, f.Object, f.What)
	}
	return line
}

func budgetText(b events.Budget) string {
	parts := []string{fmt.Sprintf("%d/%d updated", b.Updated, b.Desired)}
	if b.MaxSurge > 0 {
		parts = append(parts, fmt.Sprintf("%d surging of max %d", b.Surging, b.MaxSurge), fmt.Sprintf("%d unavailable", b.Unavailable))
	} else {
		parts = append(parts, fmt.Sprintf("%d unavailable of max %d", b.Unavailable, b.MaxUnavailable))
	}
	if b.Taken > 0 {
		parts = append(parts, fmt.Sprintf("takes %d", b.Taken))
	}
	if b.Added > 0 {
		parts = append(parts, fmt.Sprintf("adds %d", b.Added))
	}
	return strings.Join(parts, ", ")
}

// maxHeld is how many nodes are named that wait for one thing.
const maxHeld = 3

// heldText says which nodes wait for what.
func heldText(held []events.WaitCount, waiting []events.Wait) string {
	var parts []string
	for _, h := range held {
		var names []string
		for _, w := range waiting {
			if w.For == h.For && len(names) < maxHeld {
				names = append(names, w.Node)
			}
		}
		if len(names) > 0 && len(names) < h.Nodes {
			names = append(names, "…")
		}
		part := fmt.Sprintf("%d %s", h.Nodes, h.For)
		if len(names) > 0 {
			part += " (" + strings.Join(names, ", ") + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// knownText says how far an explanation goes.
func knownText(x *replay.Explanation) string {
	last := x.Steps[len(x.Steps)-1]
	switch {
	case x.More > 0:
		return fmt.Sprintf("the chain has %s more: without --depth all are told\n", plural(x.More, "link"))
	case last.Before:
		return "the chain goes on " + last.What + ", and is not told further\n"
	case x.Known && last.Actor == "" && last.Source == "":
		return "the chain is complete: it comes from outside, from whom is not known\n"
	case x.Known && last.Told != nil:
		return fmt.Sprintf("the chain is complete: every link is in the log, and the last was told by source %s\n", last.Told.Source)
	case x.Known:
		return "the chain is complete: every link is in the log, and the last came from outside\n"
	case last.Source == controller.Source:
		return "the chain ends there: what the controller wrote it for is not in the log\n"
	}
	return "the chain ends there: what it comes from is not in the log\n"
}

// clockText is a time of the log to the millisecond.
func clockText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
