package events

import (
	"bytes"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/vmihailenco/msgpack/v5"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events/wire"
)

// wireVersion is written in every envelope. A reader refuses a newer one.
const wireVersion = 1

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
func (w *encoder) str(s string)   { w.do(w.enc.EncodeString(s)) }
func (w *encoder) int(n int64)    { w.do(w.enc.EncodeInt(n)) }

func (w *encoder) raw(b []byte) {
	if len(b) == 0 {
		w.do(w.enc.EncodeNil())
		return
	}
	w.do(w.enc.Encode(msgpack.RawMessage(b)))
}

// time writes nanoseconds since 1970; the zero time is 0.
func (w *encoder) time(t time.Time) {
	if t.IsZero() {
		w.int(0)
		return
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
		{"v", true, func() { w.int(wireVersion) }},
		{"id", true, func() { w.str(e.ID.String()) }},
		w.strField("type", string(e.Type)),
		w.strField("source", e.Source),
		w.strField("actor", e.Actor),
		w.timeField("at", e.At),
		{"cause", !e.Cause.IsZero(), func() {
			w.arrayLen(2)
			w.int(int64(e.Cause.Seq))
			w.int(int64(e.Cause.Index))
		}},
	}
	switch b := e.Body.(type) {
	case Object:
		fs = append(fs, w.refField(b.Ref), field{"object", true, func() { w.raw(b.Data) }})
	case Gone:
		fs = append(fs, w.refField(b.Ref), field{"gone", true, func() { w.raw(b.Data) }})
	case *Plan:
		fs = append(fs, w.refField(RefOf(e)), field{"plan", true, func() { w.plan(b) }})
	case Outcome:
		fs = append(fs, w.refField(RefOf(e)), field{"outcome", true, func() { w.outcome(b) }})
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
	return field{"ref", true, func() {
		w.fields(w.strField("kind", string(r.Kind)), w.strField("namespace", r.Key.Namespace),
			w.strField("name", r.Key.Name), w.strField("uid", string(r.UID)))
	}}
}

func (w *encoder) plan(p *Plan) {
	w.fields(
		field{"basis", true, func() { w.arrayLen(2); w.int(int64(p.Basis.Seq)); w.time(p.Basis.Now) }},
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
	w.fields(w.strField("do", string(c.Do)), w.strField("pod", c.Pod), w.strField("uid", string(c.UID)),
		w.strField("node", c.Node), w.strField("nodeUID", string(c.NodeUID)),
		w.strField("revision", c.Revision), w.intField("attempt", c.Attempt), w.strField("reason", string(c.Reason)))
}

func (w *encoder) outcome(o Outcome) {
	w.fields(field{"command", true, func() { w.command(o.Command) }},
		w.strField("reason", o.Reason), w.strField("message", o.Message))
}

// Decode reads what Encode wrote. Bytes that are not an event of this version
// give an event with an Unreadable body, never an error: the reader decides.
func Decode(data []byte) Event {
	d := decoder{Cursor: wire.NewCursor(data)}
	e := d.event()
	e.Raw = data
	switch {
	case len(data) == 0:
		e.Body = Unreadable{"E-EVT-EMPTY", "payload is empty"}
	case d.Err() != nil:
		e.Body = Unreadable{"E-EVT-MSGPACK", d.Err().Error()}
	case d.version > wireVersion:
		e.Body = Unreadable{"E-EVT-VERSION", fmt.Sprintf("version %d needs a newer program (have %d)", d.version, wireVersion)}
	case e.Body == nil && d.why == "":
		e.Body = Unreadable{"E-EVT-KIND", fmt.Sprintf("type %q has no body", e.Type)}
	case d.why != "":
		e.Body = Unreadable{"E-EVT-MSGPACK", d.why}
	}
	return e
}

type decoder struct {
	wire.Cursor
	version int64
	ref     Ref
	why     string
}

// string copies the next string out of the input.
func (d *decoder) string() string { return string(d.Str()) }

func (d *decoder) time() time.Time {
	n := d.Int()
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func (d *decoder) event() (e Event) {
	for range d.Map() {
		switch string(d.Str()) {
		case "v":
			d.version = d.Int()
		case "id":
			id, err := ulid.ParseStrict(d.string())
			if err != nil {
				d.why = "id: " + err.Error()
			}
			e.ID = id
		case "type":
			e.Type = Type(intern(d.Str()))
		case "source":
			e.Source = intern(d.Str())
		case "actor":
			e.Actor = d.string()
		case "at":
			e.At = d.time()
		case "cause":
			if n := d.Array(); n == 2 {
				e.Cause = Cause{Seq(d.Int()), int(d.Int())}
			} else {
				d.why = fmt.Sprintf("cause has %d parts, want 2", n)
				for range n {
					d.Skip()
				}
			}
		case "ref":
			d.readRef()
		case "object":
			e.Body = Object{Ref: d.ref, Data: d.Value()}
		case "gone":
			if !d.Nil() {
				e.Body = Gone{Ref: d.ref, Data: d.Value()}
			} else {
				e.Body = Gone{Ref: d.ref}
			}
		case "plan":
			e.Body = d.plan()
		case "outcome":
			e.Body = d.outcome()
		default:
			d.Skip()
		}
	}
	return e
}

func (d *decoder) readRef() {
	for range d.Map() {
		switch string(d.Str()) {
		case "kind":
			d.ref.Kind = Kind(intern(d.Str()))
		case "namespace":
			d.ref.Key.Namespace = intern(d.Str())
		case "name":
			d.ref.Key.Name = d.string()
		case "uid":
			d.ref.UID = types.UID(d.Str())
		default:
			d.Skip()
		}
	}
	if d.ref.Key.Name == "" {
		d.why = "ref has no name"
	}
}

func (d *decoder) plan() *Plan {
	p := &Plan{DaemonSet: d.ref.Key, UID: d.ref.UID}
	for range d.Map() {
		switch string(d.Str()) {
		case "basis":
			if n := d.Array(); n == 2 {
				p.Basis = Basis{Seq(d.Int()), d.time()}
			} else {
				d.why = fmt.Sprintf("basis has %d parts, want 2", n)
				for range n {
					d.Skip()
				}
			}
		case "revision":
			p.Revision = d.string()
		case "rollout":
			p.Rollout = d.budget()
		case "commands":
			n := d.Array()
			p.Commands = make([]Command, 0, min(n, MaxCommands))
			for range n {
				p.Commands = append(p.Commands, d.command())
			}
		case "waiting":
			for range d.Array() {
				p.Waiting = append(p.Waiting, d.wait())
			}
		case "held":
			for range d.Array() {
				p.Held = append(p.Held, d.waitCount())
			}
		default:
			d.Skip()
		}
	}
	return p
}

func (d *decoder) budget() (b Budget) {
	for range d.Map() {
		key := string(d.Str())
		v := int(d.Int())
		switch key {
		case "desired":
			b.Desired = v
		case "updated":
			b.Updated = v
		case "unavailable":
			b.Unavailable = v
		case "surging":
			b.Surging = v
		case "maxUnavailable":
			b.MaxUnavailable = v
		case "maxSurge":
			b.MaxSurge = v
		case "taken":
			b.Taken = v
		case "added":
			b.Added = v
		}
	}
	return b
}

func (d *decoder) command() (c Command) {
	for range d.Map() {
		switch string(d.Str()) {
		case "do":
			c.Do = Verb(intern(d.Str()))
		case "pod":
			c.Pod = d.string()
		case "uid":
			c.UID = types.UID(d.Str())
		case "node":
			c.Node = d.string()
		case "nodeUID":
			c.NodeUID = types.UID(d.Str())
		case "revision":
			c.Revision = intern(d.Str())
		case "attempt":
			c.Attempt = int(d.Int())
		case "reason":
			c.Reason = Reason(intern(d.Str()))
		default:
			d.Skip()
		}
	}
	return c
}

func (d *decoder) wait() (x Wait) {
	for range d.Map() {
		switch string(d.Str()) {
		case "node":
			x.Node = d.string()
		case "for":
			x.For = Held(intern(d.Str()))
		case "until":
			x.Until = d.time()
		default:
			d.Skip()
		}
	}
	return x
}

func (d *decoder) waitCount() (x WaitCount) {
	for range d.Map() {
		switch string(d.Str()) {
		case "for":
			x.For = Held(intern(d.Str()))
		case "nodes":
			x.Nodes = int(d.Int())
		default:
			d.Skip()
		}
	}
	return x
}

func (d *decoder) outcome() Outcome {
	o := Outcome{DaemonSet: d.ref.Key, UID: d.ref.UID}
	for range d.Map() {
		switch string(d.Str()) {
		case "command":
			o.Command = d.command()
		case "reason":
			o.Reason = d.string()
		case "message":
			o.Message = d.string()
		default:
			d.Skip()
		}
	}
	return o
}

// intern returns one string for each of the few words that most events repeat,
// without an allocation.
func intern(b []byte) string {
	switch string(b) {
	case "pod.created":
		return "pod.created"
	case "pod.updated":
		return "pod.updated"
	case "pod.deleted":
		return "pod.deleted"
	case "node.updated":
		return "node.updated"
	case "daemonset.updated":
		return "daemonset.updated"
	case "daemonset.planned":
		return string(Planned)
	case "Pod":
		return string(Pod)
	case "Node":
		return string(Node)
	case "DaemonSet":
		return string(DaemonSet)
	case "CreatePod":
		return string(CreatePod)
	case "DeletePod":
		return string(DeletePod)
	case "Missing":
		return string(Missing)
	case "Rollout":
		return string(Rollout)
	case "kubelet":
		return "kubelet"
	case "executor":
		return "executor"
	case "controller":
		return "controller"
	}
	return string(b)
}
