package table

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/wire"
)

// Kept is a table as a keyframe holds it: its objects by path, and not what
// changed before.
type Kept struct {
	Kind events.Kind `json:"kind"`
	Last uint64      `json:"last"` // revision of the last change
	Rows []KeptRow   `json:"rows,omitempty"`
}

// KeptRow is one object.
type KeptRow struct {
	events.Key `json:",inline"`
	UID        types.UID `json:"uid"`
	Rev        uint64    `json:"rev"`
	Object     wire.Raw  `json:"object"`
}

// Keep returns the objects, by kind. Kinds that never had any are left out.
func (t *Tables) Keep() []Kept {
	var ks []Kept
	for _, kind := range t.Kinds() {
		rows, last := t.Of(kind).Snapshot()
		if last == 0 {
			continue
		}
		k := Kept{Kind: kind, Last: last, Rows: make([]KeptRow, 0, rows.Len())}
		rows.Scan(func(i *Item) bool {
			k.Rows = append(k.Rows, KeptRow{i.Key, i.UID, i.Rev, i.Data})
			return true
		})
		ks = append(ks, k)
	}
	return ks
}

// Restore fills empty tables with the objects that were kept after the event at
// seq, which was stored at a time. What changed before is forgotten.
func (t *Tables) Restore(ks []Kept, seq events.Seq, stored time.Time) {
	for _, k := range ks {
		of := t.Of(k.Kind)
		of.mu.Lock()
		for _, r := range k.Rows {
			i := &Item{Object: events.Object{Ref: events.Ref{Kind: k.Kind, Key: r.Key, UID: r.UID}, Data: r.Object}, Rev: r.Rev}
			of.rows.items[r.Key] = i
			of.rows.held += int64(len(i.Data))
		}
		of.rows.last, of.rows.floor = k.Last, k.Last
		of.mu.Unlock()
	}
	t.Advance(events.Event{Seq: seq, Stored: stored})
}
