package recording

import (
	"context"
	"errors"

	"rollcall/events"
	"rollcall/events/chain"
)

// Range is which events of a log to record: those from the first of which From
// says so to the last before one that Until does not hold. nil: no bound.
type Range struct {
	From, Until func(events.Event) bool
}

// Frames makes the keyframes of a recording, of the same events.
type Frames interface {
	// Take takes the next event.
	Take(e events.Event)
	// Keyframe returns the state after the last event that was taken.
	Keyframe() (Keyframe, error)
}

// Export makes a recording of a part of a log that is read from begin on: from
// there, because the chain goes over all events. One that does not begin with its
// log has a keyframe of what was before. It reports how many events it has; if
// there is none, it makes no file. frames may be nil: there are none then.
func Export(ctx context.Context, path string, o Options, log events.Reader, begin chain.Position, part Range, frames Frames) (n uint64, err error) {
	before := chain.From(begin)
	var w *Writer
	for e, err := range log.Read(ctx, begin.Seq) {
		if err == nil && part.Until != nil && !part.Until(e) {
			break
		}
		if err == nil && w == nil && part.From != nil && !part.From(e) {
			before.Take(e.Seq, e.Raw)
			if frames != nil {
				frames.Take(e)
			}
			continue
		}
		if err == nil && w == nil {
			o.Before = before.Position
			if w, err = Create(path, o); err == nil && before.Seq > 0 {
				err = w.frame(frames)
			}
		}
		if err == nil {
			err = w.Append(e)
		}
		if err == nil && frames != nil {
			if frames.Take(e); w.FrameDue() {
				err = w.frame(frames)
			}
		}
		if err != nil && w != nil {
			err = errors.Join(err, w.Abort())
		}
		if err != nil {
			return 0, err
		}
		n++
	}
	if w == nil {
		return 0, nil
	}
	return n, w.Close()
}

// frame writes a keyframe, if there are some.
func (w *Writer) frame(frames Frames) error {
	if frames == nil {
		return nil
	}
	k, err := frames.Keyframe()
	if err != nil {
		return err
	}
	return w.Keyframe(k)
}
