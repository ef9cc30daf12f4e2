package recording

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"rollcall/events"
	"rollcall/events/ahead"
)

// Recording is a recording that is open. Its methods may be called from several
// goroutines.
type Recording struct {
	path     string
	file     *os.File
	manifest Manifest
	entries  []entry
	blocks   []int // the entries that are blocks, in order
	frames   []int // and those that are keyframes
	torn     *Torn
	memory   chan *buffers // of blocks, that nobody reads into
}

var _ events.Reader = (*Recording)(nil)

// Torn is where a file ends that is the beginning of a recording.
type Torn struct {
	Size    int64      `json:"size"`    // of the file
	Last    events.Seq `json:"last"`    // position of the last event that is whole
	Missing events.Seq `json:"missing"` // positions that the manifest knows after it; 0: none, or it was never finished
}

func (t Torn) String() string {
	what := fmt.Sprintf("the recording is torn after %d bytes: it is read up to #%d", t.Size, t.Last)
	if t.Missing > 0 {
		return fmt.Sprintf("%s, and %d events are missing", what, t.Missing)
	}
	return what
}

// Open opens a recording. It reads no event, and of a file that is whole no more
// than the manifest and the index.
func Open(path string) (*Recording, error) {
	// Who opens a pipe to which nobody writes waits for ever.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, none(path, "it is no file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	r := &Recording{path: path, file: f, memory: make(chan *buffers, ahead.Parts)}
	if err := r.load(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

// Close closes the file.
func (r *Recording) Close() error { return r.file.Close() }

// Manifest returns what the recording says of itself.
func (r *Recording) Manifest() Manifest { return r.manifest }

// Torn returns where the file is torn; nil: it is whole.
func (r *Recording) Torn() *Torn { return r.torn }

func (r *Recording) load() error {
	info, err := r.file.Stat()
	if err != nil {
		return unreadable(r.path, err)
	}
	n := info.Size()
	if n < 4 {
		return none(r.path, fmt.Sprintf("it has %d bytes", n))
	}
	if err := r.refuseNewer(n); err != nil {
		return err
	}
	d, whole := readEnding(r.file, n)
	if whole {
		err = r.readDirectory(d)
	} else {
		err = r.scan(n)
	}
	switch {
	case err != nil && len(r.entries) == 0 && !r.begins():
		return none(r.path, "it does not begin as one")
	case err != nil:
		return err
	}
	if err := r.readManifest(); err != nil {
		return err
	}
	return r.compare()
}

// refuseNewer refuses what a newer program has made, of which no more is known
// than that it begins with a manifest that has a format.
func (r *Recording) refuseNewer(n int64) error {
	b := make([]byte, min(n, localSize+maxName+1<<16))
	if _, err := r.file.ReadAt(b, 0); err != nil {
		return unreadable(r.path, err)
	}
	le := binary.LittleEndian
	if len(b) < localSize || le.Uint32(b) != localSignature {
		return nil
	}
	name, extra, stored := int(le.Uint16(b[26:])), int(le.Uint16(b[28:])), int64(le.Uint32(b[18:]))
	from := localSize + name + extra
	if le.Uint16(b[8:]) != uint16(Stored) || from > len(b) || stored > int64(len(b)-from) || string(b[localSize:localSize+name]) != manifestName {
		return nil
	}
	data := b[from : from+int(stored)]
	var m struct {
		Rollcall string
		Format   int
	}
	if crc32.ChecksumIEEE(data) == le.Uint32(b[14:]) && json.Unmarshal(data, &m) == nil && m.Rollcall == "recording" && m.Format > format {
		return newer(r.path, m.Format)
	}
	return nil
}

// begins reports whether the file begins with a manifest.
func (r *Recording) begins() bool {
	b := make([]byte, localSize+len(manifestName)+extraSize)
	if _, err := r.file.ReadAt(b, 0); err != nil {
		return false
	}
	e, fits, why := parseHeader(b)
	return fits && why == "" && e.part == manifestPart
}

// scan reads a file that does not end as a recording does: from one local header
// to the next. Only the beginning of a recording is taken for a torn one.
func (r *Recording) scan(n int64) error {
	for {
		at := r.end()
		b := make([]byte, min(n-at, localSize+maxName+int64(extraSize)))
		if _, err := r.file.ReadAt(b, at); err != nil {
			return unreadable(r.path, err)
		}
		if len(r.entries) > 0 && begun(b, directorySignature) {
			return r.tornDirectory(n)
		}
		e, fits, why := parseHeader(b)
		switch {
		case why != "":
			return r.damaged("an entry", at, why)
		case !fits:
			r.torn = &Torn{Size: n}
			return nil
		}
		if e.offset = at; e.end() > n {
			r.torn = &Torn{Size: n}
			return nil
		}
		if err := r.add(e); err != nil {
			return err
		}
	}
}

// begun reports whether b begins with a signature, or is the beginning of one.
func begun(b []byte, signature uint32) bool {
	return bytes.HasPrefix(binary.LittleEndian.AppendUint32(nil, signature), b[:min(len(b), 4)])
}

// parseHeader reads the local header at the beginning of b. It does not fit if b
// ends before it does, and is then the beginning of one.
func parseHeader(b []byte) (e entry, fits bool, why string) {
	le := binary.LittleEndian
	if !begun(b, localSignature) {
		return e, false, "what follows is no entry"
	}
	if len(b) < localSize {
		return e, false, ""
	}
	name, extra := int(le.Uint16(b[26:])), int(le.Uint16(b[28:]))
	if name > maxName || extra != extraSize {
		return e, false, "what follows is no entry of a recording"
	}
	if len(b) < localSize+name+extra {
		return e, false, ""
	}
	b = b[:localSize+name+extra]
	e.take(b[8:], string(b[localSize:localSize+name]), b[len(b)-extraSize:])
	copy(e.sum[:], b[len(b)-sumSize:])
	if why := e.check(); why != "" {
		return e, false, why
	}
	if !bytes.Equal(b[:len(b)-sumSize], e.header()) {
		return e, false, "its header is not as one is written"
	}
	return e, true, ""
}

// tornDirectory is the end of a scan that has come to the directory.
func (r *Recording) tornDirectory(n int64) error {
	at := r.end()
	want := appendDirectory(nil, r.entries, at)
	rest := make([]byte, min(n-at, int64(len(want))+1))
	if _, err := r.file.ReadAt(rest, at); err != nil && err != io.EOF {
		return unreadable(r.path, err)
	}
	if len(rest) >= len(want) || !bytes.HasPrefix(want, rest) {
		return r.damaged("the directory", at, "it is not that of the entries before it")
	}
	r.torn = &Torn{Size: n}
	return nil
}

// end returns where the last entry ends.
func (r *Recording) end() int64 {
	if len(r.entries) == 0 {
		return 0
	}
	return r.entries[len(r.entries)-1].end()
}

// lastEvent returns the position of the last event of the blocks.
func (r *Recording) lastEvent() events.Seq {
	if len(r.blocks) == 0 {
		return 0
	}
	return r.entries[r.blocks[len(r.blocks)-1]].last
}

// add takes the next entry, which has to follow from those before it.
func (r *Recording) add(e entry) error {
	what, i := "the entry of "+e.name, len(r.entries)
	switch most := e.limit(); {
	case i == maxEntries:
		return r.tooMuch(fmt.Sprintf("more than %d parts", maxEntries), maxEntries, "parts")
	case int64(e.size) > most || int64(e.stored) > packedMost(int64(e.size)):
		if !r.agrees(&e) {
			return r.damaged(what, e.offset, "the header of its part says something else")
		}
		return r.tooMuch(fmt.Sprintf("%d bytes of %s, packed %d", e.size, e.name, e.stored), most, "bytes")
	case e.offset != r.end():
		return r.damaged(what, e.offset, fmt.Sprintf("the one before it ends at byte %d", r.end()))
	case (e.part == manifestPart) != (i == 0):
		return r.damaged(what, e.offset, "the manifest is the first, and there is one")
	}
	last := r.lastEvent()
	switch e.part {
	case blockPart:
		if last > 0 && e.first != last+1 {
			return r.damaged(what, e.offset, fmt.Sprintf("the block before it ends at position %d", last))
		}
		r.blocks = append(r.blocks, i)
	case keyframePart:
		if last > 0 && (e.first != last || e.chain != r.entries[r.blocks[len(r.blocks)-1]].chain) {
			return r.damaged(what, e.offset, fmt.Sprintf("the block before it ends at position %d, or with another chain", last))
		}
		r.frames = append(r.frames, i)
	}
	r.entries = append(r.entries, e)
	return nil
}

// packedMost is the most that n bytes take when packing them makes them larger.
func packedMost(n int64) int64 { return n + n/64 + 1<<10 }

// agrees reports whether the local header of an entry is that of the directory.
func (r *Recording) agrees(e *entry) bool {
	want := append(e.header(), e.sum[:]...)
	have := make([]byte, len(want))
	_, err := r.file.ReadAt(have, e.offset)
	return err == nil && bytes.Equal(have, want)
}

func (r *Recording) readManifest() error {
	if len(r.entries) == 0 {
		return r.tornAtOnce(r.torn.Size)
	}
	b, err := r.unpack(&r.entries[0], new(buffers))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &r.manifest); err != nil || r.manifest.Rollcall != "recording" || r.manifest.Format != format {
		return none(r.path, "its manifest is none")
	}
	return nil
}

// compare holds the parts of the file against its manifest.
func (r *Recording) compare() error {
	m, last := &r.manifest, max(r.lastEvent(), r.manifest.Before.Seq)
	if t := r.torn; t != nil {
		if len(r.blocks) == 0 {
			return r.tornAtOnce(t.Size)
		}
		if t.Last = last; m.Last.Seq > last {
			t.Missing = m.Last.Seq - last
		}
	}
	why := ""
	for _, i := range r.frames {
		if e := &r.entries[i]; e.first <= m.Before.Seq && (e.first != m.Before.Seq || e.chain != m.Before.Chain) {
			why = "it has a keyframe of before it began"
		}
	}
	switch {
	case why != "":
	case len(r.blocks) > 0 && r.entries[r.blocks[0]].first != m.Before.Seq+1:
		why = fmt.Sprintf("its first block begins at position %d, its manifest after %d", r.entries[r.blocks[0]].first, m.Before.Seq)
	case r.torn != nil:
	case !m.Complete:
		why = "it was never finished, and ends as if it were"
	case len(r.blocks) > 0 && (m.Last.Seq != last || m.Last.Chain != r.entries[r.blocks[len(r.blocks)-1]].chain):
		why = fmt.Sprintf("it ends at position %d, its manifest at %d, or with another chain", last, m.Last.Seq)
	case m.Blocks != len(r.blocks) || m.Keyframes != len(r.frames) || m.Events != uint64(last-m.Before.Seq):
		why = "it has not the parts that its manifest says"
	}
	if why != "" {
		return r.damaged("the manifest", 0, why)
	}
	return nil
}
