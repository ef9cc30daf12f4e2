// Package dns answers what pods ask for names in a cluster, as Kubernetes' DNS
// specification 1.1 says, from the objects of a log: Services, EndpointSlices and
// namespaces. Where the specification leaves it open the answers are those of
// CoreDNS with its default TTL and with addresses of pods that nobody verifies,
// which is how kubeadm sets it up.
//
// Resolve is pure: the same objects and the same question give the same answer,
// records in the order of their objects. Server, in server.go, is the shell that
// brings questions from a socket. Names outside of the cluster's domain and of
// the reverse zones are refused: nothing is forwarded.
package dns

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"rollcall/projector/table"
)

// Domain is the domain of every cluster.
const Domain = "cluster.local."

// DefaultNameServer is the address of the name server that kubeadm chooses of its range
// of Services.
const DefaultNameServer = "10.96.0.10"

// NameServer is where pods look for a name server: at the Service kube-dns, if there is
// one.
func NameServer(objects *table.Tables) string {
	s := reader{objects}.service("kube-system", "kube-dns")
	if s == nil {
		return DefaultNameServer
	}
	if _, err := netip.ParseAddr(s.Spec.ClusterIP); err != nil {
		return DefaultNameServer // it is headless
	}
	return s.Spec.ClusterIP
}

const (
	ttl        = 5 // seconds, of CoreDNS if nothing else is said
	versionTTL = 28800
	version    = "1.1.0" // of the specification
)

// The zones that are answered for: the cluster's, and addresses.
var zones = []string{Domain, "in-addr.arpa.", "ip6.arpa."}

// Answer is what is said to a question.
type Answer struct {
	Code                     int // dns.RcodeSuccess and so on
	Records, Authority, More []dns.RR
}

// Authoritative reports whether the question was about a zone that is answered for.
func (a Answer) Authoritative() bool { return a.Code != dns.RcodeRefused }

// Resolve answers a question about the objects.
func Resolve(objects *table.Tables, q dns.Question) Answer {
	name := strings.ToLower(dns.Fqdn(q.Name))
	zone := zoneOf(name)
	if zone == "" || q.Qclass != dns.ClassINET || q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR {
		return Answer{Code: dns.RcodeRefused}
	}
	r := resolver{reader{objects}, q, name}
	find := r.forward
	if zone != Domain {
		find = r.reverse
	}
	a := find()
	if a == nil {
		a = &Answer{Code: dns.RcodeNameError}
	}
	if name == zone && q.Qtype == dns.TypeSOA {
		a.Records = []dns.RR{r.authority(zone)}
	}
	if len(a.Records) == 0 {
		a.Authority = []dns.RR{r.authority(zone)}
	}
	return *a
}

func zoneOf(name string) string {
	for _, z := range zones {
		if dns.IsSubDomain(z, name) {
			return z
		}
	}
	return ""
}

// resolver answers one question.
type resolver struct {
	reader
	question dns.Question // its name as it was asked
	name     string       // in lower case
}

// header is that of a record with the name that was asked for.
func (r resolver) header(kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: r.question.Name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
}

// authority is the record that a zone has, whose serial rises with the log.
func (r resolver) authority(zone string) dns.RR {
	return &dns.SOA{Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl},
		Ns: "ns.dns." + zone, Mbox: "hostmaster." + zone, Serial: uint32(r.objects.Position()),
		Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: ttl}
}

// address is the record of an address, or nil if that is none.
func address(name, ip string) dns.RR {
	a, err := netip.ParseAddr(ip)
	h := dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: ttl}
	switch {
	case err != nil:
		return nil
	case a.Is4():
		return &dns.A{Hdr: h, A: a.AsSlice()}
	}
	h.Rrtype = dns.TypeAAAA
	return &dns.AAAA{Hdr: h, AAAA: a.AsSlice()}
}

// forward answers about a name of the cluster's domain; nil: there is no such name.
func (r resolver) forward() *Answer {
	labels := dns.SplitDomainName(strings.TrimSuffix(r.name, Domain))
	switch {
	case len(labels) == 0:
		return r.apex()
	case len(labels) == 1 && labels[0] == "dns-version":
		a := &Answer{}
		if r.question.Qtype == dns.TypeTXT {
			h := r.header(dns.TypeTXT)
			h.Ttl = versionTTL
			a.Records = []dns.RR{&dns.TXT{Hdr: h, Txt: []string{version}}}
		}
		return a
	case r.name == "dns."+Domain:
		return &Answer{} // the name server's name is below it
	case r.name == "ns.dns."+Domain:
		return r.addresses([]target{{ip: NameServer(r.objects)}})
	}
	ts, ok := r.find(parse(labels))
	if !ok {
		return nil
	}
	if r.question.Qtype == dns.TypeSRV {
		return r.services(ts)
	}
	return r.addresses(ts)
}

// apex answers about the cluster's domain itself.
func (r resolver) apex() *Answer {
	a := &Answer{}
	if r.question.Qtype == dns.TypeNS {
		ns := "ns.dns." + Domain
		a.Records = []dns.RR{&dns.NS{Hdr: r.header(dns.TypeNS), Ns: ns}}
		a.More = []dns.RR{address(ns, NameServer(r.objects))}
	}
	return a
}

// addresses answers with the addresses of targets, or with the other name that
// stands for them.
func (r resolver) addresses(ts []target) *Answer {
	a := &Answer{}
	seen := map[string]bool{}
	for _, t := range ts {
		if t.alias != "" {
			return r.alias(t.alias)
		}
		if rr := address(r.question.Name, t.ip); rr != nil && rr.Header().Rrtype == r.question.Qtype && !seen[t.ip] {
			seen[t.ip] = true
			a.Records = append(a.Records, rr)
		}
	}
	return a
}

// mostAliases is how many names one after another may stand for the next.
const mostAliases = 10

// alias answers with another name, and what that stands for if the cluster
// knows: a name of the cluster that has nothing of what is asked for is not told.
func (r resolver) alias(to string) *Answer {
	if t := r.question.Qtype; t != dns.TypeCNAME && t != dns.TypeA && t != dns.TypeAAAA {
		return &Answer{}
	}
	a := &Answer{}
	owner, seen := r.question.Name, map[string]bool{r.name: true}
	for range mostAliases {
		target := strings.ToLower(dns.Fqdn(to))
		if seen[target] {
			return &Answer{}
		}
		seen[target] = true
		h := r.header(dns.TypeCNAME)
		h.Name = owner
		a.Records = append(a.Records, &dns.CNAME{Hdr: h, Target: dns.Fqdn(to)})
		if r.question.Qtype == dns.TypeCNAME || !dns.IsSubDomain(Domain, target) {
			return a
		}
		next := resolver{r.reader, dns.Question{Name: dns.Fqdn(to), Qtype: r.question.Qtype, Qclass: dns.ClassINET}, target}
		ts, ok := next.find(parse(dns.SplitDomainName(strings.TrimSuffix(target, Domain))))
		if !ok {
			return &Answer{}
		}
		if len(ts) > 0 && ts[0].alias != "" {
			owner, to = dns.Fqdn(to), ts[0].alias
			continue
		}
		found := next.addresses(ts).Records
		if len(found) == 0 {
			return &Answer{}
		}
		a.Records = append(a.Records, found...)
		return a
	}
	return &Answer{}
}

// services answers with the ports of targets and with their addresses.
func (r resolver) services(ts []target) *Answer {
	a := &Answer{}
	seen := map[string]bool{}
	once := func(rr dns.RR) bool {
		key := rr.String()
		was := seen[key]
		seen[key] = true
		return !was
	}
	weight := uint16(1)
	if len(ts) > 0 {
		weight = max(uint16(100/len(ts)), 1)
	}
	for _, t := range ts {
		if t.alias != "" || t.port < 0 {
			continue
		}
		srv := &dns.SRV{Hdr: r.header(dns.TypeSRV), Weight: weight, Port: uint16(t.port), Target: t.name}
		if once(srv) {
			a.Records = append(a.Records, srv)
		}
		if rr := address(t.name, t.ip); rr != nil && once(rr) {
			a.More = append(a.More, rr)
		}
	}
	return a
}
