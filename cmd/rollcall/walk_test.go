package main

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what kubectl prints into testdata/kubectl")

// TestWalk runs the commands of testdata/kubectl/walk.txt with the kubectl that
// is built in, in order, and compares what they print.
func TestWalk(t *testing.T) {
	if testing.Short() {
		t.Skip("the walk takes half a minute; go test without -short runs it")
	}
	path := filepath.Join("..", "..", "testdata", "kubectl", "walk.txt")
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w := newWalk(t)
	var out []string
	for _, line := range strings.Split(string(want), "\n") {
		switch {
		case strings.HasPrefix(line, "# ") && len(out) > 0 && (!strings.HasPrefix(out[len(out)-1], "#") || heading.MatchString(line)):
			out = append(out, "", line)
		case strings.HasPrefix(line, "# "):
			out = append(out, line)
		case strings.HasPrefix(line, "$ "):
			out = append(out, line, w.run(line[2:]))
		}
	}
	have := strings.Join(slices.DeleteFunc(out, func(s string) bool { return s == noOutput }), "\n") + "\n"
	if *rewrite {
		if err := os.WriteFile(path, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != string(want) {
		t.Errorf("%s\n\ngo test ./cmd/rollcall -run TestWalk -rewrite writes what is printed now", firstDifference(string(want), have))
	}
}

// heading is a comment that begins a step.
var heading = regexp.MustCompile(`^# (\d|what)`)

// noOutput stands for a command that prints nothing.
const noOutput = "\x00"

// firstDifference shows where two texts part, with the command.
func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	command := ""
	for i := range a {
		if strings.HasPrefix(a[i], "$ ") {
			command = a[i]
		}
		if i >= len(b) || a[i] != b[i] {
			end := func(l []string) string { return strings.Join(l[min(i, len(l)):min(i+5, len(l))], "\n") }
			return command + "\nwant\n" + end(a) + "\ngot\n" + end(b)
		}
	}
	return "there is more after " + command
}

// walk is a cluster with three nodes, and a shell beside it.
type walk struct {
	t   *testing.T
	dir string
	env []string
}

func newWalk(t *testing.T) *walk {
	t.Helper()
	w := &walk{t: t, dir: t.TempDir()}
	for _, name := range []string{kubectlName, "rollcall"} {
		if err := os.Symlink(os.Args[0], filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	manifests, err := filepath.Glob(filepath.Join("..", "..", "testdata", "manifests", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range append(manifests, filepath.Join("..", "..", "testdata", "kubectl", "node04.yaml")) {
		data, err := os.ReadFile(m)
		if err == nil {
			err = os.WriteFile(filepath.Join(w.dir, filepath.Base(m)), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(w.dir, "data")
	w.env = append(os.Environ(), "HOME="+w.dir, "XDG_RUNTIME_DIR="+w.dir, dataVariable+"="+data,
		"PATH="+w.dir+string(os.PathListSeparator)+os.Getenv("PATH"), "KUBECONFIG="+filepath.Join(data, "kubeconfig"))
	p, err := startProcess(w.dir, w.env, "up", "--nodes", "0", "--data", data, "--durability", "relaxed")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	if _, err := p.finds(`(?m)^export KUBECONFIG=(\S+)$`); err != nil {
		t.Fatal(err)
	}
	w.run("rollcall node add node01 node02 k8s-worker-2 && kubectl wait --for=condition=Ready node --all --timeout=180s")
	return w
}

// run runs a shell command and returns its output without what differs from
// run to run, and its exit code if it failed.
func (w *walk) run(command string) string {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience) // one that hangs is told
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.WaitDelay = patience
	cmd.Dir, cmd.Env = w.dir, w.env
	out, err := cmd.CombinedOutput()
	text := normal(string(out))
	if err != nil {
		text += "(" + err.Error() + ")\n"
	}
	if text == "" {
		return noOutput
	}
	return strings.TrimRight(text, "\n")
}

// varying is what differs from run to run, and what is written for it.
var varying = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}`), "TIME"},
	{regexp.MustCompile(`(resourceVersion: )"\d+"`), `${1}"RV"`},
	{regexp.MustCompile(`\b(fluentd-elasticsearch|fluentd|nginx-daemonset)-[bcdfghjklmnpqrstvwxz2456789]{8}\b`), "$1-POD"},
	{regexp.MustCompile(`\bkube-api-access-[a-z0-9]{5}\b`), "kube-api-access-NAME"},
	{regexp.MustCompile(`\b10\.\d+\.\d+\.\d+\b`), "POD-IP"},
	{regexp.MustCompile(`\b(containerd://|sha256:)[0-9a-f]{64}\b`), "${1}DIGEST"},
	{regexp.MustCompile(`(?m)(\s)(\d+[smh])+(\s|$)`), "${1}AGE$3"},
	{regexp.MustCompile(`(?m)(Successfully pulled image "\S+") in .*$`), "$1"},
	{regexp.MustCompile(`/\S*kubectl-edit-\d+\.yaml`), "FILE"},
	{regexp.MustCompile(` +\n`), "\n"},
	{regexp.MustCompile(`([^ \n]) {2,}`), "$1  "},
}

func normal(s string) string {
	for _, v := range varying {
		s = v.pattern.ReplaceAllString(s, v.instead)
	}
	if s != "" && !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	return s
}
