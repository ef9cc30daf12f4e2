package events

import (
	"fmt"
	"sync"

	"github.com/oklog/ulid/v2"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events/wire"
)

// Decode reads what Encode wrote. Bytes that are not an event of this version
// give an event with an Unreadable body, never an error: the reader decides.
// Fields that this version does not know are passed over. The event refers to
// data, which must not change afterwards.
func Decode(data []byte) Event {
	words := wordsPool.Get().(*wire.Words)
	d := decoder{Cursor: wire.NewCursor(data), words: words}
	e := d.event()
	wordsPool.Put(words)
	e.Raw = data
	if code, why := d.refusal(e, data); code != "" {
		e.Body = Unreadable{Code: code, Why: why, Ref: d.ref}
		return e
	}
	code, _ := doubtBody(&e)
	e.sound = code == ""
	return e
}

var wordsPool = sync.Pool{New: func() any { return new(wire.Words) }}

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
	case d.ref.incomplete() && !refless(e.Body):
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

// refless reports whether the envelope of b has no ref.
func refless(b Body) bool {
	switch b.(type) {
	case Hold, Lifted, Note, Charter:
		return true
	}
	return ofCollector(b)
}

type decoder struct {
	wire.Cursor
	words   *wire.Words
	version int64
	ref     Ref
	what    bodyKind
	data    []byte // of an object
	plan    *Plan
	outcome *Outcome
	rare    Body   // of a kind that a log has few of
	why     string // the first thing that is wrong though it is msgpack
}

// bodyKind is which body an envelope has. The body itself is made when the whole
// of it is read, since its reference may come later.
type bodyKind int

const (
	noBody bodyKind = iota
	anObject
	goneObject
	aPlan
	anOutcome
	unchanged
	aRare // in decoder.rare
)

func (d *decoder) wrong(format string, args ...any) {
	if d.why == "" {
		d.why = fmt.Sprintf(format, args...)
	}
}

// string copies the next string out of the input, and word one that repeats.
func (d *decoder) string() string { return string(d.Str()) }
func (d *decoder) word() string   { return d.words.String(d.Str()) }

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
		switch key := d.Str(); string(key) {
		case "v":
			d.version = d.Int()
		case "id":
			e.ID = d.id()
		case "type":
			e.Type = Type(d.word())
		case "source":
			e.Source = d.word()
		case "actor":
			e.Actor = d.string()
		case "verb":
			e.Verb = d.word()
		case "manager":
			e.Manager = d.word()
		case "change":
			e.Change = d.string()
		case "at":
			e.At = d.Time()
		case "cause":
			e.Cause = d.cause()
		case "ref":
			d.ref = d.readRef()
		case "object":
			d.data = d.object()
			d.tells(anObject)
		case "gone":
			if !d.Nil() {
				d.data = d.object()
			}
			d.tells(goneObject)
		case "plan":
			d.plan = d.readPlan()
			d.tells(aPlan)
		case "outcome":
			d.outcome = new(Outcome)
			d.Read(d.outcome)
			d.tells(anOutcome)
		case "told":
			e.Told = new(Told)
			d.Read(e.Told)
		default:
			d.rareField(key)
		}
	}
	e.Body = d.body()
	return e
}

// rareField reads a field that few events have.
func (d *decoder) rareField(key []byte) {
	switch string(key) {
	case "unchanged":
		if d.Bool() {
			d.tells(unchanged)
		}
	case "hold":
		d.rare = readBody[Hold](d)
		d.tells(aRare)
	case "lifted":
		d.rare = readBody[Lifted](d)
		d.tells(aRare)
	case "note":
		d.rare = readBody[Note](d)
		d.tells(aRare)
	case "charter":
		d.rare = readBody[Charter](d)
		d.tells(aRare)
	default:
		d.Skip()
	}
}

func readBody[T Body](d *decoder) (b T) {
	d.Read(&b)
	return b
}

func (d *decoder) id() ulid.ULID {
	id, err := ulid.ParseStrict(string(d.Str()))
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

// tells notes what the event tells, of which there is one thing.
func (d *decoder) tells(what bodyKind) {
	if d.what != noBody {
		d.wrong("more than one body")
	}
	d.what = what
}

// body returns the body of the event with what it is about.
func (d *decoder) body() Body {
	switch d.what {
	case anObject:
		return Object{Ref: d.ref, Data: d.data}
	case goneObject:
		return Gone{Ref: d.ref, Data: d.data}
	case aPlan:
		d.plan.Owner = d.ref
		return d.plan
	case anOutcome:
		d.outcome.Owner = d.ref
		return *d.outcome
	case unchanged:
		return Unchanged{d.ref}
	case aRare:
		return d.rare
	}
	return nil
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
			r.Kind = Kind(d.word())
		case "namespace":
			r.Key.Namespace = d.word()
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
