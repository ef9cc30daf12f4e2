package simtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
)

// holders are those outside who hold rollouts: they place holds and lift some.
type holders struct {
	r    *rand.Rand
	told int // how often, for ids
}

// holder is who places all holds.
const holder = "calendar"

// turn does one thing about a hold, mostly nothing.
func (c *holders) turn(h *History) {
	if !h.cfg.has(faultHolds) || c.r.IntN(25) > 0 {
		return
	}
	name := []string{"freeze", "zone", "alert"}[c.r.IntN(3)]
	switch c.r.IntN(8) {
	case 0, 1:
		c.tell(h, events.HoldLifted, events.Lifted{Owner: holder, Name: name})
	case 2:
		c.relabel(h)
	default:
		lasts := time.Duration(1+c.r.IntN(40)) * time.Second
		if c.r.IntN(4) == 0 {
			lasts *= 20
		}
		c.tell(h, events.HoldPlaced, events.Hold{Owner: holder, Name: name, Reason: "the plan says so", Select: c.draw(h), Until: h.now.Add(lasts)})
	}
}

// draw draws what a hold selects.
func (c *holders) draw(h *History) (s events.Select) {
	set := events.Key{Namespace: namespace, Name: setName(c.r.IntN(2))}
	switch c.r.IntN(7) {
	case 0:
		s.DaemonSets = []events.Key{set}
	case 1:
		s.Namespaces = []string{namespace, "another"}
	case 2:
		s.Labels = []string{"tier=front", "tier!=front"}[c.r.IntN(2)]
	case 3:
		s.NodeLabels = []string{"zone=x", "zone=y"}[c.r.IntN(2)]
	case 4:
		s.NodeLabels, s.DaemonSets = "zone=x", []events.Key{set}
	case 5:
		s.Labels = "tier=front"
		fallthrough
	default:
		for range 1 + c.r.IntN(3) {
			s.Nodes = append(s.Nodes, fmt.Sprintf("n%02d", c.r.IntN(h.cfg.nodes+1)))
		}
	}
	return s
}

// relabel gives a DaemonSet the label that holds ask for, or takes it away.
func (c *holders) relabel(h *History) {
	was, ok := h.model.named[events.Key{Namespace: namespace, Name: setName(c.r.IntN(h.cfg.sets))}]
	if !ok {
		return
	}
	ds := was.DeepCopy()
	if ds.Labels["tier"] == "" {
		ds.Labels = map[string]string{"tier": "front"}
	} else {
		ds.Labels = nil
	}
	h.tell("user", events.DaemonSet, events.VerbUpdated, ds)
}

// tell appends what was told about a hold.
func (c *holders) tell(h *History, t events.Type, body events.Body) {
	e := toldOf(c.told, h.now, t, body)
	c.told++
	_, _ = h.append(events.Expect{}, e) // what a fault swallows was not told
}

// toldOf returns the event of what the holder tells for the n-th time.
func toldOf(n int, at time.Time, t events.Type, body events.Body) events.Event {
	told := &events.Told{Source: holder, ID: fmt.Sprint(n), Type: string(t)}
	return events.Event{ID: events.ToldID(told.Source, told.From, told.ID), Type: t, Source: "gate", At: at, Told: told, Body: body}
}

// heal lifts the holds that would last the longest, and leaves the others to end.
func (c *holders) heal(h *History) {
	for _, name := range sortedKeys(h.model.holds, strings.Compare) {
		if h.model.holds[name].Until.Sub(h.logTime()) > time.Minute || c.r.IntN(3) > 0 {
			c.tell(h, events.HoldLifted, events.Lifted{Owner: holder, Name: name})
		}
	}
}

// holdsSet reports whether a hold on the whole DaemonSet stands at a time.
func (b *model) holdsSet(s *setModel, now time.Time) bool {
	return slices.ContainsFunc(b.standing(s, now), func(h events.Hold) bool { return !ofNodes(h) })
}

// holdsNode reports whether a hold on the node, for the DaemonSet, stands at a time.
func (b *model) holdsNode(s *setModel, n *corev1.Node, now time.Time) bool {
	return slices.ContainsFunc(b.standing(s, now), func(h events.Hold) bool {
		k, v, labelled := strings.Cut(h.Select.NodeLabels, "=")
		return ofNodes(h) && (!labelled || n.Labels[k] == v) && (len(h.Select.Nodes) == 0 || slices.Contains(h.Select.Nodes, n.Name))
	})
}

func ofNodes(h events.Hold) bool { return h.Select.NodeLabels != "" || len(h.Select.Nodes) > 0 }

// standing returns the holds that select a DaemonSet and have not ended.
func (b *model) standing(s *setModel, now time.Time) (hs []events.Hold) {
	for _, name := range sortedKeys(b.holds, strings.Compare) {
		h := b.holds[name]
		front := s.Labels["tier"] == "front"
		if now.Before(h.Until) && (len(h.Select.DaemonSets) == 0 || slices.Contains(h.Select.DaemonSets, s.key)) &&
			(h.Select.Labels == "" || front == (h.Select.Labels == "tier=front")) {
			hs = append(hs, h)
		}
	}
	return hs
}

// keeps reports whether a hold keeps an old pod of a DaemonSet, or the whole of it.
func (b *model) keeps(s *setModel, all []*situation, now time.Time) bool {
	return b.holdsSet(s, now) || slices.ContainsFunc(all, func(x *situation) bool {
		n := b.nodes[x.node]
		return (x.place == kept || x.place == wanted && !withheld(s.DaemonSet, n)) && x.single(s) && b.holdsNode(s, n, now)
	})
}

// single reports whether there is one old pod of the DaemonSet and nothing else.
func (x *situation) single(s *setModel) bool {
	return len(x.old) == 1 && x.old[0].owner == s.UID && len(x.fresh) == 0 && x.creating == 0
}
