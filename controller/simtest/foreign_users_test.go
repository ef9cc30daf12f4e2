package simtest

import (
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/daemonpod"
)

// users lets somebody do something now and then.
func (f *foreign) users() {
	s := f.server
	if f.rng.IntN(25) > 0 {
		return
	}
	sets := s.sets()
	if len(sets) == 0 {
		f.makeSet("agent")
		return
	}
	key := keyOf(sets[f.rng.IntN(len(sets))])
	switch f.rng.IntN(9) {
	case 0, 1:
		f.edit(key)
	case 2:
		f.remove(key, metav1.FinalizerOrphanDependents)
	case 3:
		f.remove(key, "")
	case 4:
		f.remove(key, metav1.FinalizerDeleteDependents)
	case 5:
		if ps := s.pods(); len(ps) > 0 {
			s.deletePod(keyOf(ps[f.rng.IntN(len(ps))]), "user")
		}
	case 6:
		if ns := s.keys(events.Node); len(ns) > 2 {
			s.removeNode(ns[f.rng.IntN(len(ns))].Name)
		}
	case 7:
		for i := range 6 {
			if _, left := s.left[fmt.Sprintf("n%d", i)]; left {
				s.addNode(fmt.Sprintf("n%d", i))
				break
			}
		}
	case 8:
		f.rival()
	}
}

// edit gives a DaemonSet another template, as kubectl edit does.
func (f *foreign) edit(key events.Key) { f.give(key, fmt.Sprintf("a:%d", 1+f.rng.IntN(3))) }

// give gives a DaemonSet an image.
func (f *foreign) give(key events.Key, image string) {
	o, _ := f.server.typed(events.DaemonSet, key)
	ds := o.(*appsv1.DaemonSet)
	if c := &ds.Spec.Template.Spec.Containers[0]; ds.DeletionTimestamp == nil && c.Image != image {
		n, _ := strconv.Atoi(ds.Annotations[daemonpod.GenerationAnnotation]) // which a server counts
		c.Image, ds.Generation = image, ds.Generation+1
		ds.Annotations[daemonpod.GenerationAnnotation] = strconv.Itoa(n + 1)
		f.server.put(events.DaemonSet, ds, "user")
	}
}

// remove deletes a DaemonSet, with a finalizer for what becomes of its pods; "": they
// are collected later.
func (f *foreign) remove(key events.Key, finalizer string) {
	o, _ := f.server.typed(events.DaemonSet, key)
	if o.GetDeletionTimestamp() != nil {
		return
	}
	if finalizer == "" {
		f.server.remove(events.DaemonSet, key, "user")
		return
	}
	f.server.orphaned[o.GetUID()], f.server.deleted[o.GetUID()] = finalizer == metav1.FinalizerOrphanDependents, f.server.now
	o.SetFinalizers([]string{finalizer})
	o.SetDeletionTimestamp(&metav1.Time{Time: f.server.now})
	o.SetGeneration(o.GetGeneration() + 1) // as a server counts it
	f.server.put(events.DaemonSet, o, "user")
}

// rival is another DaemonSet controller that makes a pod beside ours.
func (f *foreign) rival() {
	for _, p := range f.server.pods() {
		if pin := pinOf(p); ownedBy(p) != "" && f.server.node(pin) && f.rng.IntN(3) == 0 {
			p = p.DeepCopy()
			p.Name, p.DeletionTimestamp, p.Finalizers = fmt.Sprintf("rival-%d", f.server.rv), nil, nil
			p.Spec.NodeName, p.Status.Conditions = "", nil
			daemonpod.Pin(&p.Spec, pin)
			f.server.createPod(p, "rival")
			return
		}
	}
}

// atRest holds the log, and what has become of the DaemonSets, against the world when
// nobody does anything any more.
func (f *foreign) atRest() {
	for _, k := range foreignKinds {
		n := 0
		for _, o := range f.state.List(k, "") {
			n++
			if is, there := f.server.bytes[objectAt{k, o.Key}]; !there || rvOf(is.Data) != rvOf(o.Data) {
				f.bad("the log has %s %s at revision %d, the world at %d", k, o.Key, rvOf(o.Data), rvOf(is.Data))
			}
		}
		if want := len(f.server.keys(k)); n != want {
			f.bad("the log has %d of kind %s, the world %d", n, k, want)
		}
	}
	if err := f.state.Check(); err != nil {
		f.bad("%v", err)
	}
	if f.server.webhook == "" || f.server.webhook == "hash" {
		f.rolledOut()
	}
}

// rolledOut says on which nodes a DaemonSet has not come to its end.
func (f *foreign) rolledOut() {
	for _, ds := range f.server.sets() {
		d := f.state.DaemonSet(keyOf(ds))
		if ds.DeletionTimestamp != nil || !d.LoopUntil(d.Guard.Revision).IsZero() {
			continue
		}
		if n := f.server.unavailable(ds.UID); n > 0 {
			_, why := controller.Explain(f.state, d.Key, f.server.now)
			f.bad("%s has no pod on %d nodes: %+v, held back by %v", ds.Name, n, d.Counts, why.Blockers)
		}
		for _, p := range f.server.pods() {
			if was := f.state.Pod(keyOf(p)); ownedBy(p) == ds.UID && !d.IsNew(&was.PodView) {
				f.bad("%s still has the old pod %s", ds.Name, p.Name)
			}
		}
	}
}
