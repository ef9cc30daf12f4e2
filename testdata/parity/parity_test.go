// Package parity asks Kubernetes 1.36.3 and rollcall the same commands with the
// same kubectl and compares what they say, text for text.
//
//	go test . -rollcall ../../bin/rollcall   rollcall against the golden files
//	go test . -real                          Kubernetes against the golden files
//	go test . -update                        golden files from Kubernetes
//	go test . -rollcall FILE -accept         differences from rollcall
//
// The kube-apiserver has the flags of kubeadm. There are three transcripts.
// commands.txt asks a server behind which no kind is acted on but that each
// namespace gets its account and certificate, without which admission takes no
// pod: golden.txt is what it answered, differences.txt
// where rollcall answers something else, each with the reason. kinds.txt is asked
// of the same servers about what else people install, which
// kinds-golden.txt and kinds-differences.txt are of. The walk, whose
// commands stand in testdata/kubectl/walk.txt, is asked of whole clusters with
// controllers and kubelets: walk-golden.txt and walk-differences.txt.
package parity

import (
	"bufio"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

var (
	rollcall = flag.String("rollcall", "../../bin/rollcall", "the rollcall binary to compare")
	realOne  = flag.Bool("real", false, "compile and run Kubernetes, and compare it with the golden files")
	update   = flag.Bool("update", false, "rewrite the golden files from Kubernetes")
	accept   = flag.Bool("accept", false, "rewrite the differences, keeping the reasons in them")
)

// suite is a transcript: what Kubernetes said, and where rollcall says otherwise.
type suite struct{ golden, differences string }

var (
	commands = suite{"golden.txt", "differences.txt"}
	kinds    = suite{"kinds-golden.txt", "kinds-differences.txt"}
	walk     = suite{"walk-golden.txt", "walk-differences.txt"}
)

// kubernetes holds what Kubernetes says now against what it said.
func (s suite) kubernetes(t *testing.T, got answers) {
	t.Helper()
	if *update {
		write(t, s.golden, got.String())
		return
	}
	for _, d := range compare(parse(read(t, s.golden)), got) {
		t.Errorf("Kubernetes no longer says what %s says:\n%s", s.golden, d)
	}
}

// rollcall holds what rollcall says against what Kubernetes said.
func (s suite) rollcall(t *testing.T, got answers) {
	t.Helper()
	differs := compare(parse(read(t, s.golden)), got)
	listed := reasons(read(t, s.differences))
	if *accept {
		write(t, s.differences, list(differs, listed))
	}
	for _, problem := range unexplained(differs, listed) {
		t.Errorf("%s: %s", s.differences, problem)
	}
}

func needsKubernetes(t *testing.T) {
	t.Helper()
	if !*realOne && !*update {
		t.Skip("the golden file is its transcript; -real compiles Kubernetes, which takes minutes, to see that it still is")
	}
}

func TestKubeAPIServer(t *testing.T) {
	s := kubeAPIServer(t)
	commands.kubernetes(t, s.transcript(t, read(t, "commands.txt")))
}

func TestKindsKubeAPIServer(t *testing.T) {
	s := kubeAPIServer(t)
	s.rules = kindsRules
	kinds.kubernetes(t, s.transcript(t, read(t, "kinds.txt")))
}

// kubeAPIServer has a shell that asks a new kube-apiserver.
func kubeAPIServer(t *testing.T) shell {
	needsKubernetes(t)
	dir := t.TempDir()
	kubeconfig := serve(t, build(t, "./kubeapiserver"), dir, filepath.Join(dir, "kubeconfig"))
	controllers(t, build(t, "./kubernetes"), dir, kubeconfig,
		"--controllers=serviceaccount-controller,root-ca-certificate-publisher-controller,clusterrole-aggregation-controller")
	s := newShell(t, ".", kubeconfig, build(t, "./kubectl"))
	s.must(t, "kubectl wait --for=create serviceaccount/default --timeout=60s && kubectl wait --for=create serviceaccount/default -n kube-system --timeout=60s")
	return s
}

func TestRollcall(t *testing.T) {
	commands.rollcall(t, alone(t).transcript(t, read(t, "commands.txt")))
}

func TestKindsRollcall(t *testing.T) {
	s := alone(t)
	s.rules = kindsRules
	kinds.rollcall(t, s.transcript(t, read(t, "kinds.txt")))
}

// kindsRules take out what servers choose freely.
var kindsRules = []rule{
	{regexp.MustCompile(`\b10\.(96\.[1-9]\d*|(9[7-9]|10\d|11[01])\.\d+)\.\d+\b`), "CLUSTER-IP"},    // those of 10.96.0 are given
	{regexp.MustCompile(`(nodePort"?: |:|NodePort: \S+ )3(0[1-9]|[12]\d)\d\d\b`), "${1}NODE-PORT"}, // those of 300xx are given
}

// alone has a shell that asks a new rollcall in which nothing acts on workloads.
func alone(t *testing.T) shell {
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	serve(t, *rollcall, "up", "--nodes", "0", "--controllers", "", "--data", filepath.Join(dir, "data"), "--kubeconfig", kubeconfig)
	return newShell(t, ".", kubeconfig, build(t, "./kubectl"))
}

// version is what the linker writes into a released Kubernetes.
const version = "-X k8s.io/component-base/version.gitVersion=v1.36.3"

// build compiles a command of this module and returns its path.
func build(t *testing.T, command string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(command))
	out, err := exec.Command("go", "build", "-ldflags", version, "-o", binary, command).CombinedOutput()
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
