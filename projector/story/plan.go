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
	commands := countText(len(p.Commands), func(i int) (events.Verb, events.Reason) {
		return p.Commands[i].Do, p.Commands[i].Reason
	})
	parts := []string{commands, fmt.Sprintf("basis #%d", p.Basis.Seq)}
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

// countText counts n commands by what they do and why, in the order in which
// they first come.
func countText(n int, command func(int) (events.Verb, events.Reason)) string {
	if n == 0 {
		return "no commands"
	}
	type group struct {
		do     events.Verb
		reason events.Reason
	}
	var order []group
	count := map[group]int{}
	for i := range n {
		do, reason := command(i)
		g := group{do, reason}
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
	var es []Entry
	add := func(what string) {
		e := head
		e.What = oneLine(what)
		es = append(es, e)
	}
	for i, c := range p.Commands {
		add(fmt.Sprintf("[%d] %s pod/%s on %s: %s", i, verbText(c.Do), c.Pod, c.Node, c.Reason))
	}
	if len(p.Held) > 0 {
		add(heldText(p))
	}
	return es
}

// heldText says how many nodes wait for what, and names some of them.
func heldText(p *events.Plan) string {
	parts := make([]string, len(p.Held))
	for i, h := range p.Held {
		var names []string
		for _, w := range p.Waiting {
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
	c := o.Command
	return howEnded(fmt.Sprintf("%s pod %s on %s", verbText(c.Do), c.Pod, c.Node), typ, o.Reason, o.Message)
}

func howEnded(what string, typ events.Type, reason, message string) string {
	end := "failed"
	if typ == events.Overtaken {
		end = "overtaken"
	}
	s := what + " " + end + ": " + reason
	if message != "" {
		s += ": " + message
	}
	return s
}
