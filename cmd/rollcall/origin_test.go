package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/cmd/rollcall/instance"
)

// foreignKubeconfig is one that rollcall has not written.
const foreignKubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: prod, cluster: {server: "https://prod.example:6443"}}]
users: [{name: prod, user: {token: t}}]
contexts: [{name: prod, context: {cluster: prod, user: prod}}]
current-context: prod
`

// writeKubeconfig writes one of an instance, beside what another file has.
func writeKubeconfig(t *testing.T, path, beside string, o instance.Origin) {
	t.Helper()
	c := api.NewConfig()
	if beside != "" {
		var err error
		if c, err = clientcmd.LoadFromFile(beside); err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	c.Clusters["rollcall-x"] = &api.Cluster{Server: "https://127.0.0.1:1",
		Extensions: map[string]runtime.Object{"rollcall": &runtime.Unknown{Raw: b, ContentType: runtime.ContentTypeJSON}}}
	c.Contexts["rollcall-x"] = &api.Context{Cluster: "rollcall-x"}
	c.CurrentContext = "rollcall-x"
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		t.Fatal(err)
	}
}

// listInstance lists an instance that runs until the test ends.
func listInstance(t *testing.T, r instance.Running) {
	t.Helper()
	path := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "rollcall", "instances", "7-test.json")
	b, err := json.Marshal(r)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

// TestOrder: flags come before $ROLLCALL_DATA, that before $KUBECONFIG, and
// that before the only instance that runs.
//
// finding U1
func TestOrder(t *testing.T) {
	sandbox(t)
	dir, data := t.TempDir(), t.TempDir()
	own := filepath.Join(dir, "own")
	writeKubeconfig(t, own, "", instance.Origin{Dir: dir, Data: "/of/kubeconfig", Cluster: "there"})
	foreign := filepath.Join(dir, "foreign")
	if err := os.WriteFile(foreign, []byte(foreignKubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	merged := filepath.Join(dir, "merged")
	writeKubeconfig(t, merged, foreign, instance.Origin{Dir: dir, Data: "/of/kubeconfig", Cluster: "there"})
	elsewhere := filepath.Join(dir, "elsewhere")
	writeKubeconfig(t, elsewhere, "", instance.Origin{Dir: dir, NATSURL: "nats://only:1", Cluster: "there"})
	listInstance(t, instance.Running{PID: os.Getpid(), Origin: instance.Origin{Dir: dir, Cluster: "only", NATSURL: "nats://me:pw@only:1"}})
	for _, c := range []struct {
		name             string
		given            target
		data, kubeconfig string
		want             target
		err              string
	}{
		{"flag", target{data: "/flag"}, data, own, target{data: "/flag", cluster: datadir.DefaultCluster}, ""},
		{"URL", target{natsURL: "nats://x:1"}, data, own, target{natsURL: "nats://x:1", cluster: datadir.DefaultCluster}, ""},
		{"--kubeconfig", target{kubeconfig: own}, data, foreign, target{data: "/of/kubeconfig", cluster: "there"}, ""},
		{"$ROLLCALL_DATA", target{}, data, own, target{data: data, cluster: datadir.DefaultCluster}, ""},
		{"$KUBECONFIG", target{}, "", own, target{data: "/of/kubeconfig", cluster: "there"}, ""},
		{"of a list", target{}, "", dir + "/none" + string(filepath.ListSeparator) + own, target{data: "/of/kubeconfig", cluster: "there"}, ""},
		{"merged", target{}, "", merged, target{data: "/of/kubeconfig", cluster: "there"}, ""},
		{"only", target{}, "", "", target{natsURL: "nats://me:pw@only:1", cluster: "only"}, ""},
		{"logs in as who is listed", target{}, "", elsewhere, target{natsURL: "nats://me:pw@only:1", cluster: "there"}, ""},
		{"somebody else's", target{}, "", foreign, target{}, `its context is "prod" at https://prod.example:6443; use the export line`},
		{"gone", target{}, "", dir + "/none", target{}, "the kubeconfig is not there"},
		{"no kubeconfig", target{}, "", filepath.Join(dir, datadir.KubeconfigFile, "x"), target{}, "E-CLI-INSTANCE"},
	} {
		t.Setenv(dataVariable, c.data)
		t.Setenv(clientcmd.RecommendedConfigPathEnvVar, c.kubeconfig)
		got := c.given
		err := got.resolve()
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
			continue
		}
		if err == nil && (got.data != c.want.data || got.natsURL != c.want.natsURL || got.cluster != c.want.cluster) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
