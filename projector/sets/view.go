package sets

import (
	"fmt"
	"time"

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
	var pin []byte
	for range c.Map() {
		switch string(c.Str()) {
		case "metadata":
			v.readMeta(&c)
		case "spec":
			pin = v.readSpec(&c)
		case "status":
			v.readStatus(&c.Cursor)
		default:
			c.Skip()
		}
	}
	if v.Node == "" {
		v.Node = words.String(pin)
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

// readSpec reads nodeName and returns the node that required affinity pins (F01).
func (v *PodView) readSpec(c *podCursor) (pin []byte) {
	for range c.Map() {
		switch string(c.Str()) {
		case "nodeName":
			v.Node = c.word()
			v.Bound = v.Node != ""
		case "affinity":
			pin = pinned(&c.Cursor)
		default:
			c.Skip()
		}
	}
	return pin
}

// pinned reads an affinity and returns the node that its first requirement
// on metadata.name names, if it names one (F01).
func pinned(c *wire.Cursor) []byte {
	var p pin
	p.descend(c, pinPath[:])
	return p.node
}

// pinPath leads from an affinity to the terms that may pin.
var pinPath = [...]string{"nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"}

type pin struct {
	node    []byte
	decided bool
}

func (p *pin) descend(c *wire.Cursor, path []string) {
	if len(path) == 0 {
		for range c.Array() {
			p.term(c)
		}
		return
	}
	for range c.Map() {
		if string(c.Str()) == path[0] {
			p.descend(c, path[1:])
		} else {
			c.Skip()
		}
	}
}

func (p *pin) term(c *wire.Cursor) {
	for range c.Map() {
		if string(c.Str()) != "matchFields" {
			c.Skip()
			continue
		}
		for range c.Array() {
			p.requirement(c)
		}
	}
}

// requirement takes over what a requirement on the node's name says, if none
// before it did.
func (p *pin) requirement(c *wire.Cursor) {
	var key, op, value []byte
	values := 0
	for range c.Map() {
		switch string(c.Str()) {
		case "key":
			key = c.Str()
		case "operator":
			op = c.Str()
		case "values":
			for range c.Array() {
				value = c.Str()
				values++
			}
		default:
			c.Skip()
		}
	}
	if p.decided || string(key) != metav1.ObjectNameField || string(op) != string(corev1.NodeSelectorOpIn) {
		return
	}
	p.decided = true
	if values == 1 {
		p.node = value
	}
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
