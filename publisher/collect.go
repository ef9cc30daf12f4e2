package publisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/events/drive"
)

// Reasons of outcomes of collections, besides ReasonTerminating and others.
const (
	ReasonGone     = "Gone"     // the object is no longer there
	ReasonChanged  = "Changed"  // the object is not what was decided upon
	ReasonDone     = "Done"     // what was to be taken off is not there
	ReasonReadOnly = "ReadOnly" // this version cannot write the object
)

// gathering is one try of one command of a collection. The object is looked up
// where the log has it: commands about it are rare, and the fold keeps no
// objects but those that plans name.
type gathering struct {
	executor *Executor
	order    *order
	now      time.Time
	noNode   bool // of a pod: the node that it is bound to is not there
}

// gather returns the next try of a command of a collection.
func (x *Executor) gather(o *order, now time.Time) *gathering {
	g := &gathering{executor: x, order: o, now: now}
	if f := x.fold.pods[o.collect.Ref.Key]; o.collect.Ref.Kind == events.Pod && f != nil {
		pod := new(corev1.Pod)
		if f.object.Decode(pod) == nil {
			g.noNode = x.fold.nodes[pod.Spec.NodeName] == ""
		}
	}
	return g
}

// Perform implements drive.Step.
func (g *gathering) Perform(ctx context.Context, log drive.Log) error {
	ref := g.order.collect.Ref
	x := events.Expect{Subject: g.executor.subjects.Object(ref.Kind, ref.Key)}
	last, ok, err := log.Latest(ctx, x.Subject)
	if err != nil {
		return fmt.Errorf("latest event of %s %s: %w", ref.Kind, ref.Key, err)
	}
	if ok && last.Cause == g.order.cause {
		return nil // by another executor, or by a try that was cut short
	}
	x.Last = last.Seq
	fact, v, err := g.effect(ctx, last)
	if err != nil {
		return fmt.Errorf("%s %s %s: %w", g.order.collect.Do, ref.Kind, ref.Key, err)
	}
	if v.outcome == "" {
		_, err := log.Submit(ctx, x, fact)
		if !errors.Is(err, events.ErrTooLarge) {
			return err
		}
		v = failed(ReasonTooLarge, err.Error())
	}
	_, err = log.Submit(ctx, events.Expect{}, g.order.answer(v.outcome,
		events.Uncollected{Command: *g.order.collect, Reason: v.reason, Message: v.message}))
	return err
}

// effect carries the command out on the object that last tells of, and returns
// the fact that came of it, or the verdict that nothing did.
func (g *gathering) effect(ctx context.Context, last events.Event) (events.Event, verdict, error) {
	c := g.order.collect
	o, ok := last.Body.(events.Object)
	switch {
	case last.Body != nil && !believable(last):
		return events.Event{}, failed(ReasonUnreadable, fmt.Sprintf("#%d, the last event about the object, is quarantined", last.Seq)), nil
	case !ok || o.UID != c.Ref.UID:
		return events.Event{}, overtaken(ReasonGone, "the object is already gone"), nil
	case last.Seq > g.order.basis:
		return events.Event{}, overtaken(ReasonChanged, fmt.Sprintf("#%d changed the object", last.Seq)), nil
	}
	t, err := openTarget(o)
	if err != nil {
		return events.Event{}, failed(ReasonUnreadable, err.Error()), nil
	}
	gone, v := false, verdict{}
	switch c.Do {
	case events.DeleteObject:
		gone, v, err = g.delete(ctx, t)
	case events.DisownObject:
		v, err = g.disown(ctx, t)
	case events.FinalizeObject:
		gone, v, err = g.finalize(ctx, t)
	default:
		v = failed(ReasonUnknownCommand, "this version cannot "+string(c.Do))
	}
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		return events.Event{}, failed(refusal.Reason, refusal.Message), nil
	case err != nil || v.outcome != "":
		return events.Event{}, v, err
	}
	body, err := t.object()
	if err != nil {
		return events.Event{}, failed(ReasonReadOnly, err.Error()), nil
	}
	if gone {
		return g.order.answer(events.ObjectType(c.Ref.Kind, events.VerbDeleted), events.Gone(body)), verdict{}, nil
	}
	return g.order.answer(events.ObjectType(c.Ref.Kind, events.VerbUpdated), body), verdict{}, nil
}

// delete deletes as an API server does: what finalizers hold is marked, and
// the rest is gone. A pod is left to its kubelet if it has one.
func (g *gathering) delete(ctx context.Context, t *target) (gone bool, v verdict, err error) {
	c := g.order.collect
	stranded := c.Reason == events.NodeGone && t.pod != nil && len(t.meta.Finalizers) == 0
	if t.meta.DeletionTimestamp != nil && !stranded {
		return false, overtaken(ReasonTerminating, "the object is already being deleted"), nil
	}
	if c.Finalizer != "" && !slices.Contains(t.meta.Finalizers, c.Finalizer) {
		t.meta.Finalizers = append(t.meta.Finalizers, c.Finalizer)
	}
	if t.pod != nil {
		pod, err := g.executor.world.Delete(ctx, Deletion{Pod: t.pod.DeepCopy(), NodeGone: g.noNode || c.Reason == events.NodeGone, At: g.now})
		if pod != nil {
			t.pod = pod
		}
		return pod == nil, verdict{}, err
	}
	if !t.held() {
		return true, verdict{}, nil
	}
	t.meta.DeletionTimestamp = ptr.To(metav1.NewTime(g.now.UTC().Truncate(time.Second)))
	t.meta.DeletionGracePeriodSeconds = ptr.To(int64(0))
	if t.meta.Generation > 0 {
		t.meta.Generation++
	}
	if t.namespace != nil {
		t.namespace.Status.Phase = corev1.NamespaceTerminating
	}
	return false, verdict{}, nil
}

func (g *gathering) disown(ctx context.Context, t *target) (verdict, error) {
	left := slices.DeleteFunc(slices.Clone(t.meta.OwnerReferences), func(r metav1.OwnerReference) bool {
		return slices.Contains(g.order.collect.Owners, r.UID)
	})
	if len(left) == len(t.meta.OwnerReferences) {
		return overtaken(ReasonDone, "the object has none of the owners"), nil
	}
	t.meta.OwnerReferences = left
	return verdict{}, g.update(ctx, t)
}

// finalize takes a finalizer off. The object is gone if nothing else holds it
// and it is not in its grace period.
func (g *gathering) finalize(ctx context.Context, t *target) (gone bool, v verdict, err error) {
	if !t.release(g.order.collect.Finalizer) {
		return false, overtaken(ReasonDone, "the finalizer is not there"), nil
	}
	if t.meta.DeletionTimestamp != nil && !t.held() && ptr.Deref(t.meta.DeletionGracePeriodSeconds, 0) == 0 {
		return true, verdict{}, nil
	}
	return false, verdict{}, g.update(ctx, t)
}

// update lets the world have its say about a pod that changed.
func (g *gathering) update(ctx context.Context, t *target) error {
	if t.pod == nil {
		return nil
	}
	pod, err := g.executor.world.Update(ctx, t.pod)
	if err == nil {
		t.pod = pod
	}
	return err
}
