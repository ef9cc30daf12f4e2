package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/projector"
	"rollcall/projector/story"
)

func (s *session) verifyCommand() *cobra.Command {
	var b build
	c := &cobra.Command{Use: "verify", Short: "Decide every recorded plan again and compare", Args: takes(0, 0),
		Long: `verify reads the whole log and decides every plan of it again from the state and the
time that it was decided from, and goes on after a difference from what the log says.
It prints how many there are and exits 0 if all come out the same, else it lists the
differences, shows both sides of the first, and exits 1. A plan that is quarantined,
because it is a copy or forged, is a difference; other events that are quarantined are
listed and are none. The keyframes that are kept beside the log are held against the
states that the log gives, and exit 1 if one is wrong.

--build PATH has another build of this program decide the same log, and compares its
decisions and its states with those of this one. It is given a recording of the log,
and asked for what -o decisions prints: a line of JSON for each plan, for some states
and for each invariant that is broken.`,
		Example: `  rollcall verify
  rollcall verify --rec incident.rollcall -o json
  rollcall verify --build ./rollcall-of-last-week`}
	q := addQuestion(c, decisionsFormat)
	c.Flags().StringVar(&b.path, "build", "", "path of another build of this program, which decides the same log")
	b.addTimeout(c)
	q.target.whole = true
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := b.check(); err != nil {
			return err
		}
		if b.path != "" && q.format == decisionsFormat {
			return usageError("E-CLI-FLAG", "-o decisions is what this program decides, and --build compares", "leave one of them out")
		}
		return s.ask(c.Context(), q, func(x *asked) error { return s.verify(c.Context(), x, q.target.cluster, b) })
	}
	return c
}

// verified is the answer of verify.
type verified struct {
	Plans       int                     `json:"plans"`
	Same        int                     `json:"same"` // of them, that are decided again byte for byte
	Differences []*replay.Difference    `json:"differences"`
	First       *replay.Sides           `json:"first,omitempty"` // both sides of the first
	Quarantined int                     `json:"quarantined"`     // events that are, and are no plans
	Passed      []projector.Quarantined `json:"quarantinedEvents,omitempty"`
	Clear       int                     `json:"clearSecretValues"` // that stand in the log
	Chain       string                  `json:"chain"`             // over all events
	Build       *otherBuild             `json:"build,omitempty"`

	Keyframes replay.CheckedKeyframes `json:"keyframes"` // that are kept beside the log
}

func (s *session) verify(ctx context.Context, x *asked, cluster string, b build) error {
	if x.format == decisionsFormat {
		return s.say(ctx, x)
	}
	r, err := x.Verify(ctx)
	if err == nil {
		err = x.log.chained(r.End)
	}
	if err != nil {
		return err
	}
	a := &verified{Plans: r.Equal + len(r.Differences), Same: r.Equal, Differences: r.Differences, Quarantined: r.Quarantined, Passed: r.Passed, Clear: r.Clear,
		Chain: hex.EncodeToString(r.End.Chain[:])}
	if a.Differences == nil {
		a.Differences = []*replay.Difference{}
	}
	if d := r.First(); d != nil {
		if a.First, err = x.Sides(ctx, d); err != nil {
			return err
		}
	}
	if b.path != "" {
		if a.Build, err = s.compareBuild(ctx, x, cluster, b); err != nil {
			return err
		}
	}
	if a.Keyframes, err = x.checkKeyframes(ctx); err != nil {
		return err
	}
	text := func() string {
		t := a.text(x) + keyframesText(a.Keyframes) + a.Build.text(b.path)
		if checked := x.log.checkedText(); checked != "" && (x.log.rec == nil || x.log.rec.redacted() != "") {
			t += checked + "\n"
		}
		return t
	}
	if err := x.give("Verify", []*verified{a}, text); err != nil {
		return err
	}
	switch {
	case r.First() != nil:
		why := fmt.Sprintf("%d of %d, the first: %s", len(r.Differences), a.Plans, r.First())
		return &events.Error{Code: "E-VERIFY-DIFFERENT", What: "recorded plans are decided otherwise", Why: why,
			Do: "use the program that wrote the log, or report a bug; a quarantined plan was not decided by a controller: see rollcall log", Exit: events.ExitFailure}
	case a.Build != nil && a.Build.Differ():
		return errBroken
	case len(a.Keyframes.Wrong) > 0:
		w := a.Keyframes.Wrong[0]
		return &events.Error{Code: "E-VERIFY-KEYFRAME", What: fmt.Sprintf("the keyframe of position %d is wrong", w.Seq), Why: w.Why,
			Do: "stop the instance and remove the keyframes, as docs/OPERATIONS.md says: the log is whole, and others are made", Exit: events.ExitFailure}
	}
	return nil
}

// say prints what this program decides, for another to compare.
func (s *session) say(ctx context.Context, x *asked) error {
	ps, err := properties("", nil)
	if err != nil {
		return err
	}
	return x.Say(ctx, ps, func(line replay.Said) error {
		j, err := json.Marshal(line)
		if err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
		s.out.printf("%s\n", j)
		return s.out.failure()
	})
}

// chained holds the end of a log that was read whole against what a recording says
// of it.
func (a *archive) chained(end chain.Position) error {
	if a.rec == nil || a.rec.torn() != nil {
		return nil
	}
	if want := a.rec.last(); want.Seq == end.Seq && want.Chain != end.Chain {
		return &events.Error{Code: "E-REC-DAMAGED", What: "the chain over the events is not that of the recording", Where: a.dir,
			Why: fmt.Sprintf("it is %x at #%d", end.Chain, end.Seq), Do: "make the recording again from the log, or get another copy of it", Exit: events.ExitHalt}
	}
	return nil
}

// maxVerified is how many differences, and how many quarantined events, verify
// prints.
const maxVerified = 20

// text is what verify prints.
func (a *verified) text(x *asked) string {
	var b strings.Builder
	for _, q := range a.Passed[:min(len(a.Passed), maxVerified)] {
		fmt.Fprintf(&b, "%s\n", story.Quarantined(q.Seq, q.Type, q.Ref, q.Code, q.Why))
	}
	if more := a.Quarantined - min(len(a.Passed), maxVerified); more > 0 {
		fmt.Fprintf(&b, "and %s more quarantined; rollcall log shows them\n", plural(more, "event"))
	}
	span := x.Span()
	if len(a.Differences) == 0 {
		fmt.Fprintf(&b, "%s up to #%d decided again, all the same\n", plural(a.Same, "plan"), span.Last)
	}
	b.WriteString(differencesText(a.Differences))
	if a.First != nil {
		b.WriteString(sidesText(a.First, "RECORDED", "DECIDED NOW"))
	}
	fmt.Fprintf(&b, "no gap from #%d to #%d, chain %s", span.First, span.Last, a.Chain)
	if x.log.rec != nil && x.log.rec.torn() == nil && x.log.rec.last().Seq == span.Last {
		b.WriteString(", as the recording has it")
	}
	b.WriteByte('\n')
	if a.Clear > 0 {
		fmt.Fprintf(&b, "%s in clear in the log, as before they were sealed: whoever reads it can read them\n", stand(a.Clear))
	}
	return b.String()
}

// stand says how many values of Secrets stand somewhere.
func stand(n int) string {
	if n == 1 {
		return "1 value of a Secret stands"
	}
	return fmt.Sprintf("%d values of Secrets stand", n)
}

func differencesText(all []*replay.Difference) string {
	var b strings.Builder
	for _, d := range all[:min(len(all), maxVerified)] {
		fmt.Fprintf(&b, "%s\n", d)
	}
	if more := len(all) - maxVerified; more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	return b.String()
}

// sidesText shows two plans side by side.
func sidesText(x *replay.Sides, was, is string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "the first, plan #%d", x.Seq)
	if x.Owner != (events.Ref{}) {
		fmt.Fprintf(&b, " for %s", story.Name(x.Owner))
	}
	if x.Says != "" {
		fmt.Fprintf(&b, ": %s\n", x.Says)
		return b.String()
	}
	fmt.Fprintf(&b, ", decided from #%d at %s; %s on both sides\n", x.Basis.Seq, clockText(x.Basis.Now), plural(x.Same, "command"))
	w := tabwriter.NewWriter(&b, 0, 8, 3, ' ', 0)
	fmt.Fprintf(w, "   %s\t%s\n", was, is)
	for _, r := range x.Rows[:min(len(x.Rows), maxVerified)] {
		fmt.Fprintf(w, "   %s\t%s", rowText(r.Was), rowText(r.Is))
		if r.Why != "" {
			fmt.Fprintf(w, "\t%s", r.Why)
		}
		fmt.Fprintln(w)
	}
	if more := len(x.Rows) - maxVerified; more > 0 {
		fmt.Fprintf(w, "   and %d more\n", more)
	}
	if x.Was != x.Is {
		fmt.Fprintf(w, "   %s\t%s\n", numbersText(x.Was), numbersText(x.Is))
	}
	_ = w.Flush() // into memory
	if x.Other != "" {
		fmt.Fprintf(&b, "   %s\n", x.Other)
	}
	return b.String()
}

// numbersText is a budget, or that there is none.
func numbersText(b events.Budget) string {
	if b == (events.Budget{}) {
		return "no rollout"
	}
	return budgetText(b)
}

func rowText(c *events.Command) string {
	if c == nil {
		return "-"
	}
	return c.String()
}
