package grid

import (
	"maps"
	"slices"
)

// Label is a label of nodes: its values, and for each node, by its place, which of
// these it has; -1: none.
type Label struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
	Of     []int    `json:"of"`
}

// maxGroups bounds the values of a label by which nodes are grouped.
const maxGroups = 64

// Labels gathers the labels by which nodes can be grouped.
type Labels struct {
	nodes int
	byKey map[string]*Label
	value map[[2]string]int
}

// NewLabels returns the labels of so many nodes, of which none was seen.
func NewLabels(nodes int) *Labels {
	return &Labels{nodes, map[string]*Label{}, map[[2]string]int{}}
}

// See takes the labels of the node at a place.
func (x *Labels) See(place int, labels map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		v, l := labels[k], x.byKey[k]
		if l == nil {
			l = &Label{Key: k, Of: slices.Repeat([]int{-1}, x.nodes)}
			x.byKey[k] = l
		}
		if len(l.Values) > maxGroups {
			continue
		}
		at, known := x.value[[2]string{k, v}]
		if !known {
			at = len(l.Values)
			x.value[[2]string{k, v}], l.Values = at, append(l.Values, v)
		}
		l.Of[place] = at
	}
}

// All returns the labels by key, but for those with too many values.
func (x *Labels) All() []Label {
	all := []Label{}
	for _, k := range slices.Sorted(maps.Keys(x.byKey)) {
		if l := x.byKey[k]; len(l.Values) <= maxGroups {
			all = append(all, *l)
		}
	}
	return all
}
