package simkubelet_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/drive"
	"rollcall/events/memlog"
	"rollcall/publisher/executor"
	"rollcall/publisher/simkubelet"
)

const hash = "bcdfghjklm"

type cluster struct {
	t     testing.TB
	s     events.Subjects
	log   *memlog.Log
	nodes []*corev1.Node
	ds    *appsv1.DaemonSet
	ids   int
}

func newCluster(t testing.TB, nodes int) *cluster {
	t.Helper()
	s, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, s: s, log: memlog.New(s, time.Now), nodes: slices.Collect(simkubelet.NewNodes(nodes, 7))}
	c.ds = &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent", Namespace: "x", UID: "ds-1"}}
	c.ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}}
	c.ds.Spec.Template.Labels = map[string]string{"app": "agent"}
	c.ds.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	c.ds.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "agent:1"}}
	daemonpod.SetDaemonSetDefaults(c.ds)
	data, err := daemonpod.RevisionData(&c.ds.Spec.Template)
	if err != nil {
		t.Fatal(err)
	}
	c.put(events.DaemonSet, c.ds)
	c.put(events.ControllerRevision, &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Name: "agent-" + hash, Namespace: "x", UID: "cr-1",
			Labels: map[string]string{daemonpod.RevisionLabel: hash}, OwnerReferences: []metav1.OwnerReference{daemonpod.ControllerRef(c.ds)}},
		Data: runtime.RawExtension{Raw: data},
	})
	for _, n := range c.nodes {
		c.put(events.Node, n)
	}
	return c
}

func (c *cluster) append(typ events.Type, body events.Body) {
	c.t.Helper()
	c.ids++
	var id ulid.ULID
	copy(id[6:], fmt.Sprintf("%010d", c.ids))
	e := events.Event{ID: id, Type: typ, Source: "test", At: time.Now(), Body: body}
	if _, err := c.log.Append(context.Background(), events.Entry{Event: e}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) put(k events.Kind, o metav1.Object) {
	c.t.Helper()
	body, err := events.NewObject(k, o)
	if err != nil {
		c.t.Fatal(err)
	}
	c.append(events.ObjectType(k, events.VerbCreated), body)
}

func (c *cluster) plan(do events.Verb) {
	c.t.Helper()
	p := &events.Plan{Owner: events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "x", Name: "agent"}, UID: "ds-1"}, Basis: events.Basis{Now: time.Now()}}
	_, _, p.Basis.Seq = c.pods()
	for _, n := range c.nodes {
		p.Commands = append(p.Commands, events.Command{Do: do, Node: n.Name, NodeUID: n.UID, Revision: hash,
			Ref: events.Ref{Kind: events.Pod, UID: daemonpod.UID("ds-1", n.UID, hash, 0),
				Key: events.Key{Namespace: "x", Name: daemonpod.Name("agent", "ds-1", n.UID, hash, 0)}}})
	}
	c.append(events.Planned, p)
}

// pods returns how many pods are there, and how many of them are ready.
func (c *cluster) pods() (all, ready int, last events.Seq) {
	c.t.Helper()
	is := map[events.Key]bool{}
	for e, err := range c.log.Read(context.Background(), 0) {
		if err != nil {
			c.t.Fatal(err)
		}
		last = e.Seq
		switch b := e.Body.(type) {
		case events.Gone:
			delete(is, b.Key)
		case events.Object:
			if b.Kind != events.Pod {
				continue
			}
			pod := new(corev1.Pod)
			if err := b.Decode(pod); err != nil {
				c.t.Fatal(err)
			}
			is[b.Key] = false
			for _, cond := range pod.Status.Conditions {
				if cond.Type == corev1.PodReady && cond.Status == corev1.ConditionTrue {
					is[b.Key] = true
				}
			}
		}
	}
	for _, r := range is {
		all++
		if r {
			ready++
		}
	}
	return all, ready, last
}

// drive runs an executor and the kubelets on one tail until the returned
// function is called.
func (c *cluster) drive() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- drive.Drive(ctx, c.log, drive.Options{InFlight: 16},
			executor.New(c.s, executor.LogWorld{}), simkubelet.New(c.s, simkubelet.DefaultOptions()))
	}()
	return func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			c.t.Errorf("Drive: %v", err)
		}
	}
}

// Pods are made, run and end, through a log that fails and a world that is
// killed and started again; at rest nothing is appended.
func TestRolloutThroughFaultsAndRestarts(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			const nodes = 20
			c := newCluster(t, nodes)
			rng, faults := rand.New(rand.NewPCG(seed, 3)), rand.New(rand.NewPCG(seed, 4))
			c.log.Inject(func(es []events.Entry) memlog.Fault {
				if es[0].Source == "test" || faults.IntN(4) > 0 {
					return memlog.None
				}
				return [...]memlog.Fault{memlog.LoseAck, memlog.LoseAppend, memlog.Refuse}[faults.IntN(3)]
			})
			for _, do := range []events.Verb{events.CreatePod, events.DeletePod} {
				c.plan(do)
				for range 20 {
					stop := c.drive()
					<-time.After(time.Duration(rng.IntN(300)) * time.Millisecond)
					stop()
				}
				stop := c.drive()
				<-time.After(10 * time.Minute) // of the bubble's time
				all, ready, last := c.pods()
				if want := nodes; do == events.CreatePod && (all != want || ready != want) {
					t.Errorf("seed %d: %d pods, %d ready, want %d", seed, all, ready, want)
				}
				if do == events.DeletePod && all != 0 {
					t.Errorf("seed %d: %d pods are left", seed, all)
				}
				<-time.After(24 * time.Hour)
				if _, _, later := c.pods(); later != last {
					t.Errorf("seed %d: the log grew from %d to %d at rest", seed, last, later)
				}
				stop()
			}
			if _, _, last := c.pods(); last != events.Seq(2+2*nodes+2+nodes*5) {
				t.Errorf("seed %d: %d events, want one a step", seed, last)
			}
		})
	}
}

// Pods that nobody pinned, each with a claim, find nodes and volumes through a
// log that fails and a world that is killed and started again.
func TestFreePodsThroughFaultsAndRestarts(t *testing.T) {
	const nodes, pods = 20, 57 // the control plane takes none: three on each other
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, nodes)
			rng, faults := rand.New(rand.NewPCG(seed, 5)), rand.New(rand.NewPCG(seed, 6))
			c.log.Inject(func(es []events.Entry) memlog.Fault {
				if es[0].Source == "test" || faults.IntN(4) > 0 {
					return memlog.None
				}
				return [...]memlog.Fault{memlog.LoseAck, memlog.LoseAppend, memlog.Refuse}[faults.IntN(3)]
			})
			join := c.drive()
			<-time.After(10 * time.Minute)
			join()
			for i := range pods {
				name := fmt.Sprintf("p%d", i)
				claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "x", UID: types.UID("c" + name)}}
				c.put("PersistentVolumeClaim", claim)
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "x", UID: types.UID(name)}}
				pod.Spec.Containers = []corev1.Container{{Name: "c", Image: "i:1"}}
				pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}}}
				pod.Status.Phase = corev1.PodPending
				c.put(events.Pod, pod)
			}
			for range 20 {
				stop := c.drive()
				<-time.After(time.Duration(rng.IntN(300)) * time.Millisecond)
				stop()
			}
			stop := c.drive()
			<-time.After(10 * time.Minute)
			all, ready, last := c.pods()
			if all != pods || ready != pods {
				t.Errorf("seed %d: %d pods, %d ready, want %d", seed, all, ready, pods)
			}
			on, kinds := c.count()
			for node, n := range on {
				if n != pods/(nodes-1) {
					t.Errorf("seed %d: %d pods on %s", seed, n, node)
				}
			}
			if kinds["persistentvolume.created"] != pods || kinds["persistentvolumeclaim.updated"] != pods {
				t.Errorf("seed %d: %v, want a volume for each claim", seed, kinds)
			}
			<-time.After(24 * time.Hour)
			if _, _, later := c.pods(); later != last {
				t.Errorf("seed %d: the log grew from %d to %d at rest", seed, last, later)
			}
			stop()
		})
	}
}

// count returns how many pods were bound to each node, and how often each type
// of event is in the log.
func (c *cluster) count() (on map[string]int, kinds map[events.Type]int) {
	c.t.Helper()
	on, kinds = map[string]int{}, map[events.Type]int{}
	bound := map[events.Key]bool{}
	for e, err := range c.log.Read(context.Background(), 0) {
		if err != nil {
			c.t.Fatal(err)
		}
		kinds[e.Type]++
		o, ok := e.Body.(events.Object)
		pod := new(corev1.Pod)
		if !ok || o.Kind != events.Pod {
			continue
		}
		if err := o.Decode(pod); err != nil {
			c.t.Fatal(err)
		}
		if pod.Spec.NodeName != "" && !bound[o.Key] {
			bound[o.Key] = true
			on[pod.Spec.NodeName]++
		}
	}
	return on, kinds
}

// Two worlds that play the same nodes tell each step once.
func TestTwoWorlds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes = 10
		c := newCluster(t, nodes)
		c.plan(events.CreatePod)
		stops := []func(){c.drive(), c.drive()}
		<-time.After(time.Minute)
		if all, ready, last := c.pods(); all != nodes || ready != nodes || last != 2+2*nodes+1+nodes*3 {
			t.Errorf("%d pods, %d ready, %d events", all, ready, last)
		}
		for _, stop := range stops {
			stop()
		}
	})
}

// A world can be played alone.
func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := drive.Drive(ctx, c.log, drive.Options{}, simkubelet.New(c.s, simkubelet.DefaultOptions()))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drive: %v", err)
		}
		if _, _, last := c.pods(); last != 2+3+3 {
			t.Errorf("%d events, want one a node more", last)
		}
	})
}
