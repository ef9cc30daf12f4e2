package kubelet

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// packages are what a machine needs, of Debian.
const packages = "containerd runc busybox-static containernetworking-plugins iproute2"

// missing says why this machine cannot run containers; "": it can.
func missing() string {
	if os.Geteuid() != 0 {
		return "containers need root"
	}
	for _, name := range []string{"containerd", "ctr", "runc", "busybox", "ip", "/usr/lib/cni/bridge"} {
		if _, err := exec.LookPath(name); err != nil {
			return name + " is not there: apt-get install " + packages + ", or run the test with -install"
		}
	}
	group := "/sys/fs/cgroup/memory"
	if _, err := os.Stat(group); err != nil {
		group = "/sys/fs/cgroup"
	}
	probe := filepath.Join(group, "rollcall-probe")
	if err := os.Mkdir(probe, 0o755); err != nil {
		return "no cgroup can be made: " + err.Error()
	}
	os.Remove(probe)
	if address() == "" {
		return "this machine has no address but loopback ones, which no node may have"
	}
	return ""
}

// address is one of this machine's that a node may have.
func address() string {
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return ""
}

// host is a machine with a container runtime and a kubelet, all of which is in
// one directory of this one.
type host struct {
	t      *testing.T
	name   string
	dir    string // short: paths of sockets are
	bridge string
	ports  [2]int // of the kubelet's server, and of its health

	containerd, kubelet *exec.Cmd
	arguments           []string // of the kubelet
	output              *os.File
}

// newHost starts a container runtime with images until the test ends.
func newHost(t *testing.T, name string, number int, images string) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "rk")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, name: name, dir: dir, bridge: fmt.Sprintf("rk%d-%d", os.Getpid()%10000, number), ports: [2]int{freePort(t), freePort(t)}}
	t.Cleanup(h.remove)
	for _, sub := range []string{"cni", "kubelet"} {
		if err := os.Mkdir(h.path(sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.write("cni/10.conflist", fmt.Sprintf(`{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"bridge","bridge":%q,"isGateway":true,
"ipam":{"type":"host-local","ranges":[[{"subnet":"10.222.%d.0/24"}]],"dataDir":%q}}]}`, h.bridge, number, h.path("ipam")))
	// restrict_oom_score_adj: a process may not make itself less likely to be killed
	// than its parent is. native: overlays do not stack.
	h.write("containerd.toml", fmt.Sprintf(`version = 2
root = %q
state = %q
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = %q
`, h.path("root"), h.path("state"), h.socket(), pauseImage, h.path("cni")))
	if h.output, err = os.Create(h.path("output")); err != nil {
		t.Fatal(err)
	}
	h.containerd = h.start("containerd", "-c", h.path("containerd.toml"))
	await(t, time.Minute, "containerd of "+name, func() bool { return exec.Command("ctr", "-a", h.socket(), "version").Run() == nil })
	h.ctr("images", "import", "--snapshotter", "native", images)
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }
func (h *host) socket() string          { return h.path("c.sock") }

func (h *host) write(name, content string) {
	h.t.Helper()
	if err := os.WriteFile(h.path(name), []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// start starts a program whose output is kept.
func (h *host) start(program string, arguments ...string) *exec.Cmd {
	h.t.Helper()
	c := exec.Command(program, arguments...)
	c.Stdout, c.Stderr = h.output, h.output
	if err := c.Start(); err != nil {
		h.t.Fatal(err)
	}
	return c
}

// ctr runs a command on the containers of the host.
func (h *host) ctr(arguments ...string) string {
	h.t.Helper()
	out, err := exec.Command("ctr", append([]string{"-a", h.socket(), "-n", "k8s.io"}, arguments...)...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("ctr %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return string(out)
}

// machine is what kubelets on a machine of tests need besides what they join with:
// they share it with others, in control groups of version 1 or 2.
const machine = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
makeIPTablesUtilChains: false
containerRuntimeEndpoint: unix://%s
podLogsDir: %s
port: %d
healthzPort: %d
evictionHard: {memory.available: 10Mi, nodefs.available: 1%%, imagefs.available: 1%%}
`

// join starts the kubelet with the directory that rollcall node join has written.
func (h *host) join(program, dir string) {
	h.t.Helper()
	if err := os.Mkdir(h.path("conf"), 0o700); err != nil {
		h.t.Fatal(err)
	}
	h.write("conf/10-machine.conf", fmt.Sprintf(machine, h.socket(), h.path("logs"), h.ports[0], h.ports[1]))
	h.arguments = []string{program, "--config", filepath.Join(dir, "kubelet.yaml"), "--config-dir", h.path("conf"), "--hostname-override", h.name,
		"--root-dir", h.path("kubelet"), "--cert-dir", h.path("pki"), "--node-ip", address()}
	if bootstrap := filepath.Join(dir, "bootstrap-kubeconfig"); exists(bootstrap) {
		h.arguments = append(h.arguments, "--bootstrap-kubeconfig", bootstrap, "--kubeconfig", h.path("kubeconfig"))
	} else {
		h.arguments = append(h.arguments, "--kubeconfig", filepath.Join(dir, "kubeconfig"))
	}
	h.begin()
}

func (h *host) begin() { h.kubelet = h.start(h.arguments[0], h.arguments[1:]...) }

// fail stops the kubelet as if the power went; its containers run on.
func (h *host) fail() {
	h.kubelet.Process.Kill()
	h.kubelet.Wait()
	h.kubelet = nil
}

// remove ends all that runs on the host and takes away what is left of it.
func (h *host) remove() {
	if h.t.Failed() && h.output != nil {
		h.tell()
	}
	end(h.kubelet)
	networks := h.networks()
	end(h.containerd)
	for _, pid := range h.processes() { // shims, whose containers end with them
		syscall.Kill(pid, syscall.SIGKILL)
	}
	for range 3 { // mounts are in each other
		mounts, _ := os.ReadFile("/proc/mounts")
		for _, line := range slices.Backward(strings.Split(string(mounts), "\n")) {
			if at := strings.Fields(line); len(at) > 1 && strings.HasPrefix(at[1], h.dir+"/") {
				syscall.Unmount(at[1], syscall.MNT_DETACH)
			}
		}
	}
	for _, name := range networks {
		exec.Command("ip", "netns", "delete", name).Run()
	}
	exec.Command("ip", "link", "delete", h.bridge).Run()
	if err := os.RemoveAll(h.dir); err != nil {
		h.t.Errorf("%s is not removed: %v", h.name, err)
	}
}

// networks are the namespaces of networks that pods of the host still have.
func (h *host) networks() (names []string) {
	all, _ := exec.Command("ctr", "-a", h.socket(), "-n", "k8s.io", "containers", "ls", "-q").Output()
	for _, id := range strings.Fields(string(all)) {
		info, _ := exec.Command("ctr", "-a", h.socket(), "-n", "k8s.io", "containers", "info", id).Output()
		if name := regexp.MustCompile("cni-[0-9a-f-]+").Find(info); name != nil && !slices.Contains(names, string(name)) {
			names = append(names, string(name))
		}
	}
	return names
}

// end ends a program that was started.
func end(c *exec.Cmd) {
	if c != nil {
		c.Process.Signal(syscall.SIGTERM)
		c.Wait()
	}
}

// tell shows the end of what the programs of the host have said.
func (h *host) tell() {
	out, _ := os.ReadFile(h.path("output"))
	lines := strings.Split(string(out), "\n")
	h.t.Logf("the last of %s:\n%s", h.name, strings.Join(lines[max(0, len(lines)-40):], "\n"))
}

// processes are those that name the directory of the host, and what runs below
// them.
func (h *host) processes() (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range all {
		text, err := os.ReadFile(file)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || pid == os.Getpid() || !bytes.Contains(text, []byte(h.dir+"/")) {
			continue
		}
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		for _, child := range strings.Fields(string(children)) {
			if c, err := strconv.Atoi(child); err == nil {
				pids = append(pids, c)
			}
		}
		pids = append(pids, pid)
	}
	return pids
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// await waits until ok, and returns how long it took.
func await(t *testing.T, most time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > most {
			t.Fatalf("%s: not after %s", what, most)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(began)
}
