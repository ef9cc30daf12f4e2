// Package kubelet has stock kubelets of Kubernetes join a running rollcall, with
// containerd, beside simulated nodes, and looks at what becomes of real containers.
//
//	go test . -v
//	go test . -v -install -rollcall ../../bin/rollcall
//
// It needs root, control groups, and what -install installs on Debian; without, it
// is skipped and says why. Two kubelets take a quarter of a minute to build with
// everything compiled, and some minutes without.
package kubelet

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	binary  = flag.String("rollcall", "", "path of the rollcall binary to test (default: one that is built)")
	install = flag.Bool("install", false, "install "+packages+" with apt-get first")
)

// patience bounds what takes seconds.
const patience = 2 * time.Minute

// cluster is a rollcall that runs, and the real hosts of it.
type cluster struct {
	t          *testing.T
	binary     string
	data       string
	kubeconfig string
}

// newCluster starts rollcall with three simulated nodes, of which one is a tainted
// control plane, until the test ends.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	dir := t.TempDir()
	c := &cluster{t: t, binary: *binary, data: filepath.Join(dir, "data"), kubeconfig: filepath.Join(dir, "kubeconfig")}
	if c.binary == "" {
		c.binary = build(t, filepath.Join("..", ".."), "./cmd/rollcall")
	}
	up := exec.Command(c.binary, "up", "--nodes", "3", "--data", c.data, "--kubeconfig", c.kubeconfig)
	up.Stderr = os.Stderr
	out, err := up.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		up.Process.Signal(syscall.SIGTERM)
		up.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "export KUBECONFIG=") {
			go func() {
				for lines.Scan() { // a full pipe would stop it
				}
			}()
			return c
		}
	}
	t.Fatal("rollcall up ended before it served")
	return nil
}

// build builds a program of a module.
func build(t *testing.T, dir, of string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), filepath.Base(of))
	cmd := exec.Command("go", "build", "-tags", "kustomize_disable_go_plugin_support", "-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3", "-o", program, of)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", of, err, out)
	}
	return program
}

// try runs rollcall.
func (c *cluster) try(arguments ...string) (string, error) {
	cmd := exec.Command(c.binary, arguments...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *cluster) rollcall(arguments ...string) string {
	c.t.Helper()
	out, err := c.try(arguments...)
	if err != nil {
		c.t.Fatalf("rollcall %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return out
}

func (c *cluster) kubectl(arguments ...string) string {
	c.t.Helper()
	return c.rollcall(append([]string{"kubectl"}, arguments...)...)
}

// apply applies a manifest.
func (c *cluster) apply(manifest string) {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.kubectl("apply", "-f", file)
}

// pod is as much of a pod as is looked at.
type pod struct {
	Metadata struct{ Name string }
	Spec     struct{ NodeName string }
	Status   struct {
		Conditions        []struct{ Type, Status string }
		ContainerStatuses []struct {
			ContainerID  string
			RestartCount int
			Ready        bool
		}
	}
}

func (p pod) is(condition string) string {
	for _, c := range p.Status.Conditions {
		if c.Type == condition {
			return c.Status
		}
	}
	return ""
}

// pods returns the pods with a label, by node.
func (c *cluster) pods(app string) map[string]pod {
	c.t.Helper()
	var list struct{ Items []pod }
	if err := json.Unmarshal([]byte(c.kubectl("get", "pods", "-l", "app="+app, "-o", "json")), &list); err != nil {
		c.t.Fatal(err)
	}
	by := map[string]pod{}
	for _, p := range list.Items {
		by[p.Spec.NodeName] = p
	}
	return by
}

// ready returns the status of the condition Ready of a node.
func (c *cluster) ready(node string) string {
	out, _ := c.try("kubectl", "get", "node", node, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	return out
}

// count returns how many events of the log say something.
func (c *cluster) count(words ...string) (n int) {
	c.t.Helper()
	for line := range strings.Lines(c.rollcall("log", "--data", c.data)) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			n++
		}
	}
	return n
}

const agents = `apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: agent, image: "` + agentImage + `1"}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      nodeSelector: {kubernetes.io/hostname: real-1}
      containers: [{name: web, image: "` + agentImage + `1"}]
`

// Real containers of a DaemonSet, beside simulated ones: their whole life.
func TestKubelets(t *testing.T) {
	if *install {
		cmd := exec.Command("sh", "-c", "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "+packages)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("what is needed cannot be installed: %v\n%s", err, out)
		}
	}
	if why := missing(); why != "" {
		t.Skip(why)
	}
	program := build(t, ".", "./kubelet")
	c := newCluster(t)
	busybox, _ := exec.LookPath("busybox")
	images := writeImages(t, busybox)
	hosts := []*host{newHost(t, "real-1", 1, images), newHost(t, "real-2", 2, images)}

	// One has its certificate, the other a token for which it is given one.
	dir := t.TempDir()
	c.rollcall("node", "join", "real-1", filepath.Join(dir, "real-1"), "--data", c.data)
	token := strings.TrimSpace(c.rollcall("token", "create"))
	c.rollcall("node", "join", "real-2", filepath.Join(dir, "real-2"), "--data", c.data, "--token", token)
	for _, h := range hosts {
		h.join(program, filepath.Join(dir, h.name))
		took := await(t, patience, h.name+" is Ready", func() bool { return c.ready(h.name) == "True" })
		t.Logf("%s is Ready %.1f s after its kubelet was started", h.name, took.Seconds())
	}

	c.apply(agents)
	c.kubectl("rollout", "status", "ds/agent", "--timeout=2m")
	c.kubectl("rollout", "status", "deploy/web", "--timeout=2m")
	if got := c.pods("web"); len(got) != 1 || got["real-1"].is("Ready") != "True" {
		t.Errorf("the pod of a Deployment is not on the real node that it selects: %v", got)
	}
	first := c.pods("agent")
	if len(first) != 4 {
		t.Fatalf("pods on %d nodes, want two simulated and two real ones", len(first))
	}
	c.look(hosts, "1")
	life := c.count("pod/default/" + first["real-1"].Metadata.Name + " ")
	t.Logf("%d events tell of a pod of a real node until it is Ready", life)

	began := time.Now()
	c.kubectl("set", "image", "ds/agent", "agent="+agentImage+"2")
	c.kubectl("rollout", "status", "ds/agent", "--timeout=2m")
	t.Logf("the new image is on all nodes after %.1f s", time.Since(began).Seconds())
	c.look(hosts, "2")

	c.restart(hosts[0])
	c.lose(hosts[1])

	c.kubectl("delete", "ds/agent", "deploy/web")
	for _, h := range hosts {
		await(t, patience, "the containers of "+h.name+" are gone", func() bool { return strings.TrimSpace(h.ctr("containers", "ls", "-q")) == "" })
	}
	for _, h := range hosts {
		if c.count("by system:node:"+h.name+" via kubelet") == 0 {
			t.Errorf("no event of the log says that the kubelet of %s did something", h.name)
		}
	}
	if n := c.count("pod.deleted", "by system:node:real-1"); n < 2 {
		t.Errorf("%d pods were ended by the kubelet of real-1, want those of before and of after the change at least", n)
	}
}

// look asks the containers of real nodes which image they have, by each way into them.
func (c *cluster) look(hosts []*host, version string) {
	c.t.Helper()
	for _, h := range hosts {
		name := c.pods("agent")[h.name].Metadata.Name
		if got := c.kubectl("exec", name, "--", "cat", "/etc/version"); got != version {
			c.t.Errorf("exec in %s on %s: version %q, want %s", name, h.name, got, version)
		}
		await(c.t, patience, "the log of "+name, func() bool {
			return strings.TrimSpace(c.kubectl("logs", name, "--tail=1")) == "agent "+version
		})
		file := filepath.Join(c.t.TempDir(), "version")
		c.kubectl("cp", name+":/etc/version", file)
		if got, _ := os.ReadFile(file); string(got) != version {
			c.t.Errorf("cp from %s: %q", name, got)
		}
		if got := c.forwarded(name, "8080", "/version"); got != version {
			c.t.Errorf("through port-forward to %s on %s: %q, want %s", name, h.name, got, version)
		}
		if got := c.kubectl("get", "--raw", "/api/v1/nodes/"+h.name+"/proxy/stats/summary"); !strings.Contains(got, name) {
			c.t.Errorf("the statistics of %s do not know %s", h.name, name)
		}
	}
}

// forwarded gets a path of what listens on a port of a pod, through a port-forward.
func (c *cluster) forwarded(pod, port, path string) string {
	c.t.Helper()
	cmd := exec.Command(c.binary, "kubectl", "port-forward", pod, ":"+port)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var local string
	if _, err := fmt.Fscanf(out, "Forwarding from 127.0.0.1:%s", &local); err != nil {
		c.t.Fatalf("port-forward to %s: %v", pod, err)
	}
	r, err := http.Get("http://127.0.0.1:" + local + path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(body)
}

// restart kills a container: its kubelet starts it again, in the same pod.
func (c *cluster) restart(h *host) {
	c.t.Helper()
	before := c.pods("agent")[h.name]
	h.ctr("tasks", "kill", "-s", "KILL", strings.TrimPrefix(before.Status.ContainerStatuses[0].ContainerID, "containerd://"))
	took := await(c.t, patience, "the container of "+h.name+" runs again", func() bool {
		p := c.pods("agent")[h.name]
		return p.Metadata.Name == before.Metadata.Name && p.Status.ContainerStatuses[0].RestartCount == 1 && p.Status.ContainerStatuses[0].Ready
	})
	c.t.Logf("a container that was killed is ready again after %.1f s", took.Seconds())
}

// lose stops a kubelet: its node is NotReady, and its pods are told; then the
// kubelet comes back.
func (c *cluster) lose(h *host) {
	c.t.Helper()
	h.fail()
	beats := fmt.Sprintf("node/%s ", "real-1")
	quiet := c.count("node.updated", beats)
	took := await(c.t, patience, h.name+" is NotReady", func() bool { return c.ready(h.name) == "Unknown" })
	c.t.Logf("%s is NotReady %.0f s after its kubelet has stopped", h.name, took.Seconds())
	await(c.t, patience, "the pod of "+h.name+" is not Ready", func() bool { return c.pods("agent")[h.name].is("Ready") == "False" })
	if n := c.count("node.updated", beats) - quiet; n > 0 {
		c.t.Errorf("%d events of real-1 while nothing happened to it, want none: a heartbeat is no event", n)
	}
	h.begin()
	await(c.t, patience, h.name+" is Ready again", func() bool {
		return c.ready(h.name) == "True" && c.pods("agent")[h.name].is("Ready") == "True"
	})
}
