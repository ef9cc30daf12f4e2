package page

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/seal"
	"rollcall/events/wire"
	"rollcall/projector"
	"rollcall/projector/story"
)

// Bounds of answers.
const (
	maxSteps   = 500 // events in one answer
	maxLife    = 200 // facts about one object
	maxEffects = 50  // effects of one event that are told one by one

	maxFollowed = 50_000 // events after one, up to which its effects are followed
	maxBuckets  = 4000
	maxRuns     = 100
)

func rollouts(q *query) (_ string, _ any, err error) {
	var all []*replay.Rollout
	if q.FormValue("beside") != "" {
		all, err = q.besides(nil)
	} else {
		all, err = q.rollouts()
	}
	if all == nil {
		all = []*replay.Rollout{}
	}
	return "Rollouts", all, err
}

// steps are the events after a position, or the last before one.
func steps(q *query) (string, any, error) {
	limit, err := q.number("limit", 100, 1, maxSteps)
	if err != nil {
		return "", nil, err
	}
	after, err := q.number("after", 0, 0, 1<<53)
	if err != nil {
		return "", nil, err
	}
	f := story.Filter{Types: q.Form["type"]}
	if q.FormValue("ds") != "" {
		if f.DaemonSet, err = q.daemonSet(); err != nil {
			return "", nil, err
		}
	}
	from := max(events.Seq(after), q.h.Span().First-1)
	if from >= q.at.Seq {
		return "Events", []replay.Step{}, nil
	}
	tell := q.h.Steps
	if q.page.Live && q.h.Span().Last-from <= replay.MaxRecent {
		tell = q.recentSteps
	}
	all, looked, err := tell(q.Context(), f, from, q.at.Seq, limit)
	q.head.Set("Rollcall-Looked", strconv.FormatUint(uint64(looked), 10))
	return "Events", all, err
}

// recentSteps are steps near the end of a log that goes on. Where pages follow it they
// are told from what the end has folded, and what had to be folded for them is kept
// there: who looks at the end again and again has no state made for it.
func (q *query) recentSteps(ctx context.Context, f story.Filter, after, to events.Seq, limit int) (all []replay.Step, looked events.Seq, err error) {
	q.now = false // what is asked about stands
	known := false
	if err := q.atTail(func(t *tail) { all, looked, known = t.recent.Steps(f, after, to, limit) }); known || err != nil {
		return all, looked, err
	}
	x := &replay.Recent{}
	err = q.h.Walk(ctx, after, to, replay.Visit{
		Before: func(s *projector.State, e events.Event) error {
			x.Before(s, e)
			return nil
		},
		After: func(_ *projector.State, e events.Event) error {
			x.After(e)
			return nil
		},
	})
	if err != nil {
		return nil, 0, err
	}
	all, looked, _ = x.Steps(f, after, to, limit)
	return all, looked, q.atTail(func(t *tail) { t.recent.Join(x, q.end.state.Seq()) })
}

// told is one event, before and after, with what it comes from and led to.
func told(q *query) (string, any, error) {
	x, err := q.h.Tell(q.Context(), q.at.Seq, min(q.h.Span().Last, q.at.Seq+maxFollowed), maxEffects)
	return "Event", []*replay.Told{x}, err
}

// thing is an object at an instant, and its life up to there.
type thing struct {
	Object string        `json:"object"`
	Exists bool          `json:"exists"`
	YAML   string        `json:"yaml,omitempty"` // values of Secrets are what everybody may see
	Life   []replay.Step `json:"life"`
	Older  int           `json:"older,omitempty"` // facts that are left out
}

func object(q *query) (string, any, error) {
	about, err := q.subject("of")
	if err != nil {
		return "", nil, err
	}
	x := thing{Object: story.Name(events.Ref{Kind: about.Kind, Key: about.Key})}
	s, err := q.state()
	if err != nil {
		return "", nil, err
	}
	o, _, there := s.Object(about.Kind, about.Key)
	q.letGo()
	if x.Life, x.Older, err = q.h.Life(q.Context(), q.at.Seq, about, maxLife); err != nil {
		return "", nil, err
	}
	if x.Exists = there; !there {
		return "Object", []thing{x}, nil
	}
	j, err := wire.ToJSON(seal.Hidden(o).Data)
	if err != nil {
		return "", nil, err
	}
	y, err := yaml.JSONToYAML(j)
	x.YAML = string(y)
	return "Object", []thing{x}, err
}

// maxNames bounds the names that are listed of a kind.
const maxNames = 2000

// names lists the objects of a kind, to choose from.
func names(q *query) (string, any, error) {
	s, err := q.state()
	if err != nil {
		return "", nil, err
	}
	all := []string{}
	for _, k := range s.Kinds() {
		if want := q.FormValue("kind"); want != "" && !strings.EqualFold(want, string(k)) {
			continue
		}
		for _, o := range s.List(k, "") {
			if len(all) < maxNames {
				all = append(all, story.Name(events.Ref{Kind: k, Key: o.Key}))
			}
		}
	}
	return "Names", all, nil
}

func why(q *query) (string, any, error) {
	about, err := q.subject("of")
	if err != nil {
		return "", nil, err
	}
	x, err := q.h.WhyAt(q.Context(), q.at.Seq, about)
	return "Why", []*replay.Explanation{x}, err
}

func whyNot(q *query) (string, any, error) {
	about, err := q.subject("of")
	if err != nil {
		return "", nil, err
	}
	s, err := q.state()
	if err != nil {
		return "", nil, err
	}
	of, node, err := replay.Asked(s, about)
	q.letGo()
	if err != nil {
		return "", nil, err
	}
	all, err := q.h.WhyNots(q.Context(), q.at, of, node)
	return "WhyNot", all, err
}

// diff compares the instants from and at.
func diff(q *query) (string, any, error) {
	if q.FormValue("from") == "" {
		return "", nil, refused("from is missing", "give the instant with which at is compared")
	}
	from, err := q.moment("from")
	if err != nil {
		return "", nil, err
	}
	a, b := min(from.Seq, q.at.Seq), max(from.Seq, q.at.Seq)
	d, err := q.h.Diff(q.Context(), a, b, replay.Filter{})
	return "Diff", []*replay.Diff{d}, err
}

func density(q *query) (string, any, error) {
	n, err := q.number("buckets", 400, 1, maxBuckets)
	if err != nil {
		return "", nil, err
	}
	from, to := q.h.Span().First, q.h.Span().Last
	for name, into := range map[string]*events.Seq{"from": &from, "to": &to} {
		if q.FormValue(name) == "" {
			continue
		}
		m, err := q.moment(name)
		if err != nil {
			return "", nil, err
		}
		*into = m.Seq
	}
	if from > to {
		from, to = to, from
	}
	axis, err := q.choice("axis", "time")
	if err != nil {
		return "", nil, err
	}
	return "Density", []*histogram{q.index.density(from, to, n, axis == "time")}, nil
}

// besides returns the rollouts of the recording beside, and has its history used.
func (q *query) besides(use func(*replay.History, []*replay.Rollout) error) (all []*replay.Rollout, err error) {
	r := q.page.beside
	if r == nil {
		return nil, refused("there is no recording beside", "give one with rollcall ui --beside FILE")
	}
	err = r.take(q.Context(), func() (err error) {
		if all, err = r.course.read(q.Context(), r.h); err == nil && use != nil {
			err = use(r.h, all)
		}
		r.course.Rest()
		return err
	})
	return all, err
}

// sideOf finds the rollout that a parameter names.
func (q *query) sideOf(name string, h *replay.History, all []*replay.Rollout) (replay.Side, error) {
	of, revision, ok := replay.ParseRollout(strings.TrimPrefix(q.FormValue(name), "rollout/"), "default")
	found, do := replay.FindRollout(all, of, revision)
	if !ok || found == nil {
		return replay.Side{}, &events.Error{Code: "E-CLI-NAME", What: fmt.Sprintf("%q names no rollout", q.FormValue(name)), Do: do, Exit: events.ExitInput}
	}
	return replay.Side{History: h, Rollout: found}, nil
}

// compare holds two rollouts against each other: both of the log, or the second of
// the recording beside.
func compare(q *query) (_ string, _ any, err error) {
	all, err := q.courseToEnd()
	if err != nil {
		return "", nil, err
	}
	a, err := q.sideOf("a", q.h, all)
	if err != nil {
		return "", nil, err
	}
	var c *replay.Comparison
	with := func(h *replay.History, all []*replay.Rollout) error {
		b, err := q.sideOf("b", h, all)
		if err == nil {
			c, err = replay.Compare(q.Context(), a, b)
		}
		return err
	}
	if q.FormValue("beside") != "" {
		_, err = q.besides(with)
	} else {
		err = with(q.h, all)
	}
	return "RolloutComparison", []*replay.Comparison{c}, err
}

// saidBy says what others have told the log, what of it nobody believes, and what
// the gate has refused.
type saidBy struct {
	Quarantined int                     `json:"quarantined"`
	Rejected    []projector.Quarantined `json:"rejected"` // the last of them
	Told        []replay.Step           `json:"told"`     // the last notes and holds
	Gate        bool                    `json:"gate"`     // it can be asked
	Refused     []Refused               `json:"refused"`
}

func sources(q *query) (string, any, error) {
	s, err := q.state()
	if err != nil {
		return "", nil, err
	}
	x := saidBy{Rejected: []projector.Quarantined{}, Told: []replay.Step{}, Refused: []Refused{}, Gate: q.page.Refused != nil}
	n, last := s.Quarantined()
	x.Quarantined = n
	x.Rejected = append(x.Rejected, last...)
	q.letGo()
	told := slices.DeleteFunc(slices.Clone(q.index.told), func(seq events.Seq) bool { return seq > q.at.Seq })
	for _, seq := range told[max(0, len(told)-maxEffects):] {
		step, err := q.h.Step(q.Context(), seq)
		if err != nil {
			return "", nil, err
		}
		x.Told = append(x.Told, step)
	}
	if x.Gate {
		refused, err := q.page.Refused(q.Context())
		if err != nil {
			return "", nil, err
		}
		x.Refused = append(x.Refused, refused...)
	}
	return "Sources", []saidBy{x}, nil
}

// healthSaid is what the page says of the log and of itself.
type healthSaid struct {
	Log         []Fact `json:"log"`    // of the log and what is kept beside it
	Hash        string `json:"sha256"` // of the state
	Chain       string `json:"chain"`  // hash over all events up to there
	Quarantined int    `json:"quarantined"`
	Streams     int    `json:"streams"` // pages that follow the log
}

func health(q *query) (string, any, error) {
	s, err := q.state()
	if err != nil {
		return "", nil, err
	}
	x := healthSaid{Log: []Fact{}, Streams: q.page.live.readers()}
	if x.Hash, err = replay.StateHash(s); err != nil {
		return "", nil, err
	}
	x.Chain = fmt.Sprintf("%x", s.Position().Chain)
	x.Quarantined, _ = s.Quarantined()
	q.letGo()
	if q.past.Facts != nil {
		facts, err := q.past.Facts(q.Context())
		if err != nil {
			return "", nil, err
		}
		x.Log = append(x.Log, facts...)
	}
	return "Health", []healthSaid{x}, nil
}

// nearPlan is the decision before a position or after it.
func nearPlan(q *query) (string, any, error) {
	return q.near(q.index.plans)
}

// nearWave is the wave before a position or after it.
func nearWave(q *query) (string, any, error) {
	var all []events.Seq
	rolls, err := q.courseToEnd()
	if err != nil {
		return "", nil, err
	}
	for _, r := range rolls {
		for _, w := range r.Waves {
			all = append(all, w.Seq)
		}
	}
	slices.Sort(all)
	return q.near(all)
}

// near is the position among others, in order, before one or after it; else itself.
func (q *query) near(all []events.Seq) (string, any, error) {
	way, err := q.choice("way", "on", "back")
	if err != nil {
		return "", nil, err
	}
	i, there := slices.BinarySearch(all, q.at.Seq)
	if way == "back" {
		i--
	} else if there {
		i++
	}
	seq := q.at.Seq
	if i >= 0 && i < len(all) {
		seq = all[i]
	}
	return "Near", []map[string]events.Seq{{"seq": seq}}, nil
}
