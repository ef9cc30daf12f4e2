package kube

import (
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"rollcall/events"
	"rollcall/projector/table"
)

// Lanes say which facts a log gets of what a cluster says. An object's lane is what
// the log has of it already, so that whoever asks again after a restart is answered
// the same: what is not later than that is told no more.
//
// Of one kind things are told in the order in which they are heard, and a thing only
// when those of its kind before it are in the log.
type Lanes struct {
	Subjects events.Subjects
	Objects  *table.Tables // of the log, as far as it was appended
	Scope    events.Scope
	AllPods  bool // not only those that have to do with DaemonSets
	Epoch    int  // of the cluster
	// Since is the position from which on revisions are of this epoch: those of facts
	// before it say nothing.
	Since events.Seq
	// Missed returns what the log does not have as it is, since it did not take it.
	Missed func() []events.Ref

	match func(events.Key, map[string]string) bool
}

// Tell returns the event that s is worth; ok is false if it is worth none. again: s
// has to be told of once more when that event is in the log.
func (l *Lanes) Tell(s *Seen) (e events.Entry, ok, again bool) {
	was := l.Objects.Get(s.Kind, s.Key)
	switch {
	case was == nil && (s.Gone || !l.looksAt(s)):
		return e, false, false
	case was == nil:
		return l.entry(s, events.VerbCreated, nil), true, false
	case s.RV < l.known(was) || s.RV == l.known(was) && !s.Missing:
		return e, false, false
	case s.Gone && s.Missing:
		e = l.entry(s, events.VerbDeleted, was)
		e.Source, e.Change = SourceMissing, fmt.Sprintf("not in the list at revision %d", s.RV)
		return e, true, false
	case s.Gone:
		return l.entry(s, events.VerbDeleted, was), true, false
	case was.UID != s.UID:
		gone := &Seen{Object: was.Object, RV: s.RV - 1, Gone: true, Missing: true} // before the other
		e = l.entry(gone, events.VerbDeleted, was)
		e.Source, e.Change = SourceMissing, "another of this name is there"
		return e, true, true
	case !events.Worth(was.Object, s.Object) && !l.misses(s.Ref):
		return e, false, false
	}
	return l.entry(s, events.VerbUpdated, was), true, false
}

// misses reports whether an object is one of those that Missed returns.
func (l *Lanes) misses(r events.Ref) bool {
	return slices.ContainsFunc(l.Missed(), func(m events.Ref) bool { return m.Kind == r.Kind && m.Key == r.Key })
}

// known is the revision at which the log has an object.
func (l *Lanes) known(was *table.Item) uint64 {
	if events.Seq(was.Rev) <= l.Since {
		return 0
	}
	return RVOf(was.Data)
}

// entry is the event that s is what a verb says, behind what the log has.
func (l *Lanes) entry(s *Seen, verb string, was *table.Item) events.Entry {
	typ := events.ObjectType(s.Kind, verb)
	e := events.Entry{Event: events.Event{ID: factID(l.Epoch, s, typ), Type: typ, Source: source, Body: s.Object}, Bound: true}
	var before []byte
	e.Expect.Subject = l.Subjects.Object(s.Kind, s.Key)
	if was != nil {
		before, e.Expect.Last = was.Data, events.Seq(was.Rev)
	}
	if s.Gone {
		last := events.Gone{Ref: s.Ref, Data: s.Data}
		if s.Missing || s.UID != was.UID {
			// Whatever was heard of it until then is old.
			last = events.Gone{Ref: was.Ref, Data: stamped(was.Data, s.RV)}
		}
		e.Body = last
		return e
	}
	h := s.by(before)
	e.Manager, e.Verb = h.manager, h.verb
	return e
}

// Over reports whether the last event of an object, which is not there, says that it
// was gone at or after the revision of s: then s is old.
func (l *Lanes) Over(s *Seen, last *events.Event) bool {
	gone, ok := last.Body.(events.Gone)
	return ok && last.Seq > l.Since && RVOf(gone.Data) >= s.RV
}

// looksAt reports whether an object that the log does not have is one to be recorded.
// One that it has is told of until it is gone.
func (l *Lanes) looksAt(s *Seen) bool {
	switch s.Kind {
	case events.DaemonSet:
		return s.Key != probeKey && l.inScope(s.Key, s.labels)
	case events.Pod, events.ControllerRevision:
		if s.Kind == events.Pod && l.AllPods {
			return len(l.Scope.Namespaces) == 0 || slices.Contains(l.Scope.Namespaces, s.Key.Namespace)
		}
		return l.belongs(s)
	}
	return true
}

func (l *Lanes) inScope(ds events.Key, has map[string]string) bool {
	if l.match == nil {
		l.match = l.Scope.Match()
	}
	return l.match(ds, has)
}

// belongs reports whether a DaemonSet in scope controls an object, or would adopt it.
// Without a selector no DaemonSet has to be known for that.
func (l *Lanes) belongs(s *Seen) bool {
	if c := s.owner; c != nil {
		if c.Kind != string(events.DaemonSet) || groupOf(c) != events.DaemonSet.Group() {
			return false
		}
		owner := events.Key{Namespace: s.Key.Namespace, Name: c.Name}
		if owner == probeKey {
			return false
		}
		if l.Scope.Selector == "" {
			return l.inScope(owner, nil)
		}
		return l.Objects.Get(events.DaemonSet, owner) != nil
	}
	rows, _ := l.Objects.Of(events.DaemonSet).Snapshot()
	found := false
	rows.From(s.Key.Namespace+"/", "", func(i *table.Item) bool {
		selector := selectorOf(i.Object)
		found = selector != nil && selector.Matches(labels.Set(s.labels))
		return !found
	})
	return found
}

func groupOf(c *metav1.OwnerReference) string {
	for i := range c.APIVersion {
		if c.APIVersion[i] == '/' {
			return c.APIVersion[:i]
		}
	}
	return ""
}

// selectorOf returns the selector of a DaemonSet; nil: it selects nothing.
func selectorOf(o events.Object) labels.Selector {
	var ds appsv1.DaemonSet
	if o.Decode(&ds) != nil {
		return nil
	}
	selector, err := metav1.LabelSelectorAsSelector(ds.Spec.Selector)
	if err != nil || selector.Empty() {
		return nil
	}
	return selector
}

// Missing returns what a list does not have that the log has: it is gone. listed says
// what of a kind the list at a revision has.
func (l *Lanes) Missing(kind events.Kind, rv uint64, listed map[events.Key]bool) (gone []*Seen) {
	rows, _ := l.Objects.Of(kind).Snapshot()
	rows.Scan(func(i *table.Item) bool {
		if !listed[i.Key] && l.known(i) <= rv {
			gone = append(gone, &Seen{Object: i.Object, RV: rv, Gone: true, Missing: true})
		}
		return true
	})
	return gone
}

// Rewound reports whether a list, which is not older than what was heard before, has
// an object as it was before the log knew it: the store of the cluster went back.
func (l *Lanes) Rewound(s *Seen) bool {
	if !s.Listed {
		return false
	}
	was := l.Objects.Get(s.Kind, s.Key)
	return was != nil && was.UID == s.UID && s.RV < l.known(was)
}

// Charter makes the entry of a charter, behind the last one.
func Charter(subjects events.Subjects, id ulid.ULID, c events.Charter, last events.Seq) events.Entry {
	return events.Entry{Event: events.Event{ID: id, Type: events.Chartered, Source: source, Body: c},
		Expect: events.Expect{Subject: subjects.Charter(), Last: last}}
}
