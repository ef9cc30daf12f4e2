package recording

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"rollcall/events"
)

// A recording that cannot be written is said to be, with its path, and nothing is left
// of it: as on a full disk, its file takes no more.
func TestUnwritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.rollcall")
	w, err := Create(path, Options{Cluster: "test", Build: "test"})
	if err != nil {
		t.Fatal(err)
	}
	full, err := os.Open(w.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.file.Close(); err != nil {
		t.Fatal(err)
	}
	w.file = full
	var e *events.Error
	if err := w.Close(); !errors.As(err, &e) || e.Code != "E-REC-WRITE" || e.Where != path {
		t.Errorf("closed with %v, want E-REC-WRITE of %s", err, path)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	_, err = Create(filepath.Join(dir, "none", "a.rollcall"), Options{Cluster: "test", Build: "test"})
	if !errors.As(err, &e) || e.Code != "E-REC-WRITE" {
		t.Errorf("made where no directory is: %v", err)
	}
}
