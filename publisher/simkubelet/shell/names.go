package shell

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Commands that ask for names.

// why says what an answer without records means.
func why(code int) string {
	if code == dns.RcodeSuccess {
		return "No answer"
	}
	return dns.RcodeToString[code]
}

func (s *state) nslookup(args []string) int {
	kinds := []uint16{dns.TypeA, dns.TypeAAAA}
	var names []string
	for _, a := range args {
		name, value, is := strings.Cut(strings.TrimLeft(a, "-"), "=")
		switch {
		case strings.HasPrefix(a, "-") && is && (name == "type" || name == "query" || name == "querytype" || name == "q"):
			k, known := dns.StringToType[strings.ToUpper(value)]
			if !known {
				return s.fail(1, "nslookup: unknown query type: %s", value)
			}
			kinds = []uint16{k}
		case !strings.HasPrefix(a, "-"):
			names = append(names, a)
		}
	}
	if len(names) == 0 {
		return s.fail(1, "usage: nslookup [-type=TYPE] NAME")
	}
	fmt.Fprintf(s.out, "Server:\t\t%s\nAddress:\t%s#53\n\n", s.container.Server, s.container.Server)
	if ip, err := netip.ParseAddr(names[0]); err == nil {
		reverse, _ := dns.ReverseAddr(ip.String()) // an address has one
		return s.answers(names[0], reverse, dns.TypePTR)
	}
	return s.answers(names[0], names[0], kinds...)
}

// answers writes what nslookup says of a name.
func (s *state) answers(asked, name string, kinds ...uint16) int {
	rrs, as, code := s.lookup(name, kinds...)
	if len(rrs) == 0 {
		if as == "" {
			as = name
		}
		if code == dns.RcodeRefused && !strings.Contains(name, ".") {
			code = dns.RcodeNameError // no other zone could have it
		}
		fmt.Fprintf(s.out, "** server can't find %s: %s\n\n", strings.TrimSuffix(as, "."), why(code))
		return 1
	}
	seen := map[string]bool{}
	for _, rr := range rrs {
		text := ""
		owner := strings.TrimSuffix(rr.Header().Name, ".")
		switch r := rr.(type) {
		case *dns.A:
			text = fmt.Sprintf("Name:\t%s\nAddress: %s\n", owner, r.A)
		case *dns.AAAA:
			text = fmt.Sprintf("Name:\t%s\nAddress: %s\n", owner, r.AAAA)
		case *dns.CNAME:
			text = fmt.Sprintf("%s\tcanonical name = %s\n", owner, r.Target)
		case *dns.SRV:
			text = fmt.Sprintf("%s\tservice = %d %d %d %s\n", owner, r.Priority, r.Weight, r.Port, r.Target)
		case *dns.PTR:
			text = fmt.Sprintf("%s\tname = %s\n", owner, r.Ptr)
		default:
			text = strings.ReplaceAll(rr.String(), "\t", " ") + "\n"
		}
		if !seen[text] {
			seen[text] = true
			fmt.Fprint(s.out, text)
		}
	}
	fmt.Fprintln(s.out)
	return 0
}

func (s *state) dig(args []string) int {
	kind, names, short, search := dns.TypeA, []string(nil), false, false
	for i := 0; i < len(args); i++ {
		a := args[i]
		k, isKind := dns.StringToType[strings.ToUpper(a)]
		switch {
		case strings.HasPrefix(a, "@"):
			// There is one name server in a simulated cluster.
		case a == "+short":
			short = true
		case a == "+search":
			search = true
		case a == "-t" && i+1 < len(args):
			i++
			kind = dns.StringToType[strings.ToUpper(args[i])]
		case a == "-x" && i+1 < len(args):
			i++
			reverse, err := dns.ReverseAddr(args[i])
			if err != nil {
				return s.fail(1, "dig: %s is no address", args[i])
			}
			kind, names = dns.TypePTR, append(names, reverse)
		case strings.HasPrefix(a, "+") || strings.HasPrefix(a, "-"):
		case isKind && len(names) > 0:
			kind = k
		default:
			names = append(names, a)
		}
	}
	if len(names) == 0 {
		names = []string{"."}
	}
	name := dns.Fqdn(names[0])
	if search {
		if _, as, _ := s.lookup(names[0], kind); as != "" {
			name = as
		}
	}
	code, rrs := s.container.Network.Resolve(dns.Question{Name: name, Qtype: kind, Qclass: dns.ClassINET})
	if !short {
		fmt.Fprintf(s.out, ";; ->>HEADER<<- opcode: QUERY, status: %s\n;; QUESTION SECTION:\n;%s\tIN\t%s\n\n;; ANSWER SECTION:\n", dns.RcodeToString[code], name, dns.TypeToString[kind])
	}
	for _, rr := range rrs {
		text := rr.String()
		if short {
			text = strings.TrimPrefix(text, rr.Header().String())
		}
		fmt.Fprintln(s.out, text)
	}
	if !short {
		fmt.Fprintf(s.out, "\n;; SERVER: %s#53(%s)\n", s.container.Server, s.container.Server)
	}
	return 0
}

func (s *state) host(args []string) int {
	_, names := flagsOf(args)
	if len(names) == 0 {
		return s.fail(1, "usage: host NAME")
	}
	rrs, _, code := s.lookup(names[0], dns.TypeA, dns.TypeAAAA)
	for _, rr := range rrs {
		if ip, ok := addressOf(rr); ok {
			fmt.Fprintf(s.out, "%s has address %s\n", strings.TrimSuffix(rr.Header().Name, "."), ip)
		}
	}
	if len(rrs) == 0 {
		return s.fail(1, "Host %s not found: %s", names[0], why(code))
	}
	return 0
}

func (s *state) getent(args []string) int {
	if len(args) < 2 || !slices.Contains([]string{"hosts", "ahosts"}, args[0]) {
		return s.fail(1, "usage: getent hosts NAME")
	}
	ip, err := s.address(args[1])
	if err != nil {
		return codeUsage
	}
	return s.write(fmt.Sprintf("%-15s %s\n", ip, args[1]))
}
