package kube

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// What docs/BENCHMARKS.md has is measured with more nodes than a test needs.
var (
	rolledNodes  = flag.Int("rolled", 40, "nodes of TestRolloutCPU")
	adoptedNodes = flag.Int("adopted", 40, "nodes of TestAdoption")
	profiled     = flag.String("profiled", "", "file for what rollcall does in the first profileTime of TestRolloutCPU, for go tool pprof")
)

// profileTime is less than 1,000 nodes take.
const profileTime = 60 * time.Second

// writers is how many requests at once fill a cluster.
const writers = 16

// each does something for each of n things, some at a time.
func each(n int, do func(i int)) {
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := w; i < n; i += writers {
				do(i)
			}
		})
	}
	group.Wait()
}

// cpu is how long a process was on a processor since it was started.
func (p *process) cpu() time.Duration {
	p.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.Fatal(err)
	}
	_, after, _ := strings.Cut(string(data), ") ") // the name may have spaces
	f := strings.Fields(after)
	var ticks int
	for _, x := range f[11:13] { // utime and stime, of which a second has a hundred
		n, err := strconv.Atoi(x)
		if err != nil {
			p.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// memory is the most that a process had of it since it was started, in MB.
func (p *process) memory() int {
	p.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.Fields(kb)[0])
			if err != nil {
				p.Fatal(err)
			}
			return n / 1000
		}
	}
	p.Fatal("no VmHWM")
	return 0
}

// spread is how long a pod takes to start: up to six seconds, each otherwise.
func spread(p *corev1.Pod) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(p.UID))
	return time.Duration(h.Sum32()%6000) * time.Millisecond
}

// profile begins to write down what rollcall does, if that is asked for, and returns what
// waits until it is done.
func (p *process) profile() (wait func()) {
	p.Helper()
	if *profiled == "" {
		return func() {}
	}
	_, after, _ := strings.Cut(p.output(), "http://")
	address, _, _ := strings.Cut(after, "/metrics")
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			res, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", address, profileTime/time.Second))
			if err != nil {
				return err
			}
			defer res.Body.Close()
			f, err := os.Create(*profiled)
			if err != nil {
				return err
			}
			_, err = io.Copy(f, res.Body)
			return errors.Join(err, f.Close())
		}()
	}()
	return func() {
		if err := <-done; err != nil {
			p.Error(err)
		}
	}
}

// TestRolloutCPU rolls a DaemonSet out twice, whose pods take up to six seconds to start:
// once with the cluster's own DaemonSet controller, of which there is nothing else in its
// process, and once with rollcall, with its log and all that it serves; and tells how long
// each was on a processor. Beside rollcall up (-own) it is rolled out by rollcall alone.
func TestRolloutCPU(t *testing.T) {
	c := newWorld(t)
	c.controllers(others)
	c.pace = spread
	c.kubelets()
	each(*rolledNodes, func(i int) { c.node(fmt.Sprintf("n%04d", i)) })
	few := intstr.FromString("5%")
	c.daemonSet("agent", func(ds *appsv1.DaemonSet) {
		ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &few}}
	})
	roll := func(p *process, image string) time.Duration {
		begun, cpu := time.Now(), p.cpu()
		c.image("agent", image)
		c.rolledOut("agent", int32(*rolledNodes))
		cpu = p.cpu() - cpu
		t.Logf("%s: %s of CPU in %s", filepath.Base(p.cmd.Path), cpu, time.Since(begun).Round(time.Second))
		return cpu
	}
	var theirs time.Duration
	if !c.own {
		kcm := c.controllers(own)
		c.rolledOut("agent", int32(*rolledNodes))
		theirs = roll(kcm, "main:2")
		kcm.end()
	}
	args := []string{"--metrics", "127.0.0.1:0"}
	if c.own { // nobody has made a revision
		args = append(args, "--at-takeover", "allow")
	}
	us := c.control(c.granted("control"), filepath.Join(t.TempDir(), "control"), args...)
	c.rolledOut("agent", int32(*rolledNodes))
	profile := us.profile()
	ours := roll(us, "main:3")
	profile()
	t.Logf("%d nodes: theirs %.1f times ours", *rolledNodes, float64(theirs)/float64(max(ours, 1)))
	us.end()
}

// TestAdoption takes a cluster over that has been there for long, with ten DaemonSets on
// all nodes: no command is given and no revision made, and on 5,000 nodes that takes less
// than 20 seconds on a processor and less than 900 MB.
func TestAdoption(t *testing.T) {
	const sets = 10
	l := largeCluster(t, *adoptedNodes, sets)
	c := &cluster{T: t, dir: t.TempDir()}
	account, data := c.kubeconfig("lists", l.serve()), filepath.Join(t.TempDir(), "control")
	begun := time.Now()
	us := c.control(account, data, soon)
	cpu, memory := us.cpu(), us.memory()
	us.sees(fmt.Sprintf("recording from #%d on", 1+2+*adoptedNodes+2*sets+*adoptedNodes*sets)) // the charter and each object
	t.Logf("%d nodes, %d pods: %s of CPU, %d MB, %s with the probe", *adoptedNodes, *adoptedNodes*sets, cpu, memory, time.Since(begun).Round(100*time.Millisecond))
	c.until("a status of each is written: it has been decided", func(context.Context) (bool, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.puts >= sets, nil
	})
	t.Logf("and when it was decided: %s of CPU, %d MB", us.cpu(), us.memory())
	us.end()
	if n := c.count(data, "daemonset.planned"); n > 0 {
		t.Errorf("taking over took %d plans", n)
	}
	if n := c.count(data, "controllerrevision.updated"); n > 0 {
		t.Errorf("taking over has written %d revisions", n)
	}
	if *adoptedNodes >= 5000 && (cpu > 20*time.Second || memory > 900) {
		t.Errorf("it took %s and %d MB", cpu, memory)
	}
}
