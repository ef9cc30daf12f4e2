package main

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"rollcall/events/recording"
)

// failing is an output that cannot be written.
type failing struct{ err error }

// Write implements io.Writer.
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestFailingOutput: a command whose reader goes away ends and says nothing, and
// one whose output is full says so.
func TestFailingOutput(t *testing.T) {
	sandbox(t)
	rec, err := filepath.Abs(filepath.Join("..", "..", "testdata", "recordings", "clean-roll.rollcall"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range logVerbs {
		if strings.HasPrefix(line, "open ") || strings.HasPrefix(line, "ui ") || strings.HasPrefix(line, "kubectl ") {
			continue
		}
		if strings.HasPrefix(line, "diverge ") {
			continue // no recording here is of a real cluster: it is refused before anything is written
		}
		for _, f := range []struct {
			err  error
			said string
		}{{syscall.EPIPE, "^$"}, {syscall.ENOSPC, "^error: E-CLI-OUTPUT: [^\n]*\n$"}} {
			var errs bytes.Buffer
			code := run(t.Context(), fill(line, rec, rec, filepath.Join(t.TempDir(), "out")), strings.NewReader(""), failing{f.err}, &errs)
			if code != 1 || !regexp.MustCompile(f.said).MatchString(errs.String()) {
				t.Errorf("rollcall %s with %v: exit code %d, %q", line, f.err, code, errs.String())
			}
		}
	}
}

// TestEmptyLog asks a log without events everything: the answer is that it is
// empty, or nothing.
func TestEmptyLog(t *testing.T) {
	sandbox(t)
	path := filepath.Join(t.TempDir(), "empty.rollcall")
	w, err := recording.Create(path, recording.Options{Cluster: "demo"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, line := range logVerbs {
		code, out, errs := answers(t, fill(line, path, path, filepath.Join(t.TempDir(), "out")))
		if code != 0 && !(code == 2 && oneLine.MatchString(errs) && out == "") && !strings.HasPrefix(line, "regress") || code > 2 {
			t.Errorf("rollcall %s: exit code %d, %q, %q", line, code, out, errs)
		}
	}
}
