package events

import (
	"fmt"

	"github.com/oklog/ulid/v2"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events/wire"
)

// Decode reads what Encode wrote. Bytes that are not an event of this version
// give an event with an Unreadable body, never an error: the reader decides.
// Fields that this version does not know are passed over. The event refers to
// data, which must not change afterwards.
func Decode(data []byte) Event {
	d := decoder{Cursor: wire.NewCursor(data)}
	e := d.event()
	e.Raw = data
	if code, why := d.refusal(e, data); code != "" {
		e.Body = Unreadable{Code: code, Why: why, Ref: d.ref}
	}
	return e
}

// refusal says why data is not an event; the code is empty if it is one. A
// newer version may be strange in any way, and says of itself that it is newer.
func (d *decoder) refusal(e Event, data []byte) (code, why string) {
	if code, why = d.fault(e, data); code == "" {
		return "", ""
	}
	if v := version(data); v > WireVersion {
		return "E-EVT-VERSION", fmt.Sprintf("version %d needs a newer program (have %d)", v, WireVersion)
	}
	return code, why
}

func (d *decoder) fault(e Event, data []byte) (code, why string) {
	switch {
	case len(data) == 0:
		return "E-EVT-EMPTY", "payload is empty"
	case d.Err() != nil:
		return "E-EVT-MSGPACK", d.Err().Error()
	case d.More():
		return "E-EVT-MSGPACK", "another value follows the event"
	case d.version < 1 || d.version > WireVersion:
		return "E-EVT-VERSION", fmt.Sprintf("version %d, want 1 to %d", d.version, WireVersion)
	case d.why != "":
		return "E-EVT-MSGPACK", d.why
	case e.Body == nil:
		return "E-EVT-KIND", fmt.Sprintf("type %q has no body", e.Type)
	case d.ref.incomplete() && !ofCollector(e.Body):
		return "E-EVT-MSGPACK", "ref has no name or no kind"
	}
	return "", ""
}

// version returns the version of an envelope of which nothing else is known.
func version(data []byte) int64 {
	c := wire.NewCursor(wire.Field(data, "v"))
	return c.Int()
}

// incomplete reports whether r cannot name an object.
func (r Ref) incomplete() bool { return r.Key.Name == "" || r.Kind == "" }

type decoder struct {
	wire.Cursor
	version int64
	ref     Ref
	body    Body   // without its reference, until the whole envelope is read
	why     string // the first thing that is wrong though it is msgpack
}

func (d *decoder) wrong(format string, args ...any) {
	if d.why == "" {
		d.why = fmt.Sprintf(format, args...)
	}
}

// string copies the next string out of the input.
func (d *decoder) string() string { return string(d.Str()) }

// count reads a number that is not negative.
func (d *decoder) count() int64 {
	n := d.Int()
	if n < 0 {
		d.wrong("%d is negative", n)
	}
	return n
}

// event reads the envelope, whose fields may come in any order.
func (d *decoder) event() (e Event) {
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch string(d.Str()) {
		case "v":
			d.version = d.Int()
		case "id":
			e.ID = d.id()
		case "type":
			e.Type = Type(intern(d.Str()))
		case "source":
			e.Source = intern(d.Str())
		case "actor":
			e.Actor = d.string()
		case "verb":
			e.Verb = intern(d.Str())
		case "manager":
			e.Manager = intern(d.Str())
		case "change":
			e.Change = d.string()
		case "at":
			e.At = d.Time()
		case "cause":
			e.Cause = d.cause()
		case "ref":
			d.ref = d.readRef()
		case "object":
			d.tells(Object{Data: d.object()})
		case "gone":
			var data []byte
			if !d.Nil() {
				data = d.object()
			}
			d.tells(Gone{Data: data})
		case "plan":
			p := new(Plan)
			d.Read(p)
			d.tells(p)
		case "outcome":
			var o Outcome
			d.Read(&o)
			d.tells(o)
		default:
			d.Skip()
		}
	}
	e.Body = d.about()
	return e
}

func (d *decoder) id() ulid.ULID {
	id, err := ulid.ParseStrict(d.string())
	if err != nil {
		d.wrong("id: %v", err)
	}
	return id
}

// object returns the bytes of the next value, which is a map.
func (d *decoder) object() []byte {
	data := d.Value()
	if d.Err() == nil && !wire.IsMap(data) {
		d.wrong("the object is no map")
	}
	return data
}

// tells takes the body of the event, which has one.
func (d *decoder) tells(b Body) {
	if d.body != nil {
		d.wrong("more than one body: %T and %T", d.body, b)
	}
	d.body = b
}

// about returns the body with what the event is about in it.
func (d *decoder) about() Body {
	switch b := d.body.(type) {
	case Object:
		b.Ref = d.ref
		return b
	case Gone:
		b.Ref = d.ref
		return b
	case *Plan:
		b.Owner = d.ref
	case Outcome:
		b.Owner = d.ref
		return b
	}
	return d.body
}

func (d *decoder) cause() (c Cause) {
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch string(d.Str()) {
		case "seq":
			c.Seq = Seq(d.count())
		case "index":
			c.Index = int(d.count())
		default:
			d.Skip()
		}
	}
	return c
}

func (d *decoder) readRef() (r Ref) {
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch string(d.Str()) {
		case "kind":
			r.Kind = Kind(intern(d.Str()))
		case "namespace":
			r.Key.Namespace = intern(d.Str())
		case "name":
			r.Key.Name = d.string()
		case "uid":
			r.UID = types.UID(d.Str())
		default:
			d.Skip()
		}
	}
	return r
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
