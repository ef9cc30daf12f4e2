package workloads_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/events/waittest"
	"rollcall/projector"
	"rollcall/projector/apiserver"
	"rollcall/projector/apiserver/workloads"
	"rollcall/projector/table"
	"rollcall/publisher/executor"
	"rollcall/publisher/simkubelet"
)

// patience bounds a wait for what comes by itself.
var patience = waittest.Patience

// stand is a whole cluster in this process: a log in memory, the API over it,
// simulated nodes, our controller and those of Kubernetes.
type stand struct {
	log *memlog.Log
	kubernetes.Interface

	mu      sync.Mutex
	started []workloads.Want // what there was for controllers to do, in order
}

// options run every controller, as rollcall does.
func (s *stand) options(objects *table.Tables) workloads.Options {
	foreign := apiserver.NewForeign(objects)
	await := func(ctx context.Context, w workloads.Want) error {
		switch w {
		case workloads.Endings:
			return apiserver.AwaitObject(ctx, objects, events.Namespace, apiserver.Deleting)
		case workloads.Selectors:
			return apiserver.AwaitObject(ctx, objects, events.Service, apiserver.Selecting)
		case workloads.HandMade:
			return apiserver.AwaitObject(ctx, objects, events.Endpoints, apiserver.HandMade)
		case workloads.ForeignNodes:
			return foreign.Await(ctx)
		case workloads.Evictions:
			if err := apiserver.AwaitObject(ctx, objects, events.Node, apiserver.Evicting); err != nil {
				return err
			}
			return apiserver.AwaitObject(ctx, objects, events.Pod, apiserver.Strays)
		case workloads.Aggregations:
			return apiserver.AwaitObject(ctx, objects, "ClusterRole", apiserver.Gathering)
		case workloads.AccountTokens:
			return apiserver.AwaitObject(ctx, objects, events.Secret, apiserver.ForAccount)
		case workloads.JoinTokens:
			return apiserver.AwaitObject(ctx, objects, events.Secret, apiserver.ForJoining)
		}
		return apiserver.AwaitObject(ctx, objects, events.Kind(w), nil)
	}
	return workloads.Options{Names: workloads.Names(), Foreign: foreign,
		Await: func(ctx context.Context, w workloads.Want) error {
			err := await(ctx, w)
			if err == nil {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.started = append(s.started, w)
			}
			return err
		}}
}

// wanted returns what there was for controllers to do so far.
func (s *stand) wanted() []workloads.Want {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.started)
}

func newStand(t *testing.T) *stand {
	t.Helper()
	subjects, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	s := &stand{log: memlog.New(subjects, time.Now)}
	for n := range simkubelet.NewNodes(3, 1) {
		body, err := events.NewObject(events.Node, n)
		if err != nil {
			t.Fatal(err)
		}
		e := events.Event{ID: ulid.Make(), Type: events.ObjectType(events.Node, events.VerbCreated), At: time.Now(), Body: body}
		if _, err := s.log.Append(t.Context(), events.Entry{Event: e}); err != nil {
			t.Fatal(err)
		}
	}
	state := projector.Open(s.log, projector.Options{History: table.Recent})
	world := simkubelet.New(subjects, simkubelet.Options{Join: simkubelet.Exactly(time.Millisecond), Bind: simkubelet.Exactly(time.Millisecond),
		Start: simkubelet.Exactly(time.Millisecond), Stop: simkubelet.Exactly(time.Millisecond), Run: time.Millisecond})
	launch(t, func(ctx context.Context) error {
		return state.Run(ctx, controller.New(subjects, state.State(), controller.Options{}),
			controller.NewGarbageCollector(subjects, state.State(), controller.Options{}),
			executor.New(subjects, executor.LogWorld{}), world)
	})
	server := serve(t, apiserver.Config{Log: s.log, Subjects: subjects, Objects: state.Objects()})
	loopback := server.Loopback()
	launch(t, func(ctx context.Context) error { return workloads.Run(ctx, loopback, s.options(state.Objects())) })
	user := rest.CopyConfig(loopback)
	user.UserAgent = "walk"
	if s.Interface, err = kubernetes.NewForConfig(user); err != nil {
		t.Fatal(err)
	}
	return s
}

// launch runs a part until the test ends.
func launch(t *testing.T, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func serve(t *testing.T, c apiserver.Config) *apiserver.Server {
	t.Helper()
	c.Leases, c.Events, c.Tally = memlog.NewKV(), memlog.NewKV(), apiserver.NewTally()
	s, err := apiserver.New(c)
	if err != nil {
		t.Fatal(err)
	}
	launch(t, s.Run)
	select {
	case <-s.Ready():
	case <-time.After(patience):
		t.Fatal("the API does not answer")
	}
	return s
}

// client is the part of a typed client by which a test waits.
type client[T runtime.Object] interface {
	Get(context.Context, string, metav1.GetOptions) (T, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// await returns the object of a name once it is as wanted.
func await[T runtime.Object](t *testing.T, c client[T], name, want string, ok func(T) bool) T {
	t.Helper()
	var last T
	follow(t, c, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}, name+": "+want,
		func(e watch.Event) bool {
			last = e.Object.(T)
			return e.Type != watch.Deleted && ok(last)
		})
	return last
}

// awaitGone waits until there is no object of a name.
func awaitGone[T runtime.Object](t *testing.T, c client[T], name string) {
	t.Helper()
	o, err := c.Get(t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return
	}
	m, metaErr := meta.Accessor(o)
	if err != nil || metaErr != nil {
		t.Fatal(err, metaErr)
	}
	follow(t, c, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String(), ResourceVersion: m.GetResourceVersion()},
		name+": gone", func(e watch.Event) bool { return e.Type == watch.Deleted })
}

// follow watches until an event is as wanted.
func follow[T runtime.Object](t *testing.T, c client[T], o metav1.ListOptions, want string, ok func(watch.Event) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w, err := c.Watch(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	var last watch.Event
	for e := range w.ResultChan() {
		if e.Type == watch.Error {
			t.Fatalf("%s: %v", want, apierrors.FromObject(e.Object))
		}
		if last = e; ok(e) {
			return
		}
	}
	t.Fatalf("waiting for %s; the last was %s %+v", want, last.Type, last.Object)
}
