package replay

import (
	appsv1 "k8s.io/api/apps/v1"

	"rollcall/events"
	"rollcall/projector/sets"
)

// numbers are those of a DaemonSet's status that its cells give.
type numbers [7]int64

func countedOf(ds *sets.DaemonSet) numbers {
	c := ds.Counts
	return numbers{ds.Object.Generation, int64(c.Desired), int64(c.Scheduled), int64(c.Misscheduled), int64(c.Ready), int64(c.Updated), int64(c.Available)}
}

func writtenIn(s *appsv1.DaemonSetStatus) numbers {
	return numbers{s.ObservedGeneration, int64(s.DesiredNumberScheduled), int64(s.CurrentNumberScheduled), int64(s.NumberMisscheduled),
		int64(s.NumberReady), int64(s.UpdatedNumberScheduled), int64(s.NumberAvailable)}
}

// counted are the numbers that a DaemonSet had since its last fact, and when.
type counted struct {
	written numbers // of its status
	spells  []numbersSpell
}

type numbersSpell struct {
	numbers
	since Link
}

// statusFrom returns the event since which a DaemonSet's cells had the numbers
// that a status says which is written at a position; zero: the numbers are those
// of the status before, so that it is a condition that has changed, or nobody
// knows, because there was more than one such time.
func (t *tracker) statusFrom(ds *sets.DaemonSet) Link {
	c := t.counted[ds.UID]
	is := writtenIn(&ds.Object.Status)
	if c == nil || c.written == is {
		return Link{}
	}
	var l Link
	for _, x := range c.spells {
		switch {
		case x.numbers != is:
		case l.IsZero():
			l = x.since
		default:
			return Link{}
		}
	}
	return l
}

// count notes the numbers of a DaemonSet after an event. After a fact about it
// only those matter that it has now: a status is fenced by it.
func (t *tracker) count(ds *sets.DaemonSet, e events.Event) {
	c := t.counted[ds.UID]
	if c == nil {
		c = &counted{}
		t.counted[ds.UID] = c
	}
	is, n := countedOf(ds), len(c.spells)
	if n == 0 || c.spells[n-1].numbers != is {
		c.spells = append(c.spells, numbersSpell{is, eventLink(e.Seq)})
		n++
	}
	if ds.Seq == e.Seq || n > maxCounted {
		c.written, c.spells = writtenIn(&ds.Object.Status), c.spells[n-1:]
	}
}

// maxCounted bounds the numbers that are kept of a DaemonSet whose status nobody
// writes.
const maxCounted = 1000
