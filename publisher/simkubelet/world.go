// Package simkubelet is a simulated world of nodes: a scheduler that binds the
// pods that are pinned to them, kubelets that run and stop pods, and a node
// controller that marks nodes that fail.
//
// It is a fold of the log and keeps nothing else: a new World that reads the
// log goes on where another was killed. It simulates the nodes with the label
// rollcall/simulated: "true" and leaves others alone. Heartbeats are not part
// of it: a world in which nothing changes appends nothing.
//
// The package is pure but for run.go.
package simkubelet

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/btree"
	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// What makes and breaks a simulated node.
const (
	SimulatedLabel = "rollcall/simulated" // "true": this package plays the node
	FailAnnotation = "rollcall/fail"      // "true": the node is lost
)

// source is the source of the events of a simulated world.
const source = "kubelet"

// Options are the delays of a world. Zero is no delay; DefaultOptions are
// those of a quick cluster.
type Options struct {
	JoinDelay  time.Duration // from a node's creation or recovery until it is Ready
	BindDelay  time.Duration // from a pod's creation until a node has it
	StartDelay time.Duration // from there until its containers run
	StopDelay  time.Duration // from its deletion until it is gone; at most its grace period

	// Jitter lengthens each delay by up to this part of it, always the same
	// for the same object and delay.
	Jitter float64
}

// DefaultOptions return the delays of a quick cluster: a pod starts in 0.2 to
// 0.6 s and stops in 0.1 to 0.3 s.
func DefaultOptions() Options {
	return Options{JoinDelay: 100 * time.Millisecond, BindDelay: 20 * time.Millisecond,
		StartDelay: 200 * time.Millisecond, StopDelay: 100 * time.Millisecond, Jitter: 2}
}

// World is a simulated world at one position of a log. It is a
// publisher.Party: its methods are called by one goroutine.
type World struct {
	subjects events.Subjects
	options  Options
	hosts    map[string]*host
	pods     map[events.Key]*pod
	nodes    int // that are there, simulated or not
	timers   btree.BTreeG[*item]
	ips      addresses
}

// New returns the world before the first event.
func New(s events.Subjects, o Options) *World {
	w := &World{subjects: s, options: o, hosts: map[string]*host{}, pods: map[events.Key]*pod{}, ips: addresses{}}
	w.timers = *btree.NewBTreeGOptions(func(a, b *item) bool {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(string(a.ref.Kind), string(b.ref.Kind)),
			a.ref.Key.Compare(b.ref.Key), strings.Compare(string(a.ref.UID), string(b.ref.UID))) < 0
	}, btree.Options{NoLocks: true})
	return w
}

// item is what a node and a pod have in common: where the log last told it,
// and the timer of its next step.
type item struct {
	ref   events.Ref
	seq   events.Seq
	stage stage     // what it does now
	since time.Time // when it began to, by the log's clock

	armed bool
	at    time.Time
	under *Step // handed out, and neither observed nor settled
	tries int   // that failed
}

// host is a name under which nodes come and go, and the pods that target it.
type host struct {
	item
	node *corev1.Node // nil: there is none. Never modified
	pods []*pod       // by key
	used resources
}

// simulated reports whether this world plays the node.
func (h *host) simulated() bool { return h.node != nil && h.node.Labels[SimulatedLabel] == "true" }

// lost reports whether the node does not answer.
func (h *host) lost() bool { return h.node != nil && h.node.Annotations[FailAnnotation] == "true" }

// silent reports whether the kubelet does not act: its node is lost, or is not
// found again yet.
func (h *host) silent() bool { return h.lost() || ready(h.node) == corev1.ConditionUnknown }

// pod is a pod that targets a host.
type pod struct {
	item
	object *corev1.Pod // never modified
	data   []byte      // its bytes in the log
	host   *host       // nil: it targets none
	needs  resources
	holds  bool // its needs are part of what its host has used
}

func (w *World) host(name string) *host {
	h, ok := w.hosts[name]
	if !ok {
		h = &host{item: item{ref: events.Ref{Kind: events.Node, Key: events.Key{Name: name}}}}
		w.hosts[name] = h
	}
	return h
}

// Observe implements publisher.Party.
func (w *World) Observe(e events.Event) {
	switch b := e.Body.(type) {
	case events.Object:
		switch b.Kind {
		case events.Node:
			w.nodeIs(e, b)
		case events.Pod:
			w.podIs(e, b)
		}
	case events.Gone:
		switch b.Kind {
		case events.Node:
			w.nodeGone(e, b.Ref)
		case events.Pod:
			w.podGone(e, b.Ref)
		}
	}
}

// clock is the log's time of an event.
func clock(e events.Event) time.Time {
	if e.Stored.IsZero() {
		return e.At
	}
	return e.Stored
}

// landed reports whether the bytes of an event are those of the step that was
// handed out, so that they need not be decoded, and ends the step.
func (i *item) landed(data []byte) bool {
	s := i.under
	i.under, i.tries = nil, 0
	return s != nil && bytes.Equal(s.data, data)
}

func (w *World) nodeIs(e events.Event, o events.Object) {
	h := w.host(o.Key.Name)
	var node *corev1.Node
	if s := h.under; h.landed(o.Data) {
		node = s.node
	} else {
		node = new(corev1.Node)
		if o.Decode(node) != nil {
			return // who folds the log's state reports it
		}
	}
	if h.node == nil {
		w.nodes++
	}
	if h.ref.UID != o.UID {
		h.stage = "" // another node of the name starts anew
	}
	h.node, h.ref.UID, h.seq = node, o.UID, e.Seq
	w.armHost(h, clock(e))
	w.armPods(h, clock(e))
}

func (w *World) nodeGone(e events.Event, r events.Ref) {
	h := w.host(r.Key.Name)
	if h.node != nil {
		w.nodes--
	}
	h.node, h.under, h.seq = nil, nil, e.Seq
	w.armHost(h, clock(e))
	w.armPods(h, clock(e))
	w.dropHost(h)
}

// dropHost forgets a host that nothing is on.
func (w *World) dropHost(h *host) {
	if h.node == nil && len(h.pods) == 0 {
		delete(w.hosts, h.ref.Key.Name)
	}
}

func (w *World) podIs(e events.Event, o events.Object) {
	p := w.pods[o.Key]
	if p != nil && p.ref.UID != o.UID {
		w.forget(p, clock(e))
		p = nil
	}
	if p == nil {
		p = &pod{item: item{ref: o.Ref}}
		w.pods[o.Key] = p
	}
	if s := p.under; p.landed(o.Data) {
		p.object = s.pod
	} else {
		object := new(corev1.Pod)
		if o.Decode(object) != nil {
			return
		}
		p.object = object
	}
	p.seq, p.data = e.Seq, o.Data
	w.need(p)
	w.place(p)
	w.ips.keep(podIP(p.object), o.UID)
	w.account(p, clock(e))
	w.armPod(p, clock(e))
}

func (w *World) podGone(e events.Event, r events.Ref) {
	if p := w.pods[r.Key]; p != nil {
		w.forget(p, clock(e))
	}
}

// forget takes a pod out of the world.
func (w *World) forget(p *pod, now time.Time) {
	delete(w.pods, p.ref.Key)
	if p.object != nil {
		w.ips.free(podIP(p.object), p.ref.UID)
	}
	w.disarm(&p.item)
	w.move(p, nil, now)
}

// need keeps what a pod needs of its host.
func (w *World) need(p *pod) {
	if p.holds {
		p.host.used.sub(p.needs)
	}
	p.needs = requestsOf(p.object)
	if p.holds {
		p.host.used.add(p.needs)
	}
}

// place puts a pod on the host that it is bound or pinned to.
func (w *World) place(p *pod) {
	var to *host
	if name, ok := daemonpod.TargetNode(&p.object.Spec); ok {
		to = w.host(name)
	}
	if to != p.host {
		w.move(p, to, p.since)
	}
}

func byKey(a *pod, key events.Key) int { return a.ref.Key.Compare(key) }

// move takes a pod from its host to another, or to none.
func (w *World) move(p *pod, to *host, now time.Time) {
	if from := p.host; from != nil {
		if i, ok := slices.BinarySearchFunc(from.pods, p.ref.Key, byKey); ok {
			from.pods = slices.Delete(from.pods, i, i+1)
		}
		freed := p.holds
		if p.holds {
			from.used.sub(p.needs)
			p.holds = false
		}
		if freed {
			w.armPods(from, now)
		}
		w.dropHost(from)
	}
	p.host = to
	if to != nil {
		i, _ := slices.BinarySearchFunc(to.pods, p.ref.Key, byKey)
		to.pods = slices.Insert(to.pods, i, p)
	}
}

// account keeps what the pods of a host use: those that are bound to it or
// about to be, until they ended.
func (w *World) account(p *pod, now time.Time) {
	holds := p.host != nil && !ended(p.object) &&
		(p.object.Spec.NodeName != "" || p.under != nil && p.under.binds)
	if holds == p.holds {
		return
	}
	p.holds = holds
	if holds {
		p.host.used.add(p.needs)
		return
	}
	p.host.used.sub(p.needs)
	w.armPods(p.host, now)
}

// armPods arms the pods of a host anew after something changed on it.
func (w *World) armPods(h *host, now time.Time) {
	for _, p := range h.pods {
		w.armPod(p, now)
	}
}

func (w *World) armHost(h *host, now time.Time) {
	s, delay, ok := w.nodeStage(h)
	w.arm(&h.item, s, now)
	if ok {
		w.wake(&h.item, h.since.Add(delay))
	}
}

func (w *World) armPod(p *pod, now time.Time) {
	if p.object == nil {
		return
	}
	s, delay, ok := w.podStage(p)
	w.arm(&p.item, s, now)
	if ok {
		w.wake(&p.item, p.since.Add(delay))
	}
}

// arm enters a stage and takes the timer of the one before.
func (w *World) arm(i *item, s stage, now time.Time) {
	if i.stage != s {
		i.stage, i.since = s, now
	}
	w.disarm(i)
}

func (w *World) disarm(i *item) {
	if i.armed {
		w.timers.Delete(i)
		i.armed = false
	}
}

// wake sets the timer of an item that has no step under way.
func (w *World) wake(i *item, at time.Time) {
	if i.under == nil {
		i.at, i.armed = at, true
		w.timers.Set(i)
	}
}
