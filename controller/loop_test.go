package controller_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/publisher/executor"
	"rollcall/publisher/simkubelet"
)

// stack is everything that up runs, on a log in memory and in virtual time.
type stack struct {
	t        *testing.T
	log      *memlog.Log
	subjects events.Subjects
	stop     context.CancelFunc
	running  sync.WaitGroup
	part     func(run func(context.Context) error) // runs until the end of the stack
}

// start runs a number of controllers, each with a projector of its own, and
// the simulated world.
func start(t *testing.T, controllers int, o simkubelet.Options) *stack {
	subjects, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s := &stack{t: t, log: memlog.New(subjects, time.Now), subjects: subjects, stop: stop}
	s.part = func(run func(context.Context) error) {
		s.running.Go(func() {
			if err := run(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("a part ended with %v", err)
			}
		})
	}
	part := s.part
	for range controllers {
		state := projector.Open(s.log, projector.Options{})
		part(func(ctx context.Context) error {
			return state.Run(ctx, controller.New(subjects, state.State(), controller.Options{}),
				controller.NewGarbageCollector(subjects, state.State(), controller.Options{}))
		})
	}
	part(func(ctx context.Context) error {
		return drive.Drive(ctx, s.log, drive.Options{}, executor.New(subjects, executor.LogWorld{}),
			simkubelet.New(subjects, o))
	})
	return s
}

func (s *stack) end() {
	s.stop()
	s.running.Wait()
}

// tell appends a fact, again while nobody knows whether it was stored.
func (s *stack) tell(k events.Kind, verb string, o metav1.Object) {
	s.t.Helper()
	body, err := events.NewObject(k, o)
	if err != nil {
		s.t.Fatal(err)
	}
	e := events.Event{ID: ulid.Make(), Type: events.ObjectType(k, verb), At: time.Now(), Body: body}
	for {
		if _, err = s.log.Append(s.t.Context(), events.Entry{Event: e}); !errors.Is(err, events.ErrUnknown) {
			break
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// settled follows the log until the status says that a generation is rolled out.
func (s *stack) settled(generation int64, nodes int32) *appsv1.DaemonSet {
	s.t.Helper()
	ctx, stop := context.WithTimeout(s.t.Context(), time.Hour)
	defer stop()
	ds := &appsv1.DaemonSet{}
	for e, err := range s.log.Tail(ctx, 0) {
		if err != nil {
			s.t.Fatalf("generation %d is not rolled out: %v; status %+v", generation, err, ds.Status)
		}
		o, ok := e.Body.(events.Object)
		if !ok || o.Kind != events.DaemonSet {
			continue
		}
		ds = &appsv1.DaemonSet{}
		if err := o.Decode(ds); err != nil {
			s.t.Fatal(err)
		}
		st := ds.Status
		if st.ObservedGeneration == generation && st.DesiredNumberScheduled == nodes && st.UpdatedNumberScheduled == nodes && st.NumberAvailable == nodes {
			return ds
		}
	}
	return nil
}

// audit reads the whole log again: no node ever has two live pods (S1), every
// plan knew the one before it, the state is what a fresh look gives, and
// every plan is decided again (L4).
func (s *stack) audit() (plans int) {
	s.t.Helper()
	st := projector.New("")
	for e, err := range s.log.Read(s.t.Context(), 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		if p, ok := e.Body.(*events.Plan); ok && p.Basis.Seq < st.LastPlan(p.Owner.Key) {
			s.t.Errorf("#%d: decided at #%d, before the plan #%d", e.Seq, p.Basis.Seq, st.LastPlan(p.Owner.Key))
		}
		projector.Fold(st, e)
		d := st.DaemonSet(agent)
		if d == nil {
			continue
		}
		for _, c := range d.AllCells() {
			if n := d.Survey(c, nil).Live(); n > 1 {
				s.t.Fatalf("#%d: %d pods on %s", e.Seq, n, c.Node)
			}
		}
	}
	if err := st.Check(); err != nil {
		s.t.Error(err)
	}
	if n := st.PendingCommands(); n > 0 {
		s.t.Errorf("%d commands without an answer", n)
	}
	again, err := replay.Verify(s.t.Context(), s.log)
	if err != nil || len(again.Differences) > 0 || again.Quarantined > 0 {
		s.t.Errorf("verify: %v %v %v", err, again.First(), again.Passed)
	}
	return again.Equal
}

// TestLoop rolls a DaemonSet out and over with the real loop, executor and
// simulated kubelets, with one controller, with two at once, and with a log
// whose acknowledgements get lost.
func TestLoop(t *testing.T) {
	const nodes = 12
	every := func(n int, f memlog.Fault) func([]events.Entry) memlog.Fault {
		i := 0
		return func([]events.Entry) memlog.Fault {
			if i++; i%n == 0 {
				return f
			}
			return memlog.None
		}
	}
	for name, c := range map[string]struct {
		controllers int
		fault       func([]events.Entry) memlog.Fault
	}{
		"one controller":   {1, nil},
		"two controllers":  {2, nil},
		"lost answers":     {1, every(5, memlog.LoseAck)},
		"lost appends":     {2, every(7, memlog.LoseAppend)},
		"three, and worse": {3, every(3, memlog.LoseAck)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, c.controllers, simkubelet.DefaultOptions())
				defer s.end()
				s.log.Inject(c.fault)
				for n := range simkubelet.NewNodes(nodes, 1) {
					n.Spec.Taints = nil
					s.tell(events.Node, events.VerbCreated, n)
				}
				ds := daemonSet("agent", "agent:v1", intstr.FromInt32(2))
				s.tell(events.DaemonSet, events.VerbCreated, ds)
				ds = s.settled(1, nodes)
				ds.Generation++
				image("v2")(ds)
				s.tell(events.DaemonSet, events.VerbUpdated, ds)
				s.settled(2, nodes)
				s.log.Inject(nil)
				if n := s.audit(); n < nodes/2 {
					t.Errorf("%d plans, want at least one for each two nodes", n)
				}
			})
		})
	}
}

// TestStatusIsCoalesced has all pods turn ready at once: at most one status is
// written in 200 ms, and the last one is, though nothing happens after it.
func TestStatusIsCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 1, simkubelet.Options{Start: simkubelet.Exactly(50 * time.Millisecond)})
		defer s.end()
		for n := range simkubelet.NewNodes(9, 1) {
			s.tell(events.Node, events.VerbCreated, n)
		}
		s.tell(events.DaemonSet, events.VerbCreated, daemonSet("agent", "agent:v1", intstr.FromInt32(1)))
		began := time.Now()
		s.settled(1, 8)
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("the last status came after %s", waited)
		}
		var last time.Time
		for e, err := range s.log.Read(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if o, ok := e.Body.(events.Object); !ok || o.Kind != events.DaemonSet || e.Source != controller.Source {
				continue
			}
			if gap := e.Stored.Sub(last); gap < 200*time.Millisecond {
				t.Errorf("#%d: a status %s after the one before", e.Seq, gap)
			}
			last = e.Stored
		}
	})
}

// TestMinReadySeconds waits for time alone: no event tells that a pod has
// become available.
func TestMinReadySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 1, simkubelet.Options{Start: simkubelet.Exactly(50 * time.Millisecond)})
		defer s.end()
		for n := range simkubelet.NewNodes(3, 1) {
			s.tell(events.Node, events.VerbCreated, n)
		}
		ds := daemonSet("agent", "agent:v1", intstr.FromInt32(1))
		ds.Spec.MinReadySeconds = 90
		s.tell(events.DaemonSet, events.VerbCreated, ds)
		began := time.Now()
		s.settled(1, 2)
		if waited := time.Since(began); waited < 90*time.Second || waited > 92*time.Second {
			t.Errorf("available after %s, want 90 s after the pods were ready", waited)
		}
	})
}

// TestAtRest appends nothing for an hour once a rollout is done.
func TestAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 1, simkubelet.DefaultOptions())
		defer s.end()
		for n := range simkubelet.NewNodes(3, 1) {
			s.tell(events.Node, events.VerbCreated, n)
		}
		s.tell(events.DaemonSet, events.VerbCreated, daemonSet("agent", "agent:v1", intstr.FromInt32(1)))
		s.settled(1, 2) // the control plane is tainted
		before, err := s.log.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		hour, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		for e, err := range s.log.Tail(hour, before.Last) {
			if err != nil {
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				break
			}
			if o, status := e.Body.(events.Object); status && o.Kind == events.DaemonSet {
				continue // the last status may still be on its way
			}
			t.Errorf("#%d %s was appended at rest", e.Seq, e.Type)
		}
	})
}

// TestVerifyFindsADifference changes one recorded reason and one basis.
func TestVerifyFindsADifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 1, simkubelet.DefaultOptions())
		for n := range simkubelet.NewNodes(4, 1) {
			s.tell(events.Node, events.VerbCreated, n)
		}
		s.tell(events.DaemonSet, events.VerbCreated, daemonSet("agent", "agent:v1", intstr.FromInt32(1)))
		s.settled(1, 3)
		s.end()
		var plan events.Event
		for e, err := range s.log.Read(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := e.Body.(*events.Plan); ok {
				plan = e
				break
			}
		}
		for name, change := range map[string]func(*events.Plan){
			"reason": func(p *events.Plan) { p.Commands[0].Reason = events.Duplicate },
			"fewer":  func(p *events.Plan) { p.Commands = p.Commands[:len(p.Commands)-1] },
			"budget": func(p *events.Plan) { p.Rollout.Desired++ },
			"basis":  func(p *events.Plan) { p.Basis.Seq += 1000 },
		} {
			changed := events.Decode(plan.Raw)
			change(changed.Body.(*events.Plan))
			raw, err := events.Encode(changed)
			if err != nil {
				t.Fatal(err)
			}
			s.log.Rewrite(plan.Seq, raw)
			again, err := replay.Verify(t.Context(), s.log)
			diff := again.First()
			if err != nil || diff == nil || diff.Seq != plan.Seq || diff.String() == "" {
				t.Errorf("%s: got %v %v, want a difference at #%d", name, diff, err, plan.Seq)
			}
		}
		s.log.Rewrite(plan.Seq, plan.Raw)
		if again, err := replay.Verify(t.Context(), s.log); err != nil || len(again.Differences) > 0 {
			t.Errorf("the log as it was: %v %v", again.First(), err)
		}
	})
}
