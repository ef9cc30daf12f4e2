package recording_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/events/recording"
)

// TestPython reads recordings with a program that was written from
// docs/RECORDING.md alone: it finds the same events, reads a torn file up to the
// tear, and nothing of a damaged block.
func TestPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("there is no python3 here: %v", err)
	}
	run := func(path string) (out string, failed bool) {
		var stdout, stderr bytes.Buffer
		c := exec.Command(python, filepath.Join("testdata", "read.py"), path)
		c.Stdout, c.Stderr = &stdout, &stderr
		if err := c.Run(); err != nil {
			t.Logf("%v: %s", err, stderr.String())
			return stdout.String(), true
		}
		return stdout.String(), false
	}
	es := sample(t, 2500, 2000)
	path := write(t, recording.Options{Compression: recording.Deflate}, es)
	if out, failed := run(path); failed || out != listed(es) {
		t.Errorf("failed %v, %d lines, want %d", failed, strings.Count(out, "\n"), len(es))
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(t.TempDir(), "torn")
	if err := os.WriteFile(torn, whole[:len(whole)*2/3], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, failed := run(torn); failed || out == "" || len(out) >= len(listed(es)) || !strings.HasPrefix(listed(es), out) {
		t.Errorf("torn: failed %v, %d lines", failed, strings.Count(out, "\n"))
	}
	whole[len(whole)/2] ^= 1
	if err := os.WriteFile(torn, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, failed := run(torn); !failed || !strings.HasPrefix(listed(es), out) {
		t.Errorf("damaged: failed %v, %d lines", failed, strings.Count(out, "\n"))
	}
}

// listed is what the program prints of events.
func listed(es []events.Event) string {
	var b strings.Builder
	for _, e := range es {
		fmt.Fprintln(&b, uint64(e.Seq), e.Stored.UnixNano(), e.Type, e.Subject)
	}
	return b.String()
}
