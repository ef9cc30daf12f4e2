// Package reading gives the events of a log to readers outside: over HTTP, as
// CloudEvents, from any position on and as they come.
//
// All readers share the one reading of the log in the process. A reader that is
// slower than the log is dropped, and goes on where it was by asking again: what
// is read is never held back, and no more than maxPending events wait for one.
package reading

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"rollcall/events"
	"rollcall/publisher"
	"rollcall/publisher/sources"
)

// Times of a connection.
const (
	writeTime = 10 * time.Second // for a reader to take what is sent
	quietTime = 15 * time.Second // after which a stream says that it is there
	busyTime  = 5 * time.Second  // after which to try again
)

// Log is what is read.
type Log interface {
	events.Reader
	Info(ctx context.Context) (events.Info, error)
}

// Options say what is read, and by whom.
type Options struct {
	Log     Log
	Hub     *Hub
	Encoder Encoder
	By      func(*http.Request) sources.Source // who asks: somebody that is known
}

// Handler returns what answers GET of events:
//
//	?after=SEQ|now&type=GLOB,...&follow=true|false
//
// An event stream follows, other forms end where the log ends, unless they are told
// otherwise. Last-Event-ID stands before after.
func Handler(o Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !o.By(r).Read {
			refuse(w, problem(http.StatusForbidden, "E-READ-DENIED", "not allowed", "this source may not read the log; rollcall source add NAME --read lets one"))
			return
		}
		info, err := o.Log.Info(r.Context())
		if err != nil {
			refuse(w, unavailable(fmt.Sprintf("the log does not answer: %v", err)))
			return
		}
		q, p := parse(r, info)
		if p != nil {
			refuse(w, p)
			return
		}
		in, leave, ok := o.Hub.enter()
		if !ok {
			refuse(w, unavailable(fmt.Sprintf("%d read already", maxReaders)))
			return
		}
		defer leave()
		s := &stream{Options: o, request: q, reader: in, w: bufio.NewWriterSize(w, 32<<10), rc: http.NewResponseController(w), began: info.Last}
		w.Header().Set("Content-Type", q.form)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(http.StatusOK)
		if r.Method != http.MethodHead {
			s.run(r.Context())
			_ = s.rc.SetWriteDeadline(time.Time{}) // the connection may have another request
		}
	})
}

func unavailable(detail string) *publisher.Problem {
	p := problem(http.StatusServiceUnavailable, "E-READ-BUSY", "not now", "%s; try again", detail)
	p.RetryAfter = busyTime
	return p
}

// stream is an answer.
type stream struct {
	Options
	request
	*reader
	w     *bufio.Writer
	rc    *http.ResponseController
	began events.Seq // the end of the log when it was asked for
}

// errEnded says that the instance stops.
var errEnded = errors.New("the instance stops")

// run sends the events. Its errors are told as far as the form can: the answer has
// begun.
func (s *stream) run(ctx context.Context) {
	err := s.send(s.noticed())
	if err == nil {
		err = s.past(ctx)
	}
	if err == nil && s.follow {
		err = s.live(ctx)
	}
	switch {
	case ctx.Err() != nil || errors.Is(err, errWrite):
		return
	case errors.Is(err, errLagged):
		err = s.send(s.told("lagged", fmt.Sprintf("you are too slow; go on after %d", s.after)))
	case err != nil:
		err = s.send(s.told("error", err.Error()))
	}
	if err == nil {
		_ = s.flush()
	}
}

// past sends what is in the log, until nothing is that is not sent, or will be.
func (s *stream) past(ctx context.Context) error {
	for {
		for e, err := range s.Log.Read(ctx, s.after) {
			if err != nil {
				return err
			}
			if err := s.one(&item{Event: e}); err != nil {
				return err
			}
			select {
			case <-s.Hub.closed:
				return errEnded
			default:
			}
		}
		if !s.follow || s.Hub.join(s.reader, s.after) {
			return s.flush()
		}
	}
}

// errLagged says that a reader was dropped, errWrite that it has gone.
var (
	errLagged = errors.New("the reader is too slow")
	errWrite  = errors.New("the reader has gone")
)

// live sends what comes.
func (s *stream) live(ctx context.Context) error {
	quiet := time.NewTicker(quietTime)
	defer quiet.Stop()
	for {
		select {
		case it, ok := <-s.next:
			if !ok {
				return errLagged
			}
			if it.Seq <= s.after {
				continue
			}
			if err := s.one(it); err != nil {
				return err
			}
			if len(s.next) > 0 {
				continue
			}
		case <-quiet.C:
			if err := s.send(s.here()); err != nil {
				return err
			}
		case <-s.Hub.closed:
			return errEnded
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
}

// one sends an event, if it is asked for.
func (s *stream) one(it *item) error {
	s.after = it.Seq
	if !s.wants(it.Event) {
		return nil
	}
	replay := it.Seq <= s.began
	if s.form == maps {
		b, err := it.msgpack.bytes(func() ([]byte, error) { return s.Encoder.msgpack(it.Event, replay) })
		if err != nil {
			return err
		}
		return s.send(string(b))
	}
	b, err := it.json.bytes(func() ([]byte, error) { return s.Encoder.JSON(it.Event, replay) })
	if err != nil {
		return err
	}
	if s.form == eventStream {
		return s.send(fmt.Sprintf("id: %d\ndata: %s\n\n", it.Seq, b))
	}
	return s.send(string(b) + "\n")
}
