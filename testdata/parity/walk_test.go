package parity

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// walkNodes are there before the walk begins.
var walkNodes = []string{"node01", "node02", "k8s-worker-2"}

// walkRules take out what two clusters choose freely.
var walkRules = []rule{
	{regexp.MustCompile(`(containerID: )\S+`), "${1}ID"},
	{regexp.MustCompile(`\b(fluentd-elasticsearch|fluentd|nginx-daemonset)-[bcdfghjklmnpqrstvwxz2456789]{5}([bcdfghjklmnpqrstvwxz2456789]{3})?\b`), "$1-POD"},
	{regexp.MustCompile(`\b(10\.\d+\.\d+\.\d+|192\.168\.192\.168)\b`), "POD-IP"},
	{regexp.MustCompile(`(?m)(Successfully pulled image "\S+") in .*$`), "$1"},
	{regexp.MustCompile(`(?m)^ExitCode:0\n`), ""}, // the runtime of the kubelets may end a container between two looks
}

// walkDir has the files that the commands of the walk name.
func walkDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob("../manifests/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../kubectl/node04.yaml") {
		write(t, filepath.Join(dir, filepath.Base(file)), read(t, file))
	}
	return dir
}

// walkCommands are those of walk.txt, which also says what rollcall prints.
func walkCommands(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(read(t, "../kubectl/walk.txt")) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			b.WriteString(command)
		}
	}
	return b.String()
}

const nodesReady = "kubectl wait --for=create node --all --timeout=180s && kubectl wait --for=condition=Ready node --all --timeout=180s"

func TestWalkRollcall(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	kubeconfig, data := filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "data")
	serve(t, *rollcall, "up", "--nodes", "0", "--data", data, "--kubeconfig", kubeconfig)
	program, err := filepath.Abs(*rollcall)
	if err == nil {
		err = os.Symlink(program, filepath.Join(bin, "rollcall"))
	}
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(t, walkDir(t), kubeconfig, build(t, "./kubectl"), bin)
	s.rules = walkRules
	s.environment = append(s.environment, "ROLLCALL_DATA="+data)
	s.must(t, "rollcall node add "+strings.Join(walkNodes, " ")+" && "+nodesReady)
	walk.rollcall(t, s.transcript(t, walkCommands(t)))
}

func TestWalkKubernetes(t *testing.T) {
	needsKubernetes(t)
	dir := t.TempDir()
	kubeconfig := serve(t, build(t, "./kubeapiserver"), dir, filepath.Join(dir, "kubeconfig"))
	kubernetes, bin := build(t, "./kubernetes"), t.TempDir()
	controllers(t, kubernetes, dir, kubeconfig)
	process(t, kubernetes, "kube-scheduler", "--kubeconfig="+kubeconfig, "--secure-port=0", "--leader-elect=false")
	// A node joins a cluster when its kubelet starts; one that exists already is
	// taken over by it.
	script := "#!/bin/sh\nprintf 'apiVersion: v1\\nkind: Node\\nmetadata: {name: %s}\\n' \"$3\" | kubectl create -f -\n"
	if err := os.WriteFile(filepath.Join(bin, "rollcall"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s := newShell(t, walkDir(t), kubeconfig, build(t, "./kubectl"), bin)
	s.rules = walkRules
	for _, node := range walkNodes {
		s.must(t, "rollcall node add "+node)
	}
	ended := make(chan error)
	go func() { ended <- s.kubelets(t.Context(), kubernetes, kubeconfig) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	s.must(t, nodesReady)
	walk.kubernetes(t, s.transcript(t, walkCommands(t)))
}

// controllers starts a kube-controller-manager beside the kube-apiserver of a
// directory, with the flags of kubeadm that say what it does.
func controllers(t *testing.T, kubernetes, dir, kubeconfig string, flags ...string) {
	t.Helper()
	process(t, kubernetes, append([]string{"kube-controller-manager", "--kubeconfig=" + kubeconfig, "--secure-port=0", "--leader-elect=false",
		"--use-service-account-credentials=true", "--root-ca-file=" + filepath.Join(dir, "apiserver.crt"),
		"--service-account-private-key-file=" + filepath.Join(dir, "serviceaccount.key")}, flags...)...)
}

// process starts a program that ends with the test.
func process(t *testing.T, binary string, args ...string) {
	t.Helper()
	cmd, err := beside(t.Context(), binary, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Wait() })
}

// must runs a command that is no part of the transcript.
func (s shell) must(t *testing.T, command string) {
	t.Helper()
	if text, err := s.ask(t.Context(), command); err != nil || strings.Contains("\n"+text, "\nexit ") {
		t.Fatalf("%s: %v\n%s", command, err, text)
	}
}

// beside starts a program that ends with the context; the caller waits for it.
func beside(ctx context.Context, binary string, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd, cmd.Start()
}

// kubelets starts a kubelet for each node that has none, until the context ends.
func (s shell) kubelets(ctx context.Context, kubernetes, kubeconfig string) error {
	running := map[string]*exec.Cmd{}
	defer func() {
		for _, cmd := range running {
			cmd.Wait()
		}
	}()
	for tick := time.Tick(500 * time.Millisecond); ; {
		nodes, err := s.ask(ctx, "kubectl get nodes -o jsonpath='{.items[*].metadata.name}'")
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, node := range strings.Fields(nodes) {
			if running[node] == nil {
				if running[node], err = beside(ctx, kubernetes, "kubelet", node, kubeconfig); err != nil {
					delete(running, node)
					return err
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		}
	}
}
