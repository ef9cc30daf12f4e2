package natsd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// readers starts a server with a log of some messages, and with two who may read it.
func readers(t *testing.T, messages int) (s *Server, js jetstream.JetStream, stream jetstream.Stream) {
	t.Helper()
	b := &table{all: map[string]Source{}}
	b.set(source("dash", true))
	b.set(source("both", true, "*"))
	s = mustStart(t, Options{Dir: t.TempDir(), Listen: loopback, Durability: Relaxed, Sources: b.source})
	js = logStream(t, mustConnect(t, s.Connect))
	for i := range messages {
		if _, err := js.Publish(t.Context(), fmt.Sprintf("rollcall.test.pod.default.x%d", i%2), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := js.Stream(t.Context(), "ROLLCALL_test")
	if err != nil {
		t.Fatal(err)
	}
	return s, js, stream
}

// TestNamelessSubject: clients in other languages make a consumer of several subjects
// under a subject without its name.
func TestNamelessSubject(t *testing.T) {
	s, _, _ := readers(t, 4)
	nc := mustConnect(t, asSource(s, "dash"))
	ask := func(config string) string {
		t.Helper()
		m, err := nc.Request("$JS.API.CONSUMER.CREATE.ROLLCALL_test", []byte(`{"stream_name":"ROLLCALL_test","action":"create","config":{`+config+`}}`), patience)
		if err != nil {
			t.Fatal(err)
		}
		return string(m.Data)
	}
	subjects := `"filter_subjects":["rollcall.test.pod.default.x1","rollcall.test.node.>"]`
	for _, bad := range []string{subjects, `"name":"a.b",` + subjects, `"name":"*",` + subjects, `"name":"d","deliver_subject":"x",` + subjects} {
		if a := ask(bad); !strings.Contains(a, `"error"`) {
			t.Errorf("%s makes %s", bad, a)
		}
	}
	if a := ask(`"name":"mine","ack_policy":"none","mem_storage":true,` + subjects); !strings.Contains(a, `"name":"mine"`) {
		t.Fatal(a)
	}
	m, err := nc.Request("$JS.API.CONSUMER.MSG.NEXT.ROLLCALL_test.mine", []byte("1"), patience)
	if err != nil || m.Subject == "" || string(m.Data) != "1" {
		t.Errorf("the first message of it is %v, %v", m, err)
	}
}

// TestOrderedConsumer: who may read the log has it by one ordered consumer of any
// NATS client as it comes, with a filter, and as it grows.
func TestOrderedConsumer(t *testing.T) {
	const n = 1500
	s, inside, stream := readers(t, n)
	for _, connect := range []func(...nats.Option) (*nats.Conn, error){asSource(s, "dash"), asAdmin(t, s)} {
		js, err := jetstream.New(mustConnect(t, connect))
		if err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			c     jetstream.OrderedConsumerConfig
			first uint64
			step  uint64
		}{
			{jetstream.OrderedConsumerConfig{}, 1, 1},
			{jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: 700}, 700, 1},
			{jetstream.OrderedConsumerConfig{FilterSubjects: []string{"rollcall.test.*.*.x1"}}, 2, 2},
			{jetstream.OrderedConsumerConfig{FilterSubjects: []string{"rollcall.test.pod.default.x0", "rollcall.test.node.>"}, InactiveThreshold: time.Hour}, 1, 2},
		} {
			c, err := js.OrderedConsumer(t.Context(), "ROLLCALL_test", tc.c)
			if err != nil {
				t.Fatal(err)
			}
			it, err := c.Messages()
			if err != nil {
				t.Fatal(err)
			}
			for seq := tc.first; seq <= n; seq += tc.step {
				m, err := it.Next()
				if err != nil {
					t.Fatalf("%+v at %d: %v", tc.c, seq, err)
				}
				meta, err := m.Metadata()
				if err != nil || meta.Sequence.Stream != seq || string(m.Data()) != fmt.Sprint(seq-1) || m.Subject() != fmt.Sprintf("rollcall.test.pod.default.x%d", (seq-1)%2) {
					t.Fatalf("%+v: %s %q %+v, want position %d (%v)", tc.c, m.Subject(), m.Data(), meta, seq, err)
				}
			}
			it.Stop()
		}
	}
	// A reader that waits is told of what is new.
	js, err := jetstream.New(mustConnect(t, asSource(s, "both")))
	if err != nil {
		t.Fatal(err)
	}
	c, err := js.OrderedConsumer(t.Context(), "ROLLCALL_test", jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverNewPolicy})
	if err != nil {
		t.Fatal(err)
	}
	it, err := c.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer it.Stop()
	if _, err := inside.Publish(t.Context(), "rollcall.test.pod.default.new", nil); err != nil {
		t.Fatal(err)
	}
	if m, err := it.Next(); err != nil || m.Subject() != "rollcall.test.pod.default.new" {
		t.Fatal(m, err)
	}
	harmless(t, stream)
}

// harmless fails if a consumer of a log is anything else than one of a reader.
func harmless(t *testing.T, stream jetstream.Stream) {
	t.Helper()
	all := stream.ListConsumers(t.Context())
	n := 0
	for c := range all.Info() {
		n++
		o := c.Config
		if o.Durable != "" || o.DeliverSubject != "" || o.AckPolicy != jetstream.AckNonePolicy || !o.MemoryStorage || o.InactiveThreshold <= 0 || o.InactiveThreshold > maxIdle ||
			o.MaxWaiting > maxWaiting || o.PauseUntil != nil || o.RateLimit != 0 || len(o.BackOff) > 0 || o.ReplayPolicy != jetstream.ReplayInstantPolicy {
			t.Errorf("a reader has made %+v", o)
		}
	}
	if all.Err() != nil {
		t.Fatal(all.Err())
	}
	if n > 3*maxConsumers {
		t.Errorf("three readers have %d consumers", n)
	}
}

// ask sends a request to JetStream, and returns the code of its refusal, or 0.
func ask(t *testing.T, nc *nats.Conn, subject, body string) int {
	t.Helper()
	m, err := nc.Request("$JS.API."+subject, []byte(body), patience)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	var a struct {
		Error struct {
			Code int `json:"err_code"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		t.Fatalf("%s: %q", subject, m.Data)
	}
	return a.Error.Code
}

// TestNoOtherConsumers: a reader makes no consumer that outlives it, delivers
// anywhere, keeps the log from anything or is that of somebody else.
//
// finding M4, finding U11
func TestNoOtherConsumers(t *testing.T) {
	s, _, stream := readers(t, 3)
	out := mustConnect(t, asSource(s, "dash"))
	in := mustConnect(t, s.Connect)
	for _, tc := range []struct{ name, config string }{
		{"a", `"durable_name":"a","ack_policy":"none"`},
		{"a", `"name":"a","ack_policy":"explicit"`},
		{"a", `"name":"a","ack_policy":"all"`},
		{"a", `"name":"a","ack_policy":"none","deliver_subject":"_INBOX.x"`},
		{"a", `"name":"a","ack_policy":"none","deliver_subject":"rollcall.test.pod.default.x"`},
		{"a", `"name":"a","ack_policy":"none","deliver_subject":"rollcall.test.from.admin.ingest.node.gone","flow_control":true,"idle_heartbeat":1000000000`},
		{"a", `"name":"a","ack_policy":"none","deliver_group":"g"`},
		{"a", `"name":"a","ack_policy":"none","backoff":[1000000000]`},
		{"a", `"name":"a","ack_policy":"none","pause_until":"2036-01-01T00:00:00Z"`},
		{"a", `"name":"a","ack_policy":"none","rate_limit_bps":1`},
		{"a", `"name":"a","ack_policy":"none","sample_freq":"100"`},
		{"a", `"name":"a","ack_policy":"none","priority_groups":["g"]`},
		{"a", `"name":"a","ack_policy":"none","direct":true`},
		{"a", `"name":"b","ack_policy":"none"`},
		{"a", `"name":"a","ack_policy":"none","DELIVER_SUBJECT":"_INBOX.x"`},
		{"a", `"name":"a","ack_policy":"none","opt_start_seq":"x"`},
	} {
		if code := ask(t, out, "CONSUMER.CREATE.ROLLCALL_test."+tc.name, `{"stream_name":"ROLLCALL_test","config":{`+tc.config+`}}`); code == 0 {
			t.Errorf("{%s} has made a consumer", tc.config)
		}
	}
	for _, body := range []string{"", "x", "[]", `{"config":[]}`, strings.Repeat("x", maxRequest+1), `{"config":{"name":"a"},"stream_name":"OTHER"} x`} {
		if ask(t, out, "CONSUMER.CREATE.ROLLCALL_test.a", body) == 0 {
			t.Errorf("%.40q has made a consumer", body)
		}
	}
	for _, name := range []string{"*", "a b", "a\tb", strings.Repeat("a", 81), "ä"} {
		m := nats.NewMsg("$JS.API.CONSUMER.CREATE.ROLLCALL_test." + name)
		m.Data = []byte(`{"config":{"ack_policy":"none"}}`)
		if m, err := out.RequestMsg(m, 300*time.Millisecond); err == nil && !strings.Contains(string(m.Data), `"error"`) {
			t.Errorf("a consumer is called %q: %s", name, m.Data)
		}
	}
	if list := stream.ListConsumers(t.Context()); list.Err() != nil || len(list.Info()) > 0 {
		t.Error("there is a consumer")
	}
	// That of rollcall itself, or of another, is not taken, read, seen or deleted.
	const plain = `{"stream_name":"ROLLCALL_test","config":{"name":"own","ack_policy":"none","mem_storage":true,"inactive_threshold":300000000000,"num_replicas":1,"max_waiting":16,"replay_policy":"instant","deliver_policy":"all"}}`
	if code := ask(t, in, "CONSUMER.CREATE.ROLLCALL_test.own", plain); code != 0 {
		t.Fatal(code)
	}
	both := mustConnect(t, asSource(s, "both"))
	if code := ask(t, both, "CONSUMER.CREATE.ROLLCALL_test.theirs", strings.Replace(plain, "own", "theirs", 1)); code != 0 {
		t.Fatal(code)
	}
	if ask(t, out, "CONSUMER.CREATE.ROLLCALL_test.own", plain) == 0 {
		t.Error("rollcall's own consumer is a reader's")
	}
	if ask(t, out, "CONSUMER.CREATE.ROLLCALL_test.theirs", strings.Replace(plain, "own", "theirs", 1)) == 0 {
		t.Error("another's consumer is a reader's")
	}
	for _, verb := range []string{"INFO", "DELETE"} {
		if ask(t, out, "CONSUMER."+verb+".ROLLCALL_test.theirs", "") != 10014 {
			t.Errorf("%s of another's consumer is answered", verb)
		}
	}
	for _, name := range []string{"theirs", "own", "none"} {
		if m, err := out.Request("$JS.API.CONSUMER.MSG.NEXT.ROLLCALL_test."+name, []byte(`{"batch":1,"no_wait":true}`), patience); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s gives %v, %v", name, m, err)
		}
	}
	if m, err := both.Request("$JS.API.CONSUMER.MSG.NEXT.ROLLCALL_test.theirs", []byte(`{"batch":1,"no_wait":true}`), patience); err != nil || string(m.Data) != "0" {
		t.Errorf("the own consumer gives %v, %v", m, err)
	}
}

// TestFewConsumers: a reader that forgets its consumers has the newest of them.
func TestFewConsumers(t *testing.T) {
	s, _, stream := readers(t, 3)
	out := mustConnect(t, asSource(s, "dash"))
	for i := range 4 * maxConsumers {
		if code := ask(t, out, fmt.Sprintf("CONSUMER.CREATE.ROLLCALL_test.c%d", i), `{"config":{"ack_policy":"none","inactive_threshold":31536000000000000}}`); code != 0 {
			t.Fatal(code)
		}
	}
	harmless(t, stream)
	eventually(t, "few consumers", func() bool {
		i, err := stream.Info(t.Context())
		return err == nil && i.State.Consumers == maxConsumers
	})
	newest := fmt.Sprintf("c%d", 4*maxConsumers-1)
	if _, err := stream.Consumer(t.Context(), newest); err != nil {
		t.Errorf("%s: %v", newest, err)
	}
	if code := ask(t, out, "CONSUMER.DELETE.ROLLCALL_test."+newest, ""); code != 0 {
		t.Errorf("a reader's own consumer is not deleted: %d", code)
	}
	if _, err := stream.Consumer(t.Context(), newest); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("%s after it was deleted: %v", newest, err)
	}
}
