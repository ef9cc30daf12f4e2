package instance

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSweepTemps: what a killed instance left is removed; what one holds that
// runs, what is too young to tell, and what is no such directory is not.
//
// finding L2
func TestSweepTemps(t *testing.T) {
	root := t.TempDir()
	t.Setenv("TMPDIR", root)
	held, err := MakeTemp()
	if err != nil {
		t.Fatal(err)
	}
	make := func(name, lock string) string {
		dir := filepath.Join(root, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if lock != "" {
			if err := os.WriteFile(filepath.Join(dir, lock), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	killed, foreign, other := make("rollcall-1", tempLock), make("rollcall-2", "notes"), make("other-1", tempLock)
	file := filepath.Join(root, "rollcall-3")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sweepTemps(root, time.Now())
	if _, err := os.Stat(killed); err != nil {
		t.Errorf("a directory that is a moment old is gone: %v", err)
	}
	sweepTemps(root, time.Now().Add(2*tempYoung))
	for path, stays := range map[string]bool{held: true, killed: false, foreign: true, other: true, file: true} {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s stays: %v, want %v", filepath.Base(path), err == nil, stays)
		}
	}
}
