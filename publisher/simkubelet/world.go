// Package simkubelet is a simulated world of nodes: a scheduler that binds
// pods to them, kubelets that run and stop pods, a node controller that marks
// nodes that fail, and volumes for the claims that ask for one.
//
// It is a fold of the log and keeps nothing else: a new World that reads the
// log goes on where another was killed. It simulates the nodes with the label
// rollcall/simulated: "true". To real nodes its scheduler binds pods, which their
// own kubelets then have; all else there it leaves alone. Heartbeats are not
// part of it, Heartbeat tells when they would have been: a world in which
// nothing changes appends nothing.
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
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// source is the source of the events of a simulated world.
const source = "kubelet"

// World is a simulated world at one position of a log. It is a
// drive.Party: its methods are called by one goroutine.
type World struct {
	subjects events.Subjects
	options  Options
	hosts    map[string]*host
	pods     map[events.Key]*pod
	claims   map[events.Key]*claim
	users    map[events.Key][]*pod // of claims, by key
	volumes  map[string]*volume
	classes  map[string]class               // StorageClasses
	nodes    int                            // that are there, simulated or not
	things   map[thing][]string             // ConfigMaps and Secrets, and their keys
	blocked  map[thing][]*pod               // that wait for one, by key
	outcomes map[string]outcome             // of programs, remembered
	images   map[string]string              // why they have no proper name, remembered
	lists    map[string]corev1.ResourceList // what nodes can allocate, by its text
	specs    *specs
	binder   binder
	timers   btree.BTreeG[*item]
	ips      addresses
}

// New returns the world before the first event.
func New(s events.Subjects, o Options) *World {
	w := &World{subjects: s, options: o, hosts: map[string]*host{}, pods: map[events.Key]*pod{},
		claims: map[events.Key]*claim{}, users: map[events.Key][]*pod{}, volumes: map[string]*volume{}, classes: map[string]class{}, ips: addresses{},
		things: map[thing][]string{}, blocked: map[thing][]*pod{}, outcomes: map[string]outcome{}, images: map[string]string{}, lists: map[string]corev1.ResourceList{},
		specs: &specs{known: map[string]*spec{}}}
	w.timers = *btree.NewBTreeGOptions(func(a, b *item) bool {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(string(a.ref.Kind), string(b.ref.Kind)),
			a.ref.Key.Compare(b.ref.Key), strings.Compare(string(a.ref.UID), string(b.ref.UID))) < 0
	}, btree.Options{NoLocks: true})
	return w
}

// item is what a World keeps of a node, pod, claim or volume alike: the position
// of the last event about the object, and the timer of its next step.
type item struct {
	ref   events.Ref
	luck  uint64 // its delays are drawn with this number
	seq   events.Seq
	stage stage     // what the object does now
	since time.Time // when the stage began, by the log's clock

	armed bool      // the timer is set
	at    time.Time // the instant of the timer
	under *Step     // the step that was handed out and is neither observed nor done
	tries int       // how often the next step has failed
}

// host is a name under which nodes come and go, and the pods that target it.
type host struct {
	item
	node *nodeFacts // nil: there is none
	pods []*pod     // by key
	used resources

	ranked bool // it is in the binder's list
	load   int64
}

// simulated reports whether this world plays the node.
func (h *host) simulated() bool {
	return h.node != nil && h.node.simulated
}

// real reports whether a kubelet of its own has the pods that are bound to the node.
func (h *host) real() bool { return h.node != nil && h.node.real }

// lost reports whether the node does not answer.
func (h *host) lost() bool {
	return h.node != nil && h.node.lost
}

// silent reports whether the kubelet does not act: its node is lost, or is not
// found again yet.
func (h *host) silent() bool { return h.lost() || h.node.ready == corev1.ConditionUnknown }

// pod is a pod that targets a host, or is to be given one.
type pod struct {
	item
	data    []byte       // its bytes in the log
	decoded *corev1.Pod  // of data; nil while nothing will come by itself
	specs   *specs       // of its world
	host    *host        // nil: it targets none
	bound   bool         // it has a node
	taken   bool         // its kubelet has taken it
	over    bool         // it has ended
	needs   *resources   // never changed: pods of one template share them
	holds   bool         // its needs are part of what its host has used
	ip      string       // leased to it: its own, or that of the step under way
	claims  []events.Key // of its volumes; they never change
	marks   []mark       // of its containers
	awaits  []thing      // that are not there, and hold it up

	free   bool                               // the binder chooses its host
	stuck  bool                               // it fits on no host but, perhaps, on those of offers
	offers []string                           // hosts that changed since
	wants  *nodeaffinity.RequiredNodeAffinity // nil: not asked yet
}

// object returns the pod as it is, not to be modified.
func (p *pod) object() *corev1.Pod {
	if p.decoded == nil {
		p.decoded, _, _ = p.specs.read(p.data) // as when it was observed
	}
	return p.decoded
}

// draft returns a copy of the pod of which status and node may be changed.
func (p *pod) draft() *corev1.Pod {
	o := *p.object()
	o.Status = *o.Status.DeepCopy()
	return &o
}

func (w *World) host(name string) *host {
	h, ok := w.hosts[name]
	if !ok {
		h = &host{item: w.newItem(events.Ref{Kind: events.Node, Key: events.Key{Name: name}})}
		w.hosts[name] = h
	}
	return h
}

// Observe implements drive.Party.
func (w *World) Observe(e events.Event, _ time.Time) {
	switch b := e.Body.(type) {
	case events.Object:
		switch b.Kind {
		case events.Node:
			w.nodeIs(e, b)
		case events.Pod:
			w.podIs(e, b)
		case events.ConfigMap, events.Secret:
			w.thingIs(e, b)
		case events.PersistentVolumeClaim:
			w.claimIs(e, b)
		case events.PersistentVolume:
			w.volumeIs(e, b)
		case events.StorageClass:
			w.classIs(e, b)
		}
	case events.Gone:
		switch b.Kind {
		case events.Node:
			w.nodeGone(e, b.Ref)
		case events.Pod:
			w.podGone(e, b.Ref)
		case events.ConfigMap, events.Secret:
			w.thingGone(b.Ref)
		case events.PersistentVolumeClaim:
			w.claimGone(e, b.Ref)
		case events.PersistentVolume:
			w.volumeGone(e, b.Ref)
		case events.StorageClass:
			w.classGone(e, b.Ref)
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

// read returns the object of an event about i, or nil if the object cannot be
// decoded, which the fold of the log reports.
func read[T any](i *item, o events.Object) *T {
	if known := i.done(o); known != nil {
		return known.(*T)
	}
	object := new(T)
	if o.Decode(object) != nil {
		return nil
	}
	return object
}

// done notes that the step under way has ended by an event, and returns the
// object of the event if it is what the step has made; else nil.
func (i *item) done(o events.Object) any {
	s := i.under
	i.under, i.tries = nil, 0
	if s != nil && bytes.Equal(s.data, o.Data) {
		return s.object
	}
	return nil
}

func (w *World) nodeIs(e events.Event, o events.Object) {
	h := w.host(o.Key.Name)
	node := read[corev1.Node](&h.item, o)
	if node == nil {
		return
	}
	if h.node == nil {
		w.nodes++
	}
	if h.ref.UID != o.UID {
		h.stage = "" // another node of the name starts anew
	}
	h.node, h.ref.UID, h.seq = w.factsOf(node, o.Data), o.UID, e.Seq
	w.rank(h)
	w.armHost(h, clock(e))
	w.armPods(h, clock(e))
}

func (w *World) nodeGone(e events.Event, r events.Ref) {
	h := w.host(r.Key.Name)
	if h.node != nil {
		w.nodes--
	}
	h.node, h.under, h.seq = nil, nil, e.Seq
	w.rank(h)
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
		p = &pod{item: w.newItem(o.Ref), specs: w.specs}
		w.pods[o.Key] = p
	}
	object, same := p.done(o).(*corev1.Pod)
	var common *spec
	if !same {
		var err error
		if object, common, err = w.specs.read(o.Data); err != nil {
			return
		}
	}
	met := p.data == nil
	if met {
		p.luck = w.draw(identityOf(object))
		w.mount(p, object)
	}
	p.decoded, p.seq, p.data, p.wants = object, e.Seq, o.Data, nil
	p.bound, p.taken, p.over = object.Spec.NodeName != "", object.Status.StartTime != nil, ended(object)
	w.unstick(p)
	w.need(p, common)
	w.place(p)
	if ip := podIP(object); ip != "" {
		p.ip = ip
		w.ips.keep(ip, o.UID)
	}
	p.marks = marksFor(object, p.marks, clock(e))
	ss := slots(object, p.marks)
	remark(ss, clock(e))
	if met {
		for i := range ss {
			if at, ok := ss[i].stateSince(); ok && at.Before(ss[i].mark.at) {
				ss[i].mark.at = at
			}
		}
	}
	w.account(p, clock(e))
	w.armPod(p, clock(e))
	w.pulled(p, object, clock(e))
	w.armClaims(p, clock(e))
}

func (w *World) podGone(e events.Event, r events.Ref) {
	if p := w.pods[r.Key]; p != nil {
		w.forget(p, clock(e))
	}
}

// forget takes a pod out of the world.
func (w *World) forget(p *pod, now time.Time) {
	delete(w.pods, p.ref.Key)
	w.ips.free(p.ip, p.ref.UID)
	w.retire(&p.item)
	w.unstick(p)
	w.move(p, nil, now)
	w.unmount(p)
	w.await(p, nil)
	w.armClaims(p, now)
}

// place puts a pod on the host that it is bound or pinned to.
func (w *World) place(p *pod) {
	var to *host
	name, ok := daemonpod.TargetNode(&p.object().Spec)
	if p.free = !ok; ok {
		to = w.host(name)
	}
	if to != p.host {
		w.move(p, to, p.since)
	}
}

// with returns a list of pods that is ordered by key with p in it.
func with(pods []*pod, p *pod) []*pod {
	i, _ := slices.BinarySearchFunc(pods, p.ref.Key, byKey)
	return slices.Insert(pods, i, p)
}

func without(pods []*pod, p *pod) []*pod {
	i, ok := slices.BinarySearchFunc(pods, p.ref.Key, byKey)
	if !ok {
		return pods
	}
	return slices.Delete(pods, i, i+1)
}

func byKey(p *pod, key events.Key) int { return p.ref.Key.Compare(key) }

// move takes a pod from its host to another, or to none.
func (w *World) move(p *pod, to *host, now time.Time) {
	if from := p.host; from != nil {
		from.pods = without(from.pods, p)
		if p.holds {
			w.use(from, p.needs, -1)
			p.holds = false
			w.armPods(from, now)
		}
		w.dropHost(from)
	}
	p.host = to
	if to != nil {
		to.pods = with(to.pods, p)
	}
}
