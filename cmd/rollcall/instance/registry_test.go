package instance

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/cmd/rollcall/datadir"
)

// sandbox gives a test a list of instances of its own.
func sandbox(t testing.TB) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	t.Setenv("HOME", t.TempDir())
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// killed lists an instance and ends it as kill -9 does: the system gives the
// lock free, and nobody removes the entry.
func killed(t *testing.T, r Running) {
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
	t.Setenv("TMPDIR", t.TempDir())
	left := filepath.Join(os.TempDir(), tempPrefix+"1")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{tempLock, datadir.KubeconfigFile, tokenFile} {
		if err := os.WriteFile(filepath.Join(left, name), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-2 * tempYoung)
	if err := os.Chtimes(left, old, old); err != nil {
		t.Fatal(err)
	}
	kept := t.TempDir()
	if err := os.WriteFile(filepath.Join(kept, tokenFile), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	killed(t, Running{PID: os.Getpid(), Origin: Origin{Dir: left, NATSURL: "nats://a:1"}})
	killed(t, Running{PID: os.Getpid(), Origin: Origin{Dir: kept}})
	if _, err := register(Running{PID: os.Getpid(), Origin: Origin{Dir: filepath.Join(t.TempDir(), "none")}}); err != nil {
		t.Fatal(err)
	}
	if found := List(); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	dir, err := registryDir()
	if err != nil {
		t.Fatal(err)
	}
	if listed, err := os.ReadDir(dir); err != nil || len(listed) != 1 {
		t.Errorf("listed are %v, %v; want the living one only", listed, err)
	}
	if there(left) || !there(filepath.Join(kept, tokenFile)) {
		t.Error("the credentials of a killed instance stay, or a data directory does not")
	}
	if _, err = Only(); err == nil || !strings.Contains(err.Error(), "E-CLI-INSTANCE: no instance is running") {
		t.Errorf("the only instance: %v", err)
	}
	remove, err := register(Running{PID: os.Getpid(), Origin: Origin{Cluster: "prod", NATSURL: "nats://me:pw@a:1"}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Only(); err != nil || r.NATSURL != "nats://me:pw@a:1" || r.Cluster != "prod" {
		t.Errorf("the instance with another NATS server is %+v, %v", r, err)
	}
	if err := remove(); err != nil || len(List()) > 0 {
		t.Errorf("it is still listed: %v, %v", List(), err)
	}
}

// TestManyInstances: an error names a few of many, and no password.
//
// finding U1
func TestManyInstances(t *testing.T) {
	sandbox(t)
	for range maxNamed + 2 {
		if _, err := register(Running{PID: 7, Origin: Origin{NATSURL: "nats://me:pw@a:1"}}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Only()
	if err == nil || strings.Count(err.Error(), "nats://a:1 (process 7)") != maxNamed || !strings.Contains(err.Error(), "and 2 more") {
		t.Errorf("of %d instances: %v", maxNamed+2, err)
	}
}

// TestOriginHasNoPassword: what logs in to a NATS server is not in a kubeconfig,
// but is found as long as the instance runs.
//
// finding U1
func TestOriginHasNoPassword(t *testing.T) {
	sandbox(t)
	dir := t.TempDir()
	in := &Instance{dir: dir, Options: Options{Cluster: "c", NATSURL: "nats://me:pw@a:1", NATSCreds: "creds"}}
	path, err := (Kubeconfigs{Origin: in.origin()}).write(dir, testAccess)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || strings.Contains(string(b), "pw@") || !strings.Contains(string(b), "nats://a:1") {
		t.Fatalf("the kubeconfig: %v\n%s", err, b)
	}
	if err := in.register(); err != nil || len(in.stops) != 1 {
		t.Fatalf("it is not listed: %v", err)
	}
	if r, err := Only(); err != nil || r.NATSURL != "nats://me:pw@a:1" || !filepath.IsAbs(r.NATSCreds) {
		t.Errorf("listed is %+v, %v", r, err)
	}
	if err := in.stops[0](); err != nil {
		t.Fatal(err)
	}
}

// TestRegistryIsLocked: an entry whose process lives is locked from the moment
// that others can see it.
//
// finding U1
func TestRegistryIsLocked(t *testing.T) {
	sandbox(t)
	remove, err := register(Running{PID: 7, Started: time.Now(), Origin: Origin{NATSURL: "nats://a:1"}})
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
