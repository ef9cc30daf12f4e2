package stream

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/events"
	"rollcall/events/natsd"
	"rollcall/events/waittest"
)

// While one batch is stored the next is staged, and it is not stored before the first
// has its answer: of one subject no two fenced appends are ever under way.
func TestStagedAhead(t *testing.T) {
	l, err := Open(t.Context(), mustConnect(t, mustServer(t, natsd.Options{Durability: natsd.Relaxed})), mustSubjects(t),
		Options{Create: true, AckTimeout: waittest.Patience})
	if err != nil {
		t.Fatal(err)
	}
	const n = 1 + maxBatch + stageFrom // the first goes by itself, all others wait for it
	until := func(what string, ok func() bool) {
		for end := time.Now().Add(waittest.Patience); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("waited in vain: %s", what)
				return
			}
		}
	}
	queued := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.queue)
	}
	real, sent := l.request, uint64(0)
	alone := make(chan struct{}) // closed when the first is under way
	var requests, under, batches atomic.Int32
	l.request = func(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
		commits := m.Header.Get(batchCommit) != ""
		if commits && under.Add(1) > 1 {
			t.Error("a batch is to be stored while the one before it is")
		}
		if commits {
			defer under.Add(-1)
		}
		if requests.Add(1) == 1 {
			close(alone)
			until("all others are in the queue", func() bool { return queued() == n-1 })
			sent = l.nc.Stats().OutMsgs
		}
		if commits && batches.Add(1) == 1 {
			until("the next batch is staged", func() bool { return l.nc.Stats().OutMsgs == sent+n-2 })
			// One that does not wait has a round trip's time to be seen.
			if err := l.nc.FlushWithContext(ctx); err != nil {
				t.Error(err)
			}
		}
		return real(ctx, m)
	}
	var all sync.WaitGroup
	add := func(i int) {
		e := node(fmt.Sprintf("n%d", i), i+1)
		if _, err := l.Append(t.Context(), events.Entry{Event: e, Expect: events.Expect{Subject: l.subjects.Object(events.Node, events.RefOf(e).Key)}}); err != nil {
			t.Error(err)
		}
	}
	all.Go(func() { add(0) })
	<-alone
	for i := 1; i < n; i++ {
		all.Go(func() { add(i) })
	}
	all.Wait()
	if info, err := l.Info(t.Context()); err != nil || info.Last != n || batches.Load() < 2 {
		t.Errorf("%d events by %d batches (%v), want %d by 2", info.Last, batches.Load(), err, n)
	}
}
