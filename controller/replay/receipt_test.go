package replay

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/memlog"
)

// copied is a log with the events of another, one of which is changed.
func copied(t *testing.T, from *memlog.Log, seq events.Seq, change func(*events.Event)) *memlog.Log {
	t.Helper()
	s, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	var stored time.Time
	to := memlog.New(s, func() time.Time { return stored })
	for e, err := range from.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		stored = e.Stored
		if e.Seq == seq {
			change(&e)
			stored = e.Stored
		}
		if _, err := to.Append(t.Context(), events.Entry{Event: e}); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// receiptOf returns the receipt of a rollout by its place.
func receiptOf(t *testing.T, log Log, i int) *Receipt {
	t.Helper()
	h, err := Open(t.Context(), log, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := h.Ledger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	x, err := l.Receipt(t.Context(), l.Rollouts[i])
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestReceiptSeals: the hash of a receipt is another if any event of the rollout is,
// in its bytes or in the time at which it was stored, and the same whatever comes
// after.
func TestReceiptSeals(t *testing.T) {
	log := twoRollouts(t).log
	const rollout = 1 // #12 to #20
	was := receiptOf(t, log, rollout)
	if was.First.Seq != 12 || was.Last.Seq != 20 || was.Events != 9 {
		t.Fatalf("%+v", was)
	}
	seen := map[string]events.Seq{was.SHA256: 0}
	for seq := was.First.Seq; seq <= was.Last.Seq; seq++ {
		for what, change := range map[string]func(*events.Event){
			"bytes": func(e *events.Event) { e.Source = "other" },
			"time":  func(e *events.Event) { e.Stored = e.Stored.Add(time.Nanosecond) },
		} {
			is := receiptOf(t, copied(t, log, seq, change), rollout)
			if other, ok := seen[is.SHA256]; ok {
				t.Errorf("with other %s of #%d the receipt has the hash of that with another #%d", what, seq, other)
			}
			seen[is.SHA256] = seq
		}
	}
	for _, seq := range []events.Seq{21, 22} {
		is := receiptOf(t, copied(t, log, seq, func(e *events.Event) { e.Source = "other" }), rollout)
		x, errX := json.Marshal(was)
		y, errY := json.Marshal(is)
		if errX != nil || errY != nil || string(x) != string(y) {
			t.Errorf("with another #%d, after its end, the receipt is\n%s\nwant\n%s", seq, y, x)
		}
	}
}

// TestReceipt: what a receipt says of the nodes of a rollout that was cut short, of
// one that has ended and of one that has not.
func TestReceipt(t *testing.T) {
	log := twoRollouts(t).log
	for i, want := range []Receipt{{Updated: 2}, {Updated: 1, Skipped: []Unserved{{Why: "onDelete", Nodes: []string{"b"}}}}, {Skipped: []Unserved{{Why: "onDelete", Nodes: []string{"a", "b"}}}}} {
		x := receiptOf(t, log, i)
		got, err := json.Marshal(x.Skipped)
		if err != nil {
			t.Fatal(err)
		}
		if want.Skipped == nil {
			want.Skipped = []Unserved{}
		}
		wanted, err := json.Marshal(want.Skipped)
		if x.Updated != want.Updated || string(got) != string(wanted) || x.AsOf != nil || len(x.Failed) > 0 || err != nil {
			t.Errorf("rollout %d: %d updated, skipped %s, failed %v, as of %v; want %d, %s", i+1, x.Updated, got, x.Failed, x.AsOf, want.Updated, wanted)
		}
	}
	w := tell(t)
	w.is(events.DaemonSet, w.ds, events.Event{})
	hash := w.revision(1)
	w.run("a", hash)
	if x := receiptOf(t, w.log, 0); x.AsOf == nil || x.AsOf.Seq != x.Last.Seq || x.Updated != 1 || x.Rollout.Ending != "" {
		t.Errorf("one that is under way: %+v", x)
	}
}

// TestCompare: two rollouts that decide the same are the same, however long they
// took and whatever their pods are called; else the first decision that is not is
// found, and what differs is named.
func TestCompare(t *testing.T) {
	log := twoRollouts(t).log
	h, err := Open(t.Context(), log, nil)
	if err != nil {
		t.Fatal(err)
	}
	all, err := h.Rollouts(t.Context(), h.Span().Last)
	if err != nil {
		t.Fatal(err)
	}
	slower, err := Open(t.Context(), copied(t, log, 14, func(e *events.Event) { e.Stored = e.Stored.Add(time.Millisecond) }), nil)
	if err != nil {
		t.Fatal(err)
	}
	others, err := slower.Rollouts(t.Context(), slower.Span().Last)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		a, b    Side
		differs string
		first   [2]events.Seq
	}{
		{a: Side{h, all[1]}, b: Side{slower, others[1]}},
		{a: Side{h, all[0]}, b: Side{h, all[1]}, differs: "state, waves, pods restarted, peak unavailable, decisions", first: [2]events.Seq{5, 14}},
		{a: Side{h, all[1]}, b: Side{h, all[2]}, differs: "state, waves, pods restarted, peak unavailable, decisions", first: [2]events.Seq{14, 0}},
	} {
		x, err := Compare(t.Context(), c.a, c.b)
		if err != nil {
			t.Fatal(err)
		}
		var first [2]events.Seq
		if x.First != nil {
			for i, of := range []*Choice{x.First.A, x.First.B} {
				if of != nil {
					first[i] = of.Seq
				}
			}
		}
		if got := strings.Join(x.Differs, ", "); got != c.differs || first != c.first {
			t.Errorf("%s and %s: differ in %s, first at %v; want %s, %v", c.a.Rollout, c.b.Rollout, got, first, c.differs, c.first)
		}
		if len(x.Waves) != max(len(c.a.Waves), len(c.b.Waves)) {
			t.Errorf("%d waves", len(x.Waves))
		}
	}
}
