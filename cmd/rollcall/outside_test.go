package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// TestOutsideServer runs a cluster on a NATS server that is somebody else's,
// twice, and reads and changes it there.
//
// finding U1
func TestOutsideServer(t *testing.T) {
	sandbox(t)
	o := outside{t, outsideServer(t)}
	once := o.run(t.Context(), &stopWriter{}, "up", "--nodes", "4", "--once", "-f", filepath.Join("..", "..", "testdata", "manifests", "nginx.yaml"))
	for _, want := range []string{"(not started here)", "4 nodes added", "3 pods available on 4 nodes", "the log stays on the NATS server"} {
		if !strings.Contains(once, want) {
			t.Errorf("no %q in\n%s", want, once)
		}
	}
	if got := o.kubectl("get", "ds", "-A"); !strings.Contains(got, "nginx-daemonset   3         3         3 ") {
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
			o.findsPrinted(up.text())
			o.tells()
			added <- o.run(t.Context(), &stopWriter{}, "node", "fail", "node-0002") + o.kubectl("delete", "node", "node-0003")
		}()
	}}
	again := o.run(ctx, up, "up", "--nodes", "9")
	if got := <-added; got != "node/node-0002 failed\nnode \"node-0003\" deleted\n" {
		t.Errorf("changed: %q", got)
	}
	if !strings.Contains(again, "keeping the 4 nodes of the log") {
		t.Errorf("it does not keep its nodes:\n%s", again)
	}
	if got := o.kubectl("get", "nodes", "-o", "name"); strings.Count(got, "\n") != 4 {
		t.Errorf("get nodes:\n%s", got)
	}
	if got := o.run(t.Context(), &stopWriter{}, "verify"); !strings.Contains(got, "all the same") {
		t.Errorf("verify: %s", got)
	}
}

// tells has a source tell of its node, and of one that is not its, which is kept among
// the rejects.
func (o outside) tells() {
	o.Helper()
	var made struct {
		Token    string
		Subjects []string
	}
	given := o.run(o.Context(), &stopWriter{}, "source", "add", "inventory", "--may", "node.*", "--nodes", "edge-*", "-o", "json")
	if err := json.Unmarshal([]byte(given), &made); err != nil || made.Token == "" || !slices.Equal(made.Subjects, []string{"rollcall.stage.from.inventory.ingest.node.>"}) {
		o.Errorf("source add prints %s (%v)", given, err)
	}
	if got := o.run(o.Context(), &stopWriter{}, "source", "permissions", "inventory"); !strings.Contains(got, `"rollcall.stage.from.inventory.ingest.node.>"`) {
		o.Errorf("source permissions: %s", got)
	}
	nc, err := nats.Connect(o.url)
	if err != nil {
		o.Error(err)
		return
	}
	defer nc.Close()
	for node, want := range map[string]string{"edge-1": `"accepted":true`, "core-1": `"code":"E-TOLD-NODE"`} {
		m, err := nc.Request("rollcall.stage.from.inventory.ingest.node.observed", []byte(`{"subject":"node/`+node+`","id":"`+node+`"}`), patience)
		if err != nil || !strings.Contains(string(m.Data), want) {
			o.Errorf("%s: %v, %v", node, m, err)
		}
	}
	for _, c := range []struct{ args, want string }{{"rejects ls", "E-TOLD-NODE"}, {"rejects show 1", "node/core-1"}, {"rejects retry 1", "1 refused again, now 2: E-TOLD-NODE"},
		{"rejects drop 2", "2 dropped"}, {"rejects ls", "nothing was refused"}, {"source ls", "node.*"}, {"source remove inventory", "inventory"}} {
		if got := o.run(o.Context(), &stopWriter{}, strings.Fields(c.args)...); !strings.Contains(got, c.want) {
			o.Errorf("%s: %s", c.args, got)
		}
	}
	if m, err := nc.Request("rollcall.stage.from.inventory.ingest.node.gone", []byte(`{"subject":"node/edge-1"}`), patience); err != nil || !strings.Contains(string(m.Data), "E-TOLD-SOURCE") {
		o.Errorf("who was removed: %v, %v", m, err)
	}
}

// outsideServer starts a NATS server that is somebody else's, and returns its
// address.
func outsideServer(t *testing.T) string {
	t.Helper()
	return natsAt(t, t.TempDir(), server.RANDOM_PORT).ClientURL()
}

// outside is a cluster, not named as by default, on a NATS server that is
// somebody else's.
type outside struct {
	*testing.T
	url string
}

// flags are those that name the cluster.
func (o outside) flags() []string { return []string{"--nats-url", o.url, "--cluster", "stage"} }

// run runs a command on the cluster, and returns what it has printed.
func (o outside) run(ctx context.Context, out *stopWriter, args ...string) string {
	o.Helper()
	var errs bytes.Buffer
	if code := run(ctx, append(args, o.flags()...), strings.NewReader(""), out, &errs); code != 0 {
		o.Errorf("rollcall %v: exit code %d, error %q", args, code, errs.String())
	}
	return out.all.String()
}

// kubectl is run by rollcall kubectl, in a process of its own.
func (o outside) kubectl(args ...string) string {
	o.Helper()
	p, err := startProcess(".", os.Environ(), slices.Concat([]string{kubectlName}, o.flags(), args)...)
	if err != nil {
		o.Error(err)
		return ""
	}
	if code, err := p.end(0); err != nil || code != 0 {
		o.Errorf("rollcall kubectl %v: exit code %d, %v", args, code, err)
	}
	return p.output()
}

// findsPrinted fails unless an instance is found by what up has printed, and as
// the only one that runs.
func (o outside) findsPrinted(printed string) {
	file := regexp.MustCompile(`kubeconfig in (\S+)`).FindStringSubmatch(printed)
	for _, flags := range [][]string{{"--kubeconfig", file[1]}, nil} {
		var out, errs bytes.Buffer
		if code := run(o.Context(), append([]string{"log", "--to", "1"}, flags...), strings.NewReader(""), &out, &errs); code != 0 || !strings.HasPrefix(out.String(), "#1 ") {
			o.Errorf("log %v: exit code %d, %q, %q", flags, code, out.String(), errs.String())
		}
	}
}
