package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/natsd"
)

// owner writes to a log of its own, of which it reads what it likes.
type owner struct {
	t    *testing.T
	log  *Log
	n    int            // events so far
	last [][]events.Seq // of each subject, where its events are
}

var owns = Options{Create: true, Own: true, BatchFrom: BatchFromRelaxed}

func newOwner(t *testing.T, nc *nats.Conn, subjects int) *owner {
	t.Helper()
	l, err := Open(t.Context(), nc, mustSubjects(t), owns)
	if err != nil {
		t.Fatal(err)
	}
	return &owner{t: t, log: l, last: make([][]events.Seq, subjects)}
}

// at returns the last event of a subject as of a position.
func (o *owner) at(i int, seen events.Seq) (last events.Seq) {
	for _, seq := range o.last[i] {
		if seq <= seen {
			last = seq
		}
	}
	return last
}

// append appends an event of a subject, by somebody who has read what he expects when
// the log ended at read, and knows that it then went at least up to seen.
func (o *owner) append(log *Log, i int, seen, read events.Seq) error {
	o.n++
	e := events.Entry{Event: node(fmt.Sprint("n", i), o.n), Seen: seen}
	e.Expect = events.Expect{Subject: log.subjects.Object(events.Node, events.RefOf(e.Event).Key), Last: o.at(i, read)}
	seq, err := log.Append(o.t.Context(), e)
	if err == nil {
		o.last[i] = append(o.last[i], seq)
	}
	return err
}

func (o *owner) end() (end events.Seq) {
	for _, all := range o.last {
		if len(all) > 0 {
			end = max(end, all[len(all)-1])
		}
	}
	return end
}

// count counts the headers of the messages by which batches are stored.
func (o *owner) count(all, fenced, end *atomic.Int32) {
	real := o.log.request
	o.log.request = func(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
		if m.Header.Get(batchCommit) != "" {
			all.Add(1)
			for header, n := range map[string]*atomic.Int32{jetstream.ExpectedLastSubjSeqHeader: fenced, jetstream.ExpectedLastSeqHeader: end} {
				if m.Header.Get(header) != "" {
					n.Add(1)
				}
			}
		}
		return real(ctx, m)
	}
}

// Fences hold and are lost as the log has it, whoever answers them: the server, or the
// process that alone writes to the log and knows what it has written.
func TestOwnFences(t *testing.T) {
	const subjects, appends = 6, 900
	server := mustServer(t, natsd.Options{Durability: natsd.Relaxed})
	o := newOwner(t, mustConnect(t, server), subjects)
	r := rand.New(rand.NewPCG(8, 604))
	var all, fenced, end atomic.Int32
	taken, lost := 0, 0
	for n := range appends {
		if n%300 == 0 { // begun anew
			if n > 0 {
				o.log = newOwner(t, mustConnect(t, server), 0).log
			}
			o.log.own.most = 20
			o.count(&all, &fenced, &end)
		}
		i, now := r.IntN(subjects), o.end()
		read := now
		if r.IntN(12) == 0 {
			read = events.Seq(r.IntN(int(now) + 1))
		}
		seen := read - events.Seq(r.IntN(int(min(read, 6))+1))
		want := o.at(i, read) == o.at(i, now)
		switch err := o.append(o.log, i, seen, read); {
		case err == nil && !want, err != nil && (want || !errors.Is(err, events.ErrConflict)):
			t.Fatalf("append %d to n%d, read at %d, seen %d, the log ends at %d: %v", n, i, read, seen, now, err)
		case want:
			taken++
		default:
			lost++
		}
	}
	t.Logf("%d taken, %d lost; of %d commits %d had a fence and %d the end of the log", taken, lost, all.Load(), fenced.Load(), end.Load())
	if lost < appends/40 || end.Load() < appends/2 || fenced.Load() > appends*2/3 {
		t.Error("this shows nothing")
	}
}

// Who has read as far as the process has begun needs no answer of the server: it reads
// nothing for fences of what was written before, and still refuses one that is lost.
func TestOwnBeginning(t *testing.T) {
	server := mustServer(t, natsd.Options{Durability: natsd.Relaxed})
	o := newOwner(t, mustConnect(t, server), 40)
	for i := range o.last {
		if err := o.append(o.log, i, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	o.log = newOwner(t, mustConnect(t, server), 0).log
	var all, fenced, end atomic.Int32
	o.count(&all, &fenced, &end)
	for i := range o.last {
		if err := o.append(o.log, i, 40, 40); err != nil {
			t.Fatal(err)
		}
	}
	if all.Load() != 40 || fenced.Load() != 0 || end.Load() != 40 {
		t.Errorf("%d commits, %d fences, %d ends; want 40, 0, 40", all.Load(), fenced.Load(), end.Load())
	}
	for i := range o.last {
		if err := o.append(o.log, i, 40, 40); !errors.Is(err, events.ErrConflict) {
			t.Errorf("n%d: %v", i, err)
		}
	}
}

// What somebody else has written after all is noticed: no fence that it breaks holds.
func TestOwnIntruder(t *testing.T) {
	server := mustServer(t, natsd.Options{Durability: natsd.Relaxed})
	o := newOwner(t, mustConnect(t, server), 2)
	other, err := Open(t.Context(), mustConnect(t, server), o.log.subjects, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		for i := range o.last {
			if err := o.append(o.log, i, o.end(), o.end()); err != nil {
				t.Fatal(err)
			}
		}
		before := o.end()
		if err := o.append(other, 0, before, before); err != nil {
			t.Fatal(err)
		}
		if err := o.append(o.log, 0, before, before); !errors.Is(err, events.ErrConflict) {
			t.Fatalf("behind what another has written: %v", err)
		}
		if err := o.append(o.log, 1, before, before); err != nil {
			t.Fatal(err)
		}
	}
}

// An append of several events and appends that come together keep their positions.
func TestOwnSeveral(t *testing.T) {
	o := newOwner(t, mustConnect(t, mustServer(t, natsd.Options{Durability: natsd.Relaxed})), 0)
	var want events.Seq
	for n := range 20 {
		var es []events.Entry
		for k := range n%3 + 1 {
			es = append(es, events.Entry{Event: node(fmt.Sprintf("n%d-%d", n, k), 10*n+k)})
		}
		want += events.Seq(len(es))
		if seq, err := o.log.Append(t.Context(), es...); err != nil || seq != want {
			t.Fatalf("append %d of %d events: #%d (%v), want #%d", n, len(es), seq, err, want)
		}
	}
	if info, err := o.log.Info(t.Context()); err != nil || info.Last != want {
		t.Errorf("the log ends at #%d (%v), want #%d", info.Last, err, want)
	}
}

// A batch that was staged behind one that came to nothing is not stored as it was staged:
// somebody else may have written just as many events in its stead.
func TestOwnStagedBehindALoss(t *testing.T) {
	server := mustServer(t, natsd.Options{Durability: natsd.Relaxed})
	o := newOwner(t, mustConnect(t, server), 1)
	other, err := Open(t.Context(), mustConnect(t, server), o.log.subjects, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.append(o.log, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	l, at := o.log, o.end()
	l.own.next([]fencedMsg{{subject: "lost"}}) // the batch before, of one event
	e := node("n0", 100)
	b, err := l.batch(t.Context(), []events.Entry{{Event: e, Expect: events.Expect{Subject: l.subjects.Object(events.Node, events.RefOf(e).Key), Last: at}, Seen: at}})
	if err != nil {
		t.Fatal(err)
	}
	lost := l.own.losses()
	commit, err := l.stageRound([]*batch{b})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.append(other, 0, at, at); err != nil {
		t.Fatal(err)
	}
	l.own.lose()
	l.finish(commit, []*batch{b}, lost)
	if r := <-b.done; !errors.Is(r.err, events.ErrConflict) {
		t.Errorf("behind what another has written: #%d, %v", r.seq, r.err)
	}
}
