package main

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/controller/play"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/files"
	"rollcall/events/recording"
)

// golden is the baseline that is kept in a file beside each recording.
const golden = "golden"

// regressFlags are the flags of regress.
type regressFlags struct {
	baseline, junit, format string
	approve                 bool
	build                   build // the baseline, if it is a program
}

// regressed is how a recording stands with this program.
type regressed struct {
	File     string      `json:"file"`
	Coverage replay.Span `json:"coverage"`
	Plans    int         `json:"plans"`
	Seconds  float64     `json:"seconds"`            // that it took
	Lines    []string    `json:"differences"`        // all of them
	New      []string    `json:"unapproved"`         // of these, what the baseline does not have
	Gone     []string    `json:"stale"`              // what only the baseline has
	Failed   string      `json:"error,omitempty"`    // why it could not be told
	Exit     int         `json:"exitCode,omitempty"` // for that
}

func (s *session) regressCommand() *cobra.Command {
	var o regressFlags
	c := &cobra.Command{Use: "regress FILE...", Short: "Hold this program against recordings of what others decided", Args: takes(1, -1),
		Long: `regress decides every plan of recordings again, as verify does, and holds their logs
against the invariants S1 to S11 and the budget. It tells of every command that comes
in, goes, changes or moves. If there is one, the real controller and simulated kubelets
play the recording on from there, as rollcall whatif does, and regress tells which
rollouts would be faster or slower, take more or fewer pods, and what would be broken.

All of that is compared with what was approved: the lines of NAME.golden beside
NAME.rollcall; --approve writes it, and a file that is not there approves of nothing.
With --baseline PATH another build of this program decides the same file, and only that
differs in which the two do.

It exits 0 if all is as approved, 1 if not, 2 if a recording could not be told about,
3 if one is damaged.`,
		Example: `  rollcall regress incident.rollcall --approve
  rollcall regress incident.rollcall --junit report.xml`}
	f := c.Flags()
	f.StringVar(&o.baseline, "baseline", golden, "what to compare with: golden, or the path of another build of this program")
	o.build.addTimeout(c)
	f.StringVar(&o.junit, "junit", "", "write a report for CI systems to this file")
	f.BoolVar(&o.approve, "approve", false, "write what is found to the golden files")
	f.StringVarP(&o.format, "output", "o", "text", strings.Join(answerFormats[:2], ", "))
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkFormat(o.format, answerFormats[:2]); err != nil {
			return err
		}
		if o.approve && o.baseline != golden {
			return usageError("E-CLI-FLAG", "--approve writes golden files, and --baseline names something else", "give one of them")
		}
		if err := o.build.check(); err != nil {
			return err
		}
		o.build.path = o.baseline
		return s.regress(c.Context(), args, o)
	}
	return c
}

// regress tells of each file; the exit code is that of the worst.
func (s *session) regress(ctx context.Context, paths []string, o regressFlags) error {
	var all []*regressed
	worst, bad := 0, 0
	for _, path := range paths {
		r := &regressed{File: path}
		if err := s.regressFile(ctx, r, o); err != nil {
			if ctx.Err() != nil {
				return err
			}
			r.Failed, r.Exit = err.Error(), events.ExitInput
			if e := new(events.Error); errors.As(err, &e) && e.Exit == events.ExitHalt {
				r.Exit = e.Exit
			}
		} else if !o.approve && len(r.New)+len(r.Gone) > 0 {
			r.Exit = events.ExitFailure
		}
		if worst = max(worst, r.Exit); r.Exit > 0 {
			bad++
		}
		if all = append(all, r); o.format == "text" {
			s.out.printf("%s", r.text(o))
		}
	}
	if o.format == "json" {
		j, err := json.MarshalIndent(map[string]any{"kind": "Regress", "apiVersion": replay.AnswersVersion, "items": all}, "", "  ")
		if err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
		s.out.printf("%s\n", j)
	}
	if o.junit != "" {
		if err := writeJUnit(o.junit, all); err != nil {
			return &events.Error{Code: "E-CLI-FILE", What: "the report cannot be written", Where: o.junit, Why: files.Reason(err), Do: "give a file in a directory that can be written", Exit: events.ExitInput}
		}
	}
	if worst == 0 {
		return nil
	}
	e := &events.Error{Code: "E-REGRESS-DIFFERENT", What: "recordings are not as approved", Why: fmt.Sprintf("%d of %d", bad, len(all)),
		Do: "correct the rule, or approve with --approve what is meant to be", Exit: worst}
	if o.baseline != golden {
		e.What, e.Do = "recordings are not decided as by the other program", "correct the rule, or compare with a build that has it"
	}
	return e
}

// regressFile decides a recording again and compares with the baseline.
func (s *session) regressFile(ctx context.Context, r *regressed, o regressFlags) error {
	rec, err := recording.Open(r.File)
	if err != nil {
		return err
	}
	defer rec.Close()
	if t := rec.Torn(); t != nil {
		return &events.Error{Code: "E-REC-TORN", What: t.String(), Where: r.File, Do: "get another copy of it, if there is one", Exit: events.ExitHalt}
	}
	log := (&archive{history: recordedLog{rec}, rec: recordedLog{rec}, from: rec.Before(), session: s}).counting("deciding "+r.File+" again", 0)
	defer log.done()
	h, err := replay.Open(ctx, log, nil)
	if err != nil {
		return err
	}
	ps, err := properties("", nil)
	if err != nil {
		return err
	}
	begun := time.Now()
	r.Coverage = h.Span()
	if o.baseline != golden {
		err = r.against(ctx, h, ps, o.build)
		r.Seconds = time.Since(begun).Seconds()
		return err
	}
	found, err := h.Regress(ctx, ps)
	if err == nil && found.First != nil && rec.Before().Seq == 0 { // else it cannot be played on
		found.Lines, err = playOn(ctx, h, rec, found)
	}
	if err != nil {
		return err
	}
	r.Plans, r.Lines, r.Seconds = found.Plans, found.Lines, time.Since(begun).Seconds()
	if o.approve {
		return files.Replace(goldenPath(r.File), []byte(goldenText(r.Lines)))
	}
	approved, err := readGolden(goldenPath(r.File))
	r.New, r.Gone = replay.Without(r.Lines, approved), replay.Without(approved, r.Lines)
	return err
}

// against compares with what another rollcall decides of the recording.
func (r *regressed) against(ctx context.Context, h *replay.History, ps replay.Properties, b build) error {
	other, err := b.decide(ctx, r.File, h.Span().Last)
	if err != nil {
		return err
	}
	var this replay.Account
	if err := h.Say(ctx, ps, this.Take); err != nil {
		return err
	}
	c := replay.CompareAccounts(&this, other)
	r.Plans, r.New, r.Gone = c.Plans, slices.Concat(c.Lines(), c.Came), c.Went
	r.Lines = r.New
	return nil
}

// playOn adds what becomes of a recorded history when it goes on from the first
// plan that is decided otherwise.
func playOn(ctx context.Context, h *replay.History, rec *recording.Recording, found replay.Regression) ([]string, error) {
	subjects, err := events.NewSubjects(rec.Manifest().Cluster)
	if err != nil {
		return nil, err
	}
	w, err := play.NewWhatIf(ctx, rec, subjects, play.Question{From: found.First.Seq, Longer: time.Hour})
	if err != nil {
		return nil, err
	}
	p, err := w.Play(ctx, 1)
	if err != nil {
		return nil, err
	}
	pairs, err := w.Pairs(ctx, p.Log)
	if err != nil {
		return nil, err
	}
	lines := found.Lines
	for _, pair := range pairs {
		lines = append(lines, pairLines(pair)...)
	}
	ps, err := properties("", nil)
	if err != nil {
		return nil, err
	}
	model, err := replay.Open(ctx, p.Log, nil)
	if err != nil {
		return nil, err
	}
	checked, err := model.Check(ctx, ps, found.First.Seq, model.Span().Last)
	if err != nil {
		return nil, err
	}
	return append(lines, brokenLines(checked.Broken)...), nil
}

// brokenLines says which invariants the model breaks, where first, and how often.
func brokenLines(all []replay.Broken) (lines []string) {
	times := map[string]int{}
	for _, b := range all {
		times[b.Invariant]++
	}
	for _, b := range all {
		if n := times[b.Invariant]; n > 0 {
			lines = append(lines, fmt.Sprintf("played on: breaks %s, %d times", b, n))
			times[b.Invariant] = 0
		}
	}
	return lines
}

// modelDiffers is how much a rollout that is played again may last longer or
// shorter by itself: its pods take as long as pods took, and not each as it did.
const modelDiffers = 2 * time.Second

// pairLines says in what a rollout would be another, a line each.
func pairLines(p play.Pair) (lines []string) {
	say := func(format string, args ...any) {
		lines = append(lines, fmt.Sprintf("played on: %s: ", cmp.Or(p.Recorded, p.Model))+fmt.Sprintf(format, args...))
	}
	was, is := p.Recorded, p.Model
	if was == nil || is == nil {
		say("took %s, would take %s", tookText(was), tookText(is))
		return lines
	}
	ended := was.End.Seq > 0 && is.End.Seq > 0
	longer := is.End.Time.Sub(is.Start.Time) - was.End.Time.Sub(was.Start.Time)
	switch {
	case !ended && was.End.Seq+is.End.Seq > 0:
		say("took %s, would take %s", tookText(was), tookText(is))
	case ended && longer > modelDiffers:
		say("slower: took %s, would take %s", tookText(was), tookText(is))
	case ended && longer < -modelDiffers:
		say("faster: took %s, would take %s", tookText(was), tookText(is))
	}
	for _, n := range []struct {
		what    string
		was, is int
	}{{"pods restarted", was.Restarted, is.Restarted}, {"peak unavailable", was.PeakUnavailable, is.PeakUnavailable}} {
		if n.was != n.is {
			say("%d %s, would be %d", n.was, n.what, n.is)
		}
	}
	return lines
}

// text is what regress prints of a recording.
func (r *regressed) text(o regressFlags) string {
	var b strings.Builder
	if r.Failed != "" {
		return fmt.Sprintf("failed     %s: %s\n", r.File, r.Failed)
	}
	word := "same"
	switch {
	case o.approve:
		word = "approved"
	case r.Exit > 0:
		word = "different"
	}
	took := fmt.Sprintf("%.2fs", r.Seconds)
	span := r.Coverage
	fmt.Fprintf(&b, "%-10s %s: %s of #%d to #%d, %s; %s; %s\n", word, r.File, plural(r.Plans, "plan"), span.First, span.Last,
		span.To.Sub(span.From).Round(time.Millisecond), plural(len(r.Lines), "difference"), took)
	for _, l := range r.New {
		fmt.Fprintf(&b, "   + %s\n", l)
	}
	for _, l := range r.Gone {
		fmt.Fprintf(&b, "   - %s\n", l)
	}
	return b.String()
}

// goldenPath is where the approved differences of a recording are.
func goldenPath(path string) string { return strings.TrimSuffix(path, ".rollcall") + ".golden" }

// goldenComment begins the lines of a golden file that are no differences.
const goldenComment = "#"

func goldenText(lines []string) string {
	return goldenComment + " what may differ, as rollcall regress --approve has written it\n" + strings.Join(append(slices.Clone(lines), ""), "\n")
}

// readGolden reads the approved differences; none if there is no file.
func readGolden(path string) (lines []string, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &events.Error{Code: "E-CLI-FILE", What: "the approved differences cannot be read", Where: path, Why: files.Reason(err), Do: "mend the file, or remove it", Exit: events.ExitInput}
	}
	for l := range strings.Lines(string(b)) {
		if l = strings.TrimRight(l, "\r\n"); l != "" && !strings.HasPrefix(l, goldenComment) {
			lines = append(lines, l)
		}
	}
	return lines, nil
}

// The report that CI systems read.
type (
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Seconds float64  `xml:"time,attr"`
		Failure *junitBy `xml:"failure"`
		Error   *junitBy `xml:"error"`
	}
	junitBy struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

func writeJUnit(path string, all []*regressed) error {
	suite := junitSuite{Name: "rollcall regress", Tests: len(all)}
	for _, r := range all {
		c := junitCase{Name: r.File, Class: "rollcall.regress", Seconds: r.Seconds}
		switch {
		case r.Failed != "":
			suite.Errors++
			c.Error = &junitBy{Message: r.Failed}
		case r.Exit > 0:
			suite.Failures++
			c.Failure = &junitBy{Message: plural(len(r.New)+len(r.Gone), "difference") + " not approved", Text: r.text(regressFlags{})}
		}
		suite.Cases = append(suite.Cases, c)
	}
	b, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return err
	}
	return files.Replace(path, append([]byte(xml.Header), append(b, '\n')...))
}
