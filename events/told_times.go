package events

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
)

// maxTimes is of how many subjects it is remembered at least when a source told of
// them last; at most it is of twice as many. One takes 28 bytes of a keyframe.
const maxTimes = 1 << 15

// toldTimes remembers of which time the latest was that a source has told of a
// subject. Those that were told of longest ago go first. The zero value has none.
type toldTimes struct{ young, old map[subjectOf]time.Time }

// subjectOf stands for a subject of a source.
type subjectOf ulid.ULID

func keyOf(source, subject string) subjectOf { return subjectOf(ToldID(source, "subject", subject)) }

// get returns the latest time; zero: none is remembered.
func (t *toldTimes) get(source, subject string) time.Time { return t.of(keyOf(source, subject)) }

func (t *toldTimes) of(k subjectOf) time.Time {
	if at, ok := t.young[k]; ok {
		return at
	}
	return t.old[k]
}

// add remembers the time that an event was told of. One that was yet to come when
// the event was taken counts as of then: nothing that comes later is late for a
// clock that was wrong once.
func (t *toldTimes) add(e *Event) {
	at := e.Told.Time
	if at.IsZero() {
		return
	}
	if at.After(e.At) {
		at = e.At
	}
	k := keyOf(e.Told.Source, e.Told.Subject)
	if last := t.of(k); last.After(at) {
		at = last
	}
	if _, known := t.young[k]; !known && (t.young == nil || len(t.young) >= maxTimes) {
		t.old, t.young = t.young, map[subjectOf]time.Time{}
	}
	t.young[k] = at.UTC()
}

const keptTime = 28 // bytes of one

// keepTimes returns times by what they are of: sixteen bytes, eight of seconds and
// four of nanoseconds.
func keepTimes(m map[subjectOf]time.Time) []byte {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b subjectOf) int { return bytes.Compare(a[:], b[:]) })
	out := make([]byte, 0, keptTime*len(keys))
	for _, k := range keys {
		out = binary.BigEndian.AppendUint64(append(out, k[:]...), uint64(m[k].Unix()))
		out = binary.BigEndian.AppendUint32(out, uint32(m[k].Nanosecond()))
	}
	return out
}

// timesOf returns the times that were kept.
func timesOf(b []byte) (map[subjectOf]time.Time, error) {
	if len(b)%keptTime != 0 || len(b)/keptTime > maxTimes {
		return nil, fmt.Errorf("%d bytes are not times of subjects", len(b))
	}
	if len(b) == 0 {
		return nil, nil
	}
	m := make(map[subjectOf]time.Time, len(b)/keptTime)
	for ; len(b) > 0; b = b[keptTime:] {
		nanos := binary.BigEndian.Uint32(b[24:])
		m[subjectOf(b[:16])] = time.Unix(int64(binary.BigEndian.Uint64(b[16:])), int64(nanos)).UTC()
	}
	return m, nil
}
