package gate_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/natsd"
	"rollcall/publisher/gate"
)

// connect starts a server whose stream takes the subjects of a log, and
// returns a connection to it.
func connect(t *testing.T, w *world) (*nats.Conn, jetstream.Stream) {
	t.Helper()
	s, err := natsd.Start(t.Context(), natsd.Options{Cluster: w.subjects.Cluster(), Durability: natsd.Relaxed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	nc, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: w.subjects.Stream(), Subjects: []string{w.subjects.All()}})
	if err != nil {
		t.Fatal(err)
	}
	return nc, stream
}

// TestService asks a gate over NATS, in the words of each verb.
func TestService(t *testing.T) {
	w := newWorld(t)
	nc, stream := connect(t, w)
	c := gate.Dial(nc, w.subjects.Cluster(), "bob")
	_, err := c.Apply(t.Context(), gate.ApplyRequest{Manifest: agent})
	checkCode(t, err, "E-GATE-DOWN", events.ExitFailure, "no rollcall instance answers; start one with rollcall up")

	s, err := gate.Serve(t.Context(), nc, w.gate)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Apply(t.Context(), gate.ApplyRequest{File: "f.yaml", Manifest: agent})
	check(t, said(t, r, err), "daemonset.apps/agent created")
	if r.Results[0].Seq != 1 || r.Results[0].Ref.Kind != events.DaemonSet || r.Results[0].Ref.Namespace != "default" {
		t.Errorf("%+v", r)
	}
	e, _, err := w.log.Latest(t.Context(), w.subjects.Object(events.DaemonSet, events.Key{Namespace: "default", Name: "agent"}))
	if err != nil || e.Actor != "bob" {
		t.Errorf("actor %q, %v", e.Actor, err)
	}
	_, err = c.Apply(t.Context(), gate.ApplyRequest{File: "f.yaml", Manifest: strings.Replace(agent, "name: agent", "name: no", 1)})
	checkCode(t, err, "E-MAN-TYPE", events.ExitInput, "f.yaml: line 4: metadata.name", `quote it: "no"`)
	_, err = c.Apply(t.Context(), gate.ApplyRequest{Manifest: strings.Repeat("#", gate.MaxRequestBytes)})
	checkCode(t, err, "E-GATE-SIZE", events.ExitInput)

	// Every verb reaches its method and comes back.
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{"rollcall/simulated": "true"}}}
	nodes := gate.NodesRequest{Names: []string{"n1"}}
	rollout := gate.RolloutRequest{Object: dsRef}
	for _, tc := range []struct {
		want string
		ask  func() (gate.Reply, error)
	}{
		{"node/n1 created", func() (gate.Reply, error) { return c.AddNodes(t.Context(), gate.AddNodesRequest{Node: node}) }},
		{"node/n1 cordoned", func() (gate.Reply, error) { return c.Cordon(t.Context(), nodes) }},
		{"node/n1 uncordoned", func() (gate.Reply, error) { return c.Uncordon(t.Context(), nodes) }},
		{"node/n1 labeled", func() (gate.Reply, error) {
			return c.Label(t.Context(), gate.NodesRequest{Names: nodes.Names, Changes: []string{"a=b"}})
		}},
		{"node/n1 tainted", func() (gate.Reply, error) {
			return c.Taint(t.Context(), gate.NodesRequest{Names: nodes.Names, Changes: []string{"a:NoExecute"}})
		}},
		{"node/n1 failed", func() (gate.Reply, error) { return c.Fail(t.Context(), nodes) }},
		{"node/n1 recovered", func() (gate.Reply, error) { return c.Recover(t.Context(), nodes) }},
		{`node "n1" deleted`, func() (gate.Reply, error) { return c.DeleteNodes(t.Context(), nodes) }},
		{"daemonset.apps/agent restarted", func() (gate.Reply, error) { return c.Restart(t.Context(), rollout) }},
		{"daemonset.apps/agent paused", func() (gate.Reply, error) { return c.Pause(t.Context(), rollout) }},
		{"daemonset.apps/agent resumed", func() (gate.Reply, error) { return c.Resume(t.Context(), rollout) }},
		{"daemonset.apps/agent image updated", func() (gate.Reply, error) {
			return c.SetImage(t.Context(), gate.SetImageRequest{Object: dsRef, Images: []string{"main=x"}})
		}},
		{"E-GATE-REVISION: no last revision to roll back to (daemonset.apps/agent); change the template first; rollcall rollout history lists the revisions",
			func() (gate.Reply, error) { return c.Undo(t.Context(), gate.UndoRequest{Object: dsRef}) }},
		{`E-GATE-NOTFOUND: pod "agent" not found (namespace default): there is none at all`,
			func() (gate.Reply, error) { return c.DeletePod(t.Context(), gate.DeletePodRequest{Object: dsRef}) }},
		{`daemonset.apps "agent" deleted from default namespace`, func() (gate.Reply, error) {
			return c.DeleteDaemonSet(t.Context(), gate.DeleteDaemonSetRequest{Object: dsRef})
		}},
	} {
		r, err := tc.ask()
		check(t, said(t, r, err), tc.want)
	}
	if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != 0 {
		t.Errorf("requests are in the log: %d messages, %v", info.State.Msgs, err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	_, err = c.Cordon(t.Context(), nodes)
	checkCode(t, err, "E-GATE-DOWN", events.ExitFailure)
}

// The actor is the user of the connection, whatever the request says.
//
// finding M4
func TestActorIsWhoAsks(t *testing.T) {
	w := newWorld(t)
	nc, _ := connect(t, w)
	s, err := gate.Serve(t.Context(), nc, w.gate)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	c := gate.Dial(nc, w.subjects.Cluster(), "mallory")
	if _, err := c.Apply(t.Context(), gate.ApplyRequest{Actor: "controller", Manifest: agent}); err != nil {
		t.Fatal(err)
	}
	e, _, err := w.log.Latest(t.Context(), w.subjects.Object(events.DaemonSet, events.Key{Namespace: "default", Name: "agent"}))
	if err != nil || e.Actor != "mallory" {
		t.Errorf("the actor is %q (%v), want who has asked", e.Actor, err)
	}
}

// TestRawRequests sends what no client of ours sends.
func TestRawRequests(t *testing.T) {
	w := newWorld(t)
	nc, _ := connect(t, w)
	s, err := gate.Serve(t.Context(), nc, w.gate)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for data, code := range map[string]string{
		"": "E-GATE-REQUEST", "hello": "E-GATE-REQUEST", "[]": "E-GATE-REQUEST", `{"file":"x"} {}`: "E-GATE-REQUEST",
		`{"manifets":"x"}`: "E-GATE-REQUEST", `{"manifest":""}`: "E-MAN-EMPTY", `{"manifest":"a: b"}`: "E-MAN-KIND",
	} {
		msg, err := nc.RequestWithContext(t.Context(), w.subjects.Gate("bob", "apply"), []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		var a struct {
			Error struct {
				Code, What, Do string
				Exit           int
			}
		}
		if err := json.Unmarshal(msg.Data, &a); err != nil || a.Error.Code != code || a.Error.What == "" || a.Error.Exit != events.ExitInput {
			t.Errorf("%.40q: %s, %v", data, msg.Data, err)
		}
		if got := msg.Header.Get("Nats-Service-Error-Code"); got != code {
			t.Errorf("%.40q: header %q, want %q", data, got, code)
		}
	}
}

// TestReadManifest is row M40.
func TestReadManifest(t *testing.T) {
	dir := t.TempDir()
	file, fifo := filepath.Join(dir, "f.yaml"), filepath.Join(dir, "fifo")
	if err := os.WriteFile(file, []byte(agent), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo, "/dev/zero", filepath.Join(dir, "none"), ""} {
		_, err := gate.ReadManifest(path)
		checkCode(t, err, "E-MAN-FILE", events.ExitInput, path)
	}
	if data, err := gate.ReadManifest(file); err != nil || string(data) != agent {
		t.Errorf("%q, %v", data, err)
	}
}
