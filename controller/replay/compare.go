package replay

import (
	"context"
	"slices"
	"time"

	"rollcall/events"
)

// Decided is a plan and where it is.
type Decided struct {
	Point
	*events.Plan
}

// Decisions returns the plans with commands from one position to another (0: to
// the end), of one DaemonSet or, of the zero Ref, of all.
func Decisions(ctx context.Context, log events.Reader, from, to events.Seq, of events.Ref) (all []Decided, err error) {
	screen := events.NewScreen()
	for e, err := range log.Read(ctx, from-1) {
		if err != nil {
			return nil, err
		}
		if to > 0 && e.Seq > to {
			break
		}
		p, ok := screen.Take(e).Body.(*events.Plan)
		if ok && len(p.Commands) > 0 && (of == events.Ref{} || p.Owner == of) {
			all = append(all, Decided{Point{e.Seq, e.Stored}, p})
		}
	}
	return all, nil
}

// Departed returns the place of the first two plans of two lists that are not the
// same; neither may have one there. It is -1 if both lists are the same.
func Departed(a, b []Decided, same func(a, b *events.Plan) bool) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || !same(a[i].Plan, b[i].Plan) {
			return i
		}
	}
	return -1
}

// Side is a rollout with the history that tells of it.
type Side struct {
	*History
	*Rollout
}

// Comparison holds two rollouts against each other, wave by wave.
type Comparison struct {
	A       *Rollout   `json:"a"` // without its waves
	B       *Rollout   `json:"b"`
	Differs []string   `json:"differs"` // what is not the same but for times; empty: all is
	Waves   []WavePair `json:"waves"`
	Slowest struct {
		A []Reached `json:"a"`
		B []Reached `json:"b"`
	} `json:"slowest"`
	First *Departure `json:"firstDifference"` // in decisions; nil: they are the same
}

// WavePair is the wave of a number in both rollouts; nil: there is none.
type WavePair struct {
	Wave int      `json:"wave"`
	A    *Stretch `json:"a"`
	B    *Stretch `json:"b"`
}

// Stretch is a wave within its rollout.
type Stretch struct {
	*Wave
	Offset time.Duration  `json:"offsetNanoseconds"` // of its plan from the start of the rollout
	Took   *time.Duration `json:"tookNanoseconds"`   // until its last node was ready; nil: not all were
}

// Departure is the first decision that is another in the one rollout than in the
// other.
type Departure struct {
	A *Choice `json:"a"` // nil: there were no more
	B *Choice `json:"b"`
}

// Choice is what a plan of a rollout does, without the names that follow from the
// revision, and the numbers that it was decided by.
type Choice struct {
	Point
	Moves  []Move        `json:"moves"`
	Budget events.Budget `json:"budget"`
}

// Move is what a plan does for one reason, in the order of its commands.
type Move struct {
	Do     events.Verb   `json:"do"`
	Reason events.Reason `json:"reason"`
	Nodes  []string      `json:"nodes"`
}

// Compare holds two rollouts against each other.
func Compare(ctx context.Context, a, b Side) (*Comparison, error) {
	c := &Comparison{A: a.bare(), B: b.bare(), Differs: []string{}, Waves: []WavePair{}}
	c.Slowest.A, c.Slowest.B = append([]Reached{}, a.Rollout.Slowest()...), append([]Reached{}, b.Rollout.Slowest()...)
	for i := range max(len(a.Waves), len(b.Waves)) {
		c.Waves = append(c.Waves, WavePair{i + 1, a.stretch(i), b.stretch(i)})
	}
	x, err := a.decisions(ctx)
	if err != nil {
		return nil, err
	}
	y, err := b.decisions(ctx)
	if err != nil {
		return nil, err
	}
	if i := Departed(x, y, sameChoice); i >= 0 {
		c.First = &Departure{choiceAt(x, i), choiceAt(y, i)}
	}
	c.differ(a, b)
	return c, nil
}

// differ notes what is not the same in both.
func (c *Comparison) differ(a, b Side) {
	note := func(what string, differs bool) {
		if differs {
			c.Differs = append(c.Differs, what)
		}
	}
	note("state", a.Ending != b.Ending)
	note("nodes", a.Nodes != b.Nodes)
	note("waves", !slices.EqualFunc(a.Waves, b.Waves, func(x, y *Wave) bool { return slices.Equal(x.Nodes, y.Nodes) }))
	note("pods restarted", a.Restarted != b.Restarted)
	note("peak unavailable", a.PeakUnavailable != b.PeakUnavailable)
	note("failures", a.Failures != b.Failures)
	note("decisions", c.First != nil)
}

func (s Side) bare() *Rollout {
	r := *s.Rollout
	r.Waves = nil
	return &r
}

// stretch returns a wave by its place; nil: there is none.
func (s Side) stretch(i int) *Stretch {
	if i >= len(s.Waves) {
		return nil
	}
	w := s.Waves[i]
	x := &Stretch{Wave: w, Offset: w.Time.Sub(s.Start.Time)}
	if w.Done.Seq > 0 {
		took := w.Done.Time.Sub(w.Time)
		x.Took = &took
	}
	return x
}

// last returns the position of the last event of a rollout, as far as it goes.
func (s Side) last() events.Seq {
	if s.End.Seq > 0 {
		return s.End.Seq
	}
	return s.Span().Last
}

func (s Side) decisions(ctx context.Context) ([]Decided, error) {
	return Decisions(ctx, s.log, s.Start.Seq, s.last(), events.Ref{Kind: events.DaemonSet, Key: s.DaemonSet, UID: s.UID})
}

func sameChoice(a, b *events.Plan) bool {
	return slices.EqualFunc(a.Commands, b.Commands, func(x, y events.Command) bool {
		return x.Do == y.Do && x.Reason == y.Reason && x.Node == y.Node
	})
}

func choiceAt(all []Decided, i int) *Choice {
	if i >= len(all) {
		return nil
	}
	p := &Choice{Point: all[i].Point, Budget: all[i].Rollout}
	for _, c := range all[i].Commands {
		at := slices.IndexFunc(p.Moves, func(m Move) bool { return m.Do == c.Do && m.Reason == c.Reason })
		if at < 0 {
			at = len(p.Moves)
			p.Moves = append(p.Moves, Move{Do: c.Do, Reason: c.Reason})
		}
		p.Moves[at].Nodes = append(p.Moves[at].Nodes, c.Node)
	}
	return p
}
