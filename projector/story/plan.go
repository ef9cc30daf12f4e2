package story

import (
	"fmt"
	"strings"

	"rollcall/events"
)

// verbText is what a command does, in a word.
func verbText(v events.Verb) string {
	return strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(string(v), "Pod"), "Object"))
}

// planText says what was planned, from what, and how the rollout stood then.
func planText(p *events.Plan) string {
	parts := []string{countText(p.Commands), fmt.Sprintf("basis #%d", p.Basis.Seq)}
	if b := p.Rollout; b != (events.Budget{}) {
		s := fmt.Sprintf("%d/%d updated, %d unavailable", b.Updated, b.Desired, b.Unavailable)
		if b.MaxSurge > 0 {
			s += fmt.Sprintf(", %d surging of max %d", b.Surging, b.MaxSurge)
		} else {
			s += fmt.Sprintf(" of max %d", b.MaxUnavailable)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

// countText counts commands by what they do and why, in the order in which
// they first come.
func countText(cs []events.Command) string {
	if len(cs) == 0 {
		return "no commands"
	}
	type group struct {
		do     events.Verb
		reason events.Reason
	}
	var order []group
	count := map[group]int{}
	for _, c := range cs {
		g := group{c.Do, c.Reason}
		if count[g] == 0 {
			order = append(order, g)
		}
		count[g]++
	}
	parts := make([]string, len(order))
	for i, g := range order {
		parts[i] = fmt.Sprintf("%d %s (%s)", count[g], verbText(g.do), g.reason)
	}
	return strings.Join(parts, ", ")
}

// planEntries returns a line for each command and one for what is held back.
func planEntries(head Entry, p *events.Plan) []Entry {
	head.Indent = 1
	es := make([]Entry, 0, len(p.Commands)+1)
	for i, c := range p.Commands {
		e := head
		e.What = OneLine(fmt.Sprintf("[%d] %s: %s", i, commandText(p.Owner, c), c.Reason))
		if c.Kind == events.DaemonSet {
			e.DaemonSet = c.Key
		}
		es = append(es, e)
	}
	if len(p.Held) > 0 {
		head.What = OneLine(heldText(p))
		es = append(es, head)
	}
	return es
}

// commandText says what a command does to which object. The namespace of the
// plan's owner goes without saying.
func commandText(owner events.Ref, c events.Command) string {
	about := c.Ref
	if about.Key.Namespace == owner.Key.Namespace {
		about.Key.Namespace = ""
	}
	s := verbText(c.Do) + " " + Name(about)
	switch {
	case c.Node != "":
		s += " on " + c.Node
	case len(c.Owners) == 1:
		s += " from " + string(c.Owners[0])
	case len(c.Owners) > 1:
		s += fmt.Sprintf(" from %d owners", len(c.Owners))
	}
	return s + inBrackets(c.Finalizer)
}

// heldText says how many nodes wait for what, and names some of them.
func heldText(p *events.Plan) string {
	parts, waits := make([]string, len(p.Held)), p.Waits()
	for i, h := range p.Held {
		var names []string
		for _, w := range waits {
			if w.For != h.For {
				continue
			}
			name := w.Node
			if !w.Until.IsZero() {
				name += " until " + w.Until.UTC().Format("15:04:05Z")
			}
			names = append(names, name)
		}
		if len(names) > 0 && len(names) < h.Nodes {
			names = append(names, "…")
		}
		parts[i] = fmt.Sprintf("%d %s%s", h.Nodes, h.For, inBrackets(strings.Join(names, ", ")))
	}
	return "held: " + strings.Join(parts, ", ")
}

// outcomeText says how a command ended that no fact answers.
func outcomeText(typ events.Type, o events.Outcome) string {
	end := "failed"
	if typ == events.Overtaken {
		end = "overtaken"
	}
	s := commandText(o.Owner, o.Command) + " " + end + ": " + o.Reason
	if o.Message != "" {
		s += ": " + o.Message
	}
	return s
}
