package blocks_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/blocks/blockstest"
)

// flips is how many bits of each shape are flipped; task damage does all.
const flips = 100

// TestFlips flips bits anywhere in the files of a stream, in every shape: each
// is refused, or what is read is what was there.
//
// finding C1, finding H9
func TestFlips(t *testing.T) {
	for _, sh := range blockstest.Shapes() {
		if sh.Events == 0 {
			continue
		}
		t.Run(sh.Name, func(t *testing.T) {
			l := blockstest.Write(t, sh)
			r := rand.New(rand.NewPCG(7, uint64(len(sh.Name))))
			files := streamFiles(t, l.Data)
			for range flips {
				path := files[r.IntN(len(files))]
				flip(t, path, r, func(at int64, bit int) {
					if err := readsSame(l); err != nil && !strings.HasPrefix(err.Error(), "E-") {
						t.Errorf("bit %d of byte %d of %s: %v", bit, at, filepath.Base(path), err)
					}
				})
			}
			if err := readsSame(l); err != nil {
				t.Errorf("put back: %v", err)
			}
		})
	}
}

func streamFiles(t *testing.T, data string) (files []string) {
	t.Helper()
	for _, pattern := range []string{"meta.*", "msgs/*"} {
		found, err := filepath.Glob(filepath.Join(blocks.StreamDir(data, blockstest.Subjects()), pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	return files
}

// flip calls f with one bit of a file flipped, and flips it back.
func flip(t *testing.T, path string, r *rand.Rand, f func(at int64, bit int)) {
	t.Helper()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(whole) == 0 {
		return
	}
	at, bit := r.IntN(len(whole)), r.IntN(8)
	bad := bytes.Clone(whole)
	bad[at] ^= 1 << bit
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	f(int64(at), bit)
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
}

var errOther = errors.New("another log was read, silently")

// readsSame reads a log to its end and compares it. An error without a code
// says that something else was read.
func readsSame(l blockstest.Log) error {
	s, err := blocks.Open(l.Data, blockstest.Subjects())
	if err != nil {
		return err
	}
	if s.ID() != l.ID {
		return events.Rewritten(0, "it is "+s.ID())
	}
	n := 0
	for e, err := range s.Read(context.Background(), 0) {
		if err != nil {
			return err
		}
		if n == len(l.Events) || !same(e, l.Events[n]) {
			return errOther
		}
		n++
	}
	if n != len(l.Events) {
		return errOther
	}
	return nil
}
