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

// How often the user is told of progress on a terminal: once that has taken a
// moment, by a line that is drawn anew.
const (
	progressAfter = 500 * time.Millisecond
	progressDraw  = 200 * time.Millisecond
)

// progressEvery is how often a line is written elsewhere than on a terminal. It is
// no constant, since what a test reads must not depend on how busy the machine is.
var progressEvery = 2 * time.Second

// clearLine takes the line off a terminal on which the cursor stands.
const clearLine = "\r\x1b[K"

// Progress tells on standard error that work is under way and how far it is; far
// may be nil. On a terminal nothing of it is left when the function that it returns
// ends it. Elsewhere it tells nothing, unless the session has lines.
func (s *session) Progress(work string, far func() string) (done func()) {
	width, _, onTerminal := terminal(s.err)
	if !onTerminal && !s.lines {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		wait := progressEvery
		if onTerminal {
			wait = progressAfter
			defer func() {
				if wait == progressDraw {
					fmt.Fprint(s.err, clearLine)
				}
			}()
		}
		for {
			select {
			case <-time.After(wait):
			case <-stop:
				return
			}
			text := work
			if far != nil {
				text += ": " + far()
			}
			if !onTerminal {
				fmt.Fprintln(s.err, text)
				continue
			}
			wait = progressDraw
			fmt.Fprint(s.err, clearLine+text[:min(len(text), width-1)])
		}
	}()
	return sync.OnceFunc(func() {
		close(stop)
		<-stopped
	})
}

// reading is a log of whose reading the user is told how far it is. Where several
// parts of it are read at once that is as far as one would be who has read as much
// from the beginning of the first.
type reading struct {
	*archive
	read  atomic.Uint64 // events, of all readings
	at    atomic.Uint64 // position of the last
	last  atomic.Uint64 // position of the log; 0: not known yet
	under atomic.Int64  // readings under way
	from  atomic.Int64  // what at is more than read
	done  func()
}

// counting tells of the reading of so many events; 0: of as many as it takes, and
// at which position it is.
func (a *archive) counting(work string, all events.Seq) *reading {
	r := &reading{archive: a}
	r.last.Store(uint64(all))
	began := time.Now()
	r.done = a.session.Progress(work, func() string { return r.far(all > 0, time.Since(began)) })
	return r
}

// far says how far the reading is after so long, and how fast.
func (r *reading) far(once bool, took time.Duration) string {
	read, at, last := r.read.Load(), r.at.Load(), r.last.Load()
	text := fmt.Sprintf("%d of %d events", read, last)
	if !once {
		text = fmt.Sprintf("%d events, at #%d of #%d", read, at, last)
	}
	if last > 0 {
		of := at
		if once {
			of = read
		}
		text += fmt.Sprintf(", %d %%", 100*of/last)
	}
	if took > 0 {
		text += fmt.Sprintf(", %d/s", uint64(float64(read)/took.Seconds()))
	}
	return text
}

// Info returns what the log says of itself, and notes where it ends.
func (r *reading) Info(ctx context.Context) (events.Info, error) {
	info, err := r.archive.Info(ctx)
	r.last.Store(uint64(info.Last))
	return info, err
}

// Read implements events.Reader.
func (r *reading) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return r.count(after, r.archive.Read(ctx, after))
}

// Scan reads without decoding: see archive.Scan.
func (r *reading) Scan(ctx context.Context, after events.Seq, look func([]byte) any) iter.Seq2[events.Event, error] {
	return r.count(after, r.archive.Scan(ctx, after, look))
}

// Tail implements events.Tailer.
func (r *reading) Tail(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return r.count(after, r.archive.Tail(ctx, after))
}

func (r *reading) count(after events.Seq, es iter.Seq2[events.Event, error]) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		if from := int64(after) - int64(r.read.Load()); r.under.Add(1) == 1 || from < r.from.Load() {
			r.from.Store(from)
		}
		defer r.under.Add(-1)
		for e, err := range es {
			if err == nil { // else there is no event
				r.at.Store(uint64(r.from.Load() + int64(r.read.Add(1))))
			}
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
