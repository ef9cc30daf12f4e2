package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/controller/replay"
	"rollcall/projector/story"
)

func (s *session) stateCommand() *cobra.Command {
	var hash bool
	c := &cobra.Command{Use: "state", Short: "Show the whole state that the log folds to at an instant", Args: takes(0, 0),
		Long: `state folds the log up to an instant and shows what comes of it: the objects, and for
each DaemonSet its counters and its cells with pods, commands under way and failures.
With -o json or -o yaml all of it is shown, in one order. --hash prints the SHA-256 of
the state as bytes: whoever has folded the same events has the same.

` + replay.InstantForms,
		Example: `  rollcall state --at 20
  rollcall state --hash --at 20
  rollcall state -o json`}
	q := addQuestion(c)
	q.addAt(c)
	c.Flags().BoolVar(&hash, "hash", false, "print the hash of the state alone")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return s.ask(c.Context(), q, func(x *asked) error { return s.state(c.Context(), x, hash) })
	}
	return c
}

func (s *session) state(ctx context.Context, x *asked, hash bool) error {
	st, err := x.At(ctx, x.at.Seq)
	if err != nil {
		return err
	}
	p, err := replay.PictureOf(st)
	if err != nil {
		return err
	}
	if !hash {
		return x.give("State", []*replay.Picture{p}, func() string { return pictureText(p) })
	}
	item := map[string]any{"seq": p.Seq, "sha256": p.Hash}
	return x.give("StateHash", []any{item}, func() string { return fmt.Sprintf("#%d sha256:%s\n", p.Seq, p.Hash) })
}

func pictureText(p *replay.Picture) string {
	var b strings.Builder
	if p.Charter != nil {
		fmt.Fprintf(&b, "%s\n", story.CharterText(*p.Charter))
	}
	for _, k := range p.Objects {
		fmt.Fprintf(&b, "%5d  %s\n", len(k.Items), k.Kind)
	}
	for _, d := range p.DaemonSets {
		gone := ""
		if d.Deleted {
			gone = "deleted, "
		}
		c := d.Counts
		fmt.Fprintf(&b, "ds/%s  %s%d/%d updated, %d available, %d ready, %d waiting, %d being created", d.Key, gone, c.Updated, c.Desired, c.Available, c.Ready, c.Waiting, d.Creating)
		if d.Revision != "" {
			fmt.Fprintf(&b, ", revision %s", d.Revision)
		}
		b.WriteByte('\n')
	}
	if p.Quarantined > 0 {
		fmt.Fprintf(&b, "%s quarantined; rollcall log shows them\n", plural(p.Quarantined, "event"))
	}
	return b.String()
}
