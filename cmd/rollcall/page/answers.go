package page

import (
	"fmt"
	"net/http"
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

// lane is which reader a question is put to.
type lane int

// The lanes: what stands at an instant, what needs the index of all events, what is
// said of rollouts from the beginning of the log, and what may read much of it. The
// index of a long log takes a while, and the first view does not wait for it.
const (
	instants lane = iota
	places
	courses
	stories
	lanes
)

// question is how one is answered, and where. The answer of a fleeting one may be
// another the next time.
type question struct {
	lane     lane
	do       answer
	fleeting bool
}

// questions are what is answered under /v1/.
var questions = map[string]question{
	"info": {do: info}, "overview": {do: overview}, "events": {do: steps, fleeting: true}, "names": {do: names}, "health": {do: health, fleeting: true}, "instance": {do: instance, fleeting: true},
	"state": {lane: places, do: state}, "nodes": {lane: places, do: nodes}, "deltas": {lane: places, do: deltas}, "density": {lane: places, do: density},
	"sources": {lane: places, do: sources, fleeting: true}, "plan": {lane: places, do: nearPlan},
	"rollouts": {lane: courses, do: rollouts}, "marks": {lane: courses, do: marks}, "rates": {lane: courses, do: rates}, "compare": {lane: courses, do: compare}, "wave": {lane: courses, do: nearWave},
	"object": {lane: stories, do: object}, "event": {lane: stories, do: told}, "why": {lane: stories, do: why}, "why-not": {lane: stories, do: whyNot},
	"diff": {lane: stories, do: diff}, "whatif": {lane: stories, do: whatIf}, "forecast": {lane: stories, do: forecast},
}

// number reads a parameter; absent: the default.
func (q *query) number(name string, def, most int) (int, error) {
	text := q.FormValue(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, &events.Error{Code: "E-UI-VALUE", What: fmt.Sprintf("%s cannot be %q", name, text), Do: fmt.Sprintf("give 0 to %d", most), Exit: events.ExitInput}
	}
	return n, nil
}

// key reads [NAMESPACE/]NAME of a DaemonSet.
func (q *query) key(name string) events.Key {
	text := strings.TrimPrefix(q.FormValue(name), "ds/")
	if before, after, ok := strings.Cut(text, "/"); ok {
		return events.Key{Namespace: before, Name: after}
	}
	return events.Key{Namespace: "default", Name: text}
}

func rollouts(_ http.ResponseWriter, q *query) (_ string, _ any, err error) {
	var all []*replay.Rollout
	if q.FormValue("beside") != "" {
		all, err = q.besides(nil)
	} else {
		all, err = q.rolloutsAt(q.Context(), q.at.Seq)
	}
	if all == nil {
		all = []*replay.Rollout{}
	}
	return "Rollouts", all, err
}

// steps are the events after a position, or the last before one.
func steps(w http.ResponseWriter, q *query) (string, any, error) {
	limit, err := q.number("limit", 100, maxSteps)
	if err != nil {
		return "", nil, err
	}
	after, err := q.number("after", 0, 1<<53)
	if err != nil {
		return "", nil, err
	}
	f := story.Filter{Types: q.Form["type"]}
	if q.FormValue("ds") != "" {
		f.DaemonSet = q.key("ds")
	}
	from := max(events.Seq(after), q.h.Span().First-1)
	if from >= q.at.Seq {
		return "Events", []replay.Step{}, nil
	}
	all, looked, err := q.h.Steps(q.Context(), f, from, q.at.Seq, limit)
	w.Header().Set("Rollcall-Looked", strconv.FormatUint(uint64(looked), 10))
	return "Events", all, err
}

// told is one event, before and after, with what it comes from and led to.
func told(_ http.ResponseWriter, q *query) (string, any, error) {
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

func object(_ http.ResponseWriter, q *query) (string, any, error) {
	about, err := q.subject("of")
	if err != nil {
		return "", nil, err
	}
	x := thing{Object: story.Name(events.Ref{Kind: about.Kind, Key: about.Key})}
	if x.Life, x.Older, err = q.h.Life(q.Context(), q.at.Seq, about, maxLife); err != nil {
		return "", nil, err
	}
	s, err := q.state(q.Context(), q.at.Seq)
	if err != nil {
		return "", nil, err
	}
	o, _, there := s.Object(about.Kind, about.Key)
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
func names(_ http.ResponseWriter, q *query) (string, any, error) {
	s, err := q.state(q.Context(), q.at.Seq)
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

func why(_ http.ResponseWriter, q *query) (string, any, error) {
	about, err := q.subject("of")
	if err != nil {
		return "", nil, err
	}
	x, err := q.h.WhyAt(q.Context(), q.at.Seq, about)
	return "Why", []*replay.Explanation{x}, err
}

func whyNot(_ http.ResponseWriter, q *query) (string, any, error) {
	about, err := q.subject("of")
	if err != nil {
		return "", nil, err
	}
	s, err := q.state(q.Context(), q.at.Seq)
	if err != nil {
		return "", nil, err
	}
	of, node, err := replay.Asked(s, about)
	if err != nil {
		return "", nil, err
	}
	all, err := q.h.WhyNots(q.Context(), q.at, of, node)
	return "WhyNot", all, err
}

// diff compares the instants from and at.
func diff(_ http.ResponseWriter, q *query) (string, any, error) {
	from, err := q.moment("from")
	if err != nil {
		return "", nil, err
	}
	a, b := min(from.Seq, q.at.Seq), max(from.Seq, q.at.Seq)
	d, err := q.h.Diff(q.Context(), a, b, replay.Filter{})
	return "Diff", []*replay.Diff{d}, err
}

func density(_ http.ResponseWriter, q *query) (string, any, error) {
	n, err := q.number("buckets", 400, maxBuckets)
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
	return "Density", []*histogram{q.index.density(from, to, max(n, 1), q.FormValue("axis") == "time")}, nil
}

// besides returns the rollouts of the recording beside, and has its history used.
func (q *query) besides(use func(*replay.History, []*replay.Rollout) error) (all []*replay.Rollout, err error) {
	r := q.page.beside
	if r == nil {
		return nil, &events.Error{Code: "E-UI-VALUE", What: "there is no recording beside", Do: "give one with rollcall ui --beside FILE", Exit: events.ExitInput}
	}
	err = r.take(q.Context(), func() (err error) {
		if all, err = r.rolloutsAt(q.Context(), r.h.Span().Last); err == nil && use != nil {
			err = use(r.h, all)
		}
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
func compare(_ http.ResponseWriter, q *query) (_ string, _ any, err error) {
	all, err := q.rolloutsAt(q.Context(), q.h.Span().Last)
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

func sources(_ http.ResponseWriter, q *query) (string, any, error) {
	s, err := q.state(q.Context(), q.at.Seq)
	if err != nil {
		return "", nil, err
	}
	x := saidBy{Rejected: []projector.Quarantined{}, Told: []replay.Step{}, Refused: []Refused{}, Gate: q.page.Refused != nil}
	n, last := s.Quarantined()
	x.Quarantined = n
	x.Rejected = append(x.Rejected, last...)
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

func health(_ http.ResponseWriter, q *query) (string, any, error) {
	s, err := q.state(q.Context(), q.at.Seq)
	if err != nil {
		return "", nil, err
	}
	x := healthSaid{Log: []Fact{}, Streams: q.page.live.readers()}
	if x.Hash, err = replay.StateHash(s); err != nil {
		return "", nil, err
	}
	x.Chain = fmt.Sprintf("%x", s.Position().Chain)
	x.Quarantined, _ = s.Quarantined()
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
func nearPlan(_ http.ResponseWriter, q *query) (string, any, error) {
	return "Near", near(q, q.index.plans), nil
}

// nearWave is the wave before a position or after it.
func nearWave(_ http.ResponseWriter, q *query) (string, any, error) {
	var all []events.Seq
	rolls, err := q.rolloutsAt(q.Context(), q.h.Span().Last)
	for _, r := range rolls {
		for _, w := range r.Waves {
			all = append(all, w.Seq)
		}
	}
	slices.Sort(all)
	return "Near", near(q, all), err
}

// near is the position among others, in order, before one or after it; else itself.
func near(q *query, all []events.Seq) []map[string]events.Seq {
	i, there := slices.BinarySearch(all, q.at.Seq)
	if q.FormValue("way") == "back" {
		i--
	} else if there {
		i++
	}
	seq := q.at.Seq
	if i >= 0 && i < len(all) {
		seq = all[i]
	}
	return []map[string]events.Seq{{"seq": seq}}
}
