// Package coredns runs CoreDNS on the API of a rollcall, and asks it what rollcall
// is asked itself.
package coredns

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coredns/caddy"
	_ "github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	"github.com/miekg/dns"
)

var binary = flag.String("rollcall", filepath.Join("..", "..", "bin", "rollcall"), "the binary to ask")

// questions and objects are those of the package that answers.
const (
	questions = "../../projector/dns/testdata/questions.txt"
	objects   = "../../projector/dns/testdata/objects.yaml"
)

// different are questions that are answered differently on purpose.
var different = map[string]string{
	"default.svc.cluster.local TXT":                  "the name is there, without a record of this type (RFC 8020); CoreDNS says that it is not",
	"nothing.default.svc.cluster.local SOA":          "the name is not there; CoreDNS looks for no name if it is asked for an authority",
	"_tcp.nginx-service.default.svc.cluster.local A": "names are below it, so it is there (RFC 8020); CoreDNS says that it is not",
	"cluster.local NS":                               "CoreDNS names the addresses that it listens at itself",
	"ns.dns.cluster.local A":                         "as above",
	"4.4.244.10.in-addr.arpa A":                      "the name is there, with a PTR record; CoreDNS says that it is not",
	"x.10-244-1-3.default.pod.cluster.local A":       "nothing is below the name of an address; CoreDNS takes what is there for the name itself",
	"dns-version.cluster.local A":                    "the name is there, with a TXT record; CoreDNS says that it is not",
}

// start starts rollcall with the objects, and returns its kubeconfig and where it
// answers.
func start(t *testing.T) (kubeconfig, address string) {
	t.Helper()
	bin, err := filepath.Abs(*binary)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "objects.yaml")
	all, err := os.ReadFile(objects)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, doc := range strings.Split(string(all), "---\n") {
		// A cluster has its own Service kubernetes, and addresses of one family.
		if !strings.Contains(doc, "name: six,") && !strings.Contains(doc, "{name: kubernetes,") && !strings.Contains(doc, "{name: default}") {
			kept = append(kept, doc)
		}
	}
	if err := os.WriteFile(file, []byte(strings.Join(kept, "---\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(bin, "up", "--nodes", "0", "--data", filepath.Join(dir, "d"), "--dns", "127.0.0.1:0", "-f", file)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGINT)
		_ = c.Wait()
	})
	at := regexp.MustCompile(`DNS +(\S+) `)
	for s := bufio.NewScanner(out); s.Scan(); {
		if m := at.FindStringSubmatch(s.Text()); m != nil {
			address = m[1]
		}
		if path, ok := strings.CutPrefix(s.Text(), "export KUBECONFIG="); ok {
			go func() { // it goes on telling
				for s.Scan() {
				}
			}()
			return path, address
		}
	}
	t.Fatalf("rollcall ended: %s", errs.String())
	return "", ""
}

// coreDNS starts CoreDNS with the kubernetes plugin alone.
func coreDNS(t *testing.T, kubeconfig string) (address string) {
	t.Helper()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.LocalAddr().String())
	_ = l.Close()
	caddy.Quiet = true
	file := fmt.Sprintf("cluster.local:%[1]s in-addr.arpa:%[1]s ip6.arpa:%[1]s {\n bind 127.0.0.1\n kubernetes cluster.local in-addr.arpa ip6.arpa {\n  kubeconfig %[2]s\n  pods insecure\n }\n}\n", port, kubeconfig)
	i, err := caddy.Start(caddy.CaddyfileInput{Contents: []byte(file), Filepath: "Corefile", ServerTypeName: "dns"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Stop() })
	return "127.0.0.1:" + port
}

// ask returns an answer as lines in order, without what differs from run to run.
func ask(t *testing.T, address, name string, kind uint16) string {
	t.Helper()
	a, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), kind), address)
	if err != nil {
		return err.Error()
	}
	lines := []string{}
	for _, part := range []struct {
		name string
		rrs  []dns.RR
	}{{"", a.Answer}, {"authority ", a.Ns}, {"more ", a.Extra}} {
		for _, rr := range part.rrs {
			if soa, ok := rr.(*dns.SOA); ok {
				soa.Serial = 0
			}
			lines = append(lines, strings.ToLower(part.name+strings.ReplaceAll(rr.String(), "\t", " ")))
		}
	}
	slices.Sort(lines)
	return fmt.Sprintf("%s, authoritative %v\n  %s", dns.RcodeToString[a.Rcode], a.Authoritative, strings.Join(lines, "\n  "))
}

// TestCoreDNS asks both all questions.
func TestCoreDNS(t *testing.T) {
	kubeconfig, ours := start(t)
	theirs := coreDNS(t, kubeconfig)
	for end := time.Now().Add(3 * time.Minute); !strings.HasPrefix(ask(t, theirs, "noports.default.svc.cluster.local", dns.TypeA), "NOERROR"); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("CoreDNS does not know the objects:", ask(t, theirs, "noports.default.svc.cluster.local", dns.TypeA))
		}
	}
	text, err := os.ReadFile(questions)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		name, kind, ok := strings.Cut(line, " ")
		if !ok || line[0] == '#' || strings.Contains(name, "six") || strings.Contains(name, "ip6.arpa") {
			continue
		}
		asked++
		// The zone of an authority is written as it was asked for by CoreDNS.
		a, b := ask(t, ours, name, dns.StringToType[kind]), ask(t, theirs, name, dns.StringToType[kind])
		why, differs := different[line]
		switch {
		case a != b && !differs:
			t.Errorf("%s: %s\nCoreDNS: %s", line, a, b)
		case a == b && differs:
			t.Errorf("%s is answered alike, but: %s", line, why)
		}
	}
	if asked < 50 {
		t.Errorf("only %d questions", asked)
	}
}
