package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"

	projectordns "rollcall/projector/dns"
	"rollcall/projector/table"
)

// serve answers about objects until the test ends.
func serve(tb testing.TB, objects *table.Tables) (address string) {
	tb.Helper()
	s, err := projectordns.Listen("127.0.0.1:0", objects)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			tb.Errorf("the server ended with %v", err)
		}
	})
	return s.Address()
}

// ask asks for the addresses of a name.
func ask(tb testing.TB, network, address, name string, edns uint16) *dns.Msg {
	tb.Helper()
	m := new(dns.Msg).SetQuestion(name, dns.TypeA)
	if edns > 0 {
		m.SetEdns0(edns, false)
	}
	c := &dns.Client{Net: network, Timeout: time.Minute}
	a, _, err := c.Exchange(m, address)
	if err != nil {
		tb.Fatalf("%s over %s: %v", name, network, err)
	}
	return a
}

// many is a headless Service of so many endpoints.
func many(tb testing.TB, n int) *table.Tables {
	all := table.New(table.Recent)
	put(tb, all, 1, []byte("{apiVersion: v1, kind: Namespace, metadata: {name: default}}"))
	put(tb, all, 2, []byte("{apiVersion: v1, kind: Service, metadata: {name: many, namespace: default}, spec: {clusterIP: None, ports: [{port: 80}]}}"))
	text := "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: many-x, namespace: default, labels: {kubernetes.io/service-name: many}}, addressType: IPv4, ports: [{port: 80}], endpoints: ["
	for i := range n {
		text += fmt.Sprintf("{addresses: [10.244.%d.%d]},", i/250, i%250+1)
	}
	put(tb, all, 3, []byte(text[:len(text)-1]+"]}"))
	return all
}

// TestServer answers over UDP as much as a client takes, says that there is more,
// and all of it over TCP.
func TestServer(t *testing.T) {
	address := serve(t, many(t, 500))
	for _, x := range []struct {
		network   string
		edns      uint16
		truncated bool
		most      int
	}{{"udp", 0, true, 512}, {"udp", 1232, true, 1232}, {"udp", 65000, true, 1232}, {"tcp", 0, false, 65535}} {
		a := ask(t, x.network, address, "many.default.svc.cluster.local.", x.edns)
		if a.Truncated != x.truncated || !x.truncated && len(a.Answer) != 500 || len(a.Answer) == 0 {
			t.Errorf("%s with %d: %d records, truncated %v", x.network, x.edns, len(a.Answer), a.Truncated)
		}
		a.Compress = true
		if n := a.Len(); n > x.most {
			t.Errorf("%s with %d: %d bytes", x.network, x.edns, n)
		}
		if (a.IsEdns0() != nil) != (x.edns > 0) {
			t.Errorf("%s with %d: EDNS is %v", x.network, x.edns, a.IsEdns0())
		}
		if !a.Authoritative || a.RecursionAvailable {
			t.Errorf("%s: authoritative %v, recursion %v", x.network, a.Authoritative, a.RecursionAvailable)
		}
	}
	if a := ask(t, "udp", address, "example.com.", 0); a.Rcode != dns.RcodeRefused || a.Authoritative {
		t.Errorf("another zone: %v", a)
	}
	m := new(dns.Msg).SetQuestion("many.default.svc.cluster.local.", dns.TypeA)
	m.SetEdns0(1232, false)
	m.IsEdns0().SetVersion(1)
	if a, _, err := (&dns.Client{Timeout: time.Minute}).Exchange(m, address); err != nil || a.Rcode != dns.RcodeBadVers {
		t.Errorf("EDNS 1: %v, %v", a, err)
	}
}

// TestUnwritable answers with a failure when what others wrote is no name.
func TestUnwritable(t *testing.T) {
	all := many(t, 1)
	label := fmt.Sprintf("%070d", 0)
	put(t, all, 4, []byte("{apiVersion: v1, kind: Service, metadata: {name: x, namespace: default}, spec: {type: ExternalName, externalName: "+label+".example}}"))
	if a := ask(t, "udp", serve(t, all), "x.default.svc.cluster.local.", 0); a.Rcode != dns.RcodeServerFailure {
		t.Errorf("a label of 70 bytes: %v", a)
	}
}

// FuzzServer sends packets that are none, and asks something after each.
func FuzzServer(f *testing.F) {
	good, err := new(dns.Msg).SetQuestion("myapp-0.myapp-svc.default.svc.cluster.local.", dns.TypeA).SetEdns0(1232, true).Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte{})
	f.Add([]byte{0, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 192, 12})
	address := serve(f, objects(f))
	c, err := net.Dial("udp", address)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) > 512 {
			packet = packet[:512]
		}
		if _, err := c.Write(packet); err != nil {
			t.Skip(err) // nothing to send
		}
		if a := ask(t, "udp", address, "kubernetes.default.svc.cluster.local.", 0); len(a.Answer) != 1 {
			t.Fatalf("after %x: %v", packet, a)
		}
	})
}

// FuzzResolve asks for any name and type.
func FuzzResolve(f *testing.F) {
	all := objects(f)
	f.Add("_http._tcp.myapp-svc.default.svc.cluster.local.", dns.TypeSRV)
	f.Add("-.default.pod.cluster.local.", dns.TypeA)
	f.Add("..ip6.arpa.", dns.TypePTR)
	f.Fuzz(func(t *testing.T, name string, kind uint16) {
		q := dns.Question{Name: name, Qtype: kind, Qclass: dns.ClassINET}
		a := projectordns.Resolve(all, q)
		if a.Code == dns.RcodeSuccess && len(a.Records) == 0 && len(a.Authority) != 1 {
			t.Errorf("%q %d: nothing, and nobody says so", name, kind)
		}
		if b := projectordns.Resolve(all, q); fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%q %d: %v, then %v", name, kind, a, b)
		}
	})
}
