package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"rollcall/events"
	"rollcall/events/wire"
)

// standIn answers for a cluster with namespaces only: it is at a revision, and has
// forgotten what was before another one.
type standIn struct {
	now, oldest atomic.Int64
	lists       atomic.Int64 // of all objects
	watches     atomic.Int64
	asked       atomic.Int64 // for watches that who stands before it does not let through
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	q := r.URL.Query()
	var from int64
	_, _ = fmt.Sscan(q.Get("resourceVersion"), &from)
	ns := func(name string, rv int64) string {
		return fmt.Sprintf(`{"kind":"Namespace","apiVersion":"v1","metadata":{"name":%q,"uid":"u-%s","resourceVersion":"%d"}}`, name, name, rv)
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/kube-system"):
		fmt.Fprint(w, ns("kube-system", 1))
	case q.Get("watch") == "" && q.Get("limit") == "1":
		fmt.Fprintf(w, `{"kind":"NamespaceList","apiVersion":"v1","metadata":{"resourceVersion":"%d"},"items":[]}`, s.now.Load())
	case q.Get("watch") == "":
		s.lists.Add(1)
		fmt.Fprintf(w, `{"kind":"NamespaceList","apiVersion":"v1","metadata":{"resourceVersion":"%d"},"items":[%s]}`, s.now.Load(), ns("a", 3))
	case from < s.oldest.Load():
		fmt.Fprint(w, `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}}`)
	default:
		s.watches.Add(1)
		fmt.Fprintf(w, `{"type":"ADDED","object":%s}`, ns("b", from+1))
	}
}

// watched runs a watcher of a stand-in from a revision until f has heard enough, and
// returns why it has ended.
func watched(t *testing.T, s http.Handler, from uint64, f func(heard) bool, is ...func(*watcher)) error {
	t.Helper()
	server := httptest.NewServer(s)
	defer server.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out := make(chan heard)
	w := &watcher{cluster: &Cluster{Host: server.URL, UID: "u-kube-system", client: client}, resource: resources[1], out: out, report: func(err error) { t.Log(err) }, ended: func(int) {}, rv: from}
	for _, is := range is {
		is(w)
	}
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	for {
		select {
		case h := <-out:
			if f(h) {
				cancel()
				return <-ended
			}
		case err := <-ended:
			return err
		}
	}
}

// What a cluster has forgotten is listed, with the revision from which on it is not
// known; the watch then goes on from the list.
func TestExpired(t *testing.T) {
	s := &standIn{}
	s.now.Store(100)
	s.oldest.Store(50)
	var end listed
	err := watched(t, s, 10, func(h heard) bool {
		switch x := h.what.(type) {
		case listed:
			end = x
		case *Seen:
			return x.Key.Name == "b" && x.RV == 101
		}
		return false
	})
	if !errors.Is(err, context.Canceled) || s.lists.Load() != 1 || end.from != 10 || !end.keys[events.Key{Name: "a"}] {
		t.Errorf("%d lists, %+v, %v", s.lists.Load(), end, err)
	}
}

// Who only looks once goes on until it has heard what the cluster was at then, also if a watch
// ends before, and no further.
func TestOnce(t *testing.T) {
	for _, c := range []struct{ from, now, watches int64 }{{60, 63, 3}, {63, 63, 0}} {
		s := &standIn{}
		s.now.Store(c.now)
		last := uint64(c.from)
		err := watched(t, s, last, func(h heard) bool {
			last = max(last, h.rv)
			return false
		}, func(w *watcher) { w.once = true })
		if err != nil || last != uint64(c.now) || s.watches.Load() != c.watches || s.lists.Load() != 0 {
			t.Errorf("from %d: heard until %d by %d watches and %d lists, %v", c.from, last, s.watches.Load(), s.lists.Load(), err)
		}
	}
}

// Who only looks once lists too what a cluster has forgotten: a watch that can not go on
// says nothing, and would not the next time either.
func TestExpiredOnce(t *testing.T) {
	s := &standIn{}
	s.now.Store(100)
	s.oldest.Store(50)
	var end listed
	err := watched(t, s, 10, func(h heard) bool {
		if x, ok := h.what.(listed); ok {
			end = x
		}
		return false
	}, func(w *watcher) { w.once = true })
	if err != nil || s.lists.Load() != 1 || end.from != 10 || !end.keys[events.Key{Name: "a"}] {
		t.Errorf("%d lists, %+v, %v", s.lists.Load(), end, err)
	}
}

// A user that a cluster does not know any more, or who lacks a right, is told as what that is
// and what mends it, and heard of again when it is mended.
func TestWatchRefused(t *testing.T) {
	for code, status := range map[string]int{"E-KUBE-USER": http.StatusUnauthorized, "E-KUBE-FORBIDDEN": http.StatusForbidden} {
		s := &standIn{}
		s.now.Store(100)
		var told error
		err := watched(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("watch") != "" && s.asked.Add(1) < 3 {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d}`, strings.ReplaceAll(http.StatusText(status), " ", ""), status)
				return
			}
			s.ServeHTTP(w, r)
		}), 60, func(h heard) bool {
			_, ok := h.what.(*Seen)
			return ok
		}, func(w *watcher) { w.report = func(err error) { told = err } })
		var e *events.Error
		if !errors.Is(err, context.Canceled) || !errors.As(told, &e) || e.Code != code || !strings.Contains(e.Error(), "watch namespaces") {
			t.Errorf("%s: %v, and then %v", code, told, err)
		}
	}
}

// A watch that can go on lists nothing.
func TestResume(t *testing.T) {
	s := &standIn{}
	s.now.Store(100)
	seen := 0
	_ = watched(t, s, 60, func(h heard) bool {
		if _, ok := h.what.(*Seen); ok {
			seen++
		}
		return seen == 2 // the server ends each watch after one
	})
	if s.lists.Load() != 0 || s.watches.Load() < 2 {
		t.Errorf("%d lists, %d watches", s.lists.Load(), s.watches.Load())
	}
}

// lagging is a server of several that has not heard yet what another has said.
type lagging struct{ standIn }

func (s *lagging) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("watch") != "" && s.asked.Add(1) < 3 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusGatewayTimeout)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Timeout","message":"Too large resource version","code":504,"details":{"causes":[{"reason":"ResourceVersionTooLarge"}]}}`)
		return
	}
	s.standIn.ServeHTTP(w, r)
}

// A server that is behind is asked again until it has heard: nothing is listed, and
// nothing that it says of before is taken for what is now.
func TestBehind(t *testing.T) {
	s := &lagging{}
	s.now.Store(100)
	err := watched(t, s, 60, func(h heard) bool { x, ok := h.what.(*Seen); return ok && x.RV == 61 })
	if !errors.Is(err, context.Canceled) || s.lists.Load() != 0 || s.asked.Load() != 3 {
		t.Errorf("%d lists, asked %d times: %v", s.lists.Load(), s.asked.Load(), err)
	}
}

// A cluster whose store is older than what was heard of it is not gone on with: nothing
// of what it says would be later than what is known. So is another cluster.
func TestWentBack(t *testing.T) {
	s := &standIn{}
	s.now.Store(40)
	var rewound errRewound
	err := watched(t, s, 60, func(h heard) bool { return true })
	if !errors.As(err, &rewound) || rewound.now != 40 || rewound.was != 60 {
		t.Errorf("%v", err)
	}
	r := &Recorder{Config: Config{World: NewWorld(&Cluster{Host: "h", UID: "u"}, Rights{})}}
	for code, err := range map[string]error{"E-KUBE-REWOUND": err, "E-KUBE-CLUSTER": errOther} {
		var e *events.Error
		if !errors.As(r.explain(err), &e) || e.Code != code || e.Exit != events.ExitHalt {
			t.Errorf("%v", r.explain(err))
		}
	}
}

// halfList answers lists in two pages, of which the second fails at first.
type halfList struct {
	standIn
	failed atomic.Bool
}

func (s *halfList) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("watch") != "" || q.Get("limit") == "1" || !strings.HasSuffix(r.URL.Path, "/namespaces") {
		s.standIn.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	name, more := "a", `,"continue":"more"`
	if q.Get("continue") != "" {
		if name, more = "z", ""; s.failed.CompareAndSwap(false, true) {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
	}
	fmt.Fprintf(w, `{"kind":"NamespaceList","apiVersion":"v1","metadata":{"resourceVersion":"100"%s},"items":[{"metadata":{"name":%q,"uid":"u-%s","resourceVersion":"3"}}]}`, more, name, name)
}

// What a list has is known when its last page has come: before that nothing is missing,
// also if the list breaks off.
func TestHalfAList(t *testing.T) {
	s := &halfList{}
	s.now.Store(100)
	s.oldest.Store(50)
	var ends []listed
	_ = watched(t, s, 10, func(h heard) bool {
		if x, ok := h.what.(listed); ok {
			ends = append(ends, x)
		}
		_, open := h.what.(caught)
		return open && len(ends) > 0
	})
	if len(ends) != 1 || len(ends[0].keys) != 2 || !s.failed.Load() {
		t.Errorf("%+v", ends)
	}
}

// DaemonSets are read as the cluster tells them, in lists and in watches, though others
// are read in a form that knows no unknown field.
func TestWholeDaemonSets(t *testing.T) {
	const ds = `{"kind":"DaemonSet","apiVersion":"apps/v1","metadata":{"name":"agent","namespace":"default","uid":"ds","resourceVersion":"%d"},"spec":{"template":{"spec":{"novelty":"%s"}}}}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch q := r.URL.Query(); {
		case strings.HasSuffix(r.URL.Path, "/version"):
			fmt.Fprint(w, known)
		case strings.HasSuffix(r.URL.Path, "/kube-system"):
			fmt.Fprint(w, system)
		case strings.HasSuffix(r.URL.Path, "/daemonsets") && q.Get("watch") != "":
			fmt.Fprintf(w, `{"type":"MODIFIED","object":`+ds+`}`, 8, "changed")
		case strings.HasSuffix(r.URL.Path, "/daemonsets"):
			fmt.Fprintf(w, `{"kind":"DaemonSetList","apiVersion":"apps/v1","metadata":{"resourceVersion":"7"},"items":[`+ds+`]}`, 6, "listed")
		default:
			kind := map[string]string{"priorityclasses": "PriorityClass", "namespaces": "Namespace", "nodes": "Node", "controllerrevisions": "ControllerRevision", "pods": "Pod", "events": "Event"}[path.Base(r.URL.Path)]
			version := strings.TrimPrefix(strings.TrimPrefix(path.Dir(r.URL.Path), "/apis/"), "/api/")
			fmt.Fprintf(w, `{"kind":"%sList","apiVersion":%q,"metadata":{"resourceVersion":"1"},"items":[]}`, kind, version)
		}
	}))
	defer server.Close()
	c, err := Dial(t.Context(), &rest.Config{Host: server.URL}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(resources, func(r resource) bool { return r.kind == events.DaemonSet })
	out := make(chan heard, 10)
	w := &watcher{cluster: c, resource: resources[i], out: out, report: func(err error) { t.Log(err) }, ended: func(int) {}, list: "at first"}
	if err := w.again(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(out)
	var says []string
	for h := range out {
		if s, ok := h.what.(*Seen); ok {
			says = append(says, string(wire.Text(wire.Field(wire.Field(wire.Field(s.Data, "spec"), "template"), "spec"), "novelty")))
		}
	}
	if !slices.Equal(says, []string{"listed", "changed"}) {
		t.Errorf("told of %q", says)
	}
}

// TestManagers: who has taken something out of an object is in no managedFields, and who
// wrote there before has not done it.
func TestManagers(t *testing.T) {
	out := make(chan heard, 1)
	w := &watcher{cluster: &Cluster{}, resource: resource{plural: "daemonsets", kind: events.DaemonSet}, out: out}
	r := newRig(t)
	wrote := func(by, sub string, at int64) metav1.ManagedFieldsEntry {
		then := metav1.Unix(at, 0)
		return metav1.ManagedFieldsEntry{Manager: by, Operation: metav1.ManagedFieldsOperationUpdate, Subresource: sub, Time: &then}
	}
	spec := func(e metav1.ManagedFieldsEntry) metav1.ManagedFieldsEntry {
		e.FieldsV1 = metav1.NewFieldsV1(`{"f:spec":{"f:minReadySeconds":{}}}`)
		return e
	}
	apply, count := wrote("kubectl-client-side-apply", "", 1000), wrote("kcm", "status", 1030)
	for i, c := range []struct {
		value, ready int
		wrote        []metav1.ManagedFieldsEntry
		want         string
	}{
		{1, 0, []metav1.ManagedFieldsEntry{apply}, "kubectl-client-side-apply"},
		{2, 0, []metav1.ManagedFieldsEntry{apply, wrote("kubectl-set", "", 1020)}, "kubectl-set"},
		{1, 0, []metav1.ManagedFieldsEntry{apply}, ""}, // rollout undo leaves nothing of kubectl-set
		{1, 1, []metav1.ManagedFieldsEntry{apply, count}, "kcm"},
		{3, 1, []metav1.ManagedFieldsEntry{apply, count}, ""},
		{4, 1, []metav1.ManagedFieldsEntry{apply, count, wrote("kubectl-edit", "", 1029)}, "kubectl-edit"}, // another server's clock
		{5, 1, []metav1.ManagedFieldsEntry{apply, count, wrote("kubectl-annotate", "", 1040)}, "kubectl-annotate"},
		{-5, 1, []metav1.ManagedFieldsEntry{apply, count, wrote("kubectl-annotate", "", 1040), spec(wrote("kubectl-set", "", 1040))}, "kubectl-set"}, // in the same second
		{-6, 1, []metav1.ManagedFieldsEntry{apply, count, spec(wrote("kubectl-apply", "", 1050)), wrote("kubectl-label", "", 1050)}, "kubectl-label"},
	} {
		ds := &appsv1.DaemonSet{ObjectMeta: metaOf("agent", "ds", fmt.Sprint(10+i))}
		ds.Annotations = map[string]string{"value": fmt.Sprint(c.value)}
		if c.value < 0 {
			ds.Spec.MinReadySeconds = 5
		}
		ds.Status.NumberReady = int32(c.ready)
		ds.ManagedFields = c.wrote
		if err := w.change(t.Context(), watch.Event{Type: watch.Modified, Object: ds}); err != nil {
			t.Fatal(err)
		}
		e, ok, _ := r.Tell((<-out).what.(*Seen))
		if !ok || e.Manager != c.want {
			t.Errorf("%d: by %q (told: %v), want %q", i, e.Manager, ok, c.want)
		}
		r.seq++
		e.Seq = r.seq
		r.Objects.Take(e.Event)
	}
}

// TestBoundByNobody: a pod is bound by a scheduler, and not by who has made it a moment before.
func TestBoundByNobody(t *testing.T) {
	r := newRig(t)
	made := metav1.Unix(1000, 0)
	for i, c := range []struct{ node, want string }{{"", "kcm"}, {"n1", ""}} {
		p := daemonPod("agent-1", "a", fmt.Sprint(10+i))
		p.Spec.NodeName = c.node
		p.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kcm", Operation: metav1.ManagedFieldsOperationUpdate, Time: &made}}
		s, err := read(events.Pod, p, false)
		if err != nil {
			t.Fatal(err)
		}
		e, ok, _ := r.Tell(s)
		if !ok || e.Manager != c.want {
			t.Errorf("on %q by %q (told: %v), want %q", c.node, e.Manager, ok, c.want)
		}
		r.seq++
		e.Seq = r.seq
		r.Objects.Take(e.Event)
	}
}
