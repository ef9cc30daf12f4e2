package memlog

import (
	"context"
	"iter"

	"rollcall/events"
)

// broadcast wakes everybody who waits for a change. Its owner's lock guards it.
type broadcast struct{ next chan struct{} }

func newBroadcast() broadcast { return broadcast{make(chan struct{})} }

// tell wakes all who wait.
func (b *broadcast) tell() {
	close(b.next)
	b.next = make(chan struct{})
}

// Tail implements events.Tailer.
func (l *Log) Tail(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	l.mu.Lock()
	incarnation := l.incarnation
	l.mu.Unlock()
	return func(yield func(events.Event, error) bool) {
		for at := after; ; {
			// Taken before the look, so that no change between the two is missed.
			l.mu.Lock()
			changed := l.changed.next
			l.mu.Unlock()
			e, ok, err := l.next(at, incarnation)
			if cause := ctx.Err(); cause != nil {
				err = cause
			}
			switch {
			case err != nil:
				yield(events.Event{}, err)
				return
			case ok:
				if !yield(e, nil) {
					return
				}
				at++
			default:
				select {
				case <-changed:
				case <-ctx.Done():
				}
			}
		}
	}
}
