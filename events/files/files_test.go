package files

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestReplace: a file is replaced whole, is its owner's, and what a process has
// left that was killed before it had replaced one is swept away.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file.json")
	for _, text := range []string{"old", "new"} {
		if err := Replace(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil || string(b) != text {
			t.Fatalf("the file holds %q, %v", b, err)
		}
	}
	if i, err := os.Stat(path); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v, want mode 0600", i, err)
	}
	if err := ReplaceJSON(path, func() {}); err == nil {
		t.Error("a function was written as JSON")
	}
	if err := os.WriteFile(filepath.Join(dir, ".file.json-12"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(dir); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left are %v, %v", left, err)
	}
	err := Replace(filepath.Join(path, "below"), nil)
	if err == nil || Reason(err) != "not a directory" {
		t.Errorf("below a file: %v", err)
	}
	if err := Replace(dir, nil); err == nil {
		t.Error("a directory was replaced")
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*-*")); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	if Reason(fs.ErrExist) != fs.ErrExist.Error() {
		t.Error("an error without a path has lost its words")
	}
}
