package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projector/apiserver/netlimit"
)

// answer is what a plain client gets.
type answer struct {
	code   int
	header http.Header
	body   string
	last   bool // the server ends the connection with it
}

// ask makes a request without anything of client-go; token may be empty.
func (c *cluster) ask(t testing.TB, path, token string) answer {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, byPort(c.server, "").Host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(b), resp.Close}
}

// finding U12
//
// TestPublicPaths: anybody may ask whether the server lives and which version
// it is, and nothing else.
func TestPublicPaths(t *testing.T) {
	c := newCluster(t)
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/healthz": 200, "/version": 200, "/livez?verbose": 200,
		"/readyz/log": 401, "/metrics": 401, "/": 401, "/api": 401, "/apis": 401, "/openapi/v2": 401, "/api/v1/namespaces/default/pods": 401,
		"/livez/../api": 401, "/livezz": 401} {
		if got := c.ask(t, path, ""); got.code != want {
			t.Errorf("%s without a token: %d, want %d: %s", path, got.code, want, got.body)
		}
	}
	if got := c.ask(t, "/livez", "wrong"); got.code != 401 {
		t.Errorf("/livez with a wrong token: %d", got.code)
	}
	if got := c.ask(t, "/readyz/log", "secret"); got.code != 200 || got.body != "ok" {
		t.Errorf("/readyz/log of the admin: %d %s", got.code, got.body)
	}
}

// illness is a log whose health a test decides.
type illness struct {
	events.Log
	report atomic.Pointer[events.Error]
}

func (l *illness) health() error {
	if e := l.report.Load(); e != nil {
		return e
	}
	return nil
}

// Info does not answer while the log is not reached, as a server without a
// quorum does not.
func (l *illness) Info(ctx context.Context) (events.Info, error) {
	if e := l.report.Load(); e != nil && e.Code != codeFull {
		<-ctx.Done()
		return events.Info{}, ctx.Err()
	}
	return l.Log.Info(ctx)
}

func (l *illness) Append(ctx context.Context, es ...events.Entry) (events.Seq, error) {
	if e := l.report.Load(); e != nil {
		if e.Code != codeFull {
			<-ctx.Done()
			return 0, errors.Join(events.ErrUnknown, ctx.Err())
		}
		return 0, e
	}
	return l.Log.Append(ctx, es...)
}

// newIll returns a cluster over a log that can fall ill.
func newIll(t *testing.T, change func(*Config)) (*cluster, *illness) {
	t.Helper()
	c := &cluster{subjects: testSubjects(t), held: &sync.Mutex{}}
	ill := &illness{Log: memlog.New(c.subjects, time.Now)}
	c.log = ill
	tally := NewTally()
	c.objects = newTables(t, c.log, c.held, tally.Follow)
	config := withPort(t, Config{Log: c.log, Subjects: c.subjects, Objects: c.objects, Tally: tally, Health: ill.health})
	if change != nil {
		change(&config)
	}
	c.server = serve(t, config)
	c.client = c.server.client
	return c, ill
}

var (
	logFull     = events.Full("/secret/dir", "the disk is full", "make room")
	logNoQuorum = events.NoQuorum("nats://10.0.0.1", "one of three is there")
)

// finding H7, finding M1, finding U12
//
// TestReadyz: what is wrong with the log is told with its code to anybody, and
// whole to the admin; quarantined events are told and do not matter to it.
func TestReadyz(t *testing.T) {
	q := Quarantine{}
	var part error
	c, ill := newIll(t, func(c *Config) {
		c.Quarantined = func() Quarantine { return q }
		c.Checks = []Check{{"executor", func() (string, error) { return "", part }}}
	})
	has := func(a answer, code int, lines ...string) {
		t.Helper()
		for _, line := range lines {
			if !strings.Contains(a.body, line+"\n") {
				t.Errorf("no %q in\n%s", line, a.body)
			}
		}
		if a.code != code {
			t.Errorf("%d, want %d:\n%s", a.code, code, a.body)
		}
	}
	at := c.objects.Position()
	has(c.ask(t, "/readyz?verbose", ""), 200, fmt.Sprintf("[+]log ok: position %d", at), "[+]fold ok: 0 events behind", "[+]quarantine ok: nothing", "[+]objects ok: all that were asked for can be read",
		"[+]executor ok", "[+]bootstrap ok", "readyz check passed")
	for _, e := range []*events.Error{logFull, logNoQuorum} {
		ill.report.Store(e)
		has(c.ask(t, "/readyz", ""), 500, "[-]log failed: "+e.Code, "[+]executor ok")
		has(c.ask(t, "/readyz", "secret"), 500, "[-]log failed: "+e.Error())
		has(c.ask(t, "/readyz?verbose&exclude=log", ""), 200, "[+]log excluded: ok")
		has(c.ask(t, "/livez?verbose", ""), 200, "livez check passed")
	}
	ill.report.Store(nil)
	q = Quarantine{Events: 3, Last: 7, Why: "E-EVT-UID: the uid\nis empty"}
	has(c.ask(t, "/readyz?verbose", ""), 200, "[+]quarantine ok: 3 events, the last at #7: E-EVT-UID: the uid is empty")
	part = errors.New("gone")
	has(c.ask(t, "/readyz", ""), 500, "[-]executor failed: reason withheld")
	has(c.ask(t, "/readyz", "secret"), 500, "[-]executor failed: gone")
}

// TestReadyzOfRecord: what is read only, but goes on, is not ready without its log.
func TestReadyzOfRecord(t *testing.T) {
	c, ill := newIll(t, func(c *Config) { c.ReadOnly = "it is a record" })
	if a := c.ask(t, "/readyz?verbose", ""); a.code != 200 || !strings.Contains(a.body, "[+]log ok") || !strings.Contains(a.body, "[+]fold ok") {
		t.Errorf("%d %s", a.code, a.body)
	}
	ill.report.Store(logNoQuorum)
	if a := c.ask(t, "/readyz", ""); a.code != 500 || !strings.Contains(a.body, "[-]log failed: E-LOG-QUORUM") {
		t.Errorf("without a log: %d %s", a.code, a.body)
	}
}

// finding M1, finding M2
//
// TestStaleReads: while the log cannot be reached, reads are answered with what
// is known and say so, writes are refused at once, and it comes back by itself.
func TestStaleReads(t *testing.T) {
	c, ill := newIll(t, nil)
	const list, get = "/api/v1/namespaces", "/api/v1/namespaces/default"
	for _, path := range []string{list, get} {
		if a := c.ask(t, path, "secret"); a.code != 200 || a.header.Get("Warning") != "" {
			t.Errorf("%s of a log that is well: %d, warning %q", path, a.code, a.header.Get("Warning"))
		}
	}
	ill.report.Store(logNoQuorum)
	want := fmt.Sprintf("E-LOG-QUORUM: the log does not answer: this is as of position %d and may be old", c.objects.Position())
	for _, path := range []string{list, get, "/api/v1/nodes", "/api/v1/events"} {
		if a := c.ask(t, path, "secret"); a.code != 200 || !strings.Contains(a.header.Get("Warning"), want) {
			t.Errorf("%s: %d, warning %q\n%s", path, a.code, a.header.Get("Warning"), a.body)
		}
	}
	_, err := c.client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
	if !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), logNoQuorum.Error()) {
		t.Errorf("a write gives %v", err)
	}
	ill.report.Store(nil)
	if a := c.ask(t, list, "secret"); a.code != 200 || a.header.Get("Warning") != "" {
		t.Errorf("list of a log that is back: %d, warning %q", a.code, a.header.Get("Warning"))
	}
	// A log that has no room can be read as ever.
	ill.report.Store(logFull)
	if a := c.ask(t, list, "secret"); a.code != 200 || a.header.Get("Warning") != "" {
		t.Errorf("list of a full log: %d, warning %q", a.code, a.header.Get("Warning"))
	}
	_, err = c.client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
	if !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), "E-LOG-FULL") {
		t.Errorf("a write to a full log gives %v", err)
	}
}

// finding M9
//
// TestWatchesAreBounded: one more than there is room for is told to come again;
// those that are open go on, and one that ends makes room.
func TestWatchesAreBounded(t *testing.T) {
	c, _ := newIll(t, func(c *Config) { c.MaxWatches = 3 })
	admin := c.as(t, "test")
	own, _ := c.server.watches.counts() // the server's own clients
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	maps := admin.CoreV1().ConfigMaps("default")
	free := 3 - own
	if free < 1 {
		c.server.watches.most, free = own+2, 2
	}
	var ends []context.CancelFunc
	for range free {
		ctx, end := context.WithCancel(ctx)
		ends = append(ends, end)
		w, err := maps.Watch(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
	}
	// A client of client-go would come again by itself.
	const more = "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1"
	if a := c.ask(t, more, "secret"); a.code != 429 || a.header.Get("Retry-After") != fmt.Sprint(tooManyRetry) || !strings.Contains(a.body, "--max-watches") {
		t.Fatalf("one more watch gives %d, come again after %q: %s", a.code, a.header.Get("Retry-After"), a.body)
	}
	if _, refused := c.server.watches.counts(); refused == 0 {
		t.Error("a refused watch is not counted")
	}
	if open, _ := c.server.watches.counts(); open != own+free {
		t.Errorf("%d watches are open of %d", open, own+free)
	}
	ends[0]()
	for a := (answer{code: 429}); a.code == 429 && t.Context().Err() == nil; {
		if a = c.ask(t, more, "secret"); a.code != 200 && a.code != 429 {
			t.Fatalf("a watch in the place of one that has ended gives %d: %s", a.code, a.body)
		}
	}
}

// finding H6
//
// TestStrangersStarveNobody: with more idle connections open than the server
// has places, a client that knows the token is served, and one that does not
// speak TLS is closed.
func TestStrangersStarveNobody(t *testing.T) {
	c, _ := newIll(t, func(c *Config) {
		c.Connections = netlimit.Limits{Known: 8, Strangers: 4, Patience: time.Hour}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	maps := c.as(t, "test").CoreV1().ConfigMaps("default")
	open, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Stop()
	var idle []net.Conn
	for range 60 {
		conn, err := net.Dial("tcp", c.server.config.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		idle = append(idle, conn)
		if len(idle)%20 == 0 {
			if a := c.ask(t, "/api/v1/namespaces", "secret"); a.code != 200 {
				t.Fatalf("behind %d idle connections: %d %s", len(idle), a.code, a.body)
			}
		}
	}
	if _, err := idle[0].Read(make([]byte, 1)); err == nil {
		t.Error("the oldest idle connection is served")
	}
	if _, err := c.client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "late"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for late := false; !late; { // what was there comes first
		e, ok := <-open.ResultChan()
		if !ok {
			t.Fatal("strangers have ended the watch of a client")
		}
		m, is := e.Object.(*corev1.ConfigMap)
		late = is && m.Name == "late"
	}
	if a := c.ask(t, "/livez", ""); a.code != 200 || !a.last {
		t.Errorf("/livez of a stranger: %d, ends the connection: %v", a.code, a.last)
	}
	if a := c.ask(t, "/livez", "secret"); a.code != 200 || a.last {
		t.Errorf("/livez of the admin: %d, ends the connection: %v", a.code, a.last)
	}
	if n := c.server.door.Counts(); n.Displaced < 56 || n.Strangers > 4 {
		t.Errorf("%+v", n)
	}
}

// finding U12
//
// TestMetrics: every figure of rollcall is told, and docs/METRICS.md has those
// that are told, with their types and in their words.
func TestMetrics(t *testing.T) {
	c, _ := newIll(t, func(c *Config) {
		c.Quarantined = func() Quarantine { return Quarantine{Events: 2} }
		c.Figures = func(name string, tell func(float64, ...string)) {
			labels := map[string][]string{"rollcall_gate_events_total": {"inventory", "accepted"}, "rollcall_gate_events_open": {"inventory"}, "rollcall_rollouts": {"stalled"}, "rollcall_divergences_total": {"extra", ""}}
			tell(7, labels[name]...)
		}
	})
	pod := events.Ref{Kind: events.Pod, Key: events.Key{Namespace: "default", Name: "p"}, UID: "p"}
	plan := &events.Plan{Owner: events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "default", Name: "a"}, UID: "a"}, Commands: []events.Command{{Do: events.CreatePod, Ref: pod}, {Do: events.CreatePod, Ref: pod}}}
	c.append(t, events.Planned, plan)
	seq := c.append(t, events.Failed, events.Outcome{Owner: events.Ref{Kind: events.DaemonSet, Key: plan.Owner.Key, UID: "a"}, Command: plan.Commands[0]})
	if err := c.objects.Await(t.Context(), seq); err != nil {
		t.Fatal(err)
	}
	told := c.ask(t, "/metrics", "secret").body
	for _, line := range []string{`rollcall_plans_total{type="daemonset"} 1`, `rollcall_commands_total{outcome="planned",type="CreatePod"} 2`,
		`rollcall_commands_total{outcome="failed",type="CreatePod"} 1`, "rollcall_quarantined_events_total 2", fmt.Sprintf("rollcall_log_position %d", seq),
		"rollcall_fold_lag_events 0", "rollcall_log_ready 1", "rollcall_log_full 0", `rollcall_connections{client="stranger"} 0`,
		`rollcall_gate_events_total{outcome="accepted",source="inventory"} 7`, "rollcall_gate_rejects 7"} {
		if !strings.Contains(told, "\n"+line+"\n") {
			t.Errorf("no %q", line)
		}
	}
	documented, err := os.ReadFile("../../docs/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(documented)) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `rollcall_") {
			rows[strings.Trim(cells[0], "|` ")] = line
		}
	}
	types := regexp.MustCompile(`(?m)^# HELP (rollcall_\S+) \[ALPHA\] (.*)\n# TYPE \S+ (\S+)$`).FindAllStringSubmatch(told, -1)
	if len(types) != len(ownFigures)+1 || len(rows) != len(types) {
		t.Errorf("%d metrics are told, %d are there, %d are documented", len(types), len(ownFigures)+1, len(rows))
	}
	for _, m := range types {
		row := rows[m[1]]
		if !strings.Contains(row, "| "+m[3]+" |") || !strings.Contains(row, m[2]) {
			t.Errorf("%s, a %s: %s\nis documented as %q", m[1], m[3], m[2], row)
		}
	}
}
