package simtest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// users are the people: they add and drain nodes, and apply manifests.
type users struct {
	made     int                 // objects so far, for uids
	versions map[string][]string // images that a DaemonSet has had
}

const namespace = "default"

// begin makes the nodes and DaemonSets of a history.
func (h *History) begin() {
	h.calm = true
	for i := range h.cfg.nodes {
		h.users.addNode(h, fmt.Sprintf("n%02d", i))
	}
	for i := range h.cfg.sets {
		h.users.createSet(h, setName(i))
	}
	h.calm = false
}

func setName(i int) string { return string(rune('a' + i)) }

func (c *users) uid(of, name string) types.UID {
	c.made++
	return types.UID(fmt.Sprintf("%s-%s-%d", of, name, c.made))
}

// tell appends that an object is now so, or gone, fenced by what it was.
func (h *History) tell(source string, k events.Kind, verb string, o metav1.Object) {
	body, x := object(k, o), events.Expect{}
	e := events.Event{ID: h.id(), Type: events.ObjectType(k, verb), Source: source, At: h.now, Body: body}
	if verb == events.VerbDeleted {
		e.Body = events.Gone(body)
	}
	if verb != events.VerbCreated {
		x.Subject = h.subjects.Object(k, body.Key)
		x.Last = h.ends[x.Subject]
	}
	_, _ = h.append(x, e) // what a fault swallows has not happened
}

// turn does one thing that people do.
func (c *users) turn(h *History) {
	r := h.whims
	if h.cfg.has(faultDelete) && r.IntN(12) == 0 && c.deleteWhileCreating(h) {
		return
	}
	switch p := r.IntN(100); {
	case p < 36:
		c.changeSet(h)
	case p < 44:
		if h.cfg.has(faultDelete) {
			c.deleteOrCreate(h)
		}
	case p < 72:
		c.changeNode(h)
	case p < 84:
		if h.cfg.has(faultHands) {
			c.touchPod(h)
		}
	case p < 88:
		if h.cfg.has(faultQuota) {
			h.kubelets.quota = h.now.Add(time.Duration(1+r.IntN(10)) * time.Second)
		}
	case p < 92 && len(h.model.nodes) < h.cfg.nodes+3:
		if h.cfg.has(faultChurn) {
			c.addNode(h, fmt.Sprintf("n%02d", r.IntN(h.cfg.nodes+6)))
		}
	}
}

func (c *users) addNode(h *History, name string) {
	if _, there := h.model.nodes[name]; there {
		return
	}
	again := slices.ContainsFunc(h.entries, func(e entry) bool {
		return e.Type == events.ObjectType(events.Node, events.VerbDeleted) && events.RefOf(e.Event).Key.Name == name
	})
	if again && h.rolling() {
		h.seen.add(seenReaddWhileRolling)
	}
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: c.uid("node", name),
		CreationTimestamp: metav1.NewTime(h.now.Truncate(time.Second)),
		Labels:            map[string]string{"zone": []string{"x", "y"}[h.whims.IntN(2)], events.LabelSimulated: fmt.Sprint(h.whims.IntN(2) == 0)}}}
	setNodeReady(n, true)
	h.tell("user", events.Node, events.VerbCreated, n)
}

func setNodeReady(n *corev1.Node, ready bool) {
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status(ready)}}
}

func pick[T any](h *History, of ...T) T { return of[h.whims.IntN(len(of))] }

// changeNode deletes, labels, taints, cordons, loses or finds a node.
func (c *users) changeNode(h *History) {
	names := sortedKeys(h.model.nodes, strings.Compare)
	if len(names) == 0 {
		return
	}
	was := h.model.nodes[pick(h, names...)]
	n := was.DeepCopy()
	switch p := h.whims.IntN(100); {
	case p < 15 && h.cfg.has(faultChurn):
		h.tell("user", events.Node, events.VerbDeleted, n)
		if h.whims.IntN(3) == 0 {
			c.addNode(h, n.Name) // a machine was replaced
		}
		return
	case p < 25 && h.cfg.has(faultLabels):
		n.Labels = map[string]string{"zone": pick(h, "x", "y")}
	case p < 60 && h.cfg.has(faultTaints):
		c.toggle(n, corev1.Taint{Key: pick(h, "k1", "k2"),
			Effect: pick(h, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute, corev1.TaintEffectPreferNoSchedule)})
	case p < 70 && h.cfg.has(faultTaints):
		n.Spec.Unschedulable = !n.Spec.Unschedulable
		c.toggle(n, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
	case p < 100 && h.cfg.has(faultDown):
		c.lose(h, n)
	}
	h.tell("user", events.Node, events.VerbUpdated, n)
	if down(n) != down(was) {
		h.kubelets.nodeTurned(h, n)
	}
}

// toggle sets a taint or takes it away.
func (c *users) toggle(n *corev1.Node, t corev1.Taint) {
	i := slices.IndexFunc(n.Spec.Taints, func(x corev1.Taint) bool { return x == t })
	if i >= 0 {
		n.Spec.Taints = slices.Delete(n.Spec.Taints, i, i+1)
		return
	}
	n.Spec.Taints = append(n.Spec.Taints, t)
}

// lose makes a node unreachable, or reachable again.
func (c *users) lose(h *History, n *corev1.Node) {
	back := down(n)
	setNodeReady(n, back)
	c.toggle(n, corev1.Taint{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute})
	if back {
		n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeNotReady })
	} else if h.whims.IntN(2) == 0 {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoExecute})
	}
}

// nodeTurned tells the readiness of a lost or found node's pods.
func (k *kubelets) nodeTurned(h *History, n *corev1.Node) {
	for _, key := range sortedKeys(h.model.pods, events.Key.Compare) {
		p := h.model.pods[key]
		if p.Spec.NodeName != n.Name || p.Status.Phase != corev1.PodRunning || !isReady(p.Pod) {
			continue
		}
		pod := p.DeepCopy()
		setReady(pod, false, h.now)
		h.tell("user", events.Pod, events.VerbUpdated, pod)
	}
}

// createSet makes a DaemonSet of that name, if there is none.
func (c *users) createSet(h *History, name string) {
	if _, there := h.model.named[events.Key{Namespace: namespace, Name: name}]; there {
		return
	}
	labels := map[string]string{"app": name}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: c.uid("ds", name),
		CreationTimestamp: metav1.NewTime(h.now.Truncate(time.Second)), Generation: 1, Annotations: map[string]string{}},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "app:v1"}}}}}}
	if had := c.versions[name]; len(had) > 0 && h.whims.IntN(2) == 0 {
		ds.Spec.Template.Spec.Containers[0].Image = had[len(had)-1]
	}
	c.versions[name] = append(c.versions[name], ds.Spec.Template.Spec.Containers[0].Image)
	c.setStrategy(h, ds)
	if h.whims.IntN(2) == 0 {
		ds.Spec.MinReadySeconds = int32(1 + h.whims.IntN(15))
	}
	if h.cfg.has(faultSettings) {
		c.annotate(h, ds)
	}
	daemonpod.SetDaemonSetDefaults(ds)
	h.tell("user", events.DaemonSet, events.VerbCreated, ds)
}

// setStrategy draws an update strategy.
func (c *users) setStrategy(h *History, ds *appsv1.DaemonSet) {
	s := appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType}
	amount := func() *intstr.IntOrString {
		v := intstr.FromInt32(int32(1 + h.whims.IntN(4)))
		if h.whims.IntN(2) == 0 {
			v = intstr.FromString(pick(h, "1%", "20%", "34%", "50%", "100%"))
		}
		return &v
	}
	zero := intstr.FromInt32(0)
	switch p := h.whims.IntN(10); {
	case p < 1:
		s.Type = appsv1.OnDeleteDaemonSetStrategyType
	case p < 4:
		s.RollingUpdate = &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &zero, MaxSurge: amount()}
	default:
		s.RollingUpdate = &appsv1.RollingUpdateDaemonSet{MaxUnavailable: amount(), MaxSurge: &zero}
	}
	ds.Spec.UpdateStrategy = s
}

// annotate draws one of rollcall's annotations.
func (c *users) annotate(h *History, ds *appsv1.DaemonSet) {
	k, values := "", []string(nil)
	switch h.whims.IntN(9) {
	case 0, 1:
		k, values = events.AnnotationBudget, []string{"default", "strict", "upstream"}
	case 2:
		k, values = events.AnnotationPaused, []string{"true", "false"}
	case 3:
		k, values = events.AnnotationSuspend, []string{"true", "false", "false"}
	case 7:
		k, values = events.AnnotationCanary, []string{"zone=x", "zone=y", ""}
	case 8:
		k, values = events.AnnotationUnreachable, []string{"1", "2", "0"}
	case 4, 5:
		k, values = events.AnnotationPartition, []string{"0", "1", "3", "50%", "34%"}
	default:
		k, values = events.AnnotationRate, []string{"1", "3", "0"}
	}
	ds.Annotations[k] = pick(h, values...)
}

// changeSet applies a changed manifest.
func (c *users) changeSet(h *History) {
	was, ok := h.model.named[events.Key{Namespace: namespace, Name: setName(h.whims.IntN(h.cfg.sets))}]
	if !ok {
		return
	}
	ds := was.DeepCopy()
	spec := ds.Spec.DeepCopy()
	switch p := h.whims.IntN(100); {
	case p < 50:
		c.newTemplate(h, ds)
	case p < 60:
		ds.Spec.MinReadySeconds = int32(h.whims.IntN(15))
	case p < 75 && h.cfg.has(faultStrategy):
		c.setStrategy(h, ds)
	case p < 82 && h.cfg.has(faultLabels):
		ds.Spec.Template.Spec.NodeSelector = pick(h, nil, map[string]string{"zone": "x"}, map[string]string{"zone": "y"})
	case p < 90 && h.cfg.has(faultTaints):
		ds.Spec.Template.Spec.Tolerations = pick(h, nil, []corev1.Toleration{{Key: "k1", Operator: corev1.TolerationOpExists}},
			[]corev1.Toleration{{Key: "k2", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}})
	case p < 100 && h.cfg.has(faultSettings):
		c.annotate(h, ds)
	}
	if fmt.Sprint(spec) != fmt.Sprint(&ds.Spec) {
		ds.Generation++
	}
	daemonpod.SetDaemonSetDefaults(ds)
	h.tell("user", events.DaemonSet, events.VerbUpdated, ds)
}

// newTemplate rolls forward or back.
func (c *users) newTemplate(h *History, ds *appsv1.DaemonSet) {
	had := c.versions[ds.Name]
	image := fmt.Sprintf("app:v%d", len(had)+1)
	switch p := h.whims.IntN(10); {
	case p < 3:
		image = pick(h, had...)
	case p < 5 && h.cfg.has(faultBadImage):
		image += pick(h, "-hang", "-crash", "-exit")
	}
	h.noteNewTemplate(ds, slices.Contains(had, image))
	c.versions[ds.Name] = append(had, image)
	ds.Spec.Template.Spec.Containers[0].Image = image
}

// deleteOrCreate deletes a DaemonSet in one of three ways, or makes one anew.
func (c *users) deleteOrCreate(h *History) {
	name := setName(h.whims.IntN(h.cfg.sets))
	was, ok := h.model.named[events.Key{Namespace: namespace, Name: name}]
	if !ok {
		c.createSet(h, name)
		return
	}
	ds := was.DeepCopy()
	if ds.DeletionTimestamp != nil || h.whims.IntN(2) == 0 {
		return
	}
	switch h.whims.IntN(3) {
	case 0:
		h.tell("user", events.DaemonSet, events.VerbDeleted, ds)
		if h.whims.IntN(2) == 0 {
			c.createSet(h, name)
		}
		return
	case 1:
		ds.Finalizers = []string{metav1.FinalizerDeleteDependents}
	default:
		ds.Finalizers = []string{metav1.FinalizerOrphanDependents}
	}
	ds.DeletionTimestamp = &metav1.Time{Time: h.now.Truncate(time.Second)}
	h.tell("user", events.DaemonSet, events.VerbUpdated, ds)
}

// deleteWhileCreating deletes a DaemonSet of which pods are being made.
func (c *users) deleteWhileCreating(h *History) bool {
	for _, c := range h.model.open {
		was := h.model.sets[c.set]
		if c.Do == events.CreatePod && was != nil && !was.deleting() {
			h.seen.add(seenDeletedWhileCreating)
			h.tell("user", events.DaemonSet, events.VerbDeleted, was.DeepCopy())
			return true
		}
	}
	return false
}

// touchPod does to pods by hand what people should not.
func (c *users) touchPod(h *History) {
	p := h.whims.IntN(100)
	if p < 25 {
		c.makePod(h)
		return
	}
	keys := sortedKeys(h.model.pods, events.Key.Compare)
	if len(keys) == 0 {
		return
	}
	was := h.model.pods[pick(h, keys...)]
	pod := was.DeepCopy()
	switch {
	case p < 70 && pod.Spec.NodeName == "":
		h.tell("user", events.Pod, events.VerbDeleted, pod)
		return
	case p < 70 && pod.DeletionTimestamp == nil:
		pod.DeletionTimestamp = &metav1.Time{Time: h.now.Truncate(time.Second)}
	case p < 85:
		pod.Labels["app"] = "stray"
	default:
		pod.Labels["app"] = setName(h.whims.IntN(h.cfg.sets))
	}
	h.tell("user", events.Pod, events.VerbUpdated, pod)
}

// makePod makes an ownerless pod that a DaemonSet selects.
func (c *users) makePod(h *History) {
	names := sortedKeys(h.model.nodes, strings.Compare)
	if len(names) == 0 {
		return
	}
	name := setName(h.whims.IntN(h.cfg.sets))
	uid := c.uid("pod", name)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: string(uid), UID: uid,
		CreationTimestamp: metav1.NewTime(h.now.Truncate(time.Second)), Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{NodeName: pick(h, names...), Containers: []corev1.Container{{Name: "main", Image: "app:v1"}}}}
	pod.Status.Phase = corev1.PodPending
	h.tell("user", events.Pod, events.VerbCreated, pod)
}
