package replay_test

import (
	"path/filepath"
	"slices"
	"testing"

	"rollcall/controller/invariant"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/recording"
)

// TestRecordingsAreDecidedAgain: this build decides the recorded histories as they
// were decided, and they break no invariant. It fails on a changed rule.
func TestRecordingsAreDecidedAgain(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "..", "testdata", "recordings", "*.rollcall"))
	if err != nil || len(paths) != 6 {
		t.Fatalf("%d recordings, %v", len(paths), err)
	}
	is, err := invariant.Named()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		rec, err := recording.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer rec.Close()
		r, err := open(t, rec).Regress(t.Context(), replay.Properties{Invariants: is})
		if err != nil || len(r.Lines) > 0 || r.Plans < 40 {
			t.Errorf("%s: %d plans, %v, %q", filepath.Base(path), r.Plans, err, r.Lines)
		}
	}
}

// TestChanges: each way in which a plan can differ has its line.
func TestChanges(t *testing.T) {
	pod := func(do events.Verb, name string, r events.Reason) events.Command {
		return events.Command{Do: do, Ref: events.Ref{Kind: events.Pod, Key: events.Key{Namespace: "x", Name: name}}, Node: "n-" + name, Reason: r}
	}
	owner := events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "x", Name: "a"}, UID: "u"}
	plan := func(cs ...events.Command) *events.Plan { return &events.Plan{Owner: owner, Commands: cs} }
	a, b, c := pod(events.DeletePod, "a", events.Rollout), pod(events.DeletePod, "b", events.Rollout), pod(events.CreatePod, "c", events.Missing)
	again := c
	again.Name, again.Attempt = "c2", 1
	for _, x := range []struct {
		was, is *events.Plan
		want    []string
	}{
		{plan(a, b), plan(a), []string{"plan #7 for x/a: removed DeletePod Pod x/b on n-b (Rollout)"}},
		{plan(a), plan(a, b), []string{"plan #7 for x/a: added DeletePod Pod x/b on n-b (Rollout)"}},
		{plan(a), nil, []string{"plan #7 for x/a: removed DeletePod Pod x/a on n-a (Rollout)"}},
		{plan(a, b), plan(b, a), []string{"plan #7 for x/a: moved DeletePod Pod x/b on n-b (Rollout) before DeletePod Pod x/a on n-a (Rollout)"}},
		{plan(a, b, c), plan(c, b), []string{"plan #7 for x/a: removed DeletePod Pod x/a on n-a (Rollout)",
			"plan #7 for x/a: moved CreatePod Pod x/c on n-c (Missing) before DeletePod Pod x/b on n-b (Rollout)"}},
	} {
		d := replay.Difference{Seq: 7, Recorded: x.was, Decided: x.is}
		if got := d.Changes(); !slices.Equal(got, x.want) {
			t.Errorf("%q, want %q", got, x.want)
		}
	}
	one := replay.Difference{Seq: 7, Recorded: plan(c), Decided: plan(again)}
	if got := one.Changes(); len(got) != 1 {
		t.Errorf("a pod that is made under another name: %q", got)
	}
	numbers := replay.Difference{Seq: 7, Recorded: plan(a), Decided: &events.Plan{Owner: owner, Commands: []events.Command{a}, Rollout: events.Budget{Taken: 1}}}
	if got := numbers.Changes(); len(got) != 1 {
		t.Errorf("other numbers: %q", got)
	}
}
