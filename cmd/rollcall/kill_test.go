package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/daemonpod"
	"rollcall/events/natsd"
	"rollcall/events/stream"
	"rollcall/projector"
)

const (
	kills     = 24
	killSeed  = 20
	killNodes = 30
)

// killManifest is one DaemonSet that rolls a quarter of its nodes at a time and
// never runs two pods on one.
func killManifest(version int) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  updateStrategy: {rollingUpdate: {maxUnavailable: 8}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "agent:%d"}]
`, version)
}

// TestKill kills an instance with SIGKILL again and again, at a random position
// of its log or before it has come up, each time in a new rollout; the last one
// must end it. No position of the log then has two pods on a node, no command
// has two answers, and every plan is decided again the same (L1, L4, R11).
func TestKill(t *testing.T) {
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "agent.yaml")
	env := append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
	args := []string{"up", "--data", data, "--nodes", fmt.Sprint(killNodes), "-f", file}
	r := rand.New(rand.NewPCG(killSeed, 0))
	for i := range kills {
		if err := os.WriteFile(file, []byte(killManifest(i+1)), 0o600); err != nil {
			t.Fatal(err)
		}
		var last events.Seq
		if i > 0 {
			last = endOf(t, data)
		}
		p, err := startProcess(dir, env, args...)
		if err != nil {
			t.Fatal(err)
		}
		defer p.kill()
		if i%6 != 5 { // else it is killed while it comes up
			if err := p.sees(`\n  Stop `); err != nil {
				t.Fatalf("kill %d of seed %d: %v", i, killSeed, err)
			}
			awaitEvent(t, data, last, events.Seq(10+r.IntN(80))) // a rollout has more
		}
		if code, err := p.end(syscall.SIGKILL); err != nil || code != -1 {
			t.Fatalf("kill %d of seed %d: exit code %d, %v:\n%s", i, killSeed, code, err, p.output())
		}
	}
	p, err := startProcess(dir, env, append(args, "--once")...)
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	if code, err := p.end(0); err != nil || code != 0 {
		t.Fatalf("seed %d: exit code %d, %v:\n%s", killSeed, code, err, p.output())
	}
	checkKilledLog(t, data)
}

// endOf returns the last position of a log that nobody writes.
func endOf(t *testing.T, data string) events.Seq {
	t.Helper()
	subjects, err := events.NewSubjects(datadir.DefaultCluster)
	if err != nil {
		t.Fatal(err)
	}
	log, err := blocks.Open(data, subjects)
	if err != nil {
		t.Fatal(err)
	}
	info, err := log.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.Last
}

// awaitEvent returns when the log of a running instance has n events after a position.
func awaitEvent(t *testing.T, data string, after, n events.Seq) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	log, closeLog := openRunning(t, ctx, data)
	defer closeLog()
	for e, err := range log.Tail(ctx, after) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Seq >= after+n {
			return
		}
	}
}

func openRunning(t *testing.T, ctx context.Context, data string) (*stream.Log, func()) {
	t.Helper()
	subjects, err := events.NewSubjects(datadir.DefaultCluster)
	if err != nil {
		t.Fatal(err)
	}
	c, err := natsd.Attach(data)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := c.Connect()
	if err != nil {
		t.Fatal(err)
	}
	log, err := stream.Open(ctx, nc, subjects, stream.Options{Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	return log, nc.Close
}

// checkKilledLog reads the log that a killed instance left.
func checkKilledLog(t *testing.T, data string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	subjects, err := events.NewSubjects(datadir.DefaultCluster)
	if err != nil {
		t.Fatal(err)
	}
	log, err := blocks.Open(data, subjects)
	if err != nil {
		t.Fatal(err)
	}
	st, pods := projector.New(""), podCheck{t: t, nodes: map[string]events.Key{}, at: map[events.Key]string{}, made: map[string]events.Seq{}, answers: map[events.Cause]events.Seq{}}
	for e, err := range log.Read(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		projector.Fold(st, e)
		pods.event(e)
	}
	if n := st.PendingCommands(); n != 0 {
		t.Errorf("%d commands without an answer at rest", n)
	}
	if len(pods.at) != killNodes-1 {
		t.Errorf("%d pods at rest, want %d: one on each node but the control plane", len(pods.at), killNodes-1)
	}
	if pods.plans < kills {
		t.Errorf("%d plans: the rollouts have hardly begun", pods.plans)
	}
	again, err := replay.Verify(ctx, log)
	if err != nil || len(again.Differences) > 0 || again.Quarantined > 0 || again.Equal != pods.plans {
		t.Errorf("%d of %d plans decided again, difference %v, %v", again.Equal, pods.plans, again.First(), err)
	}
	t.Logf("%d events, %d plans, %d pods made, %d commands answered", st.Seq(), pods.plans, len(pods.made), len(pods.answers))
}

// podCheck holds every event of a log against what must never be.
type podCheck struct {
	t       *testing.T
	nodes   map[string]events.Key // the pod on each node
	at      map[events.Key]string // the node of each pod
	made    map[string]events.Seq // by uid
	answers map[events.Cause]events.Seq
	plans   int
}

func (c *podCheck) event(e events.Event) {
	if !e.Cause.IsZero() {
		if first, twice := c.answers[e.Cause]; twice {
			c.t.Errorf("#%d answers command %v, which #%d has answered", e.Seq, e.Cause, first)
		}
		c.answers[e.Cause] = e.Seq
	}
	switch b := e.Body.(type) {
	case *events.Plan:
		c.plans++
	case events.Object:
		if b.Kind == events.Pod {
			c.pod(e, b)
		}
	case events.Gone:
		if b.Kind == events.Pod {
			delete(c.nodes, c.at[b.Key])
			delete(c.at, b.Key)
		}
	case events.Unreadable:
		c.t.Errorf("#%d cannot be read: %s", e.Seq, b.Why)
	}
}

func (c *podCheck) pod(e events.Event, o events.Object) {
	var pod corev1.Pod
	if err := o.Decode(&pod); err != nil {
		c.t.Fatal(err)
	}
	if e.Type == events.ObjectType(events.Pod, events.VerbCreated) {
		if first, twice := c.made[string(o.UID)]; twice {
			c.t.Errorf("#%d makes pod %s, which #%d has made", e.Seq, o.Key, first)
		}
		c.made[string(o.UID)] = e.Seq
	}
	node, ok := daemonpod.TargetNode(&pod.Spec)
	if !ok {
		c.t.Errorf("#%d: pod %s is for no node", e.Seq, o.Key)
	}
	if other, taken := c.nodes[node]; taken && other != o.Key {
		c.t.Errorf("#%d: pods %s and %s are on %s", e.Seq, other, o.Key, node)
	}
	c.nodes[node], c.at[o.Key] = o.Key, node
}
