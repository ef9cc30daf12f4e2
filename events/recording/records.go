package recording

import (
	"encoding/binary"
	"fmt"

	"rollcall/events"
)

// recordHead is the size of what a record has before the subject: see
// chain.AppendRecord.
const recordHead = 22

// record is one event in a block. Its slices are those of the block.
type record struct {
	seq     events.Seq
	time    int64
	subject []byte
	raw     []byte
}

func recordSize(e events.Event) int { return recordHead + len(e.Subject) + len(e.Raw) }

// records reads the records of the block that e is the entry of, and holds them
// against it. why says what is wrong.
func records(b []byte, e *entry, visit func(record) bool) (why string) {
	le := binary.LittleEndian
	want := e.first
	for len(b) > 0 {
		if len(b) < recordHead {
			return "a record of it is cut"
		}
		r := record{seq: events.Seq(le.Uint64(b)), time: int64(le.Uint64(b[8:]))}
		subject, raw := int(le.Uint16(b[16:])), int64(le.Uint32(b[18:]))
		if rest := int64(len(b) - recordHead - subject); raw > rest {
			return fmt.Sprintf("the record of position %d goes past its end", want)
		}
		if r.seq != want || r.seq > e.last {
			return fmt.Sprintf("position %d stands where %d must be", r.seq, want)
		}
		if r.time < e.from || r.time > e.to {
			return fmt.Sprintf("the time of position %d is not one that it has", r.seq)
		}
		b = b[recordHead:]
		r.subject, r.raw, b = b[:subject], b[subject:subject+int(raw)], b[subject+int(raw):]
		if !visit(r) {
			return ""
		}
		want++
	}
	if want != e.last+1 {
		return fmt.Sprintf("it ends at position %d, not at %d", want-1, e.last)
	}
	return ""
}
