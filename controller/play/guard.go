package play

import (
	"context"
	"fmt"
	"slices"
	"time"

	"rollcall/controller/replay"
	"rollcall/events"
)

// basis is what a plan of a DaemonSet is good for: what the DaemonSet says that
// is written, and which nodes get its template, in which order. How long kubelets
// take is no part of it.
type basis struct {
	spec      string // before it is written
	first     []string
	order     []string
	updated   []string
	unchanged []string
	evicted   []string
	skipped   []string
	blocked   []string
	limit     [2]int
}

func (o *Outcome) basis() basis {
	b := basis{spec: o.spec, updated: o.Updated, unchanged: o.Unchanged, evicted: o.Evicted, skipped: nodesOf(o.Skipped), blocked: nodesOf(o.Blocked), limit: [2]int{o.MaxUnavailable, o.MaxSurge}}
	taken := map[string]bool{}
	for i, w := range o.Waves {
		if i == 0 {
			b.first = w.Nodes
		}
		for _, n := range w.Nodes {
			if !taken[n] {
				taken[n] = true
				b.order = append(b.order, n)
			}
		}
	}
	return b
}

func nodesOf(gs []Group) (all []string) {
	for _, g := range gs {
		all = append(all, g.Nodes...)
	}
	slices.Sort(all)
	return all
}

// against says what differs in another basis; empty: nothing.
func (b basis) against(now basis) string {
	if b.spec != now.spec {
		return "the DaemonSet was changed"
	}
	for _, x := range []struct {
		what     string
		was, now []string
	}{
		{"to be blocked", b.blocked, now.blocked}, {"to be skipped", b.skipped, now.skipped}, {"to lose its pod", b.evicted, now.evicted},
		{"to stay as it is", b.unchanged, now.unchanged}, {"to be updated", b.updated, now.updated}, {"to be taken by a wave", b.order, now.order}, {"in the first wave", b.first, now.first},
	} {
		for _, n := range x.now {
			if !slices.Contains(x.was, n) {
				return n + " is now " + x.what
			}
		}
		for _, n := range x.was {
			if !slices.Contains(x.now, n) {
				return n + " is no longer " + x.what
			}
		}
	}
	switch {
	case b.limit != now.limit:
		return fmt.Sprintf("the limit is %d instead of %d", max(now.limit[0], now.limit[1]), max(b.limit[0], b.limit[1]))
	case !slices.Equal(b.order, now.order) || !slices.Equal(b.first, now.first):
		return "the nodes are updated in another order"
	}
	return ""
}

// Moved is why a plan is not good any more: since which event, and what it has
// changed.
type Moved struct {
	Seq       events.Seq
	DaemonSet events.Key
	Says      string
}

// Guard compares what intents come to at two positions of a history, with
// kubelets that all take the same time: nil if it is the same. Else it looks for
// an event in between that makes the difference, by halving.
func Guard(ctx context.Context, h *replay.History, s events.Subjects, intents []Intent, from, to events.Seq, longer time.Duration) (*Moved, error) {
	at := func(seq events.Seq) ([]*Outcome, error) {
		f, err := NewForesight(ctx, h, s, replay.Moment{Point: replay.Point{Seq: seq}})
		if err != nil {
			return nil, err
		}
		return f.Play(ctx, intents, Terms{Longer: longer})
	}
	planned, err := at(from)
	if err != nil {
		return nil, err
	}
	differs := func(seq events.Seq) (*Moved, error) {
		now, err := at(seq)
		if err != nil {
			return nil, err
		}
		for i, x := range planned {
			if says := x.basis().against(now[i].basis()); says != "" {
				return &Moved{seq, x.DaemonSet, says}, nil
			}
		}
		return nil, nil
	}
	found, err := differs(to)
	if found == nil || err != nil {
		return nil, err
	}
	for good := from; found.Seq-good > 1; {
		middle := good + (found.Seq-good)/2
		m, err := differs(middle)
		if err != nil {
			return nil, err
		}
		if m != nil {
			found = m
		} else {
			good = middle
		}
	}
	return found, nil
}
