package replay

import (
	"time"

	"rollcall/events"
	"rollcall/events/wire"
)

// skew is how far what one watch tells may be behind what another does. Before so
// much log time has passed nothing is judged.
const skew = 2 * time.Second

// order puts the facts of a record into the order in which they came about, as far as
// they were told within skew: that of the revisions of the cluster's store. What is
// folded is a log with the same events in another order, numbered anew; of one object
// the order stays. What has no revision stays where it is.
type order struct {
	next    events.Seq // the position that the next event is folded at
	last    time.Time  // when the last that was folded was stored, in the new order
	newest  uint64     // the highest revision that was told
	shadow  bool       // the log is a record here; else all stays as it is
	waiting []ordered
}

// ordered is an event that is folded at a position of its own.
type ordered struct {
	events.Event
	at    events.Seq // its true position
	heard time.Time  // its true time
	rv    uint64
}

// take takes the next event of the log, and returns those that need not wait any more.
func (o *order) take(e events.Event) (out []ordered) {
	x := ordered{Event: e, at: e.Seq, heard: e.Stored, rv: o.newest}
	if c, ok := e.Body.(events.Charter); ok || !o.shadow {
		out = o.all()
		if ok {
			o.shadow, o.newest = c.Mode == events.Shadow, 0
		}
		return append(out, o.number(x))
	}
	if rv := revisionOf(e); rv > 0 {
		x.rv = rv
	}
	o.newest = max(o.newest, x.rv)
	i, about := len(o.waiting), events.RefOf(e)
	for i > 0 && o.waiting[i-1].rv > x.rv && !sameName(events.RefOf(o.waiting[i-1].Event), about) {
		i--
	}
	o.waiting = append(o.waiting, ordered{})
	copy(o.waiting[i+1:], o.waiting[i:])
	o.waiting[i] = x
	return o.ripe(x.heard)
}

// ripe returns those that need not wait any more at a time.
func (o *order) ripe(at time.Time) []ordered {
	last := -1
	for i, w := range o.waiting {
		if !w.heard.Add(skew).After(at) {
			last = i
		}
	}
	return o.cut(last + 1)
}

// all returns all that waits.
func (o *order) all() []ordered { return o.cut(len(o.waiting)) }

func (o *order) cut(n int) (out []ordered) {
	for _, x := range o.waiting[:n] {
		out = append(out, o.number(x))
	}
	o.waiting = append(o.waiting[:0], o.waiting[n:]...)
	return out
}

// number gives an event its place in the new order.
func (o *order) number(x ordered) ordered {
	x.Seq = o.next
	o.next++
	if x.Stored.Before(o.last) && o.shadow {
		x.Stored = o.last
	}
	o.last = x.Stored
	return x
}

func sameName(a, b events.Ref) bool { return a.Kind == b.Kind && a.Key == b.Key }

// revisionOf returns the revision of the cluster's store that a fact is of; 0: it does
// not say.
func revisionOf(e events.Event) (rv uint64) {
	var object []byte
	switch b := e.Body.(type) {
	case events.Object:
		object = b.Data
	case events.Gone:
		object = b.Data
	}
	if e.Source == events.SourceRelist || object == nil {
		return 0
	}
	for _, c := range wire.Text(wire.Field(object, "metadata"), "resourceVersion") {
		if c < '0' || c > '9' {
			return 0
		}
		rv = rv*10 + uint64(c-'0')
	}
	return rv
}
