package publisher_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"rollcall/publisher"
)

// door is a gate that remembers what it was told, by id.
type door struct {
	mu    sync.Mutex
	seqs  map[string]uint64
	calls int
	// refuse may answer a request in the gate's place.
	refuse func(call int, w http.ResponseWriter) bool
	// item may refuse one event.
	item func(call int, ev map[string]any) *publisher.Problem
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	if r.URL.Path != "/v1/events" || r.Header.Get("Authorization") != "Bearer secret" {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(publisher.NewProblem(401, "E-TOLD-AUTH", "who?", "the token is not known"))
		return
	}
	var evs []map[string]any
	if body, _ := io.ReadAll(r.Body); json.Unmarshal(body, &evs) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if d.refuse != nil && d.refuse(d.calls, w) {
		return
	}
	var out publisher.Results
	for _, ev := range evs {
		if d.item != nil {
			if p := d.item(d.calls, ev); p != nil {
				out.Results = append(out.Results, publisher.Result{Problem: p})
				continue
			}
		}
		id := ev["id"].(string)
		seq, there := d.seqs[id]
		if !there {
			seq = uint64(len(d.seqs) + 1)
			d.seqs[id] = seq
		}
		out.Results = append(out.Results, publisher.Result{Answer: &publisher.Answer{Accepted: true, Seq: seq, ID: id, Duplicate: there}})
	}
	_ = json.NewEncoder(w).Encode(out)
}

// serve starts a gate over TLS and returns it and a client of it.
func serve(t testing.TB, d *door) (*publisher.Client, *httptest.Server) {
	t.Helper()
	d.seqs = map[string]uint64{}
	s := httptest.NewTLSServer(d)
	t.Cleanup(s.Close)
	c, err := publisher.NewClient(publisher.Options{URL: s.URL, Token: "secret", CA: pemOf(s), Source: "/test"})
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

func pemOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func gone(t testing.TB, node string) publisher.Event {
	t.Helper()
	ev, err := publisher.NodeGone{Reason: "test"}.Event(node)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// TestRetry sends again what got lost, with the same ids: each event is told once.
func TestRetry(t *testing.T) {
	d := &door{refuse: func(call int, w http.ResponseWriter) bool {
		switch call {
		case 1:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		case 2:
			panic(http.ErrAbortHandler) // the connection breaks before the answer
		case 3:
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		return false
	}}
	c, _ := serve(t, d)
	a, err := c.Tell(t.Context(), gone(t, "n-1"))
	if err != nil || a.Seq != 1 || len(a.ID) != 26 || d.calls != 4 {
		t.Errorf("%+v, %v after %d calls", a, err, d.calls)
	}
}

// TestLostAnswer has the gate take an event whose answer gets lost: the same
// event comes again, and the answer is that to the first.
func TestLostAnswer(t *testing.T) {
	d := &door{}
	d.item = func(call int, ev map[string]any) *publisher.Problem {
		if call == 1 {
			d.seqs[ev["id"].(string)] = 1
			panic(http.ErrAbortHandler)
		}
		return nil
	}
	c, _ := serve(t, d)
	a, err := c.Tell(t.Context(), gone(t, "n-1"))
	if err != nil || a.Seq != 1 || !a.Duplicate || len(d.seqs) != 1 {
		t.Errorf("%+v, %v; %v", a, err, d.seqs)
	}
}

// TestRefused does not send again what is the sender's fault.
func TestRefused(t *testing.T) {
	d := &door{item: func(_ int, ev map[string]any) *publisher.Problem {
		if ev["subject"] == "node/bad" {
			return publisher.NewProblem(422, "E-TOLD-DATA", "wrong data", "the data is wrong")
		}
		return nil
	}}
	c, s := serve(t, d)
	results, err := c.Send(t.Context(), gone(t, "n-1"), gone(t, "bad"), gone(t, "n-2"))
	var p *publisher.Problem
	if !errors.As(err, &p) || p.Status != 422 || d.calls != 1 || results[0].Answer == nil || results[1].Problem == nil || results[2].Answer.Seq != 2 {
		t.Errorf("%v, %+v after %d calls", err, results, d.calls)
	}
	stranger, err := publisher.NewClient(publisher.Options{URL: s.URL, Token: "no", CA: pemOf(s)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Tell(t.Context(), gone(t, "n-1")); !errors.As(err, &p) || p.Code != "E-TOLD-AUTH" || d.calls != 2 {
		t.Errorf("%v after %d calls", err, d.calls)
	}
}

// TestPartlyBusy sends again only those of many that there was no room for.
func TestPartlyBusy(t *testing.T) {
	var seen []int
	d := &door{}
	d.item = func(call int, ev map[string]any) *publisher.Problem {
		seen = append(seen, call)
		if call == 1 && ev["subject"] != "node/n-0" {
			return publisher.NewProblem(429, "E-TOLD-BUSY", "busy", "the queue is full")
		}
		return nil
	}
	c, _ := serve(t, d)
	results, err := c.Send(t.Context(), gone(t, "n-0"), gone(t, "n-1"), gone(t, "n-2"))
	if err != nil || !slices.Equal(seen, []int{1, 1, 1, 2, 2}) {
		t.Errorf("%v, %v", err, seen)
	}
	for i, r := range results {
		if r.Answer == nil || r.Answer.Seq != uint64(i+1) {
			t.Errorf("result %d: %+v", i, r)
		}
	}
}

// TestLarge splits what the gate would not take in one request.
func TestLarge(t *testing.T) {
	d := &door{}
	c, _ := serve(t, d)
	var evs []publisher.Event
	for i := range 2500 {
		evs = append(evs, gone(t, fmt.Sprintf("n-%d", i)))
	}
	big, err := publisher.NewNote("com.example.big", map[string]string{"text": strings.Repeat("x", 850_000)}, "node/n-1")
	if err != nil {
		t.Fatal(err)
	}
	results, err := c.Send(t.Context(), append(evs, big, big)...)
	if err != nil || d.calls != 5 || results[2501].Answer.Seq != 2502 {
		t.Errorf("%v after %d calls", err, d.calls)
	}
}

// TestRun sends what comes from a channel, and ends when that is closed.
func TestRun(t *testing.T) {
	d := &door{}
	c, _ := serve(t, d)
	in := make(chan publisher.Event, 64)
	go func() {
		defer close(in)
		for i := range 300 {
			in <- gone(t, fmt.Sprintf("n-%d", i))
		}
	}()
	var last uint64
	err := c.Run(t.Context(), in, func(ev publisher.Event, r publisher.Result, err error) {
		if err != nil || r.Answer.Seq != last+1 {
			t.Errorf("%s: %+v, %v", ev.Subject, r, err)
		}
		last++
	})
	if err != nil || last != 300 {
		t.Errorf("%d events, %v", last, err)
	}
}

// TestUnreachable says so, and stops when the context ends.
func TestUnreachable(t *testing.T) {
	c, s := serve(t, &door{})
	s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Tell(ctx, gone(t, "n-1")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	once, err := publisher.NewClient(publisher.Options{URL: s.URL, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := once.Tell(t.Context(), gone(t, "n-1")); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Error(err)
	}
}

// TestForeign tells that something else answers than rollcall.
func TestForeign(t *testing.T) {
	s := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound))
	defer s.Close()
	c, err := publisher.NewClient(publisher.Options{URL: s.URL, Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	var p *publisher.Problem
	if _, err := c.Tell(t.Context(), gone(t, "n-1")); !errors.As(err, &p) || p.Code != "E-TOLD-ANSWER" {
		t.Error(err)
	}
	for _, bad := range []string{"", "127.0.0.1:7443", "ftp://h", "https://"} {
		if _, err := publisher.NewClient(publisher.Options{URL: bad}); err == nil {
			t.Errorf("%q is a URL", bad)
		}
	}
}

// TestOptions finds an instance by its data directory and by the environment.
func TestOptions(t *testing.T) {
	_, s := serve(t, &door{})
	dir := t.TempDir()
	for name, text := range map[string]string{"api.json": `{"port":` + s.URL[strings.LastIndex(s.URL, ":")+1:] + `}`, "ca.pem": string(pemOf(s)), "token": "secret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, env := range []map[string]string{
		{"ROLLCALL_URL": "", "ROLLCALL_DATA": dir},
		{"ROLLCALL_URL": s.URL, "ROLLCALL_TOKEN": "secret", "ROLLCALL_CA": filepath.Join(dir, "ca.pem")},
	} {
		for k, v := range env {
			t.Setenv(k, v)
		}
		o, err := publisher.FromEnv()
		if err != nil {
			t.Fatal(err)
		}
		c, err := publisher.NewClient(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Tell(t.Context(), gone(t, "n-1")); err != nil {
			t.Error(err)
		}
	}
	if _, err := publisher.FromData(t.TempDir()); err == nil || !strings.Contains(err.Error(), "rollcall up") {
		t.Error(err)
	}
}

// TestDependencies holds what whoever imports the package has to build: nothing
// of Kubernetes, and under 250 packages with the standard library's.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if len(deps) >= 250 {
		t.Errorf("%d packages", len(deps))
	}
	for _, d := range deps {
		if strings.Contains(d, "k8s.io") || strings.Contains(d, "nats") || strings.HasPrefix(d, "rollcall/") && d != "rollcall/publisher" {
			t.Errorf("it needs %s", d)
		}
	}
}
