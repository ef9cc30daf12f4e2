package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/events"
)

// progressEvery is how long a person waits without asking.
const progressEvery = 2 * time.Second

// Progress tells on standard error, every two seconds, that work is under way
// and how far it is; far may be nil. The function that it returns ends it.
func (s *session) Progress(work string, far func() string) (done func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-time.After(progressEvery):
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

// reading is a log of whose reading the user is told how far it is.
type reading struct {
	*archive
	read atomic.Uint64 // events, of all readings
	done func()
}

// counting tells of the reading of so many events; 0: of as many as it takes.
func (a *archive) counting(work string, all events.Seq) *reading {
	r := &reading{archive: a}
	r.done = a.session.Progress(work, func() string {
		if all == 0 {
			return fmt.Sprintf("%d events", r.read.Load())
		}
		return fmt.Sprintf("%d of %d events", r.read.Load(), all)
	})
	return r
}

// Read implements events.Reader.
func (r *reading) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return r.count(r.archive.Read(ctx, after))
}

// Scan reads without decoding.
func (r *reading) Scan(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return r.count(r.archive.Scan(ctx, after))
}

// Tail implements events.Tailer.
func (r *reading) Tail(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return r.count(r.archive.Tail(ctx, after))
}

func (r *reading) count(es iter.Seq2[events.Event, error]) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		for e, err := range es {
			r.read.Add(1)
			if !yield(e, err) {
				return
			}
		}
	}
}

// Warn tells the user of what is not well and no reason to stop.
func (s *session) Warn(text string) { _, _ = io.WriteString(s.err, "warning: "+text+"\n") }

// Print prints a line of output.
func (s *session) Print(line string) { s.out.printf("%s\n", line) }
