package replay_test

import (
	"context"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/recording"
)

// rewritten is a log of which some events are others.
type rewritten struct {
	replay.Log
	with map[events.Seq]events.Event
}

// Read implements events.Reader.
func (r rewritten) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		for e, err := range r.Log.Read(ctx, after) {
			if other, ok := r.with[e.Seq]; ok {
				e = other
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// rewrite changes plans of a recording: those that change returns.
func rewrite(t *testing.T, name string, change func(events.Seq, events.Plan) *events.Plan) rewritten {
	t.Helper()
	rec, err := recording.Open(filepath.Join("..", "..", "testdata", "recordings", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rec.Close() })
	r := rewritten{rec, map[events.Seq]events.Event{}}
	for _, e := range all(t, rec) {
		p, ok := e.Body.(*events.Plan)
		if !ok {
			continue
		}
		other := change(e.Seq, *p)
		if other == nil {
			continue
		}
		e.Body = other
		raw, err := events.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		is := events.Decode(raw)
		is.Seq, is.Stored = e.Seq, e.Stored
		r.with[e.Seq] = is
	}
	return r
}

// TestVerify: every plan that is decided otherwise is told of, and the first with
// both sides and the rule.
func TestVerify(t *testing.T) {
	log := rewrite(t, "stuck-node.rollcall", func(seq events.Seq, p events.Plan) *events.Plan {
		switch seq {
		case 156: // the deletion that begins the rollout is gone
			p.Commands = nil
		case 245, 273:
			p.Rollout.Desired++
		default:
			return nil
		}
		return &p
	})
	if len(log.with) != 3 {
		t.Fatalf("%d plans are others: choose positions of plans", len(log.with))
	}
	h := open(t, log)
	r, err := h.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var at []events.Seq
	for _, d := range r.Differences {
		at = append(at, d.Seq)
	}
	if !slices.Contains(at, 156) || !slices.Contains(at, 245) || !slices.Contains(at, 273) || !slices.IsSorted(at) {
		t.Errorf("differences at %v", at)
	}
	x, err := h.Sides(t.Context(), r.First())
	if err != nil {
		t.Fatal(err)
	}
	if x.Seq != 156 || len(x.Rows) != 1 || x.Rows[0].Was != nil || x.Rows[0].Is.Reason != events.Rollout || x.Rows[0].Why == "" {
		t.Errorf("the first: %+v", x)
	}
	if r.End.Seq != h.Span().Last {
		t.Errorf("it ends at #%d", r.End.Seq)
	}
}

// said returns what a program says of a log.
func said(t *testing.T, log replay.Log) (all []replay.Said) {
	t.Helper()
	if err := open(t, log).Say(t.Context(), replay.Properties{}, func(x replay.Said) error {
		all = append(all, x)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func taken(t *testing.T, lines []replay.Said) *replay.Account {
	t.Helper()
	var d replay.Account
	for _, x := range lines {
		if err := d.Take(x); err != nil {
			t.Fatal(err)
		}
	}
	return &d
}

// TestCompare: two programs that decide the same are the same, and each thing in
// which one differs is told: a command, a plan that is not decided, the state, an
// invariant.
func TestCompare(t *testing.T) {
	lines := said(t, rewrite(t, "clean-roll.rollcall", func(events.Seq, events.Plan) *events.Plan { return nil }))
	if c := replay.CompareAccounts(taken(t, lines), taken(t, lines)); c.Differ() || c.Plans < 40 || c.States < 10 {
		t.Fatalf("the same program: %+v", c)
	}
	first := func(is func(replay.Said) bool) int { return slices.IndexFunc(lines, is) }
	plan := first(func(x replay.Said) bool { return len(x.Plans) > 0 })
	state := first(func(x replay.Said) bool { return x.At > 100 })
	for name, c := range map[string]struct {
		change func(other []replay.Said) []replay.Said
		want   string
	}{
		"a plan":               {func(o []replay.Said) []replay.Said { o[plan].Plans = nil; return o }, "added CreatePod"},
		"a plan unknown":       {func(o []replay.Said) []replay.Said { return slices.Delete(o, plan, plan+1) }, "quarantined"},
		"a state":              {func(o []replay.Said) []replay.Said { o[state].State = "0"; return o }, "the states after #"},
		"another build's plan": {func(o []replay.Said) []replay.Said { o[plan].Plans = []byte("?"); return o }, "added CreatePod"},
	} {
		c2 := replay.CompareAccounts(taken(t, lines), taken(t, c.change(slices.Clone(lines))))
		if !c2.Differ() || !strings.Contains(strings.Join(c2.Lines(), "\n"), c.want) {
			t.Errorf("%s: %q, want %q", name, c2.Lines(), c.want)
		}
		if name == "a state" && (c2.Same >= lines[state].At || c2.StateParts[0] != lines[state].At) {
			t.Errorf("the states are the same up to #%d, and part at %v", c2.Same, c2.StateParts)
		}
	}
	other := slices.Clone(lines)
	other = slices.Insert(other, 1, replay.Said{Found: "S1 at #7: two"})
	if c := replay.CompareAccounts(taken(t, lines), taken(t, other)); !c.Differ() || len(c.Went) != 1 {
		t.Errorf("an invariant: %+v", c)
	}
	other = slices.Clone(lines)
	other[0].States++
	if c := replay.CompareAccounts(taken(t, lines), taken(t, other)); c.Differ() || c.States != 0 {
		t.Errorf("another format of states: %+v", c)
	}
}

// TestSaidByOthers: what is no stream of decisions is refused, and one that ends
// early is known.
func TestSaidByOthers(t *testing.T) {
	for name, lines := range map[string][]replay.Said{
		"no head":       {{Plan: 1}},
		"newer":         {{Format: replay.DecisionsFormat + 1}},
		"empty line":    {{Format: replay.DecisionsFormat}, {}},
		"after its end": {{Format: replay.DecisionsFormat}, {End: 3}, {Plan: 1}},
	} {
		var d replay.Account
		var err error
		for _, x := range lines {
			if err = d.Take(x); err != nil {
				break
			}
		}
		if err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
	if taken(t, []replay.Said{{Format: replay.DecisionsFormat}, {Plan: 1}}).Whole(3) {
		t.Error("a stream without an end is whole")
	}
}
