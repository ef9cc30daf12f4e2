package page

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall/events"
)

// TestAct: what is done on a page is done once, for who has the session, asks from
// the page itself and says why; and nothing is done where nobody runs.
func TestAct(t *testing.T) {
	var done []Action
	p := New(Config{Act: func(_ context.Context, x Action) error { done = append(done, x); return nil }}, "127.0.0.1:8080")
	for _, l := range p.lanes {
		l.turn <- struct{}{} // whoever forgets answers waits, and nothing here has a log
	}
	good := `{"do":"pause","ds":"kube-system/agent","reason":"a look"}`
	send := func(p *Page, body string, change func(*http.Request)) *httptest.ResponseRecorder {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1:8080"+actPath, strings.NewReader(body))
		r.AddCookie(&http.Cookie{Name: p.door.cookie, Value: p.door.session})
		r.Header.Set("Origin", "http://127.0.0.1:8080")
		r.Header.Set(actHeader, "1")
		change(r)
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		return w
	}
	same := func(*http.Request) {}
	if w := send(p, good, same); w.Code != http.StatusNoContent || len(done) != 1 || done[0].DaemonSet != (events.Key{Namespace: "kube-system", Name: "agent"}) || done[0].Reason != "a look" {
		t.Fatalf("%d %s, done %+v", w.Code, w.Body, done)
	}
	for name, change := range map[string]func(*http.Request){
		"no cookie":      func(r *http.Request) { r.Header.Del("Cookie") },
		"no origin":      func(r *http.Request) { r.Header.Del("Origin") },
		"another origin": func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:9090") },
		"no header":      func(r *http.Request) { r.Header.Del(actHeader) },
		"another site":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"a frame":        func(r *http.Request) { r.Header.Set("Sec-Fetch-Dest", "iframe") },
		"another path":   func(r *http.Request) { r.URL.Path = "/v1/overview" },
		"the login":      func(r *http.Request) { r.URL.Path = "/login" },
		"another host":   func(r *http.Request) { r.Host = "rebound.example.com:8080" },
	} {
		if w := send(p, good, change); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	for name, body := range map[string]string{
		"no reason": `{"do":"pause","ds":"kube-system/agent","reason":" "}`, "no DaemonSet": `{"do":"undo","ds":"agent","reason":"x"}`,
		"no such action": `{"do":"delete","ds":"a/b","reason":"x"}`, "no hold": `{"do":"lift","reason":"x"}`, "no JSON": `do=pause`,
		"too much": `{"reason":"` + strings.Repeat("x", maxAction) + `"}`,
	} {
		w := send(p, body, same)
		var e events.Error
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != http.StatusBadRequest || e.Code != "E-UI-ACTION" || e.Do == "" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := send(New(Config{}, "127.0.0.1:8080"), good, same); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "no instance runs") {
		t.Errorf("where nothing runs: %d %s", w.Code, w.Body)
	}
	if len(done) != 1 {
		t.Errorf("what was refused was done: %+v", done[1:])
	}
}

// TestLanes: while a question is answered that takes long, instants are shown.
func TestLanes(t *testing.T) {
	_, get, p := visit(t, eventsOf(t))
	if p.lanes[stories] == p.lanes[instants] || p.lanes[stories] == p.lanes[courses] || questions["whatif"].lane != stories {
		t.Fatal("what takes long is asked where instants are")
	}
	p.lanes[stories].turn <- struct{}{} // somebody asks what may take minutes
	read := func(path string) string {
		res := get(path)
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s %v", path, res.Status, b, err)
		}
		return string(b)
	}
	for _, path := range []string{"/v1/overview?at=300", "/v1/rollouts", "/v1/state?format=bin&ds=kube-system/node-agent", "/v1/density"} {
		read(path)
	}
	<-p.lanes[stories].turn
}

// TestKept: many pages that ask the same are given one answer while the log has the
// same end, and a second longer while it goes on; an answer that hangs on the time is
// not kept.
func TestKept(t *testing.T) {
	ask := func(url string) *http.Request { return httptest.NewRequest(http.MethodGet, url, nil) }
	k, now := kept{docs: map[string]document{}}, time.Unix(1000, 0)
	k.keep(ask("/v1/overview?at=7"), document{nil, []byte("x"), 7, now})
	for i, c := range []struct {
		url   string
		last  events.Seq
		after time.Duration
		good  bool
	}{
		{"/v1/overview?at=7", 7, time.Hour, true}, {"/v1/overview?at=7", 8, freshFor, true}, {"/v1/overview?at=7", 8, freshFor + 1, false},
		{"/v1/overview?at=6", 7, 0, false}, {"/v1/overview", 7, 0, false},
	} {
		if got := k.find(ask(c.url), c.last, now.Add(c.after)).body != nil; got != c.good {
			t.Errorf("%d: %+v: found %v", i, c, got)
		}
	}
	for url, want := range map[string]bool{"/v1/diff?from=1&at=2": true, "/v1/info": true, "/v1/info?at=-5m": false, "/v1/diff?from=10:00": false} {
		if lasting(ask(url)) != want {
			t.Errorf("%s is kept: %v", url, !want)
		}
	}
	k.keep(ask("/v1/rollouts"), document{nil, make([]byte, maxKept), 8, now})
	if len(k.docs) != 1 || k.bytes != maxKept {
		t.Errorf("%d answers of %d bytes are kept", len(k.docs), k.bytes)
	}
}

// TestActionsOfACharter: beside a cluster that others run a page offers what counts there:
// nothing on a record, and holds alone where rollouts are done in it.
func TestActionsOfACharter(t *testing.T) {
	for mode, want := range map[events.Mode]string{events.Shadow: "", events.Rollouts: "hold lift", events.Control: "hold lift"} {
		if got := strings.Join(Actions(&events.Charter{Cluster: "a", Mode: mode}), " "); got != want {
			t.Errorf("%s: %q, want %q", mode, got, want)
		}
	}
}
