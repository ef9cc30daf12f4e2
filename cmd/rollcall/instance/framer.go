package instance

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/keyframes"
	"rollcall/projector"
	"rollcall/publisher/executor"
)

// When a keyframe is made: after so many events, or once nothing has happened for
// a while. Making them may take no more than a hundredth of the time, so that those
// of a large cluster come less often; and what little an idle cluster does is not
// worth one more often than every minute.
const (
	keyframeShare = 100
	keyframeFew   = 1000
	keyframePause = time.Minute
)

// largeHeap is from how much that lives on the memory is collected before a keyframe
// is made. It takes a third as much again, in few pieces, and the runtime keeps to its
// limit only as long as pieces are small.
const largeHeap = 1 << 30

// keyframeEvery is after how many events, and keyframeIdle after how long nothing has
// happened. Tests have less time.
var (
	keyframeEvery = events.Seq(25_000)
	keyframeIdle  = 5 * time.Second
)

// framer keeps keyframes. It is a drive.Party, because the state and the executor
// stand still only for one; the bytes are made beside the engine.
type framer struct {
	store    *keyframes.Store
	room     func(n int64) error // whether the disk has room; nil: nobody can tell
	state    *projector.State
	executor *executor.Executor

	at    events.Seq // observed
	heard time.Time  // when that was
	last  events.Seq // of the newest keyframe
	made  time.Time  // when it was; zero: by an earlier run
	from  time.Time  // none is made before
	busy  bool
}

// Observe implements drive.Party.
func (f *framer) Observe(e events.Event, now time.Time) { f.at, f.heard = e.Seq, now }

// Next implements drive.Party.
func (f *framer) Next() (at time.Time, ok bool) {
	if f.busy || f.at <= f.last {
		return time.Time{}, false
	}
	if f.at < f.last+keyframeEvery {
		at = f.heard.Add(keyframeIdle)
	}
	if few := f.made.Add(keyframePause); f.at < f.last+keyframeFew && few.After(at) {
		at = few
	}
	if f.from.After(at) {
		at = f.from
	}
	return at, true
}

// Due implements drive.Party.
func (f *framer) Due(now time.Time, _ int) []drive.Step {
	if at, ok := f.Next(); !ok || at.After(now) {
		return nil
	}
	f.busy = true
	return []drive.Step{f.take(now)}
}

// take takes out of the fold what a keyframe is made of.
func (f *framer) take(now time.Time) *framing {
	began := time.Now()
	parties, err := f.executor.Keep()
	s := &framing{framer: f, state: f.state.Keep(), parties: parties, err: err, at: f.at, now: now}
	s.took = time.Since(began)
	return s
}

// finish keeps one keyframe more once the engine has ended, if much has happened
// since the last one: to make it takes less time than to read that again.
func (f *framer) finish(ctx context.Context) error {
	if f.at < f.last+keyframeEvery {
		return nil
	}
	err := f.take(time.Now()).Perform(ctx, drive.Log{})
	if err == nil {
		f.last = f.at
	}
	return err
}

// Done implements drive.Party.
func (f *framer) Done(s drive.Step, err error, now time.Time) {
	done := s.(*framing)
	f.busy, f.made, f.from = false, now, now.Add(keyframeShare*done.took)
	if err == nil {
		f.last = done.at
	} else if again := now.Add(keyframePause); again.After(f.from) {
		f.from = again
	}
}

// framing is one keyframe that is being made.
type framing struct {
	framer  *framer
	state   *projector.Kept
	parties []byte
	err     error // of what the parties keep
	at      events.Seq
	now     time.Time
	took    time.Duration
}

// Perform implements drive.Step.
func (s *framing) Perform(ctx context.Context, _ drive.Log) error {
	began := time.Now()
	defer func() { s.took += time.Since(began) }()
	if readMemory().live > largeHeap {
		debug.FreeOSMemory()
	}
	frame, state, err := s.state.Frame(s.now)
	if err == nil {
		err = s.err
	}
	if err == nil && s.framer.room != nil {
		err = s.framer.room(int64(len(state)))
	}
	if err == nil {
		err = s.framer.store.Put(ctx, frame, keyframes.Kept{State: state, Parties: s.parties})
	}
	if err == nil {
		_, err = s.framer.store.Thin(ctx, s.now)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("keep a keyframe: %w", err)
	}
	return ctx.Err()
}
