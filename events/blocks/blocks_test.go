package blocks_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/blocks/blockstest"
)

func mustOpen(tb testing.TB, data string) *blocks.Store {
	tb.Helper()
	s, err := blocks.Open(data, blockstest.Subjects())
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// wantCode holds an error against its code and the class that callers act on.
func wantCode(t *testing.T, err error, code string) *events.Error {
	t.Helper()
	var e *events.Error
	if !errors.As(err, &e) || e.Code != code || e.Exit != events.ExitHalt {
		t.Fatalf("got %v, want %s", err, code)
	}
	return e
}

// same reports whether two events are the same, with their bytes.
func same(a, b events.Event) bool {
	return a.Seq == b.Seq && a.Stored.Equal(b.Stored) && a.ID == b.ID && bytes.Equal(a.Raw, b.Raw)
}

// TestShapes reads what the server has written in every shape, and compares it
// with what the server says. It fails if another server writes other files.
func TestShapes(t *testing.T) {
	for _, sh := range blockstest.Shapes() {
		t.Run(sh.Name, func(t *testing.T) {
			l := blockstest.Write(t, sh)
			before := snapshot(t, l.Data)
			s := mustOpen(t, l.Data)
			rep, err := s.Check(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if s.ID() != l.ID || rep.Last != events.Seq(sh.Events) || rep.Torn != nil {
				t.Errorf("log %s with %+v, the server says %s with %d events", s.ID(), rep, l.ID, sh.Events)
			}
			if sh.Many && len(rep.Blocks) < 3 {
				t.Errorf("%d blocks", len(rep.Blocks))
			}
			if want := knownOf(sh); rep.Known != want {
				t.Errorf("the index knows position %d, want %d", rep.Known, want)
			}
			for _, after := range []int{0, 1, sh.Events / 2, sh.Events - 1, sh.Events} {
				wantRead(t, s, min(max(after, 0), sh.Events), l.Events)
			}
			if after := snapshot(t, l.Data); after != before {
				t.Errorf("reading has changed the files:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// knownOf returns the last position that the index of a shape knows.
func knownOf(sh blockstest.Shape) events.Seq {
	switch {
	case sh.OldIndex:
		return events.Seq(sh.Events / 2)
	case sh.Killed:
		return 0
	}
	return events.Seq(sh.Events)
}

// wantRead reads after a position and wants the rest of the events.
func wantRead(t *testing.T, s *blocks.Store, after int, all []events.Event) {
	t.Helper()
	want := all[after:]
	for e, err := range s.Read(t.Context(), events.Seq(after)) {
		if err != nil {
			t.Fatal(err)
		}
		if len(want) == 0 || !same(e, want[0]) {
			t.Fatalf("after %d: read #%d, which the server does not have there", after, e.Seq)
		}
		want = want[1:]
	}
	if len(want) > 0 {
		t.Fatalf("after %d: %d events were not read, from #%d on", after, len(want), want[0].Seq)
	}
}

// snapshot describes every file below a directory.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b.WriteString(path + " " + info.ModTime().Format(time.RFC3339Nano) + " " + info.Mode().String() + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestVerified: another nats-server is looked at before its files are read. If
// TestShapes passes with it, and its server/filestore.go was read for what is
// new, Verified is raised.
func TestVerified(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/nats-io/nats-server/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	if v := strings.TrimSpace(string(out)); v != blocks.Verified {
		t.Errorf("the module has nats-server %s, the reader was verified with %s", v, blocks.Verified)
	}
}

// TestReadOnly reads a store without the right to write, as root as well: what
// is read is not changed.
//
// finding M7
func TestReadOnly(t *testing.T) {
	l := blockstest.Write(t, blockstest.Shape{Events: 10, Killed: true})
	err := filepath.WalkDir(l.Data, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = os.Chmod(path, 0o500)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = filepath.WalkDir(l.Data, func(path string, _ fs.DirEntry, _ error) error { return os.Chmod(path, 0o700) })
	})
	wantRead(t, mustOpen(t, l.Data), 0, l.Events)
}

// TestStopReading: a reader that has enough is not called again, and one whose
// context ends is told.
func TestStopReading(t *testing.T) {
	l := blockstest.Write(t, blockstest.Shape{Events: 10})
	s := mustOpen(t, l.Data)
	for e, err := range s.Read(t.Context(), 0) {
		if err != nil || e.Seq != 1 {
			t.Fatalf("#%d, %v", e.Seq, err)
		}
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.Read(ctx, 0) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled reader gets %v", err)
		}
	}
	for _, err := range s.Read(t.Context(), 11) {
		wantCode(t, err, "E-LOG-TRUNCATED")
	}
}

// TestIndex: the index of a clean stop tells that the end was cut off, or that
// another record stands there; one that is damaged says nothing.
//
// finding H9
func TestIndex(t *testing.T) {
	l := blockstest.Write(t, blockstest.Shape{Events: 20})
	dir := filepath.Join(blocks.StreamDir(l.Data, blockstest.Subjects()), "msgs")
	whole, err := os.ReadFile(filepath.Join(dir, "1.blk"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(file string, b []byte) (blocks.Report, error) {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
		return mustOpen(t, l.Data).Check(t.Context(), nil)
	}
	for cut := 1; cut < len(whole); cut += 97 {
		_, err := check("1.blk", whole[:len(whole)-cut])
		e := wantCode(t, err, "E-LOG-TRUNCATED")
		if !strings.Contains(e.Where, "index.db has seen position 20") {
			t.Errorf("cut by %d: %v", cut, e)
		}
	}
	other := blockstest.Write(t, blockstest.Shape{Events: 25, Other: true})
	foreign, err := os.ReadFile(filepath.Join(blocks.StreamDir(other.Data, blockstest.Subjects()), "msgs", "1.blk"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = check("1.blk", foreign)
	wantCode(t, err, "E-LOG-REWRITTEN")
	index, err := os.ReadFile(filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := check("1.blk", whole); err != nil {
		t.Fatal(err)
	}
	for i := range index {
		b := bytes.Clone(index)
		b[i] ^= 4
		if rep, err := check("index.db", b); err != nil || rep.Known != 0 || rep.Last != 20 {
			t.Errorf("byte %d of the index: %+v, %v", i, rep, err)
		}
	}
	for _, n := range []int{0, 10, len(index) - 1} {
		if rep, err := check("index.db", index[:n]); err != nil || rep.Known != 0 {
			t.Errorf("%d bytes of the index: %+v, %v", n, rep, err)
		}
	}
}
