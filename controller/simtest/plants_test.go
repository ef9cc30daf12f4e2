package simtest

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/events/waittest"
)

var (
	plants          = flag.String("plants", "", "plant only the bugs whose file name contains this")
	plantHistories  = flag.Int("planthistories", 600, "how many histories may look for a planted bug")
	foundInvariant  = regexp.MustCompile(`seed (\d+): (\S+) at #\d+: (.*)`)
	didNotCompileAt = regexp.MustCompile(`(?m)^\S+\.go:\d+:\d+: .*$`)
)

// TestPlants breaks the fold and the decisions on purpose, once for every file
// of testdata/plants, and demands that the histories find out, each by an
// invariant that the file names. A check that nothing fails checks nothing.
//
// Most of the time of one plant would be a compiler and a linker. So all plants
// that change nothing but what functions do are compiled at once, each behind a
// switch, and a package has one test binary, which is run for each plant with that
// one on. The others, of constants, types and signatures, are compiled alone.
func TestPlants(t *testing.T) {
	root := moduleRoot(t)
	s := newSwitches(root)
	tests := map[string]patch{}
	alone := map[string]bool{}
	for _, file := range plantFiles(t, root) {
		name := strings.TrimSuffix(filepath.Base(file), ".patch")
		if !strings.Contains(name, *plants) {
			continue
		}
		_, p := readPatch(t, file)
		ok, err := s.plant(name, p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		tests[name], alone[name] = p, !ok
	}
	binaries := build(t, root, s, tests, alone)
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := tests[name]
			if alone[name] {
				plant(t, p, func(more ...string) ([]byte, error) { return runAlone(t, root, p, more...) })
				return
			}
			plant(t, p, func(more ...string) ([]byte, error) {
				test := exec.CommandContext(t.Context(), binaries[p.test[0]], append([]string{"-test.run=^" + p.test[1] + "$", "-test.timeout=10m"}, more...)...)
				test.Dir, test.Env = filepath.Join(root, p.test[0]), append(os.Environ(), plantedBug+"="+name, impatient)
				return test.CombinedOutput()
			})
		})
	}
}

// build compiles the tests of the plants that are behind switches, and returns the
// binary of each package.
func build(t *testing.T, root string, s *switches, tests map[string]patch, alone map[string]bool) map[string]string {
	dir := t.TempDir()
	binaries := map[string]string{}
	args := []string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", dir + string(filepath.Separator), "-overlay=" + overlay(t, s.texts())}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		of := tests[name].test[0]
		if _, ok := binaries[of]; !ok && !alone[name] {
			binaries[of] = filepath.Join(dir, filepath.Base(of)+".test")
			args = append(args, of)
		}
	}
	if len(binaries) == 0 {
		return nil
	}
	start := time.Now()
	test := exec.CommandContext(t.Context(), "go", args...)
	test.Dir = root
	if out, err := test.CombinedOutput(); err != nil {
		t.Fatalf("the planted code is not compiled: %v\n%s", err, out)
	}
	t.Logf("%d binaries: %s", len(binaries), time.Since(start).Round(time.Second/10))
	return binaries
}

// TestPlantsApply: every planted bug still applies to the code as it is.
func TestPlantsApply(t *testing.T) {
	root := moduleRoot(t)
	for _, file := range plantFiles(t, root) {
		_, p := readPatch(t, file)
		for _, f := range p.files {
			if _, err := f.planted(root); err != nil {
				t.Errorf("%s: %v", filepath.Base(file), err)
			}
		}
	}
}

func moduleRoot(t *testing.T) string {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func plantFiles(t *testing.T, root string) []string {
	files, err := filepath.Glob(filepath.Join(root, "testdata", "plants", "*.patch"))
	if err != nil || len(files) < 75 {
		t.Fatalf("%d plants: %v", len(files), err)
	}
	return files
}

func readPatch(t *testing.T, file string) (about string, p patch) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err = parsePatch(string(text))
	if err != nil {
		t.Fatalf("%s: %v", filepath.Base(file), err)
	}
	about, _, _ = strings.Cut(string(text), "\n")
	return about, p
}

// plant runs the test of a planted bug, which has to fail as the plant says.
func plant(t *testing.T, p patch, run func(more ...string) ([]byte, error)) {
	if strings.HasPrefix(p.killers[0], "Test") {
		plantForTest(t, p, run)
		return
	}
	start := time.Now()
	out, err := run("-histories=" + strconv.Itoa(*plantHistories))
	found := foundInvariant.FindStringSubmatch(string(out))
	switch {
	case err == nil:
		t.Fatalf("no history of %d notices", *plantHistories)
	case found == nil:
		t.Fatalf("the planted code does not run: %s\n%s", didNotCompileAt.FindString(string(out)), out)
	case !slices.Contains(p.killers, found[2]):
		t.Errorf("found by %s, want one of %v: %s", found[2], p.killers, found[3])
	}
	t.Logf("%s, seed %s, %s: %s", found[2], found[1], time.Since(start).Round(time.Second/10), found[3])
}

// impatient ends the waits of a test for what a planted bug keeps from coming.
const impatient = waittest.Variable + "=20s"

// plantForTest demands that an ordinary test fails, by name.
func plantForTest(t *testing.T, p patch, run func(more ...string) ([]byte, error)) {
	start := time.Now()
	out, err := run()
	if err == nil {
		t.Fatalf("%s does not notice", p.test[1])
	}
	for _, k := range p.killers {
		if strings.Contains(string(out), "--- FAIL: "+k+" ") {
			t.Logf("%s, %s", k, time.Since(start).Round(time.Second/10))
			return
		}
	}
	t.Errorf("found, but not by any of %v:\n%s", p.killers, out)
}

// runAlone runs the test of a patch on code with that patch. What is vetted and
// what a debugger needs are left out: they take longer than most tests.
func runAlone(t *testing.T, root string, p patch, more ...string) (output []byte, err error) {
	texts := map[string][]byte{}
	for _, f := range p.files {
		planted, err := f.planted(root)
		if err != nil {
			t.Fatalf("the plant does not apply any more: %v", err)
		}
		texts[f.path(root)] = []byte(planted)
	}
	args := append([]string{"test", "-count=1", "-vet=off", "-ldflags=-s -w", "-overlay=" + overlay(t, texts), "-run=^" + p.test[1] + "$", p.test[0]}, more...)
	test := exec.CommandContext(t.Context(), "go", args...)
	test.Dir, test.Env = root, append(os.Environ(), impatient)
	return test.CombinedOutput()
}

// overlay writes texts and the paths of what they stand for, as the go command
// wants it.
func overlay(t *testing.T, texts map[string][]byte) string {
	dir := t.TempDir()
	replace := map[string]string{}
	for i, path := range slices.Sorted(maps.Keys(texts)) {
		to := filepath.Join(dir, strconv.Itoa(i)+".go")
		if err := os.WriteFile(to, texts[path], 0o600); err != nil {
			t.Fatal(err)
		}
		replace[path] = to
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return list
}
