package replay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/projector/story"
)

// Explanation is the answer to why something is so: one step comes from the
// next, and the last from outside.
type Explanation struct {
	Object string        `json:"object"` // "pod/logging/agent-x"
	Field  string        `json:"field,omitempty"`
	Is     string        `json:"is"`                // "deleted", "created", "changed"
	Lived  time.Duration `json:"livedNs,omitempty"` // of an object that is gone
	Steps  []Step        `json:"steps"`
	// Known reports whether the last step is told by somebody outside. If not,
	// what it comes from is not in the log.
	Known bool `json:"known"`
	// More is how many steps more there are, of an explanation that was cut.
	More int `json:"more,omitempty"`
	// Containers are those of a pod that have failed, or were started again.
	Containers []Exit `json:"containers,omitempty"`
	// Notes are about what the steps are about; nil: there are none.
	Notes *Notes `json:"notes,omitempty"`
}

// Cut leaves only so many steps; 0: all.
func (x *Explanation) Cut(depth int) {
	if depth > 0 && len(x.Steps) > depth {
		x.Steps, x.More = x.Steps[:depth], len(x.Steps)-depth
	}
}

// Step is one link of an explanation with what the log says of it.
type Step struct {
	Seq      events.Seq  `json:"seq"`
	Before   bool        `json:"before,omitempty"`   // the log begins after it, so that no more is known; Seq is its position, or a later one
	Decision *Decision   `json:"decision,omitempty"` // nil: the step is the event itself
	Time     time.Time   `json:"time"`
	Type     events.Type `json:"type"`
	Object   string      `json:"object,omitempty"`
	What     string      `json:"what"`
	Source   string      `json:"source,omitempty"`
	Actor    string      `json:"actor,omitempty"`
	Verb     string      `json:"verb,omitempty"`
	Manager  string      `json:"manager,omitempty"`
	Told     *Telling    `json:"told,omitempty"` // nil: nobody outside told it

	about events.Ref
}

// Decision is a command with what it was decided from.
type Decision struct {
	Index     int                `json:"index"`
	Command   events.Command     `json:"command"`
	Rule      string             `json:"rule"`
	Basis     events.Basis       `json:"basis"`
	Rollout   events.Budget      `json:"rollout,omitzero"`
	Commands  int                `json:"commands"` // of the plan
	NotChosen []events.WaitCount `json:"notChosen,omitempty"`
	Waiting   []events.Wait      `json:"waiting,omitempty"` // of those the first, by node
	Held      *Held              `json:"held,omitempty"`    // nil: it was planned as soon as it was called for

	owner events.Ref // of the plan
}

// rules says of each reason when it holds.
var rules = map[events.Reason]string{
	events.Missing:     "the node should run a pod and has none",
	events.FailedPod:   "the pod has failed",
	events.Succeeded:   "the pod has ended",
	events.Duplicate:   "another pod of the DaemonSet serves the node",
	events.NotWanted:   "the node may not keep the pod",
	events.Rollout:     "the pod has an old revision",
	events.Surge:       "the pod there has an old revision; a new one comes beside it",
	events.SurgeDone:   "the new pod beside it took over, or it was not ready",
	events.OwnerGone:   "its owner was deleted",
	events.NodeGone:    "its node is not there",
	events.Suspended:   "the DaemonSet is suspended",
	events.Selected:    "the selector matches the pod, which has no owner",
	events.NotSelected: "the selector does not match the pod any more",

	events.OwnerDeleting: "an owner waits for what it owns to be gone",
	events.Orphaned:      "an owner is deleted and leaves what it owns",
	events.Collected:     "what the finalizer waits for has happened",
}

// Subject is what is to be explained: an object, or one field of it.
type Subject struct {
	Kind  events.Kind
	Key   events.Key
	Field string // "spec.template.spec.containers[agent].image"; empty: the object
}

// Why explains how a subject came to be as it is at the end of the causes. It is
// the last end, the deletion under way or the creation of a pod; of another object
// the last fact that the controller did not write; of a field its last change.
func (h *History) Why(ctx context.Context, cs *Causes, about Subject) (*Explanation, error) {
	return h.why(ctx, cs, about, func(events.Seq) (*Causes, error) { return cs, nil })
}

// why is Why by causes that know of the object, and those of the event that is to be
// explained.
func (h *History) why(ctx context.Context, facts *Causes, about Subject, causes func(events.Seq) (*Causes, error)) (*Explanation, error) {
	l := facts.objects[place{about.Kind, about.Key}]
	if l == nil {
		return nil, notFound(about)
	}
	x := &Explanation{Object: story.Name(events.Ref{Kind: about.Kind, Key: about.Key}), Field: about.Field}
	seq, err := h.subject(ctx, facts, l, about, x)
	if err != nil {
		return nil, err
	}
	if l.gone && !facts.before(l.facts[l.born]) {
		first, err := h.Event(ctx, l.facts[l.born])
		if err != nil {
			return nil, err
		}
		last, err := h.Event(ctx, l.facts[len(l.facts)-1])
		if err != nil {
			return nil, err
		}
		x.Lived = last.Stored.Sub(first.Stored)
	}
	if about.Kind == events.Pod && about.Field == "" {
		if x.Containers, err = h.exits(ctx, facts, l); err != nil {
			return nil, err
		}
	}
	cs, err := causes(seq)
	if err != nil {
		return nil, err
	}
	if err := h.explain(ctx, cs, eventLink(seq), x); err != nil {
		return nil, err
	}
	if x.Notes, err = h.beside(ctx, facts, x.Steps); err != nil {
		return nil, err
	}
	return x, h.held(ctx, cs, x.Steps)
}

func notFound(about Subject) error {
	return &events.Error{Code: "E-REPLAY-OBJECT", What: fmt.Sprintf("the log tells of no %s %s up to there", about.Kind, about.Key), Exit: events.ExitInput}
}

// subject returns the event that is to be explained.
func (h *History) subject(ctx context.Context, cs *Causes, l *life, about Subject, x *Explanation) (events.Seq, error) {
	last := l.facts[len(l.facts)-1]
	switch ending := cs.ending[l.uid]; {
	case about.Field != "":
		x.Is = "changed"
		return h.changed(ctx, cs, l, about)
	case l.gone:
		x.Is = "deleted"
		return last, nil
	case !ending.IsZero():
		x.Is = "being deleted"
		return ending.Seq, nil
	case about.Kind == events.Pod:
		x.Is = "created"
		return l.facts[l.born], nil
	case l.told > 0:
		last = l.told
	}
	if x.Is = "changed"; last == l.facts[l.born] {
		x.Is = "created"
	}
	return last, nil
}

// changed returns the last fact that changed a field of an object.
func (h *History) changed(ctx context.Context, cs *Causes, l *life, about Subject) (events.Seq, error) {
	var next events.Object // as of the fact after
	for i := len(l.facts) - 1; i >= l.born; i-- {
		was := cs.kept[place{about.Kind, about.Key}]
		if !cs.before(l.facts[i]) {
			e, err := h.Event(ctx, l.facts[i])
			if err != nil {
				return 0, err
			}
			was, _ = e.Body.(events.Object)
		}
		if next.Data != nil && len(story.FieldsIn(was, next, about.Field)) > 0 {
			return l.facts[i+1], nil
		}
		next = was
	}
	if next.Data != nil && len(story.FieldsIn(events.Object{Ref: next.Ref}, next, about.Field)) > 0 {
		return l.facts[l.born], nil
	}
	return 0, &events.Error{Code: "E-REPLAY-FIELD", What: fmt.Sprintf("%s %s has never had a field %s", about.Kind, about.Key, about.Field),
		Do: "write it as kubectl get -o yaml has it, with the names of list elements in brackets, such as spec.template.spec.containers[agent].image", Exit: events.ExitInput}
}

// explain fills in the steps from a link on.
func (h *History) explain(ctx context.Context, cs *Causes, l Link, x *Explanation) (err error) {
	if x.Steps, err = h.steps(ctx, cs, cs.Chain(l)); err != nil {
		return err
	}
	last := &x.Steps[len(x.Steps)-1]
	x.Known = !last.Before && last.Decision == nil && last.Source != controller.Source && !slices.Contains([]events.Type{events.Planned, events.GCPlanned}, last.Type)
	return nil
}

// steps says what the log says of links.
func (h *History) steps(ctx context.Context, cs *Causes, links []Link) ([]Step, error) {
	var seqs []events.Seq
	for _, l := range links {
		if !cs.before(l.Seq) {
			seqs = append(seqs, l.Seq)
		}
	}
	at, err := h.events(ctx, seqs)
	if err != nil {
		return nil, err
	}
	seqs = seqs[:0]
	for _, l := range links {
		if seq, ok := cs.factBefore(at[l.Seq]); ok && !cs.before(seq) {
			seqs = append(seqs, seq)
		}
	}
	before, err := h.events(ctx, seqs)
	if err != nil {
		return nil, err
	}
	steps := make([]Step, len(links))
	for i, l := range links {
		if cs.before(l.Seq) {
			steps[i] = Step{Seq: l.Seq, Before: true, What: fmt.Sprintf("before this log begins at #%d", cs.first)}
			continue
		}
		e := at[l.Seq]
		seq, ok := cs.factBefore(e)
		was := before[seq]
		if r := events.RefOf(e); ok && cs.before(seq) {
			was.Body = cs.kept[place{r.Kind, r.Key}]
		}
		if b, ok := cs.passed[e.Seq]; ok {
			e.Body = b
		}
		steps[i] = stepOf(l, e, was)
	}
	return steps, nil
}

// stepOf says what there is to say about a link to an event; was is the fact
// about its object before.
func stepOf(l Link, e, was events.Event) Step {
	t := story.New()
	t.Observe(was)
	told := t.Tell(e)
	s := Step{Seq: e.Seq, Time: e.Stored, Type: e.Type, Object: told[0].Object, What: told[0].What,
		Source: e.Source, Actor: e.Actor, Verb: e.Verb, Manager: e.Manager, Told: tellingOf(e), about: events.RefOf(e)}
	cause, one := l.Command()
	p, ok := e.Body.(*events.Plan)
	if !one || !ok || cause.Index >= len(p.Commands) {
		return s // an event may claim a command that was never planned
	}
	c := p.Commands[cause.Index]
	_, s.What, _ = strings.Cut(told[1+cause.Index].What, "] ")
	s.Decision = &Decision{Index: cause.Index, Command: c, Rule: rules[c.Reason], Basis: p.Basis, Rollout: p.Rollout,
		Commands: len(p.Commands), NotChosen: p.Held, Waiting: p.Waits(), owner: p.Owner}
	return s
}

// Step tells of the event at a position, as a change of what was before.
func (h *History) Step(ctx context.Context, seq events.Seq) (Step, error) {
	e, err := h.Event(ctx, seq)
	if err != nil {
		return Step{}, err
	}
	s, err := h.At(ctx, seq-1)
	if err != nil {
		return Step{}, err
	}
	var was events.Event
	r := events.RefOf(e)
	if o, last, ok := s.Object(r.Kind, r.Key); ok {
		was = events.Event{Seq: last, Type: events.ObjectType(r.Kind, events.VerbUpdated), Body: o}
	}
	return stepOf(eventLink(seq), e, was), nil
}

// step says what the log says of one link.
func (h *History) step(ctx context.Context, cs *Causes, l Link) (Step, error) {
	steps, err := h.steps(ctx, cs, []Link{l})
	if err != nil {
		return Step{}, err
	}
	return steps[0], nil
}

// factBefore returns the fact about the object of e before it.
func (c *Causes) factBefore(e events.Event) (events.Seq, bool) {
	r := events.RefOf(e)
	l := c.objects[place{r.Kind, r.Key}]
	if l == nil {
		return 0, false
	}
	i, _ := slices.BinarySearch(l.facts, e.Seq)
	if i == 0 {
		return 0, false
	}
	return l.facts[i-1], true
}
