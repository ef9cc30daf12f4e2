package script

import (
	"bytes"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

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
			if a.Name != nil && c.Variant.Value == "export" {
				r.exported[a.Name.Value] = true
			}
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
