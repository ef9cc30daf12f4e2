package main

import (
	"io"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// scriptTell sends an event to an instance that was started, and wants an answer:
// tell NAME STATUS REGEXP BODY. With ! the body is sent without the token.
func scriptTell(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: [!] tell NAME STATUS REGEXP BODY")
	}
	export := regexp.MustCompile(`(?m)^export KUBECONFIG=(\S+)$`).FindStringSubmatch(scriptProcess(ts, false, args, 4).output())
	if export == nil {
		ts.Fatalf("%s has not told its kubeconfig yet", args[0])
	}
	config, err := clientcmd.BuildConfigFromFlags("", export[1])
	ts.Check(err)
	if neg {
		config = rest.AnonymousClientConfig(config)
	}
	client, err := rest.HTTPClientFor(config)
	ts.Check(err)
	r, err := client.Post(config.Host+"/v1/events", "application/json", strings.NewReader(args[3]))
	ts.Check(err)
	defer func() { _ = r.Body.Close() }()
	answer, err := io.ReadAll(r.Body)
	ts.Check(err)
	if r.Status[:3] != args[1] || !regexp.MustCompile(args[2]).Match(answer) {
		ts.Fatalf("answered with %s %s", r.Status, answer)
	}
}
