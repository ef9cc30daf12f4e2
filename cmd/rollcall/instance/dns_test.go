package instance

import (
	"testing"

	"github.com/miekg/dns"
)

// TestDNS asks an instance for a name, over UDP and TCP.
func TestDNS(t *testing.T) {
	at, err := ParseDNS(":0")
	if err != nil || !at.loopback() {
		t.Fatalf(":0 is %v, %v", at, err)
	}
	in, err := Start(t.Context(), Options{DNS: at})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, network := range []string{"udp", "tcp"} {
		a, _, err := (&dns.Client{Net: network}).Exchange(new(dns.Msg).SetQuestion("10-0-0-1.default.pod.cluster.local.", dns.TypeA), in.names)
		if err != nil || len(a.Answer) != 1 {
			t.Errorf("%s: %v, %v", network, a, err)
		}
	}
	if _, err := Start(t.Context(), Options{DNS: Address{flag: "--dns", host: "127.0.0.1", port: in.names[len("127.0.0.1:"):]}}); err == nil {
		t.Error("a port that is taken was opened")
	}
}
