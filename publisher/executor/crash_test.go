package executor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/drive/drivetest"
	"rollcall/events/memlog"
	"rollcall/publisher/executor"
)

// once checks what must hold of every log: no command has two answers, and no
// pod is made or ends twice.
func (b *bench) once(commands int) {
	b.t.Helper()
	answers := map[events.Cause]int{}
	made := map[events.Ref]int{}
	for _, e := range b.all() {
		if !e.Cause.IsZero() {
			answers[e.Cause]++
			if answers[e.Cause] > 1 {
				b.t.Errorf("command %v is answered again at %d", e.Cause, e.Seq)
			}
		}
		switch {
		case strings.HasSuffix(string(e.Type), "."+events.VerbCreated):
			made[events.RefOf(e)]++
		case strings.HasSuffix(string(e.Type), "."+events.VerbDeleted):
			made[events.RefOf(e)] -= 100
		}
		if n := made[events.RefOf(e)]; n > 1 || n < -100 {
			b.t.Errorf("%v was made or ended twice, last at %d", events.RefOf(e), e.Seq)
		}
	}
	if len(answers) != commands {
		b.t.Errorf("%d of %d commands are answered", len(answers), commands)
	}
}

// scenario has every verb, several commands about one pod, and an outcome.
func (b *bench) scenario() (commands int) {
	b.plan(create("agent-1", "a"), create("agent-2", "b"), create("agent-3", "gone"))
	b.plan(do(events.ReleasePod, "agent-1", "a"), do(events.AdoptPod, "agent-1", "a"), do(events.DeletePod, "agent-2", "b"))
	b.plan(do(events.DeletePod, "agent-1", "a"), do(events.DeletePod, "agent-1", "a"))
	return 8
}

// An executor that is killed at any point is succeeded by one that knows
// nothing but the log.
func TestCrashAnywhere(t *testing.T) {
	quiet := newBench(t)
	total := quiet.scenario()
	quiet.executor(executor.LogWorld{}).rest()
	quiet.once(total)
	for _, lost := range []string{"before it acts", "after it acts", "after it acts, acknowledgement lost"} {
		for at := range total + 1 {
			t.Run(fmt.Sprintf("%s, step %d", lost, at), func(t *testing.T) {
				b := newBench(t)
				commands := b.scenario()
				h := b.executor(executor.LogWorld{})
				for range at {
					h.observe(0)
					if !h.step() {
						break
					}
				}
				h.observe(0)
				for _, s := range h.party.Due(b.now, 1) {
					if lost == "after it acts" {
						_ = s.Perform(context.Background(), drivetest.At(b.now, b.log))
					} else if lost != "before it acts" {
						b.log.Inject(func([]events.Entry) memlog.Fault { return memlog.LoseAck })
						ctx, cancel := context.WithCancel(context.Background())
						cancel()
						_ = s.Perform(ctx, drivetest.At(b.now, cancelled{b.log}))
						b.log.Inject(nil)
					}
				}
				b.executor(executor.LogWorld{}).rest()
				b.once(commands)
				if got, want := b.answers(), quiet.answers(); !slices.Equal(got, want) {
					t.Errorf("got  %v\nwant %v", got, want)
				}
			})
		}
	}
}

// cancelled stores what a program that is being killed sends.
type cancelled struct{ *memlog.Log }

func (l cancelled) Append(_ context.Context, es ...events.Entry) (events.Seq, error) {
	return l.Log.Append(context.Background(), es...)
}

// Two executors that see the same plan, each at its own pace.
func TestTwoExecutorsInterleaved(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		b := newBench(t)
		commands := b.scenario()
		hs := []*hand{b.executor(executor.LogWorld{}), b.executor(executor.LogWorld{})}
		open := make([][]drive.Step, 2)
		for range 60 {
			i := rng.IntN(2)
			h := hs[i]
			switch rng.IntN(3) {
			case 0:
				h.observe(h.seq + events.Seq(1+rng.IntN(3)))
			case 1:
				open[i] = append(open[i], h.party.Due(b.now, 1+rng.IntN(2))...)
			case 2:
				if n := len(open[i]); n > 0 {
					k := rng.IntN(n)
					s := open[i][k]
					open[i] = slices.Delete(open[i], k, k+1)
					h.party.Done(s, s.Perform(context.Background(), drivetest.At(b.now, b.log)), b.now)
				}
			}
			b.now = b.now.Add(time.Second)
		}
		for i, h := range hs {
			for _, s := range open[i] {
				h.party.Done(s, s.Perform(context.Background(), drivetest.At(b.now, b.log)), b.now)
			}
			for range 20 {
				b.now = b.now.Add(time.Minute)
				h.rest()
			}
			if n := h.party.(*executor.Executor).Pending(); n != 0 {
				t.Errorf("seed %d: executor %d has %d commands pending", seed, i, n)
			}
		}
		b.once(commands)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Only one command about a pod is under way at a time, in the order of plans.
func TestOneCommandAPod(t *testing.T) {
	b := newBench(t)
	b.plan(create("agent-1", "a"), create("agent-2", "b"))
	b.plan(do(events.DeletePod, "agent-1", "a"))
	h := b.executor(executor.LogWorld{})
	h.observe(0)
	if n := len(h.party.Due(b.now, 10)); n != 2 {
		t.Errorf("%d steps are handed out at once, want 2", n)
	}
}

// A name of which the log holds the end of another pod is free.
func TestNameIsUsedAgain(t *testing.T) {
	b := newBench(t)
	b.plan(create("agent-1", "a"))
	h := b.executor(executor.LogWorld{})
	h.rest()
	b.plan(do(events.DeletePod, "agent-1", "a"))
	h.rest()
	again := create("agent-1", "a")
	again.UID = "another"
	b.plan(again)
	h.rest()
	b.want("5/0 pod.created", "7/0 pod.deleted", "9/0 pod.created")
	if b.pod(podKey).UID != "another" {
		t.Error("the pod is not the one that was planned")
	}
}

// A command that loses its fence is decided again from what won.
func TestConflictIsDecidedAgain(t *testing.T) {
	b := newBench(t)
	b.plan(create("agent-1", "a"))
	h := b.executor(executor.LogWorld{})
	h.rest()
	b.change(func(p *corev1.Pod) { p.Spec.NodeName = "a" })
	b.plan(do(events.DeletePod, "agent-1", "a"))
	h.observe(0)
	s := h.party.Due(b.now, 1)[0]
	b.change(func(p *corev1.Pod) { p.Labels["won"] = "true" })
	err := s.Perform(context.Background(), drivetest.At(b.now, b.log))
	if !errors.Is(err, events.ErrConflict) {
		t.Fatalf("error %v, want a conflict", err)
	}
	h.party.Done(s, err, b.now)
	if got := h.party.Due(b.now, 1); len(got) != 0 {
		t.Fatal("tried again at once, without what won")
	}
	h.rest()
	b.want("5/0 pod.created", "8/0 pod.updated")
	if p := b.pod(podKey); p.Labels["won"] != "true" || p.DeletionTimestamp == nil {
		t.Errorf("pod %+v", p.ObjectMeta)
	}
}

// A pod that no log takes is an outcome.
func TestTooLarge(t *testing.T) {
	b := newBench(t)
	ds := daemonSet()
	ds.Spec.Template.Annotations = map[string]string{"big": strings.Repeat("x", events.MaxSize-2000)}
	b.put(events.ControllerRevision, events.VerbUpdated, revision(t, ds))
	b.plan(create("agent-1", "a"))
	b.executor(bloated{}).rest()
	b.want("6/0 command.failed TooLarge")
}

// bloated is a world whose admission adds to pods.
type bloated struct{ executor.LogWorld }

func (bloated) Create(_ context.Context, c executor.Creation) (*corev1.Pod, error) {
	c.Pod.Annotations["more"] = strings.Repeat("x", 4000)
	return c.Pod, nil
}

// Two executors at once on a log that loses acknowledgements and appends, and
// refuses: every command is answered once.
func TestDriveThroughFaults(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.log = memlog.New(b.s, time.Now)
			b.put(events.DaemonSet, events.VerbCreated, daemonSet())
			b.put(events.ControllerRevision, events.VerbCreated, revision(t, daemonSet()))
			b.put(events.Node, events.VerbCreated, node("a"))
			commands := 0
			plan := func(verb events.Verb) {
				var cs []events.Command
				for i := range 50 {
					c := do(verb, fmt.Sprintf("agent-%d", i), "a")
					c.Revision = hash
					cs = append(cs, c)
				}
				b.plan(cs...)
				commands += len(cs)
			}
			plan(events.CreatePod)
			rng := rand.New(rand.NewPCG(seed, 2))
			b.log.Inject(func(es []events.Entry) memlog.Fault {
				if es[0].Source != "executor" {
					return memlog.None
				}
				return [...]memlog.Fault{memlog.None, memlog.None, memlog.LoseAck, memlog.LoseAppend, memlog.Refuse}[rng.IntN(5)]
			})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 2)
			for range 2 {
				go func() {
					done <- drive.Drive(ctx, b.log, drive.Options{InFlight: 8}, executor.New(b.s, executor.LogWorld{}))
				}()
			}
			<-time.After(10 * time.Minute) // of the bubble's time: the executors are at rest
			plan(events.DeletePod)
			<-time.After(10 * time.Minute)
			b.once(commands)
			at, err := b.log.Info(ctx)
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Hour)
			if later, _ := b.log.Info(ctx); later != at {
				t.Errorf("the log grew from %d to %d while nothing happened", at.Last, later.Last)
			}
			cancel()
			for range 2 {
				if err := <-done; !errors.Is(err, context.Canceled) {
					t.Errorf("Drive: %v", err)
				}
			}
		})
	}
}

// A log that cannot be read ends a drive with the reason.
func TestDriveEndsWithTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.log.Remove(2)
		err := drive.Drive(t.Context(), b.log, drive.Options{}, executor.New(b.s, executor.LogWorld{}))
		if !errors.Is(err, events.ErrGap) {
			t.Errorf("at the start: %v", err)
		}
		b = newBench(t)
		done := make(chan error)
		go func() {
			done <- drive.Drive(t.Context(), b.log, drive.Options{}, executor.New(b.s, executor.LogWorld{}))
		}()
		synctest.Wait()
		b.log.Truncate(1)
		if err := <-done; !errors.Is(err, events.ErrTruncated) {
			t.Errorf("in the tail: %v", err)
		}
	})
}
