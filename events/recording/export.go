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

// Export makes a recording of a part of a log that is read from begin on: from
// there, because the chain goes over all events. It reports how many events it
// has; if there is none, it makes no file.
func Export(ctx context.Context, path string, o Options, log events.Reader, begin chain.Position, part Range) (n uint64, err error) {
	o.Before = begin
	before := chain.From(begin)
	var w *Writer
	for e, err := range log.Read(ctx, begin.Seq) {
		if err == nil && part.Until != nil && !part.Until(e) {
			break
		}
		if err == nil && w == nil && part.From != nil && !part.From(e) {
			before.Take(e.Seq, e.Raw)
			continue
		}
		if err == nil && w == nil {
			o.Before = before.Position
			w, err = Create(path, o)
		}
		if err == nil {
			err = w.Append(e)
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
