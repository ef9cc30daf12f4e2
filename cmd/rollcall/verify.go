package main

import (
	"context"
	"iter"

	"github.com/spf13/cobra"

	"rollcall/controller/replay"
	"rollcall/events"
)

func (s *session) verifyCommand() *cobra.Command {
	c := &cobra.Command{Use: "verify", Short: "Decide every recorded plan again and compare", Args: takes(0, 0),
		Long: `verify decides every plan of the log again from the state and the time that it was
decided from. It prints how many there are and exits 0 if all come out the same,
else it reports the first difference and exits 1.`}
	t := addTarget(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := t.open(c.Context(), s)
		if err != nil {
			return err
		}
		defer a.close()
		return s.verify(c.Context(), a)
	}
	return c
}

func (s *session) verify(ctx context.Context, a *archive) error {
	info, err := a.Info(ctx)
	if err != nil {
		return err
	}
	p := a.counting("deciding again, reading the log twice", 2*info.Last)
	equal, diff, err := replay.Verify(ctx, countedReader{a, p})
	p.done()
	switch {
	case err != nil:
		return err
	case diff != nil:
		return &events.Error{Code: "E-VERIFY-DIFFERENT", What: "a recorded plan is decided otherwise", Why: diff.String(),
			Do: "use the program that wrote the log, or report a bug", Exit: events.ExitFailure}
	}
	s.out.printf("%s up to #%d decided again, all the same\n", plural(equal, "plan"), info.Last)
	if text := a.checkedText(); text != "" {
		s.out.printf("%s\n", text)
	}
	return nil
}

// countedReader tells how far a log is read.
type countedReader struct {
	events.Reader
	progress *reading
}

// Read implements events.Reader.
func (r countedReader) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		for e, err := range r.Reader.Read(ctx, after) {
			r.progress.at.Add(1)
			if !yield(e, err) {
				return
			}
		}
	}
}
