package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rollcall/controller/replay"
	"rollcall/events"
)

// maxWaves is how many waves are told one by one; -o json has all.
const maxWaves = 30

func (s *session) rolloutCompare() *cobra.Command {
	var namespace string
	c := &cobra.Command{Use: "compare A B", Short: "Hold two rollouts against each other, wave by wave", Args: takes(2, 2),
		Long: `compare aligns two rollouts by their waves: the nodes of each, when after the start it
was planned, how long it took until they were ready, how many nodes were unavailable
at most from there to the next wave, and the pods that failed. Above stand the totals,
below the first decision that is not the same, with the numbers that it was made by.

A and B are NAMESPACE/NAME#REVISION or ds/NAME#REVISION of the log that is asked, or
recordings: FILE.rollcall:NAMESPACE/NAME#REVISION. Without a revision the last of the
DaemonSet is meant, without a name the last of the recording.

It exits 0 if nothing differs but times, and 1 if something does.`,
		Example: `  rollcall rollout compare 'default/nginx-daemonset#1' 'default/nginx-daemonset#1'
  rollcall rollout compare before.rollcall after.rollcall`}
	q := addQuestion(c)
	c.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of the DaemonSets where A and B have none (default: default)")
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := parseRollout(args[0], namespace, true)
		if err != nil {
			return err
		}
		b, err := parseRollout(args[1], namespace, true)
		if err != nil {
			return err
		}
		if a.file != "" && b.file != "" && q.target.named() {
			return usageError("E-CLI-FLAG", "A and B are recordings, and another log is named", "leave one of them out")
		}
		return s.compareRollouts(c.Context(), q, a, b)
	}
	return c
}

// asks returns the question to the log of a rollout.
func (r rolloutNamed) asks(q *question) *question {
	if r.file == "" {
		return q
	}
	return &question{target: &target{recs: []string{r.file}}, format: q.format}
}

func (s *session) compareRollouts(ctx context.Context, q *question, a, b rolloutNamed) error {
	return s.ask(ctx, a.asks(q), func(x *asked) error {
		all, err := x.AllRollouts(ctx, x.Span().Last)
		if err != nil {
			return err
		}
		left, err := a.in(all)
		if err != nil {
			return err
		}
		first := replay.Side{History: x.History, Rollout: left}
		if a.file == b.file {
			right, err := b.in(all)
			if err != nil {
				return err
			}
			return s.compare(ctx, x, first, replay.Side{History: x.History, Rollout: right}, a, b)
		}
		return s.ask(ctx, b.asks(q), func(y *asked) error {
			all, err := y.AllRollouts(ctx, y.Span().Last)
			if err != nil {
				return err
			}
			right, err := b.in(all)
			if err != nil {
				return err
			}
			defer y.log.done()
			return s.compare(ctx, x, first, replay.Side{History: y.History, Rollout: right}, a, b)
		})
	})
}

func (s *session) compare(ctx context.Context, x *asked, a, b replay.Side, first, second rolloutNamed) error {
	found, err := replay.Compare(ctx, a, b)
	if err != nil {
		return err
	}
	err = x.give("RolloutComparison", []*replay.Comparison{found}, func() string {
		return comparisonText(found, first.file, second.file)
	})
	if err == nil && len(found.Differs) > 0 {
		return errDiffers
	}
	return err
}

func comparisonText(c *replay.Comparison, fileA, fileB string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 3, ' ', 0)
	row := func(name string, of func(*replay.Rollout) string) {
		fmt.Fprintf(w, "%s\t%s\t%s\n", name, of(c.A), of(c.B))
	}
	fmt.Fprintf(w, "\tA\tB\n")
	fmt.Fprintf(w, "rollout\t%s\t%s\n", c.A, c.B)
	if fileA != "" || fileB != "" {
		fmt.Fprintf(w, "recording\t%s\t%s\n", cmp.Or(filepath.Base(fileA), "-"), cmp.Or(filepath.Base(fileB), "-"))
	}
	row("image", imagesText)
	row("by", byText)
	row("state", endingText)
	row("took", tookText)
	row("nodes", func(r *replay.Rollout) string { return fmt.Sprint(r.Nodes) })
	counts := waveCounts(c)
	fmt.Fprintf(w, "waves\t%d\t%d\n", counts[0], counts[1])
	row("pods restarted", func(r *replay.Rollout) string { return fmt.Sprint(r.Restarted + r.RestartedAfter) })
	row("peak unavailable", peakText)
	row("failures", func(r *replay.Rollout) string { return fmt.Sprint(r.Failures) })
	fmt.Fprintf(w, "slowest nodes\t%s\t%s\n", reachedText(c.Slowest.A), reachedText(c.Slowest.B))
	_ = w.Flush() // into memory
	if len(c.Waves) > 0 {
		b.WriteByte('\n')
		drawWaves(&b, c.Waves)
	}
	b.WriteByte('\n')
	drawDeparture(&b, c.First)
	if len(c.Differs) == 0 {
		b.WriteString("the same but for times\n")
	} else {
		fmt.Fprintf(&b, "differs   %s\n", strings.Join(c.Differs, ", "))
	}
	return b.String()
}

// waveCounts counts the waves of A and of B.
func waveCounts(c *replay.Comparison) (n [2]int) {
	for _, w := range c.Waves {
		if w.A != nil {
			n[0]++
		}
		if w.B != nil {
			n[1]++
		}
	}
	return n
}

func imagesText(r *replay.Rollout) string {
	if len(r.Before) == 0 {
		return strings.Join(r.Images, ", ")
	}
	return strings.Join(r.Before, ", ") + " → " + strings.Join(r.Images, ", ")
}

func byText(r *replay.Rollout) string {
	text := cmp.Or(r.Who, "-")
	if r.Manager != "" && r.Manager != r.Who {
		text += " via " + r.Manager
	}
	return text
}

// peakText says how many nodes were unavailable at most, of how many, and how many
// may be.
func peakText(r *replay.Rollout) string {
	text := fmt.Sprintf("%d of %d", r.PeakUnavailable, r.Nodes)
	if l := r.Limits.MaxUnavailable; l > 0 {
		text += fmt.Sprintf(", limit %d", l)
	}
	return text
}

func reachedText(all []replay.Reached) string {
	var parts []string
	for _, r := range all {
		parts = append(parts, r.Node+" "+roundly(r.Took))
	}
	return cmp.Or(strings.Join(parts, ", "), "-")
}

// drawWaves draws the waves of both side by side.
func drawWaves(b *strings.Builder, all []replay.WavePair) {
	w := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "WAVE\tNODES A\tB\tAFTER A\tB\tTOOK A\tB\tPEAK A\tB\tFAILED A\tB")
	for _, p := range all[:min(len(all), maxWaves)] {
		fmt.Fprintf(w, "%d", p.Wave)
		for _, of := range []func(*replay.Stretch) string{
			func(x *replay.Stretch) string { return fmt.Sprint(len(x.Nodes)) },
			func(x *replay.Stretch) string { return roundly(x.Offset) },
			func(x *replay.Stretch) string { return spanText(x.Took) },
			func(x *replay.Stretch) string { return fmt.Sprint(x.PeakUnavailable) },
			func(x *replay.Stretch) string { return fmt.Sprint(x.Failures) },
		} {
			for _, side := range []*replay.Stretch{p.A, p.B} {
				text := "-"
				if side != nil {
					text = of(side)
				}
				fmt.Fprintf(w, "\t%s", text)
			}
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // into memory
	if more := len(all) - maxWaves; more > 0 {
		fmt.Fprintf(b, "and %d more; -o json has all\n", more)
	}
}

// spanText is how long something took; nil: it has no end.
func spanText(d *time.Duration) string {
	if d == nil {
		return "no end"
	}
	return roundly(*d)
}

func drawDeparture(b *strings.Builder, d *replay.Departure) {
	if d == nil {
		b.WriteString("first difference  none: every decision is the same\n")
		return
	}
	b.WriteString("first difference\n")
	for _, x := range []struct {
		name string
		of   *replay.Choice
	}{{"A", d.A}, {"B", d.B}} {
		if x.of == nil {
			fmt.Fprintf(b, "  %s  no more decisions\n", x.name)
			continue
		}
		var moves []string
		for _, m := range x.of.Moves {
			moves = append(moves, fmt.Sprintf("%s (%s) on %s", m.Do, m.Reason, someOf(m.Nodes)))
		}
		fmt.Fprintf(b, "  %s  #%d %s  %s", x.name, x.of.Seq, clockText(x.of.Time), strings.Join(moves, "; "))
		if x.of.Budget != (events.Budget{}) {
			fmt.Fprintf(b, "; %s", budgetText(x.of.Budget))
		}
		b.WriteByte('\n')
	}
}
