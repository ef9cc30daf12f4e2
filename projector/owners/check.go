package owners

import (
	"cmp"
	"maps"
	"slices"

	"rollcall/events"
)

// Check builds the graph of these objects, and tells where it differs from g.
func (g *Graph) Check(objects []*Object, bad func(string, ...any)) {
	fresh := New(g.cluster)
	fresh.defined = g.defined
	for _, o := range objects {
		fresh.link(o)
	}
	g.checkObjects(fresh, bad)
	for _, r := range slices.SortedFunc(maps.Keys(fresh.dependents), compareRefs) {
		d, want := g.dependents[r], fresh.dependents[r]
		if d == nil || d.blocks != want.blocks || !g.same(d.objects.Items(), want.objects.Items()) {
			bad("%s %s: dependents %+v, want %+v", r.Kind, r.Key, d, want)
		}
	}
	if len(g.dependents) != len(fresh.dependents) {
		bad("%d owners, want %d", len(g.dependents), len(fresh.dependents))
	}
	underway := map[events.Ref]int{}
	for _, c := range slices.SortedFunc(maps.Keys(g.pending), events.Cause.Compare) {
		underway[g.pending[c]]++
	}
	if !maps.Equal(g.underway, underway) {
		bad("commands of the garbage collector under way %v, want %v", g.underway, underway)
	}
}

func comparePlaces(a, b place) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), a.key.Compare(b.key))
}

// checkObjects compares every object with a fresh one, and how it is listed
// with how it stands.
func (g *Graph) checkObjects(fresh *Graph, bad func(string, ...any)) {
	open, nodeless := 0, 0
	for _, at := range slices.SortedFunc(maps.Keys(fresh.objects), comparePlaces) {
		o, want := g.objects[at], fresh.objects[at]
		if o == nil || o.Ref != want.Ref || !slices.Equal(o.Owners, want.Owners) || !slices.Equal(o.Finalizers, want.Finalizers) || o.Deleting != want.Deleting {
			bad("%s %s: %+v, want %+v", at.kind, at.key, o, want)
			continue
		}
		if r := g.relate(o); o.open != r.open() || o.nodeless != r.nodeless() {
			bad("%s %s: open %v, without a node %v, though %+v", at.kind, at.key, o.open, o.nodeless, r)
		}
		if o.nodeless == o.since.IsZero() || o.since.After(g.cluster.Time()) {
			bad("%s %s: without a node since %s", at.kind, at.key, o.since)
		}
		into := g.listed(o)
		if x, _ := g.open.Get(o); (x == o) != (into == g.open) {
			bad("%s %s: open %v", at.kind, at.key, x == o)
		}
		if x, _ := g.nodeless.Get(o); (x == o) != (into == g.nodeless) {
			bad("%s %s: among those without a node %v", at.kind, at.key, x == o)
		}
		switch into {
		case g.open:
			open++
		case g.nodeless:
			nodeless++
		}
	}
	if len(g.objects) != len(fresh.objects) || g.open.Len() != open || g.nodeless.Len() != nodeless {
		bad("%d objects, %d of them open and %d without a node; want %d, %d and %d",
			len(g.objects), g.open.Len(), g.nodeless.Len(), len(fresh.objects), open, nodeless)
	}
}

// same reports whether a list holds the objects of g that fresh ones stand for.
func (g *Graph) same(list, fresh []*Object) bool {
	return slices.EqualFunc(list, fresh, func(a, b *Object) bool { return a.Ref == b.Ref && g.at(a.Ref) == a })
}
