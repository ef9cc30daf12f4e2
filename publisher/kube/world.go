package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/publisher/executor"
)

// Bounds of calls.
const (
	callsInFlight = 32
	callTime      = 10 * time.Second // of one command
	laneTime      = 5 * time.Second  // that what is heard of a pod waits for a call about it
	aliveTime     = time.Second      // until a log is asked again whether it answers
)

// World is a cluster as an executor acts in it, in which a charter's mode lets it act. It
// does nothing while the log does not have what the cluster has (Gate), or cannot be
// asked: what could not be told is not done.
//
// While a call about a pod is under way, its lane is the call's: what a watch says of the
// pod waits until the log has what the call came to, so that it is told whose doing it
// was.
type World struct {
	*Cluster
	rights Rights
	slots  chan struct{}
	wake   chan struct{}

	mu    sync.Mutex
	gate  Gate
	log   events.Log // nil: nobody records yet
	asked time.Time  // when the log answered last
	calls map[types.UID]call
}

// call is closed when what came of it is in the log.
type call chan struct{}

// NewWorld returns a world in which that may be done which the rights say.
func NewWorld(c *Cluster, r Rights) *World {
	return &World{Cluster: c, rights: r, slots: make(chan struct{}, callsInFlight), wake: make(chan struct{}, 1), calls: map[types.UID]call{}}
}

// Does says what is done in the cluster; "": nothing.
func (w *World) Does() string {
	switch r := w.rights; {
	case r.Evict:
		return "evicts old pods of OnDelete DaemonSets that have the annotation " + events.AnnotationRollout
	case r.Delete:
		return "deletes old pods of OnDelete DaemonSets that have the annotation " + events.AnnotationRollout + "; it may not evict, so PodDisruptionBudgets are not asked"
	}
	return ""
}

// Ready reports whether it may be decided what to do.
func (w *World) Ready() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gate.Open(time.Now())
}

// Wake tells that Ready may have become true.
func (w *World) Wake() <-chan struct{} { return w.wake }

// begin tells of the log that is written.
func (w *World) begin(log events.Log) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = log
}

func (w *World) expect(plural string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate.Expect(plural)
}

func (w *World) opened(plural string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate.Opened(plural, n, time.Now())
}

func (w *World) ended(plural string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate.Ended(plural, n)
}

// working tells that what was heard at a time is being appended.
func (w *World) working(heard time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate.Working(heard)
}

// rest tells that all that was heard is in the log, which was read up to a position.
func (w *World) rest(at events.Seq) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate.Working(time.Time{})
	if w.gate.Look(time.Now(), at) {
		select {
		case w.wake <- struct{}{}:
		default: // it is still to be heard
		}
	}
}

// Create implements executor.World.
func (w *World) Create(context.Context, *corev1.Pod) (*corev1.Pod, error) {
	return nil, &executor.Overtaken{Reason: reasonMode, Message: "pods are made by the cluster's own controller"}
}

// Update implements executor.World.
func (w *World) Update(context.Context, *corev1.Pod) (*corev1.Pod, error) {
	return nil, &executor.Overtaken{Reason: reasonMode, Message: "pods are adopted by the cluster's own controller"}
}

// Delete implements executor.World: it evicts if that is allowed, so that
// PodDisruptionBudgets have their say. The pod has to be as it was decided upon.
func (w *World) Delete(ctx context.Context, d executor.Deletion) (pod *corev1.Pod, gone bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	if err := w.permit(ctx, d); err != nil {
		return nil, false, err
	}
	if err := w.end(ctx, d.Pod); err != nil {
		return nil, false, w.why(ctx, d.Pod.Namespace, err)
	}
	return w.look(ctx, d.Pod)
}

// permit begins a call, or says why there is none.
func (w *World) permit(ctx context.Context, d executor.Deletion) error {
	w.mu.Lock()
	log, asked := w.log, w.asked
	w.mu.Unlock()
	if w.rights == (Rights{}) {
		return &executor.Overtaken{Reason: reasonMode, Message: "the cluster is only recorded"}
	}
	if now := time.Now(); log != nil && now.Sub(asked) > aliveTime {
		if _, err := log.Info(ctx); err != nil {
			return fmt.Errorf("ask the log whether it answers: %w", err)
		}
		asked = now
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = asked
	if why := w.gate.Permit(d.Basis, time.Now()); why != "" {
		return &executor.Overtaken{Reason: reasonBehind, Message: why}
	}
	if w.calls[d.Pod.UID] == nil {
		w.calls[d.Pod.UID] = make(call)
	}
	return nil
}

// end asks the cluster to end a pod. It asks once: a client that waits by itself, as long
// as an answer says, would do nothing else until then, and nobody could see why.
func (w *World) end(ctx context.Context, p *corev1.Pod) error {
	client := w.client.CoreV1().RESTClient()
	o := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID, ResourceVersion: &p.ResourceVersion}}
	ask := client.Delete().Namespace(p.Namespace).Resource("pods").Name(p.Name).Body(o)
	if w.rights.Evict {
		ask = client.Post().Namespace(p.Namespace).Resource("pods").Name(p.Name).SubResource("eviction").
			Body(&policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, DeleteOptions: o})
	}
	return ask.MaxRetries(0).Do(ctx).Error()
}

// look returns what has become of a pod that was asked to end. A list of its name has a
// revision also if the pod is not in it: what is heard of the pod until then is old.
func (w *World) look(ctx context.Context, was *corev1.Pod) (pod *corev1.Pod, gone bool, err error) {
	list, err := w.client.CoreV1().Pods(was.Namespace).List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", was.Name).String()})
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("see what has become of pod %s/%s: %w", was.Namespace, was.Name, err)
	case len(list.Items) == 0:
		was.ResourceVersion = list.ResourceVersion
	case list.Items[0].UID == was.UID:
		pod = &list.Items[0]
		pod.ManagedFields = nil
		return pod, false, nil
	}
	return was, true, nil
}

// why says what an error means for the command. A right that is missing is nobody's
// refusal of the pod: it is tried again until somebody has given it.
func (w *World) why(ctx context.Context, namespace string, err error) error {
	if apierrors.IsForbidden(err) {
		has, asked := w.endRights(ctx, namespace)
		if asked == nil && !(w.rights.Evict && has.Evict || w.rights.Delete && has.Delete) {
			return w.missing("end pods", namespace)
		}
	}
	return answered(err)
}

// Settled implements executor.World.
func (w *World) Settled(pod types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.calls[pod]; c != nil {
		close(c)
		delete(w.calls, pod)
	}
}

// call returns the call about an object that is under way; nil: none is.
func (w *World) call(of types.UID) call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[of]
}

// wait returns when the log has what came of a call, or it takes too long.
func (c call) wait(ctx context.Context) {
	timer := time.NewTimer(laneTime)
	defer timer.Stop()
	select {
	case <-c:
	case <-timer.C:
	case <-ctx.Done():
	}
}
