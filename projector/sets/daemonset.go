package sets

import (
	"slices"
	"strings"
	"time"

	"github.com/tidwall/btree"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/events"
	"rollcall/events/daemonpod"
)

// DaemonSet is one DaemonSet of the state with its cells, counters and work.
// Readers outside the package do not change it.
type DaemonSet struct {
	Key      events.Key
	UID      types.UID
	Object   *appsv1.DaemonSet // frozen; of a deleted one the last that was known
	Seq      events.Seq
	Spec     *appsv1.DaemonSetSpec
	Selector labels.Selector
	Deleted  bool // deleted, but not all of its pods and revisions are gone
	Digest   string
	Surge    bool // a new pod may run beside an old one
	Settings events.Settings

	Counts    Counts
	Pods      map[string]int // by revision hash, terminating ones too
	Owned     int            // pods that name it as their controller
	Creating  int            // creates under way
	Refusals  int            // plans in a row with a refused create
	RefusedAt time.Time      // when the last create was refused
	SlowStart int            // at most so many creates under way; 0: no limit
	Progress  time.Time      // log time of the last progress of its rollout
	Paused    Pause          // zero: it is not
	Unread    string         // the first annotation of rollcall's that says nothing, in words, in a real cluster, whose server takes any
	Unknown   string         // the first field of the template that this version does not know, in a real cluster
	Missed    []events.Ref   // what of it the log does not have as it is in the cluster, in order and without uids
	Guard     Guard
	Held      []events.Held // what its last plan said holds it, of what does not pass by itself
	RateFrom  time.Time     // when the present second of creates began
	RateUsed  int

	cells     map[CellKey]*Cell
	work      [workSets]*btree.BTreeG[*Cell]
	maturing  *btree.BTreeG[*Cell] // available later than log time, by when
	release   *btree.BTreeG[*Pod]  // owned, but the selector does not match
	releasing map[types.UID]events.Cause
	pending   int            // commands under way
	refused   events.Seq     // the last plan when a create was refused
	promised  map[string]int // creates under way by revision hash
	revisions []*Revision    // owned, by number
	current   map[string]bool
	ranks     map[string]int64
	placement *Placement
	chartered bool              // the log is about a real cluster
	budget    events.BudgetMode // of one that names none
	collects  bool              // what owners and nodes leave behind is looked after here
	template  int64             // generation of the template; 0: it is not said
	matched   match
	canary    labels.Selector // nil: every node
	raw       parts           // the bytes of Object
	survey    Survey
	holds     []*Hold // on all of it, by owner and name
	nodeHolds []*Hold // on some nodes, by owner and name
}

// Ref returns what names the DaemonSet.
func (d *DaemonSet) Ref() events.Ref {
	return events.Ref{Kind: events.DaemonSet, Key: d.Key, UID: d.UID}
}

// Pause says who paused a DaemonSet, as far as the log knows, and when.
type Pause struct {
	At time.Time
	By string
}

// Counts are the counters of a DaemonSet's cells. What depends on the present
// is asked for with a time.
type Counts struct {
	Desired      int `json:"desired"`
	Scheduled    int `json:"scheduled"`
	Misscheduled int `json:"misscheduled"`
	Updated      int `json:"updated"`
	Ready        int `json:"ready"`
	Surging      int `json:"surging"`   // nodes with an old and a new pod, or one being made
	Waiting      int `json:"waiting"`   // nodes whose old pod is not gone yet
	Lost         int `json:"lost"`      // desired nodes that are not ready and have no ready pod
	Available    int `json:"available"` // desired nodes with a pod available by log time
	Spare        int `json:"spare"`     // the same on nodes that only keep their pod

	Held          int `json:"-"` // desired nodes in OldHeld
	HeldAvailable int `json:"-"` // of those the ones with a pod available by log time
}

// Revision is one ControllerRevision that a DaemonSet owns or may adopt.
type Revision struct {
	Key      events.Key
	Object   *appsv1.ControllerRevision // frozen
	Seq      events.Seq
	OwnerUID types.UID
	Hash     string
	Number   int64
	Digest   string // of its template; empty: the data holds none
}

func podsByName(a, b *Pod) int { return a.Key.Compare(b.Key) }

func byName(a, b *Pod) bool { return podsByName(a, b) < 0 }

func byNode(a, b *Cell) bool { return a.compare(b.CellKey) < 0 }

func byRank(a, b *Cell) bool {
	if a.class.rank != b.class.rank {
		return a.class.rank < b.class.rank
	}
	return byNode(a, b)
}

func byMaturity(a, b *Cell) bool {
	if c := a.class.availableFrom.Compare(b.class.availableFrom); c != 0 {
		return c < 0
	}
	return byNode(a, b)
}

func newDaemonSet(key events.Key, uid types.UID) *DaemonSet {
	d := &DaemonSet{Key: key, UID: uid, Pods: map[string]int{}, cells: map[CellKey]*Cell{},
		releasing: map[types.UID]events.Cause{}, promised: map[string]int{}, current: map[string]bool{}, ranks: map[string]int64{},
		maturing: tree(byMaturity),
		release:  tree(byName)}
	for w := range workSets {
		less := byNode
		if w >= OldBroken {
			less = byRank
		}
		d.work[w] = tree(less)
	}
	return d
}

// tree is an ordered set with one owner.
func tree[T any](less func(a, b T) bool) *btree.BTreeG[T] {
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

// load takes over a new version of the object and reports whether what its
// cells depend on has changed, and whether where its pods may run has.
func (d *DaemonSet) load(ds *appsv1.DaemonSet, seq events.Seq, raw parts) (cells, places bool) {
	settings := events.ReadSettings(ds.Annotations, d.budget)
	first := d.Object == nil
	template := templateGeneration(ds.Annotations[daemonpod.GenerationAnnotation])
	sameSpec := !first && string(raw.spec) == string(d.raw.spec)
	cells = first || !sameSpec || settings != d.Settings && !sameSettings(settings, d.Settings) ||
		(ds.DeletionTimestamp != nil) != (d.Object.DeletionTimestamp != nil) || d.chartered && template != d.template
	places = first || settings.Suspended != d.Settings.Suspended || !sameSpec && !placedAlike(&d.Spec.Template.Spec, &ds.Spec.Template.Spec)
	if first || settings.Canary != d.Settings.Canary || settings.Lost != d.Settings.Lost {
		places = true
		d.canary = nil
		if settings.Canary != "" {
			d.canary, _ = labels.Parse(settings.Canary) // was parsed when it was read
		}
	}
	d.Object, d.Spec, d.raw, d.Seq, d.Settings, d.template, d.Unread = ds, &ds.Spec, raw, seq, settings, template, d.unread(ds.Annotations)
	if sameSpec {
		return cells, places
	}
	d.Digest, d.Unknown = daemonpod.Digest(&ds.Spec.Template), d.unknown()
	d.Selector, d.Surge, d.matched = selectorOf(&ds.Spec), surges(&ds.Spec), match{}
	d.placement = NewPlacement(&ds.Spec.Template.Spec)
	return cells, places
}

// unread returns what is wrong with the first annotation that says nothing, though somebody
// meant something by it; not that of rollcall/rollout, without which no pod is replaced anyway.
func (d *DaemonSet) unread(has map[string]string) string {
	if !d.chartered {
		return ""
	}
	for _, bad := range events.CheckAnnotations(events.DaemonSet, nil, has) {
		if bad.Key != events.AnnotationRollout {
			return bad.String()
		}
	}
	return ""
}

// IsPaused reports whether no old pod is replaced because of annotations.
func (d *DaemonSet) IsPaused() bool { return d.Settings.Paused || d.Unread != "" }

func sameSettings(a, b events.Settings) bool {
	same := func(a, b **intstr.IntOrString) bool {
		x, y := *a, *b
		*a, *b = nil, nil
		return (x == nil) == (y == nil) && (x == nil || *x == *y)
	}
	return same(&a.Partition, &b.Partition) && same(&a.Rollout, &b.Rollout) && a == b
}

// selectorOf returns nil for a selector that is missing, empty or malformed,
// or does not match the template: it claims nothing (E14, E15). Acting on the
// last would make pods and let go of them without end.
func selectorOf(spec *appsv1.DaemonSetSpec) labels.Selector {
	sel, err := metav1.LabelSelectorAsSelector(spec.Selector)
	if err != nil || spec.Selector == nil || sel.Empty() || !sel.Matches(labels.Set(spec.Template.Labels)) {
		return nil
	}
	return sel
}

// surges reports whether maxSurge is positive for at least one node (F11).
func surges(spec *appsv1.DaemonSetSpec) bool {
	u := spec.UpdateStrategy
	if u.Type != appsv1.RollingUpdateDaemonSetStrategyType || u.RollingUpdate == nil || u.RollingUpdate.MaxSurge == nil {
		return false
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(u.RollingUpdate.MaxSurge, 1, true)
	return err == nil && n > 0
}

// claims reports whether the selector matches the pod.
func (d *DaemonSet) claims(p *PodView) bool {
	if d.Selector == nil {
		return false
	}
	// Pods of one revision have the same labels: the last answer is mostly this one.
	m := &d.matched
	if !m.known || string(m.labels) != string(p.labels) {
		*m = match{true, p.labels, d.Selector.Matches(p.Labels())}
	}
	return m.ok
}

// match is the answer of the selector for some labels.
type match struct {
	known  bool
	labels []byte
	ok     bool
}

// Deleting reports whether the DaemonSet waits for its dependents to go.
func (d *DaemonSet) Deleting() bool {
	return d.Deleted || d.Object != nil && d.Object.DeletionTimestamp != nil
}

// Orphaning reports whether the DaemonSet is deleted with its pods to be left running.
func (d *DaemonSet) Orphaning() bool {
	return !d.Deleted && d.Deleting() && slices.Contains(d.Object.Finalizers, metav1.FinalizerOrphanDependents)
}

// Current reports whether a revision hash names the present template.
func (d *DaemonSet) Current(hash string) bool { return d.current[hash] }

// rank orders revisions by age; a hash that no revision has is the oldest.
func (d *DaemonSet) rank(hash string) int64 { return d.ranks[hash] }

// Revisions returns the owned revisions by number.
func (d *DaemonSet) Revisions() []*Revision { return d.revisions }

// CurrentRevision returns the newest revision of the present template, or nil.
func (d *DaemonSet) CurrentRevision() *Revision {
	for _, r := range slices.Backward(d.revisions) {
		if r.Digest == d.Digest {
			return r
		}
	}
	return nil
}

// setRevisions replaces the owned revisions and reports whether any hash
// became current, ceased to be, or changed its rank.
func (d *DaemonSet) setRevisions(rs []*Revision) bool {
	slices.SortFunc(rs, func(a, b *Revision) int {
		if a.Number != b.Number {
			return int(min(1, max(-1, a.Number-b.Number)))
		}
		return strings.Compare(a.Key.Name, b.Key.Name)
	})
	current, ranks := map[string]bool{}, map[string]int64{}
	changed := false
	for _, r := range rs {
		if r.Digest == d.Digest {
			current[r.Hash] = true
		}
		ranks[r.Hash] = r.Number
		changed = changed || current[r.Hash] != d.current[r.Hash] || ranks[r.Hash] != d.ranks[r.Hash]
	}
	changed = changed || len(current) != len(d.current) || len(ranks) != len(d.ranks)
	d.revisions, d.current, d.ranks = rs, current, ranks
	return changed
}

// Cells yields the cells in a set of work, in its order, until f returns false.
func (d *DaemonSet) Cells(w Work, f func(*Cell) bool) { d.work[w].Scan(f) }

// Size returns the number of cells in a set of work.
func (d *DaemonSet) Size(w Work) int { return d.work[w].Len() }

// Cell returns the cell of a node, or nil.
func (d *DaemonSet) Cell(k CellKey) *Cell { return d.cells[k] }

// AllCells returns every cell by node. It walks all of them: for views, not for decisions.
func (d *DaemonSet) AllCells() []*Cell {
	cs := make([]*Cell, 0, len(d.cells))
	for _, k := range sortedKeys(d.cells, CellKey.compare) {
		cs = append(cs, d.cells[k])
	}
	return cs
}

// Maturing yields the cells whose pod becomes available later than log time,
// in that order, until f returns false.
func (d *DaemonSet) Maturing(f func(c *Cell, from time.Time) bool) {
	d.maturing.Scan(func(c *Cell) bool { return f(c, c.class.availableFrom) })
}

// Obstacle returns what keeps a node from getting a pod; zero: nothing does, or
// the whole DaemonSet is suspended.
func (d *DaemonSet) Obstacle(n *Node) Obstacle {
	_, o := Place(n.NodeView, d.placement)
	return o
}

// In reports whether c is in a set of work.
func (c *Cell) In(w Work) bool { return c.class.in(w) }

// Waiting reports whether c gets its new pod when the old one is gone.
func (c *Cell) Waiting() bool { return c.class.waiting }

// Surging reports whether c has an old and a new pod, or one that is being made.
func (c *Cell) Surging() bool { return c.class.surging }

// Rank returns the number of the oldest revision that runs in c.
func (c *Cell) Rank() int64 { return c.class.rank }

// Releasable yields owned pods that the selector does not match and whose
// release is not under way, by name.
func (d *DaemonSet) Releasable(f func(*Pod) bool) {
	d.release.Scan(func(p *Pod) bool {
		if _, under := d.releasing[p.UID]; under {
			return true
		}
		return f(p)
	})
}

// CreatingRevision reports whether a create of this revision is under way.
func (d *DaemonSet) CreatingRevision(hash string) bool { return d.promised[hash] > 0 }
