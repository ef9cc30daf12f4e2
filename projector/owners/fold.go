package owners

import (
	"maps"
	"slices"

	"rollcall/events"
)

// Begin is called first for every event.
func (g *Graph) Begin() { g.reviewed = g.reviewed[:0] }

// Put takes over what an object is now, and looks again at whatever that may
// concern.
func (g *Graph) Put(o *Object) {
	old := g.objects[place{o.Kind, o.Key}]
	if old != nil && old.UID != o.UID {
		g.drop(old)
		old = nil
	}
	if old != nil {
		g.unlink(old)
		o.since = old.since
	}
	g.link(o)
	g.list(o)
	g.reviewOwners(o)
	if old != nil {
		g.reviewOwners(old)
	}
	if old == nil || old.Deleting != o.Deleting || old.Orphaning() != o.Orphaning() || old.Waiting() != o.Waiting() {
		g.ReviewDependents(o.Ref)
	}
}

// Define takes over that the log has a definition of a custom kind, and looks
// again at what says that such an object owns it.
func (g *Graph) Define(kind events.Kind, namespaced bool) {
	if was, ok := g.defined[kind]; ok && was == namespaced {
		return
	}
	g.defined[kind] = namespaced
	for _, o := range slices.SortedFunc(maps.Values(g.objects), compareObjects) {
		if !slices.ContainsFunc(o.Owners, func(x Owner) bool { return x.Kind == kind }) {
			continue
		}
		g.unlink(o)
		o.Owners = slices.Clone(o.Owners)
		for i := range o.Owners {
			if x := &o.Owners[i]; x.Kind == kind {
				x.know(true, namespaced, o.Key.Namespace)
			}
		}
		g.link(o)
		g.list(o)
	}
}

// Drop forgets an object that is gone, or that the graph needs no more. It
// reports whether the graph had it.
func (g *Graph) Drop(kind events.Kind, key events.Key) bool {
	o := g.objects[place{kind, key}]
	if o == nil {
		return false
	}
	g.drop(o)
	return true
}

func (g *Graph) drop(o *Object) {
	g.unlink(o)
	g.reviewOwners(o)
	g.ReviewDependents(o.Ref)
}

// Review looks again at an object of which the cluster says something else now.
func (g *Graph) Review(kind events.Kind, key events.Key) {
	if o := g.objects[place{kind, key}]; o != nil {
		g.list(o)
	}
}

// ReviewDependents looks again at what an object owns.
func (g *Graph) ReviewDependents(of events.Ref) {
	if len(g.dependents) == 0 {
		return
	}
	if d := g.dependents[of]; d != nil {
		d.objects.Scan(func(o *Object) bool { g.list(o); return true })
	}
}

// Plan makes the commands of a plan of the garbage collector pending.
func (g *Graph) Plan(seq events.Seq, commands []events.Command) {
	for i, c := range commands {
		g.pending[events.Cause{Seq: seq, Index: i}] = c.Ref
		g.underway[c.Ref]++
		if o := g.at(c.Ref); o != nil {
			g.list(o)
		}
	}
}

// Settle ends a command of the garbage collector. After one that failed the
// object is left alone until something else happens to it.
func (g *Graph) Settle(cause events.Cause, failed bool) {
	ref, ok := g.pending[cause]
	if !ok {
		return
	}
	delete(g.pending, cause)
	if g.underway[ref]--; g.underway[ref] == 0 {
		delete(g.underway, ref)
	}
	if o := g.at(ref); o != nil {
		o.refused = failed
		g.list(o)
	}
}
