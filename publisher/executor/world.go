package executor

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"rollcall/events"
)

// World is where commands take effect. Each method does one thing and returns
// the pod as it is then; doing it twice has the effect of once. It returns a
// *Refusal if the world will not have it, and an *Overtaken if that which was
// decided upon is not so any more; any other error means that it may not have
// happened and is to be tried again. Pods that are passed belong to the World. Its
// methods are called concurrently.
type World interface {
	// Create makes a pod.
	Create(ctx context.Context, c Creation) (*corev1.Pod, error)
	// Delete asks a pod of this uid to end. gone says that it has ended; the pod is
	// then as it was last, or nil if nobody knows better than the log.
	Delete(ctx context.Context, d Deletion) (pod *corev1.Pod, gone bool, err error)
	// Update changes the owner references of a pod of this uid.
	Update(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	// Settled tells that what came of a call about a pod is in the log, or that the
	// command is to be tried again.
	Settled(pod events.Key)
}

// Creation is what a World is told of a pod that should be made.
type Creation struct {
	Pod   *corev1.Pod
	Cause events.Cause // the command
}

// Deletion is what a World is told of a pod that should end.
type Deletion struct {
	Pod      *corev1.Pod
	NodeGone bool // the node that it is bound to is no longer there
	At       time.Time
	Reason   events.Reason
	Basis    events.Seq // the position of the log that the plan was decided from
}

// Refusal is the answer of a World that will not carry a command out, such as
// an exceeded quota. Trying the same again at once gives the same.
type Refusal struct {
	Reason  string // one word for machines
	Message string // a sentence for people
}

// Error returns reason and message.
func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Reason, r.Message) }

// Overtaken is the answer of a World in which that is not so any more which a
// command was decided upon. Whoever decides has to do so again.
type Overtaken struct {
	Reason  string // one word for machines
	Message string // a sentence for people
}

// Error returns reason and message.
func (o *Overtaken) Error() string { return fmt.Sprintf("%s: %s", o.Reason, o.Message) }

// Later is the answer of a World that has too much to do, and says when it is to be asked
// again.
type Later struct {
	After time.Duration
	Err   error
}

// Error returns what the World has said.
func (l *Later) Error() string { return l.Err.Error() }

// Unwrap returns what the World has said.
func (l *Later) Unwrap() error { return l.Err }

// LogWorld is the world of a cluster that is nothing but its log: what is
// appended is so. Its pods are ended by simulated kubelets.
type LogWorld struct {
	// Admit fills in what is decided for a pod that is made, or returns a
	// *Refusal if it may not be made; any other error has it tried again. nil
	// admits all. It is called concurrently.
	Admit func(ctx context.Context, pod *corev1.Pod) error
}

// Create implements World.
func (w LogWorld) Create(ctx context.Context, c Creation) (*corev1.Pod, error) {
	if w.Admit != nil {
		if err := w.Admit(ctx, c.Pod); err != nil {
			return nil, err
		}
	}
	return c.Pod, nil
}

// Delete implements World as an API server does: a pod that runs somewhere is
// given its grace period, in which its kubelet stops it; one that no kubelet
// has or will stop is gone at once, unless finalizers hold it.
func (w LogWorld) Delete(_ context.Context, d Deletion) (*corev1.Pod, bool, error) {
	grace := ptr.Deref(d.Pod.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	ended := d.Pod.Status.Phase == corev1.PodSucceeded || d.Pod.Status.Phase == corev1.PodFailed
	if d.Pod.Spec.NodeName == "" || d.NodeGone || ended || grace < 0 {
		grace = 0
	}
	if grace == 0 && len(d.Pod.Finalizers) == 0 {
		return nil, true, nil
	}
	at := d.At.UTC().Truncate(time.Second).Add(time.Duration(grace) * time.Second)
	d.Pod.DeletionTimestamp = ptr.To(metav1.NewTime(at))
	d.Pod.DeletionGracePeriodSeconds = ptr.To(grace)
	d.Pod.Generation++
	return d.Pod, false, nil
}

// Update implements World.
func (w LogWorld) Update(_ context.Context, pod *corev1.Pod) (*corev1.Pod, error) { return pod, nil }

// Settled implements World: nobody else tells of these pods.
func (w LogWorld) Settled(events.Key) {}
