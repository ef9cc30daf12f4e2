package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/events/waittest"
)

// TestMain lets the test binary be the program: called as rollcall, or as
// kubectl, it is. It writes no lines of progress, and a shell has time for what it is
// offered.
func TestMain(m *testing.M) {
	progressEvery, completionTime = 24*time.Hour, time.Hour
	stopAt(os.Getenv(stopEnv), syscall.SIGTERM)
	stopAt(os.Getenv(killEnv), syscall.SIGKILL)
	testscript.Main(m, map[string]func(){"rollcall": main, kubectlName: main})
}

// patience bounds a wait for what comes by itself.
var patience = waittest.Patience

// process is a rollcall that runs beside the test, with its output so far.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu      sync.Mutex
	out     bytes.Buffer
	seen    int           // of out, by sees
	changed chan struct{} // closed and made anew when there is more output
}

// startProcess runs the test binary as rollcall. It is killed at the end of the
// test if it still runs.
func startProcess(dir string, env []string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startCommand(dir, env, append([]string{"rollcall"}, args...), self)
}

// startCommand runs a program, which is its first argument or at path.
func startCommand(dir string, env, args []string, path ...string) (*process, error) {
	p := &process{cmd: exec.Command(append(path, args[0])[0]), done: make(chan struct{}), changed: make(chan struct{})}
	p.cmd.Args = args
	p.cmd.Dir, p.cmd.Env = dir, env
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the exit code is in the process's state
	}()
	return p, nil
}

// Write implements io.Writer for what the process prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out.Write(b)
	close(p.changed)
	p.changed = make(chan struct{})
	return len(b), nil
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// sees waits until the output holds a match after those that it saw before.
func (p *process) sees(pattern string) error {
	_, err := p.finds(pattern)
	return err
}

// finds is sees, and returns the match and its groups.
func (p *process) finds(pattern string) ([]string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	late := time.After(patience)
	for {
		p.mu.Lock()
		changed := p.changed
		rest := p.out.String()[p.seen:]
		if at := re.FindStringIndex(rest); at != nil {
			p.seen += at[1]
			p.mu.Unlock()
			return re.FindStringSubmatch(rest), nil
		}
		p.mu.Unlock()
		select {
		case <-changed:
		case <-p.done:
			if m := re.FindStringSubmatch(p.output()[p.seen:]); m != nil {
				return m, nil
			}
			return nil, fmt.Errorf("it ended without %q:\n%s", pattern, p.output())
		case <-late:
			return nil, fmt.Errorf("no %q in:\n%s", pattern, p.output())
		}
	}
}

// end sends a signal, 0 for none, and waits for the exit code; -1: killed.
func (p *process) end(signal syscall.Signal) (code int, err error) {
	if signal != 0 {
		if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return 0, err
		}
	}
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(patience):
		return 0, errors.Join(fmt.Errorf("it does not end:\n%s", p.output()), p.cmd.Process.Kill())
	}
}

// kill ends it for good, whatever it does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}
