package page

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// asks are where the code reads a parameter.
var asks = regexp.MustCompile(`(?:FormValue|moment|subject|number|choice|sideOf)\("([a-z]+)"|Form\["([a-z]+)"\]`)

// TestDocument: docs/HTTP.md has every path that is answered, none that is not, and
// every parameter that is read.
func TestDocument(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "HTTP.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	told := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|([^|]*)\\|").FindAllStringSubmatch(text, -1) {
		for _, name := range regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(row[1], -1) {
			told[name[1]] = true
			for _, param := range strings.Fields(questions[name[1]].params) {
				if !strings.Contains(row[2], "`"+param) && name[1] != "state" {
					t.Errorf("the row of %s in docs/HTTP.md has no %s", name[1], param)
				}
			}
		}
	}
	for path := range questions {
		if !told[path] {
			t.Errorf("docs/HTTP.md has no row of %s", path)
		}
		delete(told, path)
	}
	delete(told, "stream")
	for path := range told {
		t.Errorf("docs/HTTP.md has a row of %s, which nobody answers", path)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") }) {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range asks.FindAllStringSubmatch(string(source), -1) {
			if name := m[1] + m[2]; !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, "`"+name+"=") {
				t.Errorf("%s reads %s, of which docs/HTTP.md says nothing", file, name)
			}
		}
	}
	for _, x := range append(slices.Clone(actions), actPath, actHeader, "Last-Event-ID", "Rollcall-Seq", "Rollcall-Time", "Rollcall-Cells", "Rollcall-Looked") {
		if !strings.Contains(text, x) {
			t.Errorf("docs/HTTP.md says nothing of %s", x)
		}
	}
}
