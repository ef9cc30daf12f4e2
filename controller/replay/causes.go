package replay

import (
	"context"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// Link names what something comes from: the event at a position, or one command
// of the plan there. The zero Link is nothing in the log.
type Link struct {
	Seq   events.Seq
	Index int // of the command; negative: the event itself
}

// IsZero reports whether nothing is named.
func (l Link) IsZero() bool { return l.Seq == 0 }

// Command reports whether a command is named, and which.
func (l Link) Command() (events.Cause, bool) {
	return events.Cause{Seq: l.Seq, Index: l.Index}, l.Seq > 0 && l.Index >= 0
}

func eventLink(seq events.Seq) Link { return Link{seq, -1} }

// place is where an object is, whichever incarnation.
type place struct {
	kind events.Kind
	key  events.Key
}

// Causes says of every event of a log, and of every command, what in the log it
// comes from.
//
// An event comes from the command that it names. The end of an object comes from
// the request that its deletion began with. What the controller writes comes from
// the event since which it was called for. All else comes from outside.
//
// A command comes from the event since which its reason has held: the last one at
// or before the basis of its plan before which the facts did not call for the
// command, and after which they did. The deciding functions themselves say so, at
// every event. Where that event is a plan, it is given as its command about the
// same cell. A plan as a whole comes from what the last of its reasons comes from.
//
// A log that does not begin with its first event tells of nothing before: what
// comes from there is a Link to a position at or before the one that it begins
// after, and that has no cause.
type Causes struct {
	first     events.Seq
	kept      map[place]events.Object // as they were before the first event
	of        []Link                  // of[i] is what the event at first+i comes from
	alone     []bool                  // in causes of facts alone: alone[i], it comes from nothing in the log
	witnesses []uint16                // witnesses[i] told of it: an index of names
	names     []witness
	reasons   map[events.Seq][]Link       // of each command of a plan
	freed     map[events.Seq][]events.Seq // of each command of a plan, what dues.freed says; nil: it was not asked
	plans     map[events.Key][]events.Seq // by owner
	objects   map[place]*life
	ending    map[types.UID]Link // objects that are being deleted: since when
	passed    map[events.Seq]events.Unreadable
	certain   map[events.Seq]bool    // writes of the controller: see spells.since
	notes     []events.Seq           // notes and holds
	about     map[place][]events.Seq // of those, by what they name
}

// witness is who tells of an event: a program by itself, or one that was asked to
// or told.
type witness struct {
	source string
	asked  bool // it names an actor, or who told it
}

// maxWitnesses bounds how many programs are told apart.
const maxWitnesses = 1000

// witness returns who told of an event; nobody, if it is before the first.
func (c *Causes) witness(seq events.Seq) witness {
	if c.before(seq) {
		return witness{}
	}
	return c.names[c.witnesses[seq-c.first]]
}

// tells notes who told of the next event.
func (c *Causes) tells(e events.Event) {
	is := witness{e.Source, e.Actor != "" || e.Told != nil}
	i := slices.Index(c.names, is)
	if i < 0 && len(c.names) == maxWitnesses {
		is = witness{"others", is.asked}
		i = slices.Index(c.names, is)
	}
	if i < 0 {
		i = len(c.names)
		c.names = append(c.names, is)
	}
	c.witnesses = append(c.witnesses, uint16(i))
}

// Of returns what the event or the command comes from; zero: from outside, or
// from what is not in the log.
func (c *Causes) Of(l Link) Link {
	if cause, ok := l.Command(); ok {
		if of := c.reasons[cause.Seq]; cause.Index < len(of) {
			return of[cause.Index]
		}
		return Link{}
	}
	if i := int(l.Seq) - int(c.first); i >= 0 && i < len(c.of) {
		return c.of[i]
	}
	return Link{}
}

// Chain returns what l comes from, what that comes from, and so on to what comes
// from outside. Each link is at an earlier position than the one before it, or is
// the command that an event names.
func (c *Causes) Chain(l Link) []Link {
	var chain []Link
	for ; !l.IsZero(); l = c.Of(l) {
		chain = append(chain, l)
	}
	return chain
}

// Keys returns the names of a kind that the log tells of, in order, those of
// objects that are gone among them.
func (c *Causes) Keys(kind events.Kind) []events.Key {
	var keys []events.Key
	for p := range maps.Keys(c.objects) {
		if p.kind == kind {
			keys = append(keys, p.key)
		}
	}
	slices.SortFunc(keys, events.Key.Compare)
	return keys
}

// Last returns how far the causes go.
func (c *Causes) Last() events.Seq { return c.first + events.Seq(len(c.of)) - 1 }

// Causes reads the log up to a position and returns what comes from what. It
// keeps 16 bytes an event, 24 a command, and 8 a fact.
func (h *History) Causes(ctx context.Context, to events.Seq) (*Causes, error) {
	return h.causes(ctx, extent{to: to, freed: true})
}

// tracker follows a log and notes since when what is called for.
type tracker struct {
	out      *Causes
	reasons  controller.Reasons
	cells    map[cellID]calls
	releases map[types.UID]calls  // by DaemonSet
	garbage  map[events.Ref]calls // by object
	writes   map[write]spells
	counted  map[types.UID]*counted      // by DaemonSet
	called   map[types.UID][]write       // writes that a DaemonSet calls for now
	dues     map[events.Key]*dues        // by owner of plans; nil: nobody asks what freed a command
	named    map[events.Key][]events.Ref // by holds that were not lifted
	found    []controller.Call
}

type cellID struct {
	ds types.UID
	sets.CellKey
}

// newTracker returns what follows a log from a state on.
func newTracker(s *projector.State) *tracker {
	t := newFacts(s.Seq() + 1)
	t.out.reasons, t.out.plans = map[events.Seq][]Link{}, map[events.Key][]events.Seq{}
	t.cells, t.releases, t.garbage = map[cellID]calls{}, map[types.UID]calls{}, map[events.Ref]calls{}
	t.writes, t.called, t.counted = map[write]spells{}, map[types.UID][]write{}, map[types.UID]*counted{}
	t.know(s)
	if s.Seq() > 0 {
		t.calls(s, events.Event{Seq: s.Seq()}) // since then or before
	}
	return t
}

// before reports whether a position is before the first event.
func (c *Causes) before(seq events.Seq) bool { return seq < c.first }

// after notes where a folded event comes from, and what it calls for.
func (t *tracker) after(s *projector.State, e events.Event) error {
	t.out.of = append(t.out.of, t.origin(s, e))
	t.out.tells(e)
	if p, ok := e.Body.(*events.Plan); ok {
		of := t.decided(p)
		t.out.reasons[e.Seq] = of
		for _, l := range of {
			if whole := &t.out.of[len(t.out.of)-1]; l.Seq > whole.Seq {
				*whole = l
			}
		}
		t.out.plans[p.Owner.Key] = append(t.out.plans[p.Owner.Key], e.Seq)
		t.noteFreed(e.Seq, p)
	}
	t.note(e)
	t.calls(s, e)
	return nil
}

// calls notes what a state calls for after an event.
func (t *tracker) calls(s *projector.State, e events.Event) {
	t.cellsCall(s, e)
	t.setsCall(s, e)
	g := s.Owners()
	for _, ref := range g.Reviewed() {
		t.found = t.found[:0]
		if o, r, ok := g.RelationOf(ref); ok {
			if c, ok := controller.OfObject(g, o, r); ok {
				t.found = append(t.found, c)
			}
		}
		into(t.garbage, ref, t.found, eventLink(e.Seq), s.LastPlan(events.Key{}))
	}
}

// origin returns what an event comes from.
func (t *tracker) origin(s *projector.State, e events.Event) Link {
	if !e.Cause.IsZero() {
		return Link{e.Cause.Seq, e.Cause.Index}
	}
	if b, ok := e.Body.(events.Gone); ok {
		if l, ok := t.out.ending[b.UID]; ok && !asked(e) {
			return l
		}
	}
	if e.Source == controller.Source && e.Actor == "" {
		if l, certain := t.writes[writeOf(e)].since(t.lastFact(aboutOf(e)), e.Seq); !l.IsZero() {
			if certain {
				t.out.certain[e.Seq] = true
			}
			return l
		}
		if r := events.RefOf(e); r.Kind == events.DaemonSet && s.DaemonSet(r.Key) != nil {
			return t.statusFrom(s.DaemonSet(r.Key))
		}
	}
	return Link{}
}

// asked reports whether the end of an object is what somebody asked for just
// then, and not the end of a deletion that is under way. A kubelet ends deletions
// by asking for them.
func asked(e events.Event) bool {
	return e.Verb == "delete" && e.Actor != "" && !strings.HasPrefix(e.Actor, "system:node:")
}

// decided returns since when each command of a plan was called for at its basis.
func (t *tracker) decided(p *events.Plan) []Link {
	of := make([]Link, len(p.Commands))
	for i, c := range p.Commands {
		var cs calls
		switch {
		case p.Owner == (events.Ref{}):
			cs = t.garbage[c.Ref]
		case c.Do == events.ReleasePod:
			cs = t.releases[p.Owner.UID]
		default:
			cs = t.cells[cellID{p.Owner.UID, sets.CellKey{Node: c.Node, NodeUID: c.NodeUID}}]
		}
		begin := t.out.first - 1
		of[i] = cs.at(controller.CallOf(c), max(p.Basis.Seq, begin))
		if of[i].IsZero() && p.Basis.Seq < begin {
			of[i] = eventLink(begin)
		}
	}
	return of
}

// cellsCall notes what the cells call for that an event has changed.
func (t *tracker) cellsCall(s *projector.State, e events.Event) {
	for _, c := range s.Changed() {
		ds := c.Owner()
		t.found = t.reasons.OfCell(s, c, t.found[:0])
		into(t.cells, cellID{ds.UID, c.CellKey}, t.found, t.linkIn(e, c), s.LastPlan(ds.Key))
	}
}

// linkIn names an event as what changed a cell: if it is a plan, its command
// about the cell.
func (t *tracker) linkIn(e events.Event, c *sets.Cell) Link {
	if p, ok := e.Body.(*events.Plan); ok {
		for i, cmd := range p.Commands {
			if cmd.Node == c.Node && cmd.NodeUID == c.NodeUID {
				return Link{e.Seq, i}
			}
		}
	}
	return eventLink(e.Seq)
}

// setsCall notes what DaemonSets call for besides their cells, after an event
// that has done something to them.
func (t *tracker) setsCall(s *projector.State, e events.Event) {
	for _, key := range s.Touched() {
		if t.dues != nil {
			t.due(s, key)
		}
		for _, ds := range s.DeletedSets(key) {
			t.setCalls(s, ds, e)
		}
		if ds := s.DaemonSet(key); ds != nil {
			t.setCalls(s, ds, e)
		}
	}
}

func (t *tracker) setCalls(s *projector.State, ds *sets.DaemonSet, e events.Event) {
	t.found = t.reasons.OfReleases(s, ds, t.found[:0])
	into(t.releases, ds.UID, t.found, eventLink(e.Seq), s.LastPlan(ds.Key))
	if ds.Deleted {
		delete(t.counted, ds.UID)
	} else {
		t.count(ds, e)
	}
	t.writesOf(ds.UID, t.reasons.OfRevisions(s, ds), eventLink(e.Seq))
}
