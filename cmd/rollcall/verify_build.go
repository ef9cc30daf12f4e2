package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rollcall/controller/replay"
	"rollcall/events"
)

// otherBuild is how this program and another stand to each other over a log.
type otherBuild struct {
	*replay.Compared
	First *replay.Sides `json:"firstDifference,omitempty"`
	State *stateParting `json:"firstState,omitempty"`
}

// stateParting is the first event after which two programs have another state.
type stateParting struct {
	Event replay.Step `json:"event"`
	Field string      `json:"field,omitempty"` // where the states first part
	This  string      `json:"thisHas"`
	Other string      `json:"otherHas"`
}

// decisions returns what this program decides of a history.
func (x *asked) decisions(ctx context.Context) (*replay.Account, error) {
	ps, err := properties("", nil)
	if err != nil {
		return nil, err
	}
	var d replay.Account
	return &d, x.Say(ctx, ps, d.Take)
}

// compareBuild has another rollcall decide the log, and finds where the two part.
func (s *session) compareBuild(ctx context.Context, x *asked, cluster string, b build) (*otherBuild, error) {
	rec, done, err := x.log.carrier(ctx, x.log, cluster, x.Span().Last)
	if err != nil {
		return nil, err
	}
	defer done()
	other, err := b.decide(ctx, rec, x.Span().Last)
	if err != nil {
		return nil, err
	}
	this, err := x.decisions(ctx)
	if err != nil {
		return nil, err
	}
	o := &otherBuild{Compared: replay.CompareAccounts(this, other)}
	if len(o.Differences) > 0 {
		if o.First, err = x.Sides(ctx, o.Differences[0]); err != nil {
			return nil, err
		}
	}
	if len(o.StateParts) > 0 {
		o.State, err = firstState(ctx, x.History, b, rec, o.Same, o.StateParts[0])
	}
	return o, err
}

// firstState halves between a position where two programs have the same state and
// one where they have not: what is costly is not asked at every event.
func firstState(ctx context.Context, h *replay.History, b build, rec string, same, parted events.Seq) (*stateParting, error) {
	same = max(same, h.Span().First-1)
	for parted-same > 1 {
		middle := same + (parted-same)/2
		_, theirs, err := b.picture(ctx, rec, middle)
		if err != nil {
			return nil, err
		}
		s, err := h.At(ctx, middle)
		if err != nil {
			return nil, err
		}
		ours, err := replay.StateHash(s)
		if err != nil {
			return nil, err
		}
		if ours == theirs {
			same = middle
		} else {
			parted = middle
		}
	}
	return stateParts(ctx, h, b, rec, parted)
}

// stateParts tells in what the states after an event part.
func stateParts(ctx context.Context, h *replay.History, b build, rec string, at events.Seq) (*stateParting, error) {
	p := &stateParting{}
	var err error
	if p.Event, err = h.Step(ctx, at); err != nil {
		return nil, err
	}
	other, _, err := b.picture(ctx, rec, at)
	if err != nil {
		return nil, err
	}
	s, err := h.At(ctx, at)
	if err != nil {
		return nil, err
	}
	mine, err := replay.PictureOf(s)
	if err != nil {
		return nil, err
	}
	mine.Hash = ""
	j, err := json.Marshal(mine)
	if err != nil {
		return nil, fmt.Errorf("compare states: %w", err)
	}
	var this map[string]any
	if err := json.Unmarshal(j, &this); err != nil {
		return nil, fmt.Errorf("compare states: %w", err)
	}
	delete(this, "hash")
	p.Field, p.This, p.Other = partsAt("", this, other)
	return p, nil
}

// partsAt returns the path of the first value in which two documents differ, and
// what both have there.
func partsAt(path string, a, b any) (where, this, other string) {
	x, isMap := a.(map[string]any)
	y, bothMaps := b.(map[string]any)
	if isMap && bothMaps {
		keys := slices.Concat(slices.Collect(maps.Keys(x)), slices.Collect(maps.Keys(y)))
		slices.Sort(keys)
		for _, k := range slices.Compact(keys) {
			if where, this, other = partsAt(strings.TrimPrefix(path+"."+k, "."), x[k], y[k]); where != "" {
				return where, this, other
			}
		}
		return "", "", ""
	}
	l, isList := a.([]any)
	m, bothLists := b.([]any)
	if isList && bothLists {
		for i := range max(len(l), len(m)) {
			if where, this, other = partsAt(fmt.Sprintf("%s[%d]", path, i), element(l, i), element(m, i)); where != "" {
				return where, this, other
			}
		}
		return "", "", ""
	}
	ja, _ := json.Marshal(a) // it came from JSON
	jb, _ := json.Marshal(b)
	if string(ja) == string(jb) {
		return "", "", ""
	}
	return cmp.Or(path, "."), string(ja), string(jb)
}

func element(l []any, i int) any {
	if i < len(l) {
		return l[i]
	}
	return nil
}

// text is what verify prints of another rollcall.
func (o *otherBuild) text(path string) string {
	if o == nil {
		return ""
	}
	var b strings.Builder
	if !o.Differ() {
		fmt.Fprintf(&b, "%s decides the same: %s, %s\n", path, plural(o.Plans, "plan"), o.statesText())
		return b.String()
	}
	fmt.Fprintf(&b, "%s decides otherwise: %d of %s differ, %s\n", path, len(o.Differences), plural(o.Plans, "plan"), o.statesText())
	for _, d := range o.Differences[:min(len(o.Differences), maxVerified)] {
		for _, line := range d.Changes() {
			fmt.Fprintf(&b, "   %s\n", line)
		}
	}
	if more := len(o.Differences) - maxVerified; more > 0 {
		fmt.Fprintf(&b, "   and %s more\n", plural(more, "plan"))
	}
	for _, seq := range o.Unknown {
		fmt.Fprintf(&b, "   plan #%d: one of them decides it, the other holds it for quarantined\n", seq)
	}
	for _, line := range o.Came {
		fmt.Fprintf(&b, "   broken for this one only: %s\n", line)
	}
	for _, line := range o.Went {
		fmt.Fprintf(&b, "   broken for the other only: %s\n", line)
	}
	if o.First != nil {
		b.WriteString(sidesText(o.First, "THE OTHER", "THIS ONE"))
	}
	if p := o.State; p != nil {
		fmt.Fprintf(&b, "the states part at %s\n", stepText(p.Event))
		if p.Field != "" {
			fmt.Fprintf(&b, "   %s: here %s, there %s\n", p.Field, clip(p.This), clip(p.Other))
		} else {
			b.WriteString("   in what no word tells of: the bytes differ\n")
		}
	}
	return b.String()
}

// statesText says how the states compare.
func (o *otherBuild) statesText() string {
	if o.Formats[0] != o.Formats[1] {
		return fmt.Sprintf("and no state was compared: the formats are %d and %d", o.Formats[0], o.Formats[1])
	}
	if len(o.StateParts) == 0 {
		return plural(o.States, "state") + " compared"
	}
	return fmt.Sprintf("and %d of %s", len(o.StateParts), plural(o.States, "state"))
}

// maxClip bounds a value of a state that is shown.
const maxClip = 200

func clip(s string) string {
	if len(s) <= maxClip {
		return s
	}
	return strings.ToValidUTF8(s[:maxClip], "") + "…"
}
