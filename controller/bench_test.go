package controller_test

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/projector"
	"rollcall/projector/table"
)

// BenchmarkReadyFlip is one pod of many that turns not ready and ready again
// in the middle of a rollout: fold and reconcile, without encoding; also with
// holds, and with holds on all nodes that a rollout has still to reach.
func BenchmarkReadyFlip(b *testing.B) {
	for name, x := range map[string]struct {
		nodes, holds int
		held         bool
	}{"nodes=1000": {nodes: 1000}, "nodes=20000": {nodes: 20000}, "nodes=20000/holds=100": {20000, 100, false}, "nodes=20000/holds=100/held": {20000, 100, true}} {
		b.Run(name, func(b *testing.B) {
			c := newCluster(b)
			c.addNodes(x.nodes)
			ds := daemonSet("agent", "agent:v1", intstr.FromInt32(1))
			key := events.Key{Namespace: ds.Namespace, Name: ds.Name}
			c.apply(ds)
			c.settle()
			c.done(key, x.nodes)
			c.placeHolds(x.holds)
			if x.held {
				c.change(image("v2"))
				c.settle()
			}
			pods := slices.Collect(c.s.Pods())
			var flips []events.Event
			for i := range 200 {
				pod := &corev1.Pod{}
				if err := pods[i*len(pods)/200].Object.Decode(pod); err != nil {
					b.Fatal(err)
				}
				for _, up := range []bool{false, true} {
					flips = append(flips, c.encode(c.object(events.Pod, events.VerbUpdated, c.ready(pod, pod.Spec.NodeName, up), events.Cause{})))
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			from := processorTime(b)
			defer func() { b.ReportMetric(float64((processorTime(b)-from).Nanoseconds())/float64(b.N), "cpu-ns/op") }()
			for i := range b.N {
				projector.Fold(c.s, flips[i%len(flips)])
				for _, k := range slices.Compact(c.s.Touched()) {
					controller.Reconcile(c.s, k, c.now)
				}
			}
		})
	}
}

// placeHolds places holds: on nodes by label and by name, and on DaemonSets that
// are not there.
func (c *cluster) placeHolds(n int) {
	for i := range n {
		of := events.Select{Nodes: []string{c.node(i).Name, c.node(2 * i).Name}}
		switch i % 4 {
		case 0:
			of = events.Select{NodeLabels: fmt.Sprintf("topology.kubernetes.io/zone=zone-%d", i%3)}
		case 1:
			of = events.Select{DaemonSets: []events.Key{{Namespace: "kube-system", Name: fmt.Sprint("other-", i)}}}
		}
		c.hold(fmt.Sprint("h", i), of, time.Hour)
	}
}

// BenchmarkHold is a hold on all nodes of 20,000 that is placed, and lifted.
func BenchmarkHold(b *testing.B) {
	c := newCluster(b)
	c.addNodes(20000)
	c.populate(daemonSet("agent", "agent:v1", intstr.FromInt32(1)))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		c.hold("all", events.Select{NodeLabels: "topology.kubernetes.io/zone"}, time.Hour)
		c.told(events.Lifted{Owner: "alerts", Name: "all"})
	}
}

// populate tells of a DaemonSet whose pods are all there and ready.
func (c *cluster) populate(ds *appsv1.DaemonSet) {
	c.apply(ds)
	key := events.Key{Namespace: ds.Namespace, Name: ds.Name}
	c.reconcile(key) // its revision
	d := c.s.DaemonSet(key)
	for _, cell := range d.AllCells() {
		cmd := events.Command{Ref: events.Ref{Key: events.Key{Name: ds.Name + "-" + cell.Node}, UID: types.UID(ds.Name + cell.Node)},
			Node: cell.Node, Revision: d.CurrentRevision().Hash}
		pod := daemonpod.New(d.Object, &d.Object.Spec.Template, cmd, c.now)
		c.fold(c.object(events.Pod, events.VerbCreated, c.ready(pod, cell.Node, true), events.Cause{}))
	}
	c.takeTouched()
}

// BenchmarkNodeJoins is one eligible node that joins 5,000 nodes with 100 DaemonSets.
func BenchmarkNodeJoins(b *testing.B) {
	c := newCluster(b)
	c.addNodes(5000)
	for i := range 100 {
		c.populate(daemonSet(fmt.Sprintf("agent-%03d", i), "agent:v1", intstr.FromInt32(1)))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		e := c.encode(c.object(events.Node, events.VerbCreated, c.node(10000+i), events.Cause{}))
		b.StartTimer()
		c.take(e)
		plans := 0
		for _, k := range c.takeTouched() {
			if controller.Reconcile(c.s, k, c.now).Plan != nil {
				plans++
			}
		}
		if plans != 100 {
			b.Fatalf("%d plans, want 100", plans)
		}
		b.StopTimer()
		c.take(c.encode(events.Event{Type: "node.deleted", Body: events.Gone{Ref: events.RefFor(events.Node, c.node(10000+i))}}))
		c.takeTouched()
		b.StartTimer()
	}
}

// BenchmarkMadeAgain deletes a DaemonSet without pods and makes it again among
// 20,000 pods that are no DaemonSet's.
func BenchmarkMadeAgain(b *testing.B) {
	c := newCluster(b)
	for i := range 20_000 {
		controls := true
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: fmt.Sprintf("web-%05d", i), UID: types.UID(fmt.Sprint("uid-web-", i)),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: "uid-web", Controller: &controls}}}}
		c.fold(c.object(events.Pod, events.VerbCreated, pod, events.Cause{}))
	}
	ds := daemonSet("agent", "agent:v1", intstr.FromInt32(1))
	made := c.encode(c.object(events.DaemonSet, events.VerbCreated, ds, events.Cause{}))
	gone := c.encode(events.Event{Type: "daemonset.deleted", Body: events.Gone{Ref: events.RefFor(events.DaemonSet, ds)}})
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		projector.Fold(c.s, made)
		projector.Fold(c.s, gone)
	}
}

// BenchmarkRollout1000 rolls 1,000 nodes with every fact told alone.
func BenchmarkRollout1000(b *testing.B) {
	spent := time.Duration(0)
	for range b.N {
		b.StopTimer()
		c := newCluster(b)
		c.addNodes(1000)
		ds := daemonSet("agent", "agent:v1", intstr.FromInt32(10))
		key := events.Key{Namespace: ds.Namespace, Name: ds.Name}
		c.apply(ds)
		c.settle()
		c.done(key, 1000)
		ds = c.s.DaemonSet(key).Object.DeepCopy()
		ds.Spec.Template.Spec.Containers[0].Image = "agent:v2"
		ds.Generation++
		runtime.GC() // what the preparation has left is not the rollout's
		from := processorTime(b)
		b.StartTimer()
		c.apply(ds)
		c.settle()
		b.StopTimer()
		spent += processorTime(b) - from
		c.done(key, 1000)
		b.StartTimer()
	}
	b.ReportMetric(spent.Seconds()/float64(b.N), "cpu-s/op")
}

// BenchmarkFold folds the log of a creation and a rollout over 1,000 nodes:
// decoding every event from its bytes, and as the goroutine does that gets them
// decoded from another, like that of drive.Drive. cpu-events/s counts the time
// of the processor, the collector's too.
func BenchmarkFold(b *testing.B) {
	c := newCluster(b)
	c.record = true
	c.addNodes(1000)
	ds := daemonSet("agent", "agent:v1", intstr.FromInt32(100))
	key := events.Key{Namespace: ds.Namespace, Name: ds.Name}
	c.apply(ds)
	c.settle()
	ds = c.s.DaemonSet(key).Object.DeepCopy()
	ds.Spec.Template.Spec.Containers[0].Image = "agent:v2"
	ds.Generation++
	c.apply(ds)
	c.settle()
	bytes := 0
	for _, e := range c.recorded {
		bytes += len(e.Raw)
	}
	for name, take := range map[string]func(events.Event) events.Event{
		"decoded": func(e events.Event) events.Event { return e },
		"bytes": func(r events.Event) events.Event {
			e := events.Decode(r.Raw)
			e.Seq, e.Stored = r.Seq, r.Stored
			return e
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(bytes))
			b.ReportAllocs()
			from := processorTime(b)
			for range b.N {
				s := projector.New("bench")
				for _, r := range c.recorded {
					projector.Fold(s, take(r))
				}
			}
			b.ReportMetric(float64(b.N*len(c.recorded))/(processorTime(b)-from).Seconds(), "cpu-events/s")
		})
	}
}

// BenchmarkKeyframe writes and reads the state of 5,000 nodes with a pod each.
func BenchmarkKeyframe(b *testing.B) {
	c := newCluster(b)
	c.addNodes(5000)
	ds := daemonSet("agent", "agent:v1", intstr.FromInt32(100))
	c.populate(ds)
	data, err := c.s.Keyframe()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for range b.N {
			if _, err := c.s.Keyframe(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for range b.N {
			if _, err := projector.ReadKeyframe(data, "", table.New(table.History{})); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
