package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/events"
)

// Progress is told of what takes longer than a person waits without asking.
const (
	firstProgress = 2 * time.Second
	nextProgress  = 2 * time.Second
)

// Progress tells on standard error, from two seconds on, that work is under way
// and how far it is; far may be nil. The function that it returns ends it.
func (s *session) Progress(work string, far func() string) (done func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for wait := firstProgress; ; wait = nextProgress {
			select {
			case <-time.After(wait):
			case <-stop:
				return
			}
			text := work
			if far != nil {
				text += ": " + far()
			}
			fmt.Fprintln(s.err, text)
		}
	}()
	return sync.OnceFunc(func() {
		close(stop)
		<-stopped
	})
}

// reading is the progress of a reader of a log.
type reading struct {
	at   atomic.Uint64
	done func()
}

func (a *archive) counting(work string, last events.Seq) *reading {
	r := &reading{}
	r.done = a.session.Progress(work, func() string { return fmt.Sprintf("%d of %d events", r.at.Load(), last) })
	return r
}

// Warn tells the user of what is not well and no reason to stop.
func (s *session) Warn(text string) { _, _ = io.WriteString(s.err, "warning: "+text+"\n") }

// Print prints a line of output.
func (s *session) Print(line string) { s.out.printf("%s\n", line) }
