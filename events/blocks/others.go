package blocks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rollcall/events"
	"rollcall/events/keyframes"
)

// maxHole bounds the positions that may be missing between two records of a
// stream that forgets: the server keeps each in memory.
const maxHole = 1 << 24

// CheckOthers checks the streams beside the log of a cluster in a data
// directory, which the server reads as well: a damaged one could keep the server
// from starting. These streams hold Leases and Events, and forget old ones, so
// that positions may be missing in them. The keyframes are looked at by
// CheckKeyframes.
func CheckOthers(data string, s events.Subjects) error {
	dir := filepath.Join(data, streamsDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unreadable(dir, err)
	}
	for _, e := range entries {
		if e.Name() == s.Stream() || e.Name() == filepath.Base(objectsDir(data, s, keyframes.Bucket)) || !e.IsDir() {
			continue
		}
		if err := checkOther(filepath.Join(dir, e.Name()), e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// CheckKeyframes returns what is damaged of the stream of the keyframes beside the
// log, and its directory.
func CheckKeyframes(data string, s events.Subjects) (dir string, damage error) {
	dir = objectsDir(data, s, keyframes.Bucket)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return dir, nil
	}
	return dir, checkOther(dir, filepath.Base(dir))
}

func checkOther(dir, name string) error {
	st, err := open(dir, name, false) // the server makes a description anew
	if err != nil {
		return other(dir, name, err)
	}
	var last uint64
	for i := range st.blocks {
		b, err := st.load(i, &buffers{})
		if err != nil {
			return other(dir, name, err)
		}
		if last, err = st.checkForgetful(i, b, last); err != nil {
			return other(dir, name, err)
		}
	}
	if x := st.index; x.whole && uint64(x.last) > last+maxHole {
		return other(dir, name, fmt.Errorf("%s knows position %d, the blocks end at %d", x.path, x.last, last))
	}
	return nil
}

// checkForgetful checks a block whose records may be missing or erased.
func (s *Store) checkForgetful(i int, b *block, last uint64) (uint64, error) {
	var r record
	sc := &scanner{store: s}
	for off := 0; off < len(b.data); off += r.size {
		l, why := measure(b.data[off:])
		if why == "" && l.size <= len(b.data)-off {
			why = b.hash.verify(b.data[off:], l, &r)
		}
		if why != "" {
			if sc.isEnd(i) && l.size != 0 && !b.packed && (l.size > len(b.data)-off || len(b.data)-off < headerSize) {
				return last, nil // torn, which the server cuts
			}
			return last, damaged("a record is damaged", place(b, off), why, "")
		}
		if seq := uint64(r.seq); seq > last {
			if last > 0 && seq-last > maxHole {
				return last, damaged("a record is damaged", place(b, off), fmt.Sprintf("position %d follows %d", seq, last), "")
			}
			last = seq
		}
	}
	return last, nil
}

// other is the refusal of a stream beside the log.
func other(dir, name string, err error) error {
	why := err.Error()
	if e := new(events.Error); errors.As(err, &e) {
		why = fmt.Sprintf("%s (%s): %s", e.What, e.Where, e.Why)
	}
	return &events.Error{Code: "E-STORE-FILE", What: "stream " + name + " beside the log is damaged", Where: dir, Why: why,
		Do: "remove that directory: the log is whole, and only Events and Leases that were made through the API are lost", Exit: events.ExitHalt}
}
