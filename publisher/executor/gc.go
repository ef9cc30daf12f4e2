package executor

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/events/drive"
)

// Reasons of outcomes of collections, besides reasonTerminating and others.
const (
	reasonGone     = "Gone"     // the object is no longer there
	reasonChanged  = "Changed"  // the object is not what was decided upon
	reasonDone     = "Done"     // what was to be taken off is not there
	reasonReadOnly = "ReadOnly" // this version cannot write the object
)

// performOnObject carries out a command of the garbage collector and appends the
// fact that came of it, or returns the outcome. The object is looked up where the
// log has it: such commands are rare, and the fold keeps no objects but those
// that plans of DaemonSets name.
func (t *task) performOnObject(ctx context.Context, log drive.Log) (verdict, error) {
	x := events.Expect{Subject: t.executor.subjects.Object(t.command.Kind, t.command.Key)}
	last, ok, err := log.Latest(ctx, x.Subject)
	if err != nil {
		return verdict{}, fmt.Errorf("latest event: %w", err)
	}
	if ok && last.Cause == t.order.cause {
		return verdict{}, nil // by another executor, or by a try that was cut short
	}
	if i := t.executor.fold.objects.Get(t.command.Kind, t.command.Key); !ok && i != nil { // its last event was archived
		last = events.Event{Seq: events.Seq(i.Rev), Type: events.ObjectType(t.command.Kind, events.VerbUpdated), Subject: x.Subject, Body: i.Object}
	}
	x.Last = last.Seq
	fact, v, err := t.change(ctx, last)
	if err != nil || v.outcome != "" {
		return v, err
	}
	_, err = log.Submit(ctx, events.Entry{Event: fact, Expect: x})
	return verdict{}, err
}

// change carries the command out on the object that last tells of, and returns
// the fact that came of it, or the verdict that nothing did.
func (t *task) change(ctx context.Context, last events.Event) (events.Event, verdict, error) {
	c := t.command
	o, ok := last.Body.(events.Object)
	switch {
	case last.Body != nil && !believable(last):
		return events.Event{}, failed(reasonUnreadable, fmt.Sprintf("#%d, the last event about the object, is quarantined", last.Seq)), nil
	case !ok || o.UID != c.UID:
		return events.Event{}, overtaken(reasonGone, "the object is already gone"), nil
	case last.Seq > t.order.basis.Seq:
		return events.Event{}, overtaken(reasonChanged, fmt.Sprintf("#%d changed the object", last.Seq)), nil
	}
	to, err := openTarget(o)
	if err != nil {
		return events.Event{}, failed(reasonUnreadable, err.Error()), nil
	}
	gone, v := false, verdict{}
	switch c.Do {
	case events.DeleteObject:
		gone, v, err = t.deleteObject(ctx, to)
	case events.DisownObject:
		v, err = t.disownObject(ctx, to)
	case events.FinalizeObject:
		gone, v, err = t.finalizeObject(ctx, to)
	default:
		v = unknown(c.Do)
	}
	if err != nil || v.outcome != "" {
		return events.Event{}, v, err
	}
	body, err := to.object()
	if err != nil {
		return events.Event{}, failed(reasonReadOnly, err.Error()), nil
	}
	if gone {
		return t.answer(events.ObjectType(c.Kind, events.VerbDeleted), events.Gone(body)), verdict{}, nil
	}
	return t.answer(events.ObjectType(c.Kind, events.VerbUpdated), body), verdict{}, nil
}

// deleteObject deletes as an API server does: what finalizers hold is marked, and
// the rest is gone. A pod is left to its kubelet if it has one.
func (t *task) deleteObject(ctx context.Context, to *target) (gone bool, v verdict, err error) {
	c := t.command
	stranded := c.Reason == events.NodeGone && to.pod != nil && len(to.meta.Finalizers) == 0
	if to.meta.DeletionTimestamp != nil && !stranded {
		return false, overtaken(reasonTerminating, "the object is already being deleted"), nil
	}
	if c.Finalizer != "" && !slices.Contains(to.meta.Finalizers, c.Finalizer) {
		to.meta.Finalizers = append(to.meta.Finalizers, c.Finalizer)
	}
	if to.pod != nil {
		given := to.pod.DeepCopy()
		pod, gone, err := t.executor.world.Delete(ctx, Deletion{Pod: given, NodeGone: t.node.uid == "" || c.Reason == events.NodeGone, At: t.now,
			Reason: c.Reason, Basis: t.order.basis.Seq})
		if err != nil || pod == nil {
			return gone, verdict{}, err
		}
		return gone, verdict{}, to.became(given, pod)
	}
	if !to.held() {
		return true, verdict{}, nil
	}
	to.meta.DeletionTimestamp = ptr.To(metav1.NewTime(t.now.UTC().Truncate(time.Second)))
	to.meta.DeletionGracePeriodSeconds = ptr.To(int64(0))
	if to.meta.Generation > 0 {
		to.meta.Generation++
	}
	if to.namespace != nil {
		to.namespace.Status.Phase = corev1.NamespaceTerminating
	}
	return false, verdict{}, nil
}

func (t *task) disownObject(ctx context.Context, to *target) (verdict, error) {
	left := slices.DeleteFunc(slices.Clone(to.meta.OwnerReferences), func(r metav1.OwnerReference) bool {
		return slices.Contains(t.command.Owners, r.UID)
	})
	if len(left) == len(to.meta.OwnerReferences) {
		return overtaken(reasonDone, "the object has none of the owners"), nil
	}
	to.meta.OwnerReferences = left
	return verdict{}, t.update(ctx, to)
}

// finalizeObject takes a finalizer off. The object is gone if nothing else holds it
// and it is not in its grace period.
func (t *task) finalizeObject(ctx context.Context, to *target) (gone bool, v verdict, err error) {
	if !to.release(t.command.Finalizer) {
		return false, overtaken(reasonDone, "the finalizer is not there"), nil
	}
	if to.meta.DeletionTimestamp != nil && !to.held() && ptr.Deref(to.meta.DeletionGracePeriodSeconds, 0) == 0 {
		return true, verdict{}, nil
	}
	return false, verdict{}, t.update(ctx, to)
}

// update lets the world have its say about a pod that changed.
func (t *task) update(ctx context.Context, to *target) error {
	if to.pod == nil {
		return nil
	}
	pod, err := t.executor.world.Update(ctx, to.pod)
	if err != nil {
		return err
	}
	return to.became(to.pod, pod)
}
