package projector

import (
	"slices"
	"time"

	"github.com/tidwall/btree"

	"rollcall/events"
)

// link enters an item where it is found by owner.
func (c *collector) link(it *Item) {
	c.items[itemKey{it.Kind, it.Key}] = it
	for _, r := range it.bonds() {
		b := c.broods[r]
		if b == nil {
			b = &brood{items: newItemTree()}
			c.broods[r] = b
		}
		b.items.Set(it)
		if it.blocks(r) {
			b.blocks++
		}
	}
}

func (c *collector) unlink(it *Item) {
	delete(c.items, itemKey{it.Kind, it.Key})
	for _, r := range it.bonds() {
		b := c.broods[r]
		b.items.Delete(it)
		if it.blocks(r) {
			b.blocks--
		}
		if b.items.Len() == 0 {
			delete(c.broods, r)
		}
	}
	c.left.Delete(it)
	c.adrift.Delete(it)
}

// bonds returns the owners that the log can say something about, each once.
func (it *Item) bonds() []events.Ref {
	var rs []events.Ref
	for _, o := range it.Owners {
		if o.Known && !slices.Contains(rs, o.Ref) {
			rs = append(rs, o.Ref)
		}
	}
	return rs
}

// putItem takes over what an object is now, and looks again at whatever that
// may concern.
func (s *State) putItem(it *Item) {
	k := itemKey{it.Kind, it.Key}
	old := s.items[k]
	if old != nil && old.UID != it.UID {
		s.dropItem(old)
		old = nil
	}
	if old != nil {
		s.unlink(old)
		it.since = old.since
	}
	s.link(it)
	s.review(it)
	s.reviewOwners(it)
	if old != nil {
		s.reviewOwners(old)
	}
	if old == nil || old.Deleting != it.Deleting || old.Orphaning() != it.Orphaning() || old.Waiting() != it.Waiting() {
		s.reviewDependents(it.Ref)
	}
}

// dropItem forgets an object that is gone, or that needs no item any more.
func (s *State) dropItem(it *Item) {
	if it == nil {
		return
	}
	s.unlink(it)
	s.reviewOwners(it)
	s.reviewDependents(it.Ref)
}

// review lists an item if it has a plight that no command is under way for.
func (s *State) review(it *Item) {
	s.left.Delete(it)
	s.adrift.Delete(it)
	it.plight = s.standing(it).Plight
	switch {
	case it.plight != Adrift:
		it.since = time.Time{}
	case it.since.IsZero():
		it.since = s.Time()
	}
	if s.wanted(it) {
		s.listed(it).Set(it)
	}
}

// listed returns where an item that something is to be done about is listed.
func (s *State) listed(it *Item) *btree.BTreeG[*Item] {
	if it.plight == Adrift {
		return s.adrift
	}
	return s.left
}

func (s *State) wanted(it *Item) bool {
	return it.plight != Content && !it.refused && s.under[it.Ref] == 0
}

// reviewOwners looks again at the owners of an item. What an owner waits for
// may be many bonds away when it waits in a circle.
func (s *State) reviewOwners(it *Item) {
	todo := it.bonds()
	for i := 0; i < len(todo); i++ {
		r := todo[i]
		if d := s.sets[r.Key]; r.Kind == events.DaemonSet && d != nil && d.Deleting() {
			s.mark(d)
		}
		owner := s.items[itemKey{r.Kind, r.Key}]
		if owner == nil || owner.UID != r.UID || !owner.Deleting {
			continue
		}
		s.review(owner)
		if !owner.Waiting() {
			continue
		}
		for _, r := range owner.bonds() {
			if !slices.Contains(todo, r) {
				todo = append(todo, r)
			}
		}
	}
}

func (s *State) reviewDependents(of events.Ref) {
	if len(s.broods) == 0 {
		return
	}
	if b := s.broods[of]; b != nil {
		s.reviewAll(b.items)
	}
}

func (s *State) reviewAll(items *btree.BTreeG[*Item]) {
	if items != nil {
		items.Scan(func(it *Item) bool { s.review(it); return true })
	}
}

// watchPod keeps the item of a pod, if it has one.
func (s *State) watchPod(p *Pod) {
	if p.plain() {
		s.dropItem(p.item)
		p.item = nil
		return
	}
	p.item = viewItem(p.Ref(), p.Object.Data)
	p.item.pod = p
	s.putItem(p.item)
}

// plain reports whether a pod has no item: a DaemonSet alone looks after it.
func (p *Pod) plain() bool { return p.ds != nil && p.Owners == 1 && !p.Cascades }

// watchNode keeps the item of a node that has owners or finalizers. All that
// others want to know is whether it is there.
func (s *State) watchNode(n *Node, fresh bool) {
	ref := events.Ref{Kind: events.Node, Key: events.Key{Name: n.Name}, UID: n.UID}
	old := s.items[itemKey{ref.Kind, ref.Key}]
	switch {
	case n.odd:
		s.putItem(viewItem(ref, n.Object.Data))
	case old != nil:
		s.dropItem(old)
	case fresh:
		s.reviewDependents(ref)
	}
	if fresh {
		s.reviewPods(n.Name)
	}
}

// forgetNode looks again at what a deleted node leaves behind.
func (s *State) forgetNode(ref events.Ref) {
	if it := s.items[itemKey{ref.Kind, ref.Key}]; it != nil {
		s.dropItem(it)
	} else {
		s.reviewDependents(ref)
	}
	s.reviewPods(ref.Key.Name)
}

func (s *State) reviewPods(node string) {
	for _, p := range s.onNode[node] {
		if p.item != nil {
			s.review(p.item)
		}
	}
}

// foldCollection makes the commands of the garbage collector pending.
func (s *State) foldCollection(e events.Event, p *events.Plan) {
	for i, x := range p.Commands {
		s.commands[events.Cause{Seq: e.Seq, Index: i}] = x.Ref
		s.under[x.Ref]++
		if it := s.items[itemKey{x.Ref.Kind, x.Ref.Key}]; it != nil && it.UID == x.Ref.UID {
			s.review(it)
		}
	}
}

// settleCollection ends a command of the garbage collector. After one that failed the
// object is left alone until something else happens to it.
func (s *State) settleCollection(cause events.Cause, e events.Event) {
	ref, ok := s.commands[cause]
	if !ok {
		return
	}
	delete(s.commands, cause)
	if s.under[ref]--; s.under[ref] == 0 {
		delete(s.under, ref)
	}
	if it := s.items[itemKey{ref.Kind, ref.Key}]; it != nil && it.UID == ref.UID {
		it.refused = e.Type == events.Failed
		s.review(it)
	}
}
