package owners

import (
	"cmp"
	"slices"
	"time"

	"github.com/tidwall/btree"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// Cluster is what a graph asks about objects that others keep. Every change of
// an answer has to be told with Review or ReviewDependents.
type Cluster interface {
	// Time returns log time.
	Time() time.Time
	// Exists reports whether this incarnation of a pod or a node is there.
	Exists(events.Ref) bool
	// Managed reports whether a DaemonSet that is there, or has something left,
	// controls an object: its plans say what becomes of it. deleting: that
	// DaemonSet is deleted, or being deleted with what it owns.
	Managed(*Object) (managed, deleting bool)
	// Node says what has become of the node of a pod.
	Node(*Object) (absent, unknown bool)
	// Unburdened is told that a dependent of an object has changed or is gone.
	Unburdened(owner events.Ref)
}

// place is where an object is, whichever incarnation.
type place struct {
	kind events.Kind
	key  events.Key
}

// dependents are what one object owns.
type dependents struct {
	objects *btree.BTreeG[*Object]
	blocks  int // so many of the objects hold the owner's deletion up
}

// Graph is the fold. It has one owner.
type Graph struct {
	cluster    Cluster
	objects    map[place]*Object
	dependents map[events.Ref]*dependents
	// defined are the custom kinds that the log has ever had a definition of, and
	// whether their objects are in namespaces. One whose definition is gone has no
	// objects: what such an object owned has lost its owner.
	defined map[events.Kind]bool

	open     *btree.BTreeG[*Object] // something is to be done, and no command is under way
	nodeless *btree.BTreeG[*Object] // the same if the node does not come, by since when it is missing

	reviewed []events.Ref // objects that the last event may have changed the relation of

	pending  map[events.Cause]events.Ref // commands of the garbage collector that are not answered
	underway map[events.Ref]int          // so many of them are about one object
}

// New returns the graph before the first event of a log.
func New(c Cluster) *Graph {
	return &Graph{cluster: c, objects: map[place]*Object{}, dependents: map[events.Ref]*dependents{}, defined: map[events.Kind]bool{},
		open: newTree(compareObjects), nodeless: newTree(compareSince),
		pending: map[events.Cause]events.Ref{}, underway: map[events.Ref]int{}}
}

func newTree(compare func(a, b *Object) int) *btree.BTreeG[*Object] {
	return btree.NewBTreeGOptions(func(a, b *Object) bool { return compare(a, b) < 0 }, btree.Options{NoLocks: true})
}

func compareObjects(a, b *Object) int { return compareRefs(a.Ref, b.Ref) }

func compareSince(a, b *Object) int {
	return cmp.Or(a.since.Compare(b.since), compareRefs(a.Ref, b.Ref))
}

// Get returns the object at a place, or nil: it is not there, or is a pod or a
// node that the graph has no need of.
func (g *Graph) Get(kind events.Kind, key events.Key) *Object { return g.objects[place{kind, key}] }

// Pending returns the number of commands without an answer.
func (g *Graph) Pending() int { return len(g.pending) }

// Open returns the number of objects about which something is to be done now,
// and no command is under way.
func (g *Graph) Open() int { return g.open.Len() }

// EachOpen yields them by kind and name, until f returns false.
func (g *Graph) EachOpen(f func(*Object, Relation) bool) {
	g.open.Scan(func(o *Object) bool { return f(o, g.relate(o)) })
}

// EachNodeless yields the pods whose node has been unknown since a time or
// longer, the oldest first, until f returns false.
func (g *Graph) EachNodeless(since time.Time, f func(*Object) bool) {
	g.nodeless.Scan(func(o *Object) bool { return !o.since.After(since) && f(o) })
}

// NodelessSince returns since when the node of the first of them is; ok is
// false if there is none.
func (g *Graph) NodelessSince() (since time.Time, ok bool) {
	o, ok := g.nodeless.Min()
	if !ok {
		return time.Time{}, false
	}
	return o.since, true
}

// Reviewed returns the objects whose relation the last event may have changed,
// some of them twice, and those that it took away. It is valid until the next.
func (g *Graph) Reviewed() []events.Ref { return g.reviewed }

// RelationOf says how this incarnation of an object stands; ok is false if the
// graph does not have it.
func (g *Graph) RelationOf(r events.Ref) (o *Object, is Relation, ok bool) {
	if o = g.at(r); o == nil {
		return nil, Relation{}, false
	}
	return o, g.relate(o), true
}

// Dependents returns how many objects an object owns, without the pods that a
// DaemonSet looks after itself.
func (g *Graph) Dependents(of events.Ref) int {
	if d := g.dependents[of]; d != nil {
		return d.objects.Len()
	}
	return 0
}

// Blocked reports whether a dependent holds up the deletion of an object in the
// foreground. An object that waits for nothing but itself, by way of others, is
// not blocked.
func (g *Graph) Blocked(of events.Ref) bool {
	d := g.dependents[of]
	return d != nil && d.blocks > 0 && !g.deadlocked(of)
}

// relate says how an object stands.
func (g *Graph) relate(o *Object) (r Relation) {
	managed, deleting := g.cluster.Managed(o)
	for _, x := range o.Owners {
		owner := g.objects[place{x.Kind, x.Key}]
		switch {
		case !x.Known || managed && x.Controls:
			r.Solid = true
		case !g.exists(x.Ref):
			r.Absent++
			r.Dangling = append(r.Dangling, x.UID)
		case owner == nil || !owner.Deleting:
			r.Solid = true
		case owner.Orphaning():
			r.Orphaning = append(r.Orphaning, x.UID)
		case owner.Waiting():
			r.Waiting++
			r.Dangling = append(r.Dangling, x.UID)
		default:
			r.Solid = true
		}
	}
	if !managed {
		r.NodeAbsent, r.NodeUnknown = g.cluster.Node(o)
	}
	if o.Deleting {
		r.Finalizer, r.NodeUnknown = g.finished(o), false
	}
	if o.Deleting || deleting {
		r.Dangling, r.Absent, r.Waiting = nil, 0, 0
	}
	return r
}

// finished returns the finalizer of an object that is being deleted that has
// seen what it waits for. Those of a DaemonSet are its controller's to take off.
func (g *Graph) finished(o *Object) string {
	switch {
	case o.Kind == events.DaemonSet:
	case o.Orphaning() && g.Dependents(o.Ref) == 0:
		return metav1.FinalizerOrphanDependents
	case o.Waiting() && !g.Blocked(o.Ref):
		return metav1.FinalizerDeleteDependents
	}
	return ""
}

// deadlocked reports whether an object waits, by way of objects that all wait,
// for itself, and for nothing else.
func (g *Graph) deadlocked(ref events.Ref) bool {
	todo, seen := []events.Ref{ref}, map[events.Ref]bool{}
	circle := false
	for len(todo) > 0 {
		x := todo[0]
		todo = todo[1:]
		d := g.dependents[x]
		if d == nil || d.blocks == 0 {
			return false
		}
		stuck := true
		d.objects.Scan(func(o *Object) bool {
			if !o.blocks(x) {
				return true
			}
			circle = circle || o.Ref == ref
			if !seen[o.Ref] {
				seen[o.Ref] = true
				todo = append(todo, o.Ref)
			}
			stuck = o.Waiting()
			return stuck
		})
		if !stuck {
			return false
		}
	}
	return circle
}

// exists reports whether this incarnation of an object is in the log.
func (g *Graph) exists(r events.Ref) bool {
	if r.Kind == events.Pod || r.Kind == events.Node {
		return g.cluster.Exists(r)
	}
	o := g.objects[place{r.Kind, r.Key}]
	return o != nil && o.UID == r.UID
}

// list enters or removes an object where those about which something is to be
// done are found.
func (g *Graph) list(o *Object) {
	g.open.Delete(o)
	g.nodeless.Delete(o)
	g.reviewed = append(g.reviewed, o.Ref)
	r := g.relate(o)
	o.open, o.nodeless = r.open(), r.nodeless()
	switch {
	case !o.nodeless:
		o.since = time.Time{}
	case o.since.IsZero():
		o.since = g.cluster.Time()
	}
	if into := g.listed(o); into != nil {
		into.Set(o)
	}
}

// listed returns where an object is listed, or nil.
func (g *Graph) listed(o *Object) *btree.BTreeG[*Object] {
	switch {
	case o.refused || g.underway[o.Ref] > 0:
		return nil
	case o.open:
		return g.open
	case o.nodeless:
		return g.nodeless
	}
	return nil
}

// at returns the object that a reference names, or nil.
func (g *Graph) at(r events.Ref) *Object {
	if o := g.objects[place{r.Kind, r.Key}]; o != nil && o.UID == r.UID {
		return o
	}
	return nil
}

// leaving returns the object that a reference names if it is being deleted, or
// nil.
func (g *Graph) leaving(r events.Ref) *Object {
	if o := g.at(r); o != nil && o.Deleting {
		return o
	}
	return nil
}

// link enters an object where it is found by its owners.
func (g *Graph) link(o *Object) {
	g.objects[place{o.Kind, o.Key}] = o
	for _, r := range o.owners() {
		d := g.dependents[r]
		if d == nil {
			d = &dependents{objects: newTree(compareObjects)}
			g.dependents[r] = d
		}
		d.objects.Set(o)
		if o.blocks(r) {
			d.blocks++
		}
	}
}

func (g *Graph) unlink(o *Object) {
	delete(g.objects, place{o.Kind, o.Key})
	for _, r := range o.owners() {
		d := g.dependents[r]
		d.objects.Delete(o)
		if o.blocks(r) {
			d.blocks--
		}
		if d.objects.Len() == 0 {
			delete(g.dependents, r)
		}
	}
	g.open.Delete(o)
	g.nodeless.Delete(o)
	g.reviewed = append(g.reviewed, o.Ref)
}

// reviewOwners looks again at the owners of an object. What an owner waits for
// may be many owners away when it waits in a circle.
func (g *Graph) reviewOwners(o *Object) {
	todo := o.owners()
	for i := 0; i < len(todo); i++ {
		g.cluster.Unburdened(todo[i])
		owner := g.leaving(todo[i])
		if owner == nil {
			continue
		}
		g.list(owner)
		if !owner.Waiting() {
			continue
		}
		for _, r := range owner.owners() {
			if !slices.Contains(todo, r) {
				todo = append(todo, r)
			}
		}
	}
}
