package wide

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A run is one rollcall and the specs that are run against it.
type run struct {
	dir    string // for results
	binary string

	data       string
	kubeconfig string
	kubectl    string
	server     *exec.Cmd
	ended      chan struct{} // closed when the server is no more
}

// start begins the server: four simulated nodes, one of them a tainted control
// plane, which is what the specs' own suite asks for.
func (r *run) start() error {
	binary, err := filepath.Abs(r.binary)
	if err != nil {
		return err
	}
	if r.data, err = os.MkdirTemp("", "rollcall-wide-"); err != nil {
		return err
	}
	r.kubeconfig = filepath.Join(r.data, "kubeconfig")
	r.kubectl = filepath.Join(r.data, "kubectl")
	if err := os.Symlink(binary, r.kubectl); err != nil {
		return err
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	said, err := os.Create(filepath.Join(r.dir, "server.log"))
	if err != nil {
		return err
	}
	defer said.Close()
	r.server = exec.Command(binary, "up", "--nodes", "4", "--data", filepath.Join(r.data, "data"), "--kubeconfig", r.kubeconfig)
	r.server.Stderr = said
	stdout, err := r.server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := r.server.Start(); err != nil {
		return err
	}
	r.ended = make(chan struct{})
	serves := make(chan struct{})
	go func() {
		defer close(r.ended)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() { // to the end: a full pipe would stop the server
			if strings.Contains(lines.Text(), "export KUBECONFIG=") {
				close(serves)
			}
		}
	}()
	select {
	case <-serves:
		return r.prepare()
	case <-r.ended:
		r.stop()
		return fmt.Errorf("%s up ended before it served", binary)
	}
}

// class is the default class that kind, minikube and the clouds come with;
// specs with claims are skipped where there is none. What provisions it does
// not matter: simulated volumes are made for any.
const class = `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations: {storageclass.kubernetes.io/is-default-class: "true"}
provisioner: rollcall.example/simulated
`

func (r *run) prepare() error {
	cmd := exec.Command(r.kubectl, "--kubeconfig", r.kubeconfig, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(class)
	if out, err := cmd.CombinedOutput(); err != nil {
		r.stop()
		return fmt.Errorf("make a default StorageClass: %w: %s", err, out)
	}
	return nil
}

func (r *run) stop() {
	r.server.Process.Signal(syscall.SIGTERM)
	r.server.Wait()
	os.RemoveAll(r.data)
}

// all runs the specs, those that upstream runs alone after all others.
func (r *run) all(ts []test) []Verdict {
	verdicts := make([]Verdict, len(ts))
	for _, alone := range []bool{false, true} {
		n := *jobs
		if alone {
			n = 1
		}
		next := make(chan int)
		var workers sync.WaitGroup
		for range n {
			workers.Go(func() {
				for i := range next {
					verdicts[i] = r.one(i, ts[i])
					fmt.Printf("%-8s %5.1fs %s\n", verdicts[i].State, verdicts[i].Seconds, ts[i].name)
				}
			})
		}
		for i, t := range ts {
			if t.alone == alone {
				next <- i
			}
		}
		close(next)
		workers.Wait()
	}
	return verdicts
}

// one runs a spec in a process, whose output is kept.
func (r *run) one(i int, t test) Verdict {
	select {
	case <-r.ended:
		return Verdict{Spec: t.name, State: "not run", Reason: "the server has ended: server.log has why"}
	default:
	}
	file := filepath.Join(r.dir, fmt.Sprintf("%03d.json", i))
	os.Remove(file)
	out, err := os.Create(filepath.Join(r.dir, fmt.Sprintf("%03d.log", i)))
	if err != nil {
		return Verdict{Spec: t.name, State: "not run", Reason: err.Error()}
	}
	defer out.Close()
	// What a spec does after its time, such as deleting its namespace, has a minute.
	ctx, cancel := context.WithTimeout(context.Background(), *each+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSpec$", "-test.timeout=0",
		"-spec", t.name, "-verdict", file, "-each", each.String(),
		"-kubeconfig", r.kubeconfig, "-kubectl-path", r.kubectl, "-num-nodes", "3")
	cmd.Stdout, cmd.Stderr = out, out
	ran := cmd.Run()
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return Verdict{Spec: t.name, State: "ended", Reason: fmt.Sprint("the process said nothing: ", ran)}
	}
	var v Verdict
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		return Verdict{Spec: t.name, State: "not read", Reason: err.Error()}
	}
	return v
}

// writeResults writes a line for each spec: verdict, seconds, name, reason.
func writeResults(dir string, ts []test, verdicts []Verdict) error {
	var b strings.Builder
	for i, v := range verdicts {
		fmt.Fprintf(&b, "%03d\t%s\t%.1f\t%s\t%s\t%s\n", i, v.State, v.Seconds, ts[i].dir, ts[i].name, v.Reason)
	}
	return os.WriteFile(filepath.Join(dir, "results.txt"), []byte(b.String()), 0o644)
}

// count is a table: specs that passed, and how many there are, by directory.
func count(ts []test, verdicts []Verdict) string {
	type sums struct{ passed, all, conformance, ofConformance int }
	dirs := map[string]sums{}
	for i, t := range ts {
		for _, d := range []string{t.dir, "~all"} {
			s := dirs[d]
			passed := 0
			if verdicts[i].State == "passed" {
				passed = 1
			}
			s.all, s.passed = s.all+1, s.passed+passed
			if t.conformance {
				s.ofConformance, s.conformance = s.ofConformance+1, s.conformance+passed
			}
			dirs[d] = s
		}
	}
	var names []string
	for d := range dirs {
		names = append(names, d)
	}
	sort.Strings(names)
	var b strings.Builder
	for _, d := range names {
		s := dirs[d]
		fmt.Fprintf(&b, "%-16s %3d of %3d passed, of Conformance %3d of %3d\n", strings.TrimPrefix(d, "~"), s.passed, s.all, s.conformance, s.ofConformance)
	}
	return b.String()
}
