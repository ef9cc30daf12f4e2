package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// TestOutsideServer runs a cluster on a NATS server that is somebody else's,
// twice, and reads and changes it there.
//
// finding U1
func TestOutsideServer(t *testing.T) {
	sandbox(t)
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	defer ns.WaitForShutdown()
	defer ns.Shutdown()
	if !ns.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	url, nginx := ns.ClientURL(), filepath.Join("..", "..", "testdata", "manifests", "nginx.yaml")
	do := func(ctx context.Context, out *stopWriter, args ...string) string {
		t.Helper()
		var errs bytes.Buffer
		if code := run(ctx, append(args, "--nats-url", url), strings.NewReader(""), out, &errs); code != 0 {
			t.Errorf("rollcall %v: exit code %d, error %q", args, code, errs.String())
		}
		return out.all.String()
	}
	once := do(t.Context(), &stopWriter{}, "up", "--nodes", "4", "--once", "-f", nginx)
	for _, want := range []string{"(not started here)", "4 nodes added", "3 pods available on 4 nodes", "the log stays on the NATS server"} {
		if !strings.Contains(once, want) {
			t.Errorf("no %q in\n%s", want, once)
		}
	}
	kubectl := func(args ...string) string {
		t.Helper()
		p, err := startProcess(".", os.Environ(), append([]string{kubectlName, "--nats-url", url}, args...)...)
		if err != nil {
			t.Error(err)
			return ""
		}
		if code, err := p.end(0); err != nil || code != 0 {
			t.Errorf("rollcall kubectl %v: exit code %d, %v", args, code, err)
		}
		return p.output()
	}
	if got := kubectl("get", "ds", "-A"); !strings.Contains(got, "nginx-daemonset   3         3         3 ") {
		t.Errorf("get ds:\n%s", got)
	}
	// A second one goes on from there, and serves whoever asks.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	added := make(chan string, 1)
	var up *stopWriter
	up = &stopWriter{on: "Stop     Ctrl-C", stop: func() {
		go func() {
			defer cancel()
			// It is found by what up prints, and as the only one that runs.
			printed := regexp.MustCompile(`kubeconfig in (\S+)`).FindStringSubmatch(up.text())
			for _, flags := range [][]string{{"--kubeconfig", printed[1]}, nil} {
				var out, errs bytes.Buffer
				if code := run(t.Context(), append([]string{"log", "--to", "1"}, flags...), strings.NewReader(""), &out, &errs); code != 0 || !strings.HasPrefix(out.String(), "#1 ") {
					t.Errorf("log %v: exit code %d, %q, %q", flags, code, out.String(), errs.String())
				}
			}
			added <- do(t.Context(), &stopWriter{}, "node", "fail", "node-0002") + kubectl("delete", "node", "node-0003")
		}()
	}}
	again := do(ctx, up, "up", "--nodes", "9")
	if got := <-added; got != "node/node-0002 failed\nnode \"node-0003\" deleted\n" {
		t.Errorf("changed: %q", got)
	}
	if !strings.Contains(again, "keeping the 4 nodes of the log") {
		t.Errorf("it does not keep its nodes:\n%s", again)
	}
	if got := kubectl("get", "nodes", "-o", "name"); strings.Count(got, "\n") != 3 {
		t.Errorf("get nodes:\n%s", got)
	}
	if got := do(t.Context(), &stopWriter{}, "verify"); !strings.Contains(got, "all the same") {
		t.Errorf("verify: %s", got)
	}
}
