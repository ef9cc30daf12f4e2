// Package parity asks kube-apiserver 1.36.3 and rollcall the same commands
// with the same kubectl and compares what they say, text for text.
//
//	go test . -rollcall ../../bin/rollcall   rollcall against golden.txt
//	go test . -real                          kube-apiserver against golden.txt
//	go test . -update                        golden.txt from kube-apiserver
//	go test . -rollcall FILE -accept         differences.txt from rollcall
//
// commands.txt is what is asked, golden.txt what kube-apiserver answered, and
// differences.txt where rollcall answers something else, each with the reason.
package parity

import (
	"bufio"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var (
	rollcall = flag.String("rollcall", "../../bin/rollcall", "the rollcall binary to compare")
	realOne  = flag.Bool("real", false, "compile and run kube-apiserver, and compare it with golden.txt")
	update   = flag.Bool("update", false, "rewrite golden.txt from kube-apiserver")
	accept   = flag.Bool("accept", false, "rewrite differences.txt, keeping the reasons in it")
)

const (
	golden      = "golden.txt"
	differences = "differences.txt"
)

func TestKubeAPIServer(t *testing.T) {
	if !*realOne && !*update {
		t.Skip("golden.txt is its transcript; -real compiles kube-apiserver, which takes minutes, to see that it still is")
	}
	dir := t.TempDir()
	kubeconfig := serve(t, build(t, "./kubeapiserver"), dir, filepath.Join(dir, "kubeconfig"))
	got := transcript(t, build(t, "./kubectl"), kubeconfig)
	if *update {
		write(t, golden, got.String())
		return
	}
	for _, d := range compare(parse(read(t, golden)), got) {
		t.Errorf("kube-apiserver no longer says what golden.txt says:\n%s", d)
	}
}

func TestRollcall(t *testing.T) {
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	serve(t, *rollcall, "up", "--nodes", "0", "--controllers", "", "--data", filepath.Join(dir, "data"), "--kubeconfig", kubeconfig)
	got := compare(parse(read(t, golden)), transcript(t, build(t, "./kubectl"), kubeconfig))
	listed := reasons(read(t, differences))
	if *accept {
		write(t, differences, list(got, listed))
	}
	for _, problem := range unexplained(got, listed) {
		t.Error(problem)
	}
}

// build compiles a command of this module and returns its path.
func build(t *testing.T, command string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(command))
	out, err := exec.Command("go", "build", "-o", binary, command).CombinedOutput()
	if err != nil {
		t.Fatalf("go build %s: %v\n%s", command, err, out)
	}
	return binary
}

// serve starts a server, waits until it says that it serves, and ends it with
// the test. The last argument is the path of the kubeconfig that it writes.
func serve(t *testing.T, binary string, args ...string) string {
	t.Helper()
	kubeconfig := args[len(args)-1]
	if filepath.Base(binary) == "kubeapiserver" {
		args = args[:len(args)-1]
	}
	cmd := exec.Command(binary, args...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		log.Close()
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "export KUBECONFIG=") {
			go func() {
				for lines.Scan() { // a full pipe would stop the server
				}
			}()
			return kubeconfig
		}
	}
	t.Fatalf("%s %s ended before it served:\n%s", binary, strings.Join(args, " "), read(t, log.Name()))
	return ""
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
