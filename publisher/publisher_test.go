package publisher_test

import (
	"encoding/json"
	"testing"
	"time"

	"rollcall/publisher"
)

// TestEvent writes an event as CloudEvents has it.
func TestEvent(t *testing.T) {
	ready := publisher.Condition{Type: "Ready", Status: "True"}
	ev, err := publisher.NodeObserved{
		Labels:     publisher.Patch{"zone": new("a"), "spare": nil},
		Capacity:   publisher.Amounts(map[string]string{"cpu": "4"}),
		Conditions: []publisher.Condition{ready},
	}.Event("n-17")
	if err != nil {
		t.Fatal(err)
	}
	ev.ID, ev.Source, ev.Time = "1", "/inventory", time.Date(2026, 11, 26, 14, 3, 5, 0, time.UTC)
	ev.Extensions = map[string]string{"traceparent": "00-1", "partition": "b"}
	b, err := json.Marshal(ev)
	want := `{"specversion":"1.0","id":"1","source":"/inventory","type":"node.observed","subject":"node/n-17","time":"2026-11-26T14:03:05Z",` +
		`"data":{"labels":{"spare":null,"zone":"a"},"capacity":{"cpu":"4"},"conditions":[{"type":"Ready","status":"True"}]},"partition":"b","traceparent":"00-1"}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v\nwant %s", b, err, want)
	}
}

// TestSet sets every key and takes none away.
func TestSet(t *testing.T) {
	b, err := json.Marshal(publisher.Set(map[string]string{"a": "1", "b": ""}))
	if err != nil || string(b) != `{"a":"1","b":""}` {
		t.Errorf("%s, %v", b, err)
	}
}

// TestResults reads what it writes: answers and problems in their order.
func TestResults(t *testing.T) {
	p := publisher.NewProblem(422, "E-TOLD-DATA", "wrong data", "the data is wrong; correct it")
	p.Errors, p.Reject = []publisher.ProblemError{{Pointer: "/data/x", Expected: "a string", Got: "5", Hint: `did you mean "5"?`}}, 91
	in := publisher.Results{Results: []publisher.Result{{Answer: &publisher.Answer{Accepted: true, Seq: 7, ID: "a"}}, {Problem: p}}}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out publisher.Results
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	again, _ := json.Marshal(out)
	if string(again) != string(b) || out.Results[0].Answer.Seq != 7 || out.Results[1].Problem.Errors[0] != p.Errors[0] {
		t.Errorf("%s\n%s", b, again)
	}
}
