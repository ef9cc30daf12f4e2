// Package sets folds a log into its DaemonSets: for each a cell a node, with
// counters and ordered sets of work, kept up to date event by event; and into
// the pods, nodes and revisions that DaemonSets are made of.
//
// A cell is one DaemonSet on one node. A pod's change moves one cell from one
// set of work to another, so that what is to be done is found without a walk
// over the nodes. What is not here: the bytes of the objects (projector/table),
// who owns what else (projector/owners), and when something is to be done, which
// is decided in the controller.
package sets

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/owners"
	"rollcall/projector/table"
)

// Node is one node of the state.
type Node struct {
	*NodeView
	*table.Item
}

// Sets are the DaemonSets of a log at one position, and what they are made of.
type Sets struct {
	seq     events.Seq      // of the last event
	now     time.Time       // log time
	charter *events.Charter // nil: there is none
	objects *table.Tables
	owners  *owners.Graph
	words   wire.Words // names that pods share

	nodes       map[string]*Node
	pods        map[events.Key]*Pod
	sets        map[events.Key]*DaemonSet
	order       []*DaemonSet // live ones by key
	deletedSets map[events.Key][]*DaemonSet
	byUID       map[types.UID]*DaemonSet // live and deleted ones
	tombstones  map[types.UID]*DaemonSet // deleted ones of which nothing is left, for what is told late
	revisions   map[events.Key]*Revision
	revOwned    map[owned][]*Revision     // by name
	revFence    map[events.Key]events.Seq // the last event under the name of a revision that is not there, if it is not believed
	owned       map[owned][]*Pod          // in no order: Pod.place
	onNode      map[string][]*Pod
	plans       map[events.Key]events.Seq
	pending     map[events.Cause]pendingRef
	changed     []*Cell                   // by this event
	touched     []events.Key              // names of DaemonSets that the last event did something to
	ripe        time.Time                 // no cell matures before; zero: none does
	holds       []*Hold                   // that stand, by owner and name
	holdsEnd    time.Time                 // none of them ends before; zero: there is none
	missed      map[events.Ref]*DaemonSet // of DaemonSet.Missed; it may have more
}

type pendingRef struct {
	ds   *DaemonSet
	cell *Cell
	do   events.Verb
	pod  string
	uid  types.UID

	revision string
}

// New returns the sets before the first event of a log whose objects are put
// into tables, and what folds events into them.
func New(objects *table.Tables) (*Sets, Fold) {
	s := &Sets{
		objects: objects, nodes: map[string]*Node{}, pods: map[events.Key]*Pod{},
		sets: map[events.Key]*DaemonSet{}, deletedSets: map[events.Key][]*DaemonSet{}, byUID: map[types.UID]*DaemonSet{},
		tombstones: map[types.UID]*DaemonSet{},
		revisions:  map[events.Key]*Revision{}, revOwned: map[owned][]*Revision{}, revFence: map[events.Key]events.Seq{},
		owned: map[owned][]*Pod{}, onNode: map[string][]*Pod{}, plans: map[events.Key]events.Seq{},
		pending: map[events.Cause]pendingRef{}, missed: map[events.Ref]*DaemonSet{},
	}
	s.owners = owners.New(cluster{s})
	return s, Fold{s}
}

// DaemonSet returns the live DaemonSet of that name, or nil.
func (s *Sets) DaemonSet(k events.Key) *DaemonSet { return s.sets[k] }

// DaemonSets returns the live DaemonSets by key.
func (s *Sets) DaemonSets() []*DaemonSet { return s.order }

// Unanswered returns how many commands have no answer yet.
func (s *Sets) Unanswered() int { return len(s.pending) }

// DeletedSets returns the deleted DaemonSets of that name whose pods or revisions
// are not all gone, oldest deletion first.
func (s *Sets) DeletedSets(k events.Key) []*DaemonSet { return s.deletedSets[k] }

// AllSets returns the live DaemonSets by key, and then the deleted ones of which
// something is left.
func (s *Sets) AllSets() []*DaemonSet {
	all := slices.Clone(s.order)
	for _, k := range sortedKeys(s.deletedSets, events.Key.Compare) {
		all = append(all, s.deletedSets[k]...)
	}
	return all
}

// Dying reports whether uid is a DaemonSet that is deleted, or being deleted
// with what it owns, so that what it owns will go.
func (s *Sets) Dying(uid types.UID) bool {
	d := s.byUID[uid]
	return d != nil && d.Deleting()
}

// Node returns a node, or nil.
func (s *Sets) Node(name string) *Node { return s.nodes[name] }

// Nodes yields every node by name.
func (s *Sets) Nodes() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		rows, _ := s.objects.Of(events.Node).Snapshot()
		rows.Scan(func(i *table.Item) bool { return yield(s.nodes[i.Key.Name]) })
	}
}

// Pod returns a pod, or nil.
func (s *Sets) Pod(k events.Key) *Pod { return s.pods[k] }

// NodeCount returns how many nodes there are.
func (s *Sets) NodeCount() int { return len(s.nodes) }

// PodsOf yields by name the pods of a namespace whose controller is the
// DaemonSet with this uid; empty: those without a controller.
func (s *Sets) PodsOf(namespace string, owner types.UID) iter.Seq[*Pod] {
	return func(yield func(*Pod) bool) {
		for _, p := range slices.SortedFunc(slices.Values(s.owned[owned{namespace, owner}]), podsByName) {
			if !yield(p) {
				return
			}
		}
	}
}

// Pods yields every pod by namespace and name.
func (s *Sets) Pods() iter.Seq[*Pod] {
	return func(yield func(*Pod) bool) {
		rows, _ := s.objects.Of(events.Pod).Snapshot()
		rows.Scan(func(i *table.Item) bool { return yield(s.pods[i.Key]) })
	}
}

// Revision returns a ControllerRevision, or nil.
func (s *Sets) Revision(k events.Key) *Revision { return s.revisions[k] }

// RevisionFence returns the position of the last event under the name of a
// revision that is not there, if nobody believes that event; else 0. A revision
// of that name is created after it.
func (s *Sets) RevisionFence(k events.Key) events.Seq { return s.revFence[k] }

// RevisionsOf returns the revisions of a namespace with this owner uid (empty:
// no controller) by name.
func (s *Sets) RevisionsOf(namespace string, owner types.UID) []*Revision {
	return slices.Clone(s.revOwned[owned{namespace, owner}])
}

// owned names what one controller owns in a namespace.
type owned struct {
	namespace string
	owner     types.UID
}

func (o owned) compare(p owned) int {
	return cmp.Or(cmp.Compare(o.namespace, p.namespace), cmp.Compare(o.owner, p.owner))
}

// setRevision replaces the revision of a name; nil: there is none any more.
func (s *Sets) setRevision(k events.Key, r *Revision) {
	if old := s.revisions[k]; old != nil {
		o := owned{k.Namespace, old.OwnerUID}
		s.revOwned[o] = slices.DeleteFunc(s.revOwned[o], func(x *Revision) bool { return x == old })
		if len(s.revOwned[o]) == 0 {
			delete(s.revOwned, o)
		}
	}
	if r == nil {
		delete(s.revisions, k)
		return
	}
	s.revisions[k] = r
	o := owned{k.Namespace, r.OwnerUID}
	i, _ := slices.BinarySearchFunc(s.revOwned[o], k, func(x *Revision, k events.Key) int { return x.Key.Compare(k) })
	s.revOwned[o] = slices.Insert(s.revOwned[o], i, r)
}

// LastPlan returns the position of the last plan for a DaemonSet name, or for
// the zero Key of the garbage collector; 0: none.
func (s *Sets) LastPlan(k events.Key) events.Seq { return s.plans[k] }

// PendingCommands returns the number of commands without an answer.
func (s *Sets) PendingCommands() int { return len(s.pending) + s.owners.Pending() }

// Touched returns the names of the DaemonSets for which the last event may have
// changed what is to be done, some of them twice. It is valid until the next.
func (s *Sets) Touched() []events.Key { return s.touched }

// Changed returns the cells in which the last event may have changed what is to
// be done, and some of which it has dropped. It is valid until the next.
func (s *Sets) Changed() []*Cell { return s.changed }

// sortedKeys returns the keys of m in order, so that no map order gets out.
func sortedKeys[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), compare)
}
