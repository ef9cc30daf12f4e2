// Package clients runs what docs/clients and docs/PUBLISHING.md give to other
// programs against a rollcall that runs, also through its restart.
//
//	go test .
//	go test . -rollcall ../../bin/rollcall
package clients

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var binary = flag.String("rollcall", "", "path of the rollcall binary to test (default: one that is built)")

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		code = 2
	}
	os.Exit(code)
}

func runAll(m *testing.M) (int, error) {
	if *binary == "" {
		dir, err := os.MkdirTemp("", "rollcall-clients-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		*binary = filepath.Join(dir, "rollcall")
		build := exec.Command("go", "build", "-o", *binary, "./cmd/rollcall")
		build.Dir, build.Stderr = filepath.Join("..", ".."), os.Stderr
		if err := build.Run(); err != nil {
			return 0, fmt.Errorf("build rollcall: %w", err)
		}
	}
	var err error
	*binary, err = filepath.Abs(*binary)
	if err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// instance is a rollcall with three simulated nodes, and its data.
type instance struct {
	data string
	cmd  *exec.Cmd
	env  []string // of who speaks to it: where it is, and as whom
}

func start(t *testing.T) *instance {
	t.Helper()
	i := &instance{data: filepath.Join(t.TempDir(), "data")}
	i.up(t)
	t.Cleanup(func() { i.down(t) })
	return i
}

// up starts the binary, and returns when it serves.
func (i *instance) up(t *testing.T) {
	t.Helper()
	i.cmd = exec.Command(*binary, "up", "--nodes", "3", "--data", i.data)
	i.cmd.Stderr = os.Stderr
	stdout, err := i.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := i.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "export KUBECONFIG=") {
			go func() {
				for lines.Scan() { // a full pipe would stop the server
				}
			}()
			return
		}
	}
	t.Fatalf("%s up ended before it served", *binary)
}

func (i *instance) down(t *testing.T) {
	t.Helper()
	if err := i.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = i.cmd.Wait() // 130, as it was asked to stop
}

// rollcall runs a command of the binary on the instance's data, which has to succeed.
func (i *instance) rollcall(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(*binary, append(args, "--data", i.data)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("rollcall %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

// line is one answer, refusal or event that a client printed.
type line struct {
	Accepted  bool
	Seq       uint64
	ID        string
	Duplicate bool
	Status    int
	Code      string
	Errors    []struct{ Pointer string }
	Type      string
}

func parse(t *testing.T, text string) (l line) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return l
}
