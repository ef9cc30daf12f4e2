package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shown is a command in docs/DEBUGGING.md with what it prints.
var shown = regexp.MustCompile("(?ms)^```\n\\$ rollcall ([^\n]*)\n(.*?)^```$")

// TestDebugging runs the commands that docs/DEBUGGING.md and README.md show, and
// compares what they print. Files that they write are in a directory of the test.
func TestDebugging(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	t.Run("DEBUGGING", func(t *testing.T) { compareShown(t, root, filepath.Join(root, "docs", "DEBUGGING.md"), 20) })
	t.Run("README", func(t *testing.T) { compareShown(t, root, filepath.Join(root, "README.md"), 4) })
}

// compareShown runs the commands that a document shows, of which there are so many
// at least.
func compareShown(t *testing.T, root, path string, least int) {
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	have := shown.ReplaceAllStringFunc(string(want), func(block string) string {
		n++
		line := shown.FindStringSubmatch(block)[1]
		var out, errs bytes.Buffer
		code := run(t.Context(), words(line, root), strings.NewReader(""), &out, &errs)
		if code > 1 || errs.Len() > 0 {
			t.Errorf("rollcall %s: exit code %d: %s", line, code, &errs)
		}
		return "```\n$ rollcall " + line + "\n" + out.String() + "```"
	})
	if n < least {
		t.Errorf("only %d commands were found", n)
	}
	if *rewrite {
		if err := os.WriteFile(path, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != string(want) {
		t.Errorf("%s\n\ngo test ./cmd/rollcall -run TestDebugging -rewrite writes what is printed now", firstDifference(string(want), have))
	}
}

// words splits a line as a shell does, as far as the document needs it. Paths are
// those of the repository.
func words(line, root string) (args []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			args = append(args, part)
			continue
		}
		for _, word := range strings.Fields(part) {
			if strings.HasPrefix(word, "testdata/") {
				word = filepath.Join(root, word)
			}
			args = append(args, word)
		}
	}
	return args
}
