// Package projector folds a log into the state that the controller decides
// from: objects, and for each DaemonSet a cell a node with counters and
// ordered sets of work, kept up to date event by event.
//
// A State has one owner. Fold is a function of the state and the event: no
// clock, no goroutine, no map order in anything it gives out. The shell,
// Projector, lets others read a state between folds, never during one.
package projector

import (
	"cmp"
	"crypto/sha256"
	"hash"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/tidwall/btree"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/projector/owners"
	"rollcall/projector/table"
)

// Position is how far a state has read: which log, the sequence, and the
// running SHA-256 over all that was read.
type Position struct {
	Log   string
	Seq   events.Seq
	Chain [sha256.Size]byte
}

// advance takes one more event with these bytes into the position.
func (s *State) advance(seq events.Seq, raw []byte) { s.position.advance(s.hash, seq, raw) }

// Node is one node of the state.
type Node struct {
	*NodeView
	*table.Item
}

// State is the fold of a log. The objects themselves are in tables, which
// others may read beside it.
type State struct {
	position Position
	hash     hash.Hash
	clock    clock
	screen   *events.Screen
	objects  *table.Tables

	nodes     map[string]*Node
	pods      map[events.Key]*Pod
	sets      map[events.Key]*DaemonSet
	order     []*DaemonSet // live ones by key
	ghosts    map[events.Key][]*DaemonSet
	byUID     map[types.UID]*DaemonSet // live and ghosts
	buried    map[types.UID]*DaemonSet // deleted ones of which nothing is left, for what is told late
	revisions map[events.Key]*Revision
	revOwned  map[owned][]*Revision         // by name
	revGone   map[events.Key]events.Seq     // where a revision of that name was deleted
	owned     map[owned]*btree.BTreeG[*Pod] // by name
	onNode    map[string][]*Pod
	plans     map[events.Key]events.Seq
	pending   map[events.Cause]pendingRef
	owners    *owners.Graph
	touched   []events.Key // names of DaemonSets that the last event did something to
	ripe      time.Time    // no cell matures before; zero: none does

	quarantine quarantine
}

type pendingRef struct {
	ds   *DaemonSet
	cell *Cell
	do   events.Verb
	pod  string
	uid  types.UID

	revision string
}

// New returns the state before the first event of the log with this ID, whose
// objects nobody else reads.
func New(log string) *State { return NewOver(log, table.New(table.History{})) }

// NewOver returns the state before the first event of the log with this ID. It
// keeps the objects in tables, which are empty and which it alone fills.
func NewOver(log string, objects *table.Tables) *State {
	s := &State{
		position: Position{Log: log}, hash: sha256.New(), screen: events.NewScreen(), objects: objects,
		clock: clock{sources: map[string]time.Duration{}},
		nodes: map[string]*Node{}, pods: map[events.Key]*Pod{},
		sets: map[events.Key]*DaemonSet{}, ghosts: map[events.Key][]*DaemonSet{}, byUID: map[types.UID]*DaemonSet{},
		buried:    map[types.UID]*DaemonSet{},
		revisions: map[events.Key]*Revision{}, revOwned: map[owned][]*Revision{}, revGone: map[events.Key]events.Seq{},
		owned: map[owned]*btree.BTreeG[*Pod]{}, onNode: map[string][]*Pod{}, plans: map[events.Key]events.Seq{},
		pending: map[events.Cause]pendingRef{},
	}
	s.owners = owners.New(cluster{s})
	return s
}

// Position returns how far the state has read.
func (s *State) Position() Position { return s.position }

// Seq returns the position of the last event folded.
func (s *State) Seq() events.Seq { return s.position.Seq }

// Time returns log time, which never steps back: that of the last event folded.
func (s *State) Time() time.Time { return s.clock.now }

// DaemonSet returns the live DaemonSet of that name, or nil.
func (s *State) DaemonSet(k events.Key) *DaemonSet { return s.sets[k] }

// DaemonSets returns the live DaemonSets by key.
func (s *State) DaemonSets() []*DaemonSet { return s.order }

// Ghosts returns the deleted DaemonSets of that name whose pods or revisions
// are not all gone, oldest deletion first.
func (s *State) Ghosts(k events.Key) []*DaemonSet { return s.ghosts[k] }

// Dying reports whether uid is a DaemonSet that is deleted, or being deleted
// with what it owns, so that what it owns will go.
func (s *State) Dying(uid types.UID) bool {
	d := s.byUID[uid]
	return d != nil && d.Deleting()
}

// Node returns a node, or nil.
func (s *State) Node(name string) *Node { return s.nodes[name] }

// Nodes yields every node by name.
func (s *State) Nodes() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		rows, _ := s.objects.Of(events.Node).Snapshot()
		rows.Scan(func(i *table.Item) bool { return yield(s.nodes[i.Key.Name]) })
	}
}

// Pod returns a pod, or nil.
func (s *State) Pod(k events.Key) *Pod { return s.pods[k] }

// NodeCount returns how many nodes there are.
func (s *State) NodeCount() int { return len(s.nodes) }

// PodsOf yields by name the pods of a namespace whose controller is the
// DaemonSet with this uid; empty: those without a controller.
func (s *State) PodsOf(namespace string, owner types.UID) iter.Seq[*Pod] {
	return func(yield func(*Pod) bool) {
		if ps := s.owned[owned{namespace, owner}]; ps != nil {
			ps.Scan(yield)
		}
	}
}

// Pods yields every pod by namespace and name.
func (s *State) Pods() iter.Seq[*Pod] {
	return func(yield func(*Pod) bool) {
		rows, _ := s.objects.Of(events.Pod).Snapshot()
		rows.Scan(func(i *table.Item) bool { return yield(s.pods[i.Key]) })
	}
}

// Revision returns a ControllerRevision, or nil.
func (s *State) Revision(k events.Key) *Revision { return s.revisions[k] }

// RevisionEnd returns the position of the last fact of a revision that is not
// there: of its deletion, or 0. A revision of that name is created after it.
func (s *State) RevisionEnd(k events.Key) events.Seq { return s.revGone[k] }

// RevisionsOf returns the revisions of a namespace with this owner uid (empty:
// no controller) by name.
func (s *State) RevisionsOf(namespace string, owner types.UID) []*Revision {
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
func (s *State) setRevision(k events.Key, r *Revision) {
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
func (s *State) LastPlan(k events.Key) events.Seq { return s.plans[k] }

// PendingCommands returns the number of commands without an answer.
func (s *State) PendingCommands() int { return len(s.pending) + s.owners.Pending() }

// Touched returns the names of the DaemonSets for which the last event may have
// changed what is to be done, some of them twice. It is valid until the next.
func (s *State) Touched() []events.Key { return s.touched }

// Object returns an object as of the state and the position of its last fact.
func (s *State) Object(kind events.Kind, k events.Key) (o events.Object, last events.Seq, ok bool) {
	i := s.objects.Get(kind, k)
	if i == nil {
		return events.Object{}, 0, false
	}
	return i.Object, events.Seq(i.Rev), true
}

// List returns the objects of a kind by key, of one namespace or of all ("").
func (s *State) List(kind events.Kind, namespace string) []events.Object {
	var os []events.Object
	rows, _ := s.objects.Of(kind).Snapshot()
	rows.Scan(func(i *table.Item) bool {
		if namespace == "" || i.Key.Namespace == namespace {
			os = append(os, i.Object)
		}
		return true
	})
	return os
}

// sortedKeys returns the keys of m in order, so that no map order gets out.
func sortedKeys[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), compare)
}
