package play

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// Pair is a rollout as it was recorded and as the model has it; nil: there is none.
type Pair struct {
	Recorded *replay.Rollout `json:"recorded"`
	Model    *replay.Rollout `json:"model"`
}

// Pairs returns the rollouts that were not over before the fork, with those of the
// model that began with the same fact.
func (w *WhatIf) Pairs(ctx context.Context, model events.Reader) (pairs []Pair, err error) {
	recorded, err := replay.RolloutsOf(ctx, w.Recorded)
	if err != nil {
		return nil, err
	}
	played, err := replay.RolloutsOf(ctx, model)
	if err != nil {
		return nil, err
	}
	over := func(r *replay.Rollout) bool { return r.End.Seq > 0 && r.End.Seq < w.Fork }
	recorded, played = slices.DeleteFunc(recorded, over), slices.DeleteFunc(played, over)
	for _, r := range recorded {
		p, at := Pair{Recorded: r}, -1
		for i, m := range played { // that which began nearest to it
			apart := m.Start.Time.Sub(r.Start.Time).Abs()
			if m.DaemonSet == r.DaemonSet && apart < time.Second && (at < 0 || apart < played[at].Start.Time.Sub(r.Start.Time).Abs()) {
				at = i
			}
		}
		if at >= 0 {
			p.Model = played[at]
			played = slices.Delete(played, at, at+1)
		}
		pairs = append(pairs, p)
	}
	for _, m := range played {
		pairs = append(pairs, Pair{Model: m})
	}
	return pairs, nil
}

// Slow is how long a node was without a ready pod of a DaemonSet.
type Slow struct {
	DaemonSet events.Key    `json:"daemonSet"`
	Node      string        `json:"node"`
	Took      time.Duration `json:"nanoseconds"`
	Open      bool          `json:"open,omitempty"` // and still is at the end of the log
}

func (s Slow) String() string {
	text := fmt.Sprintf("%s %s", s.Node, s.Took.Round(100*time.Millisecond))
	if s.Open {
		return text + " and on"
	}
	return text
}

// maxSlow is how many nodes are told of.
const maxSlow = 3

// place is where a DaemonSet has a pod.
type place struct {
	owner events.Key
	node  string
}

func placeOf(p *sets.Pod) place {
	return place{events.Key{Namespace: p.Key.Namespace, Name: p.OwnerName}, p.Node}
}

// Slowest returns the nodes that were longest at once without a ready pod of a
// DaemonSet that had one there, from the fork on.
func (w *WhatIf) Slowest(ctx context.Context, log events.Reader) ([]Slow, error) {
	s, err := replay.Begin(ctx, log)
	if err != nil {
		return nil, err
	}
	without, longest := map[place]time.Time{}, map[place]Slow{}
	ready := map[events.Key]place{}
	for p := range s.Pods() {
		if serves(p) {
			ready[p.Key] = placeOf(p)
		}
	}
	var end time.Time
	for e, err := range log.Read(ctx, s.Seq()) {
		if err != nil {
			return nil, err
		}
		e = projector.Fold(s, e)
		r := events.RefOf(e)
		if end = e.Stored; r.Kind != events.Pod {
			continue
		}
		p := s.Pod(r.Key)
		at, was := ready[r.Key]
		switch is := serves(p); {
		case was && !is:
			delete(ready, r.Key)
			without[at] = e.Stored
		case is && !was:
			at = placeOf(p)
			ready[r.Key] = at
			if since, ok := without[at]; ok && e.Seq >= w.Fork {
				longest[at] = slower(longest[at], Slow{at.owner, at.node, e.Stored.Sub(since), false})
			}
			delete(without, at)
		}
	}
	var all []Slow
	for _, n := range slices.Collect(s.Nodes()) {
		for _, d := range s.DaemonSets() {
			at := place{d.Key, n.Name}
			x := longest[at]
			if since, ok := without[at]; ok {
				x = slower(x, Slow{d.Key, n.Name, end.Sub(since), true})
			}
			if x.Took > 0 {
				all = append(all, x)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Slow) int {
		return cmp.Or(cmp.Compare(b.Took, a.Took), cmp.Compare(a.Node, b.Node), a.DaemonSet.Compare(b.DaemonSet))
	})
	return all[:min(len(all), maxSlow)], nil
}

// serves reports whether a pod is a ready one of a DaemonSet.
func serves(p *sets.Pod) bool { return p != nil && p.Ready && !p.Deleting && p.Daemon }

func slower(a, b Slow) Slow {
	if b.Took > a.Took {
		return b
	}
	return a
}

// Parting is the first plan that is another in the model than in the record. A
// position is zero if one of them has no more plans.
type Parting struct {
	Recorded replay.Point `json:"recorded,omitzero"`
	Model    replay.Point `json:"model,omitzero"`
	What     string       `json:"what"`
}

// FirstDifference returns where the plans of the model part from the recorded
// ones; nil: they do not up to the end of the shorter log.
func (w *WhatIf) FirstDifference(ctx context.Context, model events.Reader) (*Parting, error) {
	if w.Fork == 0 {
		return nil, nil
	}
	recorded, err := replay.Decisions(ctx, w.Recorded, w.Fork, 0, events.Ref{})
	if err != nil {
		return nil, err
	}
	played, err := replay.Decisions(ctx, model, w.Fork, 0, events.Ref{})
	if err != nil {
		return nil, err
	}
	i := replay.Departed(recorded, played, samePlan)
	switch {
	case i < 0 || i >= len(recorded):
		return nil, nil
	case i >= len(played):
		return &Parting{Recorded: recorded[i].Point, What: "the model has no more plans"}, nil
	}
	r, m := recorded[i], played[i]
	d := replay.Difference{Seq: r.Seq, Recorded: r.Plan, Decided: m.Plan}
	return &Parting{r.Point, m.Point, d.Changes()[0]}, nil
}

// samePlan reports whether two plans do the same, to the byte.
func samePlan(a, b *events.Plan) bool {
	x, errX := json.Marshal(a.Commands)
	y, errY := json.Marshal(b.Commands)
	return a.Owner == b.Owner && errX == nil && errY == nil && bytes.Equal(x, y)
}
