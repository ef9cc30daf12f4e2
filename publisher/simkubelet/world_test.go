package simkubelet

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/drive"
	"rollcall/events/drive/drivetest"
	"rollcall/events/memlog"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// stand is a world on a log, in virtual time.
type stand struct {
	t       *testing.T
	s       events.Subjects
	log     *memlog.Log
	now     time.Time
	options Options
	w       *World
	seq     events.Seq
	ids     int
}

func newStand(t *testing.T, o Options) *stand {
	t.Helper()
	s, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	st := &stand{t: t, s: s, now: epoch, options: o, w: New(s, o)}
	st.log = memlog.New(s, func() time.Time { return st.now })
	return st
}

func (st *stand) put(k events.Kind, verb string, o metav1.Object) {
	st.t.Helper()
	body, err := events.NewObject(k, o)
	if err != nil {
		st.t.Fatal(err)
	}
	st.append(events.ObjectType(k, verb), body)
}

func (st *stand) append(typ events.Type, body events.Body) {
	st.t.Helper()
	st.ids++
	var id ulid.ULID
	copy(id[6:], fmt.Sprintf("%010d", st.ids))
	if _, err := st.log.Append(context.Background(), events.Entry{Event: events.Event{ID: id, Type: typ, Source: "test", At: st.now, Body: body}}); err != nil {
		st.t.Fatal(err)
	}
	st.observe()
}

// observe folds what is new and returns it.
func (st *stand) observe() (seen []events.Event) {
	for e, err := range st.log.Read(context.Background(), st.seq) {
		if err != nil {
			st.t.Fatal(err)
		}
		st.seq = e.Seq
		st.w.Observe(e, st.now)
		seen = append(seen, e)
	}
	return seen
}

// run lets time pass and returns what the world appended.
func (st *stand) run(d time.Duration) (facts []events.Event) {
	st.t.Helper()
	end := st.now.Add(d)
	for range 100_000 {
		at, ok := st.w.Next()
		if !ok || at.After(end) {
			st.now = end
			st.check()
			return facts
		}
		if at.After(st.now) {
			st.now = at
		}
		for _, s := range st.w.Due(st.now, 3) {
			st.whole(s.(*Step))
			st.w.Done(s, s.Perform(context.Background(), drivetest.At(st.now, st.log)), st.now)
		}
		facts = append(facts, st.observe()...)
	}
	st.t.Fatal("the world does not come to rest")
	return nil
}

// whole checks that the bytes of which a step replaces a part are those of the
// object that it makes.
func (st *stand) whole(s *Step) {
	st.t.Helper()
	if s.object == nil {
		return
	}
	if want, err := events.NewObject(s.item.ref.Kind, s.object.(metav1.Object)); err != nil || !bytes.Equal(s.data, want.Data) {
		st.t.Fatalf("%s becomes %x, %v\nwant %x", s.item.ref.Key, s.data, err, want.Data)
	}
}

// check compares the world with one that only read the log, and its sums with
// what they are the sums of.
func (st *stand) check() {
	st.t.Helper()
	fresh := New(st.s, st.options)
	last := map[events.Ref]events.Object{}
	for e, err := range st.log.Read(context.Background(), 0) {
		if err != nil {
			st.t.Fatal(err)
		}
		if o, ok := e.Body.(events.Object); ok {
			if was, ok := last[o.Ref]; ok && e.Source == source && !events.Worth(was, o) {
				st.t.Fatalf("%s at %d is not worth a fact", st.line(e), e.Seq)
			}
			last[o.Ref] = o
		}
		fresh.Observe(e, st.now)
	}
	// What a world finds out in vain, another finds out again: no more.
	if steps := fresh.Due(st.now, 1000); len(steps) > 0 {
		st.t.Fatalf("after reading the log, a world would do %+v", steps[0].(*Step).Event)
	}
	if got, want := fingerprint(st.w), fingerprint(fresh); got != want {
		st.t.Fatalf("the world is\n%s\nand after reading the log\n%s", got, want)
	}
	ips := map[string]events.Key{}
	for _, key := range slices.SortedFunc(maps.Keys(st.w.pods), events.Key.Compare) {
		if ip := podIP(st.w.pods[key].object()); ip != "" {
			if other, ok := ips[ip]; ok {
				st.t.Fatalf("%s and %s have the address %s", key, other, ip)
			}
			ips[ip] = key
		}
	}
	if len(ips) != len(st.w.ips) {
		st.t.Fatalf("%d addresses are leased, %d are in use", len(st.w.ips), len(ips))
	}
}

func fingerprint(w *World) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(w.hosts)) {
		h := w.hosts[name]
		var used resources
		for _, p := range h.pods {
			if p.holds {
				used.add(p.needs, 1)
			}
		}
		fmt.Fprintf(&b, "%s %s seq=%d since=%v armed=%v %v used=%v sum=%v\n", name, h.stage, h.seq, h.since.Sub(epoch), h.armed, h.at.Sub(epoch)*b2d(h.armed), show(h.used), show(used))
	}
	for _, key := range slices.SortedFunc(maps.Keys(w.pods), events.Key.Compare) {
		p := w.pods[key]
		since := p.since.Sub(epoch) * b2d(p.stage != podStuck && p.stage != podWaiting) // when it was tried last
		fmt.Fprintf(&b, "%s %s seq=%d since=%v armed=%v %v holds=%v\n", key, p.stage, p.seq, since, p.armed, p.at.Sub(epoch)*b2d(p.armed), p.holds)
	}
	for _, key := range slices.SortedFunc(maps.Keys(w.claims), events.Key.Compare) {
		c := w.claims[key]
		fmt.Fprintf(&b, "%s %s seq=%d armed=%v\n", key, c.stage, c.seq, c.armed)
	}
	for _, name := range slices.Sorted(maps.Keys(w.volumes)) {
		v := w.volumes[name]
		fmt.Fprintf(&b, "%s %s seq=%d armed=%v claim=%v\n", name, v.stage, v.seq, v.armed, v.claim != nil)
	}
	for _, key := range slices.SortedFunc(maps.Keys(w.users), events.Key.Compare) {
		fmt.Fprintf(&b, "%s used by %d\n", key, len(w.users[key]))
	}
	fmt.Fprintf(&b, "nodes=%d timers=%d", w.nodes, w.timers.Len())
	return b.String()
}

// show is what pods use of a host, and of its ports.
func show(r resources) string {
	var all []string
	for _, a := range r.amounts {
		if a.n != 0 {
			all = append(all, fmt.Sprint(a))
		}
	}
	for _, p := range r.ports {
		all = append(all, fmt.Sprint(p))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func b2d(b bool) time.Duration {
	if b {
		return 1
	}
	return 0
}

// line is a fact as kubectl would show it.
func (st *stand) line(e events.Event) string {
	st.t.Helper()
	head := fmt.Sprintf("%6.2fs %-13s %s", e.Stored.Sub(epoch).Seconds(), e.Type, events.RefOf(e).Key.Name)
	o, ok := e.Body.(events.Object)
	if !ok {
		return head
	}
	switch o.Kind {
	case events.PersistentVolumeClaim, events.PersistentVolume:
		return head + st.volumeLine(o)
	case events.Node:
		n := new(corev1.Node)
		if err := o.Decode(n); err != nil {
			st.t.Fatal(err)
		}
		var taints []string
		for _, t := range n.Spec.Taints {
			taints = append(taints, strings.TrimPrefix(t.Key, "node.kubernetes.io/")+":"+string(t.Effect))
		}
		return fmt.Sprintf("%s ready=%s taints=%v", head, ready(n), taints)
	}
	p := new(corev1.Pod)
	if err := o.Decode(p); err != nil {
		st.t.Fatal(err)
	}
	status := string(p.Status.Phase)
	if p.Status.Reason != "" {
		status += "(" + p.Status.Reason + ")"
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses) {
		if c.State.Waiting != nil {
			status += "/" + c.State.Waiting.Reason
		}
		if c.State.Terminated != nil {
			status += fmt.Sprintf("/%s(%d)", c.State.Terminated.Reason, c.State.Terminated.ExitCode)
		}
	}
	var conditions []string
	for _, c := range p.Status.Conditions {
		if text := string(c.Type); c.Type == corev1.PodReady || c.Type == corev1.PodScheduled {
			text += "=" + string(c.Status)
			if c.Reason != "" {
				text += "(" + c.Reason + ")"
			}
			if c.Reason == corev1.PodReasonUnschedulable {
				text += "\n          " + c.Message
			}
			conditions = append(conditions, text)
		}
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s node=%s restarts=%d %s", head, status, p.Spec.NodeName, restarts(p), strings.Join(conditions, " ")))
}

func (st *stand) node(name string) *corev1.Node {
	st.t.Helper()
	h := st.w.hosts[name]
	if h == nil || h.node == nil {
		st.t.Fatalf("no node %s", name)
	}
	n := new(corev1.Node)
	if err := (events.Object{Ref: h.ref, Data: h.node.data}).Decode(n); err != nil {
		st.t.Fatal(err)
	}
	return n
}

func (st *stand) pod(name string) *corev1.Pod {
	st.t.Helper()
	p := st.w.pods[events.Key{Namespace: "x", Name: name}]
	if p == nil {
		st.t.Fatalf("no pod %s", name)
	}
	return p.object().DeepCopy()
}

// newPod returns a pod as an executor makes it.
func (st *stand) newPod(name, on, image string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "x", UID: types.UID("uid-" + name), Generation: 1,
		CreationTimestamp: stamp(st.now)}}
	p.Spec.Containers = []corev1.Container{{Name: "c", Image: image}}
	p.Spec.Tolerations = daemonpod.Tolerations(&p.Spec)
	p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](30)
	p.Status.Phase = corev1.PodPending
	if on != "" {
		daemonpod.Pin(&p.Spec, on)
	}
	return p
}

// Conversations: what happens to nodes and pods, and what the world makes of it.
func TestConversations(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		st := newStand(t, Options{Join: Exactly(time.Second), Bind: Exactly(100 * time.Millisecond),
			Start: Exactly(time.Second), Stop: Exactly(500 * time.Millisecond), Run: time.Second})
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			st.t = t
			return st.converse(d)
		})
	})
}

func (st *stand) converse(d *datadriven.TestData) string {
	name := ""
	if len(d.CmdArgs) > 0 {
		name = d.CmdArgs[0].Key
	}
	switch d.Cmd {
	case "run":
		length, err := time.ParseDuration(name)
		if err != nil {
			d.Fatalf(st.t, "%v", err)
		}
		var lines []string
		for _, e := range st.run(length) {
			lines = append(lines, st.line(e))
		}
		if lines == nil {
			return "nothing"
		}
		return strings.Join(lines, "\n")
	case "node":
		n := NewNode(name, 0, 1)
		st.alterNode(n, d)
		st.put(events.Node, events.VerbCreated, n)
	case "change-node":
		n := st.node(name)
		st.alterNode(n, d)
		st.put(events.Node, events.VerbUpdated, n)
	case "drop-node":
		st.append("node.deleted", events.Gone{Ref: st.w.hosts[name].ref})
	case "pod":
		var on, image string
		d.MaybeScanArgs(st.t, "on", &on)
		image = "i:1"
		d.MaybeScanArgs(st.t, "image", &image)
		p := st.newPod(name, on, image)
		st.specify(p, d)
		st.alterPod(p, d)
		st.put(events.Pod, events.VerbCreated, p)
	case "change-pod":
		p := st.pod(name)
		st.specify(p, d)
		st.alterPod(p, d)
		st.put(events.Pod, events.VerbUpdated, p)
	case "drop-pod":
		st.append("pod.deleted", events.Gone{Ref: st.w.pods[events.Key{Namespace: "x", Name: name}].ref})
	default:
		return st.converseMore(d, name)
	}
	return "ok"
}

func (st *stand) alterPod(p *corev1.Pod, d *datadriven.TestData) {
	for _, a := range d.CmdArgs[1:] {
		switch a.Key {
		case "bound":
			p.Spec.NodeName = a.Vals[0]
		case "restart":
			p.Spec.RestartPolicy = corev1.RestartPolicy(a.Vals[0])
		case "scheduler":
			p.Spec.SchedulerName = a.Vals[0]
		case "gate":
			p.Spec.SchedulingGates = nil
			if a.Vals[0] != "none" {
				p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: a.Vals[0]}}
			}
		case "claims":
			for _, claim := range a.Vals {
				p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: claim, VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}})
			}
		case "wants":
			p.Spec.Affinity = wants(corev1.NodeSelectorRequirement{Key: a.Vals[0], Operator: corev1.NodeSelectorOpExists})
		case "tolerates":
			p.Spec.Tolerations = []corev1.Toleration{{Key: a.Vals[0], Operator: corev1.TolerationOpExists}}
		case "cpu", "memory":
			p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceName(a.Key): resource.MustParse(a.Vals[0])}
		case "probe":
			p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{InitialDelaySeconds: 3}
		case "selects":
			p.Spec.NodeSelector = map[string]string{a.Vals[0]: "true"}
		case "label":
			p.Labels = map[string]string{a.Vals[0]: "true"}
		case "finalizer":
			p.Finalizers = nil
			if a.Vals[0] != "none" {
				p.Finalizers = []string{a.Vals[0]}
			}
		case "deleted":
			p.DeletionTimestamp = ptr.To(metav1.NewTime(st.now.Add(30 * time.Second)))
			p.DeletionGracePeriodSeconds = ptr.To[int64](30)
			if a.Vals[0] == "now" {
				p.DeletionGracePeriodSeconds = ptr.To[int64](0)
			}
		}
	}
}

var _ drive.Party = (*World)(nil)
