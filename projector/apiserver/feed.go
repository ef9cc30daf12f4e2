package apiserver

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"rollcall/events"
	"rollcall/projector/story"
)

// Feed folds a log into what the API serves: for each kind a table of objects
// as the log has them. It keeps the bytes of the events and decodes nothing.
type Feed struct {
	tables map[events.Kind]*table // the keys never change
	tally  *tally

	mu      sync.Mutex
	applied events.Seq
	stored  time.Time // when that was
	waiters map[chan struct{}]events.Seq
}

// NewFeed returns the feed before the first event of a log.
func NewFeed() *Feed {
	f := &Feed{tables: map[events.Kind]*table{}, tally: &tally{plans: map[events.Type]int{}, commands: map[[2]string]int{}}, waiters: map[chan struct{}]events.Seq{}}
	for _, r := range served {
		if r.board == "" {
			f.tables[r.kind()] = newTable()
		}
	}
	return f
}

// Follow takes one event. Events are taken in the order of the log, each once,
// from one goroutine.
func (f *Feed) Follow(e events.Event) {
	switch b := e.Body.(type) {
	case events.Object:
		if t := f.tables[b.Kind]; t != nil {
			t.put(uint64(e.Seq), tableKey(b.Key), b.Data)
		}
	case events.Gone:
		if t := f.tables[b.Kind]; t != nil {
			t.put(uint64(e.Seq), tableKey(b.Key), nil)
		}
	}
	f.tally.follow(e)
	f.advance(e)
}

func (f *Feed) advance(e events.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied, f.stored = e.Seq, e.Stored
	for w, at := range f.waiters {
		if at <= e.Seq {
			close(w)
			delete(f.waiters, w)
		}
	}
}

// position returns how far the log was taken.
func (f *Feed) position() events.Seq {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.applied
}

// time returns when the last event taken was stored.
func (f *Feed) time() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stored
}

// await returns when the event at seq was taken.
func (f *Feed) await(ctx context.Context, seq events.Seq) error {
	f.mu.Lock()
	if f.applied >= seq {
		f.mu.Unlock()
		return nil
	}
	w := make(chan struct{})
	f.waiters[w] = seq
	f.mu.Unlock()
	select {
	case <-w:
		return nil
	case <-ctx.Done():
		f.mu.Lock()
		delete(f.waiters, w)
		f.mu.Unlock()
		return fmt.Errorf("wait for position %d: %w", seq, ctx.Err())
	}
}

// tableKey is a key as tables and etcd have it.
func tableKey(k events.Key) string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
}

// eventKey is the key that a table's key stands for.
func eventKey(key string) events.Key {
	ns, name, ok := strings.Cut(key, "/")
	if !ok {
		return events.Key{Name: key}
	}
	return events.Key{Namespace: ns, Name: name}
}

// changeText says what a write changes, in words.
func changeText(before, now events.Object) string { return story.Change(before, now) }
