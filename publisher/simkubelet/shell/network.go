package shell

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// Network is what a container can reach: the names of the cluster, and what would
// answer at its addresses. No packet is sent.
type Network interface {
	// Resolve answers a question about a name.
	Resolve(q dns.Question) (code int, records []dns.RR)
	// Get returns what would be answered to a request for a page, or why nobody would.
	Get(ctx context.Context, r Request) (Page, error)
}

// Request is one for a page.
type Request struct {
	Method string
	To     netip.AddrPort
	Host   string // as it was named
	Path   string
}

// Page is what is answered.
type Page struct {
	Code int
	Kind string // of the contents
	Body []byte
}

// Errors of Get.
const (
	ErrRefused = words("Connection refused")
	ErrNoRoute = words("Host is unreachable: it is not in the simulated cluster, and nothing outside of it is asked")
)

// enoughDots is how many dots a name has that is looked for as it is first.
const enoughDots = 5

// candidates are the names that a name is looked for as, in order.
func (s *state) candidates(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var all []string
	for _, d := range s.container.Search {
		all = append(all, name+"."+d+".")
	}
	if strings.Count(name, ".") >= enoughDots {
		return append([]string{name + "."}, all...)
	}
	return append(all, name+".")
}

// lookup looks for records of a name; code is the last answer's.
func (s *state) lookup(name string, kinds ...uint16) (found []dns.RR, as string, code int) {
	for _, n := range s.candidates(name) {
		for _, k := range kinds {
			c, rrs := s.container.Network.Resolve(dns.Question{Name: n, Qtype: k, Qclass: dns.ClassINET})
			if code = c; c == dns.RcodeSuccess {
				as = n
				found = append(found, rrs...)
			}
		}
		if len(found) > 0 {
			return found, as, dns.RcodeSuccess
		}
	}
	return nil, as, code
}

// address returns the address of a host.
func (s *state) address(host string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ip, nil
	}
	switch host {
	case "localhost":
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	case s.container.Pod:
		if ip, err := netip.ParseAddr(s.container.IP); err == nil {
			return ip, nil
		}
	}
	rrs, _, _ := s.lookup(host, dns.TypeA, dns.TypeAAAA)
	for _, rr := range rrs {
		if ip, ok := addressOf(rr); ok {
			return ip, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("bad address '%s'", host)
}

func addressOf(rr dns.RR) (netip.Addr, bool) {
	switch r := rr.(type) {
	case *dns.A:
		ip, ok := netip.AddrFromSlice(r.A.To4())
		return ip, ok
	case *dns.AAAA:
		return netip.AddrFromSlice(r.AAAA)
	}
	return netip.Addr{}, false
}

// schemes are those of pages, with their ports. No certificate is shown or looked at:
// nothing is sent.
var schemes = map[string]int{"http": 80, "https": 443}

// get asks for a page.
func (s *state) get(method, text string) (Request, Page, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return Request{}, Page{}, fmt.Errorf("bad URL %s", text)
	}
	port, ok := schemes[u.Scheme]
	if !ok {
		return Request{}, Page{}, fmt.Errorf("%s is not spoken in a simulated container, only http and https", u.Scheme)
	}
	ip, err := s.address(u.Hostname())
	if err != nil {
		return Request{}, Page{}, err
	}
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return Request{}, Page{}, fmt.Errorf("bad port in %s", text)
		}
	}
	r := Request{Method: method, To: netip.AddrPortFrom(ip, uint16(port)), Host: u.Host, Path: "/" + strings.TrimPrefix(u.RequestURI(), "/")}
	page, err := s.container.Network.Get(s.ctx, r)
	return r, page, err
}

// after returns the value of a flag with one, -oX or -o X, and how many more
// arguments it took.
func after(args []string, i, n int) (string, int) {
	if len(args[i]) > n {
		return args[i][n:], 0
	}
	if i+1 < len(args) {
		return args[i+1], 1
	}
	return "", 0
}

func (s *state) wget(args []string) int {
	quiet, to, spider, where := false, "", false, ""
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && strings.Contains(a, "O"):
			quiet = quiet || strings.Contains(a[:strings.Index(a, "O")], "q")
			var more int
			to, more = after(args, i, strings.Index(a, "O")+1)
			i += more
		case a == "-T" || a == "-t" || a == "-U" || a == "--header":
			i++
		case a == "--spider":
			spider = true
		case a == "--quiet" || strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && strings.Contains(a, "q"):
			quiet = true
		case !strings.HasPrefix(a, "-"):
			where = a
		}
	}
	if where == "" {
		return s.fail(1, "usage: wget [-q] [-O FILE] [--spider] URL")
	}
	r, page, err := s.get("GET", where)
	if !quiet && r.To.IsValid() {
		fmt.Fprintf(s.err, "Connecting to %s (%s)\n", r.Host, r.To)
	}
	switch {
	case err != nil && r.To.IsValid():
		return s.fail(1, "wget: can't connect to remote host (%s): %v", r.To.Addr(), err)
	case err != nil:
		return s.fail(1, "wget: %v", err)
	case page.Code >= 400:
		return s.fail(1, "wget: server returned error: HTTP/1.1 %d", page.Code)
	case spider:
		return 0
	case to == "-":
		return s.write(string(page.Body))
	case to == "":
		if to = base(strings.SplitN(r.Path, "?", 2)[0]); to == "" {
			to = "index.html"
		}
	}
	if err := s.container.Files.Write(s.path(to), page.Body, 0o644); err != nil {
		return s.fail(1, "wget: can't open '%s': %v", to, err)
	}
	if !quiet {
		fmt.Fprintf(s.err, "'%s' saved\n", to)
	}
	return 0
}

// curlValues are flags of curl that take a value, which changes nothing here.
var curlValues = []string{"-H", "--header", "-d", "--data", "-m", "--max-time", "--connect-timeout", "-A", "--user-agent", "--retry", "-u", "--user",
	"-E", "--cert", "--key", "--cacert", "--capath", "--resolve", "-b", "--cookie"}

func (s *state) curl(args []string) int {
	method, to, format, where := "GET", "", "", ""
	silent, head, include, fails := false, false, false, false
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "-o" || a == "--output" || a == "-w" || a == "--write-out" || a == "-X" || a == "--request":
			v, more := after(args, i, len(a))
			i += more
			switch strings.TrimLeft(a, "-") {
			case "o", "output":
				to = v
			case "w", "write-out":
				format = v
			default:
				method = v
			}
		case slices.Contains(curlValues, a):
			i++
		case strings.HasPrefix(a, "--"):
			silent, head, fails = silent || a == "--silent", head || a == "--head", fails || a == "--fail"
		case strings.HasPrefix(a, "-") && len(a) > 1:
			silent, head, include, fails = silent || strings.Contains(a, "s"), head || strings.Contains(a, "I"), include || strings.Contains(a, "i"), fails || strings.Contains(a, "f")
		default:
			where = a
		}
	}
	if where == "" {
		return s.fail(codeUsage, "usage: curl [-sfiI] [-o FILE] URL")
	}
	r, page, err := s.get(method, where)
	switch {
	case err != nil && r.To.IsValid():
		return s.fail(7, "curl: (7) Failed to connect to %s: %v", r.Host, err)
	case err != nil:
		return s.fail(6, "curl: (6) %v", err)
	case fails && page.Code >= 400:
		return s.fail(22, "curl: (22) The requested URL returned error: %d", page.Code)
	}
	text := ""
	if head || include {
		text = fmt.Sprintf("HTTP/1.1 %d\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", page.Code, page.Kind, len(page.Body))
	}
	if !head {
		text += string(page.Body)
	}
	switch {
	case to == "" || to == "-":
		s.write(text)
	default:
		if err := s.container.Files.Write(s.path(to), []byte(text), 0o644); err != nil {
			return s.fail(23, "curl: (23) %s: %v", to, err)
		}
	}
	return s.write(strings.NewReplacer("%{http_code}", strconv.Itoa(page.Code), `\n`, "\n").Replace(format))
}
