package replay

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/story"
)

// Class says how something that was done in a recorded cluster, or was not, stands to
// what rollcall would have done there.
type Class string

// The classes. Extra, Undone and Counted are divergences.
const (
	Agreed  Class = "agreed"       // rollcall would have done it
	Other   Class = "other choice" // rollcall would have done the same to another pod or node
	Foreign Class = "foreign"      // somebody else did it than the cluster's DaemonSet controller
	Unseen  Class = "not seen"     // it was told of when it was done already: what was so before is not known
	TooNew  Class = "too new"      // what explains it may not be in the log yet
	Extra   Class = "extra"        // the cluster's DaemonSet controller did it, and rollcall would not have
	Undone  Class = "missing"      // rollcall would have done it, and nobody did
	Counted Class = "status"       // the status counts otherwise than rollcall does
)

// diverges reports whether a class is one of divergences.
func (c Class) diverges() bool { return c == Extra || c == Undone || c == Counted }

// Act is one thing that was done in a recorded cluster, or was not and would have
// been by rollcall.
type Act struct {
	Class     Class           `json:"class"`
	DaemonSet string          `json:"daemonSet"`
	Do        events.Verb     `json:"do"`
	Object    string          `json:"object,omitempty"`
	Node      string          `json:"node,omitempty"`
	Seq       events.Seq      `json:"seq"` // of the fact that tells of it; of what is missing or counted, of the event since which it is due
	Time      time.Time       `json:"time"`
	By        string          `json:"by,omitempty"`   // who did it, as far as the log tells
	Due       string          `json:"due,omitempty"`  // what rollcall would have done instead, or the reason of what it would have done
	Rule      controller.Rule `json:"rule,omitempty"` // of rollcall's own, which the cluster's controller has not, and by which it would have waited
	Lead      time.Duration   `json:"lead,omitempty"` // for how long it was due when it was done, or was not done
}

// Verbs of acts besides those of commands.
const (
	doMakeRevision   events.Verb = "CreateRevision"
	doChangeRevision events.Verb = "UpdateRevision"
	doDropRevision   events.Verb = "DeleteRevision"
	doCount          events.Verb = "UpdateStatus"
)

// ByWhom is how many acts somebody did.
type ByWhom struct {
	By   string `json:"by"`
	Acts int    `json:"acts"`
}

// Diverged is how the DaemonSet controller of a recorded cluster compares with
// rollcall over a part of its record.
type Diverged struct {
	Cluster     string        `json:"cluster"`
	Version     string        `json:"version"`
	Mode        events.Mode   `json:"mode"` // at the end: only what is recorded is compared
	From        events.Seq    `json:"from"`
	To          events.Seq    `json:"to"`
	Silence     time.Duration `json:"silence,omitempty"` // after To nothing happened for so long
	DaemonSets  int           `json:"daemonSets"`        // that were compared
	Acts        int           `json:"acts"`              // that were done
	Agreed      int           `json:"agreed"`
	LeadMedian  time.Duration `json:"leadMedian,omitempty"` // for how long what was agreed was due
	LeadMost    time.Duration `json:"leadMost,omitempty"`
	Other       int           `json:"otherChoice"`
	Foreign     []ByWhom      `json:"foreign"`
	Unseen      int           `json:"notSeen"`
	TooNew      int           `json:"tooNew"`
	Unknown     []string      `json:"unknown,omitempty"` // DaemonSets with fields that are not known here, or of which not all is in the record: not compared
	Divergences []Act         `json:"divergences"`
	All         []Act         `json:"all,omitempty"` // if asked for
}

// ForeignActs returns how many acts somebody else did.
func (d *Diverged) ForeignActs() (n int) {
	for _, f := range d.Foreign {
		n += f.Acts
	}
	return n
}

// ShadowQuery says what of a record is compared.
type ShadowQuery struct {
	Namespace string                       // empty: all
	Of        map[events.Key]bool          // DaemonSets; empty: all
	Match     func(*appsv1.DaemonSet) bool // DaemonSets; nil: all
	All       bool                         // every act is told
}

// Diverge compares what was done in a recorded cluster with what rollcall would have
// done, from from to a moment. It plans nothing: what rollcall would have done follows from
// the state before each event. That nothing has happened counts too, up to the time of the
// moment as far as the log knows: to its next event, or to heard if there is none, which is
// zero if nobody records.
func (h *History) Diverge(ctx context.Context, q ShadowQuery, from events.Seq, to Moment, heard time.Time) (*Diverged, error) {
	s, err := h.At(ctx, from-1)
	if err != nil {
		return nil, err
	}
	s.Unchain()
	w := newShadow(s, q)
	for e, err := range (looked{h.log.Log}).Read(ctx, from-1) {
		if err != nil {
			return nil, fmt.Errorf("compare: %w", err)
		}
		if e.Seq > to.Seq {
			heard = e.Stored
			break
		}
		for _, e := range w.order.take(e) {
			w.fold(e)
		}
	}
	end := to.Time
	if to.Now.Before(heard) {
		heard = to.Now
	}
	if heard.After(end) {
		end = heard
		w.until(end)
	}
	for _, e := range w.order.all() {
		w.fold(e)
	}
	c := s.Charter()
	if c == nil {
		return nil, &events.Error{Code: "E-REPLAY-RECORD", What: "the log is no record of a cluster: nothing in it was done by another DaemonSet controller",
			Do: "record a cluster with rollcall connect --shadow, and ask the directory that it is kept in", Exit: events.ExitInput}
	}
	for _, k := range slices.SortedFunc(maps.Keys(q.Of), events.Key.Compare) {
		if !w.seen[k] {
			return nil, &events.Error{Code: "E-REPLAY-OBJECT", What: "the log does not tell of DaemonSet " + k.String(), Why: fmt.Sprintf("there was none of the name from #%d to #%d", from, to.Seq),
				Do: "see rollcall log --type 'daemonset.*'", Exit: events.ExitInput}
		}
	}
	d := &Diverged{Cluster: c.Cluster, Version: story.OneLine(c.Version), Mode: c.Mode, From: from, To: to.Seq, Silence: end.Sub(to.Time), DaemonSets: len(w.seen), Foreign: []ByWhom{}, Divergences: []Act{}}
	w.sum(d, end)
	return d, nil
}

// sum judges what was found, when all that may explain it is known.
func (w *shadow) sum(d *Diverged, end time.Time) {
	var leads []time.Duration
	foreign := map[string]int{}
	for _, a := range w.acts {
		w.judge(a, end)
	}
	w.swap()
	for _, a := range w.acts {
		if !a.Class.diverges() || a.Class == Extra {
			d.Acts++
		}
		switch a.Class {
		case Agreed:
			d.Agreed++
			leads = append(leads, a.Lead)
		case Other:
			d.Other++
		case Foreign:
			foreign[a.By]++
		case Unseen:
			d.Unseen++
		case TooNew:
			d.TooNew++
		default:
			d.Divergences = append(d.Divergences, a.Act)
		}
		if w.q.All {
			d.All = append(d.All, a.Act)
		}
	}
	slices.Sort(leads)
	if n := len(leads); n > 0 {
		d.LeadMedian, d.LeadMost = leads[n/2], leads[n-1]
	}
	for _, by := range slices.Sorted(maps.Keys(foreign)) {
		d.Foreign = append(d.Foreign, ByWhom{by, foreign[by]})
	}
	slices.SortStableFunc(d.Foreign, func(a, b ByWhom) int { return b.Acts - a.Acts })
	slices.SortStableFunc(d.Divergences, bySeq)
	slices.SortStableFunc(d.All, bySeq)
	for _, k := range slices.SortedFunc(maps.Keys(w.unknown), events.Key.Compare) {
		d.Unknown = append(d.Unknown, k.String())
	}
}

// swap gives what was due to who did it: if an act that no Event tells of, and which was due or
// which rollcall would have done to another, has used up what the cluster's controller then
// did, to the same pod or for the same reason to another, somebody else did it.
func (w *shadow) swap() {
	for _, x := range w.acts {
		if x.Class != Extra {
			continue
		}
		for _, y := range w.acts {
			if y.owner != x.owner || w.evidence.of(y) != "" || y.Time.After(x.Time) || y.Time.Add(slowest).Before(x.Time) {
				continue
			}
			switch {
			case y.Class == Other && x.same(y.instead):
				x.Class, x.Due = Agreed, string(y.instead.reason)
			case y.Class != Agreed && y.Class != Other, x.By != component, x.Do != events.DeletePod, y.Do != x.Do, x.reason == "", y.reason != x.reason:
				continue
			case y.Class == Agreed:
				x.Class, x.Due = Other, task{do: y.Do, name: strings.TrimPrefix(y.Object, "pod/"), node: y.Node, reason: y.reason}.String()
			default:
				x.Class, x.Due = Other, y.Due
			}
			if y.Class, y.By = Foreign, "a user"; y.crowded {
				y.By = nobody
			}
			break
		}
	}
}

func bySeq(a, b Act) int { return cmp.Compare(a.Seq, b.Seq) }

// shadow is a comparison under way.
type shadow struct {
	q        ShadowQuery
	s        *projector.State
	order    order
	owners   map[events.Key]*shadowed
	keys     []events.Key // of owners, in order
	seen     map[events.Key]bool
	unknown  map[events.Key]bool
	acts     []*act
	evidence evidence
	gaps     []gap
	left     map[string]time.Time // when nodes were last gone, of those that were within slowest
	patient  time.Time            // the last sign of a gap in the record
	now      time.Time            // log time of the event that is folded next
	at       events.Seq           // true position of the last event that was folded
}

func newShadow(s *projector.State, q ShadowQuery) *shadow {
	w := &shadow{q: q, s: s, at: s.Seq(), order: order{next: s.Seq() + 1, shadow: watched(s.Charter())}, owners: map[events.Key]*shadowed{},
		seen: map[events.Key]bool{}, unknown: map[events.Key]bool{}, left: map[string]time.Time{}, evidence: newEvidence()}
	for _, ds := range s.DaemonSets() {
		w.due(ds.Key)
	}
	return w
}

// watched reports whether a charter has a cluster recorded, and nothing done there.
func watched(c *events.Charter) bool { return c != nil && c.Mode == events.Shadow }

// fold takes the next event.
func (w *shadow) fold(x ordered) {
	w.pass(x.Stored)
	a := w.actOf(x)
	if a != nil {
		w.match(a)
	}
	e := projector.Fold(w.s, x.Event)
	w.at = x.at
	if _, bad := e.Body.(events.Unreadable); bad {
		return
	}
	if a != nil {
		w.acts = append(w.acts, a)
	}
	ref := events.RefOf(e)
	_, gone := e.Body.(events.Gone)
	if gone && ref.Kind == events.Node {
		maps.DeleteFunc(w.left, func(_ string, at time.Time) bool { return at.Add(slowest).Before(w.s.Time()) })
		w.left[ref.Key.Name] = w.s.Time()
	}
	if n, ok := e.Body.(events.Note); ok && e.Told != nil {
		w.note(n, e)
	}
	for _, k := range slices.Compact(slices.SortedFunc(slices.Values(w.s.Touched()), events.Key.Compare)) {
		w.dueAfter(k, moment{w.s.Time(), w.at, ref, gone}, a)
	}
}

// pass has time pass up to an event: what becomes due by it alone, what was not done
// for too long, and statuses that stay wrong.
func (w *shadow) pass(to time.Time) {
	if w.now = w.s.Time(); w.now.IsZero() || !watched(w.s.Charter()) {
		return
	}
	to = w.now.Add(max(0, to.Sub(w.now)))
	w.now = to
	for _, k := range w.keys {
		o := w.owners[k]
		for range maxRipe {
			at := o.again
			if at.IsZero() || at.After(to) || !at.After(o.at) {
				break
			}
			o.take(w.s, k, moment{time: at, seq: w.at}, nil)
		}
		w.overdue(k, o, to)
	}
}

// until tells that the log has all that has happened up to a time. What is too late by
// then has to be so still when skew has passed.
func (w *shadow) until(now time.Time) {
	for _, x := range w.order.ripe(now) {
		w.fold(x)
	}
	w.pass(now.Add(-2 * skew))
	w.pass(now.Add(-skew))
}

// maxRipe bounds how often time alone changes what is due between two events.
const maxRipe = 64
