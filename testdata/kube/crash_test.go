package kube

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// cutter stands between rollcall and the API server, and kills rollcall at a call.
type cutter struct {
	up   *httputil.ReverseProxy
	mu   sync.Mutex
	cut  *cut // the next; nil: none
	kill func()
}

// cut is where rollcall is killed.
type cut struct {
	verb  string
	point string // call: before the server hears of it; answer: before rollcall hears what came of it; told: right after
}

func newCutter(c *cluster) (*cutter, *rest.Config) {
	to, err := url.Parse(c.admin.Host)
	if err != nil {
		c.Fatal(err)
	}
	k := &cutter{up: httputil.NewSingleHostReverseProxy(to)}
	k.up.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 100}
	k.up.FlushInterval = -1
	k.up.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) } // who was killed hears nothing
	s := httptest.NewTLSServer(k)
	c.Cleanup(s.Close)
	return k, &rest.Config{Host: s.URL, BearerToken: c.admin.BearerToken, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
}

// at has rollcall killed at a call, once.
func (k *cutter) at(verb, point string, kill func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut, k.kill = &cut{verb, point}, kill
}

// due takes the cut that is to be made at a call of a verb.
func (k *cutter) due(verb string) (point string, kill func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cut == nil || k.cut.verb != verb {
		return "", nil
	}
	point, k.cut = k.cut.point, nil
	return point, k.kill
}

func (k *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	verb := ""
	if r.Method != http.MethodGet {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body, verb = io.NopCloser(bytes.NewReader(body)), verbOf(r, body)
	}
	switch point, kill := k.due(verb); point {
	case "call":
		kill()
		panic(http.ErrAbortHandler)
	case "answer":
		k.up.ServeHTTP(httptest.NewRecorder(), r)
		kill()
		panic(http.ErrAbortHandler)
	case "told":
		k.up.ServeHTTP(w, r)
		w.(http.Flusher).Flush()
		kill()
	default:
		k.up.ServeHTTP(w, r)
	}
}

// verbOf says what a request does of what a controller of DaemonSets does.
func verbOf(r *http.Request, body []byte) string {
	in := func(part string) bool { return strings.Contains(r.URL.Path, part) }
	switch {
	case in("/pods") && r.Method == http.MethodPost:
		return "create"
	case in("/pods/") && r.Method == http.MethodDelete:
		return "delete"
	case in("/pods/") && r.Method == http.MethodPatch && bytes.Contains(body, []byte(`"ownerReferences":[]`)):
		return "release"
	case in("/pods/") && r.Method == http.MethodPatch:
		return "adopt"
	case in("/controllerrevisions") && r.Method == http.MethodPost:
		return "revision"
	case in("/daemonsets/agent/status"):
		return "status"
	}
	return ""
}

// witness sees all pods of a DaemonSet that never may be two on a node, or of one command.
type witness struct {
	*testing.T
	mu   sync.Mutex
	pods map[types.UID]*corev1.Pod
	made map[string]types.UID // by the mark of its command
}

func (c *cluster) witness() *witness {
	w := &witness{T: c.T, pods: map[types.UID]*corev1.Pod{}, made: map[string]types.UID{}}
	ctx, stop := context.WithCancel(context.Background())
	factory := informers.NewSharedInformerFactory(c.client, 0)
	pods := factory.Core().V1().Pods().Informer()
	if _, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: w.see, UpdateFunc: func(_, o any) { w.see(o) }, DeleteFunc: w.gone}); err != nil {
		c.Fatal(err)
	}
	factory.Start(ctx.Done())
	c.Cleanup(func() {
		stop()
		factory.Shutdown()
	})
	return w
}

func (w *witness) gone(o any) {
	if last, is := o.(cache.DeletedFinalStateUnknown); is {
		o = last.Obj
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if p, is := o.(*corev1.Pod); is {
		delete(w.pods, p.UID)
	}
}

func (w *witness) see(o any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := o.(*corev1.Pod)
	w.pods[p.UID] = p
	mark := p.Annotations["rollcall/cause"]
	if other := w.made[mark]; mark != "" && other != "" && other != p.UID {
		w.Errorf("command %s has made the pods %s and %s", mark, other, p.UID)
	}
	w.made[mark] = p.UID
	on := map[string]string{}
	for _, p := range w.pods {
		if p.DeletionTimestamp != nil || p.Labels["app"] != "agent" { // who has another label is to be let go
			continue
		}
		if other := on[pin(p)]; other != "" {
			w.Errorf("%s and %s are on %s", other, p.Name, pin(p))
		}
		on[pin(p)] = p.Name
	}
}

// TestCrash: rollcall is killed when it calls a cluster, before the cluster hears of it,
// before it hears of what came of it and when it does, each time it makes a pod, ends,
// adopts and lets go one, and writes a status and a revision. Whoever is started next goes
// on: no pod is made twice, no command has two answers, and rollouts come to their end.
func TestCrash(t *testing.T) {
	c := newWorld(t)
	c.controllers(others)
	c.kubelets()
	for i := range 2 {
		c.node(fmt.Sprint("n", i))
	}
	k, through := newCutter(c)
	path, data := c.kubeconfig("through", through), filepath.Join(t.TempDir(), "control")
	us := c.control(path, data, soon)
	w := c.witness()
	c.daemonSet("agent")
	c.rolledOut("agent", 2)
	image := 1
	all, answer := []string{"call", "answer", "told"}, []string{"answer"} // the simulation ends at every other point too
	for _, x := range []struct {
		verb   string
		points []string
	}{{"create", all}, {"delete", all}, {"status", answer}, {"revision", answer}, {"adopt", answer}, {"release", answer}} {
		for _, point := range x.points {
			verb := x.verb
			k.at(verb, point, us.kill)
			switch verb {
			case "adopt":
				c.patchPod(c.live("agent")[0].Name, `{"metadata":{"ownerReferences":null}}`)
			case "release":
				c.patchPod(c.live("agent")[0].Name, `{"metadata":{"labels":{"app":"stray"}}}`)
			default:
				image++
				c.image("agent", fmt.Sprint("main:", image))
			}
			us.dies()
			us = c.control(path, data, soon)
			c.rolledOut("agent", 2)
		}
	}
	if n := len(c.live("agent")); n != 2 {
		t.Errorf("%d pods", n)
	}
	w.mu.Lock()
	if len(w.made) < image {
		t.Errorf("only %d pods were made", len(w.made))
	}
	w.mu.Unlock()
	us.end()
	if code, said := runs(t, "verify", "--data", data); code != 0 || !strings.Contains(said, "all the same") {
		t.Errorf("verify, exit code %d:\n%s", code, said)
	}
}

// TestFrozen: an API server that stands still in the middle of a rollout, for longer than
// a Lease may go without being renewed, stops what is done and nothing else: when it goes
// on, so does the rollout, and no command has failed by it.
func TestFrozen(t *testing.T) {
	c := newWorld(t)
	c.controllers(others)
	c.kubelets()
	for i := range 3 {
		c.node(fmt.Sprint("n", i))
	}
	data := filepath.Join(t.TempDir(), "control")
	us := c.control(c.kubeconfig("admin", c.admin), data, soon)
	c.daemonSet("agent")
	c.rolledOut("agent", 3)
	c.image("agent", "stuck:2")
	c.status("agent", func(st appsv1.DaemonSetStatus) bool { return st.UpdatedNumberScheduled == 1 })
	if err := c.server.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	us.sees("nothing is done in the cluster until it is")
	if err := c.server.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	us.sees("control goes on")
	c.freed.Store("stuck:2", true)
	c.rolledOut("agent", 3)
	us.end()
	if _, said := runs(t, "log", "--data", data); strings.Contains(said, "command.failed") {
		t.Errorf("the log says:\n%s", said)
	}
}

func (c *cluster) patchPod(name, patch string) {
	c.Helper()
	if _, err := c.client.CoreV1().Pods(space).Patch(c.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		c.Fatal(err)
	}
}
