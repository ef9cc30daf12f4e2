// Package wire turns Kubernetes v1 objects into msgpack maps with their JSON
// field names and back, and walks such bytes without building objects.
//
// What is written follows the JSON form of an object: the same fields are
// there and the same are left out, so that transcoding the bytes to JSON gives
// what encoding/json gives for the object. Two things differ, for readers in
// other languages: []byte is a msgpack binary, not base64, and raw JSON inside
// an object (ControllerRevision.data, managedFields) is a msgpack value like
// everything round it. Keys of every map are sorted by their bytes and numbers
// take their shortest form, so that equal objects have equal bytes.
//
// The package is pure.
package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// keptBufferBytes bounds a buffer that is kept for the next Marshal, so that
// one huge object does not stay in memory.
const keptBufferBytes = 256 << 10

// encode runs put over a pooled encoder and returns what it wrote. For what is said
// to be about so large there is a buffer of its own, which is not copied.
func encode(size int, put func(*msgpack.Encoder) error) ([]byte, error) {
	var buf *bytes.Buffer
	if size > 0 {
		buf = bytes.NewBuffer(make([]byte, 0, size))
	} else {
		buf = buffers.Get().(*bytes.Buffer)
		buf.Reset()
	}
	e := msgpack.GetEncoder()
	e.Reset(buf)
	e.UseCompactInts(true)
	err := put(e)
	msgpack.PutEncoder(e)
	if size > 0 {
		return buf.Bytes(), err
	}
	var b []byte
	if err == nil {
		b = bytes.Clone(buf.Bytes())
	}
	if buf.Cap() <= keptBufferBytes {
		buffers.Put(buf)
	}
	return b, err
}

// Marshal returns v, usually a pointer to a Kubernetes v1 object, as msgpack.
// It writes what v holds and adds nothing: apiVersion and kind are written if
// they are set. v is only read, so that objects which others read at the same
// time may be given. It returns an error for what JSON cannot hold either.
func Marshal(v any) ([]byte, error) { return MarshalSized(v, 0) }

// MarshalSized is Marshal of what is about so large, as a keyframe, which is not kept:
// its bytes are not moved while they grow, and have the room that was not needed.
func MarshalSized(v any, size int) ([]byte, error) {
	return encode(size, func(e *msgpack.Encoder) error {
		if v == nil {
			return e.EncodeNil()
		}
		rv := reflect.ValueOf(v)
		if err := codecOf(rv.Type()).put(e, rv); err != nil {
			return fmt.Errorf("msgpack: write %T: %w", v, err)
		}
		return nil
	})
}

// Unmarshal reads one msgpack value into v, a pointer to a zero value. Fields
// that the type of v does not have are passed over. Nothing in v refers to b
// afterwards. Times are in UTC.
//
// What it allocates is bounded by a multiple of the size of b, whatever b
// declares, and so is the depth that it follows.
func Unmarshal(b []byte, v any) error { return UnmarshalIn(b, v, time.UTC) }

// Unknown returns the fields of one msgpack value that the type of v, a pointer to a
// zero value, does not have and Unmarshal passes over, as paths and as they come.
func Unknown(b []byte, v any) ([]string, error) {
	u := unknown{}
	c := NewCursor(b)
	c.read(v, decoder{zone: time.UTC, unknown: &u})
	return u.paths, c.err
}

// unknown collects the paths of fields that a type does not have.
type unknown struct{ at, paths []string }

func (u *unknown) add(name []byte) {
	if len(u.paths) < maxUnknown {
		u.paths = append(u.paths, strings.Join(append(u.at, string(name)), "."))
	}
}

// maxUnknown bounds how many fields are named.
const maxUnknown = 20

// UnmarshalIn is Unmarshal with times in another zone.
func UnmarshalIn(b []byte, v any, zone *time.Location) error { return unmarshal(b, v, zone, false) }

// UnmarshalShared is Unmarshal, but that what is read into a Raw is a part of b,
// which nobody may change afterwards.
func UnmarshalShared(b []byte, v any) error { return unmarshal(b, v, time.UTC, true) }

func unmarshal(b []byte, v any, zone *time.Location, share bool) error {
	c := NewCursor(b)
	c.read(v, decoder{zone: zone, share: share})
	if c.err == nil && c.off < len(b) {
		c.fail("another value follows")
	}
	return c.err
}

// Read reads the next value into v as Unmarshal does.
func (c *Cursor) Read(v any) { c.read(v, decoder{zone: time.UTC}) }

func (c *Cursor) read(v any, as decoder) {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Pointer || rv.IsNil() {
		c.fail(fmt.Sprintf("read into %T, which is no pointer to a value,", v))
		return
	}
	d := decoders.Get().(*decoder)
	d.Cursor, d.left, d.zone, d.share, d.unknown = *c, budgetFloor+budgetRatio*(len(c.b)-c.off), as.zone, as.share, as.unknown
	codecOf(rv.Type().Elem()).take(d, rv.Elem())
	*c = d.Cursor
	d.Cursor = Cursor{} // so that the input is not kept
	decoders.Put(d)
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// What Unmarshal may allocate for slices, maps and pointers is budgetFloor and
// budgetRatio bytes a byte of input. The largest ratio in real objects is that
// of a container with two short fields, 400 bytes of Go for about 30.
const (
	budgetFloor = 64 << 10
	budgetRatio = 48
)

// decoder is a cursor with a bound on what is allocated for its input.
type decoder struct {
	Cursor
	left    int
	zone    *time.Location // of times
	share   bool           // values of Raw are parts of the input
	unknown *unknown       // nil: nobody asks
	words   Words
}

// string returns b as a string. Uids, which have 36 bytes, and what is longer
// are not looked up among those read before: in objects they hardly repeat.
func (d *decoder) string(b []byte) string {
	if len(b) > 32 {
		return string(b)
	}
	return d.words.String(b)
}

// Words are strings that were read before. Names of kinds, namespaces, nodes and
// revisions repeat, and are one string each as long as no others take their room.
type Words [1024]string

// String returns b as a string, without an allocation if it is among the words.
func (w *Words) String(b []byte) string {
	n := len(b)
	if n == 0 {
		return ""
	}
	var h uint64 // of the end: names that are alike differ there
	if n >= 8 {
		h = binary.LittleEndian.Uint64(b[n-8:])
	} else {
		for _, c := range b {
			h = h<<8 | uint64(c)
		}
	}
	word := &w[(h*0x9e3779b97f4a7c15+uint64(n))>>54]
	if *word != string(b) {
		*word = string(b)
	}
	return *word
}

// charge takes n values of size bytes off the bound and reports whether it allows them.
func (d *decoder) charge(n int, size uintptr) bool {
	if d.err != nil {
		return false
	}
	if size > 0 && n > d.left/int(size) {
		d.fail(fmt.Sprintf("%d values of %d bytes are more than an input of this size can mean", n, size))
		return false
	}
	d.left -= n * int(size)
	return true
}
