package replay

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"rollcall/events"
)

// Effects are what an event has led to, up to the end of the causes.
type Effects struct {
	Of       Step           `json:"of"`
	Plans    int            `json:"plans"`    // with a command that comes from it
	Commands []CommandCount `json:"commands"` // by what they do, then by reason
	Facts    []FactCount    `json:"facts"`    // by type
	Created  int            `json:"podsCreated"`
	Deleted  int            `json:"podsDeleted"`
	Nodes    int            `json:"nodes"` // about which there were commands
	Last     events.Seq     `json:"last"`  // 0: it has led to nothing
	Until    time.Time      `json:"until,omitzero"`
	Steps    []Step         `json:"steps,omitempty"` // the first of them, by position

	links []Link
}

// CommandCount is how many commands did one thing for one reason.
type CommandCount struct {
	Do     events.Verb   `json:"do"`
	Reason events.Reason `json:"reason"`
	N      int           `json:"n"`
}

// FactCount is how many facts were of one type.
type FactCount struct {
	Type events.Type `json:"type"`
	N    int         `json:"n"`
}

// closure returns what comes from l, directly or by way of others, by position. A
// command has one answer: what names it after that is not believed.
func (c *Causes) closure(l Link) []Link {
	reached := map[Link]bool{l: true}
	var links []Link
	take := func(x, of Link) {
		if reached[of] && !reached[x] {
			reached[x] = true
			links = append(links, x)
		}
	}
	for i := range c.reasons[l.Seq] {
		if _, one := l.Command(); !one {
			take(Link{l.Seq, i}, l) // a plan is all of its commands
		}
	}
	answered := map[Link]bool{}
	for seq := l.Seq + 1; seq <= c.Last(); seq++ {
		of := c.Of(eventLink(seq))
		if _, command := of.Command(); !command || !answered[of] {
			take(eventLink(seq), of)
			if command && reached[of] {
				answered[of] = true
			}
		}
		for i, of := range c.reasons[seq] {
			take(Link{seq, i}, of)
		}
	}
	return links
}

// Effects returns what the event at a position has led to. steps bounds how many
// of its effects are told one by one.
func (h *History) Effects(ctx context.Context, cs *Causes, seq events.Seq, steps int) (*Effects, error) {
	of, err := h.step(ctx, cs, eventLink(seq))
	if err != nil {
		return nil, err
	}
	x := &Effects{Of: of, Commands: []CommandCount{}, Facts: []FactCount{}, links: cs.closure(eventLink(seq))}
	if x.Steps, err = h.steps(ctx, cs, x.links[:min(len(x.links), steps)]); err != nil {
		return nil, err
	}
	return x, h.count(ctx, x)
}

// EffectsOf returns what the event at a position has led to up to another one. Of
// the log it reads what the effects go through.
func (h *History) EffectsOf(ctx context.Context, seq, to events.Seq, steps int) (*Effects, error) {
	cs, err := h.since(ctx, seq, to)
	if err != nil {
		return nil, err
	}
	return h.Effects(ctx, cs, seq, steps)
}

// count reads what the effects are, in one pass.
func (h *History) count(ctx context.Context, x *Effects) error {
	if len(x.links) == 0 {
		return nil
	}
	commands, facts := map[CommandCount]int{}, map[events.Type]int{}
	nodes := map[string]bool{}
	todo := x.links
	for e, err := range h.log.Read(ctx, todo[0].Seq-1) {
		if err != nil {
			return err
		}
		planned := false
		for ; len(todo) > 0 && todo[0].Seq == e.Seq; todo = todo[1:] {
			cause, one := todo[0].Command()
			p, ok := e.Body.(*events.Plan)
			switch {
			case one && ok && cause.Index < len(p.Commands):
				c := p.Commands[cause.Index]
				commands[CommandCount{c.Do, c.Reason, 0}]++
				planned = true
				if c.Node != "" {
					nodes[c.Node] = true
				}
			case !one:
				facts[e.Type]++
			}
			x.Last, x.Until = e.Seq, e.Stored
		}
		if planned {
			x.Plans++
		}
		if len(todo) == 0 {
			break
		}
	}
	x.Created = facts[events.ObjectType(events.Pod, events.VerbCreated)]
	x.Deleted = facts[events.ObjectType(events.Pod, events.VerbDeleted)]
	x.Nodes = len(nodes)
	x.tally(commands, facts)
	return nil
}

func (x *Effects) tally(commands map[CommandCount]int, facts map[events.Type]int) {
	byName := func(a, b CommandCount) int { return cmp.Or(cmp.Compare(a.Do, b.Do), cmp.Compare(a.Reason, b.Reason)) }
	for _, c := range slices.SortedFunc(maps.Keys(commands), byName) {
		x.Commands = append(x.Commands, CommandCount{c.Do, c.Reason, commands[c]})
	}
	for _, t := range slices.Sorted(maps.Keys(facts)) {
		x.Facts = append(x.Facts, FactCount{t, facts[t]})
	}
}
