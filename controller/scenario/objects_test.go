package scenario_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// tell appends that an object is now so.
func (w *world) tell(kind events.Kind, verb string, o metav1.Object) {
	w.t.Helper()
	body, err := events.NewObject(kind, o)
	if err != nil {
		w.fatal("%v", err)
	}
	w.append(events.Entry{Event: events.Event{Source: "test", Type: events.ObjectType(kind, verb), Body: body}})
}

// gone appends that an object is gone.
func (w *world) gone(kind events.Kind, o metav1.Object) {
	w.t.Helper()
	body, err := events.NewObject(kind, o)
	if err != nil {
		w.fatal("%v", err)
	}
	w.append(events.Entry{Event: events.Event{Source: "test", Type: events.ObjectType(kind, events.VerbDeleted), Body: events.Gone(body)}})
}

func (w *world) doTime(c *command) {
	d, err := time.ParseDuration(strings.TrimPrefix(c.word(0), "+"))
	if err != nil || d < 0 {
		w.fatal("time: %v", err)
	}
	w.now = w.now.Add(d)
}

var series = regexp.MustCompile(`^(.*?)(\d+)(\D?)\.\.(.*?)(\d+)(\D?)$`)

// expand writes n1..n3 and n1a..n3a out.
func (w *world) expand(words []string) []string {
	var out []string
	for _, x := range words {
		m := series.FindStringSubmatch(x)
		if m == nil {
			out = append(out, x)
			continue
		}
		from, _ := strconv.Atoi(m[2])
		to, _ := strconv.Atoi(m[5])
		if m[1] != m[4] || m[3] != m[6] || from > to {
			w.fatal("no series: %s", x)
		}
		for i := from; i <= to; i++ {
			out = append(out, fmt.Sprintf("%s%0*d%s", m[1], len(m[2]), i, m[3]))
		}
	}
	return out
}

// pairs reads k=v,k=v.
func (w *world) pairs(s string) map[string]string {
	m := map[string]string{}
	for _, kv := range list(s) {
		k, v, _ := strings.Cut(kv, "=")
		m[k] = v
	}
	return m
}

// list reads a,b,c; "" is the empty list.
func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func (w *world) doNode(c *command) {
	names := c.words
	anew := false
	switch c.word(0) {
	case "delete":
		for _, n := range w.expand(names[1:]) {
			w.gone(events.Node, w.node(n))
		}
		return
	case "anew":
		names, anew = names[1:], true
	}
	for _, name := range w.expand(names) {
		verb := events.VerbUpdated
		n := w.node(name)
		if n == nil || anew {
			verb = events.VerbCreated
			n = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: w.uid("node", name, true), CreationTimestamp: metav1.NewTime(w.now)}}
			setNodeCondition(n, corev1.NodeReady, corev1.ConditionTrue)
		}
		w.change(n, c)
		metav1.SetMetaDataLabel(&n.ObjectMeta, events.LabelSimulated, "true") // pods are bound by "execute" and "kubelet"
		w.tell(events.Node, verb, n)
	}
}

func (w *world) node(name string) *corev1.Node {
	o, _, ok := w.state.Object(events.Node, events.Key{Name: name})
	if !ok {
		return nil
	}
	n := &corev1.Node{}
	if err := o.Decode(n); err != nil {
		w.fatal("%v", err)
	}
	return n
}

func setNodeCondition(n *corev1.Node, t corev1.NodeConditionType, s corev1.ConditionStatus) {
	n.Status.Conditions = slices.DeleteFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == t })
	n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: t, Status: s})
}

func (w *world) change(n *corev1.Node, c *command) {
	for _, o := range c.opts {
		switch o.key {
		case "labels":
			n.Labels = w.pairs(o.value)
		case "taints":
			n.Spec.Taints = nil
			for _, t := range list(o.value) {
				kv, effect, _ := strings.Cut(t, ":")
				k, v, _ := strings.Cut(kv, "=")
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: k, Value: v, Effect: corev1.TaintEffect(effect)})
			}
		case "ready":
			status := map[string]corev1.ConditionStatus{"true": corev1.ConditionTrue, "false": corev1.ConditionFalse}[o.value]
			setNodeCondition(n, corev1.NodeReady, status)
		case "cordon":
			n.Spec.Unschedulable = o.value == "true"
		case "condition":
			setNodeCondition(n, corev1.NodeConditionType(o.value), corev1.ConditionTrue)
		case "annotate":
			n.Annotations = w.pairs(o.value)
		case "deleting":
			n.DeletionTimestamp, n.Finalizers = &metav1.Time{Time: w.now}, []string{"test/wait"}
		default:
			w.fatal("unknown option %s of a node", o.key)
		}
	}
}

func (w *world) doDaemonSet(c *command) {
	if c.word(0) == "delete" {
		w.deleteDaemonSet(c.word(1), c.opt("cascade"))
		return
	}
	k := key(c.word(0))
	verb := events.VerbUpdated
	var ds *appsv1.DaemonSet
	var was appsv1.DaemonSetSpec
	if d := w.state.DaemonSet(k); d != nil && !c.has("anew") {
		ds = d.Object.DeepCopy()
		was = *ds.Spec.DeepCopy()
	} else {
		verb = events.VerbCreated
		ds = w.newDaemonSet(k, c.word(0))
	}
	for _, o := range c.opts {
		w.set(ds, o.key, o.value)
	}
	daemonpod.SetDaemonSetDefaults(ds)
	if !equality.Semantic.DeepEqual(was, ds.Spec) {
		ds.Generation++
	}
	w.tell(events.DaemonSet, verb, ds)
}

func (w *world) newDaemonSet(k events.Key, name string) *appsv1.DaemonSet {
	labels := map[string]string{"app": k.Name}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: k.Namespace, Name: k.Name, UID: w.uid("ds", name, true), CreationTimestamp: metav1.NewTime(w.now)},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(labels)},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "v1"}}},
			},
		},
	}
}

func (w *world) rolling(ds *appsv1.DaemonSet) *appsv1.RollingUpdateDaemonSet {
	ds.Spec.UpdateStrategy.Type = appsv1.RollingUpdateDaemonSetStrategyType
	if ds.Spec.UpdateStrategy.RollingUpdate == nil {
		ds.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{}
	}
	return ds.Spec.UpdateStrategy.RollingUpdate
}

func (w *world) number(s string) int32 {
	n, err := strconv.Atoi(s)
	if err != nil {
		w.fatal("%v", err)
	}
	return int32(n)
}

// set changes one thing about a DaemonSet.
func (w *world) set(ds *appsv1.DaemonSet, k, v string) {
	spec, pod := &ds.Spec, &ds.Spec.Template.Spec
	switch k {
	case "anew":
	case "image":
		pod.Containers[0].Image = v
	case "strategy":
		spec.UpdateStrategy.Type = appsv1.DaemonSetUpdateStrategyType(v)
		if v == string(appsv1.OnDeleteDaemonSetStrategyType) {
			spec.UpdateStrategy.RollingUpdate = nil
		}
	case "maxUnavailable":
		r := w.rolling(ds)
		r.MaxUnavailable = ptr.To(intstr.Parse(v))
		r.MaxSurge = cmpOr(r.MaxSurge, ptr.To(intstr.FromInt32(0)))
	case "maxSurge":
		r := w.rolling(ds)
		r.MaxSurge = ptr.To(intstr.Parse(v))
		r.MaxUnavailable = ptr.To(intstr.FromInt32(0))
	case "block": // a rolling update block whatever the strategy is
		spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{MaxSurge: ptr.To(intstr.Parse(v)), MaxUnavailable: ptr.To(intstr.FromInt32(0))}
	case "minReady":
		spec.MinReadySeconds = w.number(v)
	case "history":
		spec.RevisionHistoryLimit = ptr.To(w.number(v))
	case "selector":
		if v == "!" { // one that does not parse
			spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Like"}}}
			return
		}
		spec.Selector = &metav1.LabelSelector{MatchLabels: w.pairs(strings.Trim(v, "{}"))}
	case "annotate":
		ds.Annotations = w.pairs(v)
	case "finalizers":
		ds.Finalizers = list(v)
	case "condition":
		ds.Status.Conditions = append(ds.Status.Conditions, appsv1.DaemonSetCondition{Type: appsv1.DaemonSetConditionType(v), Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(w.now)})
	default:
		w.setTemplate(spec, k, v)
	}
}

func (w *world) setTemplate(spec *appsv1.DaemonSetSpec, k, v string) {
	t, pod := &spec.Template, &spec.Template.Spec
	switch k {
	case "labels":
		t.Labels = w.pairs(v)
	case "templateAnnotate":
		t.Annotations = w.pairs(v)
	case "templateFinalizers":
		t.Finalizers = list(v)
	case "hostPort":
		pod.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: w.number(v), HostPort: w.number(v)}}
	case "nodeName":
		pod.NodeName = v
	case "nodeSelector":
		pod.NodeSelector = w.pairs(v)
	case "affinity":
		pod.Affinity = w.affinity(v)
	case "tolerations":
		pod.Tolerations = nil
		for _, s := range list(v) {
			pod.Tolerations = append(pod.Tolerations, toleration(s))
		}
	case "hostNetwork":
		pod.HostNetwork = v == "true"
	default:
		w.fatal("unknown option %s of a DaemonSet", k)
	}
}

func cmpOr[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// toleration reads key=value:Effect, key:Effect, key, or * for everything.
func toleration(s string) corev1.Toleration {
	kv, effect, _ := strings.Cut(s, ":")
	k, v, equal := strings.Cut(kv, "=")
	t := corev1.Toleration{Key: k, Value: v, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffect(effect)}
	if equal {
		t.Operator = corev1.TolerationOpEqual
	}
	if k == "*" {
		t.Key = ""
	}
	return t
}

// affinity reads terms of one requirement each: zone=a|metadata.name=n1.
func (w *world) affinity(s string) *corev1.Affinity {
	if s == "" {
		return nil
	}
	sel := &corev1.NodeSelector{}
	for _, term := range strings.Split(s, "|") {
		k, v, _ := strings.Cut(term, "=")
		r := []corev1.NodeSelectorRequirement{{Key: k, Operator: corev1.NodeSelectorOpIn, Values: []string{v}}}
		if k == metav1.ObjectNameField {
			sel.NodeSelectorTerms = append(sel.NodeSelectorTerms, corev1.NodeSelectorTerm{MatchFields: r})
			continue
		}
		sel.NodeSelectorTerms = append(sel.NodeSelectorTerms, corev1.NodeSelectorTerm{MatchExpressions: r})
	}
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: sel}}
}

// deleteDaemonSet deletes as the API server does (O01-O03).
func (w *world) deleteDaemonSet(name, cascade string) {
	d := w.state.DaemonSet(key(name))
	if d == nil {
		w.fatal("no DaemonSet %s", name)
	}
	ds := d.Object.DeepCopy()
	finalizer := map[string]string{"": "", "background": "", "foreground": metav1.FinalizerDeleteDependents,
		"orphan": metav1.FinalizerOrphanDependents}[cascade]
	if finalizer == "" && len(ds.Finalizers) == 0 {
		w.gone(events.DaemonSet, ds)
		return
	}
	if finalizer != "" {
		ds.Finalizers = append(ds.Finalizers, finalizer)
	}
	ds.DeletionTimestamp = &metav1.Time{Time: w.now}
	ds.Generation++
	w.tell(events.DaemonSet, events.VerbUpdated, ds)
}
