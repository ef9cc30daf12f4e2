package recording

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/events/files"
)

// Options of a recording that is made.
type Options struct {
	Cluster     string
	Build       string
	Filter      string         // which part of the log it is to be, in words; empty: all of it
	Redacted    string         // what Redact takes out of the events, in words
	Compression Compression    // zero: Zstd
	Before      chain.Position // of the log, before the first event of the recording
	// Redact returns the bytes of an event without what nobody is to see; nil:
	// all of it may be seen.
	Redact func(raw []byte) []byte
}

// Keyframe is the state of a log at a position, in bytes that who makes and
// reads it knows.
type Keyframe struct {
	At      chain.Position
	Kind    string // of the state: letters, digits and dashes
	Version int    // of its bytes
	Data    []byte
}

// Writer makes a recording. The file has its name when Close has returned, and
// not before that; Abort leaves nothing.
type Writer struct {
	path    string
	file    *os.File
	options Options
	packer  packer

	offset  int64
	entries []entry
	block   []byte       // records that are gathered
	entry   entry        // of them
	chain   *chain.Chain // of what is written
	log     *chain.Chain // of the log; the same where nothing is redacted
	first   Mark
	last    Mark
	frames  int
	since   struct{ events, bytes int } // the last keyframe
	framed  int                         // bytes of that
}

// Create begins a recording. A file that is at path stays as it is until Close.
func Create(path string, o Options) (*Writer, error) {
	if o.Compression == Stored {
		o.Compression = Zstd
	}
	w := &Writer{path: path, options: o, chain: chain.From(o.Before)}
	if w.log = w.chain; o.Redact != nil {
		w.log = chain.From(o.Before)
	}
	var err error
	if w.packer, err = newPacker(o.Compression); err != nil {
		return nil, err
	}
	if w.file, err = os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-"); err != nil {
		return nil, w.unwritten(err)
	}
	if err := w.writeManifest(false); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

// manifest returns what is known by now.
func (w *Writer) manifest(complete bool) Manifest {
	o := w.options
	m := Manifest{Build: o.Build, Cluster: o.Cluster, Log: o.Before.Log, Filter: o.Filter, Redacted: o.Redacted,
		Before: Mark{Seq: o.Before.Seq, Chain: o.Before.Chain}, First: w.first, Last: w.last, Complete: complete}
	if complete && o.Redact != nil {
		m.Original = &Mark{Seq: w.log.Seq, Time: w.last.Time, Chain: w.log.Chain}
	}
	if complete {
		m.Events, m.Keyframes, m.Blocks = uint64(w.chain.Seq-o.Before.Seq), w.frames, max(len(w.entries)-1-w.frames, 0)
	}
	return m
}

// writeManifest writes the first entry, where it begins.
func (w *Writer) writeManifest(complete bool) error {
	b, err := w.manifest(complete).encode()
	if err != nil {
		return err
	}
	e := entry{part: manifestPart, name: manifestName, compression: Stored, crc: crc32.ChecksumIEEE(b), stored: uint32(len(b)), size: uint32(len(b))}
	head := e.header()
	e.sum = sumOf(head, b)
	if _, err := w.file.WriteAt(append(append(head, e.sum[:]...), b...), 0); err != nil {
		return w.unwritten(err)
	}
	if len(w.entries) == 0 {
		w.entries = []entry{e}
		w.offset = e.end()
		_, err = w.file.Seek(w.offset, 0)
	}
	w.entries[0] = e
	return err
}

// Append takes the next event, which comes right after the one before. Of it the
// position, the time, the subject and the bytes are kept.
func (w *Writer) Append(e events.Event) error {
	if e.Subject == "" {
		return fmt.Errorf("write position %d to a recording: its reader does not say under which subject it is", e.Seq)
	}
	if e.Seq != w.chain.Seq+1 {
		return events.Gap(w.chain.Seq+1, e.Seq)
	}
	if w.options.Redact != nil {
		w.log.Take(e.Seq, e.Raw)
		e.Raw = w.options.Redact(e.Raw)
	}
	size := recordSize(e)
	if size > maxBlock || len(e.Subject) > math.MaxUint16 {
		return fmt.Errorf("write position %d to a recording: %w", e.Seq, events.TooLarge(e.Subject, len(e.Raw), maxBlock-recordHead-len(e.Subject)))
	}
	if len(w.block) > 0 && len(w.block)+size > blockSize {
		if err := w.flush(); err != nil {
			return err
		}
	}
	at := nanos(e.Stored)
	if len(w.block) == 0 {
		w.entry = entry{part: blockPart, name: blockName(e.Seq), first: e.Seq, from: at, to: at}
	}
	w.block = chain.AppendRecord(w.block, e)
	w.since.events++
	w.since.bytes += size
	w.chain.Take(e.Seq, e.Raw)
	w.entry.last, w.entry.from, w.entry.to = e.Seq, min(w.entry.from, at), max(w.entry.to, at)
	w.last = Mark{e.Seq, clock(at), w.chain.Chain}
	if w.first.Seq == 0 {
		w.first = w.last
	}
	return nil
}

// Position returns how far the log is recorded.
func (w *Writer) Position() chain.Position { return w.log.Position }

// flush writes what is gathered as a block.
func (w *Writer) flush() error {
	if len(w.block) == 0 {
		return nil
	}
	w.entry.chain = w.chain.Chain
	err := w.write(w.entry, w.block)
	w.block = w.block[:0]
	return err
}

// framesEvery is after how many events there is a keyframe: as many as are folded
// in a tenth of a second.
const framesEvery = 12_500

// FrameDue reports whether a keyframe is to be written here: not before the events
// since the last one have as many bytes. So keyframes are no more than half of a
// recording of a large cluster, and to read one takes about as long as to fold
// what follows it.
func (w *Writer) FrameDue() bool { return w.since.events >= framesEvery && w.since.bytes >= w.framed }

// Keyframe writes a keyframe of the position that the recording has come to.
func (w *Writer) Keyframe(k Keyframe) error {
	e := entry{part: keyframePart, name: fmt.Sprintf("%s%020d.%s.%d", keyframePrefix, k.At.Seq, k.Kind, k.Version),
		first: k.At.Seq, last: k.At.Seq, chain: k.At.Chain}
	switch {
	case w.options.Redact != nil:
		return errors.New("a keyframe would show what is redacted")
	case k.At.Seq != w.chain.Seq || k.At.Chain != w.chain.Chain:
		return fmt.Errorf("a keyframe of position %d is none of the log at position %d", k.At.Seq, w.chain.Seq)
	case e.check() != "":
		return fmt.Errorf("write a keyframe of position %d: %s", k.At.Seq, e.check())
	case len(k.Data) > maxKeyframe:
		return fmt.Errorf("a keyframe of %d bytes is more than a recording may have", len(k.Data))
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.frames++
	w.since, w.framed = struct{ events, bytes int }{}, len(k.Data)
	return w.write(e, k.Data)
}

// write packs and writes an entry after the last one.
func (w *Writer) write(e entry, data []byte) error {
	if len(w.entries) == maxEntries {
		return fmt.Errorf("a recording of more than %d parts: make two of it", maxEntries)
	}
	packed, err := w.packer.pack(data)
	if err != nil {
		return fmt.Errorf("write a recording: %w", err)
	}
	e.compression, e.offset = w.options.Compression, w.offset
	e.crc, e.stored, e.size = crc32.ChecksumIEEE(data), uint32(len(packed)), uint32(len(data))
	head := e.header()
	e.sum = sumOf(head, packed)
	for _, b := range [][]byte{head, e.sum[:], packed} {
		if _, err := w.file.Write(b); err != nil {
			return w.unwritten(err)
		}
	}
	w.entries, w.offset = append(w.entries, e), e.end()
	return nil
}

// Close writes what is left and gives the file its name. What is on the disk
// then survives a power cut.
func (w *Writer) Close() error {
	err := w.finish()
	if err == nil {
		err = w.unwritten(os.Rename(w.file.Name(), w.path))
	}
	if err != nil {
		return errors.Join(err, w.Abort())
	}
	return w.unwritten(files.SyncDir(filepath.Dir(w.path)))
}

// unwritten returns the refusal of a file system as an error that names the recording.
func (w *Writer) unwritten(err error) error {
	if err == nil {
		return nil
	}
	return &events.Error{Code: "E-REC-WRITE", What: "the recording cannot be written", Where: w.path, Why: files.Reason(err),
		Do: "make room, or name a file on another disk; nothing is left of it", Exit: events.ExitFailure, Err: err}
}

func (w *Writer) finish() error {
	if err := cmp.Or(w.flush(), w.writeManifest(true)); err != nil {
		return err
	}
	if _, err := w.file.Write(appendDirectory(nil, w.entries, w.offset)); err != nil {
		return w.unwritten(err)
	}
	return w.unwritten(errors.Join(w.file.Sync(), w.file.Close()))
}

// Abort ends a recording that is not wanted.
func (w *Writer) Abort() error {
	_ = w.file.Close() // it may be closed
	return os.Remove(w.file.Name())
}

// packer packs the bytes of entries. What it returns is good until it is asked again.
type packer struct {
	zstd  *zstd.Encoder
	flate *flate.Writer
	out   bytes.Buffer
	buf   []byte
}

func newPacker(c Compression) (p packer, err error) {
	switch c {
	case Zstd:
		p.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	case Deflate:
		p.flate, err = flate.NewWriter(nil, flate.DefaultCompression)
	default:
		err = fmt.Errorf("a recording cannot be packed by method %d", c)
	}
	return p, err
}

func (p *packer) pack(b []byte) ([]byte, error) {
	if p.zstd != nil {
		p.buf = p.zstd.EncodeAll(b, p.buf[:0])
		return p.buf, nil
	}
	p.out.Reset()
	p.flate.Reset(&p.out)
	_, err := p.flate.Write(b)
	err = errors.Join(err, p.flate.Close())
	return p.out.Bytes(), err
}
