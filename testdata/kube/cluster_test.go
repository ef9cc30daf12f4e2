// Package kube runs rollcall connect and diverge, as a user would, beside a whole
// Kubernetes 1.36.3: a kube-apiserver with its etcd, a kube-controller-manager and
// kubelets that only keep books.
//
//	go test . -rollcall ../../bin/rollcall
//
// What Kubernetes is made of is compiled from testdata/parity, which takes minutes the
// first time; -kubernetes DIR has it compiled already.
package kube

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

var (
	rollcall = flag.String("rollcall", "../../bin/rollcall", "the rollcall binary to try")
	compiled = flag.String("kubernetes", "", "directory with kubeapiserver and kubernetes of testdata/parity, compiled; empty: they are compiled")
)

// patience bounds every wait for something that has to come.
const patience = 4 * time.Minute

// built is the directory that binaries has made; empty: none.
var built string

// binaries returns the directory of what Kubernetes is made of.
var binaries = sync.OnceValues(func() (string, error) {
	if *compiled != "" {
		return *compiled, nil
	}
	dir, err := os.MkdirTemp("", "rollcall-kube-")
	if err != nil {
		return "", err
	}
	built = dir
	for _, name := range []string{"kubeapiserver", "kubernetes"} {
		c := exec.Command("go", "build", "-ldflags", "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3", "-o", filepath.Join(dir, name), "./"+name)
		c.Dir = "../parity"
		if out, err := c.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build %s: %w\n%s", name, err, out)
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}

// cluster is a Kubernetes whose address stays while its API server is started anew.
type cluster struct {
	*testing.T
	dir    string
	bin    string
	door   *door
	server *process
	client *kubernetes.Clientset
	admin  *rest.Config
	own    bool                            // rollcall itself is what Kubernetes is elsewhere
	freed  sync.Map                        // images of which pods are started that were stuck
	pace   func(*corev1.Pod) time.Duration // that a pod takes to start; nil: it starts at once
}

// newCluster starts a kube-apiserver with an empty store.
func newCluster(t *testing.T) *cluster {
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{T: t, dir: t.TempDir(), bin: bin, door: newDoor(t)}
	c.serve()
	return c
}

// serve starts the API server on what its store has.
func (c *cluster) serve() {
	c.Helper()
	c.server = start(c.T, filepath.Join(c.bin, "kubeapiserver"), c.dir)
	c.served()
}

// served waits until the API server answers.
func (c *cluster) served() {
	c.Helper()
	c.server.sees("export KUBECONFIG=")
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(c.dir, "kubeconfig"))
	if err != nil {
		c.Fatal(err)
	}
	c.door.leads(strings.TrimPrefix(config.Host, "https://"))
	config.Host = "https://" + c.door.address()
	config.QPS, config.Burst = -1, -1
	c.admin = config
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		c.Fatal(err)
	}
	c.until("the cluster is whole", func(ctx context.Context) (bool, error) {
		_, err := c.client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
		return err == nil, nil
	})
}

// stop stops the API server, and its store with it.
func (c *cluster) stop() {
	c.Helper()
	c.door.leads("")
	c.server.end()
}

// controllers starts a kube-controller-manager with some controllers.
func (c *cluster) controllers(names string) *process {
	if c.own {
		return c.ownControllers(names)
	}
	return start(c.T, filepath.Join(c.bin, "kubernetes"), "kube-controller-manager", "--kubeconfig="+c.kubeconfig("admin", c.admin), "--secure-port=0", "--leader-elect=false",
		"--controllers="+names, "--use-service-account-credentials=true", "--root-ca-file="+filepath.Join(c.dir, "apiserver.crt"), "--service-account-private-key-file="+filepath.Join(c.dir, "serviceaccount.key"))
}

// kubeconfig writes a kubeconfig, and returns its path.
func (c *cluster) kubeconfig(name string, config *rest.Config) string {
	c.Helper()
	k := clientcmdapi.NewConfig()
	k.Clusters["c"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthority: config.CAFile, CertificateAuthorityData: config.CAData, InsecureSkipTLSVerify: config.Insecure}
	k.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: config.BearerToken}
	k.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	k.CurrentContext = "x"
	path := filepath.Join(c.dir, name+".conf")
	if err := clientcmd.WriteToFile(*k, path); err != nil {
		c.Fatal(err)
	}
	return path
}

// until waits until something is so.
func (c *cluster) until(what string, so func(context.Context) (bool, error)) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	for {
		ok, err := so(ctx)
		switch {
		case err != nil:
			c.Fatalf("until %s: %v", what, err)
		case ok:
			return
		}
		select {
		case <-ctx.Done():
			c.Fatalf("it is not so that %s", what)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// door is the address of the API server, which leads to wherever that is now.
type door struct {
	listener net.Listener
	mu       sync.Mutex
	to       string
	open     map[net.Conn]bool
}

func newDoor(t *testing.T) *door {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{listener: l, open: map[net.Conn]bool{}}
	t.Cleanup(func() {
		l.Close()
		d.leads("")
	})
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go d.pass(in)
		}
	}()
	return d
}

func (d *door) address() string { return d.listener.Addr().String() }

// leads has the door lead somewhere else; all that go through it now are cut.
func (d *door) leads(to string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.to = to
	for c := range d.open {
		c.Close()
	}
}

func (d *door) pass(in net.Conn) {
	defer in.Close()
	d.mu.Lock()
	to := d.to
	d.open[in] = true
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.open, in)
		d.mu.Unlock()
	}()
	if to == "" {
		return
	}
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	go func() {
		_, _ = io.Copy(out, in)
		out.Close()
	}()
	_, _ = io.Copy(in, out)
}

// process is a program that runs, and what it has said.
type process struct {
	*testing.T
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	said bytes.Buffer
}

// start starts a program, which is ended with the test at the latest.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{T: t, cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.cmd.Stdout
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end() })
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.mu.Lock()
			p.said.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
		}
	}()
	return p
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// sees waits until the program says something.
func (p *process) sees(what string) {
	p.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		ended := p.ended()
		if strings.Contains(p.output(), what) {
			return
		}
		if ended || time.Since(begun) > patience {
			p.Fatalf("%s does not say %q (ended: %v):\n%s", filepath.Base(p.cmd.Path), what, ended, p.output())
		}
	}
}

// ended reports whether the program has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait waits until the program ends by itself, and returns its exit code.
func (p *process) wait() int {
	p.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.Fatalf("%s does not end:\n%s", filepath.Base(p.cmd.Path), p.output())
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// end stops the program.
func (p *process) end() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	_ = p.cmd.Wait()
}

// runs runs rollcall to its end, and returns its exit code and what it says.
func runs(t *testing.T, args ...string) (int, string) {
	t.Helper()
	p := start(t, *rollcall, args...)
	return p.wait(), p.output()
}
