package replay

import (
	"maps"
	"strings"
	"time"

	"rollcall/events"
	"rollcall/events/wire"
)

// component is who reports the Events of a cluster's DaemonSet controller.
const component = "daemonset-controller"

// A cluster's controllers tell so many Events of one object at once, and one more each
// refill; what is more is dropped (client-go's EventSourceObjectSpamFilter).
const (
	eventBurst  = 25
	eventRefill = 5 * time.Minute
)

// evidence is what Events of the cluster say of who did what.
type evidence struct {
	made, ended map[events.Key]time.Time // pods that the DaemonSet controller says it has made, or deleted, and when it did
	refused     map[events.Key]time.Time // DaemonSets of which it says that the cluster refused something, and when last
	spent       map[events.Key]*spent
}

// spent is how many Events were told of a DaemonSet.
type spent struct {
	n  float64 // that are not made up for at
	at time.Time
}

func newEvidence() evidence {
	return evidence{map[events.Key]time.Time{}, map[events.Key]time.Time{}, map[events.Key]time.Time{}, map[events.Key]*spent{}}
}

// take takes what an Event says of a DaemonSet.
func (x evidence) take(ds events.Key, is events.KubeEvent, at time.Time) {
	if is.Component != component {
		return
	}
	s := x.spent[ds]
	if s == nil {
		s = &spent{}
		x.spent[ds] = s
	}
	s.n, s.at = s.left(at)+1, at
	i := strings.LastIndex(is.Message, ": ")
	pod := events.Key{Namespace: ds.Namespace, Name: is.Message[i+1:]}
	pod.Name = strings.TrimSpace(pod.Name)
	switch is.Reason {
	case "SuccessfulCreate":
		x.made[pod] = at
	case "SuccessfulDelete":
		x.ended[pod] = at
	case "FailedCreate", "FailedDelete", "FailedPlacement":
		x.refused[ds] = at
	}
}

func (s *spent) left(at time.Time) float64 {
	return max(0, s.n-float64(at.Sub(s.at))/float64(eventRefill))
}

// crowded reports whether the controller may have had no more Events to tell.
func (x evidence) crowded(ds events.Key, at time.Time) bool {
	s := x.spent[ds]
	return s != nil && s.left(at) > eventBurst-1
}

// of returns who says that it did an act; empty: nobody does.
func (x evidence) of(a *act) string {
	pod := events.Key{Namespace: a.owner.Namespace, Name: strings.TrimPrefix(a.Object, "pod/")}
	if a.Do == events.CreatePod && !x.made[pod].IsZero() || a.Do == events.DeletePod && !x.ended[pod].IsZero() {
		return component
	}
	return ""
}

// forget drops what was said of pods before a time.
func (x evidence) forget(before time.Time) {
	for _, of := range []map[events.Key]time.Time{x.made, x.ended} {
		maps.DeleteFunc(of, func(_ events.Key, at time.Time) bool { return at.Before(before) })
	}
}

// note takes what a note says.
func (w *shadow) note(n events.Note, e events.Event) {
	switch e.Told.Type {
	case events.NoteKubeEvent:
		var is events.KubeEvent
		if wire.Unmarshal(e.Told.Data, &is) != nil || e.Told.Source != events.SourceKube {
			return
		}
		for _, r := range n.Objects {
			if r.Kind == events.DaemonSet {
				w.evidence.take(r.Key, is, e.Stored)
			}
		}
	case events.NoteRelisted:
		var is events.Relisted
		if wire.Unmarshal(e.Told.Data, &is) != nil || e.Told.Source != events.SourceKube {
			return
		}
		w.gaps = append(w.gaps, gap{events.Kind(is.Resource), is.From, is.To, e.Stored})
		w.patient = e.Stored
	}
}
