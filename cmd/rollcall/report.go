package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"rollcall/events"
)

// exitInterrupted is the exit code of a command that was stopped by Ctrl-C.
const exitInterrupted = 128 + int(syscall.SIGINT)

// errClosedPipe ends a command whose reader has gone away.
var errClosedPipe = errors.New("the reader of the output has gone")

// report writes err, with which a command of ctx has ended, as one line and
// returns the exit code. Who has closed the output, or stopped the command,
// knows why it ended.
func report(ctx context.Context, stderr io.Writer, err error) int {
	var e *events.Error
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errClosedPipe), errors.Is(err, errDiffers), errors.Is(err, errBroken), errors.Is(err, errNothing), errors.Is(err, errInvalid):
		return events.ExitFailure
	case errors.As(err, &e):
		for _, e := range everyRefusal(err) {
			fmt.Fprintln(stderr, "error: "+e.Error())
		}
		if e.Exit == 0 {
			return events.ExitFailure
		}
		return e.Exit
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "error: E-CLI-STOPPED: stopped before it was done")
		if by := (stoppedBy{}); errors.As(context.Cause(ctx), &by) {
			return by.exit()
		}
		return exitInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintln(stderr, (&events.Error{Code: "error: E-CLI-TIMEOUT", What: err.Error()}).Error())
		return events.ExitTimeout
	}
	fmt.Fprintln(stderr, (&events.Error{Code: "error: E-CLI-FAILED", What: err.Error()}).Error())
	return events.ExitFailure
}

// everyRefusal returns every refusal in an error: a file can have several mistakes.
func everyRefusal(err error) (all []*events.Error) {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range list.Unwrap() {
			all = append(all, everyRefusal(err)...)
		}
		return all
	}
	if e := new(events.Error); errors.As(err, &e) {
		all = append(all, e)
	}
	return all
}
