package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"rollcall/events"
)

// keeper is a cluster that has a Lease and the DaemonSet of a probe, and nothing besides.
type keeper struct {
	mu      sync.Mutex
	lease   coordinationv1.Lease
	version int
	renews  bool // another renews it whenever somebody looks
	down    bool
	rival   bool // somebody answers probes
	probes  int
	told    []string // Events
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	body, _ := io.ReadAll(r.Body)
	switch {
	case k.down:
		http.Error(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"ServiceUnavailable","code":503}`, http.StatusServiceUnavailable)
	case strings.Contains(r.URL.Path, "/leases"):
		k.leases(w, r.Method, body)
	case strings.Contains(r.URL.Path, "/controllerrevisions"):
		fmt.Fprint(w, `{"kind":"ControllerRevisionList","apiVersion":"apps/v1","items":[]}`)
	case strings.Contains(r.URL.Path, "/events"):
		k.told = append(k.told, string(body))
		fmt.Fprint(w, `{"kind":"Event","apiVersion":"v1"}`)
	case r.Method == http.MethodDelete:
		fmt.Fprint(w, success)
	default:
		if r.Method == http.MethodPost {
			k.probes++
		}
		seen := 0
		if k.rival {
			seen = 1
		}
		fmt.Fprintf(w, `{"kind":"DaemonSet","apiVersion":"apps/v1","metadata":{"name":"rollcall-probe","namespace":"kube-system","creationTimestamp":"2026-01-01T00:00:00Z"},
"spec":{"selector":{"matchLabels":{"app":"rollcall-probe"}},"template":{}},"status":{"observedGeneration":%d}}`, seen)
	}
}

func (k *keeper) leases(w http.ResponseWriter, method string, body []byte) {
	if method == http.MethodPut {
		_ = json.Unmarshal(body, &k.lease)
	}
	if method == http.MethodPut || k.renews {
		k.version++
	}
	k.lease.APIVersion, k.lease.Kind, k.lease.ResourceVersion = "coordination.k8s.io/v1", "Lease", fmt.Sprint(k.version)
	_ = json.NewEncoder(w).Encode(k.lease)
}

// set changes what the cluster is.
func (k *keeper) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

// kept returns the world of a keeper, whose Lease is a log's for some seconds.
func kept(t *testing.T, k *keeper, holder string, seconds int32) *World {
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	k.lease.Namespace, k.lease.Name = home, leaseName
	k.lease.Spec = coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds}
	w := NewWorld(&Cluster{Host: server.URL, client: client}, Rights{Control: true})
	w.Take(time.Unix(1e9, 0))
	return w
}

func codeOf(err error) string {
	var e *events.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// A Lease is another's while he is seen to renew it, whatever the clock of his machine
// says: one that stands still for as long as it lasts is free, also if its time is to
// come, and one that moves is not, also if its time is long over.
func TestLease(t *testing.T) {
	for _, c := range []struct {
		name   string
		renews bool
		ahead  time.Duration // his clock
		code   string
	}{
		{"he lives, and his clock is behind", true, -time.Hour, "E-KUBE-LEASE"},
		{"he is gone, and his clock was ahead", false, time.Hour, ""},
	} {
		k := &keeper{renews: c.renews}
		w := kept(t, k, "log-2", 2)
		renewed := metav1.NewMicroTime(time.Now().Add(c.ahead))
		k.lease.Spec.RenewTime = &renewed
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := w.Lease(ctx, "log-1")
		cancel()
		if codeOf(err) != c.code || (err == nil) != (c.code == "") || err != nil && !strings.Contains(err.Error(), "log-2") {
			t.Errorf("%s: %v", c.name, err)
		}
		if holder := *k.lease.Spec.HolderIdentity; (holder == "log-1") != (c.code == "") {
			t.Errorf("%s: it is %s's", c.name, holder)
		}
	}
}

// quick is a pace for tests, in which nothing is done twice by the clock alone.
var quick = pace{lease: 5 * time.Millisecond, limit: 30 * time.Millisecond, probe: time.Hour, suspicion: 0}

// guarded guards a world until the test is over or the guard ends, which it tells.
func guarded(t *testing.T, w *World, p pace, told func(string)) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- w.guard(t.Context(), "log-1", time.Millisecond, p, told) }()
	return ended
}

// Somebody else is looked for every so often, and at once when there is reason to; as soon
// as he answers a probe nothing more is done.
func TestProbedAgain(t *testing.T) {
	k := &keeper{}
	w := kept(t, k, "log-1", 15)
	calm := quick
	calm.limit = time.Hour
	often := calm
	often.probe = 5 * time.Millisecond
	ended := guarded(t, w, often, func(string) {})
	for n := 0; n < 3; {
		select {
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
			k.set(func() { n = k.probes })
		}
	}
	k.set(func() { k.rival = true })
	if err := <-ended; codeOf(err) != RivalCode || !w.taken().IsZero() {
		t.Errorf("%v, controlled since %s", err, w.taken())
	}

	k = &keeper{rival: true}
	w = kept(t, k, "log-1", 15)
	ended = guarded(t, w, calm, func(string) {})
	select {
	case err := <-ended:
		t.Fatalf("it ends without a reason to look: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	w.suspect()
	select {
	case err := <-ended:
		if codeOf(err) != RivalCode {
			t.Error(err)
		}
	case <-time.After(15 * time.Second):
		t.Error("nobody looks for another, though there is reason to")
	}
}

// While the Lease cannot be renewed nothing is done; it is this log's again when the
// cluster answers, and control goes on, unless another has taken it.
func TestLeaseIsLost(t *testing.T) {
	for _, taken := range []bool{false, true} {
		k := &keeper{}
		w := kept(t, k, "log-1", 15)
		type saying struct {
			text  string
			since time.Time
		}
		since, told := w.taken(), make(chan saying, 100)
		ended := guarded(t, w, quick, func(text string) { told <- saying{text, w.taken()} })
		k.set(func() { k.down = true })
		if is := <-told; !strings.Contains(is.text, "nothing is done") || !is.since.IsZero() {
			t.Errorf("%+v", is)
		}
		k.set(func() {
			if k.down = false; taken {
				other := "log-2"
				k.lease.Spec.HolderIdentity = &other
			}
		})
		if taken {
			if err := <-ended; codeOf(err) != "E-KUBE-LEASE" || !w.taken().IsZero() {
				t.Errorf("%v, controlled since %s", err, w.taken())
			}
			continue
		}
		if is := <-told; !strings.Contains(is.text, "goes on") || !is.since.Equal(since) {
			t.Errorf("%+v", is)
		}
		k.set(func() {
			if k.probes == 0 {
				t.Error("nobody has looked for others")
			}
		})
	}
}

// The cluster has an Event of why it is not controlled any more.
func TestTellRival(t *testing.T) {
	k := &keeper{}
	w := kept(t, k, "log-1", 15)
	if err := w.TellRival(context.Background(), "Pod x was made"); err != nil || len(k.told) != 1 || !strings.Contains(k.told[0], `"reason":"Rival"`) || !strings.Contains(k.told[0], "E-KUBE-RIVAL: Pod x was made") {
		t.Errorf("%v: %v", err, k.told)
	}
}
