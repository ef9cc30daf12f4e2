package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/controller/replay"
)

// receiptFormats are those of rollout receipt.
var receiptFormats = []string{"md", "json"}

func (s *session) rolloutReceipt() *cobra.Command {
	var namespace, format string
	c := &cobra.Command{Use: "receipt NAMESPACE/NAME#REVISION", Short: "Write down what a rollout has come to, with the hash of its events", Args: takes(1, 1),
		Long: `receipt says what a rollout was: the images, by whom and why, where it begins and ends,
its waves, the nodes that were updated, failed or skipped and why, how many were
unavailable at most and how many were allowed to be, and whether an event of it breaks
an invariant. It ends with the SHA-256 of its events. Nothing in it depends on when or
where it is made: of a rollout that has ended it has the same bytes each time, from a
running instance, its data directory or a recording.

Whoever has it can hold a copy of the events against it: rollcall record export writes
them, and rollcall record verify prints their SHA-256.`,
		Example: `  rollcall rollout receipt 'default/nginx-daemonset#1'
  rollcall rollout receipt ds/nginx-daemonset -o json`}
	q := &question{target: addTarget(c), format: "text"}
	q.target.addRecording(c)
	c.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of the DaemonSet where none is given (default: default)")
	c.Flags().StringVarP(&format, "output", "o", "md", strings.Join(receiptFormats, ", "))
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkFormat(format, receiptFormats); err != nil {
			return err
		}
		named, err := parseRollout(args[0], namespace, false)
		if err != nil {
			return err
		}
		return s.ask(c.Context(), q, func(x *asked) error { return s.receipt(c.Context(), x, named, format) })
	}
	return c
}

// receiptDocument is a receipt as JSON. It has no more than the receipt: what else
// the log covers is not of the rollout.
type receiptDocument struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	*replay.Receipt
	Redacted string `json:"redacted,omitempty"`
}

func (s *session) receipt(ctx context.Context, x *asked, named rolloutNamed, format string) error {
	ledger, err := x.Ledger(ctx)
	if err != nil {
		return err
	}
	r, err := named.in(ledger.Rollouts)
	if err != nil {
		return err
	}
	receipt, err := ledger.Receipt(ctx, r)
	if err != nil {
		return err
	}
	d := receiptDocument{Kind: "RolloutReceipt", APIVersion: replay.AnswersVersion, Receipt: receipt}
	if x.log.rec != nil {
		d.Redacted = x.log.rec.redacted()
	}
	x.log.done()
	if format == "md" {
		s.out.printf("%s", receiptText(d))
		return nil
	}
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("write the receipt: %w", err)
	}
	s.out.printf("%s\n", b)
	return nil
}

// receiptText is a receipt in Markdown.
func receiptText(d receiptDocument) string {
	var b strings.Builder
	r := d.Rollout
	fmt.Fprintf(&b, "# %s\n\n", cell(r.String()))
	if d.AsOf != nil {
		fmt.Fprintf(&b, "**This rollout has not ended.** This is how far it has come at #%d, %s.\n\n", d.AsOf.Seq, clockText(d.AsOf.Time))
	}
	twoColumns(&b, [][2]string{
		{"DaemonSet", fmt.Sprintf("%s, uid %s", r.DaemonSet, r.UID)},
		{"Revision", fmt.Sprintf("%d, %s", r.Revision, cmp.Or(r.Hash, "-"))},
		{"Image before", cmp.Or(strings.Join(r.Before, ", "), "none: the DaemonSet is new")},
		{"Image after", strings.Join(r.Images, ", ")},
		{"By", cmp.Or(strings.TrimPrefix(byText(r), "- via "), "-")},
		{"Why", cmp.Or(r.Why, "-")},
		{"Start", pointText(r.Start)},
		{"End", cmp.Or(endText(r), "not yet")},
		{"Took", sinceStart(r, d.Last)},
		{"Nodes", nodesText(d)},
		{"Waves", fmt.Sprint(len(r.Waves))},
		{"Pods restarted", fmt.Sprint(r.Restarted)},
		{"Pods that failed", fmt.Sprint(r.Failures)},
		{"Peak unavailable", limitText(r)},
		{"Invariants", invariantsText(d)},
	})
	for _, v := range d.Checked.Broken {
		fmt.Fprintf(&b, "- %s was broken by #%d: %s\n", cell(v.Invariant), v.Event.Seq, cell(v.What))
	}
	wavesTable(&b, r)
	for _, part := range []struct {
		title string
		nodes []replay.Unserved
	}{{"Nodes whose pod failed", d.Failed}, {"Nodes that were skipped", d.Skipped}} {
		if len(part.nodes) > 0 {
			fmt.Fprintf(&b, "\n## %s\n\n", part.title)
		}
		for _, u := range part.nodes {
			fmt.Fprintf(&b, "- %s: %s\n", cell(unservedText(u)), cell(strings.Join(u.Nodes, ", ")))
		}
	}
	drawTold(&b, d.Told)
	drawSeal(&b, d)
	return b.String()
}

// drawTold draws what others told about the DaemonSet meanwhile.
func drawTold(b *strings.Builder, n *replay.Notes) {
	if n == nil {
		return
	}
	b.WriteString("\n## Told meanwhile\n\n")
	if n.Older > 0 {
		fmt.Fprintf(b, "- %s before\n", plural(n.Older, "event"))
	}
	for _, s := range n.Steps {
		fmt.Fprintf(b, "- %s\n", cell(stepText(s)))
	}
}

// drawSeal draws by what the events can be known again.
func drawSeal(b *strings.Builder, d receiptDocument) {
	b.WriteString("\n## The events\n\n")
	rows := [][2]string{
		{"First", pointText(d.First)},
		{"Last", pointText(d.Last)},
		{"Events", fmt.Sprint(d.Events)},
		{"Chain before", d.ChainBefore},
		{"Chain after", d.ChainAfter},
		{"SHA-256", d.SHA256},
	}
	if d.Redacted != "" {
		rows = append(rows, [2]string{"Redacted", d.Redacted + ": chain and hash are of what is left"})
	}
	twoColumns(b, rows)
	fmt.Fprintf(b, "\nThe hash is over the records of the events as a recording has them (docs/RECORDING.md): `rollcall record export part.rollcall --from %d --to %d`, then `rollcall record verify part.rollcall` prints it.\n", d.First.Seq, d.Last.Seq)
}

// twoColumns draws a table of two columns.
func twoColumns(b *strings.Builder, rows [][2]string) {
	b.WriteString("| | |\n|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(b, "| %s | %s |\n", r[0], cell(r[1]))
	}
}

// cell makes a text stand in Markdown as it is.
func cell(text string) string {
	return strings.NewReplacer("\\", "\\\\", "|", "\\|", "\n", " ", "\r", " ", "<", "&lt;", "`", "\\`", "*", "\\*", "[", "\\[").Replace(text)
}

func pointText(p replay.Point) string { return fmt.Sprintf("#%d, %s", p.Seq, clockText(p.Time)) }

func endText(r *replay.Rollout) string {
	if r.End.Seq == 0 {
		return ""
	}
	return pointText(r.End) + ", " + string(r.Ending)
}

// sinceStart is how long a rollout took, or has taken up to a point.
func sinceStart(r *replay.Rollout, last replay.Point) string {
	if r.End.Seq > 0 {
		last = r.End
	}
	return last.Time.Sub(r.Start.Time).Round(time.Millisecond).String()
}

func nodesText(d receiptDocument) string {
	count := func(all []replay.Unserved) (n int) {
		for _, u := range all {
			n += len(u.Nodes)
		}
		return n
	}
	return fmt.Sprintf("%d updated, %d failed, %d skipped; %d should run a pod", d.Updated, count(d.Failed), count(d.Skipped), d.Rollout.Nodes)
}

// limitText says how many nodes were unavailable at most, and how many of them the
// rollout was allowed to take.
func limitText(r *replay.Rollout) string {
	text, l := fmt.Sprintf("%d of %d", r.PeakUnavailable, r.Nodes), r.Limits
	switch {
	case l.MaxSurge > 0:
		text += fmt.Sprintf("; maxSurge %d, of which it used %d", l.MaxSurge, l.PeakUsed)
	case l.PeakUsed > 0:
		text += fmt.Sprintf("; maxUnavailable %d, of which it used %d, with what was unavailable already", l.MaxUnavailable, l.PeakUsed)
	case l.MaxUnavailable > 0:
		text += fmt.Sprintf("; maxUnavailable %d, of which it used none", l.MaxUnavailable)
	}
	return text
}

func invariantsText(d receiptDocument) string {
	text := fmt.Sprintf("%s of %s in %s", plural(len(d.Checked.Broken), "violation"), strings.Join(d.Names, " "), plural(d.Checked.Events, "event"))
	if d.Checked.Raced > 0 {
		text += fmt.Sprintf("; %s not judged, because something came between them and what they were decided from", plural(d.Checked.Raced, "plan"))
	}
	return text
}

func wavesTable(b *strings.Builder, r *replay.Rollout) {
	if len(r.Waves) == 0 {
		return
	}
	b.WriteString("\n## Waves\n\n| wave | plan | after | nodes | took | peak unavailable | failed |\n|---|---|---|---|---|---|---|\n")
	for i, w := range r.Waves {
		took := "not all got ready"
		if w.Done.Seq > 0 {
			took = roundly(w.Done.Time.Sub(w.Time))
		}
		fmt.Fprintf(b, "| %d | #%d | %s | %s | %s | %d | %d |\n", i+1, w.Seq, roundly(w.Time.Sub(r.Start.Time)), cell(someNodes(w.Nodes)), took, w.PeakUnavailable, w.Failures)
	}
}

// someNodes names the first nodes of many, and says how many there are.
func someNodes(nodes []string) string {
	if len(nodes) <= maxHolders {
		return strings.Join(nodes, ", ")
	}
	return fmt.Sprintf("%d: %s", len(nodes), someOf(nodes))
}

// unservedText says why nodes are not as the template has it.
func unservedText(u replay.Unserved) string {
	why := cmp.Or(ruleTexts[u.Why], u.Why)
	if u.Says != "" {
		why += ", " + u.Says
	}
	return why
}
