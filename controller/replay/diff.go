package replay

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector"
	"rollcall/projector/story"
)

// Change is how one object differs between two positions.
type Change struct {
	Object string        `json:"object"` // "pod/logging/agent-x"
	Is     string        `json:"is"`     // "created", "deleted", "changed"
	What   string        `json:"what"`
	Fields []story.Field `json:"fields,omitempty"` // of a changed one
	By     events.Seq    `json:"by"`               // the fact that says so, or the last that the controller did not write

	kind events.Kind
}

// Group is the changes that come from one thing.
type Group struct {
	Cause   *Step    `json:"cause,omitempty"` // nil: it is what Source says of its own objects
	Source  string   `json:"source,omitempty"`
	Changes []Change `json:"changes"`
}

// Diff is what differs between two positions.
type Diff struct {
	From   events.Seq `json:"from"`
	To     events.Seq `json:"to"`
	Groups []Group    `json:"groups"` // by where their causes are
	// Notes were told in between; nil: there are none.
	Notes *Notes `json:"notes,omitempty"`
}

// Filter says which objects are compared; zero fields let all pass.
type Filter struct {
	Kind events.Kind
	Key  events.Key
}

func (f Filter) passes(p place) bool {
	return (f.Kind == "" || f.Kind == p.kind) && (f.Key.Name == "" || f.Key == p.key)
}

// Diff compares the objects of two positions, and groups what differs by what
// caused it: what came from outside, at the end of the chain of causes.
func (h *History) Diff(ctx context.Context, from, to events.Seq, f Filter) (*Diff, error) {
	s, err := h.At(ctx, max(from, h.before))
	if err != nil {
		return nil, err
	}
	end, err := h.At(ctx, max(to, h.before))
	if err != nil {
		return nil, err
	}
	old, now := objectsOf(s, f), objectsOf(end, f)
	facts, err := h.facts(ctx, s, to)
	if err != nil {
		return nil, err
	}
	d := &Diff{From: from, To: to, Groups: []Group{}}
	if d.Notes, err = h.noted(ctx, facts, facts.meanwhile(from, f)); err != nil {
		return nil, err
	}
	changes := changesOf(facts, from, old, now)
	var asked []events.Seq
	for _, c := range changes {
		if !facts.alone[c.By-facts.first] {
			asked = append(asked, c.By)
		}
	}
	b, err := h.behind(ctx, asked, slices.Clone(asked))
	if err != nil {
		return nil, err
	}
	return d, h.group(ctx, d, changes, func(seq events.Seq) *Causes {
		if facts.alone[seq-facts.first] {
			return facts
		}
		return b.of(seq)
	})
}

// objectsOf returns the objects of a state that pass a filter.
func objectsOf(s *projector.State, f Filter) map[place]events.Object {
	all := map[place]events.Object{}
	if c := s.Charter(); c != nil && f.passes(place{events.CharterKind, c.Ref().Key}) {
		if data, err := wire.Marshal(c); err == nil { // it came from there
			all[place{events.CharterKind, c.Ref().Key}] = events.Object{Ref: c.Ref(), Data: data}
		}
	}
	for _, kind := range s.Kinds() {
		if f.Kind != "" && f.Kind != kind {
			continue
		}
		for _, o := range s.List(kind, "") {
			if p := (place{kind, o.Key}); f.passes(p) {
				all[p] = o
			}
		}
	}
	return all
}

// changesOf compares the objects before and after, by kind and key.
func changesOf(cs *Causes, from events.Seq, old, new map[place]events.Object) []Change {
	var changes []Change
	for _, p := range cs.places() {
		l := cs.objects[p]
		last := l.facts[len(l.facts)-1]
		if last <= from {
			continue
		}
		was, before := old[p]
		is, after := new[p]
		name := story.Name(events.Ref{Kind: p.kind, Key: p.key})
		if before && (!after || was.UID != is.UID) {
			changes = append(changes, Change{Object: name, Is: "deleted", What: "deleted", By: l.endOf(from), kind: p.kind})
		}
		switch {
		case after && (!before || was.UID != is.UID):
			changes = append(changes, Change{Object: name, Is: "created", What: story.Change(events.Object{}, is), By: l.facts[l.born], kind: p.kind})
		case after && !bytes.Equal(was.Data, is.Data):
			c := Change{Object: name, Is: "changed", What: story.Change(was, is), By: last, kind: p.kind}
			if l.told > from {
				c.By = l.told
			}
			c.Fields = slices.DeleteFunc(story.Fields(was, is), func(f story.Field) bool {
				return f.In("metadata.managedFields") || f.In("metadata.resourceVersion")
			})
			changes = append(changes, c)
		}
	}
	return changes
}

// endOf returns the fact that ended the incarnation that was there at a position.
func (l *life) endOf(from events.Seq) events.Seq {
	if i, _ := slices.BinarySearch(l.ends, from+1); i < len(l.ends) {
		return l.ends[i]
	}
	return l.facts[l.born] // it was made again without an end in between
}

// places returns the names that the log tells of, in order.
func (c *Causes) places() []place { return placesIn(c.objects) }

func placesIn[T any](m map[place]T) []place {
	return slices.SortedFunc(maps.Keys(m), func(a, b place) int {
		return cmp.Or(strings.Compare(string(a.kind), string(b.kind)), a.key.Compare(b.key))
	})
}

// group sorts changes by what they come from, as the causes say that tell of each.
func (h *History) group(ctx context.Context, d *Diff, changes []Change, of func(events.Seq) *Causes) error {
	type origin struct {
		at     events.Seq
		source string
	}
	var order []origin
	groups, told := map[origin][]Change{}, map[origin]*Causes{}
	for _, c := range changes {
		cs := of(c.By)
		chain := cs.Chain(eventLink(c.By))
		end := chain[len(chain)-1]
		if cs.before(end.Seq) {
			end = eventLink(cs.first - 1)
		}
		o := origin{at: end.Seq}
		by := cs.witness(end.Seq)
		if len(chain) == 1 && !by.asked && (c.Is == "changed" || by.source == controller.Source) {
			o = origin{source: cmp.Or(by.source, "somebody outside, not known")}
		}
		if groups[o] == nil {
			order = append(order, o)
			told[o] = cs
		}
		groups[o] = append(groups[o], c)
	}
	slices.SortFunc(order, func(a, b origin) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.source, b.source)) })
	for _, o := range order {
		g := Group{Source: o.source, Changes: groups[o]}
		if o.at > 0 {
			s, err := h.step(ctx, told[o], eventLink(o.at))
			if err != nil {
				return err
			}
			g.Cause = &s
		}
		d.Groups = append(d.Groups, g)
	}
	return nil
}
