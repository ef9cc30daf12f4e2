package controller_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector/story"
)

var (
	estates     = flag.Int("histories", 300, "how many histories of owners to run")
	firstEstate = flag.Uint64("firstestate", 1, "the seed of the first of them")
)

var ctx = context.Background()

// keep is a finalizer of somebody else.
const keep = "test/keep"

// TestEstates lets owners, what they own, namespaces, nodes and finalizers come
// and go at random, with a collector, an executor that reads late, and kubelets
// among them. After each event the fold is what the objects give (CHECK), no
// command is planned that the objects do not justify (UNJUST), or carried out
// on something else than was decided upon (STALE), or while another about the
// same object is under way (TWICE), at rest nothing
// is left to do (LEFT) and nobody is busy for ever (REST), and each collection
// is decided again (VERIFY).
func TestEstates(t *testing.T) {
	collected := 0
	for seed := *firstEstate; seed < *firstEstate+uint64(*estates); seed++ {
		v, n := runEstate(seed)
		if v != nil {
			t.Fatalf("seed %d: %s at #%d: %s", seed, v.rule, v.at, v.why)
		}
		collected += n
	}
	if collected < *estates*5 {
		t.Errorf("%d commands in %d histories: they say nothing", collected, *estates)
	}
}

// runEstate runs the history of a seed and returns the number of commands that
// were planned about objects.
func runEstate(seed uint64) (v *violation, commands int) {
	var e *estate
	defer func() {
		if r := recover(); r != nil {
			x, ok := r.(violation)
			if !ok {
				panic(r)
			}
			v = &x
			if testing.Verbose() {
				e.print()
			}
		}
	}()
	e = newEstate(seed)
	h := &heirs{e}
	for _, n := range []string{"n1", "n2"} {
		e.create(events.Node, events.Key{Name: n}, nil)
	}
	for range 60 {
		h.act()
	}
	e.rest()
	e.judge.atRest()
	again, err := replay.Verify(ctx, e.log)
	e.must(err)
	if diff := again.First(); diff != nil {
		e.fail("VERIFY", "%s", diff)
	}
	of, err := replay.Open(ctx, e.log, nil)
	e.must(err)
	causes, err := of.Causes(ctx, of.Span().Last)
	e.must(err)
	for ev, err := range e.log.Read(ctx, 0) {
		e.must(err)
		if c, ok := ev.Body.(*events.Plan); ok && c.Owner == (events.Ref{}) {
			commands += len(c.Commands)
			for i := range c.Commands {
				e.explained(causes, replay.Link{Seq: ev.Seq, Index: i})
			}
		}
	}
	return nil, commands
}

// explained checks that a command comes from something that somebody did (WHY).
func (e *estate) explained(causes *replay.Causes, command replay.Link) {
	chain := causes.Chain(command)
	if _, ends := chain[len(chain)-1].Command(); ends {
		e.fail("WHY", "command %v comes from nothing: %v", command, chain)
	}
}

// heirs act at random in an estate.
type heirs struct{ *estate }

func pick[T any](h *heirs, of ...T) T { return of[h.r.IntN(len(of))] }

func (h *heirs) act() {
	h.now = h.now.Add(time.Duration(h.r.IntN(3000)) * time.Millisecond)
	switch h.r.IntN(17) {
	case 0, 1, 2, 3, 4:
		h.make()
	case 5, 6:
		k, key := h.any()
		h.delete(k, key, pick(h, "", "", metav1.FinalizerDeleteDependents, metav1.FinalizerOrphanDependents))
	case 7:
		k, key := h.any()
		h.update(k, key, func(o metav1.Object) { o.SetOwnerReferences(h.owners(k, key)) })
	case 8, 9:
		k, key := h.any()
		h.update(k, key, func(o metav1.Object) {
			if had := slices.DeleteFunc(slices.Clone(o.GetFinalizers()), func(f string) bool { return f == keep }); len(had) < len(o.GetFinalizers()) {
				o.SetFinalizers(had)
			} else if o.GetDeletionTimestamp() == nil && h.r.IntN(2) == 0 {
				o.SetFinalizers(append(o.GetFinalizers(), keep))
			}
		})
	case 10:
		key := events.Key{Name: pick(h, "n1", "n2")}
		if o := h.object(events.Node, key); o != nil {
			h.gone(events.Node, o)
		}
		if h.r.IntN(2) == 0 {
			h.create(events.Node, key, nil)
		}
	case 11, 12:
		h.collect()
	case 13:
		h.reconcile()
	case 14:
		h.execute(events.Seq(h.r.IntN(int(h.state.Seq())+1)), 1+h.r.IntN(4))
	case 15:
		h.kubelet()
	case 16:
		h.empty()
	}
}

var made = []events.Kind{events.ConfigMap, events.ConfigMap, events.Secret, events.ReplicaSet, events.ReplicaSet, events.Job, events.Pod,
	events.Pod, events.PersistentVolume, events.Namespace, events.Namespace, events.DaemonSet, events.ControllerRevision, events.Node}

// key returns a name for an object of a kind.
func (h *heirs) key(k events.Kind) events.Key {
	key := events.Key{Namespace: pick(h, "x", "x", "y"), Name: pick(h, "a", "b", "c")}
	switch k {
	case events.DaemonSet:
		key.Name = "agent"
	case events.Namespace:
		key = events.Key{Name: key.Namespace}
	case events.Node:
		key = events.Key{Name: pick(h, "n1", "n2")}
	case events.PersistentVolume:
		key.Namespace = ""
	}
	return key
}

// make makes an object whose name is free.
func (h *heirs) make() {
	k := pick(h, made...)
	key := h.key(k)
	if h.object(k, key) != nil {
		return
	}
	h.create(k, key, func(o metav1.Object) {
		o.SetOwnerReferences(h.owners(k, key))
		if h.r.IntN(6) == 0 {
			o.SetFinalizers([]string{keep})
		}
		if p, ok := o.(*corev1.Pod); ok {
			p.Spec.NodeName = pick(h, "", "n1", "n2", "unknown")
			p.Status.Phase = pick(h, corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded)
		}
	})
}

// any returns an object that is there. The revisions of DaemonSets are left
// alone: one that is stolen stops its DaemonSet.
func (h *heirs) any() (events.Kind, events.Key) {
	k := pick(h, made...)
	all := slices.DeleteFunc(h.state.List(k, ""), func(o events.Object) bool {
		return k == events.ControllerRevision && strings.HasPrefix(o.Key.Name, "agent-")
	})
	if len(all) == 0 {
		return events.Namespace, events.Key{Name: "none"}
	}
	return k, all[h.r.IntN(len(all))].Key
}

// owners makes up owner references of an object: to objects that are there,
// were there, are elsewhere, or are nobody's business here.
func (h *heirs) owners(of events.Kind, key events.Key) (rs []metav1.OwnerReference) {
	for range h.r.IntN(4) - h.r.IntN(2) {
		k, owner := h.any()
		uid := types.UID("nobody")
		if o := h.object(k, owner); o != nil && h.r.IntN(12) > 0 {
			uid = o.GetUID()
		}
		block := h.r.IntN(2) == 0
		r := metav1.OwnerReference{APIVersion: api[k], Kind: string(k), Name: owner.Name, UID: uid, BlockOwnerDeletion: &block}
		switch h.r.IntN(14) {
		case 0:
			r.APIVersion, r.Kind = "example.com/v1", "Widget"
		case 1:
			if k != events.DaemonSet { // a DaemonSet knows its pods by kind and uid
				r.APIVersion = "example.com/v1"
			}
		case 2:
			r.Name = "other"
		}
		controls := len(rs) == 0 && h.r.IntN(2) == 0
		r.Controller = &controls
		rs = append(rs, r)
	}
	return rs
}

func daemonSetOf(name string) *appsv1.DaemonSet {
	return daemonSet(name, strings.Join([]string{name, "v1"}, ":"), intstr.FromInt32(1))
}

func (v violation) String() string { return fmt.Sprintf("%s at #%d: %s", v.rule, v.at, v.why) }

// print tells the history.
func (e *estate) print() {
	teller := story.New()
	for ev, err := range e.log.Read(ctx, 0) {
		if err != nil {
			return
		}
		for _, entry := range teller.Tell(ev) {
			fmt.Println(story.Line(entry))
		}
	}
}
