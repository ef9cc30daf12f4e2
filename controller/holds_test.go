package controller_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector/sets"
)

// told folds what a source tells about a hold.
func (c *cluster) told(body events.Body) {
	c.tb.Helper()
	e := events.Event{Type: events.HoldLifted, Source: "gate", At: c.now, Body: body}
	owner := ""
	switch b := body.(type) {
	case events.Hold:
		owner, e.Type = b.Owner, events.HoldPlaced
	case events.Lifted:
		owner = b.Owner
	}
	e.Told = &events.Told{Source: owner, ID: fmt.Sprint(c.seq), Type: string(e.Type)}
	e.ID = events.ToldID(owner, "", e.Told.ID)
	quarantined, _ := c.s.Quarantined()
	c.fold(e)
	if n, last := c.s.Quarantined(); n > quarantined {
		c.tb.Fatalf("%+v", last)
	}
}

// hold places a hold of the source alerts for a while.
func (c *cluster) hold(name string, of events.Select, lasts time.Duration) events.Hold {
	c.tb.Helper()
	h := events.Hold{Owner: "alerts", Name: name, Reason: "too many errors", Select: of, Until: c.now.Add(lasts)}
	c.told(h)
	return h
}

// conditionOf returns a condition that a reconcile asks to be written, or that
// is there if it asks for none.
func (c *cluster) conditionOf(t appsv1.DaemonSetConditionType) (is appsv1.DaemonSetCondition) {
	st := c.s.DaemonSet(agent).Object.Status
	if w := controller.Reconcile(c.s, agent, c.now).Status; w != nil {
		st = w.Object.(*appsv1.DaemonSet).Status
	}
	if i := slices.IndexFunc(st.Conditions, func(x appsv1.DaemonSetCondition) bool { return x.Type == t }); i >= 0 {
		is = st.Conditions[i]
	}
	return is
}

func ofAgent() events.Select { return events.Select{DaemonSets: []events.Key{agent}} }

// rolledOut returns a cluster whose DaemonSet is on all nodes.
func rolledOut(t *testing.T, nodes int, edit func(*appsv1.DaemonSet)) *cluster {
	c := newCluster(t)
	c.addNodes(nodes)
	ds := daemonSet("agent", "agent:v1", intstr.FromInt32(2))
	ds.Labels = map[string]string{"team": "edge"}
	if edit != nil {
		edit(ds)
	}
	c.apply(ds)
	c.settle()
	c.done(agent, nodes)
	c.now = c.now.Add(time.Minute)
	return c
}

func surge(ds *appsv1.DaemonSet) {
	none, some := intstr.FromInt32(0), intstr.FromInt32(2)
	ds.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &none, MaxSurge: &some}
}

// TestHoldStopsRollout: a hold on a DaemonSet, by name, namespace or label, stops
// each step of its rollout, also beside old pods; says so; and ends by itself,
// without an event.
func TestHoldStopsRollout(t *testing.T) {
	for name, of := range map[string]events.Select{
		"name": ofAgent(), "namespace": {Namespaces: []string{"default", "kube-system"}}, "labels": {Labels: "team in (edge)"}} {
		for how, edit := range map[string]func(*appsv1.DaemonSet){"in place": nil, "surge": surge} {
			t.Run(name+" "+how, func(t *testing.T) {
				c := rolledOut(t, 6, edit)
				h := c.hold("errors", of, 20*time.Minute)
				c.change(image("v2"))
				c.settle()
				c.check(t)
				if got := c.updated(); len(got) > 0 {
					t.Fatalf("%v are updated", got)
				}
				c.heldTold(t, h)
				before := controller.Reconcile(c.s, agent, h.Until.Add(-time.Nanosecond))
				if !before.RequeueAt.Equal(h.Until) || before.Plan != nil {
					t.Errorf("before its end: again at %s, %+v", before.RequeueAt, before.Plan)
				}
				c.now = h.Until
				c.heldNoMore(t)
				c.reconcile(agent)
				c.settle()
				c.check(t)
				c.done(agent, 6)
			})
		}
	}
}

// heldTold checks what is told of a hold on the whole DaemonSet.
func (c *cluster) heldTold(t *testing.T, h events.Hold) {
	t.Helper()
	r := controller.Reconcile(c.s, agent, c.now)
	if want := []events.WaitCount{{For: events.HeldHold, Nodes: 6}}; !slices.Equal(r.Held, want) {
		t.Errorf("held %v, want %v", r.Held, want)
	}
	for _, w := range r.Waiting {
		if w.For != events.HeldHold || w.By != "alerts/errors" || !w.Until.Equal(h.Until) {
			t.Errorf("waits %+v", w)
		}
	}
	c.now = h.Until.Add(-time.Minute) // longer than the progress deadline
	held, stalled := c.conditionOf(controller.ConditionHeld), c.conditionOf(controller.ConditionStalled)
	says := "alerts/errors until " + h.Until.UTC().Format(time.RFC3339) + ": too many errors"
	if held.Status != corev1.ConditionTrue || held.Reason != "Held" || !strings.Contains(held.Message, says) {
		t.Errorf("%+v", held)
	}
	if p := c.progressing(); p.Reason != "Held" || p.Status != corev1.ConditionTrue || !strings.Contains(p.Message, "held by "+says) || stalled.Status != corev1.ConditionFalse {
		t.Errorf("%+v, %+v", p, stalled)
	}
	_, trace := controller.Explain(c.s, agent, c.now)
	if n := len(trace.Blockers); n != 6 {
		t.Errorf("%d blockers", n)
	}
	for _, b := range trace.Blockers {
		if b.Rule != controller.Rule(events.HeldHold) || b.Says != "alerts/errors: too many errors" || !b.Until.Equal(h.Until) || b.Placed != c.s.Hold("alerts", "errors").Seq {
			t.Errorf("%+v", b)
		}
	}
}

// heldNoMore checks what is told when all holds have ended, though no event has
// told so.
func (c *cluster) heldNoMore(t *testing.T) {
	t.Helper()
	if held := c.conditionOf(controller.ConditionHeld); held.Status != corev1.ConditionFalse || held.Reason != "NotHeld" {
		t.Errorf("%+v", held)
	}
	if p := c.progressing(); p.Reason != "RollingOut" {
		t.Errorf("%+v", p)
	}
	if r := controller.Reconcile(c.s, agent, c.now); r.Plan == nil || len(r.Plan.Commands) != 2 {
		t.Errorf("%+v", r.Plan)
	}
}

// TestHoldLeavesTheRest: under a hold missing pods are made, unwanted and failed
// ones are deleted, and a surge that has begun ends, as under rollcall/paused.
func TestHoldLeavesTheRest(t *testing.T) {
	for name, of := range map[string]events.Select{"DaemonSet": ofAgent(), "nodes": {NodeLabels: "kubernetes.io/hostname"}} {
		t.Run(name, func(t *testing.T) {
			c := rolledOut(t, 4, nil)
			c.hold("errors", of, 20*time.Minute)
			c.change(image("v2"))
			c.settle()
			pod := c.pod("node-00000")
			pod.Status.Phase = corev1.PodFailed
			c.fold(c.object(events.Pod, events.VerbUpdated, pod, events.Cause{}))
			c.fold(events.Event{Type: "pod.deleted", Body: events.Gone{Ref: events.RefFor(events.Pod, c.pod("node-00001"))}})
			n := c.node(2)
			n.Spec.Taints = []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoExecute}}
			c.fold(c.object(events.Node, events.VerbUpdated, n, events.Cause{}))
			c.settle()
			c.now = c.now.Add(2 * time.Second) // the pause after a failure
			c.reconcile(agent)
			c.settle()
			c.check(t)
			if got, want := c.updated(), []string{"node-00000", "node-00001"}; !slices.Equal(got, want) {
				t.Errorf("updated %v, want %v", got, want)
			}
			if n := len(slices.Collect(c.s.Pods())); n != 3 {
				t.Errorf("%d pods", n)
			}
		})
	}
	c := rolledOut(t, 3, surge)
	c.change(func(ds *appsv1.DaemonSet) {
		image("v2")(ds)
		ds.Spec.MinReadySeconds = 10
	})
	for range 12 { // until new pods run beside old ones
		for _, k := range c.takeTouched() {
			c.reconcile(k)
		}
		if len(c.facts) > 0 {
			c.fold(c.facts[0])
			c.facts = c.facts[1:]
		}
	}
	begun := c.s.DaemonSet(agent).Counts.Surging
	c.hold("errors", ofAgent(), time.Hour)
	c.settle()
	c.now = c.now.Add(time.Minute)
	c.reconcile(agent)
	c.settle()
	c.check(t)
	if got := len(c.updated()); begun == 0 || got != begun {
		t.Errorf("%d of %d surges that had begun have ended", got, begun)
	}
}

// pod returns the pod of a node.
func (c *cluster) pod(node string) *corev1.Pod {
	for p := range c.s.Pods() {
		if p.Node == node {
			pod := &corev1.Pod{}
			if err := p.Object.Decode(pod); err != nil {
				c.tb.Fatal(err)
			}
			return pod
		}
	}
	c.tb.Fatalf("no pod on %s", node)
	return nil
}

// TestHoldOnNodes: a hold on nodes holds these, for the DaemonSets that it
// selects; the rollout goes on elsewhere, is not stalled when it has reached
// everything else, and goes on when the last hold ends.
func TestHoldOnNodes(t *testing.T) {
	for name, of := range map[string]events.Select{
		"names": {Nodes: []string{"node-00001", "node-00004", "not-there"}}, "labels": {NodeLabels: "topology.kubernetes.io/zone=zone-1", Namespaces: []string{"kube-system"}}} {
		t.Run(name, func(t *testing.T) {
			c := rolledOut(t, 6, nil)
			h := c.hold("zone", of, 30*time.Minute)
			other := c.hold("other", events.Select{Nodes: []string{"node-00004"}, Labels: "team!=edge"}, 40*time.Minute)
			c.change(image("v2"))
			c.settle()
			c.check(t)
			if got, want := c.updated(), []string{"node-00000", "node-00002", "node-00003", "node-00005"}; !slices.Equal(got, want) {
				t.Fatalf("updated %v, want %v", got, want)
			}
			c.now = c.now.Add(20 * time.Minute)
			held, p := c.conditionOf(controller.ConditionHeld), c.progressing()
			if held.Reason != "NodesHeld" || !strings.HasPrefix(held.Message, "2 nodes held: node-00001 by alerts/zone until ") || p.Reason != "Held" || p.Status != corev1.ConditionTrue {
				t.Errorf("%+v, %+v", held, p)
			}
			c.change(func(ds *appsv1.DaemonSet) { ds.Labels["team"] = "core" })
			c.check(t)
			if cell := c.s.DaemonSet(agent).Cell(sets.CellKey{Node: "node-00004", NodeUID: "uid-node-00004"}); cell.Hold.Name != other.Name {
				t.Errorf("held by %s", cell.Hold.ID())
			}
			c.settle()
			c.now = h.Until
			c.reconcile(agent)
			c.settle()
			c.check(t)
			if got := c.updated(); len(got) != 5 || slices.Contains(got, "node-00004") {
				t.Errorf("updated %v", got)
			}
			c.told(events.Lifted{Owner: other.Owner, Name: other.Name})
			c.settle()
			c.check(t)
			c.done(agent, 6)
			if held := c.conditionOf(controller.ConditionHeld); held.Status != corev1.ConditionFalse {
				t.Errorf("%+v", held)
			}
		})
	}
}

// TestHoldOnNodesDoesNotHideAStall: a rollout that is stuck where nobody holds it
// is stalled.
func TestHoldOnNodesDoesNotHideAStall(t *testing.T) {
	c := rolledOut(t, 3, func(ds *appsv1.DaemonSet) {
		ds.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = new(intstr.FromInt32(1))
	})
	c.hold("one", events.Select{Nodes: []string{"node-00000"}}, time.Hour)
	c.change(image("v2"))
	c.settle()
	c.podOn("node-00001", func(*corev1.Pod) {})
	c.settle()
	c.now = c.now.Add(11 * time.Minute)
	if s := c.conditionOf(controller.ConditionStalled); s.Status != corev1.ConditionTrue {
		t.Errorf("%+v, %+v", s, c.progressing())
	}
}

// TestHoldInTheFold: a hold that is placed again replaces the one of its name, one
// that is over holds nothing, and new nodes and DaemonSets are held by those that
// stand.
func TestHoldInTheFold(t *testing.T) {
	c := rolledOut(t, 3, nil)
	zone := events.Select{NodeLabels: "topology.kubernetes.io/zone=zone-0"}
	c.hold("zone", zone, time.Minute)
	c.hold("zone", events.Select{Nodes: []string{"node-00001"}}, 10*time.Minute)
	c.hold("brief", zone, time.Nanosecond)
	c.hold("set", events.Select{DaemonSets: []events.Key{{Namespace: "kube-system", Name: "later"}}}, time.Hour)
	c.fold(c.object(events.Node, events.VerbCreated, c.node(3), events.Cause{}))
	c.apply(daemonSet("later", "later:v1", intstr.FromInt32(1)))
	c.check(t)
	var holds []string
	for _, h := range c.s.Holds() {
		holds = append(holds, h.ID())
	}
	if want := []string{"alerts/brief", "alerts/set", "alerts/zone"}; !slices.Equal(holds, want) {
		t.Errorf("holds %v, want %v", holds, want)
	}
	later := c.s.DaemonSet(events.Key{Namespace: "kube-system", Name: "later"})
	if len(later.Holds()) != 1 || len(later.NodeHolds()) != 2 {
		t.Errorf("%d holds, %d of nodes", len(later.Holds()), len(later.NodeHolds()))
	}
	c.now = c.now.Add(10 * time.Minute)
	c.fold(c.object(events.Node, events.VerbCreated, c.node(4), events.Cause{}))
	c.check(t)
	if hs := c.s.Holds(); len(hs) != 1 || hs[0].Name != "set" {
		t.Errorf("holds %v", hs)
	}
}
