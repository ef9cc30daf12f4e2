package sets

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/projector/table"
)

// Pod is one pod of the state. Only the fold writes it.
type Pod struct {
	PodView
	*table.Item
	ReadySince time.Time // log time; zero: not ready
	NodeUID    types.UID // of the node it was made for; empty: that node is not known
	Astray     time.Time // since when that node is not known, in log time, where the cluster collects; else zero
	Denials    int       // commands about it, as it is now, that did nothing
	DeniedAt   time.Time // when the last of them did

	place   int        // among the pods of its owner
	cell    *Cell      // where it counts
	ds      *DaemonSet // whose pods by revision it counts in
	graphed bool       // it is in the graph of owners
}

// Ref returns what names the pod.
func (p *Pod) Ref() events.Ref { return events.Ref{Kind: events.Pod, Key: p.Key, UID: p.UID} }

// Pending is a command whose answer is not folded yet.
type Pending struct {
	Cause    events.Cause `json:"cause"`
	Do       events.Verb  `json:"do"`
	UID      types.UID    `json:"uid"`                // of the pod
	Revision string       `json:"revision,omitempty"` // of a pod to create, or of a rollout that takes one
}

// CellKey names a cell of a DaemonSet. NodeUID is empty for a node that the
// log never told of.
type CellKey struct {
	Node    string
	NodeUID types.UID
}

func (k CellKey) compare(o CellKey) int {
	if c := strings.Compare(k.Node, o.Node); c != 0 {
		return c
	}
	return strings.Compare(string(k.NodeUID), string(o.NodeUID))
}

// Cell is one DaemonSet on one node: the unit of work.
type Cell struct {
	CellKey
	Place    Verdict
	Lost     bool      // the node is not ready
	Withheld bool      // the node is no canary: its old pod stays
	Hold     *Hold     // of those on the node the one that ends last; nil: there is none
	Pods     []*Pod    // claimed or to be adopted; bound first, then oldest, then by name
	Pending  []Pending // by cause
	Attempts int       // creates planned so far
	Failures int       // failures in a row
	FailedAt time.Time // when the last of them was acted upon

	Rolled Rolled // in a real cluster

	owner    *DaemonSet
	class    class
	changed  bool // by this event
	maturing bool // class.availableFrom is later than log time
}

// class is what a cell counts as and which work it is in. It is recomputed
// whenever the cell changes, and holds nothing that depends on the present.
type class struct {
	desired, scheduled, misscheduled, updated, ready bool
	surging, creating                                bool
	spare                                            bool // keeps a pod without being desired
	lost                                             bool // the node is not ready, and no pod on it
	waiting                                          bool // holds back: its old pod is not gone yet
	held                                             bool // desired, and somebody holds its old pod
	availableFrom                                    time.Time
	work                                             uint16 // bit per Work
	rank                                             int64  // number of the oldest revision that runs here
}

// Work is a set of cells of one DaemonSet that want the same thing.
type Work int

// The work sets. A cell may be in several. Old sets are ordered by revision
// number and then by node, all others by node.
const (
	WorkMissing  Work = iota // create a pod
	WorkEvict                // a pod remains: the node may have none, or is gone
	WorkTerminal             // delete Failed and Succeeded pods
	WorkSurplus              // delete all but one pod (surging: one a revision)
	WorkHandover             // an old and a new pod live side by side
	WorkAdopt                // ownerless pods match the selector
	Unready                  // desired, with a live pod and none that is ready
	Waiting                  // desired, and its last pod is not gone yet
	OldBroken                // one old pod, not ready, on a node that should run one
	OldYoung                 // one old pod, ready for less than minReadySeconds
	OldReady                 // one old pod, available
	OldHeld                  // one old pod, on a node that somebody holds, and a canary if it is desired
	OldWithheld              // one old pod, on a desired node that is no canary
	OldKept                  // one old pod, on a node that gets no new one
	workSets
)

func (c *class) in(w Work) bool { return c.work&(1<<w) != 0 }

// podOrder is the order in which pods of one node are kept: bound before
// unbound, then older, then smaller name (F07).
func podOrder(a, b *Pod) int {
	if a.Bound != b.Bound {
		if a.Bound {
			return -1
		}
		return 1
	}
	if c := a.Created.Compare(b.Created); c != 0 {
		return c
	}
	return strings.Compare(a.Key.Name, b.Key.Name)
}

// Owner returns the DaemonSet whose cell it is.
func (c *Cell) Owner() *DaemonSet { return c.owner }

// Leaving reports whether the deletion of a pod is under way but not folded.
func (c *Cell) Leaving(uid types.UID) bool { return c.pends(events.DeletePod, uid) }

// adopting reports whether the adoption of a pod is under way.
func (c *Cell) adopting(uid types.UID) bool { return c.pends(events.AdoptPod, uid) }

func (c *Cell) pends(v events.Verb, uid types.UID) bool {
	for i := range c.Pending {
		if c.Pending[i].Do == v && c.Pending[i].UID == uid {
			return true
		}
	}
	return false
}

// Creating reports whether a create is under way.
func (c *Cell) Creating() bool {
	for i := range c.Pending {
		if c.Pending[i].Do == events.CreatePod {
			return true
		}
	}
	return false
}

func (c *Cell) remove(p *Pod) {
	c.Pods = slices.DeleteFunc(c.Pods, func(q *Pod) bool { return q == p })
}

func (c *Cell) empty() bool { return len(c.Pods) == 0 && len(c.Pending) == 0 }

// Survey is what the pods of a cell amount to.
type Survey struct {
	New, Old    []*Pod // live: not deleting, not leaving, not terminal
	Dead        []*Pod // Failed or Succeeded, not deleting, not leaving
	Leaving     int    // deletion is under way
	Terminating int
	Orphans     []*Pod // ownerless, adoption not under way
}

// Live returns the number of live pods.
func (s *Survey) Live() int { return len(s.New) + len(s.Old) }

// Survey sorts the pods of c out, keeping their order. Lists share the
// buffers of into, which may be nil.
func (d *DaemonSet) Survey(c *Cell, into *Survey) *Survey {
	if into == nil {
		into = &Survey{}
	}
	s := into
	*s = Survey{New: s.New[:0], Old: s.Old[:0], Dead: s.Dead[:0], Orphans: s.Orphans[:0]}
	for _, p := range c.Pods {
		if p.OwnerUID == "" && !p.Deleting && !c.adopting(p.UID) {
			s.Orphans = append(s.Orphans, p)
		}
		switch {
		case p.Deleting:
			s.Terminating++
		case c.Leaving(p.UID):
			s.Leaving++
		case p.Terminal():
			s.Dead = append(s.Dead, p)
		case d.IsNew(&p.PodView):
			s.New = append(s.New, p)
		default:
			s.Old = append(s.Old, p)
		}
	}
	return s
}

// AvailableFrom returns when a pod is or was available; zero: it is not ready.
// Leaving and terminating pods are not asked for.
func (d *DaemonSet) AvailableFrom(p *Pod) time.Time {
	if p.ReadySince.IsZero() {
		return time.Time{}
	}
	return p.ReadySince.Add(time.Duration(d.Spec.MinReadySeconds) * time.Second)
}

// classify says what c counts as, at log time now.
func (d *DaemonSet) classify(c *Cell, now time.Time) class {
	s := d.Survey(c, &d.survey)
	k := class{desired: c.Place == Run, scheduled: c.Place == Run && len(c.Pods) > 0,
		misscheduled: len(c.Pods) > 0 && (c.Place == Keep || c.Place == Evict),
		creating:     c.Creating(), spare: c.Place == Keep}
	d.classifyLive(c, s, &k)
	add := func(w Work, in bool) {
		if in {
			k.work |= 1 << w
		}
	}
	add(WorkAdopt, len(s.Orphans) > 0 && (c.Place != Gone || c.Node == ""))
	if d.Deleting() || c.Place <= Evict {
		if d.Deleting() {
			k.work = 0
		}
		if d.Deleted {
			k.ready, k.availableFrom = false, time.Time{} // nobody asks, and nobody lets its pods mature
		}
		add(WorkEvict, slices.ContainsFunc(c.Pods, func(p *Pod) bool { return d.Remains(c, p) }))
		return k
	}
	add(Unready, c.Place == Run && s.Live() > 0 && !k.ready)
	add(WorkTerminal, slices.ContainsFunc(s.Dead, func(p *Pod) bool { return p.OwnerUID == d.UID }))
	surplus := s.Live() > 1
	if d.Surge {
		surplus = len(s.New) > 1 || len(s.Old) > 1
		add(WorkHandover, len(s.New) > 0 && len(s.Old) > 0)
		k.surging = surplus || len(s.Old) > 0 && (len(s.New) > 0 || k.creating)
	}
	add(WorkSurplus, surplus)
	if c.Place == Run && !k.creating {
		missing := len(c.Pods) == 0
		if d.Surge {
			missing = s.Live() == 0 && s.Leaving == 0 && len(s.Dead) == 0
		}
		add(WorkMissing, missing)
		k.waiting = !missing && s.Live() == 0 && s.Terminating+s.Leaving > 0
		add(Waiting, k.waiting)
	}
	// A pod is not rolled before it is adopted. And one that is to go but still
	// runs makes two: a third may not join (S1).
	if len(s.Old) == 1 && s.Old[0].OwnerUID == d.UID && len(s.New) == 0 && !k.creating && !(d.Surge && s.Leaving > 0) {
		k.rank = d.rank(s.Old[0].Revision)
		in := oldAt(c, k.availableFrom, now)
		k.work |= 1 << in
		k.held = k.desired && in == OldHeld
	}
	return k
}

// Remains reports whether a pod of d is on a node that is to have none, and its
// deletion is not under way. On a node that is gone no kubelet ends a deletion:
// there a terminating pod remains until it is deleted without a grace period,
// unless finalizers hold it. Where the cluster collects what is left behind, that is
// its business, but for a pod which nobody has bound to a node.
func (d *DaemonSet) Remains(c *Cell, p *Pod) bool {
	switch {
	case p.OwnerUID != d.UID || c.Leaving(p.UID):
		return false
	case !d.collects && d.Deleting():
		return false
	case !d.collects && c.Place == Gone:
		return !p.Bound && !p.Deleting
	case c.Place == Gone:
		return !p.Deleting || !p.Forced && !p.Held
	}
	return !p.Deleting && (c.Place == Evict || d.Deleting())
}

func (d *DaemonSet) classifyLive(c *Cell, s *Survey, k *class) {
	rep := (*Pod)(nil)
	for _, p := range c.Pods {
		if !p.Deleting && !p.Terminal() {
			rep = p
			break
		}
	}
	if rep == nil && len(c.Pods) > 0 {
		rep = c.Pods[0]
	}
	k.updated = k.desired && rep != nil && d.IsNew(&rep.PodView)
	for _, live := range [2][]*Pod{s.New, s.Old} {
		for _, p := range live {
			from := d.AvailableFrom(p)
			if !from.IsZero() && (k.availableFrom.IsZero() || from.Before(k.availableFrom)) {
				k.availableFrom = from
			}
		}
	}
	k.ready = !k.availableFrom.IsZero()
	k.lost = k.desired && c.Lost && !k.ready
}

// Old reports whether c is in one of the sets of old pods.
func (c *Cell) Old() bool { return c.class.work>>OldBroken != 0 }

// OldAt returns the set of old pods that c, which is in one of them, is in at a
// time: time alone moves it from one to another.
func (c *Cell) OldAt(now time.Time) Work { return oldAt(c, c.class.availableFrom, now) }

// oldAt is OldAt of a cell whose pod is available from a time on; zero: it is not
// ready.
func oldAt(c *Cell, available, now time.Time) Work {
	switch {
	case c.Withheld && c.Place == Run:
		return OldWithheld
	case c.Hold != nil && c.Hold.Stands(now):
		return OldHeld
	case c.Place == Keep:
		return OldKept
	case available.IsZero():
		return OldBroken
	case available.After(now):
		return OldYoung
	}
	return OldReady
}
