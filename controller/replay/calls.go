package replay

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"rollcall/controller"
	"rollcall/events"
)

// spell is how long something was called for without a break.
type spell struct {
	since Link
	until events.Seq // the event that ended it; 0: none has
}

// holds reports whether the spell goes on after the event at a position.
func (s spell) holds(at events.Seq) bool { return s.since.Seq <= at && (s.until == 0 || s.until > at) }

// calls are what one thing calls for, and has called for since the last plan of
// its owner: no plan that is believed was decided before that one was known.
type calls []call

type call struct {
	controller.Call
	spell
}

// at returns since when a call has held at a position; zero: it did not.
func (cs calls) at(c controller.Call, seq events.Seq) Link {
	for _, x := range slices.Backward(cs) {
		if x.Call == c && x.holds(seq) {
			return x.since
		}
	}
	return Link{}
}

// update takes over what is called for after an event.
func (cs calls) update(found []controller.Call, at Link, known events.Seq) calls {
	for i := range cs {
		if x := &cs[i]; x.until == 0 && !slices.Contains(found, x.Call) {
			x.until = at.Seq
		}
	}
	cs = slices.DeleteFunc(cs, func(x call) bool { return x.until != 0 && x.until <= known })
	for _, c := range found {
		if !slices.ContainsFunc(cs, func(x call) bool { return x.Call == c && x.until == 0 }) {
			cs = append(cs, call{c, spell{since: at}})
		}
	}
	return cs
}

// into updates the calls of one of many things, and forgets a thing that has
// none.
func into[K comparable](m map[K]calls, k K, found []controller.Call, at Link, known events.Seq) {
	was := m[k]
	if len(was) == 0 && len(found) == 0 {
		return
	}
	if is := was.update(found, at, known); len(is) > 0 {
		m[k] = is
	} else {
		delete(m, k)
	}
}

// write names what a controller may write for a DaemonSet.
type write struct {
	kind events.Kind
	verb string
	key  events.Key
}

// writeOf returns the write that an event tells of.
func writeOf(e events.Event) write {
	r := events.RefOf(e)
	for _, verb := range [...]string{events.VerbCreated, events.VerbUpdated, events.VerbDeleted} {
		if e.Type == events.ObjectType(r.Kind, verb) {
			return write{r.Kind, verb, r.Key}
		}
	}
	return write{}
}

// spells are the times in which one write was called for, the last few of them.
type spells []spellOf

type spellOf struct {
	ds types.UID // that called for it
	spell
}

// maxSpells bounds the spells that are kept of a write that is never made.
const maxSpells = 8

// since returns since when a write was called for that came at a position. It
// was decided after the last fact about its object, which is its fence; when is
// not told, so where there was more than one spell since then, nobody knows. It is
// certain if the write was called for until it came, whatever was before that.
func (ss spells) since(fence, at events.Seq) (l Link, certain bool) {
	for _, x := range ss {
		switch {
		case x.until != 0 && x.until <= fence:
		case x.holds(at - 1):
			return x.since, true
		case l.IsZero():
			l = x.since
		default:
			return Link{}, false
		}
	}
	return l, false
}

// writesOf takes over which writes are called for by a DaemonSet after an event.
func (t *tracker) writesOf(ds types.UID, ws []controller.Write, at Link) {
	was := t.called[ds]
	if len(was) == 0 && len(ws) == 0 {
		return
	}
	var is []write
	for _, w := range ws {
		is = append(is, write{w.Kind, w.Verb, events.Key{Namespace: w.Object.GetNamespace(), Name: w.Object.GetName()}})
	}
	for _, w := range was {
		if !slices.Contains(is, w) {
			for i := range t.writes[w] {
				if x := &t.writes[w][i]; x.ds == ds && x.until == 0 {
					x.until = at.Seq
				}
			}
		}
	}
	for _, w := range is {
		if ss := t.writes[w]; !slices.Contains(was, w) {
			t.writes[w] = append(ss[max(0, len(ss)-maxSpells+1):], spellOf{ds, spell{since: at}})
		}
	}
	t.called[ds] = is
}
