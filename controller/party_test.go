package controller_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/publisher/simkubelet"
)

// control runs one controller on the log of a stack.
func (s *stack) control(o controller.Options, d drive.Options) {
	state := projector.Open(s.log, projector.Options{Drive: d})
	s.part(func(ctx context.Context) error { return state.Run(ctx, controller.New(s.subjects, state.State(), o)) })
}

// populate tells of three nodes and of a DaemonSet.
func (s *stack) populate(names ...string) {
	for n := range simkubelet.NewNodes(3, 1) {
		n.Spec.Taints = nil
		s.tell(events.Node, events.VerbCreated, n)
	}
	for _, name := range names {
		s.tell(events.DaemonSet, events.VerbCreated, daemonSet(name, "agent:v1", intstr.FromInt32(1)))
	}
}

// plans returns how many plans there are for each DaemonSet.
func (s *stack) plans() map[string]int {
	n := map[string]int{}
	for e, err := range s.log.Read(s.t.Context(), 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		if p, ok := e.Body.(*events.Plan); ok {
			n[p.Owner.Key.Name]++
		}
	}
	return n
}

// TestOwns: each of two controllers leaves to the other what is not its own,
// and neither loses a fence to the other.
func TestOwns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 0, simkubelet.DefaultOptions())
		defer s.end()
		s.control(controller.Options{Owns: func(k events.Key) bool { return k.Name == "agent" }}, drive.Options{})
		s.populate("agent", "other")
		<-time.After(time.Minute)
		if n := s.plans(); n["agent"] == 0 || n["other"] != 0 {
			t.Errorf("plans %v, want some for agent alone", n)
		}
		s.control(controller.Options{Owns: func(k events.Key) bool { return k.Name != "agent" }}, drive.Options{})
		<-time.After(time.Minute)
		if n := s.plans(); n["agent"] != 1 || n["other"] != 1 {
			t.Errorf("plans %v, want one for each", n)
		}
	})
}

// TestRefusedAppends: a log that refuses appends for half an hour is asked less
// and less often, each refusal is reported, and then all goes on by itself.
func TestRefusedAppends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 0, simkubelet.DefaultOptions())
		defer s.end()
		tries, reports, began := 0, 0, time.Now()
		s.log.Inject(func(es []events.Entry) memlog.Fault {
			if es[0].Event.Source != controller.Source || time.Since(began) > 30*time.Minute {
				return memlog.None
			}
			tries++
			return memlog.Refuse
		})
		s.control(controller.Options{}, drive.Options{Report: func(err error) {
			if !errors.Is(err, memlog.ErrRefused) {
				t.Errorf("reported: %v", err)
			}
			reports++
		}})
		s.populate("agent")
		s.settled(1, 3)
		if tries < 10 || tries > 100 || reports != tries {
			t.Errorf("%d tries and %d reports in half an hour", tries, reports)
		}
	})
}

// hand is a writer that changes what it is given, as a cluster does, or does
// not take it.
type hand struct{ busy bool }

func (h *hand) Write(_ context.Context, w controller.Write) (controller.Write, error) {
	if h.busy {
		h.busy = false
		return w, errors.New("try again")
	}
	if ds, ok := w.Object.(*appsv1.DaemonSet); ok {
		ds = ds.DeepCopy()
		ds.Annotations = map[string]string{"seen": "yes"}
		w.Object = ds
	}
	return w, nil
}

// TestWriter: the fact is what the writer returns, and what it does not take is
// written again.
func TestWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 0, simkubelet.DefaultOptions())
		defer s.end()
		s.control(controller.Options{Writer: &hand{busy: true}}, drive.Options{})
		s.populate("agent")
		if ds := s.settled(1, 3); ds.Annotations["seen"] != "yes" {
			t.Errorf("annotations %v, want what the writer returned", ds.Annotations)
		}
	})
}

// TestRounds: what is told between two rounds is decided upon in the next one.
func TestRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every = 10 * time.Second
		s := start(t, 0, simkubelet.DefaultOptions())
		defer s.end()
		s.control(controller.Options{RoundEvery: every}, drive.Options{})
		s.populate("agent", "other")
		<-time.After(time.Minute)
		if n := s.plans(); n["agent"] != 1 || n["other"] != 1 {
			t.Errorf("plans %v, want one for each", n)
		}
		var last time.Time
		for e, err := range s.log.Read(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Source != controller.Source {
				continue
			}
			if after := e.Stored.Sub(last); after > 0 && after < every {
				t.Errorf("#%d is decided %s after what was before it", e.Seq, after)
			}
			last = e.Stored
		}
	})
}
