package events

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"rollcall/events/wire"
)

// WireVersion is written in every envelope. A reader refuses a newer one.
const WireVersion = 1

// encoder writes msgpack through the library and keeps its first error, so
// that an envelope is written as a list of fields.
type encoder struct {
	buf bytes.Buffer
	enc *msgpack.Encoder
	err error
}

func newEncoder() *encoder {
	w := &encoder{}
	w.enc = msgpack.NewEncoder(&w.buf)
	w.enc.UseCompactInts(true)
	return w
}

func (w *encoder) do(err error) {
	if w.err == nil {
		w.err = err
	}
}
func (w *encoder) mapLen(n int)   { w.do(w.enc.EncodeMapLen(n)) }
func (w *encoder) arrayLen(n int) { w.do(w.enc.EncodeArrayLen(n)) }
func (w *encoder) int(n int64)    { w.do(w.enc.EncodeInt(n)) }

// str writes UTF-8, which readers in other languages insist on: a message may
// quote bytes that are not.
func (w *encoder) str(s string) { w.do(w.enc.EncodeString(strings.ToValidUTF8(s, "\ufffd"))) }

func (w *encoder) raw(b []byte) {
	if len(b) == 0 {
		w.do(w.enc.EncodeNil())
		return
	}
	w.do(w.enc.Encode(msgpack.RawMessage(b)))
}

// The years whose nanoseconds since 1970 fit an integer of 64 bits.
const (
	firstYear = 1678
	lastYear  = 2261
)

// time writes nanoseconds since 1970; the zero time is nil.
func (w *encoder) time(t time.Time) {
	if t.IsZero() {
		w.do(w.enc.EncodeNil())
		return
	}
	if y := t.UTC().Year(); y < firstYear || y > lastYear {
		w.do(fmt.Errorf("time %s is outside the years %d to %d", t.UTC().Format(time.RFC3339), firstYear, lastYear))
	}
	w.int(t.UnixNano())
}

// field is one entry of a map: fields with a false first part are left out.
type field struct {
	key  string
	some bool
	put  func()
}

func (w *encoder) fields(fs ...field) {
	n := 0
	for _, f := range fs {
		if f.some {
			n++
		}
	}
	w.mapLen(n)
	for _, f := range fs {
		if f.some {
			w.str(f.key)
			f.put()
		}
	}
}

func (w *encoder) strField(key, v string) field {
	return field{key, v != "", func() { w.str(v) }}
}
func (w *encoder) intField(key string, v int) field {
	return field{key, v != 0, func() { w.int(int64(v)) }}
}
func (w *encoder) timeField(key string, t time.Time) field {
	return field{key, !t.IsZero(), func() { w.time(t) }}
}

// Encode returns the bytes of e as a log stores them: a msgpack map that any
// msgpack reader understands. Seq, Stored and Raw are not part of it.
func Encode(e Event) ([]byte, error) {
	w := newEncoder()
	fs := []field{
		{"v", true, func() { w.int(WireVersion) }},
		{"id", true, func() { w.str(e.ID.String()) }},
		w.strField("type", string(e.Type)),
		w.strField("source", e.Source),
		w.strField("actor", e.Actor),
		w.strField("verb", e.Verb),
		w.strField("manager", e.Manager),
		w.strField("change", e.Change),
		w.timeField("at", e.At),
		{"cause", !e.Cause.IsZero(), func() {
			w.arrayLen(2)
			w.int(int64(e.Cause.Seq))
			w.int(int64(e.Cause.Index))
		}},
	}
	switch b := e.Body.(type) {
	case Object:
		if !wire.IsMap(b.Data) {
			return nil, fmt.Errorf("encode event %s: the data of %s %s is no map", e.ID, b.Kind, b.Key)
		}
		fs = append(fs, w.refField(b.Ref), field{"object", true, func() { w.raw(b.Data) }})
	case Gone:
		if len(b.Data) > 0 && !wire.IsMap(b.Data) {
			return nil, fmt.Errorf("encode event %s: the data of %s %s is no map", e.ID, b.Kind, b.Key)
		}
		fs = append(fs, w.refField(b.Ref), field{"gone", true, func() { w.raw(b.Data) }})
	case *Plan:
		fs = append(fs, w.refField(b.Owner), field{"plan", true, func() { w.plan(b) }})
	case Outcome:
		fs = append(fs, w.refField(b.Owner), field{"outcome", true, func() { w.outcome(b) }})
	default:
		return nil, fmt.Errorf("encode event %s: no body that a log takes: %T", e.ID, e.Body)
	}
	w.fields(fs...)
	if w.err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, w.err)
	}
	return w.buf.Bytes(), nil
}

func (w *encoder) refField(r Ref) field {
	return field{"ref", r != Ref{}, func() {
		w.fields(w.strField("kind", string(r.Kind)), w.strField("namespace", r.Key.Namespace),
			w.strField("name", r.Key.Name), w.strField("uid", string(r.UID)))
	}}
}

func (w *encoder) basisField(b Basis) field {
	return field{"basis", true, func() { w.arrayLen(2); w.int(int64(b.Seq)); w.time(b.Now) }}
}

func (w *encoder) plan(p *Plan) {
	w.fields(
		w.basisField(p.Basis),
		w.strField("revision", p.Revision),
		field{"rollout", p.Rollout != Budget{}, func() { w.budget(p.Rollout) }},
		field{"commands", len(p.Commands) > 0, func() {
			w.arrayLen(len(p.Commands))
			for _, c := range p.Commands {
				w.command(c)
			}
		}},
		field{"waiting", len(p.Waiting) > 0, func() {
			w.arrayLen(len(p.Waiting))
			for _, x := range p.Waiting {
				w.fields(w.strField("node", x.Node), w.strField("for", string(x.For)), w.timeField("until", x.Until))
			}
		}},
		field{"held", len(p.Held) > 0, func() {
			w.arrayLen(len(p.Held))
			for _, x := range p.Held {
				w.fields(w.strField("for", string(x.For)), w.intField("nodes", x.Nodes))
			}
		}},
	)
}

func (w *encoder) budget(b Budget) {
	w.fields(w.intField("desired", b.Desired), w.intField("updated", b.Updated),
		w.intField("unavailable", b.Unavailable), w.intField("surging", b.Surging),
		w.intField("maxUnavailable", b.MaxUnavailable), w.intField("maxSurge", b.MaxSurge),
		w.intField("taken", b.Taken), w.intField("added", b.Added))
}

func (w *encoder) command(c Command) {
	w.fields(w.strField("do", string(c.Do)), w.refField(c.Ref),
		w.strField("node", c.Node), w.strField("nodeUID", string(c.NodeUID)),
		w.strField("revision", c.Revision), w.intField("attempt", c.Attempt),
		field{"owners", len(c.Owners) > 0, func() {
			w.arrayLen(len(c.Owners))
			for _, uid := range c.Owners {
				w.str(string(uid))
			}
		}},
		w.strField("finalizer", c.Finalizer), w.strField("reason", string(c.Reason)))
}

func (w *encoder) outcome(o Outcome) {
	w.fields(field{"command", true, func() { w.command(o.Command) }},
		w.strField("reason", o.Reason), w.strField("message", o.Message))
}
