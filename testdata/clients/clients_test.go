package clients

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
)

// told is how many notes a client tells.
const told = 12

// TestClients runs each client through a restart of rollcall, and again with the
// same ids: every note is in the log once, at the position of the first answer.
func TestClients(t *testing.T) {
	clients := []struct {
		name    string
		command []string
	}{
		{"python", []string{"python3", "send.py"}},
		{"node", []string{"node", "send.mjs"}},
		{"shell", []string{"sh", "send.sh"}},
	}
	i := start(t)
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			needs(t, c.command[0])
			first := i.tell(t, c.name, c.command, told/3)
			again := i.tell(t, c.name, c.command, -1)
			for n := range told {
				if a, b := first[n], again[n]; !a.Accepted || !b.Accepted || a.Seq != b.Seq || !b.Duplicate {
					t.Errorf("note %d: %+v, then %+v", n, a, b)
				}
			}
			if refused := first[told]; refused.Status != 422 || len(refused.Errors) != 1 || refused.Errors[0].Pointer != "/data/status" {
				t.Errorf("a condition that cannot be is refused with %+v", refused)
			}
			if read := first[told+1]; read.ID != c.name+"-0" || read.Seq != first[0].Seq || read.Type != "com.example.step.done" {
				t.Errorf("read back as %+v", read)
			}
		})
	}
}

// tell runs a client to its end, and returns what it printed. After so many
// answers rollcall is stopped, and started again on the same data while the
// client goes on.
func (i *instance) tell(t *testing.T, name string, command []string, restart int) (lines []line) {
	t.Helper()
	args := append(slices.Clone(command[1:]), name, fmt.Sprint(told))
	cmd := exec.CommandContext(t.Context(), command[0], args...)
	cmd.Env, cmd.Stderr = append(os.Environ(), i.environment(t)...), os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewScanner(stdout)
	for out.Scan() {
		lines = append(lines, parse(t, out.Text()))
		if len(lines) == restart {
			i.down(t)
			i.up(t)
		}
	}
	if err := cmd.Wait(); err != nil || len(lines) != told+2 {
		t.Fatalf("%s: %v after %d lines", name, err, len(lines))
	}
	return lines
}
