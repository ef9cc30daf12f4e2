package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"rollcall/cmd/rollcall/datadir"
)

// killed lists an instance and ends it as kill -9 does: the system gives the
// lock free, and nobody removes the entry.
func killed(t *testing.T, r running) {
	t.Helper()
	listed := func() map[string]bool {
		dir, err := registryDir()
		if err != nil {
			t.Fatal(err)
		}
		entries, _ := os.ReadDir(dir) // there may be none yet
		names := map[string]bool{}
		for _, e := range entries {
			names[filepath.Join(dir, e.Name())] = true
		}
		return names
	}
	before := listed()
	remove, err := register(r)
	if err != nil {
		t.Fatal(err)
	}
	for path := range listed() {
		if before[path] {
			continue
		}
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, kept, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestInstances: who was killed is taken off the list with what it has left,
// even if its number is that of a process that lives; who has no data directory
// that can be reached is not found; who uses another NATS server is.
//
// finding U1
func TestInstances(t *testing.T) {
	sandbox(t)
	left := t.TempDir()
	for _, name := range []string{datadir.KubeconfigFile, tokenFile} {
		if err := os.WriteFile(filepath.Join(left, name), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept := t.TempDir()
	if err := os.WriteFile(filepath.Join(kept, tokenFile), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	killed(t, running{PID: os.Getpid(), Dir: left, NATSURL: "nats://a:1"})
	killed(t, running{PID: os.Getpid(), Dir: kept})
	if _, err := register(running{PID: os.Getpid(), Dir: filepath.Join(t.TempDir(), "none")}); err != nil {
		t.Fatal(err)
	}
	if found := instances(); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	dir, err := registryDir()
	if err != nil {
		t.Fatal(err)
	}
	if listed, err := os.ReadDir(dir); err != nil || len(listed) != 1 {
		t.Errorf("listed are %v, %v; want the living one only", listed, err)
	}
	if exists(left) || !exists(filepath.Join(kept, tokenFile)) {
		t.Error("the credentials of a killed instance stay, or a data directory does not")
	}
	if _, err = onlyInstance(); err == nil || !strings.Contains(err.Error(), "E-CLI-INSTANCE: no instance is running") {
		t.Errorf("the only instance: %v", err)
	}
	remove, err := register(running{PID: os.Getpid(), Cluster: "prod", NATSURL: "nats://me:pw@a:1"})
	if err != nil {
		t.Fatal(err)
	}
	tt := &target{}
	if err := tt.resolve(); err != nil || tt.natsURL != "nats://me:pw@a:1" || tt.cluster != "prod" {
		t.Errorf("the instance with another NATS server is %+v, %v", tt, err)
	}
	if err := remove(); err != nil || len(instances()) > 0 {
		t.Errorf("it is still listed: %v, %v", instances(), err)
	}
}

// TestManyInstances: an error names a few of many, and no password.
//
// finding U1
func TestManyInstances(t *testing.T) {
	sandbox(t)
	for range maxNamed + 2 {
		if _, err := register(running{PID: 7, NATSURL: "nats://me:pw@a:1"}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := onlyInstance()
	if err == nil || strings.Count(err.Error(), "nats://a:1 (process 7)") != maxNamed || !strings.Contains(err.Error(), "and 2 more") {
		t.Errorf("of %d instances: %v", maxNamed+2, err)
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
	k := kubeconfigs{file: own, origin: origin{Dir: dir, Data: "/of/kubeconfig", Cluster: "there"}}
	if _, err := k.write(dir, testAccess); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, "foreign")
	if err := os.WriteFile(foreign, []byte(foreignKubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	merged := filepath.Join(dir, "merged")
	if err := os.WriteFile(merged, []byte(foreignKubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (kubeconfigs{merge: merged, origin: k.origin}).write(t.TempDir(), testAccess); err != nil {
		t.Fatal(err)
	}
	remove, err := register(running{PID: os.Getpid(), Cluster: "only", NATSURL: "nats://only:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = remove() }()
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
		{"only", target{}, "", "", target{natsURL: "nats://only:1", cluster: "only"}, ""},
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

// TestOriginHasNoPassword: what logs in to a NATS server is not in a kubeconfig,
// but is found as long as the instance runs.
//
// finding U1
func TestOriginHasNoPassword(t *testing.T) {
	sandbox(t)
	dir := t.TempDir()
	in := &instance{dir: dir, options: upOptions{cluster: "c", natsURL: "nats://me:pw@a:1", natsCreds: "creds"}}
	path, err := (kubeconfigs{origin: in.origin()}).write(dir, testAccess)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || strings.Contains(string(b), "pw@") || !strings.Contains(string(b), "nats://a:1") {
		t.Fatalf("the kubeconfig: %v\n%s", err, b)
	}
	if err := in.register(); err != nil || len(in.stops) != 1 {
		t.Fatalf("it is not listed: %v", err)
	}
	for _, want := range []string{"nats://me:pw@a:1", "nats://a:1"} { // while it runs, and after
		got := target{kubeconfig: path}
		if err := got.resolve(); err != nil || got.natsURL != want || !filepath.IsAbs(got.natsCreds) {
			t.Errorf("the target is %+v, %v; want %s", got, err, want)
		}
		if want != "nats://a:1" {
			if err := in.stops[0](); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestRegistryIsLocked: an entry whose process lives is locked from the moment
// that others can see it.
//
// finding U1
func TestRegistryIsLocked(t *testing.T) {
	sandbox(t)
	remove, err := register(running{PID: 7, Started: time.Now(), NATSURL: "nats://a:1"})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := registryDir()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || strings.HasPrefix(entries[0].Name(), ".") {
		t.Fatalf("entries %v, %v", entries, err)
	}
	f, err := os.Open(filepath.Join(dir, entries[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err == nil {
		t.Error("another process can lock it")
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
}
