package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/publisher/executor"
)

// callee answers calls about one pod, and remembers them.
type callee struct {
	mu     sync.Mutex
	calls  []string
	answer func(method, path string) (code int, body string)
	header http.Header // of each answer
}

func (s *callee) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, r.Method+" "+r.URL.Path)
	code, body := s.answer(r.Method, r.URL.Path)
	w.Header().Set("Content-Type", "application/json")
	maps.Copy(w.Header(), s.header)
	w.WriteHeader(code)
	fmt.Fprint(w, body)
}

// deaf is a log that says nothing of itself.
type deaf struct{ events.Log }

func (deaf) Info(context.Context) (events.Info, error) { return events.Info{}, events.ErrUnavailable }

// worldOf returns a world in which a callee answers, and whose record is complete.
func worldOf(t *testing.T, s *callee, r Rights) *World {
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	w := NewWorld(&Cluster{Host: server.URL, client: client}, r)
	subjects, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	w.begin(memlog.New(subjects, time.Now), "log-1")
	if r.Control {
		w.Take(time.Unix(1e9, 0))
	}
	w.gate.Expect("pods")
	w.gate.Opened("pods", 1, time.Now().Add(-time.Hour))
	w.rest(10)
	return w
}

func deletionOf(basis events.Seq) executor.Deletion {
	return executor.Deletion{Pod: &corev1.Pod{ObjectMeta: metaOf("agent-1", "a", "7")}, Reason: events.Rollout, Basis: basis}
}

const (
	evictionPath = "POST /api/v1/namespaces/default/pods/agent-1/eviction"
	deletePath   = "DELETE /api/v1/namespaces/default/pods/agent-1"
	lookPath     = "GET /api/v1/namespaces/default/pods"
	success      = `{"kind":"Status","apiVersion":"v1","status":"Success"}`
	podItem      = `{"metadata":{"name":"agent-1","namespace":"default","uid":"a","resourceVersion":"9","managedFields":[{"manager":"x"}]}}`
	endingPod    = `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"agent-1","namespace":"default","uid":"a","resourceVersion":"8","deletionTimestamp":"2026-01-01T00:00:30Z","deletionGracePeriodSeconds":30,"managedFields":[{"manager":"x"}]}}`
	createPath   = "POST /api/v1/namespaces/default/pods"
	getPath      = "GET /api/v1/namespaces/default/pods/agent-1"
	reviewPath   = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
)

// agentKey names the pod of a deletionOf.
var agentKey = events.Key{Namespace: "default", Name: "agent-1"}

func podList(items string) string {
	return `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"12"},"items":[` + items + `]}`
}

// A pod is evicted, or deleted where it may not be evicted, if it is as it was decided
// upon; what it is then is what the cluster says, also if that is nothing.
func TestEnd(t *testing.T) {
	for _, c := range []struct {
		name   string
		rights Rights
		item   string
		call   string
		gone   bool
		rv     string
	}{
		{"evicted", Rights{Evict: true}, podItem, evictionPath, false, "9"},
		{"deleted", Rights{Delete: true}, podItem, deletePath, false, "9"},
		{"gone at once", Rights{Evict: true}, "", evictionPath, true, "12"},
		{"deleted, and it takes its time", Rights{Delete: true}, "", deletePath, false, "8"},
		{"another of its name", Rights{Evict: true}, strings.Replace(podItem, `"uid":"a"`, `"uid":"b"`, 1), evictionPath, true, "7"},
	} {
		s := &callee{answer: func(method, path string) (int, string) {
			if method == http.MethodGet {
				return 200, podList(c.item)
			}
			if c.rv == "8" {
				return 200, endingPod
			}
			return 200, success
		}}
		calls := []string{c.call, lookPath}
		if c.rv == "8" { // the answer has it
			calls = calls[:1]
		}
		pod, gone, err := worldOf(t, s, c.rights).Delete(t.Context(), deletionOf(10))
		if err != nil || gone != c.gone || pod.ResourceVersion != c.rv || pod.ManagedFields != nil || !slices.Equal(s.calls, calls) {
			t.Errorf("%s: %v gone %v, %v; calls %v", c.name, pod, gone, err, s.calls)
		}
	}
}

// What cannot be told is not done: nothing is called while the log does not answer, does
// not have what the cluster has, or is only a record; nor what was decided before.
func TestNothingIsDone(t *testing.T) {
	for _, c := range []struct {
		name   string
		rights Rights
		basis  events.Seq
		spoil  func(*World)
		reason string // of overtaken; empty: it is tried again
	}{
		{"a record", Rights{}, 10, func(*World) {}, reasonMode},
		{"the log does not answer", Rights{Evict: true}, 10, func(w *World) { w.begin(deaf{}, "log-1") }, ""},
		{"nobody records", Rights{Evict: true}, 10, func(w *World) { *w = *NewWorld(w.Cluster, w.rights) }, reasonBehind},
		{"a watch is down", Rights{Evict: true}, 10, func(w *World) { w.ended("pods", 1) }, reasonBehind},
		{"the log is behind", Rights{Evict: true}, 10, func(w *World) { w.working(time.Now().Add(-time.Minute)) }, reasonBehind},
		{"decided before", Rights{Evict: true}, 9, func(*World) {}, reasonBehind},
		{"not taken over", Rights{Control: true}, 10, (*World).Let, reasonMode},
	} {
		s := &callee{answer: func(string, string) (int, string) { return 200, success }}
		w := worldOf(t, s, c.rights)
		c.spoil(w)
		_, _, err := w.Delete(t.Context(), deletionOf(c.basis))
		var late *executor.Overtaken
		if is := errors.As(err, &late); err == nil || is != (c.reason != "") || is && late.Reason != c.reason || len(s.calls) > 0 {
			t.Errorf("%s: %v; calls %v", c.name, err, s.calls)
		}
		if w.call(agentKey) != nil {
			t.Errorf("%s: a call is under way", c.name)
		}
	}
	w := worldOf(t, &callee{}, Rights{Evict: true})
	for what, err := range map[string]error{"Create": second(w.Create(t.Context(), executor.Creation{})), "Update": second(w.Update(t.Context(), nil))} {
		var late *executor.Overtaken
		if !errors.As(err, &late) || late.Reason != reasonMode {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// A refusal is a policy's or a budget's if the right to end the pod is there; else it is
// tried again until somebody has given it, and said which one.
func TestForbiddenEviction(t *testing.T) {
	for _, c := range []struct {
		name    string
		allowed bool
		refused bool
	}{{"a policy", true, true}, {"no right", false, false}} {
		s := &callee{answer: func(_, path string) (int, string) {
			if path == reviewPath {
				return 201, fmt.Sprintf(`{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":%v}}`, c.allowed)
			}
			return 403, forbidden
		}}
		_, _, err := worldOf(t, s, Rights{Evict: true}).Delete(t.Context(), deletionOf(10))
		var refusal *executor.Refusal
		var e *events.Error
		if errors.As(err, &refusal) != c.refused || errors.As(err, &e) == c.refused {
			t.Errorf("%s: %v", c.name, err)
		}
		if e != nil && (e.Code != "E-KUBE-FORBIDDEN" || !strings.Contains(e.Do, "rbac-rollouts")) {
			t.Errorf("%s: %v", c.name, e)
		}
	}
}

// A budget that asks for patience is told at once: whoever waits does so where it is seen.
func TestBudgetIsTold(t *testing.T) {
	s := &callee{answer: func(string, string) (int, string) {
		return 429, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Cannot evict pod.","reason":"TooManyRequests","code":429,
"details":{"retryAfterSeconds":10,"causes":[{"reason":"DisruptionBudget","message":"The disruption budget agents needs 2 healthy pods."}]}}`
	}, header: http.Header{"Retry-After": {"10"}}}
	_, _, err := worldOf(t, s, Rights{Evict: true}).Delete(t.Context(), deletionOf(10))
	var refusal *executor.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != "DisruptionBudget" || !strings.Contains(refusal.Message, "agents") || len(s.calls) != 1 {
		t.Errorf("%v, calls %v", err, s.calls)
	}
}

// What is heard of a pod waits for the call about it, and no longer than that takes.
func TestLaneOfACall(t *testing.T) {
	s := &callee{answer: func(method, _ string) (int, string) {
		if method == http.MethodGet {
			return 200, podList(podItem)
		}
		return 200, success
	}}
	w := worldOf(t, s, Rights{Evict: true})
	if _, _, err := w.Delete(t.Context(), deletionOf(10)); err != nil {
		t.Fatal(err)
	}
	lane := w.call(agentKey)
	if lane == nil || w.call(events.Key{Namespace: "default", Name: "agent-2"}) != nil {
		t.Fatal("the lane of the pod is not the call's, or that of another is")
	}
	waited := make(chan struct{})
	go func() {
		lane.wait(t.Context())
		close(waited)
	}()
	select {
	case <-waited:
		t.Fatal("it is told before the call has its fact")
	case <-time.After(20 * time.Millisecond):
	}
	w.Settled(agentKey)
	<-waited
	if w.Settled(agentKey); w.call(agentKey) != nil {
		t.Error("the call is still under way")
	}
}

// A user that may evict is not asked to delete, one that may only delete does, and one
// that may do neither is told which rights it needs.
func TestMayEnd(t *testing.T) {
	for _, c := range []struct {
		may  string
		want Rights
		fail bool
	}{{"eviction delete", Rights{Evict: true}, false}, {"eviction", Rights{Evict: true}, false}, {"delete", Rights{Delete: true}, false}, {"", Rights{}, true}} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			what := "delete"
			if body, _ := io.ReadAll(r.Body); bytes.Contains(body, []byte("eviction")) { // in whatever form it is written
				what = "eviction"
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":%v}}`, strings.Contains(c.may, what))
		}))
		client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
		if err != nil {
			t.Fatal(err)
		}
		got, err := (&Cluster{Host: server.URL, client: client}).MayEnd(t.Context(), events.Scope{Namespaces: []string{"default"}})
		if got != c.want || (err != nil) != c.fail || c.fail && !strings.Contains(err.Error(), "in namespace default") {
			t.Errorf("%s: %v, %v", c.may, got, err)
		}
		server.Close()
	}
}
