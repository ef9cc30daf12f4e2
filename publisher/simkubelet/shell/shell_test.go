package shell

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/miekg/dns"

	"rollcall/events/waittest"
)

var _ = flag.Bool // datadriven has -rewrite

// cluster is a Network of one Service and one pod.
type cluster struct{}

func (cluster) Resolve(q dns.Question) (int, []dns.RR) {
	if !strings.HasSuffix(q.Name, ".cluster.local.") {
		return dns.RcodeRefused, nil
	}
	if q.Name != "nginx.default.svc.cluster.local." {
		return dns.RcodeNameError, nil
	}
	if q.Qtype != dns.TypeA {
		return dns.RcodeSuccess, nil
	}
	rr, _ := dns.NewRR(q.Name + " 5 IN A 10.96.0.20")
	return dns.RcodeSuccess, []dns.RR{rr}
}

func (cluster) Get(_ context.Context, r Request) (Page, error) {
	switch {
	case r.To == netip.MustParseAddrPort("10.96.0.20:80"):
		return Page{Code: 200, Kind: "text/plain", Body: []byte("nginx-1 answers " + r.Method + " " + r.Path + "\n")}, nil
	case r.To.Addr() == netip.MustParseAddr("10.96.0.20"):
		return Page{}, ErrRefused
	}
	return Page{}, ErrNoRoute
}

func container() *Container {
	now := func() time.Time { return time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC) }
	root := NewTree(map[string][]byte{"etc/hostname": []byte("web-0\n"), "etc/resolv.conf": []byte("nameserver 10.96.0.10\n")}, now())
	for _, d := range []string{"bin", "tmp", "usr/share/nginx/html", "root"} {
		root.MakeDir(d, now())
	}
	settings := NewTree(map[string][]byte{"color": []byte("blue")}, now())
	settings.ReadOnly = true
	return &Container{Pod: "web-0", Namespace: "default", Node: "node-0002", IP: "10.244.1.4", FQDN: "web-0.nginx.default.svc.cluster.local", Image: "nginx",
		Started: now().Add(-time.Hour), Env: map[string]string{"HOSTNAME": "web-0", "COLOR": "blue"}, Search: []string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local"},
		Server: "10.96.0.10", Files: NewFiles([]Mount{{Path: "/", Tree: root}, {Path: "/etc/settings", Tree: settings}}, now), Network: cluster{}, Now: now}
}

// patience bounds a wait for what comes by itself.
var patience = waittest.Patience

// TestScripts runs the scripts in testdata: each of a file in the same container.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		c := container()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out bytes.Buffer
			args := []string{"sh", "-c", d.Input}
			if d.Cmd == "exec" {
				args = strings.Fields(d.Input)
			}
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			code := Run(ctx, c, args, Streams{In: strings.NewReader("one\ntwo\n"), Out: &out, Err: &out})
			if code != 0 {
				fmt.Fprintf(&out, "exit %d\n", code)
			}
			return out.String()
		})
	})
}

// TestNothingOfTheHost holds the package to importing nothing by which the
// machine could be read, written or run, and scripts to not seeing it.
func TestNothingOfTheHost(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			switch strings.Trim(i.Path.Value, `"`) {
			case "archive/tar", "bufio", "bytes", "context", "crypto/md5", "crypto/sha256", "encoding/base64", "encoding/hex", "errors", "fmt", "io", "io/fs", "maps",
				"net/netip", "net/url", "regexp", "slices", "strconv", "strings", "sync", "time",
				"github.com/miekg/dns", "golang.org/x/term", "mvdan.cc/sh/v3/expand", "mvdan.cc/sh/v3/pattern", "mvdan.cc/sh/v3/syntax",
				"rollcall/publisher/simkubelet/script":
			default:
				t.Errorf("%s imports %s: is there nothing of the host in it?", f, i.Path.Value)
			}
		}
	}
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("of the host"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SECRET_OF_THE_HOST", "of the host")
	host, _ := os.Hostname()
	for _, script := range []string{"cat " + secret, "cat <(cat " + secret + ")", ". " + secret, "sh " + secret, "ls " + dir, "echo " + dir + "/*", "cat ../../../../../.." + secret,
		"cd " + dir + "; cat secret", "echo x > " + dir + "/written", "mkdir -p " + dir + "/made", "env", "echo $SECRET_OF_THE_HOST", "echo ~nobody ~daemon", "test -e " + secret + " && echo of the host",
		"command -v go gofmt dpkg", "go version", "/bin/dpkg", "hostname -f", "cp " + secret + " /tmp/x; cat /tmp/x", "tar cf - " + secret, "echo $$ $PPID"} {
		var out bytes.Buffer
		ctx, stop := context.WithTimeout(t.Context(), patience)
		Run(ctx, container(), []string{"sh", "-c", script}, Streams{Out: &out, Err: &out})
		stop()
		for _, of := range []string{"of the host", fmt.Sprint(os.Getpid()), fmt.Sprint(os.Getppid()), "/usr/sbin\n", "gofmt\n", host + "\n"} {
			if of != "\n" && strings.Contains(out.String(), of) && of != "0" && of != "1" {
				t.Errorf("%s: %q is of the host:\n%s", script, of, out.String())
			}
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("scripts wrote to the host: %v, %v", left, err)
	}
}

// TestBounded ends what would not end, and keeps no more than is kept: else the test
// itself would not end.
func TestBounded(t *testing.T) {
	for _, script := range []string{"while :; do :; done", "f() { f; }; f", "sleep infinity", "yes > /dev/null", "echo {1..100000000}", "x=a; while :; do x=$x$x || exit; done",
		"x=$(yes)", "printf '%1000000000d' 1", "seq 1 1000000000 > /tmp/x", "cat /dev/stdin | sh", "eval 'eval \"$0\"'", "yes | yes | yes > /dev/null", ": | : | :", "while :; do echo x >> /tmp/y || exit; done",
		"echo {a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"} {
		ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
		Run(ctx, container(), []string{"sh", "-c", script}, Streams{Out: io.Discard, Err: io.Discard})
		stop()
	}
}

// TestTerminal types into a shell, as a terminal does: the next when the shell is
// seen to be there for it, since Ctrl-C means another thing to a command that runs.
func TestTerminal(t *testing.T) {
	r, w := io.Pipe()
	out := newWatched()
	ended := make(chan int, 1)
	go func() {
		ended <- Run(t.Context(), container(), []string{"sh"}, Streams{In: r, Out: out, Err: out, Terminal: true})
	}()
	for _, x := range []struct{ typed, sees string }{
		{"", "simulated by rollcall"}, {"hostname\r", "web-0\r\n/ # "}, {"for i in 1 2\rdo echo n$i; done\r", "n1\r\nn2\r\n/ # "}, {"echo half\x03", "/ # "}, {"read x; echo got $x\r", "read x"},
		{"this\r", "got this\r\n"}, {"echo begun; sleep infinity\r", "begun\r\n"}, {"\x03", "/ # "}, {"echo '\r", "> "}, {"'\r", "/ # "}, {"exit 3\r", "exit 3"},
	} {
		if _, err := io.WriteString(w, x.typed); err != nil {
			t.Fatal(err)
		}
		if !out.sees(x.sees) {
			t.Fatalf("after %q no %q in %q", x.typed, x.sees, out.text())
		}
	}
	if code := <-ended; code != 3 {
		t.Errorf("ended with %d", code)
	}
}

func FuzzScript(f *testing.F) {
	for _, s := range []string{"for i in 1 2; do echo $i; done | wc -l", "x=${y:-$(hostname)}; [ -n \"$x\" ] && case $x in web*) echo yes;; esac", "f() { return 3; }; f || echo $?", "cat <<E > /tmp/x\n$x\nE", "((i++)); echo $((1/0))"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script string) {
		ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer stop()
		Run(ctx, container(), []string{"sh", "-c", script}, Streams{In: strings.NewReader("x"), Out: io.Discard, Err: io.Discard})
	})
}
