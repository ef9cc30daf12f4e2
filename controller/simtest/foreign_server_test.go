package simtest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// us is who changes what the executor and the controller under test ask for.
const us = "rollcall"

// objectAt names an object of the foreign world.
type objectAt struct {
	kind events.Kind
	key  events.Key
}

// revision is one change of an object as the store of an API server has it.
type revision struct {
	rv   uint64
	at   time.Time
	by   string
	gone bool
	events.Object
}

// foreignServer is an API server with its store: each change has a revision, and
// nobody but it knows all of them.
type foreignServer struct {
	rng      *rand.Rand
	now      time.Time
	rv       uint64
	uids     int
	webhook  string
	objects  map[objectAt]metav1.Object // not to be changed
	bytes    map[objectAt]events.Object
	changes  []revision
	byRV     map[uint64]int
	orphaned map[types.UID]bool      // DaemonSets whose pods were to be kept
	deleted  map[types.UID]time.Time // when that began
	left     map[string]time.Time    // nodes that are gone, and since when
	makers   map[types.UID]string    // who made a pod
}

func newForeignServer(rng *rand.Rand, now time.Time) *foreignServer {
	return &foreignServer{rng: rng, now: now, objects: map[objectAt]metav1.Object{}, bytes: map[objectAt]events.Object{}, byRV: map[uint64]int{}, orphaned: map[types.UID]bool{}, deleted: map[types.UID]time.Time{}, left: map[string]time.Time{}, makers: map[types.UID]string{}}
}

func (s *foreignServer) uid() types.UID {
	s.uids++
	return types.UID(fmt.Sprintf("uid-%d", s.uids))
}

// put stores an object, and returns it as it is stored.
func (s *foreignServer) put(kind events.Kind, o metav1.Object, by string) events.Object {
	s.rv++
	o.SetResourceVersion(strconv.FormatUint(s.rv, 10))
	b, err := events.NewObject(kind, o)
	if err != nil {
		panic(err)
	}
	s.objects[objectAt{kind, b.Key}], s.bytes[objectAt{kind, b.Key}] = o, b
	s.note(revision{rv: s.rv, by: by, Object: b})
	return b
}

func (s *foreignServer) note(r revision) {
	r.at = s.now
	s.byRV[r.rv] = len(s.changes)
	s.changes = append(s.changes, r)
}

// remove takes an object out of the store. Its last state has the revision of that.
func (s *foreignServer) remove(kind events.Kind, key events.Key, by string) metav1.Object {
	o, is := s.typed(kind, key)
	if !is {
		return nil
	}
	s.rv++
	o.SetResourceVersion(strconv.FormatUint(s.rv, 10))
	b, err := events.NewObject(kind, o)
	if err != nil {
		panic(err)
	}
	delete(s.objects, objectAt{kind, key})
	delete(s.bytes, objectAt{kind, key})
	s.note(revision{rv: s.rv, by: by, gone: true, Object: b})
	return o
}

// typed returns a copy of an object.
func (s *foreignServer) typed(kind events.Kind, key events.Key) (metav1.Object, bool) {
	o, is := s.objects[objectAt{kind, key}]
	if !is {
		return nil, false
	}
	return o.(runtime.Object).DeepCopyObject().(metav1.Object), true
}

func (s *foreignServer) keys(kind events.Kind) (keys []events.Key) {
	for p := range s.objects {
		if p.kind == kind {
			keys = append(keys, p.key)
		}
	}
	slices.SortFunc(keys, events.Key.Compare)
	return keys
}

// pods returns all pods, which are not to be changed.
func (s *foreignServer) pods() (ps []*corev1.Pod) {
	for _, k := range s.keys(events.Pod) {
		ps = append(ps, s.objects[objectAt{events.Pod, k}].(*corev1.Pod))
	}
	return ps
}

// sets returns all DaemonSets, which are not to be changed.
func (s *foreignServer) sets() (ds []*appsv1.DaemonSet) {
	for _, k := range s.keys(events.DaemonSet) {
		ds = append(ds, s.objects[objectAt{events.DaemonSet, k}].(*appsv1.DaemonSet))
	}
	return ds
}

func (s *foreignServer) node(name string) bool {
	_, is := s.objects[objectAt{events.Node, events.Key{Name: name}}]
	return is
}

func keyOf(o metav1.Object) events.Key {
	return events.Key{Namespace: o.GetNamespace(), Name: o.GetName()}
}

func ownedBy(o metav1.Object) types.UID {
	if c := metav1.GetControllerOf(o); c != nil {
		return c.UID
	}
	return ""
}

// pinOf returns the node that a pod is for.
func pinOf(p *corev1.Pod) string {
	if a := p.Spec.Affinity; p.Spec.NodeName == "" && a != nil {
		return a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields[0].Values[0]
	}
	return p.Spec.NodeName
}

func readyPod(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// createPod makes a pod, which a webhook may change.
func (s *foreignServer) createPod(p *corev1.Pod, by string) (*corev1.Pod, bool) {
	if o, is := s.typed(events.Pod, keyOf(p)); is {
		return o.(*corev1.Pod), false
	}
	p = p.DeepCopy()
	p.UID, p.CreationTimestamp = s.uid(), metav1.NewTime(s.now.Truncate(time.Second))
	s.makers[p.UID] = by
	switch s.webhook {
	case "hash":
		delete(p.Labels, daemonpod.RevisionLabel)
	case "labels":
		delete(p.Labels, daemonpod.RevisionLabel)
		delete(p.Labels, daemonpod.GenerationLabel)
	case "owner":
		p.OwnerReferences, p.Labels = nil, nil
	case "pin":
		p.Spec.Affinity = nil
	}
	s.put(events.Pod, p, by)
	return p, true
}

// deletePod has a pod end; nil: it is gone.
func (s *foreignServer) deletePod(key events.Key, by string) *corev1.Pod {
	o, is := s.typed(events.Pod, key)
	if !is {
		return nil
	}
	p := o.(*corev1.Pod)
	if p.DeletionTimestamp != nil {
		return p
	}
	if p.Spec.NodeName == "" {
		s.remove(events.Pod, key, by)
		return nil
	}
	grace := int64(1 + s.rng.IntN(4))
	at := metav1.NewTime(s.now.Truncate(time.Second).Add(time.Duration(grace) * time.Second))
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &at, &grace
	s.put(events.Pod, p, by)
	return p
}

// act lets everybody do something who is at work in a cluster besides the DaemonSet
// controller: scheduler and kubelets, the garbage collector and that of pods.
func (s *foreignServer) act() {
	for _, p := range s.pods() {
		s.kubelet(p)
	}
	alive := map[types.UID]bool{}
	for _, ds := range s.sets() {
		alive[ds.UID] = true
		s.cascade(ds)
	}
	for _, p := range s.pods() {
		if o := ownedBy(p); o != "" && !alive[o] && s.rng.IntN(10) == 0 {
			s.deletePod(keyOf(p), "garbage collector")
		}
		since, gone := s.left[p.Spec.NodeName]
		if gone && s.now.Sub(since) > 40*time.Second {
			s.remove(events.Pod, keyOf(p), "pod collector")
		}
	}
	for _, k := range s.keys(events.ControllerRevision) {
		if o, _ := s.typed(events.ControllerRevision, k); ownedBy(o) != "" && !alive[ownedBy(o)] && s.rng.IntN(10) == 0 {
			s.remove(events.ControllerRevision, k, "garbage collector")
		}
	}
}

// kubelet binds, starts and ends a pod, each after a while.
func (s *foreignServer) kubelet(p *corev1.Pod) {
	pin := pinOf(p)
	switch {
	case !s.node(pin):
	case p.DeletionTimestamp != nil:
		if s.now.After(p.DeletionTimestamp.Time) {
			s.remove(events.Pod, keyOf(p), "kubelet")
		}
	case s.rng.IntN(15) > 0:
	case p.Spec.NodeName == "":
		p = p.DeepCopy()
		p.Spec.NodeName = pin
		s.put(events.Pod, p, "scheduler")
	case !readyPod(p):
		p = p.DeepCopy()
		p.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(s.now)}}}
		s.put(events.Pod, p, "kubelet")
	}
}

// cascade goes on with the deletion of a DaemonSet whose dependents come first.
func (s *foreignServer) cascade(ds *appsv1.DaemonSet) {
	if ds.DeletionTimestamp == nil {
		return
	}
	left := 0
	for _, p := range s.pods() {
		if ownedBy(p) != ds.UID {
			continue
		}
		if left++; s.rng.IntN(4) > 0 {
			continue
		}
		if s.orphaned[ds.UID] {
			p = p.DeepCopy()
			p.OwnerReferences = nil
			s.put(events.Pod, p, "garbage collector")
		} else {
			s.deletePod(keyOf(p), "garbage collector")
		}
	}
	if left > 0 {
		return
	}
	for _, k := range s.keys(events.ControllerRevision) {
		if o, _ := s.typed(events.ControllerRevision, k); ownedBy(o) == ds.UID && s.orphaned[ds.UID] {
			o.SetOwnerReferences(nil)
			s.put(events.ControllerRevision, o, "garbage collector")
		}
	}
	s.remove(events.DaemonSet, keyOf(ds), "garbage collector")
}

// removeNode takes a node away.
func (s *foreignServer) removeNode(name string) {
	s.remove(events.Node, events.Key{Name: name}, "user")
	s.left[name] = s.now
}

// addNode registers a node, as another incarnation if it was there before.
func (s *foreignServer) addNode(name string) {
	delete(s.left, name)
	s.put(events.Node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: s.uid(), Labels: map[string]string{"kubernetes.io/hostname": name}},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}}, "kubelet")
}

// whose returns whose doing that is what a fact of a type tells of a pod.
func (s *foreignServer) whose(typ events.Type, c revision) string {
	if typ == events.ObjectType(events.Pod, events.VerbCreated) {
		return s.makers[c.UID] // what it was when it was heard of first may be later
	}
	return c.by
}

// ended returns the revision at which an object was removed.
func (s *foreignServer) ended(p objectAt, uid types.UID) uint64 {
	for _, c := range slices.Backward(s.changes) {
		if c.gone && c.UID == uid && c.Kind == p.kind && c.Key == p.key {
			return c.rv
		}
	}
	return 0
}

// others returns how many changes of pods and nodes others have made within a time.
func (s *foreignServer) others(within time.Duration) (n int) {
	for _, c := range slices.Backward(s.changes) {
		if s.now.Sub(c.at) > within {
			break
		}
		if c.by != us && (c.Kind == events.Pod || c.Kind == events.Node) {
			n++
		}
	}
	return n
}

// unavailable returns on how many nodes a DaemonSet has no ready pod that stays.
func (s *foreignServer) unavailable(ds types.UID) int {
	up := map[string]bool{}
	for _, p := range s.pods() {
		if ownedBy(p) == ds && readyPod(p) && p.DeletionTimestamp == nil && s.node(p.Spec.NodeName) {
			up[p.Spec.NodeName] = true
		}
	}
	return len(s.keys(events.Node)) - len(up)
}

// after returns the changes of a kind that come after a revision.
func (s *foreignServer) after(kind events.Kind, rv uint64) []revision {
	i, _ := slices.BinarySearchFunc(s.changes, rv+1, func(c revision, rv uint64) int { return cmp.Compare(c.rv, rv) })
	var out []revision
	for _, c := range s.changes[i:] {
		if c.Kind == kind {
			out = append(out, c)
		}
	}
	return out
}
