package simtest

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	plants          = flag.String("plants", "", "plant only the bugs whose file name contains this")
	everyPlant      = flag.Bool("every-plant", false, "plant also the bugs that are planted on one day of eight")
	plantHistories  = flag.Int("planthistories", 600, "how many histories may look for a planted bug")
	foundInvariant  = regexp.MustCompile(`seed (\d+): (\S+) at #\d+: (.*)`)
	didNotCompileAt = regexp.MustCompile(`(?m)^\S+\.go:\d+:\d+: .*$`)
)

// TestPlants breaks the fold and the decisions on purpose, once for every file
// of testdata/plants, and demands that the histories find out, each by an
// invariant that the file names. A check that nothing fails checks nothing.
//
// Plants run side by side: most of the time of one is a compiler, a linker and a
// test that each keep one core busy. Those whose tests are linked with the whole
// Kubernetes API take the most, and each has its day of eight.
func TestPlants(t *testing.T) {
	root := moduleRoot(t)
	for i, file := range plantFiles(t, root) {
		name := strings.TrimSuffix(filepath.Base(file), ".patch")
		if !strings.Contains(name, *plants) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if day := time.Now().YearDay() % 8; !*everyPlant && *plants == "" && i%8 != day && withKubernetes(t, file) {
				t.Skipf("it is linked with all of Kubernetes, and planted on one day of eight: go test -every-plant, or -plants %s", name)
			}
			plant(t, root, file)
		})
	}
}

// withKubernetes reports whether the test that notices a plant is linked with all of
// the Kubernetes API.
func withKubernetes(t *testing.T, file string) bool {
	_, p := readPatch(t, file)
	return len(p.test) > 0 && (strings.HasPrefix(p.test[0], "./projector/apiserver") || strings.HasPrefix(p.test[0], "./cmd/rollcall"))
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

func plant(t *testing.T, root, file string) {
	about, p := readPatch(t, file)
	if strings.HasPrefix(p.killers[0], "Test") {
		plantForTest(t, root, p)
		return
	}
	start := time.Now()
	out, err := runPlanted(t, root, p, "-histories="+strconv.Itoa(*plantHistories))
	found := foundInvariant.FindStringSubmatch(string(out))
	switch {
	case err == nil:
		t.Fatalf("no history of %d notices: %s", *plantHistories, about)
	case found == nil:
		t.Fatalf("the planted code does not run: %s\n%s", didNotCompileAt.FindString(string(out)), out)
	case !slices.Contains(p.killers, found[2]):
		t.Errorf("found by %s, want one of %v: %s", found[2], p.killers, found[3])
	}
	t.Logf("%s, seed %s, %s: %s", found[2], found[1], time.Since(start).Round(time.Second/10), found[3])
}

// plantForTest demands that an ordinary test fails, by name.
func plantForTest(t *testing.T, root string, p patch) {
	out, err := runPlanted(t, root, p)
	if err == nil {
		t.Fatalf("%s does not notice", p.test[1])
	}
	for _, k := range p.killers {
		if strings.Contains(string(out), "--- FAIL: "+k+" ") {
			return
		}
	}
	t.Errorf("found, but not by any of %v:\n%s", p.killers, out)
}

// runPlanted runs the test of a patch on the planted code. What is vetted and
// what a debugger needs are left out: they take longer than most tests.
func runPlanted(t *testing.T, root string, p patch, more ...string) (output []byte, err error) {
	args := append([]string{"test", "-count=1", "-vet=off", "-ldflags=-s -w", "-overlay=" + overlay(t, root, p), "-run=^" + p.test[1] + "$", p.test[0]}, more...)
	test := exec.CommandContext(t.Context(), "go", args...)
	test.Dir = root
	return test.CombinedOutput()
}

// overlay writes the planted files and what they stand for, as the go command
// wants it.
func overlay(t *testing.T, root string, p patch) string {
	dir := t.TempDir()
	replace := map[string]string{}
	for i, f := range p.files {
		planted, err := f.planted(root)
		if err != nil {
			t.Fatalf("the plant does not apply any more: %v", err)
		}
		to := filepath.Join(dir, strconv.Itoa(i)+".go")
		if err := os.WriteFile(to, []byte(planted), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[f.path(root)] = to
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
