package instance

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"rollcall/controller"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// serveMetrics serves /metrics, and what a probe asks, at an address of their own
// without a token. Nothing else of the API is there.
func (in *Instance) serveMetrics() error {
	if in.Metrics.None() {
		return nil
	}
	handler, err := in.metricsHandler()
	if err != nil {
		return err
	}
	l, err := in.Metrics.listen()
	if err != nil {
		return err
	}
	in.Served.metrics = "http://" + l.Addr().String() + metricsPath
	s := &http.Server{Handler: handler, ReadHeaderTimeout: metricsTime, MaxHeaderBytes: 16 << 10}
	in.launch(func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { _ = s.Close() })() // who asks can ask again
		if err := s.Serve(l); ctx.Err() == nil {
			return fmt.Errorf("serve metrics: %w", err)
		}
		return nil
	})
	return nil
}

const metricsPath = "/metrics"

// metricsTime bounds how long a client may take to say what it wants.
const metricsTime = 10 * time.Second

// metricsHandler answers as the API does: the metrics as it tells its admin, and the
// health as it tells anybody.
func (in *Instance) metricsHandler() (http.Handler, error) {
	mux := http.NewServeMux()
	for path, config := range map[string]*rest.Config{metricsPath: in.Served.Server.Loopback(), "/livez": in.anybody(), "/readyz": in.anybody()} {
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			return nil, fmt.Errorf("make a client for %s: %w", path, err)
		}
		mux.Handle("GET "+path, handOn(client, config.Host+path))
	}
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return pprofAtHome(mux), nil
}

// anybody is for clients of the API in this process that act for nobody known.
func (in *Instance) anybody() *rest.Config {
	c := in.Served.Server.Loopback()
	c.Impersonate = rest.ImpersonationConfig{UserName: "system:anonymous", Groups: []string{"system:unauthenticated"}}
	return c
}

// handOn answers with what the API answers at a URL.
func handOn(client *http.Client, url string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url+"?"+r.URL.RawQuery, nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ask.Header["Accept"] = r.Header["Accept"]
		res, err := client.Do(ask)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		defer res.Body.Close()
		w.Header()["Content-Type"] = res.Header["Content-Type"]
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body) // who has gone needs no answer
	})
}

// pprofAtHome lets only this machine look into the process, whatever the address.
func pprofAtHome(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if strings.HasPrefix(r.URL.Path, "/debug/") && (!ok || !at.IP.IsLoopback()) {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// figures tells the metrics of what is beside the API.
func (in *Instance) figures(name string, tell func(v float64, labels ...string)) {
	switch {
	case name == "rollcall_commands_pending":
		in.State.Read(func(st *projector.State) { tell(float64(st.Unanswered())) })
	case name == "rollcall_rollouts":
		in.rollouts(tell)
	case name == "rollcall_cluster_lag_seconds":
		if r := in.Record; r != nil && r.Heard != nil {
			ago, _ := r.Heard()
			tell(ago.Seconds())
		}
	case name == "rollcall_divergences_total":
		if r := in.Record; r != nil && r.Diverged != nil {
			r.Diverged(tell)
		}
	case strings.HasPrefix(name, "rollcall_gate_rejects"):
		in.rejected(name, tell)
	default:
		in.gated(name, tell)
	}
}

// rollouts counts the DaemonSets by how their rollout stands.
func (in *Instance) rollouts(tell func(v float64, labels ...string)) {
	counts := map[string]int{rolloutComplete: 0, rolloutRolling: 0, rolloutPaused: 0, rolloutHeld: 0, rolloutStalled: 0}
	in.State.Read(func(st *projector.State) {
		for _, d := range st.DaemonSets() {
			if !d.Deleted {
				counts[rolloutState(d)]++
			}
		}
	})
	for state, n := range counts { // the registry sorts
		tell(float64(n), state)
	}
}

// How a rollout stands.
const (
	rolloutComplete = "complete"
	rolloutRolling  = "rolling"
	rolloutPaused   = "paused"
	rolloutHeld     = "held"
	rolloutStalled  = "stalled"
)

// rolloutState says how the rollout of a DaemonSet stands by what its controller has
// written, and by what the nodes have where that says nothing: a cluster's own
// controller has no such conditions.
func rolloutState(d *sets.DaemonSet) string {
	for _, c := range d.Object.Status.Conditions {
		switch {
		case c.Type == controller.ConditionStalled && c.Status == corev1.ConditionTrue:
			return rolloutStalled
		case c.Type != controller.ConditionProgressing || c.Status != corev1.ConditionTrue:
		case c.Reason == controller.ReasonPaused:
			return rolloutPaused
		case c.Reason == controller.ReasonHeld:
			return rolloutHeld
		}
	}
	if n := d.Counts; n.Updated == n.Desired && n.Available == n.Desired {
		return rolloutComplete
	}
	return rolloutRolling
}

// gated tells how the gate does.
func (in *Instance) gated(name string, tell func(v float64, labels ...string)) {
	f := in.Gate.Figures()
	switch name {
	case "rollcall_gate_events_total":
		for o, n := range f.Events { // the registry sorts
			tell(float64(n), o.Source, o.What)
		}
	case "rollcall_gate_events_open":
		for source, n := range f.Open {
			tell(float64(n), source)
		}
	case "rollcall_gate_answers_total":
		tell(float64(f.Answers))
	case "rollcall_gate_answers_slow_total":
		tell(float64(f.Slow))
	case "rollcall_gate_answer_seconds_total":
		tell(f.Seconds)
	}
}

// rejected tells what the gate has refused and is kept.
func (in *Instance) rejected(name string, tell func(v float64, labels ...string)) {
	if in.shelf == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), shelfTime)
	defer cancel()
	messages, bytes, ever, err := in.shelf.Held(ctx)
	switch {
	case err != nil: // /readyz tells how the server is
	case name == "rollcall_gate_rejects":
		tell(float64(messages))
	case name == "rollcall_gate_rejects_bytes":
		tell(float64(bytes))
	case name == "rollcall_gate_rejects_total":
		tell(float64(ever))
	}
}

// shelfTime bounds how long /metrics waits for the figures of the rejects.
const shelfTime = 2 * time.Second
