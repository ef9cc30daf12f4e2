package replay_test

import (
	"reflect"
	"testing"

	"github.com/oklog/ulid/v2"

	"rollcall/controller/condition"
	"rollcall/controller/replay"
	"rollcall/controller/simtest"
	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/events/wire"
	"rollcall/projector"
)

// TestSkim: who only asks what is believed of a log hears the same as who folds
// it, from wherever it begins. A log of random histories has copies of plans,
// answers that come twice, and what cannot be decoded.
func TestSkim(t *testing.T) {
	codes := map[string]int{}
	for seed := range uint64(20) {
		log := simtest.Run(seed, simtest.Options{}).Log()
		if seed%2 == 0 {
			spoil(t, log)
		}
		h := open(t, log)
		folded := map[events.Seq]events.Body{}
		err := h.Walk(t.Context(), 0, h.Span().Last, replay.Visit{After: func(_ *projector.State, e events.Event) error {
			folded[e.Seq] = e.Body
			if b, ok := e.Body.(events.Unreadable); ok {
				codes[b.Code]++
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range []events.Seq{0, h.Span().Last / 2} {
			s, err := h.At(t.Context(), from)
			if err != nil {
				t.Fatal(err)
			}
			skim := projector.NewSkim(s)
			for e, err := range log.Read(t.Context(), from) {
				if err != nil {
					t.Fatal(err)
				}
				if got := skim.Take(e).Body; !reflect.DeepEqual(got, folded[e.Seq]) {
					t.Errorf("seed %d: #%d from #%d is %T %v, folded %T %v", seed, e.Seq, from, got, got, folded[e.Seq], folded[e.Seq])
				}
			}
		}
	}
	for _, code := range []string{"E-EVT-OBJECT", "E-EVT-REPEATED", "E-EVT-MSGPACK"} {
		if codes[code] == 0 {
			t.Errorf("nothing has the code %s: %v", code, codes)
		}
	}
}

// TestConditionsWithoutState: an expression that does not name the state says the
// same of events that are not folded as one that names it.
func TestConditionsWithoutState(t *testing.T) {
	for _, seed := range seeds {
		log := simtest.Run(seed, simtest.Options{}).Log()
		spoil(t, log)
		h := open(t, log)
		for _, expr := range []string{
			`!has(pod.status) || pod.status.phase != "Running"`,
			`!has(ds.spec) || event.type != "daemonset.planned" || size(event.commands) < 2`,
			`event.type != "pod.deleted" && event.source != "executor"`,
			`!has(node.metadata) || !has(node.metadata.labels)`,
		} {
			for _, from := range []events.Seq{1, h.Span().Last / 3} {
				plain, naming := check(t, h, expr, from), check(t, h, "("+expr+") || state.seq < 0", from)
				for i := range naming.Broken {
					naming.Broken[i].Invariant = expr
				}
				if !reflect.DeepEqual(plain, naming) {
					t.Errorf("seed %d: %s from #%d: %+v, want %+v", seed, expr, from, plain, naming)
				}
			}
		}
	}
}

func check(t *testing.T, h *replay.History, expr string, from events.Seq) *replay.Checked {
	t.Helper()
	c, err := condition.Compile(expr)
	if err != nil {
		t.Fatal(err)
	}
	x, err := h.Check(t.Context(), replay.Properties{Condition: c}, from, h.Span().Last)
	if err != nil {
		t.Fatal(expr, err)
	}
	return x
}

// spoil appends what nobody believes: a copy of a plan, no event at all, and a pod
// that cannot be read.
func spoil(t *testing.T, log *memlog.Log) {
	t.Helper()
	var plan events.Event
	for e, err := range log.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == events.Planned {
			plan = e
			break
		}
	}
	ref := events.Ref{Kind: events.Pod, Key: events.Key{Namespace: "x", Name: "bad"}, UID: "bad"}
	data, err := wire.Marshal(map[string]any{"metadata": map[string]any{"name": "bad", "namespace": "x", "uid": "bad"}, "spec": "none"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := events.Encode(events.Event{ID: ulid.MustNew(1, nil), Type: events.ObjectType(events.Pod, events.VerbCreated), Source: "test", Body: events.Object{Ref: ref, Data: data}})
	if err != nil {
		t.Fatal(err)
	}
	log.AppendRaw(plan.Subject, plan.Raw)
	log.AppendRaw(plan.Subject, []byte("hello"))
	log.AppendRaw("rollcall.test.pod.x.bad", raw)
}

// TestUnchained: a state whose chain has ended goes on as any other, and becomes
// no keyframe.
func TestUnchained(t *testing.T) {
	log := simtest.Run(seeds[0], simtest.Options{}).Log()
	h := open(t, log)
	s, err := h.At(t.Context(), 20)
	if err != nil {
		t.Fatal(err)
	}
	s.Unchain()
	for e, err := range log.Read(t.Context(), 20) {
		if err != nil {
			t.Fatal(err)
		}
		projector.Fold(s, e)
	}
	if err := s.Check(); err != nil || s.Seq() != h.Span().Last {
		t.Errorf("at #%d: %v", s.Seq(), err)
	}
	if _, err := s.Keyframe(); err == nil {
		t.Error("there is a keyframe without a chain")
	}
}
