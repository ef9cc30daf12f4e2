// Package shell is the small shell that answers kubectl exec in a simulated
// container: scripts parsed and expanded by mvdan.cc/sh, run by an evaluator of
// its own that knows the commands of tutorials, on files that are in memory
// alone.
//
// Nothing of the machine can be reached from here: the package imports nothing
// that opens a file, a socket or a process, which TestNothingOfTheHost holds it to.
// That is why the interpreter of mvdan.cc/sh is not used: it makes pipes and
// FIFOs, looks for commands and users of the host, and tells process numbers.
//
// What a command writes, how long it runs, and how many of them there are at once
// is bounded: by this package for memory, by who serves it for sessions and time.
package shell

import (
	"context"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"mvdan.cc/sh/v3/syntax"

	"rollcall/publisher/simkubelet/script"
)

// Container is what a shell finds in a container.
type Container struct {
	Pod, Namespace, Node, IP string
	FQDN                     string   // of the pod, if its Service gives it one
	Image                    string   // of the container
	Command                  []string // that it runs
	Started                  time.Time
	Env                      map[string]string
	Dir                      string // where commands start
	As                       script.Identity
	Search                   []string // domains in which names are looked for
	Server                   string   // the name server
	Files                    *Files
	Network                  Network
	Now                      func() time.Time
}

// Streams are what a command reads and writes. A Terminal gives what is typed
// byte by byte.
type Streams struct {
	In       io.Reader // nil: there is nothing to read
	Out, Err io.Writer
	Terminal bool
}

// banner is what a shell on a terminal says first.
const banner = "This container is simulated by rollcall: nothing runs in it, and this is a small built-in shell. Type help for what it knows.\n"

// Exit codes that a shell has for what it cannot do itself.
const (
	codeUsage    = 2
	codeRefused  = 126
	codeNotFound = 127
	codeSignal   = 128
	codeKilled   = codeSignal + 2 // interrupted
)

// Run runs a command in a container until it ends or ctx does, and returns its
// exit code.
func Run(ctx context.Context, c *Container, args []string, s Streams) int {
	if s.In == nil {
		s.In = strings.NewReader("")
	}
	sh := newState(ctx, c, s)
	if len(args) > 0 && isShell(args[0]) {
		return sh.start(args[1:], s.Terminal)
	}
	if s.Terminal {
		t := newTerminal(s.In, sh)
		sh.ctx, sh.in = t.command()
		defer t.done()
	}
	return sh.command(args)
}

// isShell reports whether a command is a shell.
func isShell(name string) bool {
	switch base(name) {
	case "sh", "bash", "ash", "dash":
		return true
	}
	return false
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// flow is what a statement does to those around it.
type flow int

const (
	on flow = iota
	breaks
	continues
	returns
	exits
)

// state is a shell while it runs: a subshell has a copy.
type state struct {
	ctx       context.Context
	container *Container
	in        io.Reader
	out, err  io.Writer

	vars   map[string]variable
	funcs  map[string]*syntax.Stmt
	params []string
	name   string // $0
	dir    string

	last    int // $?
	flow    flow
	levels  int // of loops that a break or continue is still to leave
	strict  bool
	unset   bool // is an error
	lenient int  // statements around it whose failure is looked at
	depth   int
	work    *work
}

// work counts what a session has done.
type work struct{ steps int }

// Bounds of a session.
const (
	mostDepth  = 100     // calls and subshells within each other
	mostFields = 10_000  // words of one command
	mostBytes  = 1 << 20 // of a value, of what a substitution gives, of a script
	pauseEvery = 64      // statements, so that an endless loop leaves room for others
	pause      = time.Millisecond
)

type variable struct {
	value              string
	exported, readonly bool
}

func newState(ctx context.Context, c *Container, s Streams) *state {
	sh := &state{ctx: ctx, container: c, in: s.In, out: s.Out, err: s.Err, vars: map[string]variable{}, funcs: map[string]*syntax.Stmt{},
		name: "sh", dir: c.Dir, work: &work{}}
	if sh.dir == "" {
		sh.dir = "/"
	}
	for k, v := range c.Env {
		sh.vars[k] = variable{value: v, exported: true}
	}
	for k, v := range map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "PWD": sh.dir} {
		if _, there := sh.vars[k]; !there || k == "PWD" {
			sh.vars[k] = variable{value: v, exported: true}
		}
	}
	return sh
}

// copy is a subshell.
func (s *state) copy() *state {
	c := *s
	c.vars, c.funcs = maps.Clone(s.vars), maps.Clone(s.funcs)
	c.levels = 0
	return &c
}

// start runs a shell with arguments.
func (s *state) start(args []string, terminal bool) int {
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		flags := args[0]
		args = args[1:]
		if flags == "--" {
			break
		}
		if strings.HasPrefix(flags, "--") {
			continue // of bash, about files that are not there
		}
		s.option(flags)
		if strings.Contains(flags, "c") {
			if len(args) == 0 {
				return s.fail(codeUsage, "sh: -c requires an argument")
			}
			if len(args) > 1 {
				s.name, s.params = args[1], args[2:]
			}
			return s.script(strings.NewReader(args[0]))
		}
	}
	if len(args) > 0 {
		text, err := s.container.Files.Read(s.path(args[0]))
		if err != nil {
			return s.fail(codeNotFound, "sh: %s: %v", args[0], err)
		}
		s.name, s.params = args[0], args[1:]
		return s.script(strings.NewReader(string(text)))
	}
	if terminal {
		return s.interactive()
	}
	in := s.in
	s.in = strings.NewReader("")
	return s.script(in)
}

// script runs what is read, statement by statement.
func (s *state) script(r io.Reader) int {
	p := syntax.NewParser()
	for stmt, err := range p.StmtsSeq(io.LimitReader(r, mostBytes)) {
		if err != nil {
			return s.fail(codeUsage, "sh: %v", err)
		}
		s.stmt(stmt)
		if s.flow != on {
			break
		}
	}
	return s.last
}

// fail says why something did not work, and returns the code for it.
func (s *state) fail(code int, format string, args ...any) int {
	fmt.Fprintf(s.err, format+"\n", args...)
	return code
}

// path returns a path from the root.
func (s *state) path(p string) string {
	if !strings.HasPrefix(p, "/") {
		p = s.dir + "/" + p
	}
	return clean(p)
}

// step counts a statement, and reports whether the session goes on.
func (s *state) step() bool {
	if s.work.steps++; s.work.steps%pauseEvery == 0 {
		s.sleep(pause)
	}
	return s.ctx.Err() == nil
}

// sleep waits, unless the session ends before.
func (s *state) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}
