package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/term"

	"rollcall/events"
)

// output is standard output. Its first failed write ends the command; later
// writes do nothing. Writes may come from several goroutines.
type output struct {
	w      io.Writer
	cancel context.CancelCauseFunc

	mu  sync.Mutex
	err error
}

func newOutput(w io.Writer, cancel context.CancelCauseFunc) *output {
	return &output{w: w, cancel: cancel}
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(p)
	if err != nil {
		o.err = &events.Error{Code: "E-CLI-OUTPUT", What: "the output cannot be written", Why: err.Error(), Exit: events.ExitFailure, Err: err}
		if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
			o.err = errClosedPipe
		}
		o.cancel(o.err)
		return n, o.err
	}
	return n, nil
}

// printf writes text. A failure is kept for the end of the command.
func (o *output) printf(format string, args ...any) { _, _ = fmt.Fprintf(o, format, args...) }

// failure returns why a write failed, if one did.
func (o *output) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// terminal returns the size of the terminal that w is; ok is false if it is none.
func terminal(w io.Writer) (width, height int, ok bool) {
	if o, is := w.(*output); is {
		w = o.w
	}
	f, is := w.(*os.File)
	if !is || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return 0, 0, false
	}
	width, height, err := term.GetSize(int(f.Fd()))
	return width, height, err == nil && width > 0 && height > 0
}
