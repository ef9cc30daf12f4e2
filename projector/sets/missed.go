package sets

import (
	"slices"

	"rollcall/events"
)

// An object of a real cluster that the log does not take as it is, because it is too
// large or nobody can read it, is old in the log from there on. The DaemonSet that it
// has to do with is left alone until the log has the object as it is, or that it is gone.

// Note folds what a record says of objects that it does not have as they are: the first
// is the object, and the last the DaemonSet that it has to do with.
func (f Fold) Note(t *events.Told, n events.Note) {
	if f.s.charter == nil || t.Source != events.SourceKube || len(n.Objects) == 0 {
		return
	}
	switch of := n.Objects[len(n.Objects)-1]; t.Type {
	case events.NoteLarge, events.NoteStrange:
		if d := f.s.sets[of.Key]; of.Kind == events.DaemonSet && d != nil && d.UID == of.UID {
			f.s.miss(n.Objects[0], d)
		}
	case events.NoteGone:
		f.s.found(n.Objects[0])
	}
}

// unnumbered is a reference to whatever has the name, of which uid it is.
func unnumbered(r events.Ref) events.Ref { return events.Ref{Kind: r.Kind, Key: r.Key} }

// miss notes that the log does not have an object of a DaemonSet as it is.
func (s *Sets) miss(r events.Ref, d *DaemonSet) {
	if r = unnumbered(r); !d.chartered {
		return
	}
	if i, there := slices.BinarySearchFunc(d.Missed, r, events.Ref.Compare); !there {
		d.Missed = slices.Insert(d.Missed, i, r)
	}
	s.missed[r] = d
	s.mark(d)
}

// found notes that the log has an object as it is, or that it is gone.
func (s *Sets) found(r events.Ref) {
	if len(s.missed) == 0 {
		return
	}
	r = unnumbered(r)
	d := s.missed[r]
	if d == nil {
		return
	}
	delete(s.missed, r)
	if i, there := slices.BinarySearchFunc(d.Missed, r, events.Ref.Compare); there {
		d.Missed = slices.Delete(d.Missed, i, i+1)
	}
	s.mark(d)
}

// Missed returns what the log does not have as it is in the cluster, of all DaemonSets.
func (s *Sets) Missed() (all []events.Ref) {
	if len(s.missed) == 0 {
		return nil
	}
	for _, d := range s.order {
		all = append(all, d.Missed...)
	}
	return all
}
