package grid

import (
	"maps"
	"slices"
	"sort"

	"rollcall/events"
)

// Nodes are all nodes that a log has told of, in the order in which it did: a node
// has the same place at every position, and those of an earlier position are the
// first of those of a later one.
type Nodes struct {
	names []string
	seen  []events.Seq
	index map[string]int
}

// NewNodes returns the nodes of a log of which nothing was read.
func NewNodes() *Nodes { return &Nodes{index: map[string]int{}} }

// See notes that an event is about a node.
func (n *Nodes) See(name string, seq events.Seq) {
	if _, known := n.index[name]; !known {
		n.index[name] = len(n.names)
		n.names, n.seen = append(n.names, name), append(n.seen, seq)
	}
}

// Upto returns how many nodes the log has told of up to a position.
func (n *Nodes) Upto(seq events.Seq) int {
	return sort.Search(len(n.seen), func(i int) bool { return n.seen[i] > seq })
}

// Names returns the names by place. Nobody changes them.
func (n *Nodes) Names() []string { return n.names }

// Clone returns nodes that go on by themselves.
func (n *Nodes) Clone() *Nodes {
	return &Nodes{slices.Clone(n.names), slices.Clone(n.seen), maps.Clone(n.index)}
}
