package kube

import (
	"errors"
	"flag"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// ownFlag has the tests of this file's users need no Kubernetes.
var ownFlag = flag.Bool("own", false, "rollcall up stands in for kube-apiserver and kube-controller-manager")

// newWorld starts a cluster in which nothing controls anything yet.
func newWorld(t *testing.T) *cluster {
	if !*ownFlag {
		return newCluster(t)
	}
	return &cluster{T: t, dir: t.TempDir(), door: newDoor(t), own: true}
}

// ownControllers starts rollcall up with some of Kubernetes' controllers, by their names.
func (c *cluster) ownControllers(names string) *process {
	c.Helper()
	c.door.leads("")
	run := "*,-node-lifecycle" // what nobody renews is no loss here
	if !strings.Contains(names, own) {
		run += ",-daemonset"
	}
	c.server = start(c.T, *rollcall, "up", "--nodes", "0", "--data", c.dir, "--controllers="+run)
	c.served()
	return c.server
}

// errStuck keeps a pod from being started.
var errStuck = errors.New("its image cannot be had")

// stuck reports whether a pod is not started, and stays so until its image is freed.
func (c *cluster) stuck(p *corev1.Pod) bool {
	image := p.Spec.Containers[0].Image
	_, free := c.freed.Load(image)
	return strings.HasPrefix(image, "stuck") && !free
}

// soon has a probe wait no longer than it takes: nobody is there to answer it.
const soon = "--probe-wait=1s"

// kill ends the program as a power cut does.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
	_ = p.cmd.Wait()
}

// dies waits until somebody has killed the program.
func (p *process) dies() {
	p.Helper()
	select {
	case <-p.done:
		_ = p.cmd.Wait()
	case <-time.After(patience):
		p.Fatalf("%s is not killed:\n%s", filepath.Base(p.cmd.Path), p.output())
	}
}
