package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCompletion: a shell is offered names, instants and invariants from a log, and
// nothing, without a word, where there is none.
func TestCompletion(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	t.Setenv("KUBECONFIG", "")
	t.Setenv(dataVariable, "")
	rec := filepath.Join("..", "..", "testdata", "recordings", "second-update.rollcall")
	for _, c := range []struct {
		line    string // {} is what is being written
		offers  []string
		nothing string // begins nothing that is offered
		to      string // what is offered as files
	}{
		{line: "why --rec R pod/", nothing: "pod/node-agent"},
		{line: "why --rec R pod/kube-system/node-agent-", offers: []string{"pod/kube-system/node-agent-"}},
		{line: "why --rec R -n kube-system ds/", offers: []string{"ds/node-agent"}},
		{line: "why --rec R no", offers: []string{"node/"}},
		{line: "why-not --rec R node-001", offers: []string{"node-0010", "node-0019"}},
		{line: "why-not --rec R d", offers: []string{"ds/kube-system/node-agent"}},
		{line: "state --rec R --at ", offers: []string{"now", "rollout/kube-system/node-agent#3:end", "rollout/kube-system/node-agent#1:start"}},
		{line: "state --rec R --at rollout/kube-system/node-agent#2:wave:", offers: []string{"rollout/kube-system/node-agent#2:wave:1", "rollout/kube-system/node-agent#2:wave:11"}},
		{line: "check --rec R --from ro", offers: []string{"rollout/kube-system/node-agent#2:start"}},
		{line: "diff --rec R rollout/kube-system/node-agent#2:start n", offers: []string{"now"}},
		{line: "effects --rec R ", offers: []string{"now"}},
		{line: "check --rec R S1 S", offers: []string{"S2", "S11"}, nothing: "S1\t"},
		{line: "bisect --rec R bu", offers: []string{"budget"}},
		{line: "why --rec R -n k", offers: []string{"kube-system"}},
		{line: "rollout receipt --rec R kube", offers: []string{"kube-system/node-agent#2"}},
		{line: "rollout compare --rec R kube-system/node-agent#1 kube", offers: []string{"kube-system/node-agent#3"}},
		{line: "rollout list --rec R ", offers: []string{"ds/node-agent"}},
		{line: "rollout chart --rec R kube", offers: []string{"kube-system/node-agent#2"}},
		{line: "rollout apply ", to: "json"},
		{line: "archive --to ", to: "rollcall"},
		{line: "ui --beside ", to: "rollcall"},
		{line: "state -o ", offers: []string{"text", "json", "yaml"}, nothing: "cloudevents"},
		{line: "log -o ", offers: []string{"jsonl", "cloudevents"}, nothing: "yaml"},
		{line: "rollout chart -o ", offers: []string{"svg", "png", "json"}, nothing: "text"},
		{line: "verify -o ", offers: []string{"decisions"}},
		{line: "diff --by ", offers: []string{"cause", "object", "field"}},
		{line: "replay --step ", offers: []string{"event", "plan", "wave"}},
		{line: "record export --compression ", offers: []string{"deflate", "zstd"}},
		{line: "record info ", to: "rollcall"},
		{line: "why --rec ", to: "rollcall"},
		{line: "why --rec nowhere.rollcall ds/", nothing: "ds/"},
		{line: "why --data nowhere ds/", nothing: "ds/"},
		{line: "state --at rollout/", nothing: "rollout/"},
	} {
		args := []string{"__complete"}
		for _, word := range strings.Split(c.line, " ") {
			if word == "R" {
				word = rec
			}
			args = append(args, word)
		}
		var out, errs bytes.Buffer
		code := run(t.Context(), args, strings.NewReader(""), &out, &errs)
		lines := strings.Split(out.String(), "\n")
		offered := func(name string) bool {
			return slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, name) })
		}
		for _, name := range append(c.offers, c.to) {
			if !offered(name) {
				t.Errorf("%q offers no %s:\n%s", c.line, name, &out)
			}
		}
		if c.nothing != "" && offered(c.nothing) {
			t.Errorf("%q offers %s:\n%s", c.line, c.nothing, &out)
		}
		if code != 0 || !strings.HasPrefix(errs.String(), "Completion ended with directive") || strings.Contains(errs.String(), "E-") {
			t.Errorf("%q: exit code %d, %s", c.line, code, &errs)
		}
	}
}
