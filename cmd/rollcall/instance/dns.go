package instance

import (
	"context"
	"fmt"
	"net"

	"rollcall/projector/dns"
)

// ParseDNS reads the address that questions about names are answered at. One
// without a host is of this machine only.
func ParseDNS(listen string) (Address, error) {
	a, err := ParseListen("--dns", listen)
	if err == nil && !a.None() && a.host == "" {
		a.host = "127.0.0.1"
	}
	return a, err
}

// resolve answers questions about the names of the cluster, if it has an address
// for that.
func (in *Instance) resolve(ctx context.Context) error {
	if in.DNS.None() {
		return nil
	}
	at := net.JoinHostPort(in.DNS.host, in.DNS.port)
	s, err := dns.Listen(at, in.State.Objects())
	if err != nil {
		return in.DNS.refuses(err)
	}
	if err := in.Served.Server.KeepNamedServices(ctx); err != nil { // the API has a name too
		return fmt.Errorf("make the Service of the name server: %w", err)
	}
	in.names = s.Address()
	in.launch(s.Run)
	return nil
}

// NamesLine is what a banner says of the answers to questions about names.
func (in *Instance) NamesLine() string {
	if in.names == "" {
		return ""
	}
	line := fmt.Sprintf("  DNS      %s (UDP and TCP) for %s\n", in.names, dns.Domain[:len(dns.Domain)-1])
	if !in.DNS.loopback() {
		line += "  Warning  other machines can ask for the names and addresses of everything in the cluster\n"
	}
	return line
}
