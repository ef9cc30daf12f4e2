package replay

import (
	"context"
	"slices"
	"time"

	"rollcall/events"
	"rollcall/projector/story"
)

// Telling says who told of an event from outside, and as what.
type Telling struct {
	Source string    `json:"source"`
	Type   string    `json:"type"`
	Time   time.Time `json:"time,omitzero"` // by the clock of the source; zero: it gave none
	Late   bool      `json:"late,omitempty"`
}

// tellingOf returns who told of an event; nil: nobody outside.
func tellingOf(e events.Event) *Telling {
	if e.Told == nil {
		return nil
	}
	return &Telling{Source: story.OneLine(e.Told.Source), Type: story.OneLine(e.Told.Type), Time: e.Told.Time, Late: e.Told.Late}
}

// Notes are what others told that is no fact: notes, and holds that were placed
// and lifted. None of it is a cause of anything.
type Notes struct {
	Steps []Step `json:"items"`           // the last of them, by position
	Older int    `json:"older,omitempty"` // how many are left out
}

// maxNotes bounds the notes that are told of one thing.
const maxNotes = 20

// hears notes of a note, or of a hold, what it is about.
func (c *Causes) hears(seq events.Seq, about []events.Ref) {
	c.notes = append(c.notes, seq)
	for _, r := range about {
		p := place{r.Kind, r.Key}
		if at := c.about[p]; len(at) == 0 || at[len(at)-1] != seq {
			c.about[p] = append(at, seq)
		}
	}
}

// namedBy returns the DaemonSets and nodes that a hold names.
func namedBy(h events.Hold) []events.Ref {
	refs := []events.Ref{h.Ref()}
	for _, k := range h.Select.DaemonSets {
		refs = append(refs, events.Ref{Kind: events.DaemonSet, Key: k})
	}
	for _, n := range h.Select.Nodes {
		refs = append(refs, events.Ref{Kind: events.Node, Key: events.Key{Name: n}})
	}
	return refs
}

// noted says what the log says of some of the notes, the last ones.
func (h *History) noted(ctx context.Context, cs *Causes, seqs []events.Seq) (*Notes, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	slices.Sort(seqs)
	seqs = slices.Compact(seqs)
	n := &Notes{Older: max(0, len(seqs)-maxNotes)}
	var links []Link
	for _, seq := range seqs[n.Older:] {
		links = append(links, eventLink(seq))
	}
	var err error
	n.Steps, err = h.steps(ctx, cs, links)
	return n, err
}

// beside returns the notes about what the steps of an explanation are about.
func (h *History) beside(ctx context.Context, cs *Causes, steps []Step) (*Notes, error) {
	var seqs []events.Seq
	for _, s := range steps {
		seqs = append(seqs, cs.about[place{s.about.Kind, s.about.Key}]...)
		if d := s.Decision; d != nil {
			seqs = append(seqs, cs.about[place{d.Command.Kind, d.Command.Key}]...)
			seqs = append(seqs, cs.about[place{events.Node, events.Key{Name: d.Command.Node}}]...)
		}
	}
	return h.noted(ctx, cs, seqs)
}

// meanwhile returns the notes after a position that a filter passes.
func (c *Causes) meanwhile(from events.Seq, f Filter) (seqs []events.Seq) {
	if f == (Filter{}) {
		i, _ := slices.BinarySearch(c.notes, from+1)
		return slices.Clone(c.notes[i:])
	}
	for _, p := range placesIn(c.about) {
		if at := c.about[p]; f.passes(p) {
			i, _ := slices.BinarySearch(at, from+1)
			seqs = append(seqs, at[i:]...)
		}
	}
	return seqs
}

// concerns picks what was told about one DaemonSet.
type concerns struct {
	ds     events.Key
	labels map[string]string
	others map[events.Key]bool // holds of something else
	notes  Notes
}

// take takes the next event of the log.
func (c *concerns) take(e events.Event) {
	switch b := e.Body.(type) {
	case events.Note:
		if !slices.ContainsFunc(b.Objects, func(r events.Ref) bool { return r.Kind == events.DaemonSet && r.Key == c.ds }) {
			return
		}
	case events.Hold:
		m, err := b.Select.Compile()
		c.others[b.Ref().Key] = err != nil || !m.DaemonSet(c.ds, c.labels)
		if c.others[b.Ref().Key] {
			return
		}
	case events.Lifted:
		if c.others[b.Ref().Key] {
			return
		}
	default:
		return
	}
	if c.notes.Steps = append(c.notes.Steps, stepOf(eventLink(e.Seq), e, events.Event{})); len(c.notes.Steps) > maxNotes {
		c.notes.Steps = slices.Delete(c.notes.Steps, 0, 1)
		c.notes.Older++
	}
}
