package datadir

import (
	"context"
	"fmt"

	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/chain"
	"rollcall/events/keyframes"
)

// beginning follows a log that may begin later than its first event: with the
// event of a pinned keyframe, from which on the running hash is known.
type beginning struct {
	frames []keyframes.Frame // those that are pinned
	read   *chain.Chain      // nil: no event was read from which on it is known
	good   events.Seq        // the last of frames that the log has the event and the hash of
}

// pinned returns the keyframes with which the log may begin.
func (c *checker) pinned(ctx context.Context) (fs []keyframes.Frame, err error) {
	objects, err := blocks.OpenObjects(ctx, c.dir, c.subjects, keyframes.Bucket)
	if err != nil {
		return nil, err
	}
	all, _ := keyframes.Open(objects).List(ctx) // what cannot be listed is missed where it is needed
	for _, f := range all {
		if f.Pinned {
			fs = append(fs, f)
		}
	}
	return fs, nil
}

// last is the last position with which the log may begin.
func (b *beginning) last() events.Seq {
	if len(b.frames) == 0 {
		return 0
	}
	return b.frames[len(b.frames)-1].Seq
}

// take takes the next event.
func (b *beginning) take(log string, seq events.Seq, raw []byte) {
	if b.read == nil && seq == 1 {
		b.read = chain.New(log)
	}
	if b.read != nil {
		b.read.Take(seq, raw)
	}
	for _, f := range b.frames {
		if f.Seq != seq {
			continue
		}
		e := events.Decode(raw)
		if e.Seq = seq; f.Check(e) != nil || b.read != nil && b.read.Chain != f.Chain {
			continue
		}
		b.good = f.Seq
		if b.read == nil {
			b.read = chain.From(chain.Position{Log: log, Seq: seq, Chain: f.Chain})
		}
	}
}

// check refuses a log whose first events up to a position were purged, and which
// has no keyframe to begin with.
func (b *beginning) check(before events.Seq, where string) error {
	if before == 0 || b.good > before {
		return nil
	}
	err := events.Gap(before, before+1)
	err.What, err.Where = fmt.Sprintf("the log begins with position %d", before+1), where
	err.Why = "it has no keyframe there that is good, so that nobody knows what was before"
	err.Do = "put back a copy of the data directory; what was archived is in a recording"
	return err
}
