package instance

import (
	"net"
	"slices"
	"strings"
	"testing"
)

// TestListen holds what --listen understands, and by which names the server is
// reached then.
func TestListen(t *testing.T) {
	for _, c := range []struct {
		listen string
		host   string
		port   string
		named  string // one of its hosts
		err    string
	}{
		{"none", "", "", "", ""},
		{"127.0.0.1:0", "127.0.0.1", "0", "127.0.0.1", ""},
		{"localhost:6443", "127.0.0.1", "6443", "localhost", ""},
		{"[::1]:0", "::1", "0", "::1", ""},
		{"10.1.2.3:65535", "10.1.2.3", "65535", "10.1.2.3", ""},
		{":6443", "", "6443", "127.0.0.1", ""},
		{"", "", "", "", "it is no address"},
		{"127.0.0.1", "", "", "", "it is no address"},
		{"::1:0", "", "", "", "it is no address"},
		{"127.0.0.1:65536", "", "", "", `"65536" is no port`},
		{"127.0.0.1:", "", "", "", `"" is no port`},
		{"127.0.0.1:https", "", "", "", `"https" is no port`},
		{"example.org:1", "", "", "", "use 127.0.0.1:1"},
		{"1.2.3:5", "", "", "", "is no IP address"},
		{"None", "", "", "", "it is no address"},
	} {
		a, err := ParseListen(c.listen)
		if (err != nil) != (c.err != "") || err != nil && (!strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "E-CLI-LISTEN: ")) {
			t.Errorf("%q: error %v, want %q", c.listen, err, c.err)
		}
		if a != (Address{c.host, c.port}) {
			t.Errorf("%q is %+v", c.listen, a)
		}
		if c.named == "" {
			continue
		}
		hosts, err := a.hosts()
		if err != nil || !slices.Contains(hosts, c.named) || len(hosts) != len(slices.Compact(slices.Sorted(slices.Values(hosts)))) {
			t.Errorf("%q is reached by %v, %v", c.listen, hosts, err)
		}
	}
}

// TestServerURL: a server on every address is reached through loopback.
func TestServerURL(t *testing.T) {
	for _, c := range []struct {
		a    Address
		at   string
		want string
	}{
		{Address{"127.0.0.1", "0"}, "127.0.0.1", "https://127.0.0.1:77"},
		{Address{"::1", "0"}, "::1", "https://[::1]:77"},
		{Address{"", "77"}, "::", "https://127.0.0.1:77"},
		{Address{"0.0.0.0", "77"}, "0.0.0.0", "https://127.0.0.1:77"},
	} {
		if got := c.a.serverURL(&net.TCPAddr{IP: net.ParseIP(c.at), Port: 77}); got != c.want {
			t.Errorf("%+v: %s, want %s", c.a, got, c.want)
		}
	}
}

// TestListenTaken: an address that is in use is refused with its reason.
func TestListenTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := ParseListen(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	want := "E-CLI-LISTEN: the Kubernetes API cannot be served there (--listen " + l.Addr().String() + "): bind: address already in use; use another port, or port 0 for any"
	if err := a.Probe(); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := (Address{"127.0.0.1", "0"}).Probe(); err != nil {
		t.Errorf("any port: %v", err)
	}
}
