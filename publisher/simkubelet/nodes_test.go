package simkubelet

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"rollcall/events"
	"rollcall/events/drive/drivetest"
	"rollcall/events/memlog"
	"rollcall/publisher/simkubelet/script"
)

func TestNewNodes(t *testing.T) {
	nodes := slices.Collect(NewNodes(30, 1))
	if !reflect.DeepEqual(nodes, slices.Collect(NewNodes(30, 1))) {
		t.Error("the same seed gives other nodes")
	}
	if reflect.DeepEqual(nodes[3].UID, slices.Collect(NewNodes(30, 2))[3].UID) {
		t.Error("another seed gives the same uids")
	}
	if !reflect.DeepEqual(nodes, slices.Collect(NewNodes(40, 1))[:30]) {
		t.Error("a node depends on how many there are")
	}
	zones, sizes := map[string]int{}, map[string]int{}
	uids, ips := map[types.UID]bool{}, map[string]bool{}
	for i, n := range nodes {
		zones[n.Labels["topology.kubernetes.io/zone"]]++
		sizes[n.Labels["node.kubernetes.io/instance-type"]+n.Status.Allocatable.Cpu().String()]++
		uids[n.UID], ips[n.Status.Addresses[0].Address] = true, true
		if n.Labels["kubernetes.io/hostname"] != n.Name || n.Labels[events.LabelSimulated] != "true" ||
			n.Status.NodeInfo.KubeletVersion != "v1.36.3" || n.Status.Allocatable.Pods().Value() != 110 {
			t.Errorf("node %+v", n)
		}
		facts := New(events.Subjects{}, Options{}).factsOf(n, nil)
		if _, control := n.Labels[controlPlaneLabel]; control != (i == 0) || facts.tainted(controlPlaneLabel) != (i == 0) {
			t.Errorf("%s: the first node alone is the control plane", n.Name)
		}
		if !facts.tainted(corev1.TaintNodeNotReady) {
			t.Errorf("%s is born Ready", n.Name)
		}
		for k, v := range n.Labels {
			if why := append(validation.IsQualifiedName(k), validation.IsValidLabelValue(v)...); why != nil {
				t.Errorf("label %s=%s: %v", k, v, why)
			}
		}
	}
	if nodes[0].Name != "node-0001" || nodes[29].Name != "node-0030" || slices.Collect(NewNodes(10000, 1))[0].Name != "node-00001" {
		t.Errorf("names %s to %s", nodes[0].Name, nodes[29].Name)
	}
	if len(zones) != 3 || len(sizes) != 3 {
		t.Errorf("zones %v, sizes %v", zones, sizes)
	}
	if len(uids) != 30 || len(ips) != 30 {
		t.Errorf("%d uids, %d addresses of 30", len(uids), len(ips))
	}
}

// A node that somebody made with no more than a name and the label.
func TestBareNodeJoins(t *testing.T) {
	st := newStand(t, Options{})
	n := &corev1.Node{}
	n.Name, n.UID, n.Labels = "bare", "u", map[string]string{events.LabelSimulated: "true"}
	st.put(events.Node, events.VerbCreated, n)
	st.run(time.Second)
	got := st.node("bare")
	if !st.w.factsOf(got, nil).joined() || got.Status.Allocatable.Cpu().Value() != 4 || got.Labels["kubernetes.io/hostname"] != "bare" ||
		got.Status.NodeInfo.KubeletVersion == "" || !strings.HasPrefix(got.Status.Addresses[0].Address, "172.") {
		t.Errorf("node %+v", got)
	}
}

// finding U5, finding c17: the labels of a simulated node are those that a
// kubelet and a cloud write: the old names of system and architecture among
// them, and none that a tutorial would give by itself.
func TestLabels(t *testing.T) {
	want := []string{"beta.kubernetes.io/arch", "beta.kubernetes.io/os", "kubernetes.io/arch", "kubernetes.io/hostname", "kubernetes.io/os",
		"node.kubernetes.io/instance-type", "rollcall/simulated", "topology.kubernetes.io/region", "topology.kubernetes.io/zone"}
	for i, n := range slices.Collect(NewNodes(9, 1)) {
		got := slices.Sorted(maps.Keys(n.Labels))
		got = slices.DeleteFunc(got, func(k string) bool { return i == 0 && k == controlPlaneLabel })
		if !slices.Equal(got, want) {
			t.Errorf("%s has the labels %v, want %v", n.Name, got, want)
		}
		if n.Labels["beta.kubernetes.io/os"] != "linux" || n.Labels["beta.kubernetes.io/arch"] != "amd64" {
			t.Errorf("%s: %v", n.Name, n.Labels)
		}
	}
	st := newStand(t, Options{})
	bare := &corev1.Node{}
	bare.Name, bare.UID, bare.Labels = "bare", "u", map[string]string{events.LabelSimulated: "true"}
	st.put(events.Node, events.VerbCreated, bare)
	st.run(time.Second)
	if got := st.node("bare").Labels; got["beta.kubernetes.io/os"] != "linux" || got["beta.kubernetes.io/arch"] != "amd64" {
		t.Errorf("a node that somebody made joins with %v", got)
	}
}

func TestReadTag(t *testing.T) {
	forever := act{after: script.Forever}
	for _, c := range []struct {
		image string
		want  tagged
	}{
		{"nginx", tagged{act: forever}}, {"nginx:1", tagged{act: forever}}, {"a:slow-", tagged{act: forever}},
		{"a:slow--5s", tagged{act: forever}}, {"a:exit-256", tagged{act: forever}}, {"a:exit--1", tagged{act: forever}},
		{"reg:5000/a:non-existent", tagged{act: act{after: script.Forever, absent: true}}},
		{"a:404", tagged{act: act{after: script.Forever, absent: true}}},
		{"a:crash-loop", tagged{act{code: 1}, true}},
		{"a:exit-0", tagged{act{ends: true}, true}}, {"a:exit-1", tagged{act{code: 1, ends: true}, true}},
		{"a:exit-42", tagged{act{code: 42, ends: true}, true}},
		{"a:slow-30s", tagged{act: act{after: script.Forever, ready: 30 * time.Second}}},
		{"a:slow-1m30s", tagged{act: act{after: script.Forever, ready: 90 * time.Second}}},
		{"slow-5s", tagged{act: act{after: script.Forever, ready: 5 * time.Second}}},
	} {
		if got := readTag(c.image); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.image, got, c.want)
		}
	}
}

// Addresses are unique also when pods draw the same one.
func TestAddresses(t *testing.T) {
	a := addresses{}
	first := a.lease("a")
	for range 3 {
		if ip := a.lease("a"); ip != first {
			t.Errorf("the same pod gets %s, then %s", first, ip)
		}
	}
	a.free(first, "a")
	a.keep(first, "b")
	second := a.lease("a")
	if second == first || !strings.HasPrefix(second, "10.") {
		t.Errorf("address %q, taken is %q", second, first)
	}
	a.free(first, "a")
	if a[first] != "b" {
		t.Error("a pod gave back the address of another")
	}
}

// A step is the same event for every world that makes it, whenever it does.
func TestStepHasOneID(t *testing.T) {
	st := newStand(t, Options{})
	st.put(events.Node, events.VerbCreated, NewNode("n1", 0, 1))
	late := New(st.s, st.options)
	for e, err := range st.log.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		late.Observe(e, st.now)
	}
	a := st.w.Due(st.now, 1)[0].(*Step)
	b := late.Due(st.now.Add(time.Hour), 1)[0].(*Step)
	if a.Event.ID != b.Event.ID || a.Fence != b.Fence || a.Fence.Last != 1 {
		t.Errorf("%v under %v, and %v under %v", a.Event.ID, a.Fence, b.Event.ID, b.Fence)
	}
	// The one that comes first is true for both, whatever the other would say.
	for _, s := range []*Step{b, a} {
		if err := s.Perform(t.Context(), drivetest.At(st.now, st.log)); err != nil {
			t.Fatal(err)
		}
	}
	st.observe()
	if got := st.node("n1").Status.Conditions[0].LastTransitionTime; !got.Time.Equal(epoch.Add(time.Hour)) {
		t.Errorf("the world believes %v, which is not in the log", got)
	}
}

// A condition's transition time is when its status changed, not when it was
// written: minReadySeconds counts from it.
func TestTransitionTimes(t *testing.T) {
	o := &corev1.Pod{}
	n := &corev1.Node{}
	first, later := stamp(epoch), stamp(epoch.Add(time.Hour))
	for _, c := range []struct {
		at     time.Duration
		status corev1.ConditionStatus
		want   time.Time
	}{{0, "True", first.Time}, {time.Hour, "True", first.Time}, {time.Hour, "False", later.Time}} {
		at := stamp(epoch.Add(c.at))
		ch := change{pod: o, at: at}
		ch.set(corev1.PodReady, c.status, "", "")
		setNodeCondition(n, corev1.NodeCondition{Type: corev1.NodeReady, Status: c.status}, at)
		if got := condition(o, corev1.PodReady); !got.LastTransitionTime.Time.Equal(c.want) || got.Status != c.status {
			t.Errorf("pod at %v: %+v", c.at, got)
		}
		if got := n.Status.Conditions[0]; len(n.Status.Conditions) != 1 || !got.LastTransitionTime.Time.Equal(c.want) || got.Status != c.status {
			t.Errorf("node at %v: %+v", c.at, n.Status.Conditions)
		}
	}
}

// A pod whose binding the log did not take holds no room while it waits.
func TestRefusedBindingGivesRoomBack(t *testing.T) {
	st := newStand(t, Options{})
	n := NewNode("n1", 0, 1)
	n.Spec.Taints = nil
	st.put(events.Node, events.VerbCreated, n)
	st.run(time.Second)
	st.put(events.Pod, events.VerbCreated, st.newPod("p1", "n1", "i:1"))
	st.log.Inject(func([]events.Entry) memlog.Fault { return memlog.Refuse })
	s := st.w.Due(st.now, 1)[0]
	if used := st.w.hosts["n1"].used.of(corev1.ResourcePods); used != 1 {
		t.Errorf("%d pods hold room while one is being bound", used)
	}
	st.w.Done(s, s.Perform(t.Context(), drivetest.At(st.now, st.log)), st.now)
	if used := st.w.hosts["n1"].used.of(corev1.ResourcePods); used != 0 {
		t.Errorf("%d pods hold room after the binding was refused", used)
	}
	if at, ok := st.w.Next(); !ok || !at.Equal(st.now.Add(firstRetry)) {
		t.Errorf("tried again at %v, %v", at, ok)
	}
	st.log.Inject(nil)
	if facts := st.run(time.Minute); len(facts) != 2 {
		t.Errorf("%d facts after the trouble, want bound and running", len(facts))
	}
}
