package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/controller/replay"
	"rollcall/events"
)

// errDiffers ends a command whose answer is that there is a difference. It has
// been printed.
var errDiffers = errors.New("there is a difference")

var diffGroupings = []string{"cause", "object", "field"}

func (s *session) diffCommand() *cobra.Command {
	var namespace, by string
	c := &cobra.Command{Use: "diff A B [KIND[/NAME]]", Short: "Show what changed between two instants, and what caused it", Args: takes(2, 3),
		Long: `diff compares the objects of the cluster at two instants. What differs is grouped by
what caused it: by what came from outside, at the end of the chain that why tells. It
exits 0 if nothing differs, and 1 if something does.

` + replay.InstantForms,
		Example: `  rollcall diff 3 20
  rollcall diff 10 now pod
  rollcall diff 10 now ds/nginx-daemonset --by field`}
	q := addQuestion(c)
	f := c.Flags()
	f.StringVarP(&namespace, "namespace", "n", "", "namespace of the object that is named (default: default)")
	f.StringVar(&by, "by", "cause", "group by "+strings.Join(diffGroupings, ", "))
	c.RunE = func(c *cobra.Command, args []string) error {
		if !slices.Contains(diffGroupings, by) {
			return &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("unknown grouping %q", by), Where: "--by",
				Do: events.Suggest(by, diffGroupings, "choose from "+strings.Join(diffGroupings, ", ")), Exit: events.ExitInput}
		}
		filter, err := parseFilter(args[2:], namespace)
		if err != nil {
			return err
		}
		from, err := q.instant(args[0])
		if err != nil {
			return of("A", err)
		}
		q.at, q.flag = args[1], "B"
		return s.ask(c.Context(), q, func(x *asked) error { return s.diff(c.Context(), x, from, filter, by) })
	}
	return c
}

// parseFilter reads KIND or KIND/NAME.
func parseFilter(args []string, namespace string) (f replay.Filter, err error) {
	if len(args) == 0 {
		return f, nil
	}
	if !strings.Contains(args[0], "/") {
		f.Kind, err = replay.ParseKind(args[0])
		return f, err
	}
	about, err := replay.ParseSubject(args[0], namespace)
	return replay.Filter{Kind: about.Kind, Key: about.Key}, err
}

func (s *session) diff(ctx context.Context, x *asked, at replay.Instant, f replay.Filter, by string) error {
	from, err := x.find(ctx, at)
	if err != nil {
		return of("A", err)
	}
	if from.Seq > x.at.Seq {
		return usageError("E-CLI-RANGE", fmt.Sprintf("A, #%d, is after B, #%d", from.Seq, x.at.Seq), "give a range that goes forward")
	}
	if f.Kind.Custom() && f.Key.Name == "" {
		f.Kind, err = x.Kind(ctx, x.at.Seq, f.Kind)
	} else {
		var about replay.Subject
		about, err = x.Subject(ctx, x.at.Seq, replay.Subject{Kind: f.Kind, Key: f.Key})
		f.Kind, f.Key = about.Kind, about.Key
	}
	if err == nil && f.Key.Name != "" {
		err = x.toldOf(ctx, f)
	}
	if err != nil {
		return err
	}
	d, err := x.Diff(ctx, from.Seq, x.at.Seq, f)
	if err != nil {
		return err
	}
	head := fmt.Sprintf("%s → %s\n", from, x.at)
	err = x.give("Diff", []*replay.Diff{d}, func() string {
		return head + diffText(d, by) + notesText("told meanwhile, and decides nothing by itself", d.Notes)
	})
	if err == nil && len(d.Groups) > 0 {
		return errDiffers
	}
	return err
}

// toldOf refuses the name of an object that the log does not tell of.
func (x *asked) toldOf(ctx context.Context, f replay.Filter) error {
	names, err := x.Keys(ctx, f.Kind, x.at.Seq)
	if err != nil || slices.Contains(names, f.Key) {
		return err
	}
	return &events.Error{Code: "E-REPLAY-OBJECT", What: fmt.Sprintf("the log tells of no %s %s up to there", f.Kind, f.Key),
		Do: suggestObject(names, replay.Subject{Kind: f.Kind, Key: f.Key}), Exit: events.ExitInput}
}

func diffText(d *replay.Diff, by string) string {
	switch {
	case len(d.Groups) == 0:
		return "nothing differs\n"
	case by == "cause":
		return diffByCause(d)
	}
	var all []replay.Change
	for _, g := range d.Groups {
		all = append(all, g.Changes...)
	}
	slices.SortStableFunc(all, func(a, b replay.Change) int { return strings.Compare(a.Object, b.Object) })
	var b strings.Builder
	if by == "object" {
		for _, c := range all {
			drawChange(&b, c)
			for _, f := range c.Fields {
				fmt.Fprintf(&b, "       %s: %s → %s\n", f.Path, valueText(f.Old), valueText(f.New))
			}
		}
		return b.String()
	}
	return diffByField(all)
}

func diffByCause(d *replay.Diff) string {
	var b strings.Builder
	for _, g := range d.Groups {
		if c := g.Cause; c != nil && c.Before {
			fmt.Fprintf(&b, "%s\n", c.What)
		} else if c != nil {
			fmt.Fprintf(&b, "#%d %s  %s  %s  %s\n", c.Seq, c.Type, c.Object, c.What, whoText(*c))
		} else {
			fmt.Fprintf(&b, "told by %s\n", g.Source)
		}
		fmt.Fprintf(&b, "   %s\n", countChanges(g.Changes))
		for _, c := range g.Changes {
			drawChange(&b, c)
		}
	}
	return b.String()
}

// countChanges says how many objects of a group came, went and changed.
func countChanges(cs []replay.Change) string {
	n := map[string]int{}
	for _, c := range cs {
		n[c.Is]++
	}
	var parts []string
	for _, is := range []string{"created", "deleted", "changed"} {
		if n[is] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[is], is))
		}
	}
	return strings.Join(parts, ", ")
}

func drawChange(b *strings.Builder, c replay.Change) {
	sign := map[string]string{"created": "+", "deleted": "-", "changed": "~"}[c.Is]
	what := ""
	if c.Is != "deleted" {
		what = "  " + c.What
	}
	fmt.Fprintf(b, "   %s %s%s  #%d\n", sign, c.Object, what, c.By)
}

// diffByField lists which objects have changed in a field, and which came or
// went.
func diffByField(all []replay.Change) string {
	lines := map[string][]string{}
	var paths []string
	add := func(path, line string) {
		if lines[path] == nil {
			paths = append(paths, path)
		}
		lines[path] = append(lines[path], line)
	}
	for _, c := range all {
		if c.Is != "changed" {
			add("("+c.Is+")", c.Object)
		}
		for _, f := range c.Fields {
			add(f.Path, fmt.Sprintf("%s: %s → %s", c.Object, valueText(f.Old), valueText(f.New)))
		}
	}
	slices.Sort(paths)
	var b strings.Builder
	for _, p := range paths {
		fmt.Fprintf(&b, "%s\n   %s\n", p, strings.Join(lines[p], "\n   "))
	}
	return b.String()
}

// maxShown bounds a value in a line; -o json has all of it.
const maxShown = 80

func valueText(v string) string {
	r := []rune(v)
	switch {
	case v == "":
		return "-"
	case len(r) > maxShown:
		return string(r[:maxShown-1]) + "…"
	}
	return v
}
