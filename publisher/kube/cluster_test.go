package kube

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"rollcall/events"
)

const (
	known     = `{"gitVersion":"v1.36.3"}`
	forbidden = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"pods is forbidden","reason":"Forbidden","code":403}`
	system    = `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"kube-system","uid":"u"}}`
)

// What does not answer as a cluster that may be recorded is refused in one line that
// says why, after nothing but questions.
func TestDialRefuses(t *testing.T) {
	for _, c := range []struct {
		name, code, says string
		exit             int
		answer           func(w http.ResponseWriter, path string)
	}{
		{"HTML", "E-KUBE-ANSWER", "login", events.ExitInput, func(w http.ResponseWriter, _ string) { _, _ = w.Write([]byte("<html>login</html>")) }},
		{"a page that forbids", "E-KUBE-ANSWER", "log in", events.ExitHalt, func(w http.ResponseWriter, _ string) {
			http.Error(w, "<html>\n<body>log in</body>\n</html>", http.StatusForbidden)
		}},
		{"expired token", "E-KUBE-USER", "expired", events.ExitInput, func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusUnauthorized) }},
		{"older", "E-KUBE-VERSION", "v1.29.1", events.ExitInput, func(w http.ResponseWriter, _ string) { _, _ = w.Write([]byte(`{"gitVersion":"v1.29.1"}`)) }},
		{"newer", "E-KUBE-VERSION", "v1.40.0, and known are 1.34 to 1.36; give --shadow --any-version", events.ExitInput, func(w http.ResponseWriter, _ string) { _, _ = w.Write([]byte(`{"gitVersion":"v1.40.0"}`)) }},
		{"a page of what stands before it", "E-KUBE-ANSWER", "ask for the version: the answer is 502 Bad Gateway, and says: \"<html>\\n<h1>502", events.ExitHalt, func(w http.ResponseWriter, _ string) {
			http.Error(w, "<html>\n<h1>502 Bad Gateway</h1>\n"+strings.Repeat("<p>", 1000), http.StatusBadGateway)
		}},
		{"broken", "E-KUBE-ANSWER", "500", events.ExitHalt, func(w http.ResponseWriter, _ string) { http.Error(w, "500 broken", http.StatusInternalServerError) }},
		{"HTTP at a port of HTTPS", "E-KUBE-ANSWER", "an HTTP request to an HTTPS server.\"; see whether the address of the kubeconfig is that of a Kubernetes API (https://HOST:PORT)", events.ExitHalt, func(w http.ResponseWriter, _ string) {
			http.Error(w, "Client sent an HTTP request to an HTTPS server.", http.StatusBadRequest)
		}},
		{"a page where the namespace is asked for", "E-KUBE-ANSWER", "get the namespace kube-system: serializer for text/html", events.ExitHalt, func(w http.ResponseWriter, path string) {
			if path != "/version" {
				w.Header().Set("Content-Type", "text/html")
			}
			_, _ = w.Write([]byte(known))
		}},
		{"a cluster without a uid", "E-KUBE-ANSWER", "it has no uid", events.ExitHalt, func(w http.ResponseWriter, path string) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(map[bool]string{true: known, false: `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"kube-system"}}`}[path == "/version"]))
		}},
		{"no right to list pods", "E-KUBE-FORBIDDEN", "rbac-shadow", events.ExitInput, func(w http.ResponseWriter, path string) {
			w.Header().Set("Content-Type", "application/json")
			list, found := map[string]string{"/version": known, "/api/v1/namespaces/kube-system": system, "/apis/scheduling.k8s.io/v1/priorityclasses": "scheduling.k8s.io/v1 PriorityClassList",
				"/api/v1/namespaces": "v1 NamespaceList", "/api/v1/nodes": "v1 NodeList", "/apis/apps/v1/daemonsets": "apps/v1 DaemonSetList", "/apis/apps/v1/controllerrevisions": "apps/v1 ControllerRevisionList"}[path]
			group, kind, is := strings.Cut(list, " ")
			switch {
			case !found:
				w.WriteHeader(http.StatusForbidden)
				_, _ = w.Write([]byte(forbidden))
			case is:
				_, _ = w.Write([]byte(`{"kind":"` + kind + `","apiVersion":"` + group + `","metadata":{"resourceVersion":"1"},"items":[]}`))
			default:
				_, _ = w.Write([]byte(list))
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				c.answer(w, r.URL.Path)
			}))
			defer s.Close()
			_, err := Dial(t.Context(), &rest.Config{Host: s.URL}, Options{})
			var e *events.Error
			if !errors.As(err, &e) || e.Code != c.code || e.Exit != c.exit || !strings.Contains(e.Error(), c.says) || strings.Contains(e.Error(), "\n") || len(e.Error()) > 500 {
				t.Errorf("%v", err)
			}
		})
	}
}

// A server that nobody answers for is told as that.
func TestDialUnreachable(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	_, err := Dial(context.Background(), &rest.Config{Host: s.URL}, Options{})
	var e *events.Error
	if !errors.As(err, &e) || e.Code != "E-KUBE-UNREACHABLE" || e.Exit != events.ExitHalt {
		t.Errorf("%v", err)
	}
}

// A program that is to give the credentials and does not is told as that, and not waited
// for by who is stopped.
func TestDialCredentials(t *testing.T) {
	of := func(command string, args ...string) *rest.Config {
		return &rest.Config{Host: "https://127.0.0.1:1", TLSClientConfig: rest.TLSClientConfig{Insecure: true}, ExecProvider: &clientcmdapi.ExecConfig{
			APIVersion: "client.authentication.k8s.io/v1", Command: command, Args: args, InteractiveMode: clientcmdapi.NeverExecInteractiveMode}}
	}
	for _, command := range []string{"false", "rollcall-no-such-program"} {
		_, err := Dial(t.Context(), of(command), Options{})
		var e *events.Error
		if !errors.As(err, &e) || e.Code != "E-KUBE-USER" || e.Exit != events.ExitInput || !strings.Contains(e.Why, command) {
			t.Errorf("%s: %v", command, err)
		}
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := Dial(ctx, of("cat", fifo), Options{})
		ended <- err
	}()
	held, err := os.OpenFile(fifo, os.O_WRONLY, 0) // when the program reads it
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("stopped while a program gives the credentials: %v", err)
	}
}
