package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"rollcall/controller/replay"
	"rollcall/events"
)

var answerFormats = []string{"text", "json", "yaml"}

// question is what all questions to the log have in common.
type question struct {
	target *target
	at     string
	flag   string // that says at; empty: --at
	format string
	more   []string // formats besides answerFormats
}

// addQuestion gives a command the flags of a question, and formats of its own
// besides those of all answers.
func addQuestion(c *cobra.Command, more ...string) *question {
	q := &question{target: addTarget(c), more: more}
	q.target.addRecording(c)
	c.Flags().StringVarP(&q.format, "output", "o", "text", strings.Join(slices.Concat(answerFormats, more), ", "))
	return q
}

// addAt gives a question an instant.
func (q *question) addAt(c *cobra.Command) {
	c.Flags().StringVar(&q.at, "at", "", "instant that is asked about (default: the end of the log)")
}

// asked is a log that is asked something.
type asked struct {
	*replay.History
	log    *reading
	format string
	out    *output
	at     replay.Moment // that is asked about
}

// ask opens the log and answers from it.
func (s *session) ask(ctx context.Context, q *question, answer func(*asked) error) error {
	if err := checkFormat(q.format, slices.Concat(answerFormats, q.more)); err != nil {
		return err
	}
	at, err := q.instant(q.at)
	if err != nil {
		return of(cmp.Or(q.flag, "--at"), err)
	}
	a, err := q.target.open(ctx, s)
	if err != nil {
		return err
	}
	defer a.close()
	defer allowGarbage()()
	x := &asked{log: a.counting("reading the log", 0), format: q.format, out: s.out}
	defer x.log.done()
	if err := x.open(ctx); err != nil {
		return err
	}
	if x.Span().Last == 0 {
		return a.noEvents()
	}
	if x.at, err = x.find(ctx, at); err != nil {
		return of(cmp.Or(q.flag, "--at"), err)
	}
	return answer(x)
}

// checkFormat refuses a value of --output that is none of those known.
func checkFormat(format string, known []string) error {
	if slices.Contains(known, format) {
		return nil
	}
	return &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("unknown format %q", format), Where: "--output",
		Do: events.Suggest(format, known, "choose from "+strings.Join(known, ", ")), Exit: events.ExitInput}
}

// open opens the history of the log as far as it goes now.
func (x *asked) open(ctx context.Context) error {
	frames, err := x.log.keyframes(ctx)
	if err == nil {
		x.History, err = replay.Open(ctx, x.log, frames)
	}
	return err
}

// instant reads an instant; empty: the end of the log.
func (q *question) instant(text string) (replay.Instant, error) {
	if text == "" {
		return replay.Instant{}, nil
	}
	return replay.ParseInstant(text, time.Now())
}

// keyframesBound bounds what a question keeps of states that it has passed.
const keyframesBound = 64 << 20

// find returns where an instant is.
func (x *asked) find(ctx context.Context, at replay.Instant) (m replay.Moment, err error) {
	if at, err = x.Locate(ctx, at); err == nil {
		at, err = x.log.locate(ctx, at)
	}
	if err != nil {
		return m, err
	}
	return at.Find(ctx, beginning{x.log.archive}, x.Span().Last)
}

// give prints an answer: as text, with a line on what was covered, or as a
// document.
func (x *asked) give(kind string, items any, text func() string) error {
	x.log.done()
	if x.format == "text" {
		x.out.printf("%s%s\n", text(), x.covered())
		return nil
	}
	j, err := json.MarshalIndent(replay.NewAnswer(kind, x.at, x.Span(), items), "", "  ")
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	if x.format == "yaml" {
		if j, err = yaml.JSONToYAML(j); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
	}
	x.out.printf("%s\n", strings.TrimSuffix(string(j), "\n"))
	return nil
}

// covered says what an answer is about.
func (x *asked) covered() string {
	span := x.Span()
	return fmt.Sprintf("at %s; the log goes from #%d to #%d, %s", x.at, span.First, span.Last, span.To.Sub(span.From).Round(time.Millisecond))
}
