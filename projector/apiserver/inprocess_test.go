package apiserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"rollcall/events/memlog"
)

// A server without a port has all of the API for clients in its process: who
// they act for is told by the configuration, and by nothing in a request.
func TestInProcess(t *testing.T) {
	c := newClusterWith(t, Config{})
	for name, config := range map[string]*rest.Config{"system:apiserver": c.server.Loopback(), "someone": c.server.LoopbackAs("someone")} {
		config.BearerToken = "of nobody"
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		r, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil || r.Status.UserInfo.Username != name {
			t.Errorf("%s is %q, %v", name, r.Status.UserInfo.Username, err)
		}
	}
	if _, err := c.client.CoreV1().ConfigMaps("default").Get(t.Context(), rootCA, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a certificate of no port: %v", err)
	}
}

// A watch in the process brings what happens, ends with its reader, and ends
// with the server; no request of the server's outlives it.
func TestInProcessWatch(t *testing.T) {
	s, end := startServer(t)
	maps := s.client.CoreV1().ConfigMaps("default")
	w, err := maps.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if e := <-w.ResultChan(); e.Type != "ADDED" {
		t.Fatalf("%v", e)
	}
	w.Stop()
	for range w.ResultChan() {
	}
	if w, err = maps.Watch(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	end()
	for range w.ResultChan() {
	}
	if _, err := maps.List(t.Context(), metav1.ListOptions{}); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// What a handler gives up is an error of the request, before its answer has
// begun and after.
func TestInProcessAborted(t *testing.T) {
	for _, begun := range []bool{false, true} {
		transport := localTransport{local: &local{life: t.Context(), handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if begun {
				_, _ = io.WriteString(w, "half")
			}
			panic(http.ErrAbortHandler)
		})}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://rollcall/", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(r)
		if !begun {
			if !errors.Is(err, errAborted) {
				t.Errorf("%v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); string(b) != "half" || !errors.Is(err, errAborted) {
			t.Errorf("%q, %v", b, err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// startServer starts a server without a port. end ends it.
func startServer(t *testing.T) (s *Server, end func()) {
	t.Helper()
	c := newClusterWith(t, Config{ReadOnly: "only its log and tables are used"})
	s, err := New(Config{Log: c.log, Subjects: c.subjects, Objects: c.objects, Tally: NewTally(), Leases: memlog.NewKV(), Events: memlog.NewKV()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	return s, func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// A watch from a revision that a client has read is not too old, though the
// cache of its kind began later.
func TestWatchFromBeforeTheCache(t *testing.T) {
	c := newCluster(t)
	core := c.client.CoreV1()
	n, err := core.Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := core.ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w, err := core.Nodes().Watch(t.Context(), metav1.ListOptions{ResourceVersion: n.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if err := core.Nodes().Delete(t.Context(), "n", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if e := <-w.ResultChan(); e.Type != watch.Deleted {
		t.Errorf("%s %v", e.Type, e.Object)
	}
}
