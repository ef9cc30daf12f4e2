package controller_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/wire"
)

// realCluster is one whose log is about a real one, with an agent rolled out on some
// nodes.
func realCluster(t *testing.T, nodes int) (*cluster, *appsv1.DaemonSet) {
	c := newCluster(t)
	c.charter(events.Control)
	c.addNodes(nodes)
	ds := daemonSet("agent", "a:1", intstr.FromInt32(1))
	ds.Annotations = map[string]string{daemonpod.GenerationAnnotation: "1"}
	ds.CreationTimestamp = metav1.NewTime(c.now)
	c.apply(ds)
	c.settle()
	c.done(kubeAgent, nodes)
	return c, ds
}

// due returns what is due for the agent, as text.
func (c *cluster) due() string {
	r := controller.Reconcile(c.s, kubeAgent, c.now)
	if r.Plan == nil {
		return ""
	}
	var cs []string
	for _, x := range r.Plan.Commands {
		cs = append(cs, fmt.Sprintf("%s %s %s", x.Do, x.Node, x.Reason))
	}
	return strings.Join(cs, ", ")
}

func (c *cluster) alter(p *corev1.Pod) {
	c.fold(c.object(events.Pod, events.VerbUpdated, p, events.Cause{}))
}

// pods returns the agent's pods.
func (c *cluster) pods() (ps []*corev1.Pod) {
	for p := range c.s.Pods() {
		pod := &corev1.Pod{}
		if err := p.Object.Decode(pod); err != nil {
			c.tb.Fatal(err)
		}
		ps = append(ps, pod)
	}
	return ps
}

// D1: a DaemonSet that is told gone before its pods are told ownerless, as an orphaning
// deletion may be heard of, has no pod deleted; nor has one that is being deleted. What
// comes after it under the name waits for the pods, and adopts them.
func TestOrphansOfARealCluster(t *testing.T) {
	c, ds := realCluster(t, 3)
	deleting := ds.DeepCopy()
	deleting.DeletionTimestamp, deleting.Finalizers = &metav1.Time{Time: c.now}, []string{metav1.FinalizerOrphanDependents}
	c.apply(deleting)
	if got := c.due(); got != "" {
		t.Errorf("while it is being deleted: %s", got)
	}
	c.fold(events.Event{Type: "daemonset.deleted", Body: events.Gone{Ref: events.RefFor(events.DaemonSet, ds)}})
	c.now = c.now.Add(300 * time.Millisecond)
	if r := controller.Reconcile(c.s, kubeAgent, c.now); r.Plan != nil || len(r.Writes) > 0 {
		t.Errorf("after it is gone: %v, %d writes", r.Plan, len(r.Writes))
	}
	again := daemonSet("agent", "a:1", intstr.FromInt32(1))
	again.UID = "uid-again"
	c.apply(again)
	c.reconcile(kubeAgent)
	c.reconcile(kubeAgent)
	if got := c.due(); got != "" {
		t.Errorf("before the pods are orphans: %s", got)
	}
	for _, p := range c.pods() {
		p.OwnerReferences = nil
		c.alter(p)
	}
	for _, rev := range c.s.RevisionsOf(kubeAgent.Namespace, ds.UID) {
		o := rev.Object.DeepCopy()
		o.OwnerReferences = nil
		c.fold(c.object(events.ControllerRevision, events.VerbUpdated, o, events.Cause{}))
	}
	c.check(t)
	for _, w := range controller.Reconcile(c.s, kubeAgent, c.now).Writes {
		e, err := w.Entry(c.subjects)
		if err != nil {
			t.Fatal(err)
		}
		c.fold(e.Event)
	}
	if got := c.due(); got != "AdoptPod node-00000 Selected, AdoptPod node-00001 Selected, AdoptPod node-00002 Selected" {
		t.Errorf("then: %s", got)
	}
	if p := controller.PlanGC(c.s, c.now.Add(time.Hour)); p != nil {
		t.Errorf("collected: %v", p.Commands)
	}
}

// D2: a revision whose data is not the template, by a default that an upgrade has
// added, does not make the pods of that template old, as long as they say of which
// generation of it they are; but pods of an earlier DaemonSet of the name are old.
func TestTemplateGenerationOfARealCluster(t *testing.T) {
	c, ds := realCluster(t, 2)
	next := ds.DeepCopy()
	next.Generation++
	next.Spec.Template.Spec.Containers[0].TerminationMessagePath = "/dev/other" // as if a new default
	c.apply(next)
	c.reconcile(kubeAgent) // makes the revision
	if got := c.due(); got != "" {
		t.Errorf("an upgrade replaces %s", got)
	}
	c.check(t)
	ahead := c.pods()[0]
	ahead.Labels[daemonpod.GenerationLabel], ahead.Labels[daemonpod.RevisionLabel] = "2", "unheard"
	c.alter(ahead)
	if got := c.due(); got != "" {
		t.Errorf("a pod that is told before its template is replaced: %s", got)
	}
	next = next.DeepCopy()
	next.Annotations[daemonpod.GenerationAnnotation] = "2"
	c.apply(next)
	c.check(t)
	if got := c.due(); got != "DeletePod node-00001 Rollout" && got != "DeletePod node-00000 Rollout" {
		t.Errorf("a new template replaces %s", got)
	}
	old := c.pods()[1]
	for _, p := range c.pods() {
		if p.Labels[daemonpod.RevisionLabel] != "unheard" {
			old = p
		}
	}
	old.Labels[daemonpod.GenerationLabel] = "2"
	old.CreationTimestamp = metav1.NewTime(ds.CreationTimestamp.Add(-time.Hour))
	c.alter(old)
	c.check(t)
	if got := c.due(); !strings.Contains(got, "Rollout") {
		t.Errorf("a pod of an earlier DaemonSet is spared: %q", got)
	}
}

// D3: what is made and comes back without what the DaemonSet knows it by is not made
// again, and the status says what it is.
func TestAlteredPodsOfARealCluster(t *testing.T) {
	for what, alter := range map[string]func(*corev1.Pod){
		"its label controller-revision-hash": func(p *corev1.Pod) { p.Labels = map[string]string{"app": "agent"} },
		"its owner":                          func(p *corev1.Pod) { p.OwnerReferences[0].UID = "another" },
		"the node that it is made for":       func(p *corev1.Pod) { p.Spec.Affinity = nil },
	} {
		c, ds := realCluster(t, 3)
		next := ds.DeepCopy()
		next.Generation, next.Annotations[daemonpod.GenerationAnnotation] = 2, "2"
		image("a:2")(next)
		c.apply(next)
		c.reconcile(kubeAgent)
		for c.due() != "" && !strings.HasPrefix(c.due(), "CreatePod") {
			c.reconcile(kubeAgent)
			for _, e := range c.facts {
				c.fold(e)
			}
			c.facts = nil
		}
		r := controller.Reconcile(c.s, kubeAgent, c.now)
		c.fold(controller.PlanEntry(r.Plan, c.subjects, 0).Event)
		d := c.s.DaemonSet(kubeAgent)
		pod := daemonpod.New(d.Object, &d.Object.Spec.Template, r.Plan.Commands[0], c.now)
		pod.UID = "the server's"
		alter(pod)
		c.fold(c.object(events.Pod, events.VerbCreated, pod, events.Cause{Seq: c.seq}))
		c.check(t)
		before := len(c.s.DaemonSet(kubeAgent).Guard.Altered)
		if before == 0 || c.s.DaemonSet(kubeAgent).Guard.Altered != what {
			t.Fatalf("%s: altered is %q", what, c.s.DaemonSet(kubeAgent).Guard.Altered)
		}
		c.fold(events.Event{Type: "pod.deleted", Body: events.Gone{Ref: events.RefFor(events.Pod, pod)}})
		r = controller.Reconcile(c.s, kubeAgent, c.now)
		if got := c.due(); strings.Contains(got, "CreatePod") {
			t.Errorf("%s: made again at once: %s", what, got)
		}
		if says := c.stalled(r); !strings.Contains(says, "Altered: of the last pod that was made, "+what) {
			t.Errorf("%s: the status says %q", what, says)
		}
		c.now = c.now.Add(16 * time.Minute)
		if got := c.due(); strings.Count(got, "CreatePod") != 1 {
			t.Errorf("%s: tried again by %q", what, got)
		}
	}
}

// stalled returns reason and message of the condition Stalled if it is true now, or will
// be when a decision is written.
func (c *cluster) stalled(r controller.Result) string {
	ds := c.s.DaemonSet(kubeAgent).Object
	if r.Status != nil {
		ds = r.Status.Object.(*appsv1.DaemonSet)
	}
	for _, x := range ds.Status.Conditions {
		if x.Type == controller.ConditionStalled && x.Status == corev1.ConditionTrue {
			return x.Reason + ": " + x.Message
		}
	}
	return ""
}

// D3, in general: whoever undoes each step of a rollout is not fought for ever.
func TestLoopsOfARealCluster(t *testing.T) {
	c, ds := realCluster(t, 2)
	next := ds.DeepCopy()
	next.Generation, next.Annotations[daemonpod.GenerationAnnotation] = 2, "2"
	image("a:2")(next)
	c.apply(next)
	deleted := 0
	for range 20 { // somebody puts an old pod in the place of each new one
		c.now = c.now.Add(20 * time.Second)
		c.reconcile(kubeAgent)
		for _, e := range c.facts {
			if o, ok := e.Body.(events.Object); ok && o.Kind == events.Pod {
				pod := &corev1.Pod{}
				if err := o.Decode(pod); err != nil {
					t.Fatal(err)
				}
				if pod.DeletionTimestamp == nil {
					pod.Labels = map[string]string{"app": "agent"}
					e = c.object(events.Pod, strings.TrimPrefix(string(e.Type), "pod."), pod, e.Cause)
				}
			} else {
				deleted++
			}
			c.fold(e)
		}
		c.facts = nil
		c.check(t)
	}
	if deleted > 6 {
		t.Errorf("%d pods were deleted on two nodes", deleted)
	}
	if says := c.stalled(controller.Reconcile(c.s, kubeAgent, c.now)); says == "" {
		t.Error("the status does not say so")
	}
}

// A rollout whose deletions are refused, as by a PodDisruptionBudget, takes no pod: it is
// no loop, however often it is tried, and goes on when it may.
func TestRefusedRolloutsOfARealCluster(t *testing.T) {
	c, ds := realCluster(t, 1)
	next := ds.DeepCopy()
	next.Generation, next.Annotations[daemonpod.GenerationAnnotation] = 2, "2"
	image("a:2")(next)
	c.apply(next)
	c.reconcile(kubeAgent)
	for _, e := range c.facts {
		c.fold(e)
	}
	c.facts = nil
	began := c.now
	for i := range 6 {
		r := controller.Reconcile(c.s, kubeAgent, c.now)
		if r.Plan == nil || len(r.Plan.Commands) != 1 || r.Plan.Commands[0].Reason != events.Rollout {
			t.Fatalf("try %d: %+v, held %v", i, r.Plan, r.Held)
		}
		c.fold(controller.PlanEntry(r.Plan, c.subjects, 0).Event)
		c.fold(events.Event{Type: events.Failed, Cause: events.Cause{Seq: c.seq}, Body: events.Outcome{Owner: r.Plan.Owner, Command: r.Plan.Commands[0], Reason: "DisruptionBudget", Message: "no"}})
		c.check(t)
		r = controller.Reconcile(c.s, kubeAgent, c.now)
		if got := c.due(); got != "" || r.RequeueAt.IsZero() {
			t.Fatalf("try %d: at once again: %s", i, got)
		}
		c.now = r.RequeueAt
	}
	if took := c.now.Sub(began); took > 2*time.Minute {
		t.Errorf("six tries are %s apart", took)
	}
}

// D4: pods that are bound to a node which is gone are left to the cluster. A node that
// comes back under the name has them, and one that nobody has bound is deleted when the
// node has had the time to be told of.
func TestNodesOfARealCluster(t *testing.T) {
	c, _ := realCluster(t, 2)
	gone := func() {
		n := c.node(0)
		n.UID = c.s.Node(n.Name).UID
		c.fold(events.Event{Type: "node.deleted", Body: events.Gone{Ref: events.RefFor(events.Node, n)}})
		c.check(t)
	}
	gone()
	c.now = c.now.Add(time.Hour)
	if got := c.due(); got != "" {
		t.Errorf("the node is gone: %s", got)
	}
	back := c.node(0)
	back.UID = "uid-back"
	c.fold(c.object(events.Node, events.VerbCreated, back, events.Cause{}))
	c.check(t)
	if got := c.due(); got != "" {
		t.Errorf("the node is back: %s", got)
	}
	c.done(kubeAgent, 2)
	pod := c.pods()[0]
	for _, p := range c.pods() {
		if p.Spec.NodeName == back.Name {
			pod = p
		}
	}
	c.fold(events.Event{Type: "pod.deleted", Body: events.Gone{Ref: events.RefFor(events.Pod, pod)}})
	pod.UID, pod.Spec.NodeName = "unbound", ""
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
	c.alter(pod)
	gone()
	if got := c.due(); got != "" {
		t.Errorf("an unbound pod, at once: %s", got)
	}
	c.now = c.now.Add(2 * time.Minute)
	if got := c.due(); got != "DeletePod node-00000 NodeGone" {
		t.Errorf("an unbound pod, later: %q", got)
	}
}

// A template with a field that this version does not know is left alone, and that is
// said; a plan says when it begins and when it ends.
func TestSkewOfARealCluster(t *testing.T) {
	c, ds := realCluster(t, 2)
	next := ds.DeepCopy()
	next.Generation++
	image("a:2")(next)
	e := c.object(events.DaemonSet, events.VerbUpdated, next, events.Cause{})
	var tree map[string]any
	o := e.Body.(events.Object)
	if err := wire.Unmarshal(o.Data, &tree); err != nil {
		t.Fatal(err)
	}
	spec := tree["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	spec["containers"].([]any)[0].(map[string]any)["quantumTunnel"] = true
	data, err := wire.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	o.Data = data
	e.Body = o
	c.fold(e)
	r := controller.Reconcile(c.s, kubeAgent, c.now)
	if r.Plan == nil || len(r.Plan.Commands) > 0 || len(r.Writes) > 0 || fmt.Sprint(r.Plan.Held) != "[{skew 2}]" {
		t.Fatalf("decided %+v", r)
	}
	if says := c.stalled(r); !strings.HasPrefix(says, "Skew: template.spec.containers.quantumTunnel ") {
		t.Errorf("the status says %q", says)
	}
	_, trace := controller.Explain(c.s, kubeAgent, c.now)
	if len(trace.Blockers) != 1 || trace.Blockers[0].String() != "skew spec.containers.quantumTunnel" {
		t.Errorf("explained by %v", trace.Blockers)
	}
	c.fold(controller.PlanEntry(r.Plan, c.subjects, 0).Event)
	if r = controller.Reconcile(c.s, kubeAgent, c.now); r.Plan != nil {
		t.Errorf("said again: %+v", r.Plan)
	}
	c.apply(next)
	if r = controller.Reconcile(c.s, kubeAgent, c.now); len(r.Writes) != 1 {
		t.Errorf("without it nothing is done: %+v", r)
	}
}

// An annotation of rollcall's that cannot be read is refused by rollcall's own server, and
// taken by that of a real cluster. Whoever has written it means to hold something back: old
// pods stay, missing ones are made, and it is said which it is.
func TestAnnotationsThatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct{ key, value, says string }{
		"partition": {events.AnnotationPartition, "-3", `rollcall/partition takes a whole number of nodes or a percentage, such as 2 or 20%: it cannot be "-3"`},
		"canary":    {events.AnnotationCanary, "a=b=c", `rollcall/canary-selector takes a label selector`},
		"paused":    {events.AnnotationPaused, "True", `rollcall/paused takes true or false: it cannot be "True"`},
		"budget":    {events.AnnotationBudget, "Strict", "rollcall/budget takes default, strict or upstream"},
		"no such":   {"rollcall/pause", "true", "rollcall/pause: no DaemonSet has such an annotation; did you mean rollcall/paused?"},
	} {
		t.Run(name, func(t *testing.T) {
			r, ds := realCluster(t, 2)
			next := ds.DeepCopy()
			next.Generation++
			next.Annotations[daemonpod.GenerationAnnotation] = "2"
			next.Annotations[c.key] = c.value
			next.Spec.Template.Spec.Containers[0].Image = "a:2"
			r.apply(next)
			r.reconcile(kubeAgent)
			r.settle()
			if got := r.due(); got != "" {
				t.Errorf("due: %s", got)
			}
			_, trace := controller.Explain(r.s, kubeAgent, r.now)
			if i := slices.IndexFunc(trace.Blockers, func(b controller.Blocker) bool { return b.Rule == controller.Rule(events.HeldPaused) }); i < 0 || !strings.Contains(trace.Blockers[i].Says, c.says) {
				t.Errorf("explained by %v", trace.Blockers)
			}
			r.now = r.now.Add(time.Hour)
			st := controller.Reconcile(r.s, kubeAgent, r.now).Status
			if st == nil || !strings.Contains(fmt.Sprint(st.Object.(*appsv1.DaemonSet).Status.Conditions), c.says) || strings.Contains(fmt.Sprint(st.Object.(*appsv1.DaemonSet).Status.Conditions), "ProgressDeadlineExceeded") {
				t.Errorf("status %+v", st)
			}
			mended := next.DeepCopy()
			delete(mended.Annotations, c.key)
			r.apply(mended)
			if got := r.due(); !strings.Contains(got, "DeletePod") {
				t.Errorf("when it is mended: %q", got)
			}
		})
	}
}
