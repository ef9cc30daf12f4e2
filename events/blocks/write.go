package blocks

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"rollcall/events"
	"rollcall/events/files"
)

// writtenBlock is from how many bytes on a Writer begins the next block, as the
// server does.
const writtenBlock = 8 << 20

// Writer fills the empty stream of a stopped cluster with events that keep the
// positions and the times that they have: a server would give them others. It
// knows nothing of the log as it was, so that the server makes its index anew.
type Writer struct {
	dir   string // of the blocks
	name  string // of the stream
	at    events.Seq
	index uint64
	file  *os.File
	out   *bufio.Writer
	size  int
	hash  *hasher
	buf   []byte
}

// NewWriter begins to fill the stream of a cluster in a data directory. It
// refuses a stream that holds anything.
func NewWriter(data string, s events.Subjects) (*Writer, error) {
	st, err := Open(data, s)
	if err != nil {
		return nil, err
	}
	if n := st.Size(); n > 0 {
		return nil, fmt.Errorf("the stream %s has %d bytes of records", st.name, n)
	}
	w := &Writer{dir: filepath.Join(st.dir, messages), name: st.name}
	if err := os.RemoveAll(w.dir); err != nil { // with an index of nothing
		return nil, err
	}
	return w, os.Mkdir(w.dir, 0o700)
}

// Append writes the next event: its position, time, subject, id and bytes.
func (w *Writer) Append(e events.Event) error {
	if e.Seq != w.at+1 {
		return events.Gap(w.at+1, e.Seq)
	}
	if w.file == nil || w.size >= writtenBlock {
		if err := w.next(); err != nil {
			return err
		}
	}
	w.buf = w.record(w.buf[:0], e)
	if len(w.buf) > maxBlock {
		return events.TooLarge(e.Subject, len(e.Raw), maxBlock)
	}
	w.at, w.size = e.Seq, w.size+len(w.buf)
	_, err := w.out.Write(w.buf)
	return err
}

// record appends the record of an event, as parse reads it.
func (w *Writer) record(b []byte, e events.Event) []byte {
	headers := fmt.Appendf(nil, "%sNats-Msg-Id: %s%s", headersBegin, e.ID, headersEnd)
	le := binary.LittleEndian
	size := headerSize + len(e.Subject) + 4 + len(headers) + len(e.Raw) + checksumSize
	b = le.AppendUint32(b, uint32(size)|withHeaders)
	b = le.AppendUint64(b, uint64(e.Seq))
	b = le.AppendUint64(b, uint64(e.Stored.UnixNano()))
	b = le.AppendUint16(b, uint16(len(e.Subject)))
	b = append(b, e.Subject...)
	b = le.AppendUint32(b, uint32(len(headers)))
	b = append(b, headers...)
	b = append(b, e.Raw...)
	return append(b, w.hash.of(b[4:20], b[headerSize:headerSize+len(e.Subject)], headers, e.Raw)...)
}

// next ends a block and begins the one after it.
func (w *Writer) next() (err error) {
	if err := w.end(); err != nil {
		return err
	}
	w.index++
	number := strconv.FormatUint(w.index, 10)
	w.hash, w.size = newHasher(w.name+"-"+number), 0
	w.file, err = os.OpenFile(filepath.Join(w.dir, number+blockSuffix), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	w.out = bufio.NewWriterSize(w.file, 1<<20)
	return err
}

func (w *Writer) end() error {
	if w.file == nil {
		return nil
	}
	return errors.Join(w.out.Flush(), w.file.Sync(), w.file.Close())
}

// Close ends the last block. What was written then survives a power cut.
func (w *Writer) Close() error { return errors.Join(w.end(), files.SyncDir(w.dir)) }
