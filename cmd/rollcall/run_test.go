package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"rollcall/events"
)

// sandbox keeps what a test leaves in directories of its own, and returns that
// of temporary files.
func sandbox(t *testing.T) (tmp string) {
	t.Helper()
	tmp = t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBECONFIG", "")
	t.Setenv(dataVariable, "")
	return tmp
}

// refusals are command lines that are refused, with what is said of them.
var refusals = []struct {
	args string
	code string
	has  string
}{
	{"sttaus", "E-CLI-COMMAND", `rollcall has no command "sttaus"`},
	{"node rekover n1", "E-CLI-COMMAND", "did you mean recover?"},
	{"completion bahs", "E-CLI-COMMAND", "did you mean bash?"},
	{"help nod", "E-CLI-COMMAND", "did you mean node?"},
	{"up --nods 3", "E-CLI-FLAG", "did you mean --nodes?"},
	{"up -z", "E-CLI-FLAG", "rollcall up has no flag -z"},
	{"up --nodes", "E-CLI-FLAG", "flag --nodes needs a value"},
	{"up --nodes 2 --nodes 3", "E-CLI-FLAG", "2 and 3"},
	{"up --nodes -5", "E-CLI-NUMBER", "-5 is out of range (--nodes); give 0 to 100000"},
	{"up --nodes 1e6", "E-CLI-NUMBER", `invalid value "1e6" (--nodes)`},
	{"up --seed 18446744073709551616", "E-CLI-NUMBER", "--seed"},
	{"up --progress-deadline 10", "E-CLI-DURATION", "give a number with its unit"},
	{"up --progress-deadline 1500ms", "E-CLI-DURATION", "whole seconds"},
	{"up --progress-deadline 0s", "E-CLI-DURATION", "whole seconds"},
	{"up --pod-start banana", "E-CLI-DURATION", `"banana" is no delay (--pod-start); give a time`},
	{"up --pod-stop 2s..1s", "E-CLI-DURATION", `"2s..1s" is no delay (--pod-stop)`},
	{"up --pulled b@d", "E-CLI-FLAG", `--pulled cannot be "b@d"`},
	{"up --memory=x", "E-CLI-FLAG", "give true or false"},
	{"up --memory --data d", "E-CLI-FLAG", "--memory and --data exclude each other"},
	{"up --nats-creds c", "E-CLI-FLAG", "--nats-creds is for --nats-url"},
	{"up --data=", "E-CLI-FLAG", "--data has no value"},
	{"up --durability maybe", "E-CLI-FLAG", "give sync or relaxed"},
	{"up --cluster A", "E-CLI-CLUSTER", `cluster name "A"`},
	{"up --nats-listen 0.0.0.0:1", "E-CLI-LISTEN", "only loopback"},
	{"up --listen 6443", "E-CLI-LISTEN", "it is no address; write host:port, or none"},
	{"up --listen=", "E-CLI-FLAG", "--listen has no value"},
	{"up --listen none --kubeconfig k", "E-CLI-FLAG", "exclude each other"},
	{"up --listen none --merge-kubeconfig", "E-CLI-FLAG", "exclude each other"},
	{"up --kubeconfig none/k", "E-CLI-KUBECONFIG", "no such file or directory"},
	{"up --kubeconfig run_test.go", "E-CLI-KUBECONFIG", "no kubeconfig"},
	{"up --controllers daemonset,cronjobs", "E-CLI-FLAG", "did you mean cronjob?"},
	{"up --v 11", "E-CLI-NUMBER", "11 is out of range (--v); give 0 to 10"},
	{"diverge -n Kube_System", "E-CLI-NAME", `namespace "Kube_System"`},
	{"probe --probe-wait 0s", "E-CLI-FLAG", "in which somebody can answer; give one, such as 10s"},
	{"probe --probe-wait=-5s", "E-CLI-FLAG", "in which somebody can answer"},
	{"probe --kube-qps 0", "E-CLI-NUMBER", "0 is out of range (--kube-qps); give 1 to 10000"},
	{"release --kube-qps=-1", "E-CLI-NUMBER", "--kube-qps"},
	{"connect --shadow --kube-qps 9223372036854775807", "E-CLI-NUMBER", "--kube-qps"},
	{"connect --control --probe-wait 0s", "E-CLI-FLAG", "in which somebody can answer"},
	{"connect --shadow --probe-wait 5s", "E-CLI-FLAG", "--probe-wait is for --control"},
	{"open --at yesterday", "E-CLI-INSTANT", "it is no point in time"},
	{"open --at=", "E-CLI-FLAG", "--at has no value"},
	{"open --at 0", "E-CLI-INSTANT", "nothing is before"},
	{"open --at 2999-01-01", "E-CLI-INSTANT", "in the future"},
	{"open --listen none", "E-CLI-FLAG", "leaves nothing to open"},
	{"open --listen x", "E-CLI-LISTEN", "it is no address"},
	{"open", "E-CLI-INSTANCE", "no instance is running"},
	{"up here", "E-CLI-ARGS", `does not take "here"`},
	{"log --from 10 --to 5", "E-CLI-RANGE", "--from 10 is after --to 5"},
	{"log --from -1", "E-CLI-INSTANT", "(--from)"},
	{"log -f --to now", "E-CLI-FLAG", "has passed"},
	{"log --to later", "E-CLI-INSTANT", "(--to)"},
	{"log --type pod.create", "E-CLI-TYPE", "did you mean pod.created"},
	{"log --type pods", "E-CLI-TYPE", "pod.*"},
	{"log --type pod", "E-CLI-TYPE", "pod.*"},
	{"log --type x*", "E-CLI-TYPE", "such as pod.created"},
	{"log --type Pod.created", "E-CLI-TYPE", "did you mean pod.created"},
	{"help E-CLI-FLAGG", "E-CLI-COMMAND", "did you mean E-CLI-FLAG?"},
	{"help example:fluent", "E-MAN-FILE", "did you mean fluentd?"},
	{"up -f example:", "E-MAN-FILE", "choose from fluentd, "},
	{"up -f example:ngnix", "E-MAN-FILE", "did you mean nginx?"},
	{"log --kubeconfig k --data d", "E-CLI-FLAG", "exclude each other"},
	{"log --kubeconfig none", "E-CLI-INSTANCE", "the kubeconfig is not there (--kubeconfig none)"},
	{"log -f -o json", "E-CLI-FLAG", "use -o jsonl"},
	{"rollout pause node/x", "E-CLI-ARGS", "write ds/NAME"},
	{"rollout status x --timeout -1s", "E-CLI-DURATION", "give 0s or more"},
	{"node fail pod/x", "E-CLI-ARGS", "write node/NAME"},
	{"node add", "E-CLI-ARGS", "by name or by number"},
	{"node add --count 10001", "E-CLI-NUMBER", "give 1 to 10000"},
	{"node add x", "E-CLI-INSTANCE", "no instance is running"},
	{"log --data \xff", "E-CLI-UTF8", `"\xff" is not UTF-8`},
	{"get", "E-CLI-COMMAND", "use rollcall kubectl get"},
	{"get pods -A -o wide", "E-CLI-COMMAND", "use rollcall kubectl get"},
	{"apply -f x.yaml", "E-CLI-COMMAND", "use rollcall kubectl apply"},
	{"set image ds/x a=b", "E-CLI-COMMAND", "use rollcall kubectl set"},
	{"delete ds x --cascade=orphan", "E-CLI-COMMAND", "use rollcall kubectl delete"},
	{"rollout undo ds/x --to-revision 1", "E-CLI-COMMAND", "use rollcall kubectl rollout undo"},
	{"rollout history ds/x", "E-CLI-COMMAND", "use rollcall kubectl rollout history"},
	{"rollout restart ds/x -n y", "E-CLI-COMMAND", "use rollcall kubectl rollout restart"},
	{"node delete x", "E-CLI-COMMAND", "use rollcall kubectl delete node"},
	{"node cordon x", "E-CLI-COMMAND", "use rollcall kubectl cordon"},
	{"node uncordon x", "E-CLI-COMMAND", "use rollcall kubectl uncordon"},
	{"node label x a=b", "E-CLI-COMMAND", "use rollcall kubectl label node"},
	{"node taint x a=b:NoExecute", "E-CLI-COMMAND", "use rollcall kubectl taint node"},
}

// TestRefusals holds what is refused against its code before any command runs
// (C1-C13, C17).
func TestRefusals(t *testing.T) {
	sandbox(t)
	for _, c := range refusals {
		var out, errs bytes.Buffer
		code := run(t.Context(), strings.Fields(c.args), strings.NewReader(""), &out, &errs)
		line := errs.String()
		if code != events.ExitInput || out.Len() > 0 || !strings.HasPrefix(line, "error: "+c.code+": ") ||
			!strings.Contains(line, c.has) || strings.Count(line, "\n") != 1 {
			t.Errorf("rollcall %s: exit code %d, output %q, error %q; want %s with %q", c.args, code, out.String(), line, c.code, c.has)
		}
	}
}

// TestHelp: help is an answer: on the output, with exit code 0, also that of a
// command that only has commands under it.
//
// finding U12
func TestHelp(t *testing.T) {
	for _, args := range []string{"", "node", "rollout", "--help", "up --help", "help", "help node add", "help exit-codes", "help codes", "help examples",
		"help E-CLI-FLAG", "help e-log-gap", "help example:fluentd", "--version", "version", "completion bash", "completion zsh", "completion fish", "completion powershell"} {
		var out, errs bytes.Buffer
		code := run(t.Context(), strings.Fields(args), strings.NewReader(""), &out, &errs)
		if code != 0 || out.Len() == 0 || errs.Len() > 0 {
			t.Errorf("rollcall %s: exit code %d, output %.100q, error %q", args, code, out.String(), errs.String())
		}
	}
}

// TestVersionText: what is asked for in a report of a bug is there, and the commit
// is not made up.
//
// finding U12
func TestVersionText(t *testing.T) {
	for _, want := range []string{"rollcall ", "\ncommit unknown", "\nKubernetes " + kubernetesVersion, "\nnats-server 2.", "\nGo go1."} {
		if text := versionText(); !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	defer func(v, c string) { buildVersion, buildCommit = v, c }(buildVersion, buildCommit)
	buildVersion, buildCommit = "v9", "abc"
	if text := versionText(); !strings.HasPrefix(text, "rollcall v9\ncommit abc\n") {
		t.Errorf("what the linker was told is not printed:\n%s", text)
	}
}

// TestReport holds the line and the exit code of every class of error.
//
// finding U12
func TestReport(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		line string
	}{
		{nil, 0, ""},
		{&events.Error{Code: "E-X", What: "w", Where: "p", Why: "y", Do: "d", Exit: events.ExitBusy}, 4, "error: E-X: w (p): y; d\n"},
		{&events.Error{Code: "E-X", What: "w"}, 1, "error: E-X: w\n"},
		{errors.Join(errors.New("around"), &events.Error{Code: "E-X", What: "two\nlines", Exit: 3}), 3, "error: E-X: two lines\n"},
		{errors.New("some\n\tthing"), 1, "error: E-CLI-FAILED: some thing\n"},
		{context.Canceled, 130, "error: E-CLI-STOPPED: stopped before it was done\n"},
		{fmt.Errorf("look at it: %w", context.DeadlineExceeded), 124, "error: E-CLI-TIMEOUT: look at it: context deadline exceeded\n"},
		{errRolloutTimeout, 124, "error: E-CLI-TIMEOUT: timed out waiting for the condition\n"},
		{errClosedPipe, 1, ""},
	} {
		var errs bytes.Buffer
		if code := report(t.Context(), &errs, c.err); code != c.code || errs.String() != c.line {
			t.Errorf("%v: exit code %d, %q; want %d, %q", c.err, code, errs.String(), c.code, c.line)
		}
	}
}

// TestReportOfSignals: the exit code of what was stopped is what a shell makes
// of the signal.
//
// finding U12
func TestReportOfSignals(t *testing.T) {
	for signal, want := range map[os.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(stoppedBy{signal})
		if code := report(ctx, io.Discard, ctx.Err()); code != want {
			t.Errorf("%v gives exit code %d, want %d", signal, code, want)
		}
		if !errors.Is(fmt.Errorf("a request: %w", context.Cause(ctx)), context.Canceled) {
			t.Errorf("who is stopped by %v does not see that it is no failure", signal)
		}
	}
}

// brokenWriter fails after some bytes.
type brokenWriter struct {
	after int
	err   error
}

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.after -= len(p); w.after < 0 {
		return 0, w.err
	}
	return len(p), nil
}

// TestBrokenOutput: a reader that goes away ends a command without a word, also
// one that would run for ever; a full disk is told (C16).
func TestBrokenOutput(t *testing.T) {
	tmp := sandbox(t)
	for _, c := range []struct {
		args []string
		w    brokenWriter
		line string
	}{
		{[]string{"version"}, brokenWriter{0, syscall.EPIPE}, ""},
		{[]string{"version"}, brokenWriter{0, syscall.ENOSPC}, "error: E-CLI-OUTPUT: the output cannot be written: no space left on device\n"},
		{[]string{"up", "--nodes", "1"}, brokenWriter{0, syscall.EPIPE}, ""},
		{[]string{"up", "--nodes", "1"}, brokenWriter{800, io.ErrClosedPipe}, ""},
	} {
		if c.args[0] == "up" { // a line for each change of this, until the writer is full
			c.args = append(c.args, "-f", filepath.Join("..", "..", "testdata", "manifests", "nginx.yaml"))
		}
		var errs bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		code := run(ctx, c.args, strings.NewReader(""), &c.w, &errs)
		if ctx.Err() != nil {
			t.Errorf("rollcall %v goes on without a reader", c.args)
		}
		cancel()
		if code != events.ExitFailure || errs.String() != c.line {
			t.Errorf("rollcall %v: exit code %d, error %q; want 1, %q", c.args, code, errs.String(), c.line)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

// TestStop stops an instance as Ctrl-C does, once it has said how (C20); one
// with --once has then not done what it was asked for.
func TestStop(t *testing.T) {
	for _, c := range []struct {
		args []string
		on   string
		code int
		line string
	}{
		{[]string{"up", "--nodes", "4"}, "Stop     Ctrl-C", 0, ""},
		{[]string{"up", "--nodes", "4", "--once", "-f", "-"}, "daemonset.planned", 130, "error: E-CLI-STOPPED: stopped before it was done\n"},
	} {
		tmp := sandbox(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		out := &stopWriter{on: c.on, stop: cancel}
		var errs bytes.Buffer
		if code := run(ctx, c.args, strings.NewReader(killManifest(1)), out, &errs); code != c.code || errs.String() != c.line {
			t.Errorf("%v: exit code %d, error %q", c.args, code, errs.String())
		}
		if !out.called {
			t.Errorf("%v: it ended before it said %q", c.args, c.on)
		}
		if !strings.Contains(out.all.String(), "the temporary log is deleted") {
			t.Errorf("%v: no farewell in\n%s", c.args, out.all.String())
		}
		if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
			t.Errorf("%v: temporary files are left: %v, %v", c.args, left, err)
		}
		if left, err := os.ReadDir(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "rollcall", "instances")); err != nil || len(left) > 0 {
			t.Errorf("%v: the instance is still listed: %v, %v", c.args, left, err)
		}
	}
}

// stopWriter calls stop when it is written the text on.
type stopWriter struct {
	on   string
	stop func()

	mu     sync.Mutex
	all    strings.Builder
	called bool
}

func (w *stopWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all.Write(p)
	if w.on != "" && !w.called && strings.Contains(w.all.String(), w.on) {
		w.called = true
		w.stop()
	}
	return len(p), nil
}

func (w *stopWriter) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}
