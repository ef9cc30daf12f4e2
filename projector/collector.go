package projector

import (
	"slices"
	"time"

	"github.com/tidwall/btree"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
)

// Plight is what is to be done about an object that somebody left behind.
type Plight uint8

// The plights of an item. The order is the one in which they are asked for.
const (
	Content  Plight = iota // nothing
	Orphan                 // owners that leave their dependents are to be taken off
	Stranded               // a pod whose node was deleted goes at once
	Done                   // what a finalizer waits for has happened
	Disowned               // owners that are gone, or wait for it, are to be taken off: others stay
	Doomed                 // its owners wait for it to be gone
	Bereft                 // all its owners are gone: it goes
	Adrift                 // a pod on a node that the log never told of: it goes if that stays so
)

// Standing is the plight of an item and what it is about.
type Standing struct {
	Plight    Plight
	Owners    []types.UID // Orphan, Disowned: to be taken off, as the object lists them
	Gone      bool        // Disowned: some of them are gone
	Finalizer string      // Done
}

type itemKey struct {
	kind events.Kind
	key  events.Key
}

// brood is what one object owns.
type brood struct {
	items  *btree.BTreeG[*Item]
	blocks int // so many of them hold its deletion up
}

// collector is the part of a state from which collections are decided: who
// owns what, and the items with a plight that no command is under way for.
type collector struct {
	items  map[itemKey]*Item
	broods map[events.Ref]*brood
	left   *btree.BTreeG[*Item]
	adrift *btree.BTreeG[*Item] // those of them with time, by since when they are

	commands map[events.Cause]events.Ref // not answered
	under    map[events.Ref]int          // commands about one object
}

func newCollector() collector {
	return collector{items: map[itemKey]*Item{}, broods: map[events.Ref]*brood{}, left: newItemTree(), adrift: newDriftTree(),
		commands: map[events.Cause]events.Ref{}, under: map[events.Ref]int{}}
}

// Left returns the number of items with a plight that no command is under way
// for, without those that are adrift.
func (s *State) Left() int { return s.left.Len() }

// EachLeft yields them by kind and name with how they stand, until f returns false.
func (s *State) EachLeft(f func(*Item, Standing) bool) {
	s.left.Scan(func(it *Item) bool { return f(it, s.standing(it)) })
}

// EachAdrift yields the items that are adrift since a time or longer, in the
// order in which they came to be, until f returns false.
func (s *State) EachAdrift(since time.Time, f func(*Item) bool) {
	s.adrift.Scan(func(it *Item) bool { return !it.since.After(since) && f(it) })
}

// AdriftSince returns since when the first of them is; ok is false if none is.
func (s *State) AdriftSince() (since time.Time, ok bool) {
	it, ok := s.adrift.Min()
	if !ok {
		return time.Time{}, false
	}
	return it.since, true
}

// Ending reports whether a namespace is being deleted: nothing more is made in it.
func (s *State) Ending(namespace string) bool {
	ns := s.items[itemKey{events.Namespace, events.Key{Name: namespace}}]
	return ns != nil && ns.Deleting
}

// Dependents returns how many objects an object owns, without the pods that a
// DaemonSet looks after itself.
func (s *State) Dependents(of events.Ref) int {
	b := s.broods[of]
	if b == nil {
		return 0
	}
	return b.items.Len()
}

// Blocked reports whether some of them hold up its deletion in the foreground.
// Who waits for nobody but itself is not blocked.
func (s *State) Blocked(of events.Ref) bool {
	b := s.broods[of]
	return b != nil && b.blocks > 0 && !s.deadlocked(of)
}

// standing says how an item stands to its owners and its node.
func (s *State) standing(it *Item) Standing {
	var leaving, off []types.UID
	gone, waiting, stays := 0, 0, false
	d := s.manager(it)
	for _, o := range it.Owners {
		owner := s.items[itemKey{o.Kind, o.Key}]
		switch {
		case !o.Known || d != nil && o.Controls:
			stays = true
		case !s.there(o.Ref):
			gone++
			off = append(off, o.UID)
		case owner == nil || !owner.Deleting:
			stays = true
		case owner.Orphaning():
			leaving = append(leaving, o.UID)
		case owner.Waiting():
			waiting++
			off = append(off, o.UID)
		default:
			stays = true
		}
	}
	switch {
	case len(leaving) > 0:
		return Standing{Plight: Orphan, Owners: leaving}
	case d == nil && s.stranded(it):
		return Standing{Plight: Stranded}
	case it.Deleting:
		return s.ending(it)
	case d != nil && d.Deleting():
		return Standing{}
	case stays && len(off) > 0:
		return Standing{Plight: Disowned, Owners: off, Gone: gone > 0}
	case waiting > 0:
		return Standing{Plight: Doomed}
	case gone > 0:
		return Standing{Plight: Bereft}
	case d == nil && s.lost(it):
		return Standing{Plight: Adrift}
	}
	return Standing{}
}

// ending says which finalizer of an item that is being deleted has seen what it
// waits for. Those of a DaemonSet's own cascades are its controller's.
func (s *State) ending(it *Item) Standing {
	switch daemons := it.Kind == events.DaemonSet; {
	case it.Orphaning() && !daemons && s.Dependents(it.Ref) == 0:
		return Standing{Plight: Done, Finalizer: metav1.FinalizerOrphanDependents}
	case it.Waiting() && !daemons && !s.Blocked(it.Ref):
		return Standing{Plight: Done, Finalizer: metav1.FinalizerDeleteDependents}
	}
	return Standing{}
}

// deadlocked reports whether an object waits, by way of objects that all wait,
// for itself, and for nothing else.
func (s *State) deadlocked(it events.Ref) bool {
	todo, seen := []events.Ref{it}, map[events.Ref]bool{}
	circle := false
	for len(todo) > 0 {
		x := todo[0]
		todo = todo[1:]
		b := s.broods[x]
		if b == nil || b.blocks == 0 {
			return false
		}
		stuck := true
		b.items.Scan(func(d *Item) bool {
			if !d.blocks(x) {
				return true
			}
			circle = circle || d.Ref == it
			if !seen[d.Ref] {
				seen[d.Ref] = true
				todo = append(todo, d.Ref)
			}
			stuck = d.Waiting()
			return stuck
		})
		if !stuck {
			return false
		}
	}
	return circle
}

func (it *Item) blocks(owner events.Ref) bool {
	return slices.ContainsFunc(it.Owners, func(o Owner) bool { return o.Known && o.Blocks && o.Ref == owner })
}

// there reports whether this incarnation of an object is in the log.
func (s *State) there(r events.Ref) bool {
	switch r.Kind {
	case events.Pod:
		p := s.pods[r.Key]
		return p != nil && p.UID == r.UID
	case events.Node:
		n := s.nodes[r.Key.Name]
		return n != nil && n.UID == r.UID
	}
	it := s.items[itemKey{r.Kind, r.Key}]
	return it != nil && it.UID == r.UID
}

// manager returns the DaemonSet that controls the item, if that is there or has
// something left: its own plans say what becomes of it. Nil: there is none.
func (s *State) manager(it *Item) *DaemonSet {
	switch it.Kind {
	case events.Pod:
		return it.pod.ds
	case events.ControllerRevision:
		for _, o := range it.Owners {
			if d := s.byUID[o.UID]; o.Controls && o.Known && d != nil && d.Key == o.Key {
				return d
			}
		}
	}
	return nil
}

// stranded reports whether the node that a pod was made for was deleted, or is
// not there to end a pod that is being deleted. One that is not bound can run
// on another node of the same name. A pod that finalizers hold has to be told
// only once.
func (s *State) stranded(it *Item) bool {
	p := it.pod
	if p == nil || it.Deleting && len(it.Finalizers) > 0 {
		return false
	}
	n := s.nodes[p.Node]
	if p.NodeUID == "" {
		return n == nil && p.Bound && it.Deleting
	}
	return n == nil || p.Bound && n.UID != p.NodeUID
}

// lost reports whether a pod is bound to a node that was not there when it was,
// and is not there now.
func (s *State) lost(it *Item) bool {
	p := it.pod
	return p != nil && p.Bound && p.NodeUID == "" && s.nodes[p.Node] == nil
}
