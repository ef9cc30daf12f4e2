package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFailuresAreTried: what OPERATIONS.md says of what goes wrong with a real cluster is
// tried by tests that are there.
func TestFailuresAreTried(t *testing.T) {
	text, err := os.ReadFile("OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| tried by |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	by, name := regexp.MustCompile("((?:Test\\w+(?:, )?)+) in `([\\w/]+)`"), regexp.MustCompile(`Test\w+`)
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 3 {
			continue
		}
		rows++
		tried := by.FindAllStringSubmatch(cells[2], -1)
		if len(tried) == 0 {
			t.Errorf("nothing tries %q", cells[0])
		}
		for _, m := range tried {
			for _, test := range name.FindAllString(m[1], -1) {
				if !hasTest(t, m[2], test) {
					t.Errorf("%q: %s has no %s", cells[0], m[2], test)
				}
			}
		}
	}
	if rows < 20 {
		t.Errorf("%d rows", rows)
	}
}

// hasTest reports whether a test is in a directory.
func hasTest(t *testing.T, dir, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "func "+test+"(") {
			return true
		}
	}
	return false
}
