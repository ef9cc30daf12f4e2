package controller_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/publisher/executor"
	"rollcall/publisher/simkubelet"
)

// finding H3: a fact of a node that cannot be made creates that were overtaken
// and planned again, hundreds in a second.
func TestNoLivelockOfNodesThatCannotBe(t *testing.T) {
	for name, uid := range map[string]string{"n9": "", "n\xff": "u", "*": "u", "n\x00x": "u"} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, 1, simkubelet.DefaultOptions())
			defer s.end()
			for n := range simkubelet.NewNodes(4, 1) {
				s.tell(events.Node, events.VerbCreated, n)
			}
			s.tell(events.DaemonSet, events.VerbCreated, daemonSet("agent", "agent:v1", intstr.FromInt32(1)))
			s.settled(1, 3)
			n := &corev1.Node{}
			n.Name, n.UID = "n9", "u"
			o, err := events.NewObject(events.Node, n)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := events.Encode(events.Event{ID: ulid.Make(), Type: "node.created", Source: "stranger", At: time.Now(), Body: o})
			if err != nil {
				t.Fatal(err)
			}
			text := replaceString(string(raw), "n9", name)
			text = replaceString(text, "u", uid)
			was := s.log.AppendRaw("rollcall.test.node._.n9", []byte(text))
			<-time.After(time.Minute)
			info, err := s.log.Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if grown := info.Last - was; grown > 3 {
				t.Errorf("node %q, uid %q: %d events in a minute", name, uid, grown)
			}
			st := s.state()
			if n, q := st.Quarantined(); n != 1 || q[0].Seq != was {
				t.Errorf("node %q, uid %q: quarantined %v", name, uid, q)
			}
		})
	}
}

// replaceString replaces a short string of msgpack by another.
func replaceString(raw, was, is string) string {
	return strings.ReplaceAll(raw, string([]byte{0xa0 | byte(len(was))})+was, string([]byte{0xa0 | byte(len(is))})+is)
}

// state folds the log from its start.
func (s *stack) state() *projector.State {
	s.t.Helper()
	st := projector.New("")
	for e, err := range s.log.Read(s.t.Context(), 0) {
		if err != nil {
			s.t.Fatal(err)
		}
		projector.Fold(st, e)
	}
	return st
}

// finding H4: the bytes of a plan, and those of a pod's creation, a second time.
func TestCopiesAreNotCarriedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 1, simkubelet.DefaultOptions())
		for n := range simkubelet.NewNodes(4, 1) {
			s.tell(events.Node, events.VerbCreated, n)
		}
		s.tell(events.DaemonSet, events.VerbCreated, daemonSet("agent", "agent:v1", intstr.FromInt32(1)))
		s.settled(1, 3)
		st := s.state()
		ds := st.DaemonSet(agent).Object.DeepCopy()
		ds.Spec.Template.Spec.Containers[0].Image = "agent:v2"
		ds.Generation++
		s.tell(events.DaemonSet, events.VerbUpdated, ds)
		s.settled(2, 3)
		var copies []events.Event
		for e, err := range s.log.Read(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Type == events.Planned || e.Type == "pod.created" || e.Type == "pod.updated" {
				copies = append(copies, e)
			}
		}
		for _, e := range copies {
			s.log.AppendRaw(e.Subject, e.Raw)
			<-time.After(time.Second)
		}
		<-time.After(time.Minute)
		// The controller goes on behind them.
		ds = s.state().DaemonSet(agent).Object.DeepCopy()
		ds.Spec.Template.Spec.Containers[0].Image = "agent:v3"
		ds.Generation++
		s.tell(events.DaemonSet, events.VerbUpdated, ds)
		s.settled(3, 3)
		s.end()
		if n, _ := s.state().Quarantined(); n != len(copies) {
			t.Errorf("%d of %d copies are quarantined", n, len(copies))
		}
		r, err := replay.Verify(t.Context(), s.log)
		if err != nil {
			t.Fatal(err)
		}
		plans := 0
		for _, e := range copies {
			if e.Type == events.Planned {
				plans++
			}
		}
		if len(r.Differences) != plans || r.Quarantined != len(copies)-plans || r.First().Quarantined == nil {
			t.Errorf("verify: %d different, %d quarantined, the first %v", len(r.Differences), r.Quarantined, r.First())
		}
	})
}

// finding H2: a rollout in whose midst the log's clock is put back by a day, or
// the leader is behind for a while.
func TestMinReadySecondsWithAWrongClock(t *testing.T) {
	const minReady = 5 * time.Second
	for name, skew := range map[string]func(steps int) time.Duration{
		"put back": func(steps int) time.Duration {
			if steps < 1 {
				return 0
			}
			return -24 * time.Hour
		},
		"a leader behind": func(steps int) time.Duration {
			if steps == 1 || steps == 3 {
				return -time.Hour
			}
			return 0
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			subjects, err := events.NewSubjects("test")
			if err != nil {
				t.Fatal(err)
			}
			steps := 0
			log := memlog.New(subjects, func() time.Time { return time.Now().Add(skew(steps)) })
			ctx, stop := context.WithCancel(t.Context())
			s := &stack{t: t, log: log, subjects: subjects, stop: stop}
			state := projector.Open(log, projector.Options{})
			s.running.Go(func() {
				_ = state.Run(ctx, controller.New(subjects, state.State(), controller.Options{}),
					executor.New(subjects, executor.LogWorld{}), simkubelet.New(subjects, simkubelet.DefaultOptions()))
			})
			defer s.end()
			for n := range simkubelet.NewNodes(5, 1) {
				s.tell(events.Node, events.VerbCreated, n)
			}
			ds := daemonSet("agent", "agent:v1", intstr.FromInt32(1))
			ds.Spec.MinReadySeconds = int32(minReady / time.Second)
			s.tell(events.DaemonSet, events.VerbCreated, ds)
			s.settled(1, 4)
			began := time.Now()
			ds = s.state().DaemonSet(agent).Object.DeepCopy()
			ds.Spec.Template.Spec.Containers[0].Image = "agent:v2"
			ds.Generation++
			s.tell(events.DaemonSet, events.VerbUpdated, ds)
			for range 4 {
				<-time.After(minReady) // the clock changes while nodes are rolled
				steps++
			}
			s.settled(2, 4)
			took := time.Since(began)
			// Four nodes, one after the other, and what their pods take besides.
			if took < 4*minReady || took > 12*minReady {
				t.Errorf("%s: the rollout took %s", name, took)
			}
			if r, err := replay.Verify(t.Context(), log); err != nil || len(r.Differences) > 0 || r.Quarantined > 0 {
				t.Errorf("%s: verify %v, %v", name, r.First(), err)
			}
		})
	}
}

// TestVerifyGoesOn: verify lists every difference, and decides what comes after
// one from what the log says.
//
// finding L3
func TestVerifyGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, 1, simkubelet.DefaultOptions())
		for n := range simkubelet.NewNodes(4, 1) {
			s.tell(events.Node, events.VerbCreated, n)
		}
		s.tell(events.DaemonSet, events.VerbCreated, daemonSet("agent", "agent:v1", intstr.FromInt32(1)))
		s.settled(1, 3)
		ds := s.state().DaemonSet(agent).Object.DeepCopy()
		ds.Spec.Template.Spec.Containers[0].Image = "agent:v2"
		ds.Generation++
		s.tell(events.DaemonSet, events.VerbUpdated, ds)
		s.settled(2, 3)
		s.end()
		var plans []events.Event
		for e, err := range s.log.Read(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Type == events.Planned {
				plans = append(plans, e)
			}
		}
		for _, i := range []int{0, 2} {
			p := events.Decode(plans[i].Raw)
			p.Body.(*events.Plan).Rollout.Desired += 7
			raw, err := events.Encode(p)
			if err != nil {
				t.Fatal(err)
			}
			s.log.Rewrite(plans[i].Seq, raw)
		}
		r, err := replay.Verify(t.Context(), s.log)
		if err != nil || len(r.Differences) != 2 || r.Equal != len(plans)-2 || r.Differences[0].Seq != plans[0].Seq || r.Differences[1].Seq != plans[2].Seq {
			t.Errorf("%d different, %d of %d equal, %v", len(r.Differences), r.Equal, len(plans), err)
		}
	})
}

// finding H3: a create that was overtaken is not planned again at once, nor is
// another deletion of a pod that the first did nothing to.
func TestOvertakenWaits(t *testing.T) {
	c := newCluster(t)
	c.addNodes(1)
	c.apply(daemonSet("agent", "agent:v1", intstr.FromInt32(1)))
	c.reconcile(agent) // its revision
	overtake := func(want events.Verb) {
		t.Helper()
		for n := range 3 {
			p := controller.Reconcile(c.s, agent, c.now).Plan
			if p == nil || len(p.Commands) != 1 || p.Commands[0].Do != want {
				t.Fatalf("try %d: %+v, want a %s", n, p, want)
			}
			c.fold(controller.PlanEntry(p, c.subjects, 0).Event)
			c.fold(events.Event{Type: events.Overtaken, Cause: events.Cause{Seq: c.seq}, Body: events.Outcome{Owner: p.Owner,
				Command: p.Commands[0], Reason: "NodeGone"}})
			pause := time.Second << n
			c.now = c.now.Add(pause - 1)
			if r := controller.Reconcile(c.s, agent, c.now); r.Plan != nil && len(r.Plan.Commands) > 0 || !r.RequeueAt.Equal(c.now.Add(1)) {
				t.Fatalf("try %d: again before %s: %+v at %s", n, pause, r.Plan, r.RequeueAt)
			}
			c.now = c.now.Add(1)
		}
	}
	overtake(events.CreatePod)
	c.settle()
	c.done(agent, 1)
	c.change(image("v2"))
	c.reconcile(agent)
	overtake(events.DeletePod)
}
