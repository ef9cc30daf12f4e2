package page

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"rollcall/controller/replay"
	"rollcall/events"
)

// told asks about events: all, or of many those that somebody asks about first, which
// are what people and the controller did and what went wrong.
func (a *gathered) told(ctx context.Context, p *Page) error {
	var first, rest []events.Seq
	for _, item := range a.Events {
		var s replay.Step
		if err := json.Unmarshal(item, &s); err != nil {
			return err
		}
		if s.Type == events.Planned || s.Type == events.Failed || s.Actor != "" || strings.HasPrefix(s.Object, "ds/") {
			first = append(first, s.Seq)
		} else {
			rest = append(rest, s.Seq)
		}
	}
	all := append(first, rest...)
	all = all[:min(len(all), a.few(bundleTold))]
	slices.Sort(all)
	for _, seq := range all {
		if err := a.keep(ctx, p, seq, "event"); err != nil {
			return err
		}
	}
	return nil
}

// objects asks about objects at the end: DaemonSets, nodes without an available pod
// and the pods there, and then others.
func (a *gathered) objects(ctx context.Context, p *Page) error {
	var glances []struct {
		NotReady   []string
		DaemonSets []struct{ Names map[string][]string }
	}
	if err := p.into(ctx, &glances, "overview"); err != nil {
		return err
	}
	all := []string{}
	for _, ds := range a.sets {
		all = append(all, "ds/"+ds)
	}
	for _, g := range glances {
		for _, n := range g.NotReady {
			all = append(all, "node/"+n)
		}
		for _, d := range g.DaemonSets {
			for _, why := range slices.Sorted(maps.Keys(d.Names)) {
				for _, n := range d.Names[why] {
					all = append(all, "node/"+n)
				}
			}
		}
	}
	for _, kind := range []string{"DaemonSet", "Node", "Pod", "ControllerRevision", "Namespace"} {
		if err := a.keep(ctx, p, a.Last, "names", "kind="+kind); err != nil {
			return err
		}
		var names []string
		if err := p.into(ctx, &names, "names", "kind="+kind); err != nil {
			return err
		}
		all = append(all, names...)
	}
	seen := map[string]bool{}
	for _, of := range all {
		if seen[of] || len(seen) == a.few(bundleObjects) {
			continue
		}
		seen[of] = true
		for _, path := range []string{"object", "why", "why-not"} {
			if path == "why-not" && !strings.HasPrefix(of, "node/") {
				continue // of a DaemonSet it is there at all instants
			}
			if err := a.keep(ctx, p, a.Last, path, "of="+of); err != nil {
				return err
			}
		}
	}
	return nil
}

// compared asks for rollouts held against each other.
func (a *gathered) compared(ctx context.Context, p *Page) error {
	of := a.rolls[max(0, len(a.rolls)-bundlePairs):]
	for _, x := range of {
		for _, y := range of {
			name := func(r *replay.Rollout) string { return strings.TrimPrefix(r.String(), "rollout/") }
			if err := a.keep(ctx, p, a.Last, "compare", "a="+name(x), "b="+name(y)); err != nil {
				return err
			}
		}
	}
	return nil
}
