package replay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"rollcall/controller/invariant"
	"rollcall/controller/replay"
	"rollcall/controller/simtest"
	"rollcall/events"
	"rollcall/projector"
)

// passed is all that is told of by who passes over a log: invariants, from several
// positions on and up to several, rollouts and their receipts.
func passed(t *testing.T, h *replay.History) []byte {
	t.Helper()
	is, err := invariant.Named()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	note := func(x any, err error) {
		t.Helper()
		if err == nil {
			err = json.NewEncoder(&b).Encode(x)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	last := h.Span().Last
	for _, part := range [][2]events.Seq{{1, last}, {last / 2, last}, {last / 5, last * 4 / 5}} {
		note(h.Check(t.Context(), replay.Properties{Invariants: is}, max(1, part[0]), max(1, part[1])))
		note(h.Rollouts(t.Context(), max(1, part[1])))
	}
	l, err := h.Ledger(t.Context())
	note(l.Rollouts, err)
	for _, r := range l.Rollouts {
		note(l.Receipt(t.Context(), r))
	}
	return b.Bytes()
}

// TestLegs: what is said of a log that is passed over on several legs at once is what
// is said when it is passed over on one, and the legs meet.
func TestLegs(t *testing.T) {
	divided := 0
	logs(t, func(name string, h *replay.History) {
		h.Legs(1, 1)
		want := passed(t, h)
		for _, abreast := range []int{2, 4} {
			h.Legs(abreast, 20)
			if got := passed(t, h); !bytes.Equal(got, want) {
				t.Errorf("%s, on %d legs:\n%s\nwant\n%s", name, abreast, got, want)
			}
			legs, met, err := h.Met(t.Context(), h.Span().Last)
			if err != nil || met != legs-1 {
				t.Errorf("%s: %d of %d legs go on from another, %v", name, met, legs, err)
			}
			divided += met
		}
	})
	if divided < 40 {
		t.Errorf("%d legs went on from others", divided)
	}
}

// forged are keyframes of a log that says something else.
type forged struct{ *replay.MemoryKeyframes }

// Add implements replay.Keyframes: they are not made of what is read.
func (f forged) Add(context.Context, *projector.State) error { return nil }

// TestLegsFromElsewhere: a keyframe that passes for one of the log, and is not what
// comes of the events before it, changes nothing that is said of the log.
func TestLegsFromElsewhere(t *testing.T) {
	other := 0
	for seed := range uint64(10) {
		log := simtest.Run(seed, simtest.Options{}).Log()
		open := func(frames replay.Keyframes, abreast int) *replay.History {
			h, err := replay.Open(t.Context(), log, frames)
			if err != nil {
				t.Fatal(err)
			}
			h.Legs(abreast, 20)
			return h
		}
		plain := open(nil, 1)
		s, err := plain.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// Every tenth fact about a pod is missing in the states that are kept.
		m, pods := replay.NewMemoryKeyframes(13, 1<<30), 0
		for e, err := range log.Read(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if o, ok := e.Body.(events.Object); ok && o.Kind == events.Pod {
				if pods++; pods%10 == 0 {
					e.Body, e.Looked = events.Unchanged{}, nil
				}
			}
			projector.Fold(s, e)
			if err := m.Add(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		h := open(forged{m}, 2)
		legs, met, err := h.Met(t.Context(), h.Span().Last)
		if err != nil {
			t.Fatal(err)
		}
		other += legs - 1 - met
		if got, want := wholly(t, h), wholly(t, plain); !bytes.Equal(got, want) {
			t.Errorf("seed %d:\n%s\nwant\n%s", seed, got, want)
		}
	}
	if other < 5 {
		t.Errorf("%d legs began elsewhere", other)
	}
}

// wholly is what those say of a whole log who have seen all of it.
func wholly(t *testing.T, h *replay.History) []byte {
	t.Helper()
	is, err := invariant.Named()
	if err != nil {
		t.Fatal(err)
	}
	x, err1 := h.Check(t.Context(), replay.Properties{Invariants: is}, 1, h.Span().Last)
	all, err2 := h.Rollouts(t.Context(), h.Span().Last)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	b, err := json.Marshal([]any{x.Events, x.Raced, len(x.Broken), all})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
