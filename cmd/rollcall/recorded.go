package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/events/recording"
	"rollcall/projector"
)

// recordedLog is a log that is read from recordings: of one, or of several, each of
// which goes on from the one before.
type recordedLog []*recording.Recording

// Info implements history.
func (r recordedLog) Info(ctx context.Context) (events.Info, error) {
	i, err := r[len(r)-1].Info(ctx)
	i.Before = r.Before().Seq
	return i, err
}

// Before is the position before the first event.
func (r recordedLog) Before() chain.Position { return r[0].Before() }

// Read implements events.Reader.
func (r recordedLog) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return r.each(ctx, after, (*recording.Recording).Read)
}

// Scan is Read without decoding, and with a look ahead: see Recording.Scan.
func (r recordedLog) Scan(ctx context.Context, after events.Seq, look func([]byte) any) iter.Seq2[events.Event, error] {
	return r.each(ctx, after, func(one *recording.Recording, ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
		return one.Scan(ctx, after, look)
	})
}

// each reads on from a position, in one recording after the other.
func (r recordedLog) each(ctx context.Context, after events.Seq, read func(*recording.Recording, context.Context, events.Seq) iter.Seq2[events.Event, error]) iter.Seq2[events.Event, error] {
	if len(r) == 1 {
		return read(r[0], ctx, after)
	}
	return func(yield func(events.Event, error) bool) {
		at := after
		for i, one := range r {
			if end := one.Manifest().Last.Seq; i+1 < len(r) && end <= at {
				continue
			}
			for e, err := range read(one, ctx, at) {
				if !yield(e, err) || err != nil {
					return
				}
				at = e.Seq
			}
		}
	}
}

// torn says where the last of the recordings is torn; nil: it is whole.
func (r recordedLog) torn() *recording.Torn { return r[len(r)-1].Torn() }

// redacted says what was taken out of the recording, which is then the only one.
func (r recordedLog) redacted() string { return r[0].Manifest().Redacted }

// last is the last position, as the recordings say it; of a torn one it is not known.
func (r recordedLog) last() recording.Mark { return r[len(r)-1].Manifest().Last }

// newest returns the newest state that is kept up to a position, and where.
func (r recordedLog) newest(at events.Seq) (k recording.KeyframeInfo, in *recording.Recording, ok bool) {
	for _, in := range slices.Backward(r) {
		if k, ok = in.Newest(frameKind, projector.KeyframeFormat, at); ok {
			return k, in, true
		}
	}
	return k, nil, false
}

// close closes the files.
func (r recordedLog) close() {
	for _, one := range r {
		_ = one.Close()
	}
}

// openRecorded opens recordings, puts them in order, and refuses those that do not
// go on from each other. One that lies within another is left out.
func openRecorded(ctx context.Context, paths []string) (all recordedLog, err error) {
	defer func() {
		if err != nil {
			all.close()
		}
	}()
	names := map[*recording.Recording]string{}
	for _, path := range paths {
		r, err := recording.Open(path)
		if err != nil {
			return all, err
		}
		all, names[r] = append(all, r), path
	}
	slices.SortStableFunc(all, func(a, b *recording.Recording) int {
		return cmp.Or(cmp.Compare(a.Before().Seq, b.Before().Seq), cmp.Compare(b.Manifest().Last.Seq, a.Manifest().Last.Seq))
	})
	for i := 1; i < len(all); {
		one, next := stretchOf(all[i-1], names[all[i-1]]), stretchOf(all[i], names[all[i]])
		if err := meet(ctx, one, next); err != nil {
			return all, err
		}
		if next.end.Seq > one.end.Seq {
			i++
			continue
		}
		_ = all[i].Close()
		all = slices.Delete(all, i, i+1)
	}
	return all, nil
}

// stretch is a part of a log: a recording, or the log itself.
type stretch struct {
	history
	name  string // "a.rollcall", "the log"
	begin chain.Position
	end   chain.Position // without a Chain of what may still grow
	alone string         // why it is read alone; empty: it need not be
}

func stretchOf(r *recording.Recording, name string) stretch {
	m := r.Manifest()
	s := stretch{history: r, name: name, begin: r.Before(), end: chain.Position{Log: m.Log, Seq: m.Last.Seq, Chain: m.Last.Chain}}
	switch {
	case m.Redacted != "":
		s.alone = "redacted"
	case r.Torn() != nil:
		s.alone = "torn"
	}
	return s
}

// meet refuses a stretch that does not go on from one: they are of one log, leave
// nothing out between them, and have the same running hash where the first of them
// ends.
func meet(ctx context.Context, one, next stretch) error {
	refuse := func(format string, args ...any) error {
		return &events.Error{Code: "E-REC-SEAM", What: fmt.Sprintf("%s and %s do not meet", one.name, next.name), Why: fmt.Sprintf(format, args...),
			Do: "give recordings of one log, each of which begins where one before ends, or earlier", Exit: events.ExitInput}
	}
	for _, s := range []stretch{one, next} {
		if s.alone != "" {
			return refuse("%s is %s, and can only be read alone", s.name, s.alone)
		}
	}
	seam, over := one.end, next // the events up to the seam are in both
	switch {
	case one.end.Log != next.begin.Log:
		return refuse("%s is of log %s, and %s of %s", one.name, one.end.Log, next.name, next.begin.Log)
	case next.begin.Seq > one.end.Seq:
		return refuse("%s ends with #%d, and %s begins after #%d", one.name, one.end.Seq, next.name, next.begin.Seq)
	case next.end.Seq < one.end.Seq && next.end.Chain == (chain.Sum{}):
		return refuse("%s ends with #%d, and %s with #%d", one.name, one.end.Seq, next.name, next.end.Seq)
	case next.end.Seq < one.end.Seq:
		seam, over = next.end, one
	}
	c := chain.From(over.begin)
	for e, err := range over.Read(ctx, over.begin.Seq) {
		if c.Seq == seam.Seq {
			break
		}
		if err != nil {
			return err
		}
		c.Take(e.Seq, e.Raw)
	}
	if c.Seq != seam.Seq || !bytes.Equal(c.Chain[:], seam.Chain[:]) {
		return refuse("up to #%d they have other events", seam.Seq)
	}
	return nil
}

// openRecording opens the recordings of a target, whose cluster is the one that
// they say.
func (t *target) openRecording(ctx context.Context, s *session) (*archive, error) {
	r, err := openRecorded(ctx, t.recs)
	if err != nil {
		return nil, err
	}
	if torn := r.torn(); torn != nil {
		s.Warn(torn.String())
	}
	t.cluster = r[0].Manifest().Cluster
	return &archive{history: r, rec: r, from: r.Before(), session: s, dir: strings.Join(t.recs, ", "), close: r.close}, nil
}

// joined is a log that goes on from recordings of what was archived of it.
type joined struct {
	recordedLog
	log history
}

// Info implements history.
func (j joined) Info(ctx context.Context) (events.Info, error) {
	i, err := j.log.Info(ctx)
	i.Before = j.Before().Seq
	return i, err
}

// Read implements events.Reader.
func (j joined) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	end := j.last().Seq // the log knows it too
	return func(yield func(events.Event, error) bool) {
		if after < end {
			for e, err := range j.recordedLog.Read(ctx, after) {
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
		j.log.Read(ctx, max(after, end))(yield)
	}
}

// join has the log be read on from recordings, which have to meet it.
func (a *archive) join(ctx context.Context, r recordedLog, name string) error {
	info, err := a.history.Info(ctx)
	if err != nil {
		return err
	}
	begin := a.from
	begin.Log = info.ID
	log := stretch{history: a.history, name: "the log", begin: begin, end: chain.Position{Log: info.ID, Seq: info.Last}}
	if err := meet(ctx, stretchOf(r[len(r)-1], name), log); err != nil {
		return err
	}
	a.history, a.rec, a.from = joined{r, a.history}, r, r.Before()
	return nil
}
