package executor_test

import (
	"testing"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/table"
	"rollcall/publisher/executor"
)

// An executor that goes on from a keyframe carries out what was under way, behind
// what nobody believes; one that was told less than the state knows does not begin.
func TestResume(t *testing.T) {
	b := newBench(t)
	b.plan(create("agent-1", "a"))
	h := b.executor(executor.LogWorld{})
	h.rest()
	all := b.all()
	born := all[len(all)-1]
	b.plan(do(events.DeletePod, "agent-1", "a"))
	h.rest()
	b.log.AppendRaw(born.Subject, born.Raw)
	again := create("agent-1", "a")
	again.UID = "again"
	b.plan(again)
	h.observe(0)
	data, err := h.party.(*executor.Executor).Keep()
	if err != nil {
		t.Fatal(err)
	}
	s := projector.New("")
	for _, e := range b.all() {
		projector.Fold(s, e)
	}

	resumed := b.executor(executor.LogWorld{})
	x := resumed.party.(*executor.Executor)
	for _, kind := range s.Kinds() {
		rows, _ := s.Objects().Of(kind).Snapshot()
		rows.Scan(func(i *table.Item) bool {
			x.Observe(events.Event{Seq: events.Seq(i.Rev), Body: i.Object}, b.now)
			return true
		})
	}
	if err := x.Resume(nil, s.UnderWay()); err == nil {
		t.Error("it goes on without the commands that are under way")
	}
	if err := x.Resume(data, s.UnderWay()); err != nil {
		t.Fatal(err)
	}
	if x.Pending() != 1 {
		t.Fatalf("%d commands are under way", x.Pending())
	}
	for _, e := range b.all() { // the rest of them believe what a screen of all does
		resumed.screen.Take(e)
		resumed.seq = e.Seq
	}
	resumed.rest()
	if pod := b.pod(podKey); pod == nil || pod.UID != "again" {
		t.Fatalf("pod %+v, want the new one", pod)
	}
}
