package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// A cluster is handed back only by the log that has it: not by one that is empty, and not
// while another log renews the Lease. What is refused has changed nothing.
func TestReleaseRefuses(t *testing.T) {
	r := &recorded{t: t, dir: t.TempDir()}
	r.cluster, r.rec, r.env = filepath.Join(r.dir, "cluster"), filepath.Join(r.dir, "record"), append(os.Environ(), "XDG_RUNTIME_DIR="+r.dir)
	if err := os.WriteFile(filepath.Join(r.dir, "agent.yaml"), []byte(killManifest(1)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.up()
	r.rest()
	r.once()
	refused := func(data, says string, exit int) {
		t.Helper()
		p, err := startProcess(r.dir, r.env, "release", "--kubeconfig", filepath.Join(r.cluster, "kubeconfig"), "--data", data)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.kill)
		if code, err := p.end(0); err != nil || code != exit || !strings.Contains(p.output(), says) || strings.Contains(p.output(), "released") {
			t.Errorf("exit code %d, %v, want %d and %s:\n%s", code, err, exit, says, p.output())
		}
	}
	leases, other, seconds := r.client.CoordinationV1().Leases("kube-system"), "another log", int32(15)
	empty := filepath.Join(r.dir, "empty")
	refused(empty, "E-KUBE-CLUSTER", events.ExitInput)
	if exists(empty) {
		t.Error("a directory is left of an empty log")
	}
	if _, err := leases.Get(t.Context(), "rollcall", metav1.GetOptions{}); err == nil {
		t.Error("an empty log has taken the Lease")
	}
	l, err := leases.Create(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "rollcall"},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &other, LeaseDurationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	over, renewed := make(chan struct{}), make(chan error, 1)
	go func() { // what its holder does
		for {
			select {
			case <-over:
				renewed <- nil
				return
			case <-time.After(100 * time.Millisecond):
			}
			now := metav1.NowMicro()
			l.Spec.RenewTime = &now
			if l, err = leases.Update(t.Context(), l, metav1.UpdateOptions{}); err != nil {
				renewed <- err
				return
			}
		}
	}()
	refused(r.rec, "E-KUBE-LEASE", events.ExitHalt)
	close(over)
	if err := <-renewed; err != nil {
		t.Errorf("the Lease is not its holder's any more: %v", err)
	}
}
