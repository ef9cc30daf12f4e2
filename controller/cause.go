package controller

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/events"
	"rollcall/projector/sets"
)

// Bounds of what a condition says about pods that hold a rollout up.
const (
	maxLooked = 20 // pods that are not ready are looked at, and so many that are on their way out
	maxNamed  = 3  // are named
)

// causes says what keeps a rollout from going on, in the order in which it
// matters; nil: nothing that does not pass by itself. It says the same while
// the same is wrong.
func (d *decider) causes() []string {
	var cs []string
	t := d.troubled()
	if n := d.waitsFor(events.HeldBudget); n > 0 && len(t.broken)+len(t.silent)+len(t.lost) > 0 {
		cs = append(cs, fmt.Sprintf("%d wait for the budget, %s", n, d.used()))
	}
	cs = append(cs, t.broken...)
	if n := len(t.silent); n > 0 {
		cs = append(cs, fmt.Sprintf("%s on nodes that no kubelet has reported from: %s", d.share(n), firstOf(t.silent)))
	}
	if n := len(t.lost); n > 0 {
		cs = append(cs, fmt.Sprintf("%s on nodes that are not ready: %s", d.share(n), firstOf(t.lost)))
	}
	if _, text := d.heldBy(); d.waitsFor(events.HeldHold) > 0 {
		cs = append(cs, text)
	}
	for _, h := range [...]struct {
		why  events.Held
		text string
	}{
		{events.HeldPartition, "held back by " + events.AnnotationPartition},
		{events.HeldCanary, "held back by " + events.AnnotationCanary},
		{events.HeldPredecessor, "wait for pods of a deleted DaemonSet of this name"},
	} {
		if n := d.waitsFor(h.why); n > 0 {
			cs = append(cs, fmt.Sprintf("%d %s", n, h.text))
		}
	}
	return cs
}

// waitsFor returns how many nodes wait for one thing.
func (d *decider) waitsFor(h events.Held) int { return d.held[slices.Index(heldOrder[:], h)] }

// used says how the budget stands.
func (d *decider) used() string {
	if d.ds.Surge {
		return fmt.Sprintf("%d of %d surging", d.rollout.Surging, d.rollout.MaxSurge)
	}
	return fmt.Sprintf("%d of %d unavailable", d.rollout.Unavailable, d.rollout.MaxUnavailable)
}

// share says how much of the budget n pods use up.
func (d *decider) share(n int) string {
	if d.rollout.MaxUnavailable == 0 {
		return plural(n, "pod", "pods")
	}
	return fmt.Sprintf("%d of maxUnavailable %d used by pods", n, d.rollout.MaxUnavailable)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// troubles are what is wrong with pods that are not ready.
type troubles struct {
	broken []string // pods that say so
	silent []string // nodes of others, that say nothing about their pod
	lost   []string // nodes that are not ready
}

// troubled looks at the first nodes whose pods are not ready, and at the first whose
// pod is not gone yet: on a node that is lost no kubelet ends it.
func (d *decider) troubled() (t troubles) {
	n, more := 0, 0
	d.ds.Cells(sets.Unready, func(c *sets.Cell) bool {
		if n++; n > maxLooked {
			return false
		}
		p, node := d.unready(c), d.s.Node(c.Node)
		if p == nil || node == nil {
			return true
		}
		switch is := p.Trouble(); {
		case is.Silent && !node.Simulated() && !node.Ready:
			t.silent = append(t.silent, c.Node)
		case !node.Ready:
			t.lost = append(t.lost, c.Node)
		case is.Reason == "":
		case len(t.broken) < maxNamed:
			t.broken = append(t.broken, fmt.Sprintf("pod %s on node %s: %s", p.Key.Name, c.Node, strings.TrimSpace(is.Reason+" "+is.Image)))
		default:
			more++
		}
		return true
	})
	if more > 0 {
		t.broken = append(t.broken, fmt.Sprintf("and %d more", more))
	}
	n = 0
	d.ds.Cells(sets.Waiting, func(c *sets.Cell) bool {
		if node := d.s.Node(c.Node); node != nil && !node.Ready {
			t.lost = append(t.lost, c.Node)
		}
		n++
		return n < maxLooked
	})
	slices.Sort(t.lost)
	return t
}

// unready returns the pod of c that should get ready.
func (d *decider) unready(c *sets.Cell) *sets.Pod {
	s := d.ds.Survey(c, &d.survey)
	if len(s.New) > 0 {
		return s.New[0]
	}
	if len(s.Old) > 0 {
		return s.Old[0]
	}
	return nil
}

// firstOf names the first of some nodes.
func firstOf(names []string) string {
	if more := len(names) - maxStalledNodes; more > 0 {
		return strings.Join(names[:maxStalledNodes], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

// paused says who holds a rollout, and since when.
func (d *decider) paused() string {
	text := "paused by annotation " + events.AnnotationPaused
	if d.ds.Unread != "" && !d.ds.Settings.Paused {
		text = "paused until it can be read: annotation " + d.ds.Unread + ";"
	}
	if p := d.ds.Paused; !p.At.IsZero() {
		text += " since " + p.At.UTC().Format(time.RFC3339)
		if p.By != "" {
			text += " by " + p.By
		}
	}
	return text
}
