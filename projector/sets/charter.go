package sets

import (
	"cmp"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
)

// Collects reports whether owners, namespaces and nodes of the log are looked after
// by who reads it. Else the cluster does that, and of two facts about objects of
// different kinds nobody knows which happened first.
func (s *Sets) Collects() bool { return s.charter == nil || s.charter.Collects }

// foldCharter takes over a charter, and looks at every DaemonSet and pod anew.
func (s *Sets) foldCharter(c *events.Charter) {
	s.charter = c
	for p := range s.Pods() {
		s.claim(p)
	}
	for _, d := range s.AllSets() {
		s.adviseOf(d)
		d.load(d.Object, d.Seq, d.raw)
		d.Unknown = d.unknown()
		s.recountAll(d)
	}
}

// newDaemonSet returns a DaemonSet under the charter.
func (s *Sets) newDaemonSet(key events.Key, uid types.UID) *DaemonSet {
	d := newDaemonSet(key, uid)
	s.adviseOf(d)
	return d
}

// adviseOf tells a DaemonSet what the charter says.
func (s *Sets) adviseOf(d *DaemonSet) {
	d.chartered, d.collects, d.budget = s.charter != nil, s.Collects(), events.BudgetDefault
	if s.charter != nil {
		d.budget = cmp.Or(s.charter.Budget, d.budget)
	}
}

// stray notes since when a pod is made for a node that the log does not tell of,
// where that has to be waited for.
func (s *Sets) stray(p *Pod) {
	switch {
	case s.Collects() || p.Node == "" || p.NodeUID != "":
		p.Astray = time.Time{}
	case p.Astray.IsZero():
		p.Astray = s.now
	}
}

// templateGeneration reads the generation of a template; 0: it is none.
func templateGeneration(text string) int64 {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	return 0
}

// IsNew reports whether a pod has the present template. Without a charter its
// revision says so. In a real cluster the generation of the template says so too, as
// for Kubernetes' own controller: what revisions hold may differ from the template by
// a default that an upgrade has added. A pod of a later generation than is known of
// the DaemonSet is told before it, and one that is older than the DaemonSet is of
// another of that name.
func (d *DaemonSet) IsNew(p *PodView) bool {
	return d.Current(p.Revision) || d.chartered && d.template > 0 && p.Template >= d.template && !p.Created.Before(d.Object.CreationTimestamp.Time)
}
