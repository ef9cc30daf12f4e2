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
		a, err := ParseListen("--listen", c.listen)
		if (err != nil) != (c.err != "") || err != nil && (!strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "E-CLI-LISTEN: ")) {
			t.Errorf("%q: error %v, want %q", c.listen, err, c.err)
		}
		if a.host != c.host || a.port != c.port {
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
		{Address{host: "127.0.0.1", port: "0"}, "127.0.0.1", "https://127.0.0.1:77"},
		{Address{host: "::1", port: "0"}, "::1", "https://[::1]:77"},
		{Address{host: "", port: "77"}, "::", "https://127.0.0.1:77"},
		{Address{host: "0.0.0.0", port: "77"}, "0.0.0.0", "https://127.0.0.1:77"},
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
	a, err := ParseListen("--listen", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	want := "E-CLI-LISTEN: the address cannot be listened at (--listen " + l.Addr().String() + "): bind: address already in use; use another port, or port 0 for any"
	if err := a.Probe(); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := (Address{host: "127.0.0.1", port: "0"}).Probe(); err != nil {
		t.Errorf("any port: %v", err)
	}
}

// TestNATSListen: only this machine may reach the embedded server.
func TestNATSListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for listen, want := range map[string]string{
		taken.Addr().String(): "address already in use",
		"0.0.0.0:0":           "only loopback addresses are served",
		":4222":               "only loopback addresses are served",
		"example.com:0":       "is no IP address",
		"127.0.0.1":           "it is no address",
		"127.0.0.1:70000":     "is no port",
	} {
		if _, err := parseNATSListen(listen); err == nil || !strings.Contains(err.Error(), "E-CLI-LISTEN: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", listen, err, want)
		}
	}
	if at, err := parseNATSListen("none"); at != nil || err != nil {
		t.Errorf("none is %v, %v", at, err)
	}
	if at, err := parseNATSListen("localhost:0"); err != nil || at.String() != "127.0.0.1:0" {
		t.Errorf("any port is %v, %v", at, err)
	}
}
