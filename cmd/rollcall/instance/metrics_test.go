package instance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector/apiserver"
	"rollcall/projector/sets"
)

// TestMetricsListener: metrics, health and profiles are answered without a token,
// nothing else of the API is, and dashboard and alerts name what is told.
func TestMetricsListener(t *testing.T) {
	in := metered(t)
	base := strings.TrimSuffix(in.Served.metrics, metricsPath)
	told := ask(t, base+metricsPath, http.StatusOK)
	for _, line := range []string{"rollcall_commands_pending 0", `rollcall_rollouts{state="stalled"} 0`, `rollcall_rollouts{state="complete"} 0`} {
		if !strings.Contains(told, "\n"+line+"\n") {
			t.Errorf("no %q", line)
		}
	}
	for _, what := range []string{"depth", "adds_total", "queue_duration_seconds_count", "work_duration_seconds_count", "unfinished_work_seconds", "longest_running_processor_seconds", "retries_total"} {
		if !strings.Contains(told, "\nworkqueue_"+what+`{name="daemonset"} `) {
			t.Errorf("no workqueue_%s of the controller", what)
		}
	}
	if !regexp.MustCompile(`(?m)^rollcall_facts_total\{type="[\w.]+"\} \d`).MatchString(told) {
		t.Error("no facts are told")
	}
	if text := ask(t, base+"/livez", http.StatusOK); text != "ok" {
		t.Errorf("/livez: %q", text)
	}
	if text := ask(t, base+"/readyz?verbose", http.StatusOK); !strings.Contains(text, "[+]engine ok") {
		t.Errorf("/readyz tells a stranger: %s", text)
	}
	stranger, err := rest.HTTPClientFor(in.anybody())
	if err != nil {
		t.Fatal(err)
	}
	res, err := stranger.Get(in.anybody().Host + "/api/v1/nodes")
	if err != nil {
		t.Fatal(err)
	}
	if res.Body.Close(); res.StatusCode != http.StatusForbidden {
		t.Errorf("who asks for the health may read nodes: %s", res.Status)
	}
	ask(t, base+"/debug/pprof/cmdline", http.StatusOK)
	for _, path := range []string{"/", "/api/v1/nodes", "/healthz", "/v1/events"} {
		ask(t, base+path, http.StatusNotFound)
	}
	for file, what := range map[string][]string{
		"dashboard.json": {"workqueue_depth", "workqueue_work_duration_seconds_bucket", "rollcall_facts_total", "rollcall_plans_total", "rollcall_commands_total",
			"rollcall_fold_lag_events", "rollcall_cluster_lag_seconds", "rollcall_commands_pending", "rollcall_divergences_total", "rollcall_rollouts"},
		"alerts.yaml": {"workqueue_longest_running_processor_seconds", "rollcall_commands_total", "rollcall_fold_lag_events", "rollcall_cluster_lag_seconds", "rollcall_commands_pending", "rollcall_divergences_total", "rollcall_rollouts"},
	} {
		checkNames(t, file, told, what)
	}
}

// TestQueue: a controller's names go through the queue of which /metrics tells, each in
// its turn whatever the order in which they came.
func TestQueue(t *testing.T) {
	in := &Instance{}
	q := in.queue().(queue)
	t.Cleanup(func() { _ = in.stops[0]() })
	a, b, c := events.Key{Name: "a"}, events.Key{Name: "b"}, events.Key{Name: "c"}
	for _, k := range []events.Key{a, b, a} {
		q.Add(k)
	}
	q.Begin(b)
	if n := q.Len(); n != 1 {
		t.Errorf("%d names wait beside the one that is under way, want 1", n)
	}
	q.Add(b) // again, while it is under way
	q.Done(b)
	q.Retry(b)
	if n := q.Len(); n != 2 {
		t.Errorf("%d names wait, want 2", n)
	}
	for _, k := range []events.Key{c, b, a} { // c is not there
		q.Begin(k)
		q.Done(k)
	}
	if n := q.Len(); n != 0 {
		t.Errorf("%d names wait at the end", n)
	}
}

// metered is an instance with a node that tells its metrics.
func metered(t *testing.T) *Instance {
	t.Helper()
	at, err := ParseListen("--metrics", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	in, err := Start(t.Context(), Options{Metrics: at, Nodes: 1, Memory: true, Controllers: []string{ownController}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Stop(); err != nil {
			t.Error(err)
		}
	})
	return in
}

func ask(t *testing.T, url string, code int) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != code {
		t.Errorf("%s: %s, %v\n%s", url, res.Status, err, body)
	}
	return string(body)
}

// series is a name of a metric in an expression; others there are functions, labels
// and what Prometheus itself makes.
var series = regexp.MustCompile(`\b(?:rollcall|process|go|apiserver|workqueue)_\w+`)

// checkNames checks that a file of deploy names what it has to, and that the metrics that it
// names are told, or would be when something has happened: those are documented, which
// TestMetrics of the API holds against what is there.
func checkNames(t *testing.T, file, told string, has []string) {
	t.Helper()
	data, err := os.ReadFile("../../../deploy/" + file)
	if err != nil {
		t.Fatal(err)
	}
	documented, err := os.ReadFile("../../../docs/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(file, ".json") && !json.Valid(data) {
		t.Errorf("%s is no JSON", file)
	}
	names := map[string]bool{}
	for _, name := range series.FindAllString(string(data), -1) {
		names[name] = true
	}
	for _, name := range has {
		if !names[name] {
			t.Errorf("%s does not name %s", file, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		base := strings.TrimSuffix(name, "_bucket")
		if !strings.Contains(told, "# TYPE "+base+" ") && !strings.Contains(string(documented), "| `"+base+"` |") {
			t.Errorf("%s names %s, which nobody tells", file, name)
		}
	}
}

// TestUnheard: a record that has never had all that its cluster has is not ready, and tells
// for how long; afterwards it is ready, however long ago that was.
func TestUnheard(t *testing.T) {
	for _, heard := range []bool{false, true} {
		in := &Instance{Options: Options{Record: &Record{Heard: func() (time.Duration, bool) { return 3 * time.Minute, heard }}}}
		told := 0.0
		in.figures("rollcall_cluster_lag_seconds", func(v float64, _ ...string) { told = v })
		if told != 180 {
			t.Errorf("heard %v: a lag of %v seconds is told", heard, told)
		}
		at := slices.IndexFunc(in.checks(), func(c apiserver.Check) bool { return c.Name == "cluster" })
		if at < 0 {
			t.Fatal("/readyz does not ask whether the cluster was heard")
		}
		if text, err := in.checks()[at].State(); (err == nil) != heard || !strings.Contains(fmt.Sprint(text, err), "3m0s") {
			t.Errorf("heard %v: %q, %v", heard, text, err)
		}
	}
}

// TestPprofAtHome: who comes from elsewhere sees no profiles.
func TestPprofAtHome(t *testing.T) {
	h := pprofAtHome(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, c := range []struct {
		at   net.Addr
		path string
		code int
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, "/debug/pprof/heap", http.StatusOK},
		{&net.TCPAddr{IP: net.IPv6loopback}, "/debug/pprof/heap", http.StatusOK},
		{&net.TCPAddr{IP: net.IPv4(10, 0, 0, 7)}, "/debug/pprof/heap", http.StatusNotFound},
		{nil, "/debug/pprof/", http.StatusNotFound},
		{&net.TCPAddr{IP: net.IPv4(10, 0, 0, 7)}, metricsPath, http.StatusOK},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, c.at)))
		if w.Code != c.code {
			t.Errorf("%s at %v: %d, want %d", c.path, c.at, w.Code, c.code)
		}
	}
}

// TestRolloutState: what the controller has written counts, and the nodes where it
// has written nothing.
func TestRolloutState(t *testing.T) {
	done, halfway := sets.Counts{Desired: 2, Updated: 2, Available: 2}, sets.Counts{Desired: 2, Updated: 1, Available: 2}
	for want, d := range map[string]*sets.DaemonSet{
		rolloutComplete: {Counts: done, Object: conditioned(controller.ConditionProgressing, controller.ReasonRolledOut)},
		rolloutRolling:  {Counts: halfway, Object: &appsv1.DaemonSet{}},
		rolloutPaused:   {Counts: halfway, Object: conditioned(controller.ConditionProgressing, controller.ReasonPaused)},
		rolloutHeld:     {Counts: halfway, Object: conditioned(controller.ConditionProgressing, controller.ReasonHeld)},
		rolloutStalled:  {Counts: halfway, Object: conditioned(controller.ConditionStalled, "ProgressDeadlineExceeded")},
	} {
		if got := rolloutState(d); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func conditioned(kind appsv1.DaemonSetConditionType, reason string) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{Status: appsv1.DaemonSetStatus{Conditions: []appsv1.DaemonSetCondition{{Type: kind, Status: corev1.ConditionTrue, Reason: reason}}}}
}
