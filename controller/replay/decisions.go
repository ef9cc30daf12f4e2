package replay

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"rollcall/events"
	"rollcall/projector"
)

// DecisionsFormat is the version of the stream of lines by which two programs
// compare what they decide.
const DecisionsFormat = 1

// Said is one line of what a program says that it decides of a log. The first has
// the formats, the last the end; the same program says the same of the same log.
type Said struct {
	Format int        `json:"format,omitempty"`  // DecisionsFormat
	States int        `json:"states,omitempty"`  // format of what State is the hash of
	Plan   events.Seq `json:"plan,omitempty"`    // of a recorded plan
	Basis  events.Seq `json:"basis,omitempty"`   // of that plan
	Plans  []byte     `json:"decided,omitempty"` // what is decided in its place, as an event of a log; empty: nothing is due
	At     events.Seq `json:"at,omitempty"`      // position of State
	State  string     `json:"state,omitempty"`   // hash of the state there
	Found  string     `json:"found,omitempty"`   // invariant that the log breaks
	End    events.Seq `json:"end,omitempty"`     // last position of the log
}

// hashes is how many states of a log are hashed: each costs as much as a fold of
// thousands of events.
const hashes = 16

// Say says what this program decides of the history, a line each.
func (h *History) Say(ctx context.Context, ps Properties, say func(Said) error) error {
	if err := say(Said{Format: DecisionsFormat, States: projector.KeyframeFormat}); err != nil {
		return err
	}
	every := max(h.span.Last/hashes, 1)
	s, err := h.Begin(ctx)
	if err != nil {
		return err
	}
	err = decide(ctx, h.log, s, deciding{
		plan: func(d *Difference, _ bool) error {
			raw, err := encodePlan(d.Decided)
			if err != nil {
				return err
			}
			return say(Said{Plan: d.Seq, Basis: d.Recorded.Basis.Seq, Plans: raw})
		},
		after: func(s *projector.State, e events.Event) error {
			if e.Seq%every != 0 && e.Seq != h.span.Last {
				return nil
			}
			hash, err := StateHash(s)
			if err != nil {
				return err
			}
			return say(Said{At: e.Seq, State: hash})
		},
	})
	if err != nil {
		return err
	}
	found, err := h.Check(ctx, ps, h.span.First, h.span.Last)
	if err != nil {
		return err
	}
	for _, b := range found.Broken {
		if err := say(Said{Found: b.String()}); err != nil {
			return err
		}
	}
	return say(Said{End: h.span.Last})
}

// StateHash returns the hash of a state as bytes.
func StateHash(s *projector.State) (string, error) {
	raw, err := s.Keyframe()
	return projector.Hash(raw), err
}

// Account is what a program has said that it decides of a log.
type Account struct {
	formats Said
	plans   map[events.Seq]Said
	states  map[events.Seq]string
	found   []string
	end     events.Seq
}

// Take takes the next line. Lines that no program of this format says are refused.
func (d *Account) Take(x Said) error {
	switch {
	case d.end > 0:
		return fmt.Errorf("it goes on after its end")
	case d.formats.Format == 0:
		if x.Format != DecisionsFormat {
			return fmt.Errorf("its lines are of format %d, and these of %d", x.Format, DecisionsFormat)
		}
		*d = Account{formats: x, plans: map[events.Seq]Said{}, states: map[events.Seq]string{}}
	case x.Plan > 0:
		d.plans[x.Plan] = x
	case x.At > 0:
		d.states[x.At] = x.State
	case x.Found != "":
		d.found = append(d.found, x.Found)
	case x.End > 0:
		d.end = x.End
	default:
		return fmt.Errorf("a line of it says nothing that is known")
	}
	return nil
}

// Whole reports whether all was said, up to this end of the log.
func (d *Account) Whole(end events.Seq) bool { return d.end == end && end > 0 }

// Plans returns how many plans were decided again.
func (d *Account) Plans() int { return len(d.plans) }

// Compared is in what two programs differ of one log.
type Compared struct {
	Plans       int           `json:"plans"`       // that both decide again
	Differences []*Difference `json:"differences"` // Decided is of the one, Recorded of the other
	Unknown     []events.Seq  `json:"notDecidedByTheOther,omitempty"`
	States      int           `json:"states"`               // that were compared
	StateParts  []events.Seq  `json:"statesThatDiffer"`     // by position
	Formats     []int         `json:"stateFormats"`         // of states; those of two formats are not compared
	Same        events.Seq    `json:"lastSame,omitempty"`   // the last position whose states are compared and equal, before StateParts
	Came        []string      `json:"brokenHere,omitempty"` // invariants that only the one finds broken
	Went        []string      `json:"brokenThere,omitempty"`
}

// Differ reports whether anything does.
func (c *Compared) Differ() bool {
	return len(c.Differences)+len(c.Unknown)+len(c.StateParts)+len(c.Came)+len(c.Went) > 0
}

// Lines says on a line each in what the plans and the states differ.
func (c *Compared) Lines() (lines []string) {
	for _, d := range c.Differences {
		lines = append(lines, d.Changes()...)
	}
	for _, seq := range c.Unknown {
		lines = append(lines, fmt.Sprintf("plan #%d: one decides it, and the other holds it for quarantined", seq))
	}
	for _, seq := range c.StateParts {
		lines = append(lines, fmt.Sprintf("the states after #%d differ", seq))
	}
	return lines
}

// CompareAccounts compares what two programs have said of the same log.
func CompareAccounts(one, other *Account) *Compared {
	c := &Compared{Formats: []int{one.formats.States, other.formats.States}, Differences: []*Difference{}, StateParts: []events.Seq{}}
	for _, seq := range slices.Sorted(maps.Keys(one.plans)) {
		x := one.plans[seq]
		y, ok := other.plans[seq]
		if !ok {
			c.Unknown = append(c.Unknown, seq)
			continue
		}
		if c.Plans++; !bytes.Equal(x.Plans, y.Plans) {
			c.Differences = append(c.Differences, &Difference{Seq: seq, Recorded: y.plan(), Decided: x.plan()})
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(other.plans)) {
		if _, ok := one.plans[seq]; !ok {
			c.Unknown = append(c.Unknown, seq)
		}
	}
	if c.Formats[0] == c.Formats[1] {
		for _, seq := range slices.Sorted(maps.Keys(one.states)) {
			if c.States++; one.states[seq] != other.states[seq] {
				c.StateParts = append(c.StateParts, seq)
			} else if len(c.StateParts) == 0 {
				c.Same = seq
			}
		}
	}
	c.Came, c.Went = Without(one.found, other.found), Without(other.found, one.found)
	return c
}

// Without returns the lines that others do not have.
func Without(lines, others []string) (rest []string) {
	for _, l := range lines {
		if !slices.Contains(others, l) {
			rest = append(rest, l)
		}
	}
	return rest
}

// plan returns the plan that was said; nil: none is due.
func (x Said) plan() *events.Plan {
	if len(x.Plans) == 0 {
		return nil
	}
	if p, ok := events.Decode(x.Plans).Body.(*events.Plan); ok {
		return p
	}
	return &events.Plan{Basis: events.Basis{Seq: x.Basis}, Revision: "(in words that this program does not know)"}
}
