package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/controller/play"
)

// planText is what plan prints.
func planText(all []*planned) string {
	var b strings.Builder
	for _, p := range all {
		p.draw(&b)
	}
	return b.String()
}

func (p *planned) draw(b *strings.Builder) {
	fmt.Fprintf(b, "ds/%s  %s\n", p.DaemonSet, p.headText())
	if !p.Changes {
		return
	}
	line := func(name, text string) { fmt.Fprintf(b, "  %-9s %s\n", name, text) }
	line("nodes", p.countsText())
	if len(p.Updated) > 0 {
		line("updated", namedNodes(p.Updated))
	}
	if len(p.Evicted) > 0 {
		line("evicted", namedNodes(p.Evicted))
	}
	for _, h := range p.Holds {
		line("held", holdText(h))
	}
	for _, g := range p.Blocked {
		line("blocked", groupText(g))
	}
	for _, g := range p.Skipped {
		line("skipped", groupText(g))
	}
	if len(p.Waves) == 0 {
		line("waves", "none: no pod is replaced")
		return
	}
	line("waves", wavesText(p.Waves))
	limit := fmt.Sprintf("the limit is %d", p.MaxUnavailable)
	switch {
	case p.Created:
		limit = "of a new DaemonSet all are"
	case p.MaxSurge > 0:
		limit = fmt.Sprintf("surging by at most %d", p.MaxSurge)
	}
	line("peak", fmt.Sprintf("%d of %d nodes unavailable; %s", p.PeakUnavailable, p.Nodes, limit))
	line("time", p.timeText())
}

// headText says from what the DaemonSet goes to what.
func (p *planned) headText() string {
	images := strings.Join(p.Images, ", ")
	switch was := strings.Join(p.Was, ", "); {
	case p.Created:
		return fmt.Sprintf("new, revision %d, image %s", p.Revision, images)
	case !p.Changes:
		return "nothing changes"
	case p.From == p.Revision:
		return fmt.Sprintf("revision %d stays, image %s", p.Revision, images)
	case was != images:
		return fmt.Sprintf("revision %d → %d, image %s → %s", p.From, p.Revision, was, images)
	}
	return fmt.Sprintf("revision %d → %d, image %s", p.From, p.Revision, images)
}

func (p *planned) countsText() string {
	count := func(gs []play.Group) (n int) {
		for _, g := range gs {
			n += len(g.Nodes)
		}
		return n
	}
	var parts []string
	for _, x := range []struct {
		n    int
		what string
	}{{len(p.Updated), "updated"}, {count(p.Blocked), "blocked"}, {count(p.Skipped), "skipped"}, {len(p.Evicted), "evicted"}, {len(p.Unchanged), "as they are"}} {
		if x.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	return fmt.Sprintf("%d should run a pod: %s", p.Nodes, strings.Join(parts, ", "))
}

func namedNodes(nodes []string) string {
	return fmt.Sprintf("%s: %s", plural(len(nodes), "node"), someOf(nodes))
}

func groupText(g play.Group) string {
	text := string(g.Rule)
	if g.Says != "" {
		text += " " + g.Says
	}
	if why := ruleTexts[string(g.Rule)]; why != "" {
		text += ", " + why
	}
	if g.NotReady {
		text += "; not Ready since before"
	}
	return fmt.Sprintf("%s (%s)", namedNodes(g.Nodes), text)
}

// holdText says what a hold keeps, until when and why.
func holdText(h play.Hold) string {
	text := "no node is updated"
	if h.Nodes != nil {
		text = namedNodes(h.Nodes) + " not updated"
	}
	text += fmt.Sprintf(" before %s, by %s", clockText(h.Until), h.ID)
	if h.Reason != "" {
		text += ": " + h.Reason
	}
	return text
}

// wavesText gives the sizes of waves, those that are alike together.
func wavesText(ws []play.Wave) string {
	var parts []string
	for i := 0; i < len(ws); {
		n := len(ws[i].Nodes)
		same := i
		for same < len(ws) && len(ws[same].Nodes) == n {
			same++
		}
		if times := same - i; times > 1 {
			parts = append(parts, fmt.Sprintf("%d×%d", times, n))
		} else {
			parts = append(parts, fmt.Sprint(n))
		}
		i = same
	}
	if len(parts) > maxSizes {
		parts = append(parts[:maxSizes], "…")
	}
	return fmt.Sprintf("%d: %s", len(ws), strings.Join(parts, " + "))
}

// maxSizes is how many sizes of waves are told.
const maxSizes = 12

// timeText says how long the runs take, and what that is from.
func (p *planned) timeText() string {
	var took []time.Duration
	for _, d := range p.Runs {
		if d != nil {
			took = append(took, *d)
		}
	}
	if len(took) == 0 {
		return "it does not end by itself"
	}
	slices.Sort(took)
	at := func(percent int) string { return roundly(took[(len(took)-1)*percent/100]) }
	text := at(50)
	if len(took) > 1 {
		text += fmt.Sprintf(" (10 to 90 %% of %d runs: %s to %s)", len(took), at(10), at(90))
	}
	if n := len(p.Runs) - len(took); n > 0 {
		text += fmt.Sprintf(", no end in %d", n)
	}
	switch d := p.Delays; {
	case d.Start == 0:
		text += "; no pod was seen to start, so simulated kubelets' own delays are taken"
	case d.OfImages > 0:
		text += fmt.Sprintf("; from %s that were seen, %d of these images", plural(d.Start, "start"), d.OfImages)
	default:
		text += fmt.Sprintf("; from %s that were seen, none of these images", plural(d.Start, "start"))
	}
	if d := p.Delays; d.Start > 0 && d.Stop == 0 && !p.Created {
		text += "; none was seen to stop, so simulated kubelets' own delays are taken for that"
	}
	if p.Delays.From > 1 && p.Delays.Start > 0 {
		text += fmt.Sprintf(" since #%d", p.Delays.From)
	}
	return text
}
