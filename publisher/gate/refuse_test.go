package gate

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"rollcall/events"
	"rollcall/publisher"
	"rollcall/publisher/envelope"
)

// A source has so much under way and no more. Others do not wait for it.
func TestBackPressure(t *testing.T) {
	r := newRig(t)
	slow := &slowLog{Log: r.log, source: "inventory", wait: make(chan struct{})}
	r.start(slow)
	var all sync.WaitGroup
	began := make([]func() Reply, 0, maxOpen)
	for i := range maxOpen {
		body := fmt.Sprintf(`{"type":"com.example.x","id":"%d"}`, i)
		began = append(began, r.gate.Begin(t.Context(), inventory, envelope.Message{Body: []byte(body)}, false))
	}
	for _, finish := range began {
		all.Go(func() {
			if reply := finish(); reply.Status != 200 {
				t.Errorf("%v", reply.Body)
			}
		})
	}
	p := r.refused(inventory, `{"type":"com.example.x","id":"more"}`, "E-TOLD-BUSY")
	if p.Status != 429 || p.RetryAfter == 0 || p.Reject != 0 {
		t.Errorf("%+v", p)
	}
	r.take(admin, `{"type":"com.example.x","id":"other"}`)
	close(slow.wait)
	all.Wait()
	r.take(inventory, `{"type":"com.example.x","id":"more"}`)
	if es := r.told(); len(es) != maxOpen+2 {
		t.Errorf("%d events", len(es))
	}
}

// When the log takes nothing it is 503, and the same event is taken later.
func TestUnavailable(t *testing.T) {
	r := newRig(t)
	log := &slowLog{Log: r.log, fail: fmt.Errorf("append: %w", events.ErrUnavailable)}
	r.start(log)
	p := r.refused(admin, observed("1", "edge-1", `{}`), "E-TOLD-UNAVAILABLE")
	if p.Status != 503 || p.RetryAfter == 0 || p.Reject != 0 {
		t.Errorf("%+v", p)
	}
	unheard := admin
	unheard.Unanswered = true
	if p := r.refused(unheard, observed("1", "edge-1", `{}`), "E-TOLD-UNAVAILABLE"); p.Reject == 0 {
		t.Errorf("nobody knows of it: %+v", p)
	}
	log.fail = nil
	if a := r.take(admin, observed("1", "edge-1", `{}`)); a.Duplicate {
		t.Errorf("%+v", a)
	}
	if err := r.gate.Close(); err != nil {
		t.Error(err)
	}
	r.refused(admin, observed("1", "edge-1", `{}`), "E-TOLD-STOPPING")
}

// What is refused is kept with the reason and without the token; the same again is
// counted.
func TestRejects(t *testing.T) {
	r := newRig(t)
	m := envelope.Message{Header: map[string][]string{"Authorization": {"Bearer secret"}, "Cookie": {"secret"}, "User-Agent": {"curl"}, "Content-Type": {"application/json"}},
		Body: []byte(`{"type":"node.observd","subject":"node/edge-1"}`)}
	var last uint64
	for n := 1; n <= 3; n++ {
		p := r.gate.Deliver(t.Context(), inventory, m, false).Body.(*publisher.Problem)
		data, ok, _ := r.shelf.Get(t.Context(), p.Reject)
		if !ok || p.Reject <= last {
			t.Fatalf("%+v", p)
		}
		last = p.Reject
		is, _ := read(p.Reject, data)
		if is.Count != n || is.Source != "inventory" || is.Problem.Code != "E-TOLD-TYPE" || string(is.Raw) != string(m.Body) || len(is.Headers) != 2 || is.First.After(is.Last) {
			t.Errorf("%s", data)
		}
		if strings.Contains(string(data), "secret") {
			t.Errorf("the token is kept: %s", data)
		}
		if n == 2 {
			r.start(r.log)
		}
	}
	if n, _, _, _ := r.shelf.Held(t.Context()); n != 1 {
		t.Errorf("%d are kept", n)
	}
	if p := r.refused(inventory, `{"type":`, "E-TOLD-JSON"); p.Reject == 0 {
		t.Errorf("%+v", p)
	}
	if p := r.refused(inventory, `{"type":"com.example.x","data":"`+strings.Repeat("x", 1<<20)+`"}`, "E-TOLD-SIZE"); p.Reject == 0 {
		t.Errorf("%+v", p)
	}
	r.shelf.fail = errors.New("full")
	if p := r.refused(inventory, `{"type":`, "E-TOLD-JSON"); p.Reject != 0 {
		t.Errorf("%+v", p)
	}
}

// What was refused is sent again as its source, when that may tell it; then it is no
// reject any more.
func TestRetry(t *testing.T) {
	r := newRig(t)
	do := func(q RejectsRequest) RejectsAnswer {
		t.Helper()
		a, err := r.gate.Rejects(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	early := `{"type":"node.condition","subject":"node/edge-1","data":{"type":"Ready","status":"True"}}`
	for _, media := range []string{"application/json", "application/x-ndjson"} {
		m := envelope.Message{Header: map[string][]string{"content-type": {media}}, Body: []byte(early)}
		r.gate.Deliver(t.Context(), admin, m, false)
		n := do(RejectsRequest{Do: ListRejects}).Rejects[0].Number
		again := do(RejectsRequest{Do: RetryRejects, Numbers: []uint64{n}}).Done[0]
		if again.Reject <= n || !strings.Contains(again.Why, "E-TOLD-ABSENT") {
			t.Fatalf("%+v", again)
		}
		r.take(admin, `{"type":"node.observed","subject":"node/edge-1"}`)
		if a := do(RejectsRequest{Do: RetryRejects, All: true, Source: "admin"}); len(a.Done) != 1 || a.Done[0].Seq == 0 {
			t.Errorf("%+v", a)
		}
		if a := do(RejectsRequest{Do: ListRejects}); len(a.Rejects) != 0 {
			t.Errorf("%+v", a)
		}
		r.take(admin, `{"type":"node.gone","subject":"node/edge-1"}`)
	}
	r.send(inventory, early)
	n := do(RejectsRequest{Do: ListRejects, Source: "inventory"}).Rejects[0].Number
	if a := do(RejectsRequest{Do: ShowRejects, Numbers: []uint64{n}}); string(a.Rejects[0].Raw) != early {
		t.Errorf("%+v", a)
	}
	if a := do(RejectsRequest{Do: RetryRejects, Numbers: []uint64{n}}); !strings.Contains(a.Done[0].Why, "no source inventory") {
		t.Errorf("%+v", a)
	}
	do(RejectsRequest{Do: DropRejects, Numbers: []uint64{n}})
	if _, err := r.gate.Rejects(t.Context(), RejectsRequest{Do: ShowRejects, Numbers: []uint64{n}}); err == nil || !strings.Contains(err.Error(), "E-TOLD-REJECT") {
		t.Errorf("%v", err)
	}
}
