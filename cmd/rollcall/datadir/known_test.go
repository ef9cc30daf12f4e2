package datadir

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"rollcall/events/blocks"
	"rollcall/events/blocks/blockstest"
)

// checkBoth checks a log by what is known of its blocks, and whole.
func checkBoth(t *testing.T, dir string) (known, whole *Checked, errs [2]error) {
	t.Helper()
	for i, c := range []*checker{{dir: dir, subjects: blockstest.Subjects()}, {dir: dir, subjects: blockstest.Subjects(), whole: true}} {
		l, err := c.check(t.Context())
		if errs[i] = err; i == 0 {
			known = l
		} else {
			whole = l
		}
	}
	return known, whole, errs
}

// TestKnownBlocks: blocks that are what they were when they were proved are not
// proved again, and nothing else is different: what is found of a whole log is the
// same, and so is the refusal of one in which a byte of an old block has changed.
//
// finding C1
func TestKnownBlocks(t *testing.T) {
	for _, sh := range []blockstest.Shape{{Events: 130, Many: true}, {Events: 130, Many: true, Killed: true}} {
		l := storeWithWitnesses(t, sh)
		w, err := loadWitness(l.Data)
		if err != nil {
			t.Fatal(err)
		}
		skipped := 0
		for _, k := range w.known(l.ID) {
			if !k.Visit {
				skipped++
			}
		}
		if len(w.sealed) < 3 || skipped < len(w.sealed)-1 {
			t.Fatalf("of %d sealed blocks %d are not read again", len(w.sealed), skipped)
		}
		known, whole, errs := checkBoth(t, l.Data)
		if errs != [2]error{} || !reflect.DeepEqual(known.report, whole.report) || known.end != whole.end || !slices.Equal(known.blocks, whole.blocks) {
			t.Fatalf("by what is known %+v, whole %+v; %v", known, whole, errs)
		}
		path := filepath.Join(blocks.StreamDir(l.Data, blockstest.Subjects()), "msgs", "1.blk")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(b); i += 101 {
			b[i] ^= 1 << (i % 8)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, _, errs := checkBoth(t, l.Data); errs[0] == nil || errs[1] == nil || errs[0].Error() != errs[1].Error() {
				t.Fatalf("byte %d of an old block has changed: %v; whole: %v", i, errs[0], errs[1])
			}
			b[i] ^= 1 << (i % 8)
		}
	}
}
