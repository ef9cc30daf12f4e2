package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/natsd"
	"rollcall/publisher/gate"
)

func (s *session) rejectsCommand() *cobra.Command {
	return s.group("rejects", "See what the gate has refused, and send it again",
		`What a source has told and the gate has refused is kept: with the reason, the headers
(never the token) and the bytes as they came, for seven days and at most 64 MiB, the
oldest out first. The same that is refused again is counted, and gets a new number.

ls and show also read a data directory on which nothing runs.`,
		s.rejectsList(), s.rejectsShow(), s.rejectsRetry(), s.rejectsDrop())
}

// kept are the rejects of a stopped data directory.
type kept []blocks.Message

// Get implements gate.ShelfReader.
func (k kept) Get(_ context.Context, number uint64) (data []byte, ok bool, err error) {
	i := slices.IndexFunc(k, func(m blocks.Message) bool { return m.Seq == number })
	if i < 0 {
		return nil, false, nil
	}
	return k[i].Body, true, nil
}

// Each implements gate.ShelfReader.
func (k kept) Each(_ context.Context, f func(number uint64, data []byte) bool) error {
	for _, m := range k {
		if !f(m.Seq, m.Body) {
			break
		}
	}
	return nil
}

// askRejects asks the gate of the target, or reads the files of a data directory if
// nobody runs on it and nothing is to be done.
func askRejects(ctx context.Context, t *target, q gate.RejectsRequest) (a gate.RejectsAnswer, err error) {
	if err := t.resolve(); err != nil {
		return a, err
	}
	subjects, err := events.NewSubjects(t.cluster)
	if err != nil {
		return a, err
	}
	if t.natsURL == "" && (q.Do == gate.ListRejects || q.Do == gate.ShowRejects) {
		if release, err := natsd.Share(t.data); err == nil {
			defer release()
			ms, err := blocks.Messages(ctx, t.data, subjects.RejectsStream())
			if err != nil {
				return a, err
			}
			return gate.ReadRejects(ctx, kept(ms), q)
		}
	}
	nc, err := t.reach()
	if err != nil {
		return a, err
	}
	defer nc.Close()
	return gate.AskRejects(ctx, nc, subjects, t.user, q)
}

// numbers reads the numbers of rejects.
func numbers(args []string) (ns []uint64, err error) {
	for _, a := range args {
		n, err := strconv.ParseUint(a, 10, 64)
		if err != nil || n == 0 {
			return nil, &events.Error{Code: "E-CLI-NUMBER", What: fmt.Sprintf("%.40q is no number of a reject", a), Do: "take one of rollcall rejects ls", Exit: events.ExitInput}
		}
		ns = append(ns, n)
	}
	return ns, nil
}

func (s *session) rejectsList() *cobra.Command {
	var source string
	c := &cobra.Command{Use: "ls", Short: "List what was refused and why, oldest first", Args: takes(0, 0),
		Example: `  rollcall rejects ls
  rollcall rejects ls --source inventory -o json`}
	t := addSourceTarget(c)
	c.Flags().StringVar(&source, "source", "", "only what this source has sent")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := checkFormat(t.format, answerFormats); err != nil {
			return err
		}
		a, err := askRejects(c.Context(), t.target, gate.RejectsRequest{Do: gate.ListRejects, Source: source})
		if err != nil {
			return err
		}
		return s.document(t.format, a, func() string { return listOfRejects(a) })
	}
	return c
}

func listOfRejects(a gate.RejectsAnswer) string {
	if len(a.Rejects) == 0 {
		return "nothing was refused\n"
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "NUMBER\tSOURCE\tLAST\tCOUNT\tWHY\n")
	for _, r := range a.Rejects {
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\n", r.Number, r.Source, r.Last.Format(time.RFC3339), r.Count, r.Problem.Error())
	}
	_ = w.Flush() // into memory
	if a.More > 0 {
		fmt.Fprintf(&b, "and %d older\n", a.More)
	}
	return b.String()
}

func (s *session) rejectsShow() *cobra.Command {
	c := &cobra.Command{Use: "show NUMBER", Short: "Show what was sent, and what was wrong with it", Args: takes(1, 1), Example: "  rollcall rejects show 1"}
	t := addSourceTarget(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkFormat(t.format, answerFormats); err != nil {
			return err
		}
		ns, err := numbers(args)
		if err != nil {
			return err
		}
		a, err := askRejects(c.Context(), t.target, gate.RejectsRequest{Do: gate.ShowRejects, Numbers: ns})
		if err != nil {
			return err
		}
		return s.document(t.format, a.Rejects[0], func() string { return rejectText(a.Rejects[0]) })
	}
	return c
}

func rejectText(r gate.Reject) string {
	var b strings.Builder
	fmt.Fprintf(&b, "reject %d of source %s, over %s\n  refused    first %s, last %s, %d in all\n  why        %s: %s\n",
		r.Number, r.Source, r.Door, r.First.Format(time.RFC3339), r.Last.Format(time.RFC3339), r.Count, r.Problem.Code, r.Problem.Detail)
	for _, e := range r.Problem.Errors {
		fmt.Fprintf(&b, "             %s\n", e)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		fmt.Fprintf(&b, "  header     %s: %s\n", name, strings.Join(r.Headers[name], ", "))
	}
	fmt.Fprintf(&b, "  sent       %s\n", printable(r.Raw))
	if r.Cut > 0 {
		fmt.Fprintf(&b, "             and %d bytes that were not kept\n", r.Cut)
	}
	return b.String()
}

// printable returns bytes as text that moves no cursor: as they are if they are one
// printable line, else quoted.
func printable(raw []byte) string {
	if q := strconv.Quote(string(raw)); len(q) != len(raw)+2+bytes.Count(raw, []byte(`"`)) {
		return q
	}
	return string(raw)
}

// overRejects is a command that does something with rejects of numbers, or with all.
func (s *session) overRejects(do, use, short, long, example string) *cobra.Command {
	q := gate.RejectsRequest{Do: do}
	c := &cobra.Command{Use: use + " NUMBER... | --all", Short: short, Long: long, Example: example}
	t := addSourceTarget(c)
	c.Flags().BoolVar(&q.All, "all", false, "do it with all, the oldest first")
	c.Flags().StringVar(&q.Source, "source", "", "with --all: with all of this source")
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if err := checkFormat(t.format, answerFormats); err != nil {
			return err
		}
		if q.All == (len(args) > 0) || q.Source != "" && !q.All {
			return usageError("E-CLI-ARGS", use+" takes numbers, or --all with or without --source", "see rollcall rejects ls for numbers")
		}
		if q.Numbers, err = numbers(args); err != nil {
			return err
		}
		a, err := askRejects(c.Context(), t.target, q)
		if err != nil {
			return err
		}
		return s.document(t.format, a, func() string { return doneText(a) })
	}
	return c
}

func doneText(a gate.RejectsAnswer) string {
	var b strings.Builder
	for _, d := range a.Done {
		switch {
		case d.Why != "" && d.Reject != 0:
			fmt.Fprintf(&b, "%d refused again, now %d: %s\n", d.Number, d.Reject, d.Why)
		case d.Why != "":
			fmt.Fprintf(&b, "%d not sent: %s\n", d.Number, d.Why)
		case d.Seq != 0:
			fmt.Fprintf(&b, "%d taken, at #%d\n", d.Number, d.Seq)
		default:
			fmt.Fprintf(&b, "%d dropped\n", d.Number)
		}
	}
	if len(a.Done) == 0 {
		return "there are none\n"
	}
	return b.String()
}

func (s *session) rejectsRetry() *cobra.Command {
	return s.overRejects(gate.RetryRejects, "retry", "Send what was refused again, as its source", `retry sends what was refused through the gate again, as the source that has sent it and
with what that may tell now: after a node was told, a source was let, or rollcall is a
newer one. What is taken is no reject any more.`, `  rollcall rejects retry 1 2
  rollcall rejects retry --all --source inventory`)
}

func (s *session) rejectsDrop() *cobra.Command {
	return s.overRejects(gate.DropRejects, "drop", "Forget what was refused", "drop takes rejects away; nothing of them is left.", `  rollcall rejects drop 3 4
  rollcall rejects drop --all --source inventory`)
}
