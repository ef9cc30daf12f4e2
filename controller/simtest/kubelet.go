package simtest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// object makes the body of an object of our own, which always encodes.
func object(k events.Kind, o metav1.Object) events.Object {
	b, err := events.NewObject(k, o)
	if err != nil {
		panic(fmt.Sprintf("sim: %v", err))
	}
	return b
}

// task is what happens next to a pod.
type task struct {
	key  events.Key
	uid  types.UID
	at   time.Time
	what what
}

type what int

const (
	bind what = iota
	start
	becomeReady
	becomeUnready
	fail
	succeed
	end
)

// kubelets are the schedulers and kubelets of all nodes.
type kubelets struct {
	tasks   []task // by pod
	boundTo map[types.UID]types.UID
	quota   time.Time      // creates are refused until then
	fails   map[string]int // by DaemonSet and node: how often pods failed at most
	stuck   map[types.UID]bool
}

func newKubelets() kubelets {
	return kubelets{boundTo: map[types.UID]types.UID{}, fails: map[string]int{}, stuck: map[types.UID]bool{}}
}

func (k *kubelets) refuses(now time.Time) bool { return now.Before(k.quota) }

func (k *kubelets) find(key events.Key) (int, bool) {
	return slices.BinarySearchFunc(k.tasks, key, func(t task, k events.Key) int { return t.key.Compare(k) })
}

// heard decides what happens next to a pod that a record is about.
func (k *kubelets) heard(h *History, e entry) {
	if o, ok := e.Body.(events.Outcome); ok && e.Type == events.Failed {
		k.fails[string(o.Owner.UID)+"/"+o.Command.Node]++
	}
	ref := events.RefOf(e.Event)
	if ref.Kind != events.Pod {
		return
	}
	pod, ok := e.object.(*corev1.Pod)
	if !ok {
		k.forget(ref.Key)
		return
	}
	if e.Type == events.ObjectType(events.Pod, events.VerbCreated) && pod.Spec.NodeName != "" {
		k.bind(h, pod)
	}
	k.plan(h, ref.Key, pod)
}

// plan decides what happens next to a pod, instead of what was to happen.
func (k *kubelets) plan(h *History, key events.Key, pod *corev1.Pod) {
	k.forget(key)
	if w, in, ok := k.next(h, pod); ok {
		i, _ := k.find(key)
		k.tasks = slices.Insert(k.tasks, i, task{key, pod.UID, h.now.Add(in), w})
	}
}

func (k *kubelets) forget(key events.Key) {
	if i, found := k.find(key); found {
		k.tasks = slices.Delete(k.tasks, i, i+1)
	}
}

// bind notes the machine that a pod is bound to: another may come to have
// its name.
func (k *kubelets) bind(h *History, p *corev1.Pod) {
	if n := h.model.nodes[p.Spec.NodeName]; n != nil {
		k.boundTo[p.UID] = n.UID
	}
}

// next says what becomes of a pod, and in how long.
func (k *kubelets) next(h *History, p *corev1.Pod) (what, time.Duration, bool) {
	within := func(seconds int) time.Duration { return time.Duration(h.world.IntN(seconds*1000)) * time.Millisecond }
	image := p.Spec.Containers[0].Image
	if h.calm {
		image = "" // whatever was wrong with it has been mended
	}
	trouble := func(f faultKind, oneIn int) bool { return !h.calm && h.cfg.has(f) && h.world.IntN(oneIn) == 0 }
	switch {
	case p.DeletionTimestamp != nil:
		if trouble(faultStuck, 4) {
			k.stuck[p.UID] = true
			h.seen.add(seenStuck)
		}
		return end, within(4), true
	case p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded:
		return 0, 0, false
	case p.Spec.NodeName == "":
		return bind, within(2), true
	case p.Status.Phase == corev1.PodPending:
		return start, within(2), true
	case strings.HasSuffix(image, "-crash") || trouble(faultFail, 12):
		return fail, within(4), true
	case strings.HasSuffix(image, "-exit") || trouble(faultFail, 25):
		return succeed, within(4), true
	case !isReady(p):
		return becomeReady, within(3), !strings.HasSuffix(image, "-hang")
	case trouble(faultFlap, 5):
		return becomeUnready, within(15), true
	}
	return 0, 0, false
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// able reports whether somebody is there to do t.
func (k *kubelets) able(h *History, t task) bool {
	p := h.model.pods[t.key]
	if p == nil || p.UID != t.uid || k.stuck[t.uid] && !h.calm {
		return false
	}
	if t.what == bind {
		target, _ := daemonpod.TargetNode(&p.Spec)
		_, up := h.model.nodes[target]
		return up
	}
	n := h.model.nodes[p.Spec.NodeName]
	return n != nil && n.UID == k.boundTo[t.uid] && !down(n)
}

func down(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeUnreachable })
}

// turn does at most n of the things that are due, and returns how many it did.
func (k *kubelets) turn(h *History, n int) int {
	done := 0
	for range n {
		due := slices.DeleteFunc(slices.Clone(k.tasks), func(t task) bool { return t.at.After(h.now) || !k.able(h, t) })
		if len(due) == 0 {
			break
		}
		k.do(h, due[h.order.IntN(len(due))])
		done++
	}
	return done
}

func (k *kubelets) do(h *History, t task) {
	p := h.model.pods[t.key]
	pod := p.DeepCopy()
	verb := events.VerbUpdated
	switch t.what {
	case bind:
		pod.Spec.NodeName, _ = daemonpod.TargetNode(&pod.Spec)
		k.bind(h, pod)
	case start:
		pod.Status.Phase = corev1.PodRunning
		setReady(pod, false, h.now)
	case becomeReady:
		setReady(pod, true, h.now)
	case becomeUnready:
		setReady(pod, false, h.now)
		h.noteFlap(p.Pod)
	case fail, succeed:
		pod.Status.Phase = corev1.PodFailed
		if t.what == succeed {
			pod.Status.Phase = corev1.PodSucceeded
		}
		setReady(pod, false, h.now)
		if c := metav1.GetControllerOf(pod); c != nil {
			k.fails[string(c.UID)+"/"+pod.Spec.NodeName]++
		}
	case end:
		verb = events.VerbDeleted
	}
	h.tell("kubelet", events.Pod, verb, pod)
}

func setReady(p *corev1.Pod, ready bool, now time.Time) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status(ready),
		LastTransitionTime: metav1.NewTime(now.Truncate(time.Second))}}
}

// status is that of a condition.
func status(holds bool) corev1.ConditionStatus {
	if holds {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

// due returns when the next thing happens; zero: nothing will.
func (k *kubelets) due(h *History) time.Time {
	var next time.Time
	for _, t := range k.tasks {
		if k.able(h, t) && (next.IsZero() || t.at.Before(next)) {
			next = t.at
		}
	}
	return next
}
