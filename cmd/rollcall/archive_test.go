package main

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/events/recording"
)

// archived is a cluster whose log is archived.
type archived struct {
	t         *testing.T
	dir, data string
	env       []string
}

// run runs a command and returns what it said.
func (a archived) run(want int, args ...string) string {
	a.t.Helper()
	code, out := runToEnd(a.t, a.dir, a.env, args...)
	if code != want {
		a.t.Fatalf("%v ends with %d, want %d:\n%s", args, code, want, out)
	}
	return out
}

// log returns the log as it is told, with what is read.
func (a archived) log(args ...string) string { return a.run(0, append([]string{"log"}, args...)...) }

// TestArchive archives the beginning of a stopped log, killed at every step: all of
// the log can be read at each moment, from it or from it and the recording, and says
// what it said before.
func TestArchive(t *testing.T) {
	for i, step := range []string{"", "archive written", "archive compared", "keyframe pinned", "log purged"} {
		t.Run(fmt.Sprintf("%d %s", i, step), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			a := archived{t: t, dir: dir, data: filepath.Join(dir, "data")}
			a.run(0, "up", "--data", a.data, "--nodes", "20", "-f", "example:nginx", "--once")
			whole, hash := a.log("--data", a.data), a.run(0, "state", "--hash", "--data", a.data)
			file := filepath.Join(dir, "a.rollcall")
			archive := func(file, before string) []string {
				return []string{"archive", "--data", a.data, "--before", before, "--to", file, "--yes"}
			}
			if step == "" {
				a.refusals(file)
				if out := a.run(0, archive(file, "45")...); !strings.Contains(out, "the log begins with #45 now") {
					t.Errorf("archived up to #45: %s", out)
				}
				a.same(file, whole, hash, 45)
				a.run(0, archive(filepath.Join(dir, "b.rollcall"), "70")...)
				a.same(file, "", hash, 70) // it does not reach up to there
				a.run(0, archive(filepath.Join(dir, "c.rollcall"), "now")...)
				if got := a.log("--rec", filepath.Join(dir, "c.rollcall"), "--rec", file, "--rec", filepath.Join(dir, "b.rollcall"), "--data", a.data); got != whole {
					t.Errorf("three recordings and the log are\n%s\nand not\n%s", got, whole)
				}
				if rest := a.log("--data", a.data); strings.Count(rest, "\n#")+1 != 1 {
					t.Errorf("of a log that was archived up to its end there is left\n%s", rest)
				}
				a.run(2, archive(filepath.Join(dir, "d.rollcall"), "now")...)
				return
			}
			a.env = []string{killEnv + "=" + step}
			a.run(-1, archive(file, "70")...)
			a.env = nil
			if _, err := os.Stat(file); err != nil {
				t.Errorf("the archive is gone: %v", err)
			}
			if step == "log purged" {
				a.same(file, whole, hash, 70)
				return
			}
			if got := a.log("--data", a.data); got != whole {
				t.Errorf("killed at %q, the log is another:\n%s", step, got)
			}
			again := filepath.Join(dir, "again.rollcall")
			a.run(0, archive(again, "70")...)
			a.same(again, whole, hash, 70)
		})
	}
}

// refusals are what cannot be archived, and changes nothing.
func (a archived) refusals(file string) {
	a.t.Helper()
	for args, want := range map[string]string{
		"--before 99999 --to " + file:                    "E-CLI-INSTANT",
		"--before 2999-01-01 --to " + file:               "E-CLI-INSTANT",
		"--before 1 --to " + file + " --yes":             "E-ARCHIVE-RANGE: there is nothing to archive",
		"--before 70 --to " + a.dir + " --yes":           "E-REC-EXISTS",
		"--before 70 --to " + a.dir + "/x/y --yes":       "no such file or directory",
		"--before 70 --to " + file:                       "E-CLI-FLAG: archive purges",
		"--before 70":                                    "E-CLI-FLAG",
		"--before yesterday --yes --to " + file:          "E-CLI-INSTANT",
		"--before rollout/none#1:end --yes --to " + file: "E-CLI-INSTANT",
	} {
		code, out := runToEnd(a.t, a.dir, nil, append([]string{"archive", "--data", a.data}, strings.Fields(args)...)...)
		if code == 0 || !strings.Contains(out, want) {
			a.t.Errorf("archive %s ends with %d, want %s:\n%s", args, code, want, out)
		}
	}
	if _, err := os.Stat(file); err == nil {
		a.t.Error("a refused archive has left a file")
	}
}

// same holds what is left of the log, and it together with the recording, against
// the log as it was. whole is empty if they do not meet.
func (a archived) same(file, whole, hash string, first int) {
	a.t.Helper()
	stateOf := func(out string) string { return regexp.MustCompile(`sha256:\w+`).FindString(out) }
	if got := a.run(0, "state", "--hash", "--data", a.data); stateOf(got) != stateOf(hash) {
		a.t.Errorf("the state is %s, was %s", got, hash)
	}
	rest := a.log("--data", a.data)
	if whole == "" {
		if out := a.run(2, "log", "--rec", file, "--data", a.data); !strings.Contains(out, "E-REC-SEAM") {
			a.t.Errorf("a recording that does not reach up to the log: %s", out)
		}
		return
	}
	if at := strings.Index(whole, fmt.Sprintf("#%d ", first+1)); rest != whole[at:] {
		a.t.Errorf("what is left of the log is\n%s\nand not\n%s", rest, whole[at:])
	}
	if got := a.log("--rec", file, "--data", a.data); got != whole {
		a.t.Errorf("the recording and the log are\n%s\nand not\n%s", got, whole)
	}
	if out := a.run(0, "record", "verify", file); !strings.Contains(out, "every checksum is right") {
		a.t.Error(out)
	}
	for _, args := range [][]string{{"check"}, {"kubectl", "get", "ds"}, {"why", "ds/nginx-daemonset"}, {"record", "export", filepath.Join(a.dir, "rest.rollcall")}} {
		a.run(0, append(args, "--data", a.data)...)
	}
	a.run(0, "record", "verify", filepath.Join(a.dir, "rest.rollcall"))
	if err := os.Remove(filepath.Join(a.dir, "rest.rollcall")); err != nil {
		a.t.Error(err)
	}
}

// TestArchiveWithoutKeyframe: a log that begins later than with its first event, and
// whose keyframe is gone, is one with a gap.
func TestArchiveWithoutKeyframe(t *testing.T) {
	dir := t.TempDir()
	a := archived{t: t, dir: dir, data: filepath.Join(dir, "data")}
	a.run(0, "up", "--data", a.data, "--nodes", "20", "--once")
	a.run(0, "archive", "--data", a.data, "--before", "30", "--to", filepath.Join(dir, "a.rollcall"), "--yes")
	gone, err := filepath.Glob(filepath.Join(a.data, "jetstream", "*", "streams", "OBJ_*"))
	if err != nil || len(gone) != 1 {
		t.Fatalf("%v, %v", gone, err)
	}
	if err := os.RemoveAll(gone[0]); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"log"}, {"state"}, {"up", "--once"}, {"archive", "--before", "30", "--to", filepath.Join(dir, "b.rollcall"), "--yes"}} {
		if out := a.run(events.ExitHalt, append(args, "--data", a.data)...); !strings.Contains(out, "error: E-LOG-GAP") {
			t.Errorf("%v: %s", args, out)
		}
	}
}

// TestJoin: a recording is read on only in the log that it is of.
func TestJoin(t *testing.T) {
	dir := t.TempDir()
	clean, stuck := filepath.Join("..", "..", "testdata", "recordings", "clean-roll.rollcall"), filepath.Join("..", "..", "testdata", "recordings", "stuck-node.rollcall")
	open := func(path string) *recording.Recording {
		r, err := recording.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		return r
	}
	cut := func(name, of string, last events.Seq, redact func([]byte) []byte) *recording.Recording {
		from, o := open(of), recording.Options{Cluster: "demo", Redact: redact}
		if redact != nil {
			o.Redacted = "nothing"
		}
		path := filepath.Join(dir, name)
		if _, err := recording.Export(t.Context(), path, o, from, open(clean).Before(), recording.Range{Until: func(e events.Event) bool { return e.Seq <= last }}, nil); err != nil {
			t.Fatal(err)
		}
		return open(path)
	}
	for name, x := range map[string]struct {
		rec  *recording.Recording
		fits bool
	}{
		"the beginning of it": {cut("a", clean, 100, nil), true},
		"all of it":           {open(clean), true},
		"another log's":       {cut("b", stuck, 100, nil), false}, // with the same ID, which a copy may have
		"a redacted one":      {cut("c", clean, 100, func(raw []byte) []byte { return raw }), false},
	} {
		log := open(clean)
		a := &archive{history: log, from: log.Before(), dir: "log"}
		err := a.join(t.Context(), recordedLog{x.rec}, "the recording")
		var e *events.Error
		if refused := errors.As(err, &e) && e.Code == "E-REC-SEAM"; refused == x.fits || x.fits && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		for how, es := range map[string]iter.Seq2[events.Event, error]{"read": a.Read(t.Context(), 0), "scanned": a.Scan(t.Context(), 0, nil)} {
			at := events.Seq(0)
			for e, err := range es {
				if err != nil || e.Seq != at+1 {
					t.Fatalf("%s: after #%d comes #%d, %v", name, at, e.Seq, err)
				}
				at = e.Seq
			}
			if info, err := a.Info(t.Context()); err != nil || info.Last != at {
				t.Errorf("%s: %s up to #%d, %+v, %v", name, how, at, info, err)
			}
		}
	}
}
