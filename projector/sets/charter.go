package sets

import "rollcall/events"

// collects reports whether the owners, namespaces and nodes of the log are looked
// after by what reads it. Else the cluster does that, and of two facts about objects
// of different kinds nobody knows which happened first.
func (s *Sets) collects() bool { return s.charter == nil || s.charter.Collects }

// foldCharter takes over a charter.
func (s *Sets) foldCharter(c *events.Charter) {
	s.charter = c
	for _, d := range s.AllSets() {
		s.mark(d)
	}
}
