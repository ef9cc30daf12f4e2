package projector

import (
	"cmp"
	"slices"

	"rollcall/events"
)

// checkItems builds items and their indexes again from the objects.
func (s *State) checkItems(bad func(string, ...any)) {
	fresh := newCollector()
	for _, k := range s.objects.Kinds() {
		if k == events.Node || k == events.Pod {
			continue
		}
		for _, o := range s.List(k, "") {
			fresh.link(viewItem(o.Ref, o.Data))
		}
	}
	for n := range s.Nodes() {
		if it := viewItem(n.Object.Ref, n.Object.Data); len(it.Owners) > 0 || len(it.Finalizers) > 0 {
			fresh.link(it)
		}
	}
	for p := range s.Pods() {
		if p.plain() != (p.item == nil) {
			bad("pod %s: plain %v, with an item %v", p.Key, p.plain(), p.item != nil)
		}
		if p.item != nil {
			it := viewItem(p.Ref(), p.Object.Data)
			it.pod = p
			fresh.link(it)
		}
	}
	s.checkItem(&fresh, bad)
	s.checkBroods(&fresh, bad)
	s.checkCommands(bad)
}

func compareCauses(a, b events.Cause) int {
	return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Index, b.Index))
}

func compareItemKeys(a, b itemKey) int {
	return events.Ref{Kind: a.kind, Key: a.key}.Compare(events.Ref{Kind: b.kind, Key: b.key})
}

// checkItem compares every item with a fresh one, and how it is listed with how
// it stands.
func (s *State) checkItem(fresh *collector, bad func(string, ...any)) {
	left, adrift := 0, 0
	for _, k := range sortedKeys(fresh.items, compareItemKeys) {
		it, want := s.items[k], fresh.items[k]
		if it == nil || it.Ref != want.Ref || !slices.Equal(it.Owners, want.Owners) || !slices.Equal(it.Finalizers, want.Finalizers) ||
			it.Deleting != want.Deleting || it.pod != want.pod {
			bad("item %s %s: %+v, want %+v", k.kind, k.key, it, want)
			continue
		}
		if p := s.standing(it).Plight; p != it.plight {
			bad("item %s %s: plight %d, want %d", k.kind, k.key, it.plight, p)
		}
		if (it.plight == Adrift) == it.since.IsZero() || it.since.After(s.Time()) {
			bad("item %s %s: plight %d since %s", k.kind, k.key, it.plight, it.since)
		}
		listed, in := s.listed(it).Get(it)
		if in != s.wanted(it) || in && listed != it {
			bad("item %s %s: listed %v, want %v", k.kind, k.key, in, s.wanted(it))
		}
		switch {
		case s.wanted(it) && it.plight == Adrift:
			adrift++
		case s.wanted(it):
			left++
		}
	}
	if len(s.items) != len(fresh.items) || s.left.Len() != left || s.adrift.Len() != adrift {
		bad("%d items, %d and %d of them to be collected; want %d, %d and %d",
			len(s.items), s.left.Len(), s.adrift.Len(), len(fresh.items), left, adrift)
	}
}

func (s *State) checkBroods(fresh *collector, bad func(string, ...any)) {
	for _, r := range sortedKeys(fresh.broods, events.Ref.Compare) {
		b, want := s.broods[r], fresh.broods[r]
		if b == nil || b.blocks != want.blocks || !s.sameItems(b.items.Items(), want.items.Items()) {
			bad("%s %s: dependents %+v, want %+v", r.Kind, r.Key, b, want)
		}
	}
	if len(s.broods) != len(fresh.broods) {
		bad("%d owners, want %d", len(s.broods), len(fresh.broods))
	}
}

// sameItems reports whether a list holds the present items that fresh ones stand for.
func (s *State) sameItems(list, fresh []*Item) bool {
	return slices.EqualFunc(list, fresh, func(a, b *Item) bool { return a.Ref == b.Ref && s.items[itemKey{a.Kind, a.Key}] == a })
}

func (s *State) checkCommands(bad func(string, ...any)) {
	under := map[events.Ref]int{}
	for _, c := range sortedKeys(s.commands, compareCauses) {
		under[s.commands[c]]++
	}
	for _, r := range sortedKeys(under, events.Ref.Compare) {
		if s.under[r] != under[r] {
			bad("%s %s: %d commands under way, want %d", r.Kind, r.Key, s.under[r], under[r])
		}
	}
	if len(s.under) != len(under) {
		bad("commands of collections about %d objects under way, want %d", len(s.under), len(under))
	}
}
