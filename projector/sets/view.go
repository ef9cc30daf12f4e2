package sets

import (
	"fmt"
	"time"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/wire"
)

// PodView is what decisions read of a pod.
type PodView struct {
	Key       events.Key
	UID       types.UID
	OwnerUID  types.UID // of its controller; empty: it has none
	OwnerName string
	Daemon    bool // its controller is a DaemonSet
	Node      string
	Bound     bool // Node is spec.nodeName and not only a pin
	Revision  string
	Template  int64 // generation of the DaemonSet's template that it was made from; 0: it does not say
	Phase     corev1.PodPhase
	Ready     bool
	ReadyFrom time.Time // lastTransitionTime of the Ready condition, by the kubelet's clock
	Deleting  bool
	Held      bool // by finalizers, whose owners end it
	Forced    bool // deleting without a grace period
	Owners    int  // references to owners
	Cascades  bool // a finalizer says what becomes of what it owns
	Created   time.Time
	labels    []byte // msgpack, to match a selector when it matters
}

// ownerKey returns where the pod's controller has to be.
func (v *PodView) ownerKey() events.Key {
	return events.Key{Namespace: v.Key.Namespace, Name: v.OwnerName}
}

// Terminal reports whether the pod's phase is final.
func (v *PodView) Terminal() bool {
	return v.Phase == corev1.PodFailed || v.Phase == corev1.PodSucceeded
}

// Labels decodes the pod's labels.
func (v *PodView) Labels() labels.Set { return stringMap(v.labels) }

func stringMap(b []byte) map[string]string {
	c := wire.NewCursor(b)
	n := c.Map()
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		k := string(c.Str())
		m[k] = string(c.Str())
	}
	return m
}

// looked is the view of a pod that was read ahead of the fold.
type looked struct {
	PodView
	of events.Object
}

// LookAt reads a pod ahead of the fold of the event that tells of it. It returns
// what the event is to carry; nil: the fold has to look itself.
func LookAt(pod events.Object, words *wire.Words) any {
	v, err := viewPod(pod.Ref, pod.Data, words)
	if err != nil {
		return nil
	}
	return &looked{v, pod}
}

// view returns the view of a pod of which an event tells: the one that the event
// carries, if that is of this pod and of these bytes.
func (s *Sets) view(e events.Event, pod events.Object) (PodView, error) {
	if l, ok := e.Looked.(*looked); ok && l.of.Ref == pod.Ref && len(l.of.Data) == len(pod.Data) && unsafe.SliceData(l.of.Data) == unsafe.SliceData(pod.Data) {
		return l.PodView, nil
	}
	return viewPod(pod.Ref, pod.Data, &s.words)
}

// podCursor reads a pod. Names that pods share are one string each.
type podCursor struct {
	wire.Cursor
	words *wire.Words
}

func (c *podCursor) word() string { return c.words.String(c.Str()) }

// viewPod walks the bytes of a pod once.
func viewPod(ref events.Ref, data []byte, words *wire.Words) (PodView, error) {
	v := PodView{Key: ref.Key, UID: ref.UID, Phase: corev1.PodPending}
	c := podCursor{wire.NewCursor(data), words}
	var affinity []byte
	for range c.Map() {
		switch string(c.Str()) {
		case "metadata":
			v.readMeta(&c)
		case "spec":
			affinity = v.readSpec(&c)
		case "status":
			v.readStatus(&c.Cursor)
		default:
			c.Skip()
		}
	}
	if v.Node == "" {
		v.Node = words.String(pinned(affinity))
	}
	if err := c.Err(); err != nil {
		return PodView{}, fmt.Errorf("view pod %s: %w", ref.Key, err)
	}
	return v, nil
}

func (v *PodView) readMeta(c *podCursor) {
	for range c.Map() {
		switch string(c.Str()) {
		case "labels":
			v.labels = c.Value()
			v.Revision = c.words.String(wire.Text(v.labels, daemonpod.RevisionLabel))
			v.Template = templateGeneration(string(wire.Text(v.labels, daemonpod.GenerationLabel)))
		case "creationTimestamp":
			v.Created = parseTime(c.Str())
		case "deletionTimestamp":
			v.Deleting = len(c.Str()) > 0
		case "finalizers":
			n := c.Array()
			v.Held = n > 0
			for range n {
				switch string(c.Str()) {
				case metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents:
					v.Cascades = true
				}
			}
		case "deletionGracePeriodSeconds":
			v.Forced = !c.Nil() && c.Int() == 0
		case "ownerReferences":
			v.Owners = c.Array()
			for range v.Owners {
				v.readOwner(c)
			}
		default:
			c.Skip()
		}
	}
}

func (v *PodView) readOwner(c *podCursor) {
	var uid, name, kind []byte
	controller := false
	for range c.Map() {
		switch string(c.Str()) {
		case "uid":
			uid = c.Str()
		case "name":
			name = c.Str()
		case "kind":
			kind = c.Str()
		case "controller":
			controller = c.Bool()
		default:
			c.Skip()
		}
	}
	if controller {
		v.OwnerUID, v.OwnerName = types.UID(c.words.String(uid)), c.words.String(name)
		v.Daemon = string(kind) == string(events.DaemonSet)
	}
}

// readSpec reads nodeName and returns the affinity.
func (v *PodView) readSpec(c *podCursor) (affinity []byte) {
	for range c.Map() {
		switch string(c.Str()) {
		case "nodeName":
			v.Node = c.word()
			v.Bound = v.Node != ""
		case "affinity":
			affinity = c.Value()
		default:
			c.Skip()
		}
	}
	return affinity
}

// pinned returns the node that the first requirement of an affinity on
// metadata.name names, if it names one (F01).
func pinned(affinity []byte) []byte {
	required := wire.Field(wire.Field(affinity, "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution")
	for term := range wire.Items(wire.Field(required, "nodeSelectorTerms")) {
		for r := range wire.Items(wire.Field(term, "matchFields")) {
			if string(wire.Text(r, "key")) != metav1.ObjectNameField || string(wire.Text(r, "operator")) != string(corev1.NodeSelectorOpIn) {
				continue
			}
			if values := wire.NewCursor(wire.Field(r, "values")); values.Array() == 1 {
				return values.Str()
			}
			return nil
		}
	}
	return nil
}

func (v *PodView) readStatus(c *wire.Cursor) {
	for range c.Map() {
		switch string(c.Str()) {
		case "phase":
			v.Phase = phaseOf(c.Str())
		case "conditions":
			for range c.Array() {
				if typ, status, at := readCondition(c); typ == string(corev1.PodReady) {
					v.Ready, v.ReadyFrom = status, at
				}
			}
		default:
			c.Skip()
		}
	}
}

func readCondition(c *wire.Cursor) (typ string, status bool, at time.Time) {
	var since []byte
	for range c.Map() {
		switch string(c.Str()) {
		case "type":
			if b := c.Str(); string(b) == "Ready" {
				typ = "Ready"
			}
		case "status":
			status = string(c.Str()) == string(corev1.ConditionTrue)
		case "lastTransitionTime":
			since = c.Str()
		default:
			c.Skip()
		}
	}
	if typ != "" {
		at = parseTime(since)
	}
	return typ, status, at
}

func phaseOf(b []byte) corev1.PodPhase {
	switch string(b) {
	case "", string(corev1.PodPending):
		return corev1.PodPending
	case string(corev1.PodRunning):
		return corev1.PodRunning
	case string(corev1.PodFailed):
		return corev1.PodFailed
	case string(corev1.PodSucceeded):
		return corev1.PodSucceeded
	}
	return corev1.PodPhase(b)
}

// parseTime reads RFC 3339; what is no time is the zero time.
func parseTime(b []byte) time.Time {
	if len(b) == 0 {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, string(b))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
