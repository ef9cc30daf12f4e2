package main

import (
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"rollcall/cmd/rollcall/datadir"
)

// finding H6
//
// TestStrangersAndFiles: a process that may open few files is sent more idle
// connections than that, answers a client all the same, and writes its log.
func TestStrangersAndFiles(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if err := os.Symlink(self, filepath.Join(dir, "rollcall")); err != nil { // the test binary is the program by its name
		t.Fatal(err)
	}
	p, err := startCommand(dir, append(os.Environ(), "XDG_RUNTIME_DIR="+dir), []string{"sh", "-c", `ulimit -n 128 && exec "$0" "$@"`, filepath.Join(dir, "rollcall"), "up", "--data", data, "--nodes", "2"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	if err := p.sees("export KUBECONFIG="); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.LoadFromFile(filepath.Join(data, datadir.KubeconfigFile))
	if err != nil {
		t.Fatal(err)
	}
	var at *url.URL
	for _, c := range config.Clusters {
		if at, err = url.Parse(c.Server); err != nil {
			t.Fatal(err)
		}
	}
	for range 300 {
		c, err := net.Dial("tcp", at.Host)
		if errors.Is(err, syscall.EMFILE) {
			t.Fatalf("this test may not open 300 connections: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if code, out := runToEnd(t, t.TempDir(), nil, "kubectl", "--kubeconfig", filepath.Join(data, datadir.KubeconfigFile), "create", "configmap", "x"); code != 0 {
		t.Errorf("kubectl behind 300 strangers ends with %d:\n%s\n%s", code, out, p.output())
	}
	if code, err := p.end(syscall.SIGTERM); err != nil || code != 0 {
		t.Errorf("up ends with %d, %v:\n%s", code, err, p.output())
	}
}
