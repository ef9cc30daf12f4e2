// Package helm runs Helm itself against a running rollcall: what people install
// with has to work on it, waits and rollbacks among it.
//
//	go test .
//	go test . -rollcall ../../bin/rollcall
package helm

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	helmcmd "helm.sh/helm/v4/pkg/cmd"
	"helm.sh/helm/v4/pkg/kube"
)

// The cluster that is simulated: the first node is tainted, for a control plane.
const (
	nodes   = 3
	workers = nodes - 1
)

// asHelm makes the test binary Helm: each command is a process, as it is for
// people, and keeps its settings to itself.
const asHelm = "ROLLCALL_TEST_AS_HELM"

var (
	binary = flag.String("rollcall", "", "path of the rollcall binary to test (default: one that is built)")
	helm3  string // path of Helm 3, which is built: its commands are no package
)

func TestMain(m *testing.M) {
	if os.Getenv(asHelm) != "" {
		os.Exit(runHelm())
	}
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "helm:", err)
		code = 2
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "rollcall-helm-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	helm3 = filepath.Join(dir, "helm")
	if err := build(".", helm3, "helm.sh/helm/v3/cmd/helm"); err != nil {
		return 0, err
	}
	if *binary == "" {
		*binary = filepath.Join(dir, "rollcall")
		if err := build(filepath.Join("..", ".."), *binary, "./cmd/rollcall"); err != nil {
			return 0, err
		}
	}
	return m.Run(), nil
}

// build builds a package of the module of a directory.
func build(dir, path, pkg string) error {
	b := exec.Command("go", "build", "-o", path, pkg)
	b.Dir, b.Stderr = dir, os.Stderr
	if err := b.Run(); err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	return nil
}

func runHelm() int {
	kube.ManagedFieldsManager = "helm" // as Helm's main does
	c, err := helmcmd.NewRootCmd(os.Stdout, os.Args[1:], helmcmd.SetupLogging)
	if err != nil {
		slog.Warn("command failed", "error", err)
		return 1
	}
	if err := c.Execute(); err != nil {
		var coded helmcmd.CommandError
		if errors.As(err, &coded) {
			return coded.ExitCode
		}
		return 1
	}
	return 0
}

// running is a rollcall with simulated nodes and its own data.
type running struct {
	binary, data, kubeconfig string

	version string // of Helm: "3", or the one of this module
}

// start runs the binary until the test ends, and returns when it serves.
func start(t *testing.T) running {
	t.Helper()
	dir := t.TempDir()
	path, err := filepath.Abs(*binary)
	if err != nil {
		t.Fatal(err)
	}
	r := running{binary: path, data: filepath.Join(dir, "data"), kubeconfig: filepath.Join(dir, "kubeconfig")}
	cmd := exec.Command(r.binary, "up", "--nodes", fmt.Sprint(nodes), "--data", r.data, "--kubeconfig", r.kubeconfig)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // what was tested is over
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "export KUBECONFIG=") {
			go func() {
				for lines.Scan() { // a full pipe would stop the server
				}
			}()
			return r
		}
	}
	t.Fatalf("%s up ended before it served", r.binary)
	return r
}

// helm runs one command that has to succeed, and returns what it printed.
func (r running) helm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := r.tryHelm(t, args...)
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// helmTime bounds one command: more than any --timeout in the tests.
const helmTime = 5 * time.Minute

func (r running) tryHelm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if r.version == "3" {
		program = helm3
	}
	ctx, cancel := context.WithTimeout(t.Context(), helmTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(args, "--kubeconfig", r.kubeconfig, "--namespace", namespace)...)
	home := filepath.Join(filepath.Dir(r.kubeconfig), "helm")
	cmd.Env = append(os.Environ(), asHelm+"=1", "KUBECONFIG=", "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
