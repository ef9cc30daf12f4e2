package dns_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"

	"rollcall/events"
	"rollcall/events/wire"
	projectordns "rollcall/projector/dns"
	"rollcall/projector/table"
)

var rewrite = flag.Bool("rewrite", false, "write the answers instead of comparing them")

// objects returns tables with the objects of the questions.
func objects(tb testing.TB) *table.Tables {
	tb.Helper()
	data, err := os.ReadFile("testdata/objects.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	all := table.New(table.Recent)
	r := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for seq := events.Seq(1); ; seq++ {
		doc, err := r.Read()
		if err != nil {
			return all
		}
		put(tb, all, seq, doc)
	}
}

// put takes one document into tables.
func put(tb testing.TB, all *table.Tables, seq events.Seq, doc []byte) {
	tb.Helper()
	var head struct {
		Kind     events.Kind
		Metadata struct{ Namespace, Name string }
	}
	if err := sigsyaml.Unmarshal(doc, &head); err != nil {
		tb.Fatal(err)
	}
	o := map[events.Kind]any{"Service": &corev1.Service{}, "EndpointSlice": &discoveryv1.EndpointSlice{}, "Namespace": &corev1.Namespace{}}[head.Kind]
	if err := sigsyaml.UnmarshalStrict(doc, o); err != nil {
		tb.Fatal(err)
	}
	data, err := wire.Marshal(o)
	if err != nil {
		tb.Fatal(err)
	}
	key := events.Key{Namespace: head.Metadata.Namespace, Name: head.Metadata.Name}
	all.Take(events.Event{Seq: seq, Body: events.Object{Ref: events.Ref{Kind: head.Kind, Key: key}, Data: data}})
}

// TestAnswers asks all questions of testdata/questions.txt, which are in the
// order of Kubernetes' DNS specification 1.1, and compares the answers with
// those in testdata/answers.txt.
func TestAnswers(t *testing.T) {
	all := objects(t)
	asked, err := os.ReadFile("testdata/questions.txt")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(asked)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			fmt.Fprintln(&b, line)
			continue
		}
		name, kind, _ := strings.Cut(line, " ")
		a := projectordns.Resolve(all, dns.Question{Name: dns.Fqdn(name), Qtype: dns.StringToType[kind], Qclass: dns.ClassINET})
		fmt.Fprintf(&b, "%s: %s\n", line, dns.RcodeToString[a.Code])
		for _, part := range []struct {
			name string
			rrs  []dns.RR
		}{{"", a.Records}, {"authority ", a.Authority}, {"more ", a.More}} {
			for _, rr := range part.rrs {
				fmt.Fprintf(&b, "  %s%s\n", part.name, strings.ReplaceAll(rr.String(), "\t", " "))
			}
		}
	}
	const path = "testdata/answers.txt"
	if *rewrite {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("answers differ from %s:\n%s", path, got)
	}
}

// TestClasses refuses questions of another class than that of the internet.
func TestClasses(t *testing.T) {
	a := projectordns.Resolve(objects(t), dns.Question{Name: "kubernetes.default.svc.cluster.local.", Qtype: dns.TypeA, Qclass: dns.ClassCHAOS})
	if a.Code != dns.RcodeRefused {
		t.Errorf("class CH: %s", dns.RcodeToString[a.Code])
	}
}
