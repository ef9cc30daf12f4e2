package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"

	"rollcall/events"
	"rollcall/projector/table"
)

// codeFull is the code of a log that takes no events but can be read: what is
// shown of it is not old.
const codeFull = "E-LOG-FULL"

// How a log is looked at.
const (
	readyWait = 2 * time.Second        // for its answer, by a question whether it is ready
	lookAgain = 250 * time.Millisecond // whether it has ceased to be well, while a read waits for it
)

// link is the way from the API to the log, and what is known of it: while the
// log cannot be reached, reads are answered from the tables and say so, and
// writes are refused at once.
type link struct {
	log     events.Log
	objects *table.Tables
	report  func() error // why the log is not well, without asking it; nil: it always is

	mu    sync.Mutex
	end   events.Seq // the greatest end of the log that was seen
	mark  events.Seq // the end of the log when the tables were first seen behind it; 0: they are not
	since time.Time  // when mark was set
}

// down returns why the log cannot be reached, or nil.
func (l *link) down() error {
	if err := l.ill(); !isFull(err) {
		return err
	}
	return nil
}

// full reports whether the log takes nothing because there is no room.
func (l *link) full() bool { return isFull(l.ill()) }

func isFull(err error) bool {
	e := new(events.Error)
	return errors.As(err, &e) && e.Code == codeFull
}

func (l *link) ill() error {
	if l == nil || l.report == nil {
		return nil
	}
	return l.report()
}

// info asks the log for its end.
func (l *link) info(ctx context.Context) (events.Seq, error) {
	i, err := l.log.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("find the end of the log: %w", err)
	}
	l.saw(i.Last)
	return i.Last, nil
}

func (l *link) saw(end events.Seq) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = max(l.end, end)
}

// current returns the end of the log, once the tables have it. From a log that
// cannot be reached it is what the tables have, and the client is warned.
func (l *link) current(ctx context.Context) (events.Seq, error) {
	if err := l.down(); err != nil {
		return l.old(ctx, err), nil
	}
	end, err := l.info(ctx)
	if err != nil {
		if down := l.down(); down != nil && ctx.Err() == nil {
			return l.old(ctx, down), nil
		}
		return 0, err
	}
	for {
		err := l.awaitFor(ctx, end, lookAgain)
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return end, err
		}
		if down := l.down(); down != nil {
			return l.old(ctx, down), nil
		}
	}
}

func (l *link) awaitFor(ctx context.Context, seq events.Seq, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return l.objects.Await(ctx, seq)
}

// old returns the position of the tables, and warns the client of its age.
func (l *link) old(ctx context.Context, down error) events.Seq {
	at := l.objects.Position()
	warning.AddWarning(ctx, "", staleText(at, down))
	return at
}

// staleText tells that an answer may be old.
func staleText(at events.Seq, down error) string {
	code := "E-LOG-UNREACHABLE"
	if e := new(events.Error); errors.As(down, &e) {
		code = e.Code
	}
	return fmt.Sprintf("%s: the log does not answer: this is as of position %d and may be old", code, at)
}

// health asks a log that is well by its own report for its end, because one
// that hangs reports nothing.
func (l *link) health() error {
	if err := l.ill(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyWait)
	defer cancel()
	_, err := l.info(ctx)
	return err
}

// lag returns how many events the tables are behind what was seen of the log, and
// for how long the tables have not come as far as the log was then.
func (l *link) lag() (behind events.Seq, since time.Duration) {
	at := l.objects.Position()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case at >= l.end:
		l.mark = 0
		return 0, 0
	case l.mark == 0 || at >= l.mark:
		l.mark, l.since = l.end, time.Now()
	}
	return l.end - at, time.Since(l.since)
}

// notNow tells a client that the log takes no writes, with its code; nil: that
// is not why a write failed.
func notNow(err error) error {
	var e *events.Error
	if !errors.Is(err, events.ErrUnavailable) || !errors.As(err, &e) {
		return nil
	}
	return apierrors.NewServiceUnavailable(e.Error())
}

// withStaleWarning warns who reads while the log cannot be reached, whatever
// answers the read.
func withStaleWarning(next http.Handler, l *link) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		if ok && info.IsResourceRequest && r.Method == http.MethodGet {
			if down := l.down(); down != nil {
				warning.AddWarning(r.Context(), "", staleText(l.objects.Position(), down))
			}
		}
		next.ServeHTTP(w, r)
	})
}
