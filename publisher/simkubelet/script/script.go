// Package script plays what a container is told to run, in virtual time: how
// long it takes, how it ends and what it writes. It runs nothing: it
// understands sleeping, writing, ending and the shell around them, and takes
// every other command for work.
//
// The package is pure: the same command gives the same play.
package script

import (
	"bytes"
	"path"
	"strings"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// Forever is the length of what does not end.
const Forever = time.Duration(1<<63 - 1)

// Program is what a container is told to run.
type Program struct {
	Args []string          // the command and its arguments
	Env  map[string]string // of the process
	Work time.Duration     // how long a command takes that is not understood; Forever is allowed
}

// Line is one line that a program writes.
type Line struct {
	At   time.Duration // after the start
	Text string
}

// Play is a program from its start until a moment.
type Play struct {
	Lines []Line
	Ended bool          // it ended by then
	After time.Duration // how long it ran, if it ended
	Code  int32         // its exit code, if it ended
	Next  time.Duration // when it writes next, if it has not ended; Forever if it does not
}

// Understood reports whether a program says by itself what it does: a program
// of which nothing is understood does what the image is for.
func Understood(args []string) bool {
	if len(args) == 0 {
		return false
	}
	return known(path.Base(args[0]))
}

// Play runs a program that starts at start until it has run for so long.
func (p Program) Play(start time.Time, until time.Duration) Play {
	r := &run{program: p, start: start, until: until, vars: map[string]string{}, records: true, limit: maxSteps}
	return r.play()
}

// Outcome returns how long a program runs and how it ends. What does not end
// runs Forever.
func (p Program) Outcome() (after time.Duration, code int32) {
	r := &run{program: p, until: Forever - 1, vars: map[string]string{}, limit: planSteps}
	play := r.play()
	if !play.Ended {
		return Forever, 0
	}
	return play.After, play.Code
}

// Bounds of one play, so that a loop that waits for nothing has an end, and a
// chatty one fits in memory: the last lines are kept.
const (
	maxSteps  = 200_000
	planSteps = 5_000 // when nobody reads: a loop that goes on for longer has no end
	maxLines  = 5_000
	maxLine   = 16 << 10 // bytes; a runtime cuts lines so
	maxDepth  = 64
)

// run is a program under way.
type run struct {
	program Program
	start   time.Time
	until   time.Duration
	records bool // somebody reads the lines

	now     time.Duration
	steps   int
	limit   int // of steps
	depth   int
	vars    map[string]string
	strict  bool // set -e
	lenient int  // inside a condition, where set -e does not count

	out     *bytes.Buffer // nil: the container's own output
	partial bytes.Buffer  // of a line that is not complete
	lines   []Line
	code    int32
	flow    flow
	levels  int // of break and continue that are left
	next    time.Duration
}

// flow is why the commands that follow are not run.
type flow int

const (
	on      flow = iota
	ended        // exit
	stopped      // the moment until which to play is past, or nothing more happens
	breaks
	continues
)

func (r *run) play() Play {
	r.next = Forever
	r.command(r.program.Args)
	p := Play{After: r.now, Code: r.code}
	if r.flow != stopped && r.now <= r.until {
		p.Ended = true
		r.newline()
	} else {
		p.Next = r.next
	}
	p.Lines = r.lines
	return p
}

// wait lets time pass.
func (r *run) wait(d time.Duration) {
	if d >= Forever-r.now || r.now+d > r.until {
		if d < Forever-r.now {
			r.next = r.now + d // whatever it writes is not before
		}
		r.flow = stopped
		return
	}
	r.now += max(d, 0)
}

// step counts what is done, and reports whether to go on.
func (r *run) step() bool {
	if r.steps++; r.steps > r.limit {
		r.flow = stopped
	}
	return r.flow == on
}

// write is output to where output goes now.
func (r *run) write(text string) {
	if r.out != nil {
		r.out.WriteString(text)
		return
	}
	if !r.records {
		return
	}
	for {
		line, rest, complete := strings.Cut(text, "\n")
		if r.partial.Len() < maxLine {
			r.partial.WriteString(line)
		}
		if !complete {
			return
		}
		r.add()
		text = rest
	}
}

func (r *run) add() {
	if len(r.lines) >= 2*maxLines {
		r.lines = append(r.lines[:0], r.lines[maxLines:]...)
	}
	r.lines = append(r.lines, Line{r.now, r.partial.String()})
	r.partial.Reset()
}

// newline ends a line that is not complete.
func (r *run) newline() {
	if r.partial.Len() > 0 {
		r.add()
	}
}

// shell runs a script as sh -c does.
func (r *run) shell(text string) {
	if r.depth++; r.depth > maxDepth {
		r.flow = stopped
		return
	}
	defer func() { r.depth-- }()
	file, err := syntax.NewParser().Parse(strings.NewReader(text), "")
	if err != nil {
		r.write("sh: syntax error\n")
		r.code = 2
		return
	}
	r.list(file.Stmts)
}

func (r *run) list(stmts []*syntax.Stmt) {
	for _, s := range stmts {
		if r.flow != on {
			return
		}
		r.stmt(s)
	}
}

func (r *run) stmt(s *syntax.Stmt) {
	if !r.step() {
		return
	}
	if s.Background {
		r.code = 0 // it runs beside; what it writes is not told
		return
	}
	if silent(s.Redirs) {
		was := r.out
		r.out = &bytes.Buffer{}
		defer func() { r.out = was }()
	}
	if s.Negated {
		r.lenient++
	}
	r.cmd(s.Cmd)
	if s.Negated {
		r.lenient--
		r.code = truth(r.code != 0)
	}
	if r.strict && r.lenient == 0 && r.code != 0 && r.flow == on {
		r.flow = ended
	}
}

// silent reports whether output goes somewhere else than to the container's.
func silent(rs []*syntax.Redirect) bool {
	for _, r := range rs {
		to := ""
		if r.Word != nil {
			to = r.Word.Lit()
		}
		switch r.Op.String() {
		case ">", ">>", ">|", "&>", "&>>":
			if to != "/dev/stdout" && to != "/dev/stderr" && to != "/proc/1/fd/1" && to != "/proc/1/fd/2" &&
				(r.N == nil || r.N.Value == "1") {
				return true
			}
		}
	}
	return false
}

func truth(ok bool) int32 {
	if ok {
		return 0
	}
	return 1
}

func (r *run) cmd(c syntax.Command) {
	switch c := c.(type) {
	case nil:
		r.code = 0
	case *syntax.CallExpr:
		r.call(c)
	case *syntax.Block:
		r.list(c.Stmts)
	case *syntax.Subshell:
		r.subshell(c.Stmts)
	case *syntax.BinaryCmd:
		r.binary(c)
	case *syntax.IfClause:
		r.branch(c)
	case *syntax.WhileClause:
		r.while(c)
	case *syntax.ForClause:
		r.loop(c)
	case *syntax.DeclClause:
		for _, a := range c.Args {
			r.assign(a)
		}
		r.code = 0
	default:
		r.wait(r.program.Work)
		r.code = 0
	}
}

// subshell runs commands whose exit is theirs alone.
func (r *run) subshell(stmts []*syntax.Stmt) {
	vars := r.vars
	r.vars = map[string]string{}
	for _, k := range keys(vars) {
		r.vars[k] = vars[k]
	}
	r.list(stmts)
	r.vars = vars
	if r.flow == ended {
		r.flow = on
	}
}

func (r *run) binary(c *syntax.BinaryCmd) {
	switch c.Op {
	case syntax.AndStmt, syntax.OrStmt:
		r.lenient++
		r.stmt(c.X)
		r.lenient--
		if r.flow == on && (r.code == 0) == (c.Op == syntax.AndStmt) {
			r.stmt(c.Y)
		}
	default:
		r.pipe(c)
	}
}

// pipe runs both sides; what the first writes is seen if the second passes it on.
func (r *run) pipe(c *syntax.BinaryCmd) {
	if call, ok := c.Y.Cmd.(*syntax.CallExpr); ok && len(call.Args) > 0 && !silent(c.Y.Redirs) {
		if name := call.Args[0].Lit(); name == "cat" || name == "tee" {
			r.stmt(c.X)
			return
		}
	}
	was := r.out
	r.out = &bytes.Buffer{}
	r.stmt(c.X)
	r.out = was
	if r.flow == on {
		r.stmt(c.Y)
	}
}

func (r *run) condition(stmts []*syntax.Stmt) bool {
	r.lenient++
	r.list(stmts)
	r.lenient--
	return r.code == 0
}

func (r *run) branch(c *syntax.IfClause) {
	for ; c != nil; c = c.Else {
		if len(c.Cond) == 0 || r.condition(c.Cond) && r.flow == on {
			r.code = 0
			r.list(c.Then)
			return
		}
		if r.flow != on {
			return
		}
	}
	r.code = 0
}

func (r *run) while(c *syntax.WhileClause) {
	if !r.records && r.out == nil && !c.Until && endless(c) {
		r.flow = stopped
		return
	}
	for r.step() {
		ok := r.condition(c.Cond)
		if r.flow != on || ok == c.Until {
			break
		}
		r.list(c.Do)
		if !r.again() {
			break
		}
	}
	if r.flow == on {
		r.code = 0
	}
}

// again ends one round of a loop, and reports whether another may follow.
func (r *run) again() bool {
	switch r.flow {
	case breaks, continues:
		was := r.flow
		if r.levels--; r.levels > 0 {
			return false
		}
		r.flow = on
		return was == continues
	}
	return r.flow == on
}

// endless reports whether a loop says of itself that it has no end.
func endless(c *syntax.WhileClause) bool {
	if len(c.Cond) != 1 || c.Cond[0].Negated {
		return false
	}
	call, ok := c.Cond[0].Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) != 1 || call.Args[0].Lit() != "true" && call.Args[0].Lit() != ":" {
		return false
	}
	ends := false
	for _, s := range c.Do {
		syntax.Walk(s, func(n syntax.Node) bool {
			if call, ok := n.(*syntax.CallExpr); ok && len(call.Args) > 0 {
				switch call.Args[0].Lit() {
				case "", "exit", "break", "return", "exec", "false", "set":
					ends = true
				}
			}
			return !ends
		})
	}
	return !ends
}

func (r *run) loop(c *syntax.ForClause) {
	words, ok := c.Loop.(*syntax.WordIter)
	if !ok {
		r.wait(r.program.Work)
		return
	}
	items, err := expand.Fields(r.expander(), words.Items...)
	if err != nil {
		items = nil
	}
	r.code = 0
	for _, item := range items {
		if !r.step() {
			return
		}
		r.vars[words.Name.Value] = item
		r.list(c.Do)
		if !r.again() {
			return
		}
	}
}
