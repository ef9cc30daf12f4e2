package page

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sort"

	"rollcall/controller/grid"
	"rollcall/controller/replay"
	"rollcall/events"
)

// Classes of events, by which the time bar counts them.
var classes = []string{"pods", "nodes", "plans", "daemonsets", "notes and holds", "others"}

// classOf returns the class of what a subject is of.
func classOf(of string) byte {
	switch of {
	case "pod":
		return 0
	case "node":
		return 1
	case "plan", "outcome":
		return 2
	case "daemonset", "controllerrevision":
		return 3
	case "note", "hold", "told":
		return 4
	}
	return 5
}

// index is what the page knows of every event without reading it: when it was
// stored, and of what class it is. It is nine bytes an event.
type index struct {
	first events.Seq // of the first event
	times []int64    // in milliseconds since 1970
	class []byte
	nodes *grid.Nodes
	told  []events.Seq // notes and holds
	plans []events.Seq

	ahead []heard // events that follow, and need not be read
}

func newIndex() *index { return &index{nodes: grid.NewNodes()} }

// scanner is a log that can be read without decoding.
type scanner interface {
	Scan(ctx context.Context, after events.Seq, look func(raw []byte) any) iter.Seq2[events.Event, error]
}

// bare reads a log for who needs only where and when an event is, and of what.
func bare(ctx context.Context, log replay.Log, after events.Seq) iter.Seq2[events.Event, error] {
	if s, ok := log.(scanner); ok {
		return s.Scan(ctx, after, nil)
	}
	return log.Read(ctx, after)
}

// read takes the events that the index does not have.
func (x *index) read(ctx context.Context, h *replay.History, log replay.Log) error {
	span := h.Span()
	after := span.First - 1 + events.Seq(len(x.times))
	if len(x.times) == 0 {
		x.first = span.First
		s, err := h.Begin(ctx)
		if err != nil {
			return err
		}
		for _, n := range s.List(events.Node, "") {
			x.nodes.See(n.Key.Name, after)
		}
	}
	for _, e := range x.ahead {
		if e.seq == after+1 {
			x.take(e)
			after = e.seq
		}
	}
	x.ahead = nil
	if after >= span.Last {
		return nil
	}
	for e, err := range bare(ctx, log, after) {
		if err != nil {
			return err
		}
		x.take(heard{e.Seq, e.Stored, e.Subject})
		if e.Seq >= span.Last {
			break
		}
	}
	return nil
}

// hear is told of events that others have read. Nil hears nothing.
func (x *index) hear(all []heard) {
	if x != nil && len(x.times) > 0 {
		i, _ := slices.BinarySearchFunc(all, x.last()+1, func(h heard, seq events.Seq) int { return cmp.Compare(h.seq, seq) })
		x.ahead = append(x.ahead[:0], all[i:]...)
	}
}

// take notes the next event. Times never step back.
func (x *index) take(e heard) {
	of, key := events.Under(e.subject)
	switch of {
	case "node":
		x.nodes.See(key.Name, e.seq)
	case "note", "hold":
		x.told = append(x.told, e.seq)
	case "plan":
		x.plans = append(x.plans, e.seq)
	}
	ms := e.stored.UnixMilli()
	if n := len(x.times); n > 0 {
		ms = max(ms, x.times[n-1])
	}
	x.times, x.class = append(x.times, ms), append(x.class, classOf(of))
}

// at returns when an event was stored, in milliseconds since 1970.
func (x *index) at(seq events.Seq) int64 {
	return x.times[min(max(int(seq)-int(x.first), 0), len(x.times)-1)]
}

// last is the position up to which the index goes.
func (x *index) last() events.Seq { return x.first + events.Seq(len(x.times)) - 1 }

// before returns the last position that was stored before a time, or the first.
func (x *index) before(ms int64) events.Seq {
	i := sort.Search(len(x.times), func(i int) bool { return x.times[i] >= ms })
	return x.first + events.Seq(max(i-1, 0))
}

// histogram is how many events of each class there are in stretches of the log.
type histogram struct {
	From    events.Seq `json:"from"`
	To      events.Seq `json:"to"`
	Classes []string   `json:"classes"`
	Ends    []int64    `json:"ends"`   // the last position of each stretch
	Times   []int64    `json:"times"`  // when that was stored, in milliseconds since 1970
	Counts  [][]int    `json:"counts"` // by class, then by stretch
}

// density counts the events from one position to another in so many stretches of
// as many events, or of as much time each.
func (x *index) density(from, to events.Seq, stretches int, byTime bool) *histogram {
	from, to = max(from, x.first), min(to, x.last())
	d := &histogram{From: from, To: to, Classes: classes, Ends: []int64{}, Times: []int64{}}
	d.Counts = make([][]int, len(classes))
	n := int64(to-from) + 1
	stretches = min(stretches, int(n))
	begin, length := x.at(from), x.at(to)-x.at(from)+1
	seq := from
	for i := range int64(stretches) {
		end := from + events.Seq(n*(i+1)/int64(stretches)) - 1
		if byTime {
			end = x.before(begin + length*(i+1)/int64(stretches))
		}
		for c := range classes {
			d.Counts[c] = append(d.Counts[c], 0)
		}
		for ; seq <= end; seq++ {
			d.Counts[x.class[seq-x.first]][i]++
		}
		d.Ends, d.Times = append(d.Ends, int64(end)), append(d.Times, x.at(end))
	}
	return d
}
