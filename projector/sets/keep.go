package sets

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/owners"
	"rollcall/projector/table"
)

// Kept is what the sets of a log know beside the objects, as a keyframe holds
// it: what the log told of before, and nothing that the objects say themselves.
type Kept struct {
	Pods      []KeptPod         `json:"pods,omitempty"`      // as the table has them
	Revisions []events.KeptPlan `json:"revisions,omitempty"` // the last event of each
	Sets      []KeptSet         `json:"sets,omitempty"`      // live ones by key, then deleted ones, then tombstones by uid
	Pending   []KeptPending     `json:"pending,omitempty"`   // by cause
	Plans     []events.KeptPlan `json:"plans,omitempty"`     // the last of each owner
	Fences    []events.KeptPlan `json:"fences,omitempty"`    // of names that no revision has
	Owners    owners.Kept       `json:"owners,omitzero"`
	Holds     []KeptHold        `json:"holds,omitempty"` // by owner and name
}

// KeptPod is what is remembered of a pod.
type KeptPod struct {
	ReadySince time.Time `json:"readySince,omitzero"`
	NodeUID    types.UID `json:"nodeUID,omitempty"`
	Astray     time.Time `json:"astray,omitzero"`
	Denials    int       `json:"denials,omitempty"`
	DeniedAt   time.Time `json:"deniedAt,omitzero"`
}

// stage is how far a DaemonSet is gone.
type stage int

const (
	live stage = iota
	deleted
	forgotten // but for a tombstone
)

// KeptSet is what is remembered of a DaemonSet.
type KeptSet struct {
	events.Key `json:",inline"`
	UID        types.UID     `json:"uid"`
	Stage      stage         `json:"stage,omitempty"`
	Last       wire.Raw      `json:"last,omitempty"` // the object, if it is not live
	Seq        events.Seq    `json:"seq"`
	Refusals   int           `json:"refusals,omitempty"`
	RefusedAt  time.Time     `json:"refusedAt,omitzero"`
	Refused    events.Seq    `json:"refused,omitempty"`
	SlowStart  int           `json:"slowStart,omitempty"`
	Progress   time.Time     `json:"progress,omitzero"`
	PausedAt   time.Time     `json:"pausedAt,omitzero"`
	PausedBy   string        `json:"pausedBy,omitempty"`
	Held       []events.Held `json:"held,omitempty"`
	RateFrom   time.Time     `json:"rateFrom,omitzero"`
	RateUsed   int           `json:"rateUsed,omitempty"`
	Guard      Guard         `json:"guard,omitzero"`
	Missed     []events.Ref  `json:"missed,omitempty"`
	Cells      []KeptCell    `json:"cells,omitempty"` // by node
}

// KeptCell is what is remembered of a cell.
type KeptCell struct {
	Node     string    `json:"node,omitempty"`
	NodeUID  types.UID `json:"nodeUID,omitempty"`
	Place    Verdict   `json:"place,omitempty"`
	Lost     bool      `json:"lost,omitempty"`
	Withheld bool      `json:"withheld,omitempty"`
	Attempts int       `json:"attempts,omitempty"`
	Failures int       `json:"failures,omitempty"`
	FailedAt time.Time `json:"failedAt,omitzero"`
	Rolled   Rolled    `json:"rolled,omitzero"`
}

// KeptPending is a command without an answer.
type KeptPending struct {
	Cause    events.Cause `json:"cause"`
	Owner    types.UID    `json:"owner"`
	Do       events.Verb  `json:"do"`
	Pod      string       `json:"pod"`
	UID      types.UID    `json:"uid"`
	Revision string       `json:"revision,omitempty"`
	Node     string       `json:"node,omitempty"` // of the cell; the release of a pod has none
	NodeUID  types.UID    `json:"nodeUID,omitempty"`
}

// Keep returns what the sets know beside the objects. Equal states give equal
// values.
func (s *Sets) Keep() Kept {
	k := Kept{Plans: events.KeepPlans(s.plans), Fences: events.KeepPlans(s.revFence), Owners: s.owners.Keep(), Holds: s.keepHolds()}
	for p := range s.Pods() {
		k.Pods = append(k.Pods, KeptPod{p.ReadySince, p.NodeUID, p.Astray, p.Denials, p.DeniedAt})
	}
	for _, key := range sortedKeys(s.revisions, events.Key.Compare) {
		k.Revisions = append(k.Revisions, events.KeptPlan{Key: key, Seq: s.revisions[key].Seq})
	}
	for _, d := range s.order {
		k.Sets = append(k.Sets, d.keep(live))
	}
	for _, key := range sortedKeys(s.deletedSets, events.Key.Compare) {
		for _, d := range s.deletedSets[key] {
			k.Sets = append(k.Sets, d.keep(deleted))
		}
	}
	for _, uid := range sortedKeys(s.tombstones, cmp.Compare[types.UID]) {
		k.Sets = append(k.Sets, s.tombstones[uid].keep(forgotten))
	}
	for _, c := range sortedKeys(s.pending, events.Cause.Compare) {
		ref := s.pending[c]
		p := KeptPending{Cause: c, Owner: ref.ds.UID, Do: ref.do, Pod: ref.pod, UID: ref.uid, Revision: ref.revision}
		if ref.cell != nil {
			p.Node, p.NodeUID = ref.cell.Node, ref.cell.NodeUID
		}
		k.Pending = append(k.Pending, p)
	}
	return k
}

func (d *DaemonSet) keep(at stage) KeptSet {
	k := KeptSet{Key: d.Key, UID: d.UID, Stage: at, Seq: d.Seq, Refusals: d.Refusals, RefusedAt: d.RefusedAt, Refused: d.refused,
		SlowStart: d.SlowStart, Progress: d.Progress, PausedAt: d.Paused.At, PausedBy: d.Paused.By, Held: slices.Clone(d.Held), RateFrom: d.RateFrom, RateUsed: d.RateUsed, Guard: d.Guard, Missed: slices.Clone(d.Missed)}
	if at != live {
		k.Last = d.raw.whole
	}
	for _, c := range d.AllCells() {
		k.Cells = append(k.Cells, KeptCell{c.Node, c.NodeUID, c.Place, c.Lost, c.Withheld, c.Attempts, c.Failures, c.FailedAt, c.Rolled})
	}
	return k
}

// At is where sets were kept: after the event at Seq, at log time Now, under a
// charter.
type At struct {
	Seq     events.Seq
	Now     time.Time
	Charter *events.Charter
}

// Restore returns the sets that were kept of a log whose objects are in tables,
// and what folds further events into them. All DaemonSets are touched. What does
// not belong together is an error.
func Restore(objects *table.Tables, k Kept, at At) (*Sets, Fold, error) {
	s, f := New(objects)
	s.seq, s.now, s.charter = at.Seq, at.Now, at.Charter
	s.plans, s.revFence = events.PlansOf(k.Plans), events.PlansOf(k.Fences)
	for _, restore := range []func(Kept) error{s.restoreNodes, s.restoreRevisions, s.restoreSets, s.restoreHolds, s.restorePending, s.restorePods, s.restoreOwners} {
		if err := restore(k); err != nil {
			return nil, Fold{}, err
		}
	}
	s.countChanged()
	for _, x := range k.Sets { // after the count, which would take it for progress
		if d := s.known(x.UID); d != nil {
			d.Progress, d.Guard = x.Progress, x.Guard
			s.mark(d)
		}
	}
	return s, f, nil
}

// known returns the DaemonSet with a uid, in whatever stage, or nil.
func (s *Sets) known(uid types.UID) *DaemonSet { return cmp.Or(s.byUID[uid], s.tombstones[uid]) }

// each calls f with every object of a kind, until it fails.
func (s *Sets) each(kind events.Kind, f func(*table.Item) error) (err error) {
	rows, _ := s.objects.Of(kind).Snapshot()
	rows.Scan(func(i *table.Item) bool {
		err = f(i)
		return err == nil
	})
	return err
}

func (s *Sets) restoreNodes(Kept) error {
	return s.each(events.Node, func(i *table.Item) error {
		s.nodes[i.Key.Name] = &Node{viewNode(i.Ref, i.Data, nil), i}
		return nil
	})
}

func (s *Sets) restoreRevisions(k Kept) error {
	last := events.PlansOf(k.Revisions)
	return s.each(events.ControllerRevision, func(i *table.Item) error {
		r := &appsv1.ControllerRevision{}
		if err := i.Decode(r); err != nil {
			return err
		}
		s.setRevision(i.Key, viewRevision(i.Key, r, last[i.Key]))
		return nil
	})
}

func (s *Sets) restoreSets(k Kept) error {
	for _, x := range k.Sets {
		o := events.Object{Ref: events.Ref{Kind: events.DaemonSet, Key: x.Key, UID: x.UID}, Data: x.Last}
		if i := s.objects.Get(events.DaemonSet, x.Key); x.Stage == live {
			if i == nil || i.UID != x.UID {
				return fmt.Errorf("there is no DaemonSet %s of uid %s", x.Key, x.UID)
			}
			o = i.Object
		}
		ds, raw, err := decodeDaemonSet(o, nil)
		if err != nil {
			return err
		}
		d := s.newDaemonSet(x.Key, x.UID)
		d.load(ds, x.Seq, raw)
		d.restore(x)
		for _, c := range d.AllCells() {
			s.recount(c)
		}
		switch x.Stage {
		case live:
			s.sets[x.Key], s.byUID[x.UID] = d, d
			s.order = append(s.order, d)
			for _, r := range d.Missed {
				s.missed[r] = d
			}
		case deleted:
			s.deletedSets[x.Key], s.byUID[x.UID] = append(s.deletedSets[x.Key], d), d
		default:
			s.tombstones[x.UID] = d
			continue
		}
		d.setRevisions(s.RevisionsOf(x.Namespace, x.UID))
	}
	return nil
}

func (d *DaemonSet) restore(x KeptSet) {
	d.Deleted = x.Stage != live
	d.Refusals, d.RefusedAt, d.refused, d.SlowStart = x.Refusals, x.RefusedAt, x.Refused, x.SlowStart
	d.Paused, d.Held, d.RateFrom, d.RateUsed, d.Missed = Pause{x.PausedAt, x.PausedBy}, x.Held, x.RateFrom, x.RateUsed, x.Missed
	for _, c := range x.Cells {
		cell := d.addCell(CellKey{c.Node, c.NodeUID})
		cell.Place, cell.Lost, cell.Withheld = c.Place, c.Lost, c.Withheld
		cell.Attempts, cell.Failures, cell.FailedAt = c.Attempts, c.Failures, c.FailedAt
		cell.Rolled = c.Rolled
	}
}

func (s *Sets) restorePending(k Kept) error {
	for _, p := range k.Pending {
		d := s.byUID[p.Owner]
		if d == nil {
			return fmt.Errorf("command #%d[%d] is of no DaemonSet", p.Cause.Seq, p.Cause.Index)
		}
		s.pend(d, p.Cause, events.Command{Do: p.Do, Ref: events.Ref{Key: events.Key{Name: p.Pod}, UID: p.UID}, Node: p.Node, NodeUID: p.NodeUID, Revision: p.Revision})
	}
	return nil
}

func (s *Sets) restorePods(k Kept) error {
	rest := k.Pods
	err := s.each(events.Pod, func(i *table.Item) error {
		v, err := viewPod(i.Ref, i.Data, &s.words)
		if err != nil || len(rest) == 0 {
			return cmp.Or(err, fmt.Errorf("%d pods are remembered, and there are more", len(k.Pods)))
		}
		x := rest[0]
		rest = rest[1:]
		p := &Pod{PodView: v, Item: i, ReadySince: x.ReadySince, NodeUID: x.NodeUID, Astray: x.Astray, Denials: x.Denials, DeniedAt: x.DeniedAt}
		s.pods[i.Key] = p
		s.index(p)
		s.claim(p)
		return nil
	})
	if err == nil && len(rest) > 0 {
		return fmt.Errorf("%d pods are remembered, and there are %d less", len(k.Pods), len(rest))
	}
	return err
}

func (s *Sets) restoreOwners(k Kept) error {
	for p := range s.Pods() {
		p.graphed = !p.plain()
	}
	s.owners.Restore(k.Owners, s.graphObjects)
	return nil
}
