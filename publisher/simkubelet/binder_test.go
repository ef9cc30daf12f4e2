package simkubelet

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/drive/drivetest"
	"rollcall/events/memlog"
)

// nodesNamed makes so many Ready nodes.
func (st *stand) nodesNamed(n int) {
	st.t.Helper()
	for i := range n {
		st.put(events.Node, events.VerbCreated, NewNode(fmt.Sprintf("n%02d", i), i, 1))
	}
	st.run(time.Minute)
}

// 1,000 pods on 50 nodes: as many on each, also if the log refuses some of the
// bindings, and nothing more happens to them.
func TestSpread(t *testing.T) {
	const nodes, pods = 50, 1000
	st := newStand(t, Options{Bind: Exactly(time.Millisecond)})
	st.nodesNamed(nodes)
	tries := 0
	st.log.Inject(func(es []events.Entry) memlog.Fault {
		if tries++; es[0].Source != "test" && tries%7 == 0 {
			return memlog.Refuse
		}
		return memlog.None
	})
	for i := range pods {
		st.put(events.Pod, events.VerbCreated, st.newPod(fmt.Sprintf("p%04d", i), "", "i:1"))
	}
	if facts := st.run(time.Minute); len(facts) != 2*pods {
		t.Errorf("%d facts, want two a pod", len(facts))
	}
	for name, h := range st.w.hosts {
		if len(h.pods) != pods/nodes || h.used.of(corev1.ResourcePods) != pods/nodes {
			t.Errorf("%s has %d pods and counts %d, want %d", name, len(h.pods), h.used.of(corev1.ResourcePods), pods/nodes)
		}
	}
	st.listed(nodes)
	st.drop("n07")
	st.put(events.Pod, events.VerbCreated, st.newPod("last", "", "i:1"))
	st.run(time.Minute)
	if on := st.pod("last").Spec.NodeName; on != "n00" {
		t.Errorf("of equally loaded nodes %s was taken, want the first", on)
	}
	st.listed(nodes - 1)
}

func (st *stand) drop(node string) {
	st.append("node.deleted", events.Gone{Ref: st.w.hosts[node].ref})
}

// listed checks that the binder's list holds what it should, in order.
func (st *stand) listed(want int) {
	st.t.Helper()
	loads := []int64{}
	st.w.ranked().Scan(func(h *host) bool {
		if h.load != h.used.of(corev1.ResourcePods) || !h.ranked {
			st.t.Errorf("%s is listed under %d pods, and has %d", h.ref.Key.Name, h.load, h.used.of(corev1.ResourcePods))
		}
		loads = append(loads, h.load)
		return true
	})
	if len(loads) != want || !slices.IsSorted(loads) {
		st.t.Errorf("listed %v, want %d in order", loads, want)
	}
}

// Pods with a node of their own are nothing to the binder.
func TestPinnedPodsAreNotListed(t *testing.T) {
	st := newStand(t, Options{})
	st.nodesNamed(3)
	st.put(events.Pod, events.VerbCreated, st.newPod("p1", "n01", "i:1"))
	st.put(events.Pod, events.VerbCreated, st.newPod("p2", "nowhere", "i:1"))
	st.run(time.Minute)
	if st.w.binder.hosts != nil || st.w.binder.stuck != nil {
		t.Errorf("the binder was asked: %+v", st.w.binder)
	}
}

// A change of one node costs a pod that waits a look at that node alone, and
// two that wait for the same room get it one after the other.
func TestWaitingPodsAreTriedWhereSomethingChanged(t *testing.T) {
	st := newStand(t, Options{})
	st.nodesNamed(4)
	for _, name := range []string{"a", "b"} {
		p := st.newPod(name, "", "i:1")
		p.Spec.NodeSelector = map[string]string{"disk": "ssd"}
		st.put(events.Pod, events.VerbCreated, p)
	}
	st.run(time.Minute)
	p := st.w.pods[events.Key{Namespace: "x", Name: "a"}]
	if !p.stuck || p.armed || st.w.binder.stuck.Len() != 2 {
		t.Fatalf("%+v does not wait", p)
	}
	n := st.node("n02")
	metav1.SetMetaDataLabel(&n.ObjectMeta, "disk", "ssd")
	st.put(events.Node, events.VerbUpdated, n)
	if !slices.Equal(p.offers, []string{"n02"}) || !p.armed {
		t.Errorf("offers %v, armed %v", p.offers, p.armed)
	}
	st.put(events.Node, events.VerbUpdated, n)
	if len(p.offers) != 1 {
		t.Errorf("offered twice: %v", p.offers)
	}
	// The node that was offered is gone before the pod is tried there.
	st.drop("n02")
	st.run(time.Minute)
	if !p.stuck || p.offers != nil {
		t.Errorf("offers %v after the node went", p.offers)
	}
	st.put(events.Node, events.VerbCreated, n)
	st.run(time.Minute)
	for _, name := range []string{"a", "b"} {
		if on := st.pod(name).Spec.NodeName; on != "n02" {
			t.Errorf("%s is on %q", name, on)
		}
	}
	if st.w.binder.stuck.Len() != 0 {
		t.Errorf("%d pods still wait", st.w.binder.stuck.Len())
	}
}

// A pod whose binding the log did not take is on no host while it waits, and
// those that wait for its room are tried.
func TestRefusedBindingGivesTheHostBack(t *testing.T) {
	st := newStand(t, Options{})
	st.nodesNamed(1)
	n := st.node("n00")
	n.Status.Allocatable[corev1.ResourcePods] = resource.MustParse("1")
	st.put(events.Node, events.VerbUpdated, n)
	st.put(events.Pod, events.VerbCreated, st.newPod("a", "", "i:1"))
	st.log.Inject(func([]events.Entry) memlog.Fault { return memlog.Refuse })
	s := st.w.Due(st.now, 1)[0]
	a := st.w.pods[events.Key{Namespace: "x", Name: "a"}]
	if a.host == nil || a.host.used.of(corev1.ResourcePods) != 1 {
		t.Errorf("a pod that is being bound holds nothing: %+v", a.host)
	}
	st.log.Inject(nil)
	st.put(events.Pod, events.VerbCreated, st.newPod("b", "", "i:1"))
	for range 2 { // b is told, and then tried again in vain
		for _, s := range st.w.Due(st.now, 1) {
			st.w.Done(s, s.Perform(t.Context(), drivetest.At(st.now, st.log)), st.now)
		}
		st.observe()
	}
	b := st.w.pods[events.Key{Namespace: "x", Name: "b"}]
	if !marked(b.object()) || b.stage != podStuck {
		t.Errorf("b is %s, want it to wait", b.stage)
	}
	st.w.Done(s, events.ErrUnknown, st.now)
	if a.host != nil || len(st.w.hosts["n00"].pods) != 0 || st.w.hosts["n00"].used.of(corev1.ResourcePods) != 0 {
		t.Errorf("a is still on %+v", st.w.hosts["n00"])
	}
	if b.stage != podQueued {
		t.Errorf("b is %s, want it tried", b.stage)
	}
	st.run(time.Minute)
	if a, b := st.pod("a").Spec.NodeName, st.pod("b").Spec.NodeName; a != "" || b != "n00" {
		t.Errorf("a on %q, b on %q, want the one that was ready first", a, b)
	}
}

// BenchmarkFreePods has the binder place 1,000 pods on as many nodes while 100
// pods wait for a node that is not there.
func BenchmarkFreePods(b *testing.B) {
	for b.Loop() {
		st := newStand(&testing.T{}, Options{})
		for i := range 1000 {
			st.put(events.Node, events.VerbCreated, NewNode(fmt.Sprintf("n%04d", i), i, 1))
		}
		for i := range 1100 {
			p := st.newPod(fmt.Sprintf("p%04d", i), "", "i:1")
			if i >= 1000 {
				p.Spec.NodeSelector = map[string]string{"disk": "ssd"}
			}
			st.put(events.Pod, events.VerbCreated, p)
		}
		for range 10_000 {
			at, ok := st.w.Next()
			if !ok {
				break
			}
			if at.After(st.now) {
				st.now = at
			}
			for _, s := range st.w.Due(st.now, 256) {
				st.w.Done(s, s.Perform(b.Context(), drivetest.At(st.now, st.log)), st.now)
			}
			st.observe()
		}
		if on := st.pod("p0999").Spec.NodeName; on == "" {
			b.Fatal("not bound")
		}
	}
}
