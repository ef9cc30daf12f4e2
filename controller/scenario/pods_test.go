package scenario_test

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/projector/sets"
)

// called is a pod's name and what a conversation calls it.
type called struct{ name, called string }

// nameOfPod returns what a conversation calls a pod.
func (w *world) nameOfPod(k events.Key) string {
	p := w.state.Pod(k)
	if p == nil {
		return k.Name
	}
	if w.podNames[p.UID] == "" {
		w.podNames[p.UID] = k.Name
		if strings.HasPrefix(k.Name, p.OwnerName+"-") && p.OwnerName != "" {
			n := w.letters[p.Node]
			w.podNames[p.UID] = p.Node + strings.Repeat("z", n/26) + string(rune('a'+n%26))
			w.letters[p.Node]++
			w.everyPod = append(w.everyPod, called{k.Name, w.podNames[p.UID]})
		}
	}
	return w.podNames[p.UID]
}

// pod decodes a pod.
func (w *world) pod(p *sets.Pod) *corev1.Pod {
	o := &corev1.Pod{}
	if err := p.Object.Decode(o); err != nil {
		w.fatal("%v", err)
	}
	return o
}

// find returns the pods that a word names: one by its name, those of a node, or all.
func (w *world) find(words []string) []*sets.Pod {
	var found []*sets.Pod
	for _, x := range w.expand(words) {
		n := len(found)
		for p := range w.state.Pods() {
			if name := w.nameOfPod(p.Key); name == x || p.Node == x || x == "all" {
				found = append(found, p)
			}
		}
		if len(found) == n {
			w.fatal("no pod %s", x)
		}
	}
	slices.SortFunc(found, func(a, b *sets.Pod) int { return strings.Compare(w.nameOfPod(a.Key), w.nameOfPod(b.Key)) })
	return slices.Compact(found)
}

func (w *world) doPod(c *command) {
	if c.word(0) == "add" {
		for _, name := range w.expand(c.words[1:]) {
			w.addPod(c, name)
		}
		return
	}
	verb, words := "set", c.words
	if len(c.opts) == 0 {
		verb, words = words[len(words)-1], words[:len(words)-1]
	}
	for _, p := range w.find(words) {
		o := w.pod(p)
		if verb == "gone" {
			w.gone(events.Pod, o)
			continue
		}
		w.alter(o, verb, c)
		w.tell(events.Pod, events.VerbUpdated, o)
	}
}

// alter changes a pod as a kubelet or a user does.
func (w *world) alter(o *corev1.Pod, verb string, c *command) {
	switch verb {
	case "ready":
		o.Status.Phase = corev1.PodRunning
		w.setReady(o, true)
	case "unready":
		w.setReady(o, false)
	case "fail", "succeed":
		o.Status.Phase = map[string]corev1.PodPhase{"fail": corev1.PodFailed, "succeed": corev1.PodSucceeded}[verb]
		w.setReady(o, false)
	case "terminate":
		o.DeletionTimestamp = &metav1.Time{Time: w.now.Add(30 * time.Second)}
	case "disown":
		o.OwnerReferences = nil
	case "touch":
		o.Annotations = map[string]string{"touched": w.now.Format(time.TimeOnly)}
	case "set":
		for _, x := range c.opts {
			switch x.key {
			case "labels":
				o.Labels = w.pairs(x.value)
			case "rev":
				o.Labels[daemonpod.RevisionLabel] = w.hash(x.value)
			case "finalizers":
				o.Finalizers = list(x.value)
			case "owner":
				w.own(o, x.value, x.value)
			case "readySince":
				d, err := time.ParseDuration(x.value)
				if err != nil {
					w.fatal("%v", err)
				}
				w.setReady(o, true)
				o.Status.Conditions[len(o.Status.Conditions)-1].LastTransitionTime = metav1.NewTime(w.now.Add(d))
			default:
				w.fatal("unknown option %s of a pod", x.key)
			}
		}
	default:
		w.fatal("unknown change %s of a pod", verb)
	}
}

// setReady moves the transition time only if readiness changes.
func (w *world) setReady(o *corev1.Pod, ready bool) {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	for i := range o.Status.Conditions {
		if x := &o.Status.Conditions[i]; x.Type == corev1.PodReady {
			if x.Status != status {
				x.Status, x.LastTransitionTime = status, metav1.NewTime(w.now)
			}
			return
		}
	}
	o.Status.Conditions = append(o.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.NewTime(w.now)})
}

// hash returns the hash of the revision with this letter; "none" is no hash,
// and what is no letter stands for itself.
func (w *world) hash(letter string) string {
	if letter == "none" || letter == "" {
		return ""
	}
	for h, l := range w.revNames {
		if l == letter {
			return h
		}
	}
	return letter
}

func (w *world) addPod(c *command, name string) {
	dsName := c.opt("ds")
	if dsName == "" {
		dsName = "agent"
	}
	k := key(dsName)
	if ns := c.opt("namespace"); ns != "" {
		k.Namespace = ns
	}
	o := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: k.Namespace, Name: name, UID: w.uid("pod", name, true),
		Labels: map[string]string{"app": k.Name}, CreationTimestamp: metav1.NewTime(w.now)}}
	o.Status.Phase = corev1.PodPending
	o.Spec.TerminationGracePeriodSeconds = ptr.To[int64](30)
	w.own(o, c.opt("owner"), dsName)
	for _, x := range c.opts {
		switch x.key {
		case "ds", "owner", "namespace":
		case "node":
			o.Spec.NodeName = x.value
			o.Status.Phase = corev1.PodRunning
		case "pin":
			daemonpod.Pin(&o.Spec, x.value)
		case "pins": // one required term for each, with the names of nodes it allows
			daemonpod.Pin(&o.Spec, "")
			pin(o.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution, strings.Split(x.value, "|"))
		case "labels":
			o.Labels = w.pairs(x.value)
		case "rev":
			if h := w.hash(x.value); h != "" {
				o.Labels[daemonpod.RevisionLabel] = h
			}
		case "phase":
			o.Status.Phase = corev1.PodPhase(x.value)
		case "ready":
			w.setReady(o, x.value == "true")
		case "age":
			age, err := time.ParseDuration(x.value)
			if err != nil {
				w.fatal("%v", err)
			}
			o.CreationTimestamp = metav1.NewTime(w.now.Add(-age))
		case "deleting":
			o.DeletionTimestamp = &metav1.Time{Time: w.now.Add(30 * time.Second)}
		case "finalizers":
			o.Finalizers = list(x.value)
		default:
			w.fatal("unknown option %s of a pod", x.key)
		}
	}
	w.tell(events.Pod, events.VerbCreated, o)
}

// pin replaces the terms of sel by one a list: n1,n2 is In, !n1 is NotIn, and
// nothing is a term without fields.
func pin(sel *corev1.NodeSelector, terms []string) {
	sel.NodeSelectorTerms = nil
	for _, t := range terms {
		var term corev1.NodeSelectorTerm
		if names, not := strings.CutPrefix(t, "!"); t != "" {
			r := corev1.NodeSelectorRequirement{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: list(names)}
			if not {
				r.Operator = corev1.NodeSelectorOpNotIn
			}
			term.MatchFields = []corev1.NodeSelectorRequirement{r}
		}
		sel.NodeSelectorTerms = append(sel.NodeSelectorTerms, term)
	}
}

// own sets a controller: the DaemonSet, nobody, or a ReplicaSet.
func (w *world) own(o *corev1.Pod, owner, dsName string) {
	switch owner {
	case "none":
		return
	case "other":
		o.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "other", UID: "rs-other", Controller: ptr.To(true)}}
		return
	case "stranger": // a DaemonSet of another uid
		o.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: key(dsName).Name, UID: "ds-stranger", Controller: ptr.To(true)}}
		return
	case "":
		owner = dsName
	}
	o.OwnerReferences = []metav1.OwnerReference{w.controllerRef(owner)}
}

func (w *world) controllerRef(name string) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "apps/v1", Kind: "DaemonSet", Name: key(name).Name, UID: w.uid("ds", name, false),
		Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true)}
}

func (w *world) doRevision(c *command) {
	switch c.word(0) {
	case "add":
		w.addRevision(c)
	case "delete":
		for _, name := range c.words[1:] {
			r := w.revision(name)
			w.gone(events.ControllerRevision, r.Object)
		}
	case "show":
		o := w.revision(c.word(1)).Object
		w.printf("labels %v annotations %v", o.Labels, o.Annotations)
		for _, r := range o.OwnerReferences {
			w.printf("owner %s %s %s controller %v blocks %v", r.APIVersion, r.Kind, r.Name, *r.Controller, *r.BlockOwnerDeletion)
		}
		w.printf("%s", o.Data.Raw)
	case "disown", "label":
		o := w.revision(c.word(1)).Object.DeepCopy()
		if c.word(0) == "label" {
			o.Labels = w.pairs(c.opt("labels"))
		} else {
			o.OwnerReferences = nil
		}
		w.tell(events.ControllerRevision, events.VerbUpdated, o)
	default:
		w.fatal("unknown change %s of a revision", c.word(0))
	}
}

// revision finds a revision by its letter or name.
func (w *world) revision(name string) *sets.Revision {
	for _, o := range w.state.List(events.ControllerRevision, "") {
		if r := w.state.Revision(o.Key); w.revNames[r.Hash] == name || o.Key.Name == name || r.Hash == name {
			return r
		}
	}
	w.fatal("no revision %s", name)
	return nil
}

// addRevision makes a revision by hand: of the DaemonSet's template with
// another image, under a name of one's own or the one that name=next would get.
func (w *world) addRevision(c *command) {
	dsName := c.opt("ds")
	if dsName == "" {
		dsName = "agent"
	}
	d := w.state.DaemonSet(key(dsName))
	if d == nil {
		w.fatal("no DaemonSet %s", dsName)
	}
	t := d.Spec.Template.DeepCopy()
	name := c.word(1)
	if image := c.opt("nameOf"); image != "" { // the name that a revision with this image will want
		t.Spec.Containers[0].Image = image
		name = daemonpod.RevisionName(d.Key.Name, daemonpod.Hash(daemonpod.Digest(t), 0))
	}
	if image := c.opt("image"); image != "" {
		t.Spec.Containers[0].Image = image
	}
	data, err := daemonpod.RevisionData(t)
	if err != nil {
		w.fatal("%v", err)
	}
	r := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: d.Key.Namespace, Name: name, UID: w.uid("revision", name, true),
		Labels: map[string]string{"app": d.Key.Name}, CreationTimestamp: metav1.NewTime(w.now)},
		Data: runtime.RawExtension{Raw: data}, Revision: int64(w.number(c.opt("number")))}
	if h := c.opt("hash"); h != "" {
		r.Labels[daemonpod.RevisionLabel] = h
	}
	switch owner := c.opt("owner"); owner {
	case "none":
	case "dead":
		ref := w.controllerRef(dsName)
		ref.UID = types.UID("ds-dead")
		r.OwnerReferences = []metav1.OwnerReference{ref}
	default:
		r.OwnerReferences = []metav1.OwnerReference{w.controllerRef(dsName)}
	}
	w.tell(events.ControllerRevision, events.VerbCreated, r)
}
