package kube

import (
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// What docs/BENCHMARKS.md has is measured with more nodes than a test needs.
var (
	rolledNodes  = flag.Int("rolled", 40, "nodes of TestRolloutCPU")
	adoptedNodes = flag.Int("adopted", 40, "nodes of TestAdoption")
)

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

// TestRolloutCPU rolls a DaemonSet out twice, whose pods take up to six seconds to start:
// once with the cluster's own DaemonSet controller, of which there is nothing else in its
// process, and once with rollcall. On a thousand nodes rollcall takes a twentieth of its
// time on a processor, with its log and all that it serves.
func TestRolloutCPU(t *testing.T) {
	c := newCluster(t)
	c.controllers(others)
	c.pace = spread
	c.kubelets()
	each(*rolledNodes, func(i int) { c.node(fmt.Sprintf("n%04d", i)) })
	kcm := c.controllers(own)
	few := intstr.FromString("5%")
	c.daemonSet("agent", func(ds *appsv1.DaemonSet) {
		ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &few}}
	})
	c.rolledOut("agent", int32(*rolledNodes))
	roll := func(p *process, image string) time.Duration {
		begun, cpu := time.Now(), p.cpu()
		c.image("agent", image)
		c.rolledOut("agent", int32(*rolledNodes))
		cpu = p.cpu() - cpu
		t.Logf("%s: %s of CPU in %s", filepath.Base(p.cmd.Path), cpu, time.Since(begun).Round(time.Second))
		return cpu
	}
	theirs := roll(kcm, "main:2")
	kcm.end()
	us := c.control(c.granted("control"), filepath.Join(t.TempDir(), "control"))
	ours := roll(us, "main:3")
	t.Logf("%d nodes: theirs %.1f times ours", *rolledNodes, float64(theirs)/float64(max(ours, 1)))
	if *rolledNodes >= 1000 && ours*20 > theirs {
		t.Errorf("ours took %s, theirs %s: more than a twentieth", ours, theirs)
	}
	us.end()
}

// TestAdoption takes a cluster over that has been there for long, with ten DaemonSets on
// all nodes: no command is given and no revision made, and on 5,000 nodes that takes less
// than 20 seconds on a processor and less than 900 MB.
func TestAdoption(t *testing.T) {
	const sets = 10
	c := newCluster(t)
	kcm := c.controllers(all)
	for i := range sets {
		c.daemonSet(fmt.Sprint("agent-", i))
		c.rolledOut(fmt.Sprint("agent-", i), 0)
	}
	kcm.end()
	each(*adoptedNodes, func(i int) { c.node(fmt.Sprintf("n%04d", i)) })
	for i := range sets {
		c.fill(fmt.Sprint("agent-", i))
	}
	account, data := c.granted("control"), filepath.Join(t.TempDir(), "control")
	begun := time.Now()
	us := c.control(account, data)
	cpu, memory := us.cpu(), us.memory()
	t.Logf("%d nodes, %d pods: %s of CPU, %d MB, %s with the probe", *adoptedNodes, *adoptedNodes*sets, cpu, memory, time.Since(begun).Round(100*time.Millisecond))
	for i := range sets {
		c.rolledOut(fmt.Sprint("agent-", i), int32(*adoptedNodes)) // it has been decided
	}
	if n := c.count(data, "daemonset.planned"); n > 0 {
		t.Errorf("taking over took %d plans", n)
	}
	if n := c.count(data, "controllerrevision.updated"); n > 0 {
		t.Errorf("taking over has written %d revisions", n)
	}
	if *adoptedNodes >= 5000 && (cpu > 20*time.Second || memory > 900) {
		t.Errorf("it took %s and %d MB", cpu, memory)
	}
	us.end()
}

// fill gives each node a pod of a DaemonSet, as a controller and a kubelet would have.
func (c *cluster) fill(name string) {
	c.Helper()
	ctx := c.Context()
	ds, err := c.client.AppsV1().DaemonSets(space).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		c.Fatal(err)
	}
	revisions, err := c.client.AppsV1().ControllerRevisions(space).List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
	if err != nil || len(revisions.Items) != 1 {
		c.Fatalf("%d revisions of %s, %v", len(revisions.Items), name, err)
	}
	made := corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-", Labels: map[string]string{"app": name, "pod-template-generation": "1",
		appsv1.DefaultDaemonSetUniqueLabelKey: revisions.Items[0].Labels[appsv1.DefaultDaemonSetUniqueLabelKey]},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(ds, appsv1.SchemeGroupVersion.WithKind("DaemonSet"))}}, Spec: ds.Spec.Template.Spec}
	each(*adoptedNodes, func(i int) {
		p := made.DeepCopy()
		p.Name, p.Spec.NodeName = fmt.Sprintf("%s-%04d", name, i), fmt.Sprintf("n%04d", i)
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{p.Spec.NodeName}}}}}}}}
		is, err := c.client.CoreV1().Pods(space).Create(ctx, p, metav1.CreateOptions{})
		if err == nil {
			err = c.keep(ctx, is)
		}
		if err != nil {
			c.Errorf("pod %s: %v", p.Name, err)
		}
	})
}
