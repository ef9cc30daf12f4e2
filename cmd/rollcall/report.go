package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"rollcall/events"
)

// errHelpShown ends a command that had nothing to do and has said so.
var errHelpShown = errors.New("help was shown")

// errClosedPipe ends a command whose reader has gone away.
var errClosedPipe = errors.New("the reader of the output has gone")

// report writes err as one line and returns the exit code. Who has closed the
// output, or stopped the command, knows why it ended.
func report(stderr io.Writer, err error) int {
	var e *events.Error
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errHelpShown):
		return events.ExitInput
	case errors.Is(err, errClosedPipe):
		return events.ExitFailure
	case errors.As(err, &e):
		fmt.Fprintln(stderr, "error: "+e.Error())
		if e.Exit == 0 {
			return events.ExitFailure
		}
		return e.Exit
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "error: E-CLI-STOPPED: stopped before it was done")
		return events.ExitFailure
	}
	fmt.Fprintln(stderr, "error: E-CLI-FAILED: "+strings.Join(strings.Fields(err.Error()), " "))
	return events.ExitFailure
}
