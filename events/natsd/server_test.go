package natsd

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/waittest"
)

// patience bounds a wait for what comes by itself.
var patience = waittest.Patience

// loopback is any port of this machine.
var loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}

func mustStart(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Cluster == "" {
		o.Cluster = "test"
	}
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustConnect(t *testing.T, connect func(...nats.Option) (*nats.Conn, error), opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := connect(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// logStream makes the stream of the log, which package stream makes elsewhere.
func logStream(t *testing.T, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ROLLCALL_test",
		Subjects: []string{"rollcall.test.*.*.*"}, AllowDirect: true})
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// wantCode fails unless err is one line of the given code and exit.
func wantCode(t *testing.T, err error, code string, exit int) {
	t.Helper()
	var e *events.Error
	if !errors.As(err, &e) || e.Code != code || e.Exit != exit {
		t.Fatalf("error %v, want %s with exit %d", err, code, exit)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q is more than one line", err)
	}
}

func TestRefusals(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		o    Options
		code string
	}{
		"cluster name":     {Options{Cluster: "a.>"}, "E-CLI-CLUSTER"},
		"a file":           {Options{Dir: file}, "E-CLI-STORE"},
		"below a file":     {Options{Dir: filepath.Join(file, "data")}, "E-CLI-STORE"},
		"other files":      {Options{Dir: home}, "E-CLI-STORE"},
		"a system's files": {Options{Dir: "/proc/rollcall"}, "E-CLI-STORE"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.o.Cluster == "" {
				tc.o.Cluster = "test"
			}
			if tc.o.Dir == "" {
				tc.o.Dir = filepath.Join(t.TempDir(), "data")
			}
			s, err := Start(t.Context(), tc.o)
			if err == nil {
				s.Close()
			}
			wantCode(t, err, tc.code, events.ExitInput)
			if _, err := os.Stat(filepath.Join(tc.o.Dir, lockFile)); err == nil {
				t.Error("a lock file was written before the refusal")
			}
		})
	}
}

// F-P23: two instances on one store directory.
func TestSecondInstanceIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := mustStart(t, Options{Dir: dir})
	_, err := Start(t.Context(), Options{Dir: dir, Cluster: "test"}) // it does not wait for the other's end
	wantCode(t, err, "E-STORE-LOCKED", events.ExitBusy)
	var h holder
	b, err2 := os.ReadFile(filepath.Join(dir, lockFile))
	if err2 != nil || json.Unmarshal(b, &h) != nil || h.PID != os.Getpid() {
		t.Fatalf("lock file %q (%v) does not name this process", b, err2)
	}
	if !strings.Contains(err.Error(), h.Since.Format(time.RFC3339)) {
		t.Errorf("error %q does not say since when", err)
	}
	_, err = Share(dir)
	wantCode(t, err, "E-STORE-LOCKED", events.ExitBusy)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mustStart(t, Options{Dir: dir})
}

func TestVersionOfTheDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := mustStart(t, Options{Dir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, versionFile), []byte("2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: dir, Cluster: "test"})
	wantCode(t, err, "E-STORE-VERSION", events.ExitInput)
	if _, err := takeLock(t.Context(), dir); err != nil {
		t.Errorf("the lock is held after a refusal: %v", err)
	}
}

func TestAttach(t *testing.T) {
	dir := t.TempDir()
	_, err := Attach(dir)
	wantCode(t, err, "E-CLI-ATTACH", events.ExitInput)

	s := mustStart(t, Options{Dir: dir, Listen: loopback})
	path := filepath.Join(dir, connectionFile)
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("connection file: %v, %v, want mode 0600", fi, err)
	}
	c, err := Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c.PID != os.Getpid() || c.URL != s.URL() {
		t.Errorf("attached to %+v, want this process at %s", c, s.URL())
	}
	nc, err := c.Connect()
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	wrong := c
	wrong.Password = "x"
	if nc, err := wrong.Connect(); err == nil {
		nc.Close()
		t.Error("a wrong password was taken")
	}
	inside := Connection{URL: c.URL, User: insideUser, Password: s.password}
	if nc, err := inside.Connect(); err == nil {
		nc.Close()
		t.Error("the user inside may come from outside")
	}

	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the connection file is there after Close: %v", err)
	}
	// As after a kill: the file is there and nobody holds the lock.
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Attach(dir)
	wantCode(t, err, "E-CLI-ATTACH", events.ExitInput)
}

func TestNoListen(t *testing.T) {
	dir := t.TempDir()
	s := mustStart(t, Options{Dir: dir})
	if s.URL() != "" {
		t.Errorf("a server that does not listen has the address %s", s.URL())
	}
	_, err := Attach(dir)
	wantCode(t, err, "E-CLI-ATTACH", events.ExitInput)
}

// TestShare: readers share a directory and keep instances out of it.
func TestShare(t *testing.T) {
	dir := t.TempDir()
	_, err := Share(dir)
	wantCode(t, err, "E-CLI-STORE", events.ExitInput)
	if !strings.Contains(err.Error(), "it has no file version") {
		t.Errorf("a directory that is there: %v", err)
	}
	if err := mustStart(t, Options{Dir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
	release, err := Share(dir)
	if err != nil {
		t.Fatal(err)
	}
	also, err := Share(dir)
	if err != nil {
		t.Fatal(err)
	}
	also()
	_, err = Start(t.Context(), Options{Dir: dir, Cluster: "test"})
	wantCode(t, err, "E-STORE-LOCKED", events.ExitBusy)
	release()
	if err := os.Remove(filepath.Join(dir, lockFile)); err != nil {
		t.Fatal(err)
	}
	if release, err = Share(dir); err != nil {
		t.Fatalf("a copy without the lock file: %v", err)
	}
	release()
	if _, err := os.Stat(filepath.Join(dir, lockFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading has made the lock file: %v", err)
	}
}

// TestCheckComesFirst: the store is looked at before the server reads it, and
// what is refused then is left as it was.
func TestCheckComesFirst(t *testing.T) {
	dir, bad := t.TempDir(), errors.New("bad")
	_, err := Start(t.Context(), Options{Dir: dir, Cluster: "test", Check: func(context.Context, string) error { return bad }})
	if !errors.Is(err, bad) {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "jetstream")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the server has made its store: %v", err)
	}
	mustStart(t, Options{Dir: dir})
}

func TestTemporaryDirectoryIsRemoved(t *testing.T) {
	s := mustStart(t, Options{Durability: Relaxed})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary directory is there after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	s, err := Start(context.Background(), Options{Cluster: "test", Listen: loopback})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	logStream(t, nc)
	nc.Close()
	<-closed
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// A goroutine that has done its last step may not be gone at once.
	eventually(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= before })
}
