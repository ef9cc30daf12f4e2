package stream

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// defaultBatchFrom is how many appends must wait to be worth a batch where each
// write is synced: a batch costs some milliseconds however small, and one sync
// for all of it.
const defaultBatchFrom = 10

// singly bounds the appends that are under way by themselves at once.
const singly = 64

// enqueue puts b in the queue and sees to it that the queue is emptied.
func (l *Log) enqueue(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, b)
	if !l.flushing {
		l.flushing = true
		go l.flush()
	}
}

// withdraw takes b out of the queue, and reports whether it was still there.
func (l *Log) withdraw(b *batch) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.taken {
		return false
	}
	l.queue = slices.DeleteFunc(l.queue, func(o *batch) bool { return o == b })
	return true
}

// stageFrom is how many appends must wait to be staged while a batch is stored: fewer
// become a larger batch by its end.
const stageFrom = 200

// flush sends what waits, round by round, until nothing does. While the server stores
// a batch the next one is staged; the message with which that is stored is sent when
// the one before has its answer. So rounds do not overlap, and of one subject no two
// fenced appends are ever under way.
func (l *Log) flush() {
	var before <-chan struct{} // closed when the batch under way is answered; nil: there is none
	for {
		round := l.take(before != nil)
		if len(round) >= l.batchFrom {
			before = l.learn(before)
			before = l.sendTogether(round, before)
			continue
		}
		if before != nil {
			<-before
			before = nil
		} else if round == nil {
			return
		}
		l.sendEach(round)
	}
}

// learn finds out where a log ends that this process alone writes to, if that is not
// known, when the round before has ended.
func (l *Log) learn(before <-chan struct{}) <-chan struct{} {
	if l.own == nil || l.own.knows() {
		return before
	}
	if before != nil {
		<-before
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
	defer cancel()
	if i, err := l.look(ctx); err == nil { // else each fence is sent
		l.own.learn(events.Seq(i.State.LastSeq))
	}
	return nil
}

// take takes a round out of the queue: appends of one message that can
// go together, or one append of several. It returns nil, and
// flush must end, when the queue is empty. Ahead of the end of another round it takes
// what is worth to be staged, or nil.
func (l *Log) take(ahead bool) []*batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ahead && (len(l.queue) < stageFrom || len(l.queue[0].msgs) > 1) {
		return nil
	}
	if len(l.queue) == 0 {
		l.flushing = false
		return nil
	}
	if len(l.queue[0].msgs) > 1 {
		first := l.queue[0]
		first.taken = true
		l.queue = slices.Delete(l.queue, 0, 1)
		return []*batch{first}
	}
	p := newPicker()
	var round, rest []*batch
	for _, b := range l.queue {
		if len(round) < maxBatch && p.admits(b) {
			b.taken = true
			round = append(round, b)
		} else {
			rest = append(rest, b)
		}
	}
	l.queue = rest
	return round
}

// picker tells which appends can go together: one id once, and no expectation
// of a subject that the batch writes or that another one is about.
type picker struct {
	ids, written, fenced map[string]bool
	bytes                int
}

// maxBatchBytes bounds a batch of several appends, to bound what its sender buffers.
const maxBatchBytes = 8 << 20

func newPicker() *picker {
	return &picker{ids: map[string]bool{}, written: map[string]bool{}, fenced: map[string]bool{}}
}

func (p *picker) admits(b *batch) bool {
	if len(b.msgs) > 1 {
		return false
	}
	m, x := b.msgs[0], b.msgs[0].expect.Subject
	if p.ids[b.ids[0]] || p.bytes+len(m.data) > maxBatchBytes || p.fenced[m.subject] {
		return false
	}
	if x != "" && (p.written[x] || p.fenced[x]) {
		return false
	}
	p.ids[b.ids[0]] = true
	p.written[m.subject] = true
	if x != "" {
		p.fenced[x] = true
	}
	p.bytes += len(m.data)
	return true
}

// sendEach sends appends by themselves, some at once.
func (l *Log) sendEach(round []*batch) {
	became := make([]result, len(round))
	send := func(i int) {
		became[i] = l.send(round[i])
		round[i].done <- became[i]
	}
	if len(round) == 1 {
		send(0)
	} else {
		var wg sync.WaitGroup
		slots := make(chan struct{}, singly)
		for i := range round {
			slots <- struct{}{}
			wg.Go(func() {
				send(i)
				<-slots
			})
		}
		wg.Wait()
	}
	l.own.each(round, became)
}

// sendTogether stages appends as one batch, and has it stored when the round before
// it has ended, if there is one. It returns what is closed when this one has. If the
// batch is refused, each append is sent by itself: one expectation that fails must not
// fail the others. If it is not answered, each is unknown.
func (l *Log) sendTogether(round []*batch, before <-chan struct{}) <-chan struct{} {
	ended := make(chan struct{})
	lost := l.own.losses()
	commit, err := l.stageRound(round)
	if before != nil {
		<-before
	}
	go func() {
		defer close(ended)
		if err != nil {
			l.own.lose()
			l.sendEach(round)
			return
		}
		l.finish(commit, round, lost)
	}()
	return ended
}

// stageRound stages a round as one batch.
func (l *Log) stageRound(round []*batch) (commit *nats.Msg, err error) {
	all := make([]fencedMsg, 0, len(round))
	for _, b := range round {
		if err := l.blind(b.msgs); err != nil {
			return nil, err
		}
		all = append(all, b.msgs...)
	}
	end, known := l.own.next(all)
	ms := l.allFenced(all)
	if known {
		ms[0].Header[jetstream.ExpectedLastSeqHeader] = []string{strconv.FormatUint(uint64(end), 10)}
	}
	return l.stage(ms)
}

// finish has a staged round stored, unless what the end of the log was expected to be has
// been lost since it was staged: the fences that were taken off it may not hold.
func (l *Log) finish(commit *nats.Msg, round []*batch, lost int) {
	if l.own.losses() != lost {
		l.sendEach(round)
		return
	}
	l.commit(commit, round)
}

// commit has a batch stored that was staged of a round.
func (l *Log) commit(commit *nats.Msg, round []*batch) {
	ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
	defer cancel()
	last, err := l.publish(ctx, commit)
	if err != nil {
		l.own.lose()
	}
	switch {
	case err == nil:
		for _, b := range slices.Backward(round) {
			b.done <- result{seq: last}
			last -= events.Seq(len(b.msgs))
		}
	case errors.Is(err, events.ErrUnknown):
		if ctx.Err() != nil {
			l.trip(err)
		}
		for _, b := range round {
			b.done <- result{err: err}
		}
	default:
		l.sendEach(round)
	}
}
