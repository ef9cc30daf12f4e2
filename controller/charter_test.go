package controller_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/table"
)

var kubeAgent = events.Key{Namespace: "kube-system", Name: "agent"}

// charter folds a charter of a real cluster.
func (c *cluster) charter(m events.Mode) {
	c.fold(events.Event{Type: events.Chartered, Source: "kube", At: c.now, Body: events.Charter{Cluster: "ks", Version: "v1.36.3", Mode: m}})
}

// A log that is a record gets no plan, no revision and no status from anybody, and
// says so to whoever asks why; what would be decided can be asked for.
func TestShadowPlansNothing(t *testing.T) {
	c := newCluster(t)
	c.charter(events.Shadow)
	c.addNodes(2)
	c.apply(daemonSet("agent", "a:1", intstr.FromInt32(1)))
	r := controller.Reconcile(c.s, kubeAgent, c.now)
	if r.Plan != nil || len(r.Writes) > 0 || r.Status != nil {
		t.Errorf("decided %+v", r)
	}
	if cs, _ := controller.Due(c.s, kubeAgent, c.now); len(cs) > 0 {
		t.Errorf("due %v", cs)
	}
	if w := controller.Wish(c.s, kubeAgent, c.now); len(w.Writes) != 1 {
		t.Errorf("a revision would be written: %+v", w)
	}
	_, trace := controller.Explain(c.s, kubeAgent, c.now)
	var says []string
	for _, b := range trace.Blockers {
		says = append(says, b.String())
	}
	if got := strings.Join(says, "; "); got != "mode shadow; revision" {
		t.Errorf("explained by %s", got)
	}
	orphan := c.node(7)
	orphan.OwnerReferences = controllerless("gone")
	c.fold(c.object(events.Node, events.VerbCreated, orphan, events.Cause{}))
	if p := controller.PlanGC(c.s, c.now); p != nil {
		t.Errorf("the garbage collector plans %v", p.Commands)
	}
}

// A state that is read back knows what its log is about.
func TestKeyframeKeepsTheCharter(t *testing.T) {
	c := newCluster(t)
	c.charter(events.Control)
	c.addNodes(1)
	c.charter(events.Shadow)
	raw, err := c.s.Keyframe()
	if err != nil {
		t.Fatal(err)
	}
	s, err := projector.ReadKeyframe(raw, "bench", table.New(table.History{}))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Charter(); got == nil || got.Mode != events.Shadow || got.Cluster != "ks" {
		t.Errorf("charter %+v", got)
	}
}

func TestMay(t *testing.T) {
	do := func(v events.Verb, r events.Reason) events.Command { return events.Command{Do: v, Reason: r} }
	modes := []*events.Charter{nil, {Mode: events.Shadow}, {Mode: events.Rollouts}, {Mode: events.Control}, {Mode: events.Control, Collects: true}}
	for _, x := range []struct {
		c    events.Command
		want string // of each of modes
	}{
		{do(events.CreatePod, events.Missing), "y--yy"},
		{do(events.DeletePod, events.Rollout), "y-yyy"},
		{do(events.DeletePod, events.FailedPod), "y--yy"},
		{do(events.DeletePod, events.OwnerGone), "y---y"},
		{do(events.ReleasePod, events.OwnerGone), "y---y"},
		{do(events.ReleasePod, events.NotSelected), "y--yy"},
		{do(events.DeleteObject, events.NodeGone), "y---y"},
		{do(events.DisownObject, events.Orphaned), "y---y"},
		{do(events.FinalizeObject, events.Collected), "y---y"},
	} {
		got := ""
		for _, m := range modes {
			got += map[bool]string{true: "y", false: "-"}[controller.May(m, x.c)]
		}
		if got != x.want {
			t.Errorf("%s: %s, want %s", x.c, got, x.want)
		}
	}
}

// controllerless is an owner that is not there, and controls nothing.
func controllerless(name string) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: name, UID: types.UID(name)}}
}
