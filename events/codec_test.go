package events_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"
	"github.com/vmihailenco/msgpack/v5"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/wire"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/wire anew")

var (
	id  = ulid.MustParse("01JQ7ZC9W0000000000000000A")
	at  = time.Date(2026, 3, 1, 9, 0, 0, 5, time.UTC)
	ref = events.Ref{Kind: events.Node, Key: events.Key{Name: "n1"}, UID: "u1"}
	ds  = events.Key{Namespace: "logging", Name: "fluentd"}
	set = events.Ref{Kind: events.DaemonSet, Key: ds, UID: "u3"}
)

func pod(name string, uid types.UID) events.Ref {
	return events.Ref{Kind: events.Pod, Key: events.Key{Namespace: "logging", Name: name}, UID: uid}
}

// every body, small enough to check its bytes by hand.
var bodies = []struct {
	name string
	e    events.Event
}{
	{"object", events.Event{ID: id, Type: events.ObjectType(events.Node, events.VerbCreated), Source: "kubelet", At: at,
		Body: events.Object{Ref: ref, Data: []byte("\x81\xa4kind\xa4Node")}}},
	{"object-caused", events.Event{ID: id, Type: events.ObjectType(events.Pod, events.VerbCreated), Source: "executor", Actor: "alice", At: at,
		Cause: events.Cause{Seq: 300, Index: 2},
		Body:  events.Object{Ref: events.Ref{Kind: events.Pod, Key: events.Key{Namespace: "logging", Name: "fluentd-1"}, UID: "u2"}, Data: []byte{0x80}}}},
	{"gone", events.Event{ID: id, Type: events.ObjectType(events.Node, events.VerbDeleted), At: at,
		Body: events.Gone{Ref: ref, Data: []byte{0x80}}}},
	{"gone-unknown", events.Event{ID: id, Type: events.ObjectType(events.Node, events.VerbDeleted), Body: events.Gone{Ref: ref}}},
	{"plan", events.Event{ID: id, Type: events.Planned, Source: "controller", At: at, Body: fullPlan()}},
	{"plan-empty", events.Event{ID: id, Type: events.Planned, Body: &events.Plan{Owner: events.Ref{Kind: events.DaemonSet, Key: ds}}}},
	{"outcome", events.Event{ID: id, Type: events.Failed, Source: "executor", At: at, Cause: events.Cause{Seq: 9, Index: 1},
		Body: events.Outcome{Owner: set, Command: fullPlan().Commands[0], Reason: "Forbidden", Message: "exceeded quota"}}},
	{"plan-gc", events.Event{ID: id, Type: events.GCPlanned, Source: "controller", At: at, Body: fullGCPlan()}},
	{"object-told", told(events.Event{Type: "node.updated", Body: bodies0}, events.ToldNodeCondition)},
	{"unchanged", told(events.Event{Type: events.ToldUnchanged, Body: events.Unchanged{Ref: ref}}, events.ToldNodeObserved)},
	{"hold", told(events.Event{Type: events.HoldPlaced, Body: fullHold()}, "hold.placed")},
	{"lifted", told(events.Event{Type: events.HoldLifted, Body: events.Lifted{Owner: "ci", Name: "freeze"}}, "hold.lifted")},
	{"note", told(events.Event{Type: events.NoteTold, Body: events.Note{Objects: []events.Ref{set, {Kind: events.Node, Key: events.Key{Name: "n1"}}}}},
		"com.example.deploy.started")},
	{"note-empty", told(events.Event{Type: events.NoteTold, Body: events.Note{}}, "com.example.x")},
	{"charter", events.Event{ID: id, Type: events.Chartered, Source: "kube", At: at, Body: fullCharter()}},
	{"outcome-collector", events.Event{ID: id, Type: events.Overtaken, Source: "executor", At: at, Cause: events.Cause{Seq: 9, Index: 1},
		Body: events.Outcome{Command: fullGCPlan().Commands[0], Reason: "Changed", Message: "it has an owner again"}}},
}

var bodies0 = events.Object{Ref: ref, Data: nodeData}

// nodeData is a node of the names in ref.
var nodeData = []byte("\x82\xa4kind\xa4Node\xa8metadata\x82\xa4name\xa2n1\xa3uid\xa2u1")

// told returns e as source ci told it under a type.
func told(e events.Event, typ string) events.Event {
	e.Source, e.At = "gate", at
	e.Told = &events.Told{Source: "ci", From: "https://ci.example.com/x", ID: "4711", Derived: true, Type: typ, Subject: "node/n1", Time: at.Add(-time.Hour), Late: true,
		Data: []byte("\x81\xa1a\x01"), Extensions: map[string]string{"b": "2", "a": "1"}}
	e.ID = events.ToldID("ci", e.Told.From, e.Told.ID)
	return e
}

func fullHold() events.Hold {
	return events.Hold{Owner: "ci", Name: "freeze", Reason: "release day", Until: at.Add(time.Hour), Select: events.Select{DaemonSets: []events.Key{ds}, Namespaces: []string{"logging"},
		Labels: "tier in (a, b)", NodeLabels: "zone=z1", Nodes: []string{"n1", "n2"}}}
}

func fullCharter() events.Charter {
	return events.Charter{Cluster: "ks-1", Epoch: 2, Version: "v1.36.3", Mode: events.Rollouts, Collects: true, Budget: events.BudgetUpstream,
		Scope: events.Scope{Namespaces: []string{"logging"}, Selector: "tier=a"}}
}

func fullGCPlan() *events.Plan {
	return &events.Plan{
		Basis: events.Basis{Seq: 1234, Now: at.Add(time.Second)},
		Commands: []events.Command{
			{Do: events.DisownObject, Ref: events.Ref{Kind: events.ConfigMap, Key: ds, UID: "c1"}, Owners: []types.UID{"o1", "o2"},
				Finalizer: "x/y", Reason: events.OwnerGone},
			{Do: events.FinalizeObject, Ref: ref, Finalizer: "orphan", Reason: events.Collected},
		},
	}
}

func fullPlan() *events.Plan {
	return &events.Plan{
		Owner: set, Revision: "6d4c9b7f8",
		Basis: events.Basis{Seq: 1234, Now: at.Add(time.Second)},
		Rollout: events.Budget{Desired: 1, Updated: 2, Unavailable: 3, Surging: 4, MaxUnavailable: 5,
			MaxSurge: 6, Taken: 7, Added: 8},
		Commands: []events.Command{
			{Do: events.CreatePod, Ref: pod("fluentd-1", "p1"), Node: "n1", NodeUID: "u1", Revision: "6d4c9b7f8", Attempt: 3,
				Owners: []types.UID{"o1"}, Finalizer: "x/y", Reason: events.Missing},
			{Do: events.DeletePod, Ref: pod("fluentd-2", "p2"), Node: "n2", NodeUID: "u2", Reason: events.Rollout},
		},
		Waiting: events.PackWaits([]events.Wait{{Node: "n3", For: events.HeldBudget}, {Node: "n4", For: events.HeldHold, Until: at.Add(time.Minute), By: "ci/freeze"}}),
		Held:    []events.WaitCount{{For: events.HeldBackoff, Nodes: 1}, {For: events.HeldBudget, Nodes: 70000}},
	}
}

func TestEncodeDecode(t *testing.T) {
	for _, c := range bodies {
		t.Run(c.name, func(t *testing.T) {
			raw, err := events.Encode(c.e)
			if err != nil {
				t.Fatal(err)
			}
			got := events.Decode(raw)
			if again, err := events.Encode(got); err != nil || !bytes.Equal(again, raw) {
				t.Errorf("again: %x %v\nwant   %x", again, err, raw)
			}
			if !reflect.DeepEqual(got.Told, c.e.Told) {
				t.Errorf("got  %+v\nwant %+v", got.Told, c.e.Told)
			}
			if !reflect.DeepEqual(got.Body, c.e.Body) {
				t.Errorf("got  %+v\nwant %+v", got.Body, c.e.Body)
			}
		})
	}
}

// TestFullPlanIsFull keeps the test above honest: a field that somebody adds
// must be in it, and so in the codec.
func TestFullPlanIsFull(t *testing.T) {
	p := fullPlan()
	for _, v := range []any{*p, p.Basis, p.Rollout, p.Commands[0], p.Waits()[1], p.Held[0], bodies[6].e.Body, *told(events.Event{}, "x").Told, fullHold(), fullHold().Select, fullCharter(), fullCharter().Scope} {
		rv := reflect.ValueOf(v)
		for i := range rv.NumField() {
			if rv.Field(i).IsZero() {
				t.Errorf("%T.%s is not tested", v, rv.Type().Field(i).Name)
			}
		}
	}
}

// TestWire holds the bytes in the log to those that older programs wrote.
func TestWire(t *testing.T) {
	for _, c := range bodies {
		t.Run(c.name, func(t *testing.T) {
			raw, err := events.Encode(c.e)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "wire", c.name+".hex")
			got := dump(raw)
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the wire changed: logs of older programs cannot be read by this one.\ngot:\n%s\nwant:\n%s", got, want)
			}
			old := strip(t, string(want))
			if e := events.Decode(old); reflect.TypeOf(e.Body) != reflect.TypeOf(c.e.Body) {
				t.Errorf("%s does not decode: %+v", file, e.Body)
			}
		})
	}
}

// dump is hex.Dump: bytes on the left, letters on the right.
func dump(b []byte) string { return hex.Dump(b) }

func strip(t *testing.T, dump string) []byte {
	t.Helper()
	var b []byte
	for line := range strings.Lines(dump) {
		if len(line) < 58 {
			continue // the total at the end
		}
		x, err := hex.DecodeString(strings.ReplaceAll(line[10:58], " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, x...)
	}
	return b
}

// TestEpoch: a simulated clock may start at 1970, which is not the zero time.
func TestEpoch(t *testing.T) {
	epoch := time.Unix(0, 0).UTC()
	p := fullPlan()
	p.Basis.Now = epoch
	raw, err := events.Encode(events.Event{ID: id, At: epoch, Body: p})
	if err != nil {
		t.Fatal(err)
	}
	e := events.Decode(raw)
	if got, ok := e.Body.(*events.Plan); !ok || !got.Basis.Now.Equal(epoch) || !e.At.Equal(epoch) {
		t.Errorf("got %+v %+v", e, e.Body)
	}
}

// TestMessageIsUTF8: a message may quote bytes that are not, and readers in
// other languages refuse such strings.
func TestMessageIsUTF8(t *testing.T) {
	raw, err := events.Encode(events.Event{ID: id, Body: events.Outcome{Owner: events.Ref{Kind: events.DaemonSet, Key: ds}, Message: "cut: \xe2\x82"}})
	if err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(wire.Field(wire.Field(raw, "outcome"), "message")[1:]) {
		t.Errorf("%q", raw)
	}
	if got := events.Decode(raw).Body.(events.Outcome).Message; got != "cut: \ufffd\ufffd" {
		t.Errorf("got %q", got)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		e    events.Event
		want string
	}{
		{"no body", events.Event{ID: id}, "no body that a log takes"},
		{"unreadable", events.Event{ID: id, Body: events.Unreadable{Code: "E-EVT-EMPTY"}}, "no body that a log takes"},
		{"no data", events.Event{ID: id, Body: events.Object{Ref: ref}}, "the data of Node n1 is no map"},
		{"data is a list", events.Event{ID: id, Body: events.Gone{Ref: ref, Data: []byte{0x90}}}, "the data of Node n1 is no map"},
		{"early", events.Event{ID: id, At: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), Body: bodies[0].e.Body}, "year -1 cannot"},
		{"late", events.Event{ID: id, Body: &events.Plan{Basis: events.Basis{Now: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}}}, "year 10000 cannot"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := events.Encode(c.e); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

type pairs []any // key, value, key, value

// bytesOf writes an envelope in the given order, which a Go map could not.
func bytesOf(t testing.TB, kv pairs) []byte {
	t.Helper()
	var buf bytes.Buffer
	e := msgpack.NewEncoder(&buf)
	e.SetSortMapKeys(true)
	if err := e.EncodeMapLen(len(kv) / 2); err != nil {
		t.Fatal(err)
	}
	for _, x := range kv {
		if err := e.Encode(x); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

type fields = map[string]any

func TestDecodeInAnyOrder(t *testing.T) {
	node := fields{"kind": "Node", "name": "n1", "uid": "u1", "colour": "red"}
	owner := fields{"kind": "DaemonSet", "namespace": "logging", "name": "fluentd", "uid": "u3"}
	for _, c := range []struct {
		name string
		kv   pairs
		want events.Body
	}{
		{"object", pairs{"object", fields{}, "later", fields{"a": []any{1, nil}}, "ref", node, "v", 1},
			events.Object{Ref: ref, Data: []byte{0x80}}},
		{"gone", pairs{"gone", nil, "ref", node, "v", 1}, events.Gone{Ref: ref}},
		{"plan", pairs{"plan", fields{"new": 1, "rollout": fields{"desired": 4, "newer": "x"}}, "ref", owner, "v", 1},
			&events.Plan{Owner: set, Rollout: events.Budget{Desired: 4}}},
		{"outcome", pairs{"outcome", fields{"reason": "Gone", "command": fields{"x": 1}}, "v", 1, "ref", owner},
			events.Outcome{Owner: set, Reason: "Gone"}},
		{"plan of the collector", pairs{"plan", fields{"new": 1, "commands": []any{fields{"ref": node, "newer": 2, "do": "DeleteObject"}}}, "v", 1},
			&events.Plan{Commands: []events.Command{{Do: events.DeleteObject, Ref: ref}}}},
		{"the same field twice", pairs{"v", 1, "plan", fields{"held": []any{fields{"for": "budget", "nodes": 2}}}, "ref", node, "ref", owner},
			&events.Plan{Owner: set, Held: []events.WaitCount{{For: events.HeldBudget, Nodes: 2}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := events.Decode(bytesOf(t, c.kv)).Body; !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	node := fields{"kind": "Node", "name": "n1"}
	whole := bytesOf(t, pairs{"v", 1, "ref", node, "object", fields{}})
	for _, c := range []struct {
		name, code, why string
		raw             []byte
	}{
		{"empty", "E-EVT-EMPTY", "payload is empty", nil},
		{"newer", "E-EVT-VERSION", "version 99 needs a newer program (have 1)", bytesOf(t, pairs{"v", 99, "ref", node, "object", fields{}})},
		{"newer in a shape of its own", "E-EVT-VERSION", "version 99 needs", bytesOf(t, pairs{"at", "noon", "ref", 7, "v", 99})},
		{"no version", "E-EVT-VERSION", "version 0, want 1 to 1", bytesOf(t, pairs{"ref", node, "object", fields{}})},
		{"no body", "E-EVT-KIND", `type "node.created" has no body`, bytesOf(t, pairs{"v", 1, "type", "node.created", "ref", node})},
		{"text", "E-EVT-MSGPACK", "not a map at byte 0", []byte("hello")},
		{"JSON", "E-EVT-MSGPACK", "not a map at byte 0", []byte(`{"v":1}`)},
		{"cut", "E-EVT-MSGPACK", "unexpected end", whole[:len(whole)-1]},
		{"more", "E-EVT-MSGPACK", "another value follows", append(bytes.Clone(whole), 0)},
		{"no ref", "E-EVT-MSGPACK", "ref has no name", bytesOf(t, pairs{"v", 1, "object", fields{}})},
		{"no kind", "E-EVT-MSGPACK", "or no kind", bytesOf(t, pairs{"v", 1, "ref", fields{"name": "n1"}, "object", fields{}})},
		{"object is no map", "E-EVT-MSGPACK", "the object is no map", bytesOf(t, pairs{"v", 1, "ref", node, "object", 7})},
		{"two bodies", "E-EVT-MSGPACK", "more than one body", bytesOf(t, pairs{"v", 1, "ref", node, "object", fields{}, "gone", nil})},
		{"id", "E-EVT-MSGPACK", "id: ", bytesOf(t, pairs{"v", 1, "id", "01", "ref", node, "object", fields{}})},
		{"cause", "E-EVT-MSGPACK", "not a map", bytesOf(t, pairs{"v", 1, "cause", []any{1, 2}, "ref", node, "object", fields{}})},
		{"negative cause", "E-EVT-MSGPACK", "-1 is negative", bytesOf(t, pairs{"v", 1, "cause", fields{"seq": -1}, "ref", node, "object", fields{}})},
		{"at", "E-EVT-MSGPACK", "cannot parse", bytesOf(t, pairs{"v", 1, "at", "noon", "ref", node, "object", fields{}})},
		{"basis", "E-EVT-MSGPACK", "-1 is negative", bytesOf(t, pairs{"v", 1, "ref", node, "plan", fields{"basis": fields{"seq": -1}}})},
		{"plan", "E-EVT-MSGPACK", "not an array", bytesOf(t, pairs{"v", 1, "plan", fields{"commands": 7}})},
		{"lengths that lie", "E-EVT-MSGPACK", "exceeds the", []byte("\x82\xa1v\x01\xa4plan\x81\xa8commands\xdd\xff\xff\xff\xff")},
		{"more than it can mean", "E-EVT-MSGPACK", "at most 500 are one plan",
			append([]byte("\x82\xa1v\x01\xa4plan\x81\xa8commands\xdc\xff\xff"), bytes.Repeat([]byte{0x80}, 0xffff)...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := events.Decode(c.raw).Body.(events.Unreadable)
			if !ok || got.Code != c.code || !strings.Contains(got.Why, c.why) {
				t.Errorf("got %+v, want %s %s", got, c.code, c.why)
			}
		})
	}
}

// FuzzDecode: whatever is in a log is an event that can be written again, or
// it is unreadable.
func FuzzDecode(f *testing.F) {
	for _, c := range bodies {
		raw, err := events.Encode(c.e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte{})
	f.Add([]byte("\xdf\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e := events.Decode(raw)
		if _, ok := e.Body.(events.Unreadable); ok {
			return
		}
		once, err := events.Encode(e)
		if err != nil {
			t.Fatalf("%+v %+v: %v", e, e.Body, err)
		}
		again := events.Decode(once)
		if reflect.TypeOf(again.Body) != reflect.TypeOf(e.Body) || again.ID != e.ID || !again.At.Equal(e.At) || again.Cause != e.Cause {
			t.Fatalf("%+v %+v\nbecame %+v %+v", e, e.Body, again, again.Body)
		}
		if twice, err := events.Encode(again); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%x\nbecame %x, %v", once, twice, err)
		}
	})
}

func BenchmarkDecodePodEvent(b *testing.B) {
	p := &corev1.Pod{}
	p.Name, p.Namespace, p.UID = "fluentd-x7k2p", "logging", "6b1c2f0e-7d0f-4f6e-9d7a-1c2f3e4d5a6b"
	for range 30 { // 4 KB, like a real one
		p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: "node.kubernetes.io/disk-pressure",
			Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule})
	}
	o, err := events.NewObject(events.Pod, p)
	if err != nil {
		b.Fatal(err)
	}
	raw, err := events.Encode(events.Event{ID: id, Type: "pod.updated", Source: "kubelet", At: at, Body: o})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if e := events.Decode(raw); e.Type != "pod.updated" {
			b.Fatal(e.Body)
		}
	}
}

func BenchmarkEncodePlan(b *testing.B) {
	p := fullPlan()
	for len(p.Commands) < events.MaxCommands {
		p.Commands = append(p.Commands, p.Commands[0])
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := events.Encode(events.Event{ID: id, Type: events.Planned, At: at, Body: p}); err != nil {
			b.Fatal(err)
		}
	}
}
