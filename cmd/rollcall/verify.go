package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector/story"
)

func (s *session) verifyCommand() *cobra.Command {
	c := &cobra.Command{Use: "verify", Short: "Decide every recorded plan again and compare", Args: takes(0, 0),
		Long: `verify decides every plan of the log again from the state and the time that it was
decided from, and goes on after a difference from what the log says. It prints how
many there are and exits 0 if all come out the same, else it lists the differences
and exits 1. A plan that is quarantined, because it is a copy or forged, is a
difference; other events that are quarantined are listed and are none.`}
	t := addTarget(c)
	t.addRecording(c)
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
	r, err := replay.Verify(ctx, p)
	p.done()
	if err != nil {
		return err
	}
	err = s.verified(r, info.Last)
	if text := a.checkedText(); text != "" {
		s.out.printf("%s\n", text)
	}
	return err
}

// maxVerified is how many differences, and how many quarantined events, verify
// prints.
const maxVerified = 20

// verified prints what came of it.
func (s *session) verified(r replay.Report, last events.Seq) error {
	for _, q := range r.Passed[:min(len(r.Passed), maxVerified)] {
		s.out.printf("%s\n", story.Quarantined(q.Seq, q.Type, q.Ref, q.Code, q.Why))
	}
	if more := r.Quarantined - min(len(r.Passed), maxVerified); more > 0 {
		s.out.printf("and %s more quarantined; rollcall log shows them\n", plural(more, "event"))
	}
	if len(r.Differences) == 0 {
		s.out.printf("%s up to #%d decided again, all the same\n", plural(r.Equal, "plan"), last)
		return nil
	}
	for _, d := range r.Differences[:min(len(r.Differences), maxVerified)] {
		s.out.printf("%s\n", d)
	}
	if more := len(r.Differences) - maxVerified; more > 0 {
		s.out.printf("and %d more\n", more)
	}
	why := fmt.Sprintf("%d of %d, the first: %s", len(r.Differences), r.Equal+len(r.Differences), r.First())
	return &events.Error{Code: "E-VERIFY-DIFFERENT", What: "recorded plans are decided otherwise", Why: why,
		Do: "use the program that wrote the log, or report a bug; a quarantined plan was not decided by a controller: see rollcall log", Exit: events.ExitFailure}
}
