package datadir

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/events/files"
)

// Files of a data directory that are witnesses of its log: they tell a log that
// lost its end, or is another, from one that never had more.
const (
	PositionFile = "position.json" // how far it was read, with the running hash
	ackedFile    = "acknowledged"  // the last position that an append was told
	sealedFile   = "blocks.json"   // the blocks that the server writes no more
)

// Modes in which an instance wrote a log: what of it a power cut may take.
const (
	modeSync    = "sync"
	modeRelaxed = "relaxed"
)

// savedPosition is a chain.Position in JSON.
type savedPosition struct {
	Log   string     `json:"log"`
	Seq   events.Seq `json:"seq"`
	Chain string     `json:"chain"`
	Mode  string     `json:"mode,omitempty"` // none: sync
	// Synced is the last position that no power cut can take: in relaxed mode
	// one that was read before the server's last sync.
	Synced *syncedPosition `json:"synced,omitempty"`
}

type syncedPosition struct {
	Seq   events.Seq `json:"seq"`
	Chain string     `json:"chain"`
}

// witness is what a data directory knows of its log. The zero witness knows
// nothing.
type witness struct {
	position chain.Position // how far the log was read; Seq 0: not known
	synced   chain.Position // how far of that no power cut can take away
	relaxed  bool           // the mode in which the log was written
	ackedLog string         // the ID of the log of acked
	acked    events.Seq     // the last position that an append was told; 0: not known
	sealed   []sealedBlock
}

// of reports whether anything is known of the log of this stream.
func (w witness) of(stream string) bool {
	return strings.HasPrefix(w.position.Log, stream+"@") && w.position.Seq > 0 || strings.HasPrefix(w.ackedLog, stream+"@") && w.acked > 0
}

// last returns the greatest position that was in the log, and how that is known.
func (w witness) last() (seq events.Seq, how string) {
	if w.acked > w.position.Seq {
		return w.acked, fmt.Sprintf("position %d was acknowledged before", w.acked)
	}
	return w.position.Seq, fmt.Sprintf("position %d was read before", w.position.Seq)
}

func loadWitness(dir string) (w witness, err error) {
	if err := w.loadPosition(filepath.Join(dir, PositionFile)); err != nil {
		return w, err
	}
	if err := w.loadAcked(filepath.Join(dir, ackedFile)); err != nil {
		return w, err
	}
	w.sealed = loadSealed(dir, w.position.Log)
	return w, nil
}

// loadPosition reads how far the last run had read. Fields that it does not
// know are refused: one could be a field that it knows with a bit flipped.
func (w *witness) loadPosition(path string) error {
	b, found, err := readFile(path)
	if err != nil || !found {
		return err
	}
	var s savedPosition
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return damaged(path, err.Error())
	}
	if w.position, err = position(s.Log, s.Seq, s.Chain); err != nil {
		return damaged(path, err.Error())
	}
	w.synced = w.position
	switch {
	case s.Mode != "" && s.Mode != modeSync && s.Mode != modeRelaxed:
		return damaged(path, fmt.Sprintf("its mode is %.20q", s.Mode))
	case s.Mode == modeRelaxed && s.Synced == nil, s.Mode != modeRelaxed && s.Synced != nil:
		return damaged(path, "its mode is not that of its positions")
	case s.Synced != nil:
		w.relaxed = true
		if w.synced, err = position(s.Log, s.Synced.Seq, s.Synced.Chain); err != nil || w.synced.Seq > w.position.Seq {
			return damaged(path, "its synced position is none")
		}
	}
	return nil
}

func position(log string, seq events.Seq, sum string) (chain.Position, error) {
	p := chain.Position{Log: log, Seq: seq}
	b, err := hex.DecodeString(sum)
	if err != nil || len(b) != len(p.Chain) {
		return p, errors.New("its chain has not 32 bytes")
	}
	copy(p.Chain[:], b)
	return p, nil
}

// savePosition saves how far a log was read; synced is not after it.
func savePosition(dir string, p, synced chain.Position, relaxed bool) error {
	s := savedPosition{Log: p.Log, Seq: p.Seq, Chain: hex.EncodeToString(p.Chain[:]), Mode: modeSync}
	if relaxed {
		s.Mode, s.Synced = modeRelaxed, &syncedPosition{synced.Seq, hex.EncodeToString(synced.Chain[:])}
	}
	return files.ReplaceJSON(filepath.Join(dir, PositionFile), s)
}

// LoadPosition reads how far a log was read that is in no data directory; its Seq
// is 0 if nobody knows.
func LoadPosition(path string) (chain.Position, error) {
	var w witness
	err := w.loadPosition(path)
	return w.position, err
}

// SavePosition saves how far a log was read that is in no data directory.
func SavePosition(path string, p chain.Position) error {
	return files.ReplaceJSON(path, savedPosition{Log: p.Log, Seq: p.Seq, Chain: hex.EncodeToString(p.Chain[:])})
}

// ackedLine is the content of the acknowledged file. It always has the same
// length, so that it can be overwritten in place at each append. The file is not
// synced: the system keeps what a process has written that is killed.
func ackedLine(log string, seq events.Seq) []byte {
	text := fmt.Sprintf("%s %020d", log, seq)
	return fmt.Appendf(nil, "%s %08x\n", text, crc32.ChecksumIEEE([]byte(text)))
}

func (w *witness) loadAcked(path string) error {
	b, found, err := readFile(path)
	if err != nil || !found {
		return err
	}
	if _, err := fmt.Sscanf(string(b), "%s %d", &w.ackedLog, &w.acked); err != nil || !bytes.Equal(b, ackedLine(w.ackedLog, w.acked)) {
		return damaged(path, "its checksum is another")
	}
	return nil
}

// maxWitness bounds a file that is read whole.
const maxWitness = 64 << 20

// readFile reads a small file of the data directory, if it is there.
func readFile(path string) (b []byte, found bool, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return nil, false, nil // that a data directory is a file is refused by who opens it
	case err != nil:
		return nil, false, damaged(path, files.Reason(err))
	case !info.Mode().IsRegular() || info.Size() > maxWitness:
		return nil, false, damaged(path, "it is no file of its size")
	}
	if b, err = os.ReadFile(path); err != nil {
		return nil, false, damaged(path, files.Reason(err))
	}
	return b, true, nil
}
