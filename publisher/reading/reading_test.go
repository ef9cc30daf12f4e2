package reading_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/events/wire"
	"rollcall/publisher/reading"
	"rollcall/publisher/sources"
)

// place is a log with readers.
type place struct {
	t   *testing.T
	log *memlog.Log
	hub *reading.Hub
	url string
	n   int
}

func newPlace(t *testing.T) *place {
	t.Helper()
	subjects, err := events.NewSubjects("local")
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, log: memlog.New(subjects, time.Now), hub: reading.NewHub()}
	h := reading.Handler(reading.Options{Log: p.log, Hub: p.hub, Encoder: reading.NewEncoder("local"), By: func(r *http.Request) sources.Source {
		return sources.Source{Name: "s", Read: r.Header.Get("Authorization") == ""}
	}})
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		_ = p.hub.Close()
		s.Close()
	})
	p.url = s.URL
	return p
}

// append appends an event, and has the process read it.
func (p *place) append(e events.Event) events.Seq {
	p.t.Helper()
	p.n++
	if e.ID == (ulid.ULID{}) {
		e.ID = ulid.ULID{byte(p.n >> 8), byte(p.n)}
	}
	if e.Source == "" {
		e.Source = "test"
	}
	e.At = time.Unix(1700000000+int64(p.n), 0)
	seq, err := p.log.Append(p.t.Context(), events.Entry{Event: e})
	if err != nil {
		p.t.Fatal(err)
	}
	for e, err := range p.log.Read(p.t.Context(), seq-1) {
		if err != nil {
			p.t.Fatal(err)
		}
		p.hub.Follow(e)
	}
	return seq
}

func (p *place) object(k events.Kind, o metav1.Object) events.Seq {
	p.t.Helper()
	body, err := events.NewObject(k, o)
	if err != nil {
		p.t.Fatal(err)
	}
	change := ""
	if k == events.Secret {
		change = "data k changed"
	}
	return p.append(events.Event{Type: events.ObjectType(k, events.VerbCreated), Cause: events.Cause{Seq: 1, Index: 2}, Change: change, Body: body})
}

func (p *place) node(name string) events.Seq {
	p.t.Helper()
	return p.append(events.Event{Type: "node.created", Body: p.body(name)})
}

func (p *place) body(name string) events.Body {
	body, err := events.NewObject(events.Node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u"}})
	if err != nil {
		p.t.Fatal(err)
	}
	return body
}

// get asks, with header fields and their values in turn.
func (p *place) get(ctx context.Context, query string, header ...string) *http.Response {
	p.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/v1/events"+query, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// some is a log of a node, a Secret, what was told and a note.
func some(t *testing.T) *place {
	t.Helper()
	p := newPlace(t)
	p.object(events.Node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u", Labels: map[string]string{"a": "<b>"}}})
	p.object(events.Secret, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: "default", UID: "u",
		Annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "hidden"}}, Data: map[string][]byte{"k": []byte("hidden"), "s": []byte("sealed:0123456789abcdef")}})
	data, err := wire.Marshal(map[string]any{"status": "True", "extra": 1})
	if err != nil {
		t.Fatal(err)
	}
	told := &events.Told{Source: "inv", From: "/hosts", ID: "x-1", Type: "node.condition", Subject: "node/n", Late: true, Time: time.Unix(1600000000, 5),
		Data: data, Extensions: map[string]string{"traceparent": "00-1", "seq": "forged", "toldby": "forged"}}
	p.append(events.Event{ID: events.ToldID("inv", "/hosts", "x-1"), Type: "node.updated", Source: "gate", Told: told, Body: p.body("n")})
	note := &events.Told{Source: "ci", ID: "y", Type: "com.example.done", Data: nil}
	p.append(events.Event{ID: events.ToldID("ci", "", "y"), Type: events.NoteTold, Source: "gate", Told: note, Body: events.Note{Objects: []events.Ref{{Kind: events.DaemonSet, Key: events.Key{Namespace: "a", Name: "b"}}}}})
	return p
}

// TestForms: the same events, in every form, as CloudEvents; and no value of a
// Secret in any.
func TestForms(t *testing.T) {
	p := some(t)
	text := body(t, p.get(t.Context(), ""))
	var all []map[string]any
	for line := range strings.Lines(text) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, m)
	}
	want := []map[string]any{
		{"seq": 1.0, "type": "io.rollcall.node.created", "source": "/rollcall/local/test", "subject": "node/n", "cause": "1/2", "replay": true},
		{"seq": 2.0, "type": "io.rollcall.secret.created", "subject": "secret/default/s", "replay": true},
		{"seq": 3.0, "type": "node.condition", "source": "/hosts", "id": "x-1", "subject": "node/n", "toldby": "inv", "late": true, "time": "2020-09-13T12:26:40.000000005Z", "traceparent": "00-1"},
		{"seq": 4.0, "type": "com.example.done", "source": "ci", "id": "y", "toldby": "ci", "data": nil, "datacontenttype": nil},
	}
	if len(all) != len(want) {
		t.Fatalf("%d events:\n%s", len(all), text)
	}
	for i, w := range want {
		for k, v := range w {
			if all[i][k] != v {
				t.Errorf("event %d has %s %v, want %v", i+1, k, all[i][k], v)
			}
		}
		for _, k := range []string{"specversion", "id", "source", "type", "time"} {
			if s, ok := all[i][k].(string); !ok || s == "" {
				t.Errorf("event %d has %s %v", i+1, k, all[i][k])
			}
		}
	}
	if data := all[2]["data"].(map[string]any); data["status"] != "True" || data["extra"] != 1.0 {
		t.Errorf("what was told is %v", data)
	}
	if !strings.Contains(text, `"a":"<b>"`) || !strings.Contains(text, "sealed:0123456789abcdef") {
		t.Errorf("the events are\n%s", text)
	}
	stream := body(t, p.get(t.Context(), "?follow=false", "Accept", "text/event-stream"))
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if !strings.Contains(stream, fmt.Sprintf("id: %d\ndata: %s\n\n", i+1, line)) {
			t.Errorf("event %d is not in the stream:\n%s", i+1, stream)
		}
	}
	packed := body(t, p.get(t.Context(), "", "Accept", "application/msgpack"))
	c := wire.NewCursor([]byte(packed))
	for i := range want {
		raw := c.Value()
		j, err := wire.ToJSON(raw)
		var m map[string]any
		if err != nil || json.Unmarshal(j, &m) != nil || fmt.Sprint(m) != fmt.Sprint(all[i]) {
			t.Errorf("event %d in msgpack is %v, want %v (%v)", i+1, m, all[i], err)
		}
	}
	for form, text := range map[string]string{"lines": text, "stream": stream, "msgpack": packed} {
		if strings.Contains(text, "hidden") || strings.Contains(text, "aGlkZGVu") {
			t.Errorf("a value of a Secret is in %s:\n%s", form, text)
		}
	}
}

// seqs returns the positions in an answer of lines.
func seqs(t *testing.T, text string) string {
	t.Helper()
	var all []string
	for line := range strings.Lines(text) {
		var m struct{ Seq int }
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, strconv.Itoa(m.Seq))
	}
	return strings.Join(all, " ")
}

// TestRequests: what is asked for is what comes, and what cannot be asked is refused.
func TestRequests(t *testing.T) {
	p := some(t)
	for query, want := range map[string]string{
		"?after=0": "1 2 3 4", "?after=2": "3 4", "?after=4": "", "?after=now": "", "?after=3&follow=false": "4",
		"?type=node.*": "1 3", "?type=node.created": "1", "?type=node.condition": "3", "?type=io.rollcall.node.*": "1 3",
		"?type=com.example.*&type=secret.created": "2 4", "?type=com.example.done,node.created": "1 4", "?type=*": "1 2 3 4", "?type=x": "", "?type=note.told": "4",
	} {
		r := p.get(t.Context(), query)
		if got := seqs(t, body(t, r)); r.StatusCode != http.StatusOK || got != want || r.Header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("%s: %d %q, want %q", query, r.StatusCode, got, want)
		}
	}
	if got := seqs(t, body(t, p.get(t.Context(), "?after=1", "Last-Event-ID", "3"))); got != "4" {
		t.Errorf("after the last event that a reader has: %s", got)
	}
	for _, tc := range []struct {
		query  string
		header []string
		status int
		code   string
	}{
		{"?after=-1", nil, 400, "E-READ-QUERY"}, {"?after=banana", nil, 400, "E-READ-QUERY"}, {"?after=", nil, 400, "E-READ-QUERY"}, {"?after=1.5", nil, 400, "E-READ-QUERY"},
		{"?after=1e9", nil, 400, "E-READ-QUERY"}, {"?after=007", nil, 400, "E-READ-QUERY"}, {"?after=18446744073709551616", nil, 400, "E-READ-QUERY"},
		{"?after=1&after=2", nil, 400, "E-READ-QUERY"}, {"?after=5", nil, 416, "E-READ-RANGE"}, {"?after=9999999999999", nil, 416, "E-READ-RANGE"},
		{"?follow=maybe", nil, 400, "E-READ-QUERY"}, {"?follow=", nil, 400, "E-READ-QUERY"}, {"?type=", nil, 400, "E-READ-QUERY"}, {"?type=*.x", nil, 400, "E-READ-QUERY"},
		{"?type=" + strings.Repeat("x", 300), nil, 400, "E-READ-QUERY"}, {"?limit=1", nil, 400, "E-READ-QUERY"}, {"?token=x", nil, 400, "E-READ-QUERY"}, {"?after=%zz", nil, 400, "E-READ-QUERY"},
		{"", []string{"Last-Event-ID", "banana"}, 400, "E-READ-QUERY"}, {"", []string{"Last-Event-ID", "-1"}, 400, "E-READ-QUERY"}, {"", []string{"Last-Event-ID", "99"}, 416, "E-READ-RANGE"},
		{"", []string{"Last-Event-ID", "banana", "Accept", "text/event-stream"}, 400, "E-READ-QUERY"}, {"", []string{"Last-Event-ID", "-1", "Accept", "text/event-stream"}, 400, "E-READ-QUERY"},
		{"", []string{"Accept", "text/html"}, 406, "E-READ-ACCEPT"}, {"", []string{"Authorization", "x"}, 403, "E-READ-DENIED"},
	} {
		r := p.get(t.Context(), tc.query, tc.header...)
		var problem struct {
			Code, Detail string
			Status       int
		}
		if err := json.Unmarshal([]byte(body(t, r)), &problem); err != nil || r.StatusCode != tc.status || problem.Status != tc.status || problem.Code != tc.code || r.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %q: %d %+v (%v), want %d %s", tc.query, tc.header, r.StatusCode, problem, err, tc.status, tc.code)
		}
	}
	for accept, want := range map[string]string{"*/*": "application/x-ndjson", "text/html, text/event-stream;q=0.9": "text/event-stream", "application/vnd.msgpack": "application/msgpack"} {
		if r := p.get(t.Context(), "?follow=false", "Accept", accept); r.Header.Get("Content-Type") != want {
			t.Errorf("%s gives %s", accept, r.Header.Get("Content-Type"))
		}
	}
}

// incoming returns what reads the next event of a stream, as its fields.
func incoming(t *testing.T, r *http.Response) (next func() map[string]string) {
	t.Helper()
	in := bufio.NewScanner(r.Body)
	in.Buffer(nil, 1<<20)
	return func() map[string]string {
		t.Helper()
		one := map[string]string{}
		for in.Scan() {
			k, v, _ := strings.Cut(in.Text(), ": ")
			switch {
			case k != "":
				one[k] = v
			case one["data"] != "":
				return one
			}
		}
		t.Fatalf("the stream has ended: %v", in.Err())
		return nil
	}
}

// streamed returns the next n events of a stream.
func streamed(t *testing.T, r *http.Response, n int) (all []map[string]string) {
	t.Helper()
	next := incoming(t, r)
	for range n {
		all = append(all, next())
	}
	return all
}

// TestFollow: every event comes once and in order, whatever is appended meanwhile;
// a reader that comes again goes on where it was.
func TestFollow(t *testing.T) {
	p := newPlace(t)
	const before, after = 40, 200
	for i := range before {
		p.node(fmt.Sprint("n", i))
	}
	r := p.get(t.Context(), "?after=0", "Accept", "text/event-stream")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range after {
			p.node(fmt.Sprint("m", i))
		}
	}()
	for i, e := range streamed(t, r, before+after) {
		if e["id"] != strconv.Itoa(i+1) || strings.Contains(e["data"], `"replay":true`) != (i < before) && i < before {
			t.Fatalf("event %d is %v", i+1, e)
		}
	}
	<-done
	_ = r.Body.Close()
	again := p.get(t.Context(), "?after=0", "Accept", "text/event-stream", "Last-Event-ID", "238")
	p.node("new")
	for i, e := range streamed(t, again, 3) {
		if e["id"] != strconv.Itoa(239+i) {
			t.Errorf("after 238 comes %v", e)
		}
	}
	// Who has more than the log is told, and follows.
	ahead := p.get(t.Context(), "", "Accept", "text/event-stream", "Last-Event-ID", "100000")
	if e := streamed(t, ahead, 1)[0]; e["event"] != "notice" || !strings.Contains(e["data"], `"seq":241`) {
		t.Errorf("a reader that is ahead is told %v", e)
	}
	lines := p.get(t.Context(), "?after=now&follow=true&type=node.*")
	p.node("last")
	if text, err := bufio.NewReader(lines.Body).ReadString('\n'); err != nil || !strings.Contains(text, `"seq":242`) || strings.Contains(text, "replay") {
		t.Errorf("lines that follow: %s (%v)", text, err)
	}
}

// slow is a writer that takes nothing until it is let.
type slow struct {
	*httptest.ResponseRecorder
	first chan struct{}
	let   chan struct{}
}

func (s *slow) Write(b []byte) (int, error) {
	select {
	case <-s.first:
	default:
		close(s.first)
	}
	<-s.let
	return s.ResponseRecorder.Write(b)
}

// TestSlowReader: one that takes nothing is dropped after so many events, is told
// so, and makes nobody wait.
func TestSlowReader(t *testing.T) {
	p := newPlace(t)
	p.node("first")
	h := reading.Handler(reading.Options{Log: p.log, Hub: p.hub, Encoder: reading.NewEncoder("local"), By: func(*http.Request) sources.Source { return sources.Admin }})
	w := &slow{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	r := httptest.NewRequest(http.MethodGet, "/v1/events?after=now", nil)
	r.Header.Set("Accept", "text/event-stream")
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.ServeHTTP(w, r)
	}()
	quick := p.get(t.Context(), "?after=now", "Accept", "text/event-stream")
	next := incoming(t, quick)
	for i := range 400 {
		seq := p.node(fmt.Sprint("n", i))
		if e := next(); e["id"] != fmt.Sprint(seq) {
			t.Fatalf("the quick reader got %v, want %d", e, seq)
		}
		if i == 0 {
			<-w.first // the slow one follows, and hangs on what was sent first
		}
	}
	close(w.let)
	<-done
	text := w.Body.String()
	if n := strings.Count(text, "\ndata: "); n > 260 || !strings.Contains(text, "event: lagged\ndata: {") {
		t.Errorf("a slow reader got %d events and %.200s", n, text[max(0, len(text)-200):])
	}
}

// TestManyReaders: there is room for so many; all end when the instance stops.
func TestManyReaders(t *testing.T) {
	p := newPlace(t)
	var all []*http.Response
	for range 64 {
		all = append(all, p.get(t.Context(), "", "Accept", "text/event-stream"))
	}
	if r := p.get(t.Context(), ""); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("one more reader is answered %d", r.StatusCode)
	}
	p.node("n")
	for _, r := range all {
		if e := streamed(t, r, 1)[0]; e["id"] != "1" {
			t.Errorf("a reader got %v", e)
		}
	}
	if err := p.hub.Close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if text := body(t, r); !strings.Contains(text, "event: error") {
			t.Errorf("a reader ends with %q", text)
		}
	}
}
