package replay

import (
	"context"
	"maps"
	"slices"
	"time"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
	"rollcall/projector/story"
)

// WhyNot is the answer to why a node, or a whole DaemonSet, is not as it should
// be: what holds it back, in the order in which the rules were asked.
type WhyNot struct {
	DaemonSet string           `json:"daemonSet"`      // "ds/logging/agent"
	Node      string           `json:"node,omitempty"` // empty: all nodes
	Blockers  []Blocker        `json:"blockers"`
	Due       []events.Command `json:"due,omitempty"`     // what nothing holds back
	Unready   []Unready        `json:"unready,omitempty"` // pods that nothing holds back, and that are not ready
	Since     *Step            `json:"since,omitempty"`   // without any of these: since when it has been as it should be
}

// Blocker is a rule with all the nodes that it holds back.
type Blocker struct {
	Rule    controller.Rule `json:"rule"`
	Says    string          `json:"says,omitempty"`
	Nodes   []string        `json:"nodes,omitempty"` // empty: all
	Until   time.Time       `json:"until,omitzero"`  // of the first node when it passes by itself
	Used    int             `json:"used,omitempty"`
	Limit   int             `json:"limit,omitempty"`
	Holders []Holder        `json:"holders,omitempty"` // who uses what is waited for
	Since   *Step           `json:"since,omitempty"`   // the event after which it held, and before which it did not
	From    *Step           `json:"from,omitempty"`    // what that event comes from in the end; nil: from outside
	Placed  *Step           `json:"placed,omitempty"`  // of a hold: the event that placed it

	placed events.Seq // of Placed; 0: it is no hold
}

// Holder is a node, and the pod on it, that somebody else waits for.
type Holder struct {
	Node string `json:"node"`
	Pod  string `json:"pod,omitempty"`
	Last *Step  `json:"last,omitempty"` // the last fact about the pod

	seq events.Seq // of Last
}

// blocking asks what holds back a DaemonSet on a node, or on all.
type blocking struct {
	of   events.Key
	node string // empty: all
}

// mark names a blocker from one position to the next. The zero mark is that
// there is none and nothing is left to do.
type mark struct {
	rule controller.Rule
	says string
}

// ask returns the blockers in a state, the commands that nothing holds back, and
// when the answer changes though nothing happens; zero: it does not.
func (b blocking) ask(s *projector.State, now time.Time) (bs []Blocker, due []events.Command, again time.Time) {
	r, t := controller.Explain(s, b.of, now)
	for _, x := range t.Blockers {
		if b.node != "" && x.Node != "" && x.Node != b.node {
			continue
		}
		i := slices.IndexFunc(bs, func(o Blocker) bool { return o.mark() == mark{x.Rule, x.Says} })
		if i < 0 {
			i = len(bs)
			bs = append(bs, Blocker{Rule: x.Rule, Says: x.Says, Until: x.Until, Used: x.Used, Limit: x.Limit, placed: x.Placed})
		}
		if x.Node != "" {
			bs[i].Nodes = append(bs[i].Nodes, x.Node)
		}
		if !x.Until.IsZero() && x.Until.Before(bs[i].Until) {
			bs[i].Until = x.Until
		}
		bs[i].hold(x.Holders)
	}
	if r.Plan != nil {
		for _, c := range r.Plan.Commands {
			if b.about(c) {
				due = append(due, c)
			}
		}
	}
	return bs, due, r.RequeueAt
}

func (b Blocker) mark() mark { return mark{b.Rule, b.Says} }

// hold adds holders that are not known yet. Those of the budget are the same for
// every node.
func (b *Blocker) hold(hs []controller.Holder) {
	if b.Rule == controller.Rule(events.HeldBudget) && b.Holders != nil {
		return
	}
	for _, h := range hs {
		b.Holders = append(b.Holders, holder(h.Node, h.Pod, h.Seq))
	}
}

func holder(node string, pod events.Key, last events.Seq) Holder {
	h := Holder{Node: node, seq: last}
	if pod != (events.Key{}) {
		h.Pod = story.Name(events.Ref{Kind: events.Pod, Key: pod})
	}
	return h
}

// about reports whether a command is one that is asked about.
func (b blocking) about(c events.Command) bool { return b.node == "" || c.Node == b.node }

// WhyNot says what holds back a DaemonSet at a moment, on one node or, if that is
// empty, on all.
func (h *History) WhyNot(ctx context.Context, at Moment, of events.Ref, node string) (*WhyNot, error) {
	s, err := h.At(ctx, at.Seq)
	if err != nil {
		return nil, err
	}
	now := at.Now
	if s.Time().After(now) {
		now = s.Time()
	}
	b := blocking{of.Key, node}
	x := &WhyNot{DaemonSet: story.Name(of), Node: node}
	x.Blockers, x.Due, _ = b.ask(s, now)
	x.Blockers = append([]Blocker{}, x.Blockers...)
	x.Unready = b.unready(s)
	var want []mark
	for _, k := range x.Blockers {
		want = append(want, k.mark())
	}
	if len(x.Blockers) == 0 && len(x.Due) == 0 && len(x.Unready) == 0 {
		want = []mark{{}}
	}
	begun, err := h.begun(ctx, b, at.Seq, want)
	if err != nil {
		return nil, err
	}
	cs, err := h.behindAll(ctx, x, begun)
	if err != nil {
		return nil, err
	}
	if err := h.accountUnready(ctx, cs, x.Unready); err != nil {
		return nil, err
	}
	if x.Since, err = h.stepAt(ctx, cs, begun[mark{}]); err != nil {
		return nil, err
	}
	for i := range x.Blockers {
		if err := h.account(ctx, cs, &x.Blockers[i], begun); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// behindAll returns the causes that tell of all that holds back, and since when.
func (h *History) behindAll(ctx context.Context, x *WhyNot, begun map[mark]events.Seq) (behind, error) {
	chains := slices.Collect(maps.Values(begun)) // in no order: all of them have to be known
	seqs := slices.Clone(chains)
	take := func(hs []Holder) {
		for _, x := range hs {
			seqs = append(seqs, x.seq)
		}
	}
	for _, b := range x.Blockers {
		seqs = append(seqs, b.placed)
		take(b.Holders)
	}
	for _, u := range x.Unready {
		take(u.Pods)
	}
	return h.behind(ctx, seqs, chains)
}

// WhyNots is WhyNot of some DaemonSets, one after the other.
func (h *History) WhyNots(ctx context.Context, at Moment, of []events.Ref, node string) ([]*WhyNot, error) {
	all := []*WhyNot{}
	for _, ref := range of {
		why, err := h.WhyNot(ctx, at, ref, node)
		if err != nil {
			return nil, err
		}
		all = append(all, why)
	}
	return all, nil
}

// account fills in the steps of a blocker.
func (h *History) account(ctx context.Context, cs behind, b *Blocker, begun map[mark]events.Seq) (err error) {
	seq := begun[b.mark()]
	if b.Since, err = h.stepAt(ctx, cs, seq); err != nil {
		return err
	}
	if seq > 0 {
		chain := cs.of(seq).Chain(eventLink(seq))
		if end := chain[len(chain)-1]; len(chain) > 1 {
			from, err := h.step(ctx, cs.of(seq), end)
			if err != nil {
				return err
			}
			b.From = &from
		}
	}
	if b.Placed, err = h.stepAt(ctx, cs, b.placed); err != nil {
		return err
	}
	return h.lastFacts(ctx, cs, b.Holders)
}

// lastFacts fills in the last facts about the pods of holders.
func (h *History) lastFacts(ctx context.Context, cs behind, hs []Holder) (err error) {
	for i := range hs {
		if hs[i].Last, err = h.stepAt(ctx, cs, hs[i].seq); err != nil {
			return err
		}
	}
	return nil
}

// stepAt returns the event at a position as a step; nil for 0.
func (h *History) stepAt(ctx context.Context, cs behind, seq events.Seq) (*Step, error) {
	if seq == 0 {
		return nil, nil
	}
	s, err := h.step(ctx, cs.of(seq), eventLink(seq))
	return &s, err
}

// Asked returns the DaemonSets that are asked about with an object, and the node
// in question: of a node every DaemonSet; of a pod its own.
func Asked(s *projector.State, about Subject) (of []events.Ref, node string, err error) {
	switch about.Kind {
	case events.DaemonSet:
		if ds := s.DaemonSet(about.Key); ds != nil {
			return []events.Ref{ds.Ref()}, "", nil
		}
	case events.Node:
		if s.Node(about.Key.Name) == nil {
			break
		}
		for _, ds := range s.AllSets() {
			if !ds.Deleted {
				of = append(of, ds.Ref())
			}
		}
		return of, about.Key.Name, nil
	case events.Pod:
		pod := s.Pod(about.Key)
		if pod == nil {
			break
		}
		if i := slices.IndexFunc(s.AllSets(), func(ds *sets.DaemonSet) bool { return ds.UID == pod.OwnerUID }); i >= 0 {
			return []events.Ref{s.AllSets()[i].Ref()}, pod.Node, nil
		}
		return nil, "", &events.Error{Code: "E-REPLAY-OBJECT", What: "pod " + about.Key.String() + " belongs to no DaemonSet", Do: "see rollcall why pod/" + about.Key.Name, Exit: events.ExitInput}
	default:
		return nil, "", &events.Error{Code: "E-CLI-NAME", What: "why-not is about a node, a pod or a DaemonSet, not a " + string(about.Kind), Do: "see rollcall why-not --help", Exit: events.ExitInput}
	}
	return nil, "", notFound(about)
}
