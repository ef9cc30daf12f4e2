package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the sessions in testdata/script. Besides testscript's own
// commands, and kubectl, they have
//
//	start NAME ARGS...          run rollcall beside the script
//	cluster NAME ARGS...        run rollcall up with its API, or open, and point $KUBECONFIG at it when it answers
//	sees NAME REGEXP            wait for more output of it
//	interrupt NAME [CODE]       interrupt it and wait; 0 if no code is given
//	ends NAME CODE              wait for its end
//	kill9 NAME                  kill it with SIGKILL and wait
//	flip FILE OFFSET            flip a bit of the byte at OFFSET, or at -OFFSET from the end
//	tear FILE                   begin a record at the end of a block
//	holds PATH TEXT             the bytes of a directory or a recording have it, unpacked, in clear or in base64
//	refused EXIT CODE ARGS...   run rollcall, which must say one line of that code and nothing else
//
// $WEB is the URL of a web server of the script's directory.
func TestScripts(t *testing.T) {
	manifests, err := filepath.Abs(filepath.Join("..", "..", "testdata", "manifests"))
	if err != nil {
		t.Fatal(err)
	}
	recordings, err := filepath.Abs(filepath.Join("..", "..", "testdata", "recordings"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", "script"),
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "MANIFESTS="+manifests, "RECORDINGS="+recordings, "XDG_RUNTIME_DIR="+filepath.Join(e.WorkDir, "run"), "HOME="+filepath.Join(e.WorkDir, "home"))
			e.Values[processes{}] = map[string]*process{}
			web := httptest.NewServer(http.FileServer(http.Dir(e.WorkDir)))
			e.Defer(web.Close)
			e.Vars = append(e.Vars, "WEB="+web.URL)
			return os.MkdirAll(filepath.Join(e.WorkDir, "run"), 0o700)
		},
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, fmt.Errorf("unknown condition %s", name)
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": scriptStart, "cluster": scriptCluster, "sees": scriptSees, "interrupt": scriptInterrupt, "ends": scriptEnds, "refused": scriptRefused,
			"holds": scriptHolds, "kill9": scriptKill, "flip": scriptFlip, "tear": scriptTear, "tell": scriptTell,
		},
	})
}

// processes is the key under which a script keeps what it has started.
type processes struct{}

func processesOf(ts *testscript.TestScript) map[string]*process {
	return ts.Value(processes{}).(map[string]*process)
}

func scriptProcess(ts *testscript.TestScript, neg bool, args []string, least int) *process {
	if neg || len(args) < least {
		ts.Fatalf("usage: see TestScripts")
	}
	p := processesOf(ts)[args[0]]
	if p == nil {
		ts.Fatalf("%s was not started", args[0])
	}
	return p
}

func scriptEnv(ts *testscript.TestScript) []string {
	var env []string
	for _, k := range []string{"HOME", "PATH", "TMPDIR", "XDG_RUNTIME_DIR", "KUBECONFIG", dataVariable} {
		env = append(env, k+"="+ts.Getenv(k))
	}
	return env
}

func scriptStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME ARGS...")
	}
	p, err := startProcess(ts.MkAbs("."), scriptEnv(ts), args[1:]...)
	ts.Check(err)
	ts.Defer(p.kill)
	processesOf(ts)[args[0]] = p
}

func scriptCluster(ts *testscript.TestScript, neg bool, args []string) {
	scriptStart(ts, neg, args)
	export, err := processesOf(ts)[args[0]].finds(`(?m)^export KUBECONFIG=(\S+)$`)
	ts.Check(err)
	ts.Setenv("KUBECONFIG", export[1])
}

func scriptSees(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(scriptProcess(ts, neg, args, 2).sees("(?m)" + args[1]))
}

func scriptInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	scriptEnd(ts, scriptProcess(ts, neg, args, 1), append(args, "0")[1], syscall.SIGINT)
}

func scriptEnds(ts *testscript.TestScript, neg bool, args []string) {
	scriptEnd(ts, scriptProcess(ts, neg, args, 2), args[1], 0)
}

func scriptEnd(ts *testscript.TestScript, p *process, want string, signal syscall.Signal) {
	code, err := p.end(signal)
	ts.Check(err)
	if strconv.Itoa(code) != want {
		ts.Fatalf("exit code %d, want %s:\n%s", code, want, p.output())
	}
	if line := klogLine.FindString(p.output()); line != "" && p.cmd.Args[1] != kubectlName {
		ts.Fatalf("a library of Kubernetes has logged: %s", line)
	}
}

// klogLine is a line of the log of Kubernetes' libraries.
var klogLine = regexp.MustCompile(`(?m)^[IWEF]\d{4} \d\d:\d\d:\d\d\..*$`)

func scriptRefused(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: refused EXIT CODE ARGS...")
	}
	err := ts.Exec("rollcall", args[2:]...)
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	code := 0
	if err != nil {
		code = exitCode(err)
	}
	switch {
	case strconv.Itoa(code) != args[0]:
		ts.Fatalf("exit code %d, want %s; stderr: %s", code, args[0], stderr)
	case !strings.HasPrefix(stderr, "error: "+args[1]+": ") || strings.Count(stderr, "\n") != 1 || !strings.HasSuffix(stderr, "\n"):
		ts.Fatalf("stderr is not one line of %s:\n%s", args[1], stderr)
	case stdout != "":
		ts.Fatalf("something was done before it was refused:\n%s", stdout)
	}
}

func exitCode(err error) int {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return e.ExitCode()
	}
	return -1
}
