package page

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/controller/grid"
	"rollcall/controller/play"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/recording"
	"rollcall/publisher/simkubelet"
)

const recorded = "../../../testdata/recordings/flapping-nodes.rollcall"

// eventsOf returns the events of a recording.
func eventsOf(t *testing.T) (all []events.Event) {
	t.Helper()
	r, err := recording.Open(recorded)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for e, err := range r.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// visit serves a page over a log that goes on, and returns a browser that is in.
func visit(t *testing.T, first []events.Event) (c *play.Cluster, get func(path string) *http.Response, p *Page) {
	t.Helper()
	subjects, err := events.NewSubjects("demo")
	if err != nil {
		t.Fatal(err)
	}
	c = play.New(subjects, "", first[0].Stored, simkubelet.DefaultOptions())
	for _, e := range first {
		c.Copy(e)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.ServeHTTP(w, r) }))
	p = New(Config{Cluster: "demo", Live: true, Open: func(context.Context) (*Past, error) {
		return &Past{Log: c.Log, Frames: replay.NewMemoryKeyframes(100, 8<<20), Close: func() {}, Moment: func(ctx context.Context, at replay.Instant, last events.Seq) (m replay.Moment, err error) {
			if at, err = at.Locate(ctx, c.Log, time.Now()); err != nil {
				return m, err
			}
			return at.Find(ctx, c.Log, last)
		}}, nil
	}}, strings.TrimPrefix(server.URL, "http://"))
	t.Cleanup(func() {
		server.CloseClientConnections()
		p.live.close()
		server.Close()
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	get = func(path string) *http.Response {
		t.Helper()
		url := server.URL + path
		if strings.HasPrefix(path, "http") {
			url = path
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	if res := get(p.Link()); res.StatusCode != http.StatusOK {
		t.Fatalf("the link gives %s", res.Status)
	}
	return c, get, p
}

// TestStream: what a page makes of the frames that it gets, from a position that it
// had, is what the server has at the end.
func TestStream(t *testing.T) {
	all := eventsOf(t)
	half := len(all) / 2
	c, get, _ := visit(t, all[:half])
	from := half - 40
	first := get(fmt.Sprintf("/v1/state?format=bin&ds=kube-system/node-agent&at=%d", from))
	cells, err := io.ReadAll(first.Body)
	if err != nil {
		t.Fatal(err)
	}
	stream := get(fmt.Sprintf("/v1/stream?ds=kube-system/node-agent&from=%d", from))
	for _, e := range all[half:] {
		c.Copy(e)
	}
	frames, last := 0, events.Seq(from)
	for lines := bufio.NewScanner(stream.Body); int(last) < len(all) && lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var d delta
		if err := json.Unmarshal([]byte(data), &d); err != nil {
			t.Fatal(err)
		}
		if d.Seq <= last {
			t.Fatalf("after #%d a frame is of #%d", last, d.Seq)
		}
		last = d.Seq
		frames++
		changed, err := base64.StdEncoding.DecodeString(d.Cells)
		if err != nil {
			t.Fatal(err)
		}
		for len(cells) < grid.CellBytes*d.Nodes {
			cells = append(cells, 0)
		}
		for i := 0; i < len(changed); i += 8 {
			place := int(changed[i]) | int(changed[i+1])<<8
			copy(cells[grid.CellBytes*place:], changed[i+4:i+8])
		}
	}
	want := get("/v1/state?format=bin&ds=kube-system/node-agent").Header.Get("Rollcall-Cells")
	if got := hashOf(cells); got != want {
		t.Errorf("after %d frames, at #%d, the page has cells of hash %s, and the server %s", frames, last, got, want)
	}
}

// TestFollowed: while a page follows, what is asked of the end of the log is that which
// a page says that reads it anew, and so is what has changed of the cells since
// before.
func TestFollowed(t *testing.T) {
	all := eventsOf(t)
	half := len(all) / 2
	c, get, _ := visit(t, all[:half])
	_, fresh, p := visit(t, all)
	p.Live = false
	asked := func(get func(string) *http.Response, path string) string {
		t.Helper()
		res := get("/v1/" + path)
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %v %s", path, res.Status, err, b)
		}
		return string(b)
	}
	asked(get, "rollouts")
	asked(get, "overview")
	stream := get(fmt.Sprintf("/v1/stream?ds=kube-system/node-agent&from=%d", half))
	lines := bufio.NewScanner(stream.Body)
	lines.Scan() // it begins
	first := half - 100
	last := len(all)
	for i, e := range all[half:] {
		c.Copy(e)
		waits := i%100 == 99 || int(e.Seq) == last
		for seq := 0; waits && seq < int(e.Seq) && lines.Scan(); {
			if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				seq, _ = strconv.Atoi(id)
			}
		}
		if i == 199 { // what was before is put before what was told since
			asked(get, fmt.Sprintf("deltas?ds=kube-system/node-agent&from=%d&at=%d", first, e.Seq))
		}
	}
	// A page that was away is told of what it has missed, and of no more.
	missed := half + 150
	back := []byte(asked(get, fmt.Sprintf("state?format=bin&ds=kube-system/node-agent&at=%d", missed)))
	again := bufio.NewScanner(get(fmt.Sprintf("/v1/stream?ds=kube-system/node-agent&from=%d", missed)).Body)
	for again.Scan() && !strings.HasPrefix(again.Text(), "data: ") {
		continue
	}
	var d delta
	if err := json.Unmarshal([]byte(strings.TrimPrefix(again.Text(), "data: ")), &d); err != nil {
		t.Fatal(err)
	}
	changed, err := base64.StdEncoding.DecodeString(d.Cells)
	if err != nil || len(changed) == 0 || len(changed) >= 8*d.Nodes {
		t.Errorf("a page that was away at #%d is told of %d bytes for %d nodes: %v", missed, len(changed), d.Nodes, err)
	}
	for ; len(changed) > 0; changed = changed[8:] {
		copy(back[grid.CellBytes*int(changed[0]):], changed[4:8])
	}
	if got, want := hashOf(back), get("/v1/state?format=bin&ds=kube-system/node-agent").Header.Get("Rollcall-Cells"); got != want {
		t.Errorf("a page that was away at #%d has cells of hash %s, and the server %s", missed, got, want)
	}
	for _, path := range []string{"overview", "rollouts", "marks", "rates", "nodes", "names", "sources", "state", "density?buckets=50", "wave?way=back", "plan?way=back", "state?format=hash",
		"state?format=bin&ds=kube-system/node-agent", "deltas?ds=kube-system/node-agent&from=" + strconv.Itoa(first), "deltas?ds=kube-system/node-agent&from=" + strconv.Itoa(half+10), "deltas?ds=kube-system/node-agent&from=100"} {
		at := "?at="
		if strings.Contains(path, "?") {
			at = "&at="
		}
		path += at + strconv.Itoa(last)
		if got, want := asked(get, path), asked(fresh, path); got != want {
			t.Errorf("%s: a page that is followed answers\n%.600s\nand one that reads anew\n%.600s", path, got, want)
		}
	}
}

// TestPaths: each path answers with the kind that it is to, and what it refuses
// says what to do.
func TestPaths(t *testing.T) {
	_, get, _ := visit(t, eventsOf(t))
	for path, kind := range map[string]string{
		"info": "Info", "overview?at=300": "Overview", "rollouts": "Rollouts", "events?after=100&limit=5": "Events", "event?at=200": "Event", "nodes": "Nodes",
		"object?of=node/node-0003": "Object", "names?kind=Node": "Names", "why?of=ds/kube-system/node-agent": "Why", "why-not?of=node/node-0003&at=300": "WhyNot",
		"diff?from=100&at=200": "Diff", "density?buckets=10&axis=time": "Density", "wave?at=200&way=back": "Near", "plan?at=200": "Near", "sources": "Sources", "marks": "Marks", "rates": "Rates", "forecast?ds=kube-system/node-agent&at=400": "Forecast", "forecast?ds=kube-system/node-agent&at=400&do=undo": "Forecast", "forecast?ds=kube-system/node-agent&at=400&do=pause": "Forecast", "forecast?ds=kube-system/node-agent&at=400&do=resume": "Forecast", "health": "Health", "instance": "Instance", "state?at=50": "State",
		"whatif?set=kube-system/node-agent.maxUnavailable%3D50%25": "WhatIf", "state?format=hash": "StateHash",
	} {
		res := get("/v1/" + path)
		var a replay.Answer
		if err := json.NewDecoder(res.Body).Decode(&a); err != nil || res.StatusCode != http.StatusOK || a.Kind != kind || a.At.Seq == 0 {
			t.Errorf("%s: %s, %+v, %v", path, res.Status, a, err)
		}
	}
	for path, code := range map[string]string{
		"state?at=99999": "E-CLI-INSTANT", "state?at=never": "E-CLI-INSTANT", "state?format=xml": "E-UI-VALUE", "object?of=node/none": "E-REPLAY-OBJECT", "why?of=none/x": "E-CLI-NAME",
		"whatif?set=x": "E-WHATIF-SET", "events?limit=100000": "E-UI-VALUE", "compare?a=x&b=y": "E-CLI-NAME", "forecast?ds=x": "E-CLI-NAME", "forecast?ds=kube-system/node-agent&do=x": "E-UI-VALUE", "forecast?ds=kube-system/node-agent&at=100&do=undo": "E-UI-ACTION", "rollouts?beside=1": "E-UI-VALUE", "whatif?insert=x": "E-UI-VALUE",
		"info?ta=7": "E-UI-VALUE", "state?form=hash": "E-UI-VALUE", "state?format=bin": "E-UI-VALUE", "state?format=bin&ds=a/b/c": "E-UI-VALUE", "deltas?from=1": "E-UI-VALUE", "deltas?ds=a/b&from=9&at=3": "E-UI-VALUE", "events?limit=0": "E-UI-VALUE",
		"events?ds=/": "E-UI-VALUE", "density?buckets=0": "E-UI-VALUE", "density?axis=x": "E-UI-VALUE", "plan?way=x": "E-UI-VALUE", "wave?way=x": "E-UI-VALUE", "diff?at=3": "E-UI-VALUE", "whatif?runs=0": "E-UI-VALUE", "forecast": "E-UI-VALUE", "stream": "E-UI-VALUE", "stream?ds=a/b&from=x": "E-UI-VALUE", "stream?ds=a/b&from=1&at=2&x=1": "E-UI-VALUE",
	} {
		res := get("/v1/" + path)
		var e events.Error
		if err := json.NewDecoder(res.Body).Decode(&e); err != nil || res.StatusCode != http.StatusBadRequest || e.Code != code {
			t.Errorf("%s: %s, %+v, %v", path, res.Status, e, err)
		}
	}
}

// TestNoPath: what is not answered is refused as all else, and says so to programs.
func TestNoPath(t *testing.T) {
	_, get, _ := visit(t, eventsOf(t))
	res := get("/v1/nodez")
	var e events.Error
	if err := json.NewDecoder(res.Body).Decode(&e); err != nil || res.StatusCode != http.StatusNotFound || e.Code != "E-UI-VALUE" || e.Do == "" {
		t.Errorf("%s, %+v, %v", res.Status, e, err)
	}
}

// TestDoor: who has not used the link, or comes from elsewhere, gets nothing.
func TestDoor(t *testing.T) {
	d := newDoor("127.0.0.1:8080", func() {})
	ask := func(change func(*http.Request)) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8080/v1/info", nil)
		r.AddCookie(&http.Cookie{Name: d.cookie, Value: d.session})
		change(r)
		w := httptest.NewRecorder()
		if d.enter(w, r) {
			w.WriteHeader(http.StatusOK)
		}
		return w
	}
	if w := ask(func(*http.Request) {}); w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("with the session: %d %v", w.Code, w.Header())
	}
	for name, change := range map[string]func(*http.Request){
		"no cookie":      func(r *http.Request) { r.Header.Del("Cookie") },
		"another cookie": func(r *http.Request) { r.Header.Set("Cookie", d.cookie+"=x") },
		"another origin": func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:9090") },
		"another host":   func(r *http.Request) { r.Host = "rebound.example.com:8080" },
		"a frame":        func(r *http.Request) { r.Header.Set("Sec-Fetch-Dest", "iframe") },
		"another site":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a wrong link":   func(r *http.Request) { r.URL.Path = "/login"; r.Header.Del("Cookie") },
	} {
		if w := ask(change); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	once := func() int {
		w := httptest.NewRecorder()
		d.enter(w, httptest.NewRequest(http.MethodGet, d.link(), nil))
		return w.Code
	}
	link := d.link()
	if a, b := once(), func() int {
		w := httptest.NewRecorder()
		d.enter(w, httptest.NewRequest(http.MethodGet, link, nil))
		return w.Code
	}(); a != http.StatusSeeOther || b != http.StatusForbidden {
		t.Errorf("the link gives %d, and %d the second time", a, b)
	}
}

// TestBegin: while a browser that was let in loads the page, which names all modules at
// once, the log is read for what it will ask first.
func TestBegin(t *testing.T) {
	all := eventsOf(t)
	_, get, p := visit(t, all)
	p.live.ended.Wait()
	if at := p.ending.state; at == nil || at.Seq() != all[len(all)-1].Seq || p.lanes[places].index.last() != at.Seq() || p.ending.course != p.lanes[courses].course {
		t.Error("nothing was read before it was asked for")
	}
	modules := get("/").Header.Get("Link")
	if n := strings.Count(modules, "rel=modulepreload"); n < 20 || !strings.Contains(modules, "</views/overview.js>; rel=modulepreload") {
		t.Errorf("%d modules: %s", n, modules)
	}
}

// TestLists: a list in an answer is a list, also where there is nothing in it.
func TestLists(t *testing.T) {
	all := eventsOf(t)
	nodes := slices.DeleteFunc(slices.Clone(all), func(e events.Event) bool { return e.Actor != "" || e.Type != "node.updated" })[:3]
	_, get, _ := visit(t, all)
	_, begun, _ := visit(t, nodes)                        // of which nobody wants to be told
	maybe := []string{"firstDifference", "lastProbeTime"} // that are no lists
	for _, path := range []string{"info", "overview?at=1", "rollouts?at=1", "nodes?at=1", "names?kind=Foo", "marks?at=1", "rates", "events?type=foo", "event?at=1", fmt.Sprintf("event?at=%d", len(all)),
		"why-not?of=ds/kube-system/node-agent", fmt.Sprintf("diff?from=%d", len(all)), "whatif?without=1", "whatif?set=kube-system/node-agent.maxUnavailable%3D3", "sources", "health", "instance"} {
		b, err1 := io.ReadAll(get("/v1/" + path).Body)
		few, err2 := io.ReadAll(begun("/v1/" + path).Body)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		text := string(b) + string(few)
		for _, name := range maybe {
			text = strings.ReplaceAll(text, fmt.Sprintf("%q:null", name), "")
		}
		if i := strings.Index(text, "\":null"); i >= 0 {
			t.Errorf("%s: ...%s", path, text[max(0, i-40):i+6])
		}
	}
}
