package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rollcall/cmd/rollcall/instance"
)

// stopEnv names the step of a start at which the process of a test stops itself.
const stopEnv = "ROLLCALL_TEST_STOP_AT"

// killEnv names the step at which the process of a test is killed.
const killEnv = "ROLLCALL_TEST_KILL_AT"

// stopAt makes this process, if it is one of TestStopWhileStarting, get a signal
// when it has come to its step.
func stopAt(step string, by syscall.Signal) {
	if step == "" {
		return
	}
	instance.Reached = func(s string) {
		if s == step {
			_ = syscall.Kill(os.Getpid(), by)
		}
	}
}

// finding M8
//
// TestStopWhileStarting: an up that is stopped at any step of its start, also in
// the middle of its first writes, ends with 0 and without a word, leaves nothing
// behind, and the next one goes on from its data directory.
func TestStopWhileStarting(t *testing.T) {
	steps := []string{"begun", "connected", "log opened", "log read", "API made", "API open", "gate open", "banner", "working"}
	for _, n := range []int{1, 2, 3, 5, 8, 11, 14, 16} { // each cluster has more events of its beginning
		steps = append(steps, fmt.Sprintf("event %d", n))
	}
	const lanes = 3
	for lane := range lanes {
		t.Run(fmt.Sprint("lane ", lane), func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			for i := lane; i < len(steps); i += lanes {
				where := [][]string{{"--data", data}, {"--memory"}}[i/lanes%2]
				stopOnce(t, steps[i], where...)
			}
			if code, out := runToEnd(t, t.TempDir(), nil, "up", "--data", data, "--nodes", "3", "--once"); code != 0 {
				t.Errorf("the next up ends with %d:\n%s", code, out)
			}
		})
	}
}

// stopOnce runs an up that is stopped at a step, and looks at what it leaves.
func stopOnce(t *testing.T, step string, args ...string) {
	t.Helper()
	dir := t.TempDir()
	code, out := runToEnd(t, dir, []string{stopEnv + "=" + step}, append([]string{"up", "--nodes", "3"}, args...)...)
	if code != 0 || strings.Contains(out, "error: ") || strings.Contains(out, "hooks.go") || strings.Contains(out, "goroutine ") {
		t.Errorf("stopped at %q, %v: exit code %d:\n%s", step, args, code, out)
	}
	left, err := filepath.Glob(filepath.Join(dir, "tmp", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("stopped at %q: %v stay, %v", step, left, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "rollcall", "instances", "*")); len(left) > 0 {
		t.Errorf("stopped at %q: it stays in the list of instances: %v", step, left)
	}
}

// runToEnd runs the program with directories of its own, and returns its exit
// code and what it said.
func runToEnd(t *testing.T, dir string, more []string, args ...string) (int, string) {
	t.Helper()
	tmp := filepath.Join(dir, "tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := startProcess(dir, append(append(os.Environ(), "TMPDIR="+tmp, "XDG_RUNTIME_DIR="+dir), more...), args...)
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	code, err := p.end(0)
	if err != nil {
		t.Fatal(err)
	}
	return code, p.output()
}
