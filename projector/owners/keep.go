package owners

import (
	"maps"
	"slices"
	"time"

	"rollcall/events"
)

// Kept is what a graph knows beside the objects, as a keyframe holds it.
type Kept struct {
	Objects []KeptObject `json:"objects,omitempty"` // those of which anything is known, by kind and name
	Pending []KeptCause  `json:"pending,omitempty"` // by cause
	Defined []KeptKind   `json:"defined,omitempty"` // by kind
}

// KeptKind is a custom kind that the log has had a definition of.
type KeptKind struct {
	Kind       events.Kind `json:"kind"`
	Namespaced bool        `json:"namespaced,omitempty"`
}

// KeptObject is what a graph remembers of one object.
type KeptObject struct {
	events.Ref `json:"ref"`
	Since      time.Time `json:"since,omitzero"`
	Refused    bool      `json:"refused,omitempty"`
}

// KeptCause is a command of the garbage collector without an answer.
type KeptCause struct {
	Cause events.Cause `json:"cause"`
	Ref   events.Ref   `json:"ref"`
}

// Keep returns what the graph knows beside the objects.
func (g *Graph) Keep() (k Kept) {
	for _, at := range slices.SortedFunc(maps.Keys(g.objects), comparePlaces) {
		if o := g.objects[at]; o.refused || !o.since.IsZero() {
			k.Objects = append(k.Objects, KeptObject{o.Ref, o.since, o.refused})
		}
	}
	for _, c := range slices.SortedFunc(maps.Keys(g.pending), events.Cause.Compare) {
		k.Pending = append(k.Pending, KeptCause{c, g.pending[c]})
	}
	for _, kind := range slices.Sorted(maps.Keys(g.defined)) {
		k.Defined = append(k.Defined, KeptKind{kind, g.defined[kind]})
	}
	return k
}

// Restore fills an empty graph with what was kept, and the objects of a state
// that the graph views.
func (g *Graph) Restore(k Kept, view func() []*Object) {
	for _, d := range k.Defined {
		g.defined[d.Kind] = d.Namespaced
	}
	objects := view()
	for _, o := range objects {
		g.link(o)
	}
	for _, x := range k.Objects {
		if o := g.at(x.Ref); o != nil {
			o.since, o.refused = x.Since, x.Refused
		}
	}
	for _, p := range k.Pending {
		g.pending[p.Cause] = p.Ref
		g.underway[p.Ref]++
	}
	for _, o := range objects {
		g.list(o)
	}
}
