package datadir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/blocks/blockstest"
	"rollcall/events/chain"
)

// keeper returns the keeper of a directory that says what is not well to w.
func keeper(dir string, w io.Writer) *Keeper {
	return NewKeeper(Options{Dir: dir, Subjects: blockstest.Subjects(), Warn: func(text string) { fmt.Fprintln(w, text) }})
}

// TestSavingFails: a position that cannot be saved is a warning, once, and is
// saved when it can be.
//
// finding H6
func TestSavingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "gone")
		var said bytes.Buffer
		k := keeper(dir, &said)
		for seq := events.Seq(1); seq <= 3; seq++ {
			if err := k.Save(chain.Position{Log: "x@1", Seq: seq}); err != nil {
				t.Fatalf("saving %d ends the instance: %v", seq, err)
			}
		}
		<-time.After(5 * time.Second)
		if n := strings.Count(said.String(), "could not be saved"); n != 1 {
			t.Errorf("said %d times: %q", n, said.String())
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Second)
		if w, err := loadWitness(dir); err != nil || w.position.Seq != 3 {
			t.Errorf("saved is %+v, %v", w, err)
		}
		if err := k.End(); err != nil {
			t.Error(err)
		}
	})
}

// TestSynced: in relaxed mode only what was read long ago is taken for synced,
// and in sync mode all.
//
// finding H1
func TestSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, relaxed := range []bool{true, false} {
			dir := t.TempDir()
			k := keeper(dir, io.Discard)
			k.Relaxed = relaxed
			for seq := events.Seq(1); seq <= 300; seq++ {
				if err := k.Save(chain.Position{Log: "x@1", Seq: seq}); err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Second)
			}
			w, err := loadWitness(dir)
			want := events.Seq(300)
			if relaxed {
				want -= events.Seq(syncedAfter / time.Second)
			}
			if err != nil || w.synced.Seq != want || w.position.Seq != 300 {
				t.Errorf("relaxed %v: position %d, synced %d, want %d; %v", relaxed, w.position.Seq, w.synced.Seq, want, err)
			}
		}
	})
}

// TestAcknowledged: what an append was told is in the file before anybody else
// hears of it, and never goes back.
func TestAcknowledged(t *testing.T) {
	dir := t.TempDir()
	k := keeper(dir, io.Discard)
	if err := k.Begin(events.Info{ID: "x@1"}); err != nil {
		t.Fatal(err)
	}
	for _, seq := range []events.Seq{3, 7, 5} {
		k.acknowledge(seq)
	}
	if w, err := loadWitness(dir); err != nil || w.acked != 7 || w.ackedLog != "x@1" {
		t.Errorf("%+v, %v", w, err)
	}
	if err := k.End(); err != nil {
		t.Fatal(err)
	}
}

// TestBegin refuses a log of which the server has opened another part than was
// read before.
func TestBegin(t *testing.T) {
	k := keeper(t.TempDir(), io.Discard)
	k.known.Seq = 8
	var e *events.Error
	if err := k.Begin(events.Info{ID: "x@1", Last: 7}); !errors.As(err, &e) || e.Code != "E-LOG-REWRITTEN" {
		t.Errorf("%v", err)
	}
}

// TestBeginRelaxed: that a power cut may take something is kept from the first
// moment of a log on, also of one that rests before its position is ever saved.
//
// finding H1
func TestBeginRelaxed(t *testing.T) {
	l := blockstest.Write(t, blockstest.Shape{Events: 40, Killed: true})
	k := keeper(l.Data, io.Discard)
	k.Relaxed = true
	if err := k.Begin(events.Info{ID: l.ID}); err != nil {
		t.Fatal(err)
	}
	k.acknowledge(45) // of which the power takes the last five
	if err := k.acked.Close(); err != nil {
		t.Fatal(err)
	}
	next := keeper(l.Data, io.Discard)
	if err := next.Check(t.Context(), l.Data); err != nil || !next.Lost() || next.Known().Seq != 40 {
		t.Errorf("after the power cut: %v, lost %v, known up to %d", err, next.Lost(), next.Known().Seq)
	}
}

// TestRecheck: blocks that were sealed since the start are added, and one that
// is damaged later, or replaced by another, is found.
func TestRecheck(t *testing.T) {
	l := blockstest.Write(t, blockstest.Shape{Events: 130, Many: true, Killed: true})
	subjects := blockstest.Subjects()
	var known []sealedBlock
	next := 0
	var err error
	for range 10 {
		if known, next, err = recheck(l.Data, l.ID, subjects, false, known, next); err != nil {
			t.Fatal(err)
		}
	}
	if saved := loadSealed(l.Data, l.ID); len(known) < 2 || len(saved) != len(known) || known[0].Last == 0 {
		t.Fatalf("%d known, %d saved", len(known), len(saved))
	}
	path := filepath.Join(blocks.StreamDir(l.Data, subjects), "msgs", "1.blk")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(b []byte) []byte{
		"a bit":      func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut":        func(b []byte) []byte { return b[:len(b)-10] },
		"a time":     func(b []byte) []byte { b[13] ^= 1; return b },
		"of nothing": func([]byte) []byte { return nil },
	} {
		if err := os.WriteFile(path, change(bytes.Clone(whole)), 0o600); err != nil {
			t.Fatal(err)
		}
		var found error
		for range known {
			if _, next, err = recheck(l.Data, l.ID, subjects, false, known, next); err != nil {
				found = err
			}
		}
		var e *events.Error
		if !errors.As(found, &e) || e.Exit != events.ExitHalt {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// TestOthers: a damaged stream beside the log is refused by name, and one that
// has forgotten what it had is not.
func TestOthers(t *testing.T) {
	l := blockstest.Write(t, blockstest.Shape{Events: 20, Killed: true})
	subjects, err := events.NewSubjects("another")
	if err != nil {
		t.Fatal(err)
	}
	if err := blocks.CheckOthers(l.Data, subjects); err != nil {
		t.Fatalf("a whole one: %v", err)
	}
	path := filepath.Join(blocks.StreamDir(l.Data, blockstest.Subjects()), "msgs", "1.blk")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[int]bool{40: true, 10: true, len(whole) - 1: true} {
		b := bytes.Clone(whole)
		b[at] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var e *events.Error
		if err := blocks.CheckOthers(l.Data, subjects); errors.As(err, &e) != want || want && e.Code != "E-STORE-FILE" {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	if err := os.WriteFile(path, whole[:len(whole)-9], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := blocks.CheckOthers(l.Data, subjects); err != nil {
		t.Errorf("torn: %v", err)
	}
}
