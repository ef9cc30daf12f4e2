package gate

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/publisher"
	"rollcall/publisher/envelope"
	"rollcall/publisher/sources"
)

// The same event again is answered with the first position, also of another run; the
// same id with other content is refused, and the first stays: 9.1-E20.
func TestToldOnce(t *testing.T) {
	r := newRig(t)
	first := r.take(admin, observed("1", "edge-1", `{"zone":"a"}`))
	if first.Duplicate || first.ID != "1" {
		t.Errorf("%+v", first)
	}
	note := `{"type":"com.example.deploy.started","id":"n","subject":"ds/logging/agent","data":{"v":1}}`
	second := r.take(admin, note)
	r.take(admin, observed("2", "edge-1", `{"zone":"b"}`))
	for range 2 {
		for body, want := range map[string]uint64{observed("1", "edge-1", `{"zone":"a"}`): first.Seq, note: second.Seq} {
			if again := r.take(admin, body); !again.Duplicate || again.Seq != want {
				t.Fatalf("%s again: %+v, want #%d", body, again, want)
			}
		}
		if p := r.refused(admin, observed("1", "edge-1", `{"zone":"c"}`), "E-TOLD-REUSED"); p.Status != 409 {
			t.Errorf("status %d", p.Status)
		}
		if z := r.node("edge-1").Labels["zone"]; z != "b" {
			t.Errorf("the node is in zone %s", z)
		}
		r.start(r.log) // a restart
	}
	// The id is one of its source: another's is another event.
	if a := r.take(inventory, observed("1", "edge-1", `{"rack":"7"}`)); a.Duplicate {
		t.Errorf("%+v", a)
	}
	if es := r.told(); len(es) != 4 {
		t.Errorf("%d events were told", len(es))
	}
}

// Events that arrive together under one id are one.
func TestToldOnceTogether(t *testing.T) {
	r := newRig(t)
	var all sync.WaitGroup
	answers := make([]publisher.Answer, 20)
	for i := range answers {
		all.Go(func() { answers[i] = r.take(admin, observed("1", "edge-1", `{"zone":"a"}`)) })
	}
	all.Wait()
	fresh := 0
	for _, a := range answers {
		if !a.Duplicate {
			fresh++
		}
		if a.Seq != answers[0].Seq {
			t.Errorf("#%d and #%d", a.Seq, answers[0].Seq)
		}
	}
	if es := r.told(); len(es) != 1 || fresh != 1 {
		t.Errorf("%d events, %d answered as new", len(es), fresh)
	}
}

// What is not told stays. What changes nothing is in the log only if it has an id of
// its own, so that it is known again.
func TestMerge(t *testing.T) {
	r := newRig(t)
	r.take(admin, `{"type":"node.observed","subject":"node/edge-1","data":{"labels":{"a":"1","b":"2"},"capacity":{"cpu":"4","memory":"8Gi"},
		"taints":[{"key":"dedicated","value":"x","effect":"NoSchedule"}],"addresses":[{"type":"InternalIP","address":"10.0.0.1"}],"conditions":[{"type":"Ready","status":"True"}]}}`)
	uid := r.node("edge-1").UID
	last := r.take(admin, `{"type":"node.observed","subject":"node/edge-1","data":{"labels":{"b":null,"c":"3"},"capacity":{"cpu":8}}}`)
	n := r.node("edge-1")
	if want := map[string]string{"a": "1", "c": "3", events.LabelSource: "admin"}; !maps.Equal(n.Labels, want) {
		t.Errorf("labels %v", n.Labels)
	}
	if n.UID != uid || n.CreationTimestamp.IsZero() || n.Status.Capacity.Cpu().String() != "8" || n.Status.Allocatable.Cpu().String() != "8" || n.Status.Allocatable.Memory().String() != "8Gi" {
		t.Errorf("%+v", n.Status)
	}
	if len(n.Spec.Taints) != 1 || len(n.Status.Addresses) != 1 || len(n.Status.Conditions) != 1 {
		t.Errorf("%+v %+v", n.Spec, n.Status)
	}
	same := r.take(admin, `{"type":"node.observed","subject":"node/edge-1","data":{"labels":{"c":"3"}}}`)
	if !same.Duplicate || same.Seq != last.Seq {
		t.Errorf("%+v, want #%d", same, last.Seq)
	}
	known := r.take(admin, observed("x", "edge-1", `{"c":"3"}`))
	if known.Duplicate || known.Seq != last.Seq+1 {
		t.Errorf("%+v", known)
	}
	es := r.told()
	if e := es[len(es)-1]; e.Type != events.ToldUnchanged || e.Body != (events.Unchanged{Ref: events.Ref{Kind: events.Node, Key: events.Key{Name: "edge-1"}}}) {
		t.Errorf("%+v", e)
	}
	if again := r.take(admin, observed("x", "edge-1", `{"c":"3"}`)); !again.Duplicate || again.Seq != known.Seq {
		t.Errorf("%+v", again)
	}
}

// A state that comes back is told again, though an event without an id has the
// same content.
func TestStateComesBack(t *testing.T) {
	r := newRig(t)
	r.take(admin, `{"type":"node.observed","subject":"node/edge-1"}`)
	for i, status := range []string{"False", "True", "False", "True"} {
		a := r.take(admin, fmt.Sprintf(`{"type":"node.condition","subject":"node/edge-1","data":{"type":"Ready","status":%q}}`, status))
		n := r.node("edge-1")
		if a.Duplicate || string(n.Status.Conditions[0].Status) != status {
			t.Errorf("%d: %+v, %+v", i, a, n.Status.Conditions)
		}
		if marked := len(n.Spec.Taints) == 2; marked != (status == "False") {
			t.Errorf("%s: taints %+v", status, n.Spec.Taints)
		}
	}
	r.take(admin, `{"type":"node.gone","subject":"node/edge-1"}`)
	if r.node("edge-1") != nil {
		t.Error("the node is there")
	}
	end := r.told()[len(r.told())-1].Seq
	if a := r.take(admin, `{"type":"node.gone","subject":"node/edge-1"}`); !a.Duplicate || a.Seq != uint64(end) {
		t.Errorf("%+v, want #%d", a, end)
	}
	for _, id := range []string{``, `"id":"never",`} {
		r.refused(admin, `{"type":"node.gone",`+id+`"subject":"node/edge-9"}`, "E-TOLD-ABSENT")
	}
	r.refused(admin, `{"type":"node.condition","subject":"node/edge-1","data":{"type":"Ready","status":"True"}}`, "E-TOLD-ABSENT")
	was := r.told()[0].Body.(events.Object).UID
	r.take(admin, `{"type":"node.observed","subject":"node/edge-1"}`)
	if n := r.node("edge-1"); n == nil || n.UID == was {
		t.Errorf("%+v: want a new node", n)
	}
}

// Two gates before one log lose no change of each other: one that has lost its fence
// merges again. The first loses it for certain, then forty as it comes.
func TestLostFence(t *testing.T) {
	r := newRig(t)
	slow := &slowLog{Log: r.log, source: inventory.Source.Name, came: make(chan struct{}, 41), wait: make(chan struct{})}
	behind := r.gate.config
	behind.Log = slow
	other := New(behind)
	label := func(g *Gate, by Sender, name string) {
		body := observed("id-"+name, "edge-1", fmt.Sprintf(`{"%s":"x"}`, name))
		if reply := g.Deliver(t.Context(), by, envelope.Message{Body: []byte(body)}, false); reply.Status != 200 {
			t.Errorf("%s: %v", name, reply.Body)
		}
	}
	r.take(inventory, observed("0", "edge-1", `{}`))
	var all sync.WaitGroup
	all.Go(func() { label(other, inventory, "late") })
	<-slow.came // it has merged, and its append waits
	label(r.gate, admin, "early")
	close(slow.wait)
	all.Wait()
	for i := range 40 {
		g, by := r.gate, admin
		if i%2 == 1 {
			g, by = other, inventory
		}
		all.Go(func() { label(g, by, fmt.Sprint("l", i)) })
	}
	all.Wait()
	if n := r.node("edge-1"); len(n.Labels) != 43 {
		t.Errorf("%d labels: %v", len(n.Labels), n.Labels)
	}
}

// Events about one thing keep the order in which they came, also within a message.
func TestOrder(t *testing.T) {
	r := newRig(t)
	var lines strings.Builder
	for i := range 300 {
		fmt.Fprintf(&lines, `{"type":"node.observed","id":"%d","subject":"node/edge-%d","data":{"labels":{"n":"%d"}}}`+"\n", i, i%3, i)
	}
	reply := r.gate.Deliver(t.Context(), inventory, envelope.Message{Header: map[string][]string{"Content-Type": {"application/x-ndjson"}}, Body: []byte(lines.String())}, false)
	if reply.Status != 200 {
		t.Fatal(show(t, reply))
	}
	last := map[string]uint64{}
	for i, res := range reply.Body.(publisher.Results).Results {
		node := fmt.Sprint("edge-", i%3)
		if res.Answer.Seq <= last[node] {
			t.Errorf("event %d is #%d, and the one before #%d", i, res.Answer.Seq, last[node])
		}
		last[node] = res.Answer.Seq
	}
	for i, want := range []string{"297", "298", "299"} {
		if n := r.node(fmt.Sprint("edge-", i)); n.Labels["n"] != want {
			t.Errorf("edge-%d ends with %s", i, n.Labels["n"])
		}
	}
}

// A source tells what it may, of nodes that are its own, and nothing else.
func TestAuthority(t *testing.T) {
	r := newRig(t)
	r.take(inventory, observed("1", "edge-1", `{}`))
	r.take(admin, observed("2", "core-1", `{}`))
	pod := func(name, node string) {
		p := &corev1.Pod{}
		p.Namespace, p.Name, p.UID, p.Spec.NodeName = "default", name, "u-1", ""
		p.Spec.NodeName = node
		o, err := events.NewObject(events.Pod, p)
		if err != nil {
			t.Fatal(err)
		}
		seq, err := drive.Submit(t.Context(), r.log, events.Entry{Event: events.Event{ID: [16]byte{15: name[0]}, Type: "pod.created", Source: "test", Body: o}})
		if err == nil {
			err = r.state.Await(t.Context(), seq)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	pod("a", "core-1")
	pod("b", "edge-1")
	for body, code := range map[string]string{
		observed("3", "core-1", `{"mine":"yes"}`):                                                                                 "E-TOLD-NODE",
		`{"type":"node.gone","subject":"node/core-1"}`:                                                                            "E-TOLD-NODE",
		`{"type":"node.condition","subject":"node/core-1","data":{"type":"Ready","status":"False"}}`:                              "E-TOLD-NODE",
		`{"type":"pod.status","subject":"pod/default/a","data":{"phase":"Running"}}`:                                              "E-TOLD-NODE",
		`{"type":"org.other.note","data":{}}`:                                                                                     "E-TOLD-SOURCE",
		`{"type":"node.observed","subject":"node/edge-1","data":{"labels":{"rollcall/simulated":"true"}}}`:                        "E-TOLD-DATA",
		`{"type":"node.observed","subject":"node/edge-1","data":{"annotations":{"rollcall/fail":"true"}}}`:                        "E-TOLD-DATA",
		`{"type":"hold.lifted","subject":"hold/freeze","data":{"owner":"admin"}}`:                                                 "E-TOLD-SOURCE",
		`{"type":"pod.status","subject":"pod/default/b","data":{"phase":"Running","uid":"6b5ca1c0-2f4e-5f0a-9d3e-0c6a5d1e7b42"}}`: "E-TOLD-ABSENT",
		`{"type":"pod.status","subject":"pod/default/b","data":{"phase":"Failed","ready":true}}`:                                  "E-TOLD-DATA",
		`{"type":"node.observed","subject":"node/edge-1","data":{"labels":{"x":"refused"}}}`:                                      "E-TOLD-INVALID",
		`{"type":"daemonset.updated","subject":"ds/a/b"}`:                                                                         "E-TOLD-SOURCE",
	} {
		r.refused(inventory, body, code)
	}
	r.take(inventory, `{"type":"pod.status","subject":"pod/default/b","data":{"phase":"Running","ready":true}}`)
	if n := r.node("core-1"); n == nil || n.Labels["mine"] != "" || len(n.Status.Conditions) > 0 {
		t.Errorf("%+v", n)
	}
}

// Holds are of their source; the admin lifts those of others. One without an end
// has one.
func TestHolds(t *testing.T) {
	r := newRig(t)
	inventory := Sender{Source: sources.Source{Name: "inventory", May: []string{"hold.*"}}, Door: "http"}
	place := `{"type":"hold.placed","subject":"hold/freeze","data":{"reason":"change freeze","select":{"daemonSets":["logging/agent"]}%s}}`
	a := r.take(inventory, fmt.Sprintf(place, ""))
	has(t, strings.Join(a.Warnings, " "), "ends in an hour")
	h, _, ok := r.state.Hold("inventory", "freeze")
	if !ok || time.Until(h.Until) > time.Hour || time.Until(h.Until) < 50*time.Minute {
		t.Fatalf("%+v, %v", h, ok)
	}
	until := time.Now().Add(2 * time.Hour).UTC().Truncate(time.Second).Format(time.RFC3339)
	first := r.take(inventory, fmt.Sprintf(place, `,"until":"`+until+`"`))
	if again := r.take(inventory, fmt.Sprintf(place, `,"until":"`+until+`"`)); !again.Duplicate || again.Seq != first.Seq {
		t.Errorf("%+v, want #%d", again, first.Seq)
	}
	for _, bad := range []string{`,"until":"2020-01-01T00:00:00Z"`, `,"until":"` + time.Now().Add(31*24*time.Hour).UTC().Format(time.RFC3339) + `"`} {
		r.refused(inventory, fmt.Sprintf(place, bad), "E-TOLD-DATA")
	}
	r.refused(admin, `{"type":"hold.lifted","subject":"hold/freeze"}`, "E-TOLD-ABSENT") // it is the other's
	lifted := r.take(admin, `{"type":"hold.lifted","subject":"hold/freeze","data":{"owner":"inventory"}}`)
	if _, _, ok := r.state.Hold("inventory", "freeze"); ok {
		t.Error("the hold is there")
	}
	if a := r.take(inventory, `{"type":"hold.lifted","subject":"hold/freeze"}`); !a.Duplicate || a.Seq != lifted.Seq {
		t.Errorf("%+v, want #%d", a, lifted.Seq)
	}
}

// A source that may tell of some nodes holds those and no others, and has so many
// holds at once and no more, also in one message.
func TestHoldsAreBounded(t *testing.T) {
	r := newRig(t)
	place := func(n int, selects string) string {
		return fmt.Sprintf(`{"type":"hold.placed","id":"%d","subject":"hold/h-%d","data":{"reason":"r","select":{%s}}}`, n, n, selects)
	}
	for _, selects := range []string{`"namespaces":["shop"]`, `"daemonSets":["shop/agent"]`, `"nodeLabels":"zone=a"`, `"nodes":["edge-1","core-1"]`} {
		r.refused(inventory, place(1, selects), "E-TOLD-NODE")
	}
	r.take(inventory, place(1, `"nodes":["edge-1"],"nodeLabels":"zone=a","namespaces":["shop"]`))
	var many []string
	for n := range maxHolds {
		many = append(many, place(n+2, `"nodes":["edge-1"]`))
	}
	for _, atomic := range []bool{true, false} {
		reply := r.gate.Deliver(t.Context(), inventory, envelope.Message{Body: []byte("[" + strings.Join(many, ",") + "]")}, atomic)
		_, text := show(t, reply)
		if got, want := strings.Count(text, "E-TOLD-HOLDS"), 1; got != want {
			t.Errorf("atomic %v: %d holds are too many: %.300s", atomic, got, text)
		}
	}
	if n := len(r.state.Holds("inventory")); n != maxHolds {
		t.Errorf("%d holds stand", n)
	}
	r.take(inventory, `{"type":"hold.placed","subject":"hold/h-1","data":{"reason":"another","select":{"nodes":["edge-2"]}}}`) // in its own place
	r.take(inventory, `{"type":"hold.lifted","subject":"hold/h-1"}`)
	r.take(inventory, place(9999, `"nodes":["edge-1"]`))
}

// All events of an atomic message are in the log, one after another, or none.
func TestAtomic(t *testing.T) {
	r := newRig(t)
	two := `[` + observed("1", "edge-1", `{}`) + `,{"type":"node.condition","id":"2","subject":"node/edge-1","data":{"type":"Ready","status":"False"}},` + observed("3", "edge-2", `{}`) + `]`
	status, text := r.sendAtomic(inventory, two)
	if es := r.told(); status != 200 || len(es) != 3 || es[2].Seq != es[0].Seq+2 || len(r.node("edge-1").Status.Conditions) != 1 {
		t.Fatalf("%d %s", status, text)
	}
	has(t, text, `"seq":1,`, `"seq":2,`, `"seq":3,`)
	if status, text = r.sendAtomic(inventory, two); status != 200 || strings.Count(text, `"duplicate":true`) != 3 {
		t.Errorf("again: %d %s", status, text)
	}
	for _, bad := range []string{
		`[` + observed("4", "edge-3", `{}`) + `,` + observed("5", "core-1", `{}`) + `]`,
		`[` + observed("4", "edge-3", `{}`) + `,{"type":"node.gon","subject":"node/edge-1"}]`,
		`[` + observed("4", "edge-3", `{}`) + `,` + observed("4", "edge-4", `{}`) + `]`,
		`[` + observed("4", "edge-3", `{}`) + `,` + observed("1", "edge-1", `{"other":"content"}`) + `]`,
	} {
		status, text = r.sendAtomic(inventory, bad)
		if status != 422 && status != 409 || len(r.told()) != 3 {
			t.Errorf("%s: %d %s, %d events", bad, status, text, len(r.told()))
		}
		has(t, text, "E-TOLD-ATOMIC")
	}
	if status, text = r.send(inventory, `[`+observed("4", "edge-3", `{}`)+`,`+observed("5", "core-1", `{}`)+`]`); status != 207 || len(r.told()) != 4 {
		t.Errorf("one by one: %d %s", status, text)
	}
}

// Late events are taken and marked, and who has a wrong clock is told.
func TestTimes(t *testing.T) {
	r := newRig(t)
	r.now = time.Now().UTC()
	at := func(id string, d time.Duration) string {
		return fmt.Sprintf(`{"type":"com.example.x","id":%q,"subject":"node/n","time":%q,"data":{}}`, id, r.now.Add(d).Format(time.RFC3339Nano))
	}
	if a := r.take(admin, at("1", -30*time.Second)); len(a.Warnings) > 0 {
		t.Errorf("%v", a.Warnings)
	}
	r.start(r.log) // a restart
	has(t, strings.Join(r.take(admin, at("2", -40*time.Second)).Warnings, " "), "late", r.now.Add(-30*time.Second).Format(time.RFC3339Nano))
	has(t, strings.Join(r.take(admin, at("3", 2*time.Minute)).Warnings, " "), "2m0s ahead")
	if es := r.told(); len(es) != 3 || es[0].Told.Late || !es[1].Told.Late || es[2].Told.Late {
		t.Errorf("%d events", len(es))
	}
	if a := r.take(admin, at("4", 30*time.Second)); strings.Contains(strings.Join(a.Warnings, " "), "late") {
		t.Errorf("a clock that was ahead once makes all late that comes after: %v", a.Warnings)
	}
	status, text := r.sendAtomic(admin, `[`+at("5", 50*time.Second)+`,`+at("6", 40*time.Second)+`]`)
	if status != 200 || strings.Count(text, "it is late") != 1 {
		t.Errorf("%d %s", status, text)
	}
	for i := range clockSure + 1 {
		a := r.take(inventory, at(fmt.Sprint("b", i), -time.Hour+time.Duration(i)*time.Second))
		if told := strings.Contains(strings.Join(a.Warnings, " "), "behind"); told != (i+1 >= clockSure) {
			t.Errorf("event %d: %v", i, a.Warnings)
		}
	}
}

// One id told to two instances at once is one event, and who said something else is
// told so.
func TestToldToTwo(t *testing.T) {
	r := newRig(t)
	slow := &slowLog{Log: r.log, source: "admin", came: make(chan struct{}), wait: make(chan struct{})}
	first := &rig{t: t, subject: r.subject, log: r.log, shelf: r.shelf}
	first.start(slow)
	for id, same := range map[string]bool{"same": true, "other": false} {
		answer := make(chan Reply, 1)
		go func() {
			answer <- first.gate.Deliver(t.Context(), admin, envelope.Message{Body: []byte(observed(id, "edge-1", `{"id":"`+id+`"}`))}, false)
		}()
		content := id
		if !same {
			content = "else"
		}
		<-slow.came
		a := r.take(admin, observed(id, "edge-1", `{"id":"`+content+`"}`))
		slow.wait <- struct{}{}
		status, text := show(t, <-answer)
		if same && (status != 200 || !strings.Contains(text, fmt.Sprintf(`"seq":%d,`, a.Seq))) || !same && (status != 409 || !strings.Contains(text, "E-TOLD-REUSED")) {
			t.Errorf("%s: %d %s after %+v", id, status, text, a)
		}
	}
	if es := r.told(); len(es) != 2 {
		t.Errorf("%d events", len(es))
	}
}

// slowLog is a log whose appends by a source wait.
type slowLog struct {
	events.Log
	source string
	came   chan struct{} // an append of the source has come; nil: nobody asks
	wait   chan struct{}
	fail   error
}

func (l *slowLog) Append(ctx context.Context, es ...events.Entry) (events.Seq, error) {
	if es[0].Told.Source == l.source {
		if l.came != nil {
			l.came <- struct{}{}
		}
		select {
		case <-l.wait:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	if l.fail != nil {
		return 0, l.fail
	}
	return l.Log.Append(ctx, es...)
}
