package informer

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kube "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"rollcall/events"
	"rollcall/projector/table"
)

// put puts an object of a name whose data is its one label.
func put(t *table.Table, rev uint64, name, text string) {
	key := table.KeyOf(name)
	t.Put(&table.Item{Object: events.Object{Ref: events.Ref{Kind: events.ConfigMap, Key: key}, Data: []byte(text)}, Rev: rev})
}

func decode(i *table.Item) (kube.Object, error) {
	if string(i.Data) == "bad" {
		return nil, errors.New("bad")
	}
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: i.Key.Namespace, Name: i.Key.Name, Labels: map[string]string{"text": string(i.Data)}}}, nil
}

func text(o any) string { return o.(*corev1.ConfigMap).Labels["text"] }

// told is a handler that keeps what it is told.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (h *told) add(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}
func (h *told) OnAdd(o any, initial bool) {
	h.add("+%s=%s %v", o.(*corev1.ConfigMap).Name, text(o), initial)
}
func (h *told) OnUpdate(old, now any) {
	h.add("%s: %s to %s", now.(*corev1.ConfigMap).Name, text(old), text(now))
}
func (h *told) OnDelete(o any) { h.add("-%s=%s", o.(*corev1.ConfigMap).Name, text(o)) }

// take returns what was told since it was last called.
func (h *told) take() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := strings.Join(h.lines, ", ")
	h.lines = nil
	return all
}

// A handler is told what is there, and then what changes, each once and in
// order, with what cannot be read as if it were not there; also when the table
// has forgotten what happened.
func TestHandlers(t *testing.T) {
	for name, history := range map[string]table.History{"history": table.Recent, "no history": {}} {
		t.Run(name, func(t *testing.T) {
			var g Group
			objects := table.NewTable(history)
			put(objects, 1, "ns/a", "1")
			put(objects, 2, "ns/bad", "bad")
			h := &told{}
			r, err := g.Over(objects, decode).AddEventHandler(h)
			if err != nil {
				t.Fatal(err)
			}
			for i, step := range []struct {
				do   func()
				want string
			}{
				{func() {}, "+a=1 true"},
				{func() { put(objects, 3, "ns/b", "1") }, "+b=1 false"},
				{func() { put(objects, 4, "ns/b", "2") }, "b: 1 to 2"},
				{func() { put(objects, 5, "ns/b", "bad") }, "-b=2"},
				{func() { put(objects, 6, "ns/b", "3") }, "+b=3 false"},
				{func() { objects.Delete(7, table.KeyOf("ns/b")) }, "-b=3"},
				{func() { objects.Delete(8, table.KeyOf("ns/bad")) }, ""},
			} {
				step.do()
				if r.HasSynced(); h.take() != step.want {
					t.Errorf("step %d: want %s", i, step.want)
				}
			}
			g.End()
			put(objects, 9, "ns/c", "1")
			if got := h.take(); got != "" {
				t.Errorf("told of %s after the end", got)
			}
		})
	}
}

// Nobody has to ask: a handler is told soon. Of a table that is empty nothing
// runs, however many handlers it has.
func TestHandlersAreTold(t *testing.T) {
	var g Group
	before := runtime.NumGoroutine()
	objects := table.NewTable(table.Recent)
	i := g.Over(objects, decode)
	came := make(chan string)
	var handles []cache.ResourceEventHandlerRegistration
	for range 20 {
		r, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(o any) { came <- text(o) }})
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, r)
	}
	for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) { // one of the runtime's own goes soon
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, and %d before there were handlers", runtime.NumGoroutine(), before)
		}
	}
	for _, r := range handles[1:] {
		if err := i.RemoveEventHandler(r); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 100 {
		put(objects, uint64(n+1), fmt.Sprintf("ns/%03d", n), fmt.Sprint(n))
	}
	for n := range 100 {
		if got := <-came; got != fmt.Sprint(n) {
			t.Fatalf("told of %s, want %d", got, n)
		}
	}
	g.End()
}

func TestListers(t *testing.T) {
	var g Group
	objects := table.NewTable(table.Recent)
	for n, name := range []string{"a/x", "a/y", "ab/x"} {
		put(objects, uint64(n+1), name, name)
	}
	i := g.Over(objects, decode)
	if err := i.AddIndexers(cache.Indexers{"name": func(o any) ([]string, error) { return []string{o.(*corev1.ConfigMap).Name}, nil }}); err != nil {
		t.Fatal(err)
	}
	x := i.GetIndexer()
	for want, got := range map[string]func() ([]string, error){
		"a/x a/y ab/x": func() ([]string, error) { return x.ListKeys(), nil },
		"a/x a/y":      func() ([]string, error) { return x.IndexKeys(cache.NamespaceIndex, "a") },
		"a/x ab/x":     func() ([]string, error) { return x.IndexKeys("name", "x") },
		"x y":          func() ([]string, error) { return x.ListIndexFuncValues("name"), nil },
	} {
		if is, err := got(); err != nil || !slices.Equal(is, strings.Fields(want)) {
			t.Errorf("%v, %v, want %s", is, err, want)
		}
	}
	if o, ok, err := x.GetByKey("ab/x"); err != nil || !ok || text(o) != "ab/x" {
		t.Errorf("%v, %v, %v", o, ok, err)
	}
	if _, ok, err := x.GetByKey("ab/y"); err != nil || ok {
		t.Errorf("there is none: %v, %v", ok, err)
	}
}
