package simtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// patch is a unified diff with words before it, which tell what it plants and
// which invariants may find it ("Killer: S1 L13", or the names of tests), and where another test than
// TestHistories of this package looks ("Test: ./controller TestEstates").
type patch struct {
	killers []string
	test    []string
	files   []patchedFile
}

type patchedFile struct {
	name  string // in the module, with slashes
	hunks []hunk
}

// hunk replaces lines by others. Where it belongs is told by the lines alone:
// code above it may grow.
type hunk struct{ old, new []string }

func parsePatch(text string) (patch, error) {
	var p patch
	var f *patchedFile
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "Killer: "):
			p.killers = strings.Fields(strings.TrimPrefix(line, "Killer: "))
		case strings.HasPrefix(line, "Test: "):
			p.test = strings.Fields(strings.TrimPrefix(line, "Test: "))
		case strings.HasPrefix(line, "--- "):
		case strings.HasPrefix(line, "+++ b/"):
			p.files = append(p.files, patchedFile{name: strings.TrimPrefix(line, "+++ b/")})
			f = &p.files[len(p.files)-1]
		case f == nil:
		case strings.HasPrefix(line, "@@"):
			f.hunks = append(f.hunks, hunk{})
		default:
			if len(f.hunks) == 0 || !f.hunks[len(f.hunks)-1].take(line) {
				return patch{}, fmt.Errorf("%s: %q is no line of a diff", f.name, line)
			}
		}
	}
	if len(p.killers) == 0 || len(p.files) == 0 {
		return patch{}, fmt.Errorf("a patch names its killers and changes files")
	}
	if p.test == nil {
		p.test = []string{"./controller/simtest", "TestHistories"}
	}
	if len(p.test) != 2 {
		return patch{}, fmt.Errorf("a test is a package and a name")
	}
	return p, nil
}

func (h *hunk) take(line string) bool {
	kind, text := byte(' '), ""
	if line != "" {
		kind, text = line[0], line[1:]
	}
	switch kind {
	case ' ':
		h.old, h.new = append(h.old, text), append(h.new, text)
	case '-':
		h.old = append(h.old, text)
	case '+':
		h.new = append(h.new, text)
	default:
		return false
	}
	return true
}

func (f *patchedFile) path(root string) string {
	return filepath.Join(root, filepath.FromSlash(f.name))
}

// planted returns the file of a module with every hunk applied.
func (f *patchedFile) planted(root string) (string, error) {
	text, err := os.ReadFile(f.path(root))
	if err != nil {
		return "", err
	}
	return f.apply(string(text))
}

// apply returns the text with every hunk applied. Each has to match at exactly
// one place.
func (f *patchedFile) apply(text string) (string, error) {
	lines := strings.Split(text, "\n")
	for i, h := range f.hunks {
		var at []int
		for n := range len(lines) - len(h.old) + 1 {
			if slices.Equal(lines[n:n+len(h.old)], h.old) {
				at = append(at, n)
			}
		}
		if len(at) != 1 {
			return "", fmt.Errorf("%s: hunk %d matches at %d places, want 1", f.name, i+1, len(at))
		}
		lines = slices.Concat(lines[:at[0]], h.new, lines[at[0]+len(h.old):])
	}
	return strings.Join(lines, "\n"), nil
}

func TestPatchesApplyAtOnePlace(t *testing.T) {
	p, err := parsePatch("why\n\nKiller: S1 S2\n\n--- a/x.go\n+++ b/x.go\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.files[0].apply("0\na\nb\nc\nd\n"); err != nil || got != "0\na\nB\nc\nd\n" {
		t.Errorf("applied: %q, %v", got, err)
	}
	for _, text := range []string{"a\nc\n", "a\nb\nc\na\nb\nc\n"} {
		if got, err := p.files[0].apply(text); err == nil {
			t.Errorf("applied to %q: %q", text, got)
		}
	}
	for _, text := range []string{"", "Killer: S1\n", "--- a/x\n+++ b/x\n@@ @@\n-a\n", "Killer: S1\n--- a/x\n+++ b/x\n@@ @@\n?a\n"} {
		if _, err := parsePatch(text); err == nil {
			t.Errorf("parsed %q", text)
		}
	}
}
