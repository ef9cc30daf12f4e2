package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/projector/table"
	"rollcall/publisher"
	"rollcall/publisher/envelope"
	"rollcall/publisher/sources"
)

// rig is a gate before a log in memory.
type rig struct {
	t       *testing.T
	log     *memlog.Log
	gate    *Gate
	state   folded
	shelf   *shelf
	now     time.Time // zero: the machine's
	subject events.Subjects
}

// folded is a projector as the gate reads it.
type folded struct{ *projector.Projector }

func (f folded) Hold(owner, name string) (h events.Hold, at events.Seq, ok bool) {
	f.Read(func(s *projector.State) {
		if is := s.Hold(owner, name); is != nil {
			h, at, ok = is.Hold, is.Seq, true
		}
	})
	return h, at, ok
}

func (f folded) Holds(owner string) (hs []events.Hold) {
	f.Read(func(s *projector.State) {
		for _, is := range s.Holds() {
			if is.Owner == owner {
				hs = append(hs, is.Hold)
			}
		}
	})
	return hs
}

// lax are rules that refuse a label value "refused".
type lax struct{}

func (lax) Node(_, now events.Object) (events.Object, error) {
	var n corev1.Node
	if err := now.Decode(&n); err != nil {
		return now, err
	}
	for _, v := range n.Labels {
		if v == "refused" {
			return now, errors.New("a label is refused")
		}
	}
	return now, nil
}

func (lax) PodStatus(_, now events.Object) (events.Object, error) { return now, nil }

// shelf is a Shelf in memory.
type shelf struct {
	mu   sync.Mutex
	all  map[uint64][]byte
	last uint64
	fail error
}

func (s *shelf) Put(_ context.Context, _ string, data []byte) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return 0, s.fail
	}
	s.last++
	s.all[s.last] = slices.Clone(data)
	return s.last, nil
}

func (s *shelf) Get(_ context.Context, n uint64) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.all[n]
	return data, ok, nil
}

func (s *shelf) Drop(_ context.Context, n uint64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.all[n]
	delete(s.all, n)
	return ok, nil
}

func (s *shelf) Each(_ context.Context, f func(uint64, []byte) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := uint64(1); n <= s.last; n++ {
		if data, ok := s.all[n]; ok && !f(n, data) {
			break
		}
	}
	return nil
}

func (s *shelf) Held(context.Context) (messages, bytes, ever uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(len(s.all)), 0, s.last, nil
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, subject: s, log: memlog.New(s, time.Now), shelf: &shelf{all: map[uint64][]byte{}}}
	r.start(r.log)
	return r
}

// start begins, or begins anew after a restart, with what the log has.
func (r *rig) start(log events.Log) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	prints := NewPrints()
	p := projector.Open(r.log, projector.Options{History: table.Recent, Follow: []func(events.Event){prints.Follow}})
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		<-done
	})
	<-p.Ready()
	r.state = folded{p}
	r.gate = New(Config{Log: log, Subjects: r.subject, State: r.state, Rules: lax{}, Prints: prints, Shelf: r.shelf, Now: r.clock,
		Sources: func() *sources.Table { return &sources.Table{} }, Report: func(err error) { r.t.Log(err) }})
}

func (r *rig) clock() time.Time {
	if r.now.IsZero() {
		return time.Now()
	}
	return r.now
}

var (
	admin     = Sender{Source: sources.Admin, Door: "http"}
	inventory = Sender{Source: sources.Source{Name: "inventory", May: []string{"node.*", "pod.status", "com.example.*", "hold.*"}, Nodes: []string{"edge-*"}}, Door: "http"}
)

// send sends a body and returns the status and the answer as JSON text.
func (r *rig) send(by Sender, body string) (status int, text string) {
	r.t.Helper()
	return show(r.t, r.gate.Deliver(r.t.Context(), by, envelope.Message{Body: []byte(body)}, false))
}

func (r *rig) sendAtomic(by Sender, body string) (status int, text string) {
	r.t.Helper()
	return show(r.t, r.gate.Deliver(r.t.Context(), by, envelope.Message{Body: []byte(body)}, true))
}

func show(t *testing.T, reply Reply) (int, string) {
	t.Helper()
	b, err := json.Marshal(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply.Status, string(b)
}

// take sends an event that has to be taken, and returns the answer.
func (r *rig) take(by Sender, body string) publisher.Answer {
	r.t.Helper()
	reply := r.gate.Deliver(r.t.Context(), by, envelope.Message{Body: []byte(body)}, false)
	a, ok := reply.Body.(*publisher.Answer)
	if !ok {
		_, text := show(r.t, reply)
		r.t.Fatalf("%s\nwas refused: %s", body, text)
	}
	return *a
}

// refused sends an event that has to be refused with a code, and returns why.
func (r *rig) refused(by Sender, body, code string) publisher.Problem {
	r.t.Helper()
	reply := r.gate.Deliver(r.t.Context(), by, envelope.Message{Body: []byte(body)}, false)
	p, ok := reply.Body.(*publisher.Problem)
	if !ok || p.Code != code {
		_, text := show(r.t, reply)
		r.t.Fatalf("%s\nwas answered with %s, want %s", body, text, code)
	}
	return *p
}

func (r *rig) node(name string) *corev1.Node {
	r.t.Helper()
	i := r.state.Objects().Get(events.Node, events.Key{Name: name})
	if i == nil {
		return nil
	}
	n := new(corev1.Node)
	if err := i.Decode(n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// told returns the events of the log that came from outside.
func (r *rig) told() (es []events.Event) {
	r.t.Helper()
	for e, err := range r.log.Read(r.t.Context(), 0) {
		if err != nil {
			r.t.Fatal(err)
		}
		if e.Told != nil {
			es = append(es, e)
		}
	}
	return es
}

func observed(id, node, labels string) string {
	return fmt.Sprintf(`{"type":"node.observed","id":%q,"subject":"node/%s","data":{"labels":%s}}`, id, node, labels)
}

func has(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, w := range wants {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in %s", w, text)
		}
	}
}
