package controller_test

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/wire"
)

// judge says from the objects alone, walking all of them, what a collection
// may do and what must be so at rest. It shares nothing with the fold.
type judge struct {
	e   *estate
	all []thing

	bases map[events.Seq]events.Seq   // of collections
	under map[events.Ref]events.Cause // the command about an object that is not answered
	lost  map[events.Ref]time.Time    // since when a pod is bound to a node that was not there when it was
}

// adrift notes after each event the pods whose nodes were not there when they
// were bound, and are not there now.
func (j *judge) adrift() {
	lost := map[events.Ref]time.Time{}
	for p := range j.e.state.Pods() {
		ref := events.Ref{Kind: events.Pod, Key: p.Key, UID: p.UID}
		if p.NodeUID != "" || p.Deleting || !p.Bound || j.e.state.Node(p.Node) != nil {
			continue
		}
		lost[ref] = j.e.now
		if since, known := j.lost[ref]; known {
			lost[ref] = since
		}
	}
	j.lost = lost
}

// plan judges what is planned for a DaemonSet: nothing is made in a namespace
// that is being deleted.
func (j *judge) plan(p *events.Plan) {
	j.census()
	ns := j.find(events.Namespace, "", p.Owner.Key.Namespace, "")
	making := slices.ContainsFunc(p.Commands, func(c events.Command) bool { return c.Do == events.CreatePod })
	if making && ns != nil && ns.DeletionTimestamp != nil {
		j.e.fail("UNJUST", "a pod of %s is made while its namespace is being deleted", p.Owner.Key)
	}
}

// event judges what was appended: one command at a time about one object, and
// none is carried out on another state of it than was decided upon.
func (j *judge) event(ev events.Event) {
	switch b := ev.Body.(type) {
	case *events.Plan:
		if b.Owner != (events.Ref{}) {
			return
		}
		j.bases[ev.Seq] = b.Basis.Seq
		for i, c := range b.Commands {
			if _, twice := j.under[c.Ref]; twice {
				j.e.fail("TWICE", "%s %s %s", c.Do, c.Ref.Kind, c.Ref.Key)
			}
			j.under[c.Ref] = events.Cause{Seq: ev.Seq, Index: i}
		}
		return
	case events.Object, events.Gone:
		ref := events.RefOf(ev)
		_, last, _ := j.e.state.Object(ref.Kind, ref.Key)
		if basis, ok := j.bases[ev.Cause.Seq]; ok && last > basis {
			j.e.fail("STALE", "%s %s %s was decided upon at #%d and changed at #%d", ev.Type, ref.Kind, ref.Key, basis, last)
		}
	}
	for r, c := range j.under {
		if c == ev.Cause {
			delete(j.under, r)
		}
	}
}

type thing struct {
	events.Ref
	metav1.ObjectMeta `json:"-"` // vet: its fields are called as those of Ref
	pod               *corev1.Pod
	ns                *corev1.Namespace
}

func (t *thing) dying(finalizer string) bool {
	return t.DeletionTimestamp != nil && slices.Contains(t.Finalizers, finalizer)
}

// foreground reports whether it goes after its dependents; orphaning is stronger.
func (t *thing) foreground() bool {
	return t.dying(metav1.FinalizerDeleteDependents) && !t.dying(metav1.FinalizerOrphanDependents)
}

// census looks at everything that is there.
func (j *judge) census() {
	j.all = nil
	for k := range api {
		for _, o := range j.e.state.List(k, "") {
			t := thing{Ref: o.Ref}
			j.e.must(wire.Unmarshal(wire.Field(o.Data, "metadata"), &t.ObjectMeta))
			switch k {
			case events.Pod:
				t.pod = &corev1.Pod{}
				j.e.must(o.Decode(t.pod))
			case events.Namespace:
				t.ns = &corev1.Namespace{}
				j.e.must(o.Decode(t.ns))
			}
			j.all = append(j.all, t)
		}
	}
}

func (j *judge) find(k events.Kind, ns, name string, uid types.UID) *thing {
	for i := range j.all {
		if t := &j.all[i]; t.Kind == k && t.Namespace == ns && t.Name == name && (uid == "" || t.ObjectMeta.UID == uid) {
			return t
		}
	}
	return nil
}

// owner says what one owner reference of t is worth: an object that is there,
// nothing, or something that nobody here can know.
func (j *judge) owner(t *thing, r metav1.OwnerReference) (o *thing, known bool) {
	k := events.Kind(r.Kind)
	if api[k] != r.APIVersion || k == "Widget" || !clusterScoped(k) && t.Namespace == "" {
		return nil, false
	}
	if clusterScoped(k) {
		return j.find(k, "", r.Name, r.UID), true
	}
	return j.find(k, t.Namespace, r.Name, r.UID), true
}

// bonds sorts the owners of t.
func (j *judge) bonds(t *thing) (absent, waiting, orphaning []types.UID, stay int) {
	for _, r := range t.OwnerReferences {
		switch o, known := j.owner(t, r); {
		case !known:
			stay++
		case o == nil:
			absent = append(absent, r.UID)
		case o.dying(metav1.FinalizerOrphanDependents):
			orphaning = append(orphaning, r.UID)
		case o.foreground():
			waiting = append(waiting, r.UID)
		default:
			stay++
		}
	}
	return absent, waiting, orphaning, stay
}

// dependents returns what an object owns, and what of it it waits for: a
// DaemonSet for all that it controls.
func (j *judge) dependents(of *thing) (ts []*thing, blocking []*thing) {
	for i := range j.all {
		t := &j.all[i]
		for _, r := range t.OwnerReferences {
			if o, known := j.owner(t, r); known && o == of {
				ts = append(ts, t)
				if r.BlockOwnerDeletion != nil && *r.BlockOwnerDeletion || of.Kind == events.DaemonSet && *r.Controller {
					blocking = append(blocking, t)
				}
			}
		}
	}
	return ts, blocking
}

func (j *judge) content(ns string) (ts []*thing) {
	for i := range j.all {
		if t := &j.all[i]; t.Namespace == ns {
			ts = append(ts, t)
		}
	}
	return ts
}

// collection judges every command of a collection that is to be appended.
func (j *judge) collection(c *events.Plan) {
	j.census()
	for _, x := range c.Commands {
		t := j.find(x.Ref.Kind, x.Ref.Key.Namespace, x.Ref.Key.Name, x.Ref.UID)
		if t == nil {
			j.e.fail("UNJUST", "%s of %s %s, which is not there", x.Do, x.Ref.Kind, x.Ref.Key)
		}
		if !j.just(x, t) {
			j.e.fail("UNJUST", "%s %s %s for %s: %+v", x.Do, x.Ref.Kind, x.Ref.Key, x.Reason, t.ObjectMeta)
		}
	}
}

func (j *judge) just(x events.Command, t *thing) bool {
	absent, waiting, orphaning, stay := j.bonds(t)
	all, blocking := j.dependents(t)
	alive := t.DeletionTimestamp == nil
	switch x.Do {
	case events.DeleteObject:
		switch x.Reason {
		case events.OwnerGone:
			return alive && len(absent) > 0 && len(waiting)+len(orphaning)+stay == 0
		case events.OwnerDeleting:
			return alive && len(waiting) > 0 && len(orphaning)+stay == 0
		case events.NodeGone:
			n := j.find(events.Node, "", nodeOf(t.pod), "")
			if since, lost := j.lost[x.Ref]; lost {
				return alive && n == nil && j.e.now.Sub(since) >= time.Minute
			}
			return n == nil || n.ObjectMeta.UID != j.e.state.Pod(x.Ref.Key).NodeUID
		}
	case events.DisownObject:
		from := slices.Concat(absent, waiting)
		if x.Reason == events.Orphaned {
			from, stay = orphaning, 1
		}
		return stay > 0 && len(x.Owners) > 0 && !slices.ContainsFunc(x.Owners, func(u types.UID) bool { return !slices.Contains(from, u) })
	case events.FinalizeObject:
		switch x.Finalizer {
		case metav1.FinalizerOrphanDependents:
			return t.dying(x.Finalizer) && len(all) == 0
		case metav1.FinalizerDeleteDependents:
			return t.foreground() && !slices.ContainsFunc(blocking, func(d *thing) bool { return !d.foreground() })
		}
	}
	return false
}

// atRest judges what is left when nobody has anything to do.
func (j *judge) atRest() {
	j.census()
	left := func(t *thing, why string) {
		j.e.fail("LEFT", "%s %s: %s: %+v", t.Kind, t.Key, why, t.ObjectMeta)
	}
	for i := range j.all {
		t := &j.all[i]
		absent, waiting, orphaning, stay := j.bonds(t)
		all, blocking := j.dependents(t)
		alive := t.DeletionTimestamp == nil
		held := slices.ContainsFunc(t.Finalizers, func(f string) bool { return f == keep })
		switch {
		case len(orphaning) > 0:
			left(t, "has an owner that leaves it")
		case alive && len(absent)+len(waiting) > 0:
			left(t, "has owners that are gone or wait for it")
		case !alive && len(absent) > 0 && stay == 0 && !held && len(t.Finalizers) == 0 && t.ns == nil:
			left(t, "is not gone")
		case t.dying(metav1.FinalizerOrphanDependents) && len(all) == 0:
			left(t, "has left all its dependents")
		case t.foreground() && (len(blocking) == 0 || j.freed(t)):
			left(t, "waits for nobody")
		case t.ns != nil && !alive && len(t.ns.Spec.Finalizers) > 0 && len(j.content(t.Name)) == 0:
			left(t, "is empty")
		case t.pod != nil && len(t.Finalizers) == 0 && j.stranded(t):
			left(t, "is on a node that was deleted")
		case len(j.lost) > 0:
			left(t, fmt.Sprintf("is there while pods are on nodes that never were: %v", j.lost))
		}
		ordered := t.pod != nil || !slices.ContainsFunc(j.content(t.Namespace), func(o *thing) bool { return o.pod != nil })
		if ns := j.find(events.Namespace, "", t.Namespace, ""); ns != nil && ns.DeletionTimestamp != nil && alive && ordered && len(ns.ns.Spec.Finalizers) > 0 {
			left(t, "is in a namespace that is being deleted")
		}
	}
}

// freed reports whether nothing that t waits for, at any remove, is held by
// somebody else or has to be emptied first.
func (j *judge) freed(t *thing) bool {
	todo, seen := []*thing{t}, map[*thing]bool{}
	for len(todo) > 0 {
		x := todo[0]
		todo = todo[1:]
		if x != t && (slices.Contains(x.Finalizers, keep) || x.ns != nil && len(j.content(x.Name)) > 0) || x.dying(metav1.FinalizerOrphanDependents) {
			return false
		}
		_, blocking := j.dependents(x)
		for _, d := range blocking {
			if !seen[d] {
				seen[d] = true
				todo = append(todo, d)
			}
		}
	}
	return true
}

func (j *judge) stranded(t *thing) bool {
	p := j.e.state.Pod(t.Key)
	return p.NodeUID != "" && j.find(events.Node, "", nodeOf(t.pod), "") == nil
}

func nodeOf(p *corev1.Pod) string {
	if p == nil {
		return ""
	}
	name, _ := daemonpod.TargetNode(&p.Spec)
	return name
}
