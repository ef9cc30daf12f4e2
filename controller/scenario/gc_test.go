package scenario_test

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/story"
)

// gathered are the kinds of objects that conversations about owners use.
var gathered = map[string]struct {
	kind       events.Kind
	apiVersion string
}{
	"configmap": {events.ConfigMap, "v1"}, "secret": {events.Secret, "v1"}, "pod": {events.Pod, "v1"}, "ns": {events.Namespace, "v1"},
	"node": {events.Node, "v1"}, "pv": {events.PersistentVolume, "v1"}, "deployment": {events.Deployment, "apps/v1"},
	"replicaset": {events.ReplicaSet, "apps/v1"}, "daemonset": {events.DaemonSet, "apps/v1"}, "job": {events.Job, "batch/v1"},
	"widget": {"Widget", "example.com/v1"},
}

// doGC decides what is due about what was left behind, prints and appends it.
func (w *world) doGC(*command) {
	c := controller.PlanGC(w.state, w.now)
	if c == nil {
		w.printf("nothing to do for the garbage collector")
		return
	}
	for _, x := range c.Commands {
		text := fmt.Sprintf("%s %s", strings.ToLower(strings.TrimSuffix(string(x.Do), "Object")), w.called(x.Ref))
		if len(x.Owners) > 0 {
			text += fmt.Sprintf(" from %v", x.Owners)
		}
		if x.Finalizer != "" {
			text += " (" + x.Finalizer + ")"
		}
		w.printf("%s: %s", text, x.Reason)
	}
	w.append(controller.PlanEntry(c, w.subjects, w.state.LastPlan(events.Key{})))
}

// gcFailures prints the commands of collections that came to nothing after a
// position.
func (w *world) gcFailures(after events.Seq) {
	for e, err := range w.log.Read(w.t.Context(), after) {
		if err != nil {
			w.fatal("%v", err)
		}
		if u, ok := e.Body.(events.Outcome); ok && u.Owner == (events.Ref{}) {
			w.printf("%s %s: %s", strings.TrimPrefix(string(e.Type), "command."), w.called(u.Command.Ref), u.Reason)
		}
	}
}

func (w *world) called(r events.Ref) string {
	name := story.Name(r)
	if r.Kind == events.Pod {
		return "pod/" + w.nameOfPod(r.Key)
	}
	return strings.Replace(name, "/"+namespace+"/", "/", 1)
}

// kindAndKey reads a kind and a name.
func (w *world) kindAndKey(kind, name string) (events.Kind, events.Key) {
	k, ok := gathered[kind]
	if !ok {
		w.fatal("unknown kind %s", kind)
	}
	at := key(name)
	if kind == "ns" || kind == "pv" || kind == "node" {
		at.Namespace = ""
	}
	return k.kind, at
}

// doObject makes, changes and deletes objects that are no DaemonSet's.
func (w *world) doObject(c *command) {
	words := c.words
	do := ""
	if len(words) == 3 {
		do, words = words[0], words[1:]
	}
	k, at := w.kindAndKey(words[0], words[1])
	o := w.read(k, at)
	switch {
	case do == "gone":
		w.gone(k, o)
		return
	case do == "delete":
		w.deleteObject(k, o, c.opt("cascade"))
		return
	case o != nil:
		w.alterObject(o, at, c)
		if o.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) == 0 && ptr.Deref(o.GetDeletionGracePeriodSeconds(), 0) == 0 {
			w.gone(k, o)
			return
		}
		w.tell(k, events.VerbUpdated, o)
		return
	}
	o = blankObject(k)
	o.SetName(at.Name)
	o.SetNamespace(at.Namespace)
	o.SetUID(w.uid(words[0], words[1], true))
	w.alterObject(o, at, c)
	w.tell(k, events.VerbCreated, o)
}

func blankObject(k events.Kind) metav1.Object {
	switch k {
	case events.Pod:
		return &corev1.Pod{}
	case events.Namespace:
		return &corev1.Namespace{Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}}}
	}
	return &metav1.PartialObjectMetadata{}
}

func (w *world) read(k events.Kind, at events.Key) metav1.Object {
	o, _, ok := w.state.Object(k, at)
	if !ok {
		return nil
	}
	into := blankObject(k)
	if err := o.Decode(into); err != nil {
		w.fatal("%v", err)
	}
	return into
}

func (w *world) alterObject(o metav1.Object, at events.Key, c *command) {
	for _, x := range c.opts {
		switch x.key {
		case "owner":
			var rs []metav1.OwnerReference
			for _, s := range list(x.value) {
				rs = append(rs, w.ownerRef(at, s))
			}
			o.SetOwnerReferences(rs)
		case "finalizers":
			o.SetFinalizers(list(x.value))
		case "node":
			o.(*corev1.Pod).Spec.NodeName = x.value
		default:
			w.fatal("unknown option %s of an object", x.key)
		}
	}
}

// ownerRef reads [group:]kind/name[!][@uid]; "!" blocks the owner's deletion.
func (w *world) ownerRef(of events.Key, s string) metav1.OwnerReference {
	group, rest, ok := strings.Cut(s, ":")
	if !ok {
		group, rest = "", s
	}
	rest, uid, _ := strings.Cut(rest, "@")
	rest, block := strings.CutSuffix(rest, "!")
	kind, name, _ := strings.Cut(rest, "/")
	r := metav1.OwnerReference{APIVersion: gathered[kind].apiVersion, Kind: string(gathered[kind].kind), Name: name, UID: types.UID(uid)}
	if group != "" {
		r.APIVersion = group + "/v1"
	}
	if block {
		r.BlockOwnerDeletion = ptr.To(true)
	}
	if uid == "" {
		known := map[string]string{"daemonset": "ds"}[kind]
		if known == "" {
			known = kind
		}
		r.UID = w.uid(known, name, false)
	}
	return r
}

// deleteObject deletes as an API server does.
func (w *world) deleteObject(k events.Kind, o metav1.Object, cascade string) {
	if f := map[string]string{"foreground": metav1.FinalizerDeleteDependents, "orphan": metav1.FinalizerOrphanDependents}[cascade]; f != "" {
		o.SetFinalizers(append(o.GetFinalizers(), f))
	}
	grace := int64(0)
	switch o := o.(type) {
	case *corev1.Pod:
		if o.Spec.NodeName != "" {
			grace = 30
		}
	case *corev1.Namespace:
		o.Status.Phase = corev1.NamespaceTerminating
	}
	if k != events.Namespace && grace == 0 && len(o.GetFinalizers()) == 0 {
		w.gone(k, o)
		return
	}
	o.SetDeletionTimestamp(&metav1.Time{Time: w.now})
	o.SetDeletionGracePeriodSeconds(&grace)
	w.tell(k, events.VerbUpdated, o)
}

// doObjects prints every object but nodes.
func (w *world) doObjects(*command) {
	var lines []string
	for _, k := range gathered {
		if k.kind == events.Node {
			continue
		}
		for _, o := range w.state.List(k.kind, "") {
			var m metav1.ObjectMeta
			if err := wire.Unmarshal(wire.Field(o.Data, "metadata"), &m); err != nil {
				w.fatal("%v", err)
			}
			text := w.called(o.Ref)
			if m.DeletionTimestamp != nil {
				text += " deleting"
			}
			for _, r := range m.OwnerReferences {
				text += " of " + strings.ToLower(r.Kind) + "/" + r.Name
			}
			if len(m.Finalizers) > 0 {
				text += fmt.Sprintf(" %v", m.Finalizers)
			}
			lines = append(lines, text)
		}
	}
	slices.Sort(lines)
	for _, l := range lines {
		w.printf("%s", l)
	}
	if len(lines) == 0 {
		w.printf("no objects")
	}
}
