package events

import (
	"fmt"
	"time"

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

// refusal says why data is not an event; the code is empty if it is one.
func (d *decoder) refusal(e Event, data []byte) (code, why string) {
	switch {
	case len(data) == 0:
		return "E-EVT-EMPTY", "payload is empty"
	case d.version > WireVersion: // whatever else is strange about it
		return "E-EVT-VERSION", fmt.Sprintf("version %d needs a newer program (have %d)", d.version, WireVersion)
	case d.Err() != nil:
		return "E-EVT-MSGPACK", d.Err().Error()
	case d.More():
		return "E-EVT-MSGPACK", "another value follows the event"
	case d.version < 1:
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

func (d *decoder) time() time.Time {
	if d.Nil() {
		return time.Time{}
	}
	return time.Unix(0, d.Int()).UTC()
}

// count reads a number that is not negative.
func (d *decoder) count() int64 {
	n := d.Int()
	if n < 0 {
		d.wrong("%d is negative", n)
	}
	return n
}

// two enters a list of two parts and reports whether it is one.
func (d *decoder) two(what string) bool {
	n := d.Array()
	if n == 2 {
		return true
	}
	d.wrong("%s has %d parts, want 2", what, n)
	for range n {
		d.Skip()
	}
	return false
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
			e.At = d.time()
		case "cause":
			if d.two("cause") {
				e.Cause.Seq = Seq(d.count())
				e.Cause.Index = int(d.count())
			}
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
			d.tells(d.plan())
		case "outcome":
			d.tells(d.outcome())
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

func (d *decoder) plan() *Plan {
	p := new(Plan)
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch string(d.Str()) {
		case "basis":
			p.Basis = d.basis()
		case "revision":
			p.Revision = d.string()
		case "rollout":
			p.Rollout = d.budget()
		case "commands":
			p.Commands = list(d, MaxCommands, d.command)
		case "waiting":
			p.Waiting = list(d, MaxWaits, d.wait)
		case "held":
			p.Held = list(d, MaxWaits, d.waitCount)
		default:
			d.Skip()
		}
	}
	return p
}

// list reads a list. Room is made for at most expected elements at first: the
// declared number may be a lie. An empty list is nil, as Encode leaves it out.
func list[T any](d *decoder, expected int, one func() T) []T {
	n := d.Array()
	if n == 0 {
		return nil
	}
	s := make([]T, 0, min(n, expected))
	for ; n > 0 && d.Err() == nil; n-- {
		s = append(s, one())
	}
	return s
}

func (d *decoder) budget() (b Budget) {
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch string(d.Str()) {
		case "desired":
			b.Desired = int(d.Int())
		case "updated":
			b.Updated = int(d.Int())
		case "unavailable":
			b.Unavailable = int(d.Int())
		case "surging":
			b.Surging = int(d.Int())
		case "maxUnavailable":
			b.MaxUnavailable = int(d.Int())
		case "maxSurge":
			b.MaxSurge = int(d.Int())
		case "taken":
			b.Taken = int(d.Int())
		case "added":
			b.Added = int(d.Int())
		default:
			d.Skip()
		}
	}
	return b
}

func (d *decoder) command() (c Command) {
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
		switch string(d.Str()) {
		case "do":
			c.Do = Verb(intern(d.Str()))
		case "ref":
			c.Ref = d.readRef()
		case "node":
			c.Node = d.string()
		case "nodeUID":
			c.NodeUID = types.UID(d.Str())
		case "revision":
			c.Revision = intern(d.Str())
		case "attempt":
			c.Attempt = int(d.Int())
		case "owners":
			c.Owners = list(d, 1, func() types.UID { return types.UID(d.Str()) })
		case "finalizer":
			c.Finalizer = d.string()
		case "reason":
			c.Reason = Reason(intern(d.Str()))
		default:
			d.Skip()
		}
	}
	return c
}

func (d *decoder) wait() (x Wait) {
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
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
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
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

func (d *decoder) outcome() (o Outcome) {
	for n := d.Map(); n > 0 && d.Err() == nil; n-- {
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

func (d *decoder) basis() (b Basis) {
	if d.two("basis") {
		b.Seq = Seq(d.count())
		b.Now = d.time()
	}
	return b
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
