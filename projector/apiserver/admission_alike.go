package apiserver

import (
	"maps"
	"reflect"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/projector/table"
)

// alike is what admission has made of pods, each of which stands for all pods of
// its revision: they differ in their names and in the node that their affinity
// names, which no plugin looks at before a pod has a node.
type alike struct {
	mu    sync.Mutex
	known map[revisionOf]*admittedPod
}

// revisionOf names a revision of what controls pods.
type revisionOf struct {
	controller types.UID
	revision   string
}

// admittedPod is a pod before and after admission.
type admittedPod struct {
	asked corev1.Pod
	spec  corev1.PodSpec // never changed: pods share it
	of    rulesAt
}

// rulesAt says as of when the rules are that admission has asked: the last
// change of each kind that plugins read for a pod without a node.
type rulesAt [len(ruleKinds)]uint64

var ruleKinds = [...]events.Kind{events.Namespace, events.ServiceAccount, events.RuntimeClass, events.PriorityClass, limitRange,
	mutatingPolicy, "MutatingAdmissionPolicyBinding", validatingPolicy, "ValidatingAdmissionPolicyBinding", mutatingWebhooks, validatingWebhooks}

func rulesOf(objects *table.Tables) (at rulesAt) {
	for i, k := range ruleKinds {
		at[i] = objects.Of(k).Last()
	}
	return at
}

// maxAlike bounds what is remembered of revisions.
const maxAlike = 256

// fill makes of a pod what admission made of one like it under the same rules,
// and reports whether there was one.
func (a *alike) fill(pod *corev1.Pod, now rulesAt) bool {
	key, ok := revisionOfPod(pod)
	if !ok {
		return false
	}
	a.mu.Lock()
	known := a.known[key]
	a.mu.Unlock()
	if known == nil || known.of != now || !known.like(pod) {
		return false
	}
	affinity := pod.Spec.Affinity
	pod.Spec = known.spec
	pod.Spec.Affinity = affinity
	return true
}

// keep remembers what became of a pod, if no more than its spec has changed.
func (a *alike) keep(asked corev1.Pod, pod *corev1.Pod, of rulesAt) {
	key, ok := revisionOfPod(&asked)
	made := asked
	made.Spec = pod.Spec
	made.Spec.Affinity = asked.Spec.Affinity
	if !ok || !reflect.DeepEqual(&made, pod) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) >= maxAlike {
		clear(a.known)
	}
	a.known[key] = &admittedPod{asked, pod.Spec, of}
}

// revisionOfPod returns the revision of a pod that has one, and no node.
func revisionOfPod(pod *corev1.Pod) (of revisionOf, ok bool) {
	c := metav1.GetControllerOfNoCopy(pod)
	if c == nil || pod.Spec.NodeName != "" {
		return of, false
	}
	of = revisionOf{c.UID, pod.Labels[daemonpod.RevisionLabel]}
	return of, of.revision != ""
}

// like reports whether a pod was asked for as the one that is known.
func (p *admittedPod) like(pod *corev1.Pod) bool {
	was, is := p.asked.Spec, pod.Spec
	was.Affinity, is.Affinity = nil, nil
	return p.asked.Namespace == pod.Namespace && maps.Equal(p.asked.Labels, pod.Labels) && maps.Equal(p.asked.Annotations, pod.Annotations) &&
		reflect.DeepEqual(&was, &is)
}
