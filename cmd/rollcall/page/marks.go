package page

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
	"rollcall/projector/story"
)

// What a mark on the time bar is of.
const (
	markWrite   = "write"   // a person's, through the API
	markFailure = "failure" // of a pod or a node
	markStall   = "stall"   // of a rollout
	markNote    = "note"
	markHold    = "hold"
)

// maxMarks bounds the marks in one answer, and together is how near two of a kind
// are one.
const (
	maxMarks = 1000
	together = 2 * time.Second
)

// mark is something on the time bar that people look for.
type mark struct {
	Seq  events.Seq `json:"seq"` // the first of them
	Time time.Time  `json:"time"`
	Kind string     `json:"kind"`
	What string     `json:"what"`
	N    int        `json:"n"` // how many there were together

	last time.Time
}

// speaker is who has told events, and how many in each minute.
type speaker struct {
	minutes map[int64]int
}

// witness watches a log go by for what people look for in it. It is told of every
// event by take.
type witness struct {
	marks    []*mark
	speakers map[string]*speaker
	failing  map[events.Key]bool // pods
	ready    map[string]bool     // nodes
	stalled  map[events.Key]bool // DaemonSets
}

func newWitness() *witness {
	return &witness{speakers: map[string]*speaker{}, failing: map[events.Key]bool{}, ready: map[string]bool{}, stalled: map[events.Key]bool{}}
}

// sourceOf names who told an event.
func sourceOf(e events.Event) string {
	if e.Told != nil {
		return e.Told.Source
	}
	return cmp.Or(e.Source, "not known")
}

func (w *witness) take(s *projector.State, e events.Event) {
	x := w.speakers[sourceOf(e)]
	if x == nil {
		x = &speaker{minutes: map[int64]int{}}
		w.speakers[sourceOf(e)] = x
	}
	x.minutes[e.Stored.Unix()/60]++

	r := events.RefOf(e)
	switch of, _ := events.Under(e.Subject); {
	case of == markNote || of == markHold:
		w.mark(e, of, fmt.Sprintf("%s told by %s", e.Type, sourceOf(e)))
	case r.Kind == events.Pod:
		w.pod(s, e, r.Key)
	case r.Kind == events.Node:
		w.node(s, e, r.Key.Name)
	case r.Kind == events.DaemonSet:
		w.daemonSet(s, e, r.Key)
	}
	if e.Actor != "" && !strings.HasPrefix(e.Actor, "system:") && r.Kind != "" {
		w.mark(e, markWrite, fmt.Sprintf("%s by %s", e.Type, e.Actor))
	}
}

func (w *witness) pod(s *projector.State, e events.Event, key events.Key) {
	p := s.Pod(key)
	if p == nil {
		delete(w.failing, key)
		return
	}
	t := p.Trouble()
	fails := t.Reason != "" || p.Terminal()
	if fails && !w.failing[key] {
		w.mark(e, markFailure, "pods fail: "+cmp.Or(t.Reason, "ended"))
	}
	if fails {
		w.failing[key] = true
	} else {
		delete(w.failing, key)
	}
}

func (w *witness) node(s *projector.State, e events.Event, name string) {
	n := s.Node(name)
	ready := n != nil && n.Ready
	if n != nil && !ready && w.ready[name] {
		w.mark(e, markFailure, "nodes are lost")
	}
	w.ready[name] = ready
}

func (w *witness) daemonSet(s *projector.State, e events.Event, key events.Key) {
	d := s.DaemonSet(key)
	stalls := d != nil && stalls(d)
	if stalls && !w.stalled[key] {
		w.mark(e, markStall, "stalled: "+story.Stalled(d.Object))
	}
	w.stalled[key] = stalls
}

func stalls(d *sets.DaemonSet) bool { return story.Stalled(d.Object) != "" }

// mark notes one, or one more of those of a moment ago.
func (w *witness) mark(e events.Event, kind, what string) {
	for _, m := range slices.Backward(w.marks) {
		if e.Stored.Sub(m.last) > together {
			break
		}
		if m.Kind == kind && m.What == what {
			m.N, m.last = m.N+1, e.Stored
			return
		}
	}
	w.marks = append(w.marks, &mark{Seq: e.Seq, Time: e.Stored, Kind: kind, What: what, N: 1, last: e.Stored})
}

// marks are what the time bar marks, up to an instant: the last of them.
func marks(q *query) (string, any, error) {
	if _, err := q.courseToEnd(); err != nil {
		return "", nil, err
	}
	all := q.course.marks
	n, _ := slices.BinarySearchFunc(all, q.at.Seq+1, func(m *mark, seq events.Seq) int { return cmp.Compare(m.Seq, seq) })
	return "Marks", append([]*mark{}, all[max(0, n-maxMarks):n]...), nil
}

// rate is how much a source has told up to an instant.
type rate struct {
	Source string `json:"source"`
	Events int    `json:"events"`
	Recent int    `json:"recent"` // in the ten minutes before
	Minute int    `json:"minute"` // in the last of these
}

// rates are who has told the log how much, up to the minute of an instant.
func rates(q *query) (string, any, error) {
	if _, err := q.courseToEnd(); err != nil {
		return "", nil, err
	}
	all := []rate{}
	now := q.at.Time.Unix() / 60
	for _, name := range slices.SortedFunc(maps.Keys(q.course.speakers), strings.Compare) {
		x := rate{Source: name}
		for minute, n := range q.course.speakers[name].minutes {
			if minute > now {
				continue
			}
			x.Events += n
			if minute > now-10 {
				x.Recent += n
			}
			if minute == now {
				x.Minute += n
			}
		}
		if x.Events > 0 {
			all = append(all, x)
		}
	}
	return "Rates", all, nil
}
