package main

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestControlWithoutLog: while the log of a cluster that is controlled is away nothing is
// written to the cluster, which could not be told; when it is back, what was wanted
// meanwhile is done.
func TestControlWithoutLog(t *testing.T) {
	r := &recorded{t: t, dir: t.TempDir()}
	r.cluster, r.env = filepath.Join(r.dir, "cluster"), append(os.Environ(), "XDG_RUNTIME_DIR="+r.dir, "XDG_STATE_HOME="+r.dir)
	manifest := strings.Replace(killManifest(1), "terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 0", 1)
	if err := os.WriteFile(filepath.Join(r.dir, "agent.yaml"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	store := t.TempDir()
	nats := natsAt(t, store, server.RANDOM_PORT)
	at := nats.ClientURL()
	r.up("--controllers=*,-daemonset")
	us, err := startProcess(r.dir, r.env, "connect", "--control", "--kubeconfig", filepath.Join(r.cluster, "kubeconfig"), "--nats-url", at, "--cluster", "stage", "--probe-wait", "1s", "--at-takeover", "allow")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(us.kill)
	if err := us.sees("controlling the DaemonSets of the cluster"); err != nil {
		t.Fatal(err)
	}
	was := r.rest()

	nats.Shutdown()
	nats.WaitForShutdown()
	r.setImage("agent:2")
	ds, err := r.client.AppsV1().DaemonSets("default").Get(t.Context(), "agent", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := us.sees("E-LOG-UNREACHABLE"); err != nil {
		t.Fatal(err)
	}
	r.untouched(ds, was)

	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	natsAt(t, store, port)
	for _, uid := range r.rest() {
		if strings.HasPrefix(uid, "Pod ") && slices.Contains(was, uid) {
			t.Errorf("%s is not replaced", uid)
		}
	}
	if code, err := us.end(syscall.SIGTERM); err != nil || code != 0 {
		t.Errorf("exit code %d, %v:\n%s", code, err, us.output())
	}
	code, said := runToEnd(t, r.dir, r.env, "verify", "--nats-url", at, "--cluster", "stage")
	if code != 0 || !strings.Contains(said, "all the same") {
		t.Errorf("verify, exit code %d:\n%s", code, said)
	}
}

// natsAt starts a NATS server on a store, at a port.
func natsAt(t *testing.T, store string, port int) *server.Server {
	t.Helper()
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: store})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	})
	if !ns.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	return ns
}

// untouched sees that a cluster is as it was after a template was written.
func (r *recorded) untouched(ds *appsv1.DaemonSet, was []string) {
	t := r.t
	t.Helper()
	is, err := r.client.AppsV1().DaemonSets("default").Get(t.Context(), "agent", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if is.ResourceVersion != ds.ResourceVersion {
		t.Errorf("its status was written without a log: %+v", is.Status)
	}
	revisions, err := r.client.AppsV1().ControllerRevisions("default").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(revisions.Items) != 1 {
		t.Errorf("%d revisions, %v", len(revisions.Items), err)
	}
	pods, err := r.client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 3 {
		t.Errorf("%d pods, %v", len(pods.Items), err)
	}
	for _, p := range pods.Items {
		if !slices.Contains(was, "Pod "+string(p.UID)) || p.DeletionTimestamp != nil {
			t.Errorf("without a log %s was made, or is deleted", p.Name)
		}
	}
}
