package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/manifest"
	"rollcall/controller/play"
	"rollcall/controller/replay"
	"rollcall/events"
)

// whatIfFlags are the flags of whatif.
type whatIfFlags struct {
	sets, without []string
	inserts       []string
	from          string
	runs          int
	seed          int64
	longer        time.Duration
}

func (s *session) whatIfCommand() *cobra.Command {
	var o whatIfFlags
	c := &cobra.Command{Use: "whatif", Short: "Play the history again with something changed, and compare", Args: takes(0, 0),
		Long: `whatif copies the log up to the first event that a change touches, and from there on
runs the controller, the executor and simulated kubelets in played time. What came
from outside happens again when it happened; pods take as long as this history shows
for their images on their node, else for their images, else for all. Nothing is
written. Both are printed side by side: how rollouts went, and would have gone.

--set gives a DaemonSet a field: maxUnavailable, maxSurge, minReadySeconds,
updateStrategy, annotations.KEY or a path that begins with spec. It always has had
that value, or with --from since that instant. --without leaves out an event from
outside. --insert applies a manifest at an instant: its objects become what it says, and
what it does not say stays. With none of these the record is reproduced, and goes on
after its end.

Only simulated nodes are played: of others, what they said is heard
again. A write whose object is not there in the model is skipped, and counted.

` + replay.InstantForms,
		Example: `  rollcall whatif --set ds/default/nginx-daemonset.maxUnavailable=10% --runs 3
  rollcall whatif --from 'rollout/nginx-daemonset#1:start' --set ds/default/nginx-daemonset.annotations.rollcall/paused=true
  rollcall whatif --insert 'example:fluentd@rollout/nginx-daemonset#1:end'`}
	q := addQuestion(c)
	f := c.Flags()
	f.StringArrayVar(&o.sets, "set", nil, "what a DaemonSet has otherwise, ds/NAMESPACE/NAME.FIELD=VALUE; may be given several times")
	f.StringArrayVar(&o.without, "without", nil, "event from outside that does not happen, #POSITION or @ID; may be given several times")
	f.StringArrayVar(&o.inserts, "insert", nil, "manifest that is applied besides, FILE@INSTANT, or FILE at --from or the end of the log; may be given several times")
	f.StringVar(&o.from, "from", "", "instant from which on the model runs and --set holds (default: the first event that is touched)")
	f.IntVar(&o.runs, "runs", 1, "how often to play, with other delays each time, up to 1000")
	f.Int64Var(&o.seed, "seed", 1, "of the delays")
	f.DurationVar(&o.longer, "for", time.Hour, "how long at most to go on after the end of the log, for rollouts to end")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if o.runs < 1 || o.runs > 1000 {
			return usageError("E-CLI-FLAG", fmt.Sprintf("--runs cannot be %d", o.runs), "give 1 to 1000")
		}
		if o.longer < 0 || o.longer > 24*time.Hour {
			return &events.Error{Code: "E-CLI-DURATION", What: o.longer.String() + " cannot be how long to go on", Where: "--for", Do: "give 0s to 24h", Exit: events.ExitInput}
		}
		return s.ask(c.Context(), q, func(x *asked) error { return s.whatIf(c.Context(), x, q.target, o) })
	}
	return c
}

// moment finds an instant that a flag gives.
func (x *asked) moment(ctx context.Context, flag, text string) (m replay.Moment, err error) {
	at, err := replay.ParseInstant(text, time.Now())
	if err == nil {
		m, err = x.find(ctx, at)
	}
	return m, of(flag, err)
}

// insertions reads the manifests that are applied, and what the cluster of then
// makes of them.
func (s *session) insertions(ctx context.Context, x *asked, t *target, o whatIfFlags) (all []play.Insert, err error) {
	for _, text := range o.inserts {
		file, at, given := strings.Cut(text, "@")
		if !given {
			at = cmp.Or(o.from, "now")
		}
		m, err := x.moment(ctx, "--insert", at)
		if err != nil {
			return nil, err
		}
		docs, err := manifest.Read(ctx, manifest.Sources{Files: []string{file}, Stdin: s.in})
		if err != nil {
			return nil, err
		}
		r, err := s.rehearse(ctx, t, m.Seq, "", docs)
		if err != nil {
			return nil, err
		}
		for _, i := range r.intents {
			if i.Changes() {
				all = append(all, play.Insert{Intent: i, At: m})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b play.Insert) int { return cmp.Compare(a.At.Seq, b.At.Seq) })
	return all, nil
}

// question reads what is to be otherwise.
func (o *whatIfFlags) question(ctx context.Context, x *asked) (q play.Question, err error) {
	q.Longer = o.longer
	for _, text := range o.sets {
		set, err := play.ParseSet(strings.TrimPrefix(text, "ds/"), "default")
		if err != nil {
			return q, &events.Error{Code: "E-WHATIF-SET", What: fmt.Sprintf("%q cannot be set", text), Where: "--set", Why: err.Error(),
				Do: "write ds/NAMESPACE/NAME.FIELD=VALUE, as rollcall whatif --help has it", Exit: events.ExitInput}
		}
		q.Sets = append(q.Sets, set)
	}
	for _, text := range o.without {
		m, err := x.moment(ctx, "--without", text)
		if err != nil {
			return q, err
		}
		q.Without = append(q.Without, m.Seq)
	}
	if o.from != "" {
		m, err := x.moment(ctx, "--from", o.from)
		if err != nil {
			return q, err
		}
		q.From = m.Seq
	}
	return q, nil
}

// whatIfAnswer is an answer as text.
type whatIfAnswer struct{ *play.Answer }

func (s *session) whatIf(ctx context.Context, x *asked, t *target, o whatIfFlags) error {
	subjects, err := events.NewSubjects(t.cluster)
	if err != nil {
		return err
	}
	q, err := o.question(ctx, x)
	if err != nil {
		return err
	}
	if q.Inserts, err = s.insertions(ctx, x, t, o); err != nil {
		return err
	}
	runs := play.Runs{N: o.runs, Seed: o.seed}
	var done func()
	runs.Played, done = s.playing(x, o.runs)
	defer done()
	played, err := play.Ask(ctx, x.log, subjects, q, slices.Concat(o.sets, o.without, o.inserts), runs)
	done()
	if err != nil {
		return err
	}
	a := &whatIfAnswer{played}
	return x.give("WhatIf", []*play.Answer{played}, func() string { return a.text(x) })
}

// playing tells how far runs are, from the first event that is played on, when the
// reading of the log has nothing more to tell.
func (s *session) playing(x *asked, runs int) (played func(run int, e events.Event), done func()) {
	var at atomic.Pointer[string]
	stop := func() {}
	return func(run int, e events.Event) {
		text := fmt.Sprintf("run %d of %d, at #%d, %s", run+1, runs, e.Seq, clockText(e.Stored))
		if at.Swap(&text) == nil {
			x.log.done()
			stop = s.Progress("playing", func() string { return *at.Load() })
		}
	}, func() { stop() }
}

// took says how long a rollout takes in the runs: that of the first, and the
// shortest and the longest of several.
func (a *whatIfAnswer) took(rollout int) string {
	var all []time.Duration
	for _, run := range a.Runs {
		if d := run[rollout]; d != nil {
			all = append(all, *d)
		}
	}
	if len(a.Runs) == 1 || len(all) == 0 {
		return tookText(a.Rollouts[rollout].Model)
	}
	slices.Sort(all)
	text := fmt.Sprintf("%s (%s to %s)", roundly(all[len(all)/2]), roundly(all[0]), roundly(all[len(all)-1]))
	if n := len(a.Runs) - len(all); n > 0 {
		text += fmt.Sprintf(", no end in %d", n)
	}
	return text
}

func roundly(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }

func tookText(r *replay.Rollout) string {
	switch {
	case r == nil:
		return "-"
	case r.End.Seq == 0:
		return "no end"
	}
	return roundly(r.End.Time.Sub(r.Start.Time))
}

// text is what whatif prints.
func (a *whatIfAnswer) text(x *asked) string {
	var b strings.Builder
	last := x.Span().Last
	if a.Fork > last {
		fmt.Fprintf(&b, "recorded   to #%d: nothing in it is touched; after that the model\n", last)
	} else {
		fmt.Fprintf(&b, "recorded   to #%d, from there on the model: %s from outside happened again, %d skipped\n", a.Fork-1, plural(a.Applied, "event"), a.Skipped)
	}
	if a.Inserted > 0 {
		fmt.Fprintf(&b, "inserted   %s\n", plural(a.Inserted, "object"))
	}
	fmt.Fprintf(&b, "delays     as seen here: %d to bind, %d to start, %d to stop\n", a.Delays["bind"], a.Delays["start"], a.Delays["stop"])
	for i, p := range a.Rollouts {
		w := tabwriter.NewWriter(&b, 0, 8, 3, ' ', 0)
		head := "MODEL"
		if n := len(a.Runs); n > 1 {
			head = fmt.Sprintf("MODEL, %d runs", n)
		}
		fmt.Fprintf(w, "\n%s\tRECORDED\t%s\n", cmp.Or(p.Recorded, p.Model), head)
		row := func(name string, of func(*replay.Rollout) string) {
			fmt.Fprintf(w, "  %s\t%s\t%s\n", name, whereThere(p.Recorded, of), whereThere(p.Model, of))
		}
		row("state", func(r *replay.Rollout) string { return cmp.Or(string(r.Ending), "RollingOut") })
		fmt.Fprintf(w, "  took\t%s\t%s\n", tookText(p.Recorded), a.took(i))
		row("waves", func(r *replay.Rollout) string { return fmt.Sprint(len(r.Waves)) })
		row("pods restarted", func(r *replay.Rollout) string { return fmt.Sprint(r.Restarted) })
		row("peak unavailable", func(r *replay.Rollout) string { return fmt.Sprintf("%d of %d", r.PeakUnavailable, r.Nodes) })
		_ = w.Flush() // into memory
	}
	fmt.Fprintf(&b, "\nslowest nodes     recorded: %s\n                  model:    %s\n", slowText(a.Slowest), slowText(a.ModelSlowest))
	switch d := a.FirstDifference; {
	case d == nil:
		fmt.Fprintf(&b, "first difference  none: every recorded plan is decided in the model\n")
	case d.Model.Seq == 0:
		fmt.Fprintf(&b, "first difference  #%d %s: %s\n", d.Recorded.Seq, clockText(d.Recorded.Time), d.What)
	default:
		fmt.Fprintf(&b, "first difference  #%d %s, in the model #%d %s: %s\n", d.Recorded.Seq, clockText(d.Recorded.Time), d.Model.Seq, clockText(d.Model.Time), d.What)
	}
	return b.String()
}

func whereThere(r *replay.Rollout, of func(*replay.Rollout) string) string {
	if r == nil {
		return "-"
	}
	return of(r)
}

func slowText(all []play.Slow) string {
	var parts []string
	for _, s := range all {
		parts = append(parts, s.String())
	}
	return cmp.Or(strings.Join(parts, ", "), "none was without a pod")
}
