package dns

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// reverse answers about an address in a reverse zone; nil: it is none of the
// cluster's. Whether names are below one that is no whole address nobody says.
func (r resolver) reverse() *Answer {
	if slices.Contains(zones, r.name) {
		return &Answer{}
	}
	ip, ok := addressIn(r.name)
	if !ok {
		return nil
	}
	names := r.namesOf(ip)
	if len(names) == 0 {
		return nil
	}
	a := &Answer{}
	if r.question.Qtype == dns.TypePTR {
		for _, n := range names {
			a.Records = append(a.Records, &dns.PTR{Hdr: r.header(dns.TypePTR), Ptr: n})
		}
	}
	return a
}

// namesOf returns the names of an address: of the Service that has it, or of the
// endpoints.
func (r reader) namesOf(ip netip.Addr) (names []string) {
	if s := r.serviceAt(ip); s != nil {
		return []string{nameOf(s)}
	}
	for _, slice := range r.slicesWith(ip) {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready || !has(e.Addresses, ip) {
				continue
			}
			name := hostname(e, ip.String()) + "." + serviceOf(slice) + "." + slice.Namespace + ".svc." + Domain
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// has reports whether one of texts is an address.
func has(texts []string, ip netip.Addr) bool {
	return slices.ContainsFunc(texts, func(s string) bool {
		a, err := netip.ParseAddr(s)
		return err == nil && a == ip
	})
}

// addressIn returns the address that a name in a reverse zone means.
func addressIn(name string) (netip.Addr, bool) {
	if labels, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		parts := strings.Split(labels, ".")
		slices.Reverse(parts)
		ip, err := netip.ParseAddr(strings.Join(parts, "."))
		return ip, err == nil && ip.Is4()
	}
	labels, _ := strings.CutSuffix(name, ".ip6.arpa.")
	parts := strings.Split(labels, ".")
	var bytes [16]byte
	if len(parts) != 2*len(bytes) {
		return netip.Addr{}, false
	}
	slices.Reverse(parts)
	for i, p := range parts {
		digit, err := strconv.ParseUint(p, 16, 4)
		if err != nil || len(p) != 1 {
			return netip.Addr{}, false
		}
		bytes[i/2] = bytes[i/2]<<4 | byte(digit)
	}
	return netip.AddrFrom16(bytes), true
}
