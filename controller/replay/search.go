package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"

	"rollcall/controller/condition"
	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector"
	"rollcall/projector/story"
)

// scanner is a log that can be read without its events being decoded: of an event
// there are position, time, subject and bytes, which are good until the next one, and
// what look returned for these bytes on another core, if the log can be read so.
type scanner interface {
	Scan(ctx context.Context, after events.Seq, look func(raw []byte) any) iter.Seq2[events.Event, error]
}

// Query says what is looked for: one of Text, Pattern, Field and Condition.
type Query struct {
	Text      string               // in a string of the event
	Pattern   *regexp.Regexp       // for a string of the event
	Field     *FieldChange         // of the event's object
	Condition *condition.Condition // that is true after the event; of one that names only state, that turns true with it

	Kind      events.Kind // of what the event is about; empty: any
	Namespace string      // empty: any
	Limit     int         // of how many hits are told; 0: all
}

// Hit is an event that was looked for.
type Hit struct {
	Step
	In     string        `json:"in,omitempty"`     // of a text: the first place where it is
	Value  string        `json:"value,omitempty"`  // what stands there
	Fields []story.Field `json:"fields,omitempty"` // of a field: what changed of it
}

// Searched is what a search found.
type Searched struct {
	From   events.Seq `json:"from"`
	To     events.Seq `json:"to"`
	Events int        `json:"events"` // that were looked at
	Hits   []Hit      `json:"hits"`
	More   bool       `json:"more,omitempty"` // there are more than were asked for
}

// enough notes a hit, and reports whether more than are wanted were found.
func (x *Searched) enough(q Query, hit Hit) bool {
	if x.More = q.Limit > 0 && len(x.Hits) == q.Limit; !x.More {
		x.Hits = append(x.Hits, hit)
	}
	return x.More
}

// Search looks for events from from to to. It looks at what the log holds, events
// that nobody believes among them.
func (h *History) Search(ctx context.Context, q Query, from, to events.Seq) (*Searched, error) {
	x := &Searched{From: from, To: to, Hits: []Hit{}}
	if q.Condition != nil {
		return x, h.searchCondition(ctx, q, x)
	}
	s := search{Query: q, known: map[string]*fact{}}
	if h.before > 0 {
		var err error
		if s.base, err = h.Begin(ctx); err != nil {
			return nil, err
		}
	}
	for e, err := range h.bare(ctx, q.look()) {
		switch {
		case err != nil:
			return nil, err
		case e.Seq > to:
			return x, nil
		case e.Seq >= from:
			x.Events++
		}
		if hit, ok := s.take(e, e.Seq >= from); ok && x.enough(q, hit) {
			return x, nil
		}
	}
	return x, nil
}

// bare yields the events of the history, whose bytes are good until the next one.
func (h *History) bare(ctx context.Context, look func([]byte) any) iter.Seq2[events.Event, error] {
	if s, ok := h.log.Log.(scanner); ok {
		return s.Scan(ctx, h.before, look)
	}
	return h.log.Read(ctx, h.before)
}

// search is a scan under way. Before an event is decoded its bytes have to have
// what is looked for in them.
type search struct {
	Query
	known map[string]*fact // by subject
	free  []*fact          // of objects that are gone: there may be many, one after the other
	base  *projector.State // before the first event; nil: nothing was
}

// fact is the last fact of a subject, while it is one of an object that is there.
type fact struct {
	of     string // kind in lower case, "plan" or "outcome"
	passes bool   // the filter
	raw    []byte // own bytes; empty: none
	field  part
}

// take looks at the next event. It is no hit if it is not wanted.
func (s *search) take(e events.Event, wanted bool) (hit Hit, found bool) {
	f := s.known[e.Subject]
	if f == nil {
		f = s.factOf(e.Subject)
		s.known[e.Subject] = f
	}
	if !f.passes {
		return hit, false
	}
	body, rest := bodyOf(e.Raw)
	switch {
	case s.Field != nil && body == "object":
		is := s.Field.partOf(rest)
		if wanted {
			hit.Fields = s.changed(f, is)
			found = len(hit.Fields) > 0
		}
		f.field = part{is.depth, append(f.field.value[:0], is.value...)}
	case s.Field == nil && wanted && e.Looked != absent:
		hit.In, hit.Value, found = s.find(f, e.Raw)
	}
	if found {
		hit.Step = toldAfter(e, f.raw)
	}
	switch body {
	case "object":
		f.raw = append(f.raw[:0], e.Raw...)
	case "gone":
		s.forget(e.Subject, f)
	}
	return hit, found
}

// factOf returns what is known of a subject of which nothing was heard.
func (s *search) factOf(subject string) *fact {
	of, key := events.Under(subject)
	kind := of
	if of == "plan" || of == "outcome" {
		kind = strings.ToLower(string(events.DaemonSet))
	}
	f := &fact{}
	if n := len(s.free); n > 0 {
		f, s.free = s.free[n-1], s.free[:n-1]
	}
	f.of, f.raw, f.field = of, f.raw[:0], part{value: f.field.value[:0]}
	f.passes = (s.Kind == "" || kind == strings.ToLower(string(s.Kind))) && (s.Namespace == "" || key.Namespace == s.Namespace)
	if s.base != nil && f.passes {
		s.begin(f, key)
	}
	return f
}

// begin makes a fact of an object that was there before the first event.
func (s *search) begin(f *fact, key events.Key) {
	kinds := s.base.Kinds()
	i := slices.IndexFunc(kinds, func(k events.Kind) bool { return strings.ToLower(string(k)) == f.of })
	if i < 0 {
		return
	}
	kind := kinds[i]
	o, _, ok := s.base.Object(kind, key)
	if !ok {
		return
	}
	raw, err := events.Encode(events.Event{Type: events.ObjectType(kind, events.VerbUpdated), Body: o})
	if err != nil {
		return // then it is told as if it were new
	}
	f.raw = raw
	if s.Field != nil {
		is := s.Field.partOf(o.Data)
		f.field = part{is.depth, bytes.Clone(is.value)}
	}
}

// forget takes a fact off the list, whose object is gone. One that may be in the
// base is kept, as of an object that is not there.
func (s *search) forget(subject string, f *fact) {
	if s.base != nil {
		f.raw, f.field = nil, part{}
		return
	}
	delete(s.known, subject)
	s.free = append(s.free, f)
}

// bodyOf returns what an event tells, in the words of the wire, and the bytes from
// there on. The body of a fact is never far behind the beginning.
func bodyOf(raw []byte) (body string, rest []byte) {
	if !wire.IsMap(raw) {
		return "", nil
	}
	c := wire.NewCursor(raw)
	for range c.Map() {
		switch key := string(c.Str()); key {
		case "object", "gone", "plan", "outcome", "hold", "lifted", "note", "unchanged":
			return key, c.Rest()
		}
		c.Skip()
	}
	return "", nil
}

// toldAfter says what there is to say about an event; was is the fact before.
func toldAfter(e events.Event, was []byte) Step {
	d := events.Decode(bytes.Clone(e.Raw))
	d.Seq, d.Stored, d.Subject = e.Seq, e.Stored, e.Subject
	before := events.Event{}
	if len(was) > 0 {
		before = events.Decode(bytes.Clone(was))
	}
	return stepOf(eventLink(e.Seq), d, before)
}

// searchCondition looks for events by a condition.
func (h *History) searchCondition(ctx context.Context, q Query, x *Searched) error {
	s, err := h.At(ctx, x.From-1)
	if err != nil {
		return err
	}
	w, err := q.Condition.Begin(s)
	if err != nil {
		return err
	}
	var was events.Event // the fact before about the object of the event
	before, vague := false, 0
	_, err = h.forward(ctx, s, x.To, Visit{
		Before: func(s *projector.State, e events.Event) error {
			r := events.RefOf(e)
			o, _, _ := s.Object(r.Kind, r.Key)
			was = events.Event{Body: o}
			return nil
		},
		After: func(s *projector.State, e events.Event) error {
			holds, known, err := w.Take(ctx, s, e)
			if err != nil {
				return err
			}
			x.Events++
			if !known {
				vague++
			}
			turns := holds && !(before && q.Condition.OfState())
			before = holds
			r := events.RefOf(e)
			if !turns || q.Kind != "" && r.Kind != q.Kind || q.Namespace != "" && r.Key.Namespace != q.Namespace {
				return nil
			}
			if x.enough(q, Hit{Step: stepOf(eventLink(e.Seq), e, was)}) {
				return errFound
			}
			return nil
		},
	})
	switch {
	case err != nil && !errors.Is(err, errFound):
		return err
	case x.Events == vague:
		return noValue(q.Condition)
	}
	return nil
}

// noValue refuses an expression that says nothing about a log.
func noValue(c *condition.Condition) error {
	return &events.Error{Code: "E-REPLAY-EXPR", What: fmt.Sprintf("the expression %q has no value at any event", c),
		Why: "something that it names is not there", Do: "see rollcall state -o json for what there is, and ask with has(...)", Exit: events.ExitInput}
}
