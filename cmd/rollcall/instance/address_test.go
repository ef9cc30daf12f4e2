package instance

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func portOf(t *testing.T, o API, dir string, keep bool) int {
	t.Helper()
	l, err := o.listener(dir)
	if err != nil {
		t.Fatal(err)
	}
	if keep {
		t.Cleanup(func() { _ = l.Close() })
	} else if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().(*net.TCPAddr).Port
}

// TestPortStays: without --listen the API of a data directory is where it was,
// unless that is taken or not known any more.
func TestPortStays(t *testing.T) {
	dir := t.TempDir()
	o := API{Address: Address{host: "127.0.0.1", port: "0"}, Sticks: true}
	first := portOf(t, o, dir, false)
	if again := portOf(t, o, dir, true); again != first {
		t.Errorf("port %d, was %d", again, first)
	}
	second := portOf(t, o, dir, false)
	if second == first {
		t.Fatalf("port %d twice", first)
	}
	if again := portOf(t, o, dir, false); again != second {
		t.Errorf("port %d, was %d", again, second)
	}
	for _, text := range []string{"", "{}", `{"port": 0}`, `{"port": 70000}`, "nonsense"} {
		if err := os.WriteFile(filepath.Join(dir, addressFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if portOf(t, o, dir, false) == 0 {
			t.Errorf("no port after %q", text)
		}
	}
}

// TestLoopback: which addresses other machines can reach.
//
// finding L1
func TestLoopback(t *testing.T) {
	for listen, want := range map[string]bool{"127.0.0.1:0": true, "localhost:1": true, "[::1]:0": true, "127.9.9.9:1": true,
		"0.0.0.0:6443": false, ":6443": false, "[::]:1": false, "10.1.2.3:1": false} {
		a, err := ParseListen("--listen", listen)
		if err != nil || a.loopback() != want {
			t.Errorf("%s: %v, %v", listen, a.loopback(), err)
		}
	}
}
