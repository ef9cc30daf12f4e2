package blocks

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"rollcall/events"
	"rollcall/events/files"
)

const (
	indexFile = "index.db"

	metaFile = "meta.inf"
	metaSum  = "meta.sum"
	maxMeta  = 1 << 20

	indexMagic      = 11
	indexVersion    = 4 // the last that is known
	indexHead       = 2 + 6*binary.MaxVarintLen64
	indexLeast      = 32
	recordChecksums = 2 * checksumSize // of the last record, and of the file, at the end
)

// readIdentity returns the events.Info.ID of a stream.
func readIdentity(dir, name string) (string, error) {
	path := filepath.Join(dir, metaFile)
	meta, err := readBounded(path)
	if err != nil {
		return "", nameless(name, path, err)
	}
	sum, err := readBounded(filepath.Join(dir, metaSum))
	if err != nil {
		return "", nameless(name, filepath.Join(dir, metaSum), err)
	}
	if hex.EncodeToString(newHasher(name).of(meta)) != string(sum) {
		return "", nameless(name, path, errors.New("it is not what "+metaSum+" is the checksum of"))
	}
	var m struct {
		Created time.Time
		Name    string `json:"name"`
	}
	if err := json.Unmarshal(meta, &m); err != nil {
		return "", nameless(name, path, err)
	}
	if m.Name != name {
		return "", nameless(name, path, fmt.Errorf("it is that of stream %.80q", m.Name))
	}
	return fmt.Sprintf("%s@%d", m.Name, m.Created.UnixNano()), nil
}

// ErrNameless says that the description of a stream is gone or damaged. Its
// messages may be whole: OpenNameless opens them.
var ErrNameless = errors.New("the stream has no description")

func nameless(stream, path string, err error) error {
	return &events.Error{Code: "E-STREAM-NONE", What: "the description of stream " + stream + " cannot be read", Where: path, Why: files.Reason(err),
		Do: "put " + metaFile + " and " + metaSum + " back from a copy of the data directory", Exit: events.ExitHalt, Err: ErrNameless}
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxMeta {
		return nil, errors.New("it is no file of its size")
	}
	return os.ReadFile(path)
}

// index is what is used of the server's index: that it has seen a record. A
// server that is killed leaves none, an old one, or half of one.
type index struct {
	whole    bool // else it says nothing; the server makes a new one
	path     string
	msgs     uint64
	first    events.Seq
	last     events.Seq
	checksum [checksumSize]byte // of the last record
}

// readIndex reads the index of a stream. One that is damaged says nothing: the
// server writes it in place, so that it may be torn.
func readIndex(path, stream string) (x index, err error) {
	x.path = path
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return x, nil
	}
	if err != nil {
		return x, unreadable(path, err)
	}
	if !info.Mode().IsRegular() || info.Size() < indexLeast {
		return x, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return x, unreadable(path, err)
	}
	defer f.Close()
	head := make([]byte, min(indexHead, info.Size()-checksumSize))
	tail := make([]byte, recordChecksums)
	h := newHasher(stream)
	_, err = io.Copy(h.digest, io.NewSectionReader(f, 0, info.Size()-checksumSize))
	if err == nil {
		_, err = f.ReadAt(head, 0)
	}
	if err == nil {
		_, err = f.ReadAt(tail, info.Size()-recordChecksums)
	}
	if err != nil {
		return x, unreadable(path, err)
	}
	if !bytes.Equal(h.digest.Sum(h.sum[:0]), tail[checksumSize:]) || head[0] != indexMagic || head[1] == 0 || head[1] > indexVersion {
		return x, nil
	}
	copy(x.checksum[:], tail)
	x.whole = x.parse(head[2:])
	return x, nil
}

// parse reads the counts at the beginning of an index.
func (x *index) parse(b []byte) bool {
	next := func(signed bool) (v uint64) {
		n := 0
		if signed {
			_, n = binary.Varint(b)
		} else {
			v, n = binary.Uvarint(b)
		}
		if n <= 0 {
			b = nil
			return 0
		}
		b = b[n:]
		return v
	}
	x.msgs = next(false)
	next(false) // bytes
	x.first = events.Seq(next(false))
	next(true) // time of the first
	x.last = events.Seq(next(false))
	return len(b) > 0
}

// meet compares a record with the last one of the index.
func (x *index) meet(r *record) error {
	if r.seq != x.last || !x.whole || x.checksum == [checksumSize]byte{} || bytes.Equal(r.checksum, x.checksum[:]) {
		return nil
	}
	return events.Rewritten(r.seq, "the record there is another than "+x.path+" has seen")
}

// compare compares the end of a log with the index, which may be ahead if the
// server did not sync each write.
func (x *index) compare(last, archived events.Seq, relaxed bool) error {
	if !x.whole || x.last == 0 {
		return nil
	}
	if x.first == 0 || x.first > max(archived, 1) || x.msgs != uint64(x.last-x.first)+1 {
		return deleted(max(x.first, 2)-1, x.path)
	}
	if x.last <= last || relaxed {
		return nil
	}
	err := events.Truncated(x.last, last)
	err.Where = fmt.Sprintf("%s has seen position %d", x.path, x.last)
	return err
}
