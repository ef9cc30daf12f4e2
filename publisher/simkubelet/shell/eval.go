package shell

import (
	"io"
	"sync"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/pattern"
	"mvdan.cc/sh/v3/syntax"
)

func (s *state) list(stmts []*syntax.Stmt) {
	for _, stmt := range stmts {
		if s.flow != on {
			return
		}
		s.stmt(stmt)
	}
}

func (s *state) stmt(stmt *syntax.Stmt) {
	if !s.step() {
		s.last, s.flow = codeKilled, exits
		return
	}
	if stmt.Background {
		// It would outlive its session: it is done at once, as what takes no time.
		s.last = s.fail(codeRefused, "sh: commands in the background do not run in a simulated container")
		return
	}
	in, out, errs := s.in, s.out, s.err
	close, ok := s.redirect(stmt.Redirs)
	if ok {
		if stmt.Negated {
			s.lenient++
		}
		s.cmd(stmt.Cmd)
		if stmt.Negated {
			s.lenient--
			s.last = truth(s.last != 0)
		}
	}
	if err := close(); err != nil {
		s.err = errs
		s.last = s.fail(1, "sh: %v", err)
	}
	s.in, s.out, s.err = in, out, errs
	if s.strict && s.lenient == 0 && s.last != 0 && s.flow == on {
		s.flow = exits
	}
}

func truth(ok bool) int {
	if ok {
		return 0
	}
	return 1
}

func (s *state) cmd(c syntax.Command) {
	switch c := c.(type) {
	case nil:
		s.last = 0
	case *syntax.CallExpr:
		s.call(c)
	case *syntax.Block:
		s.list(c.Stmts)
	case *syntax.Subshell:
		s.last = s.subshell(func(sub *state) { sub.list(c.Stmts) })
	case *syntax.BinaryCmd:
		s.binary(c)
	case *syntax.IfClause:
		s.branch(c)
	case *syntax.WhileClause:
		s.while(c)
	case *syntax.ForClause:
		s.loop(c)
	case *syntax.CaseClause:
		s.choose(c)
	case *syntax.FuncDecl:
		s.funcs[c.Name.Value] = c.Body
		s.last = 0
	case *syntax.DeclClause:
		s.declare(c)
	case *syntax.ArithmCmd:
		n, err := expand.Arithm(s.config(), c.X)
		if err != nil {
			s.last = s.fail(1, "sh: %v", err)
			return
		}
		s.last = truth(n != 0)
	default:
		s.last = s.fail(codeUsage, "sh: this simulated container's shell does not know that kind of command; write it for sh")
	}
}

// subshell runs something that changes nothing here.
func (s *state) subshell(f func(*state)) int {
	sub := s.copy()
	if sub.depth++; sub.depth > mostDepth {
		return s.fail(codeUsage, "sh: too deep")
	}
	f(sub)
	return sub.last
}

func (s *state) binary(c *syntax.BinaryCmd) {
	switch c.Op {
	case syntax.AndStmt, syntax.OrStmt:
		s.lenient++
		s.stmt(c.X)
		s.lenient--
		if s.flow == on && (s.last == 0) == (c.Op == syntax.AndStmt) {
			s.stmt(c.Y)
		}
	case syntax.Pipe, syntax.PipeAll:
		s.pipe(c)
	default:
		s.last = s.fail(codeUsage, "sh: %s does not work in a simulated container", c.Op)
	}
}

// pipe runs two statements, the second reads what the first writes. What the first
// still writes after the second has ended goes nowhere, and ends it.
func (s *state) pipe(c *syntax.BinaryCmd) {
	r, w := io.Pipe()
	left, right := s.copy(), s.copy()
	left.work = &work{} // it runs beside
	left.out = w
	if c.Op == syntax.PipeAll {
		left.err = w
	}
	right.in = r
	var both sync.WaitGroup
	both.Go(func() {
		left.stmt(c.X)
		_ = w.Close() // it cannot fail
	})
	right.stmt(c.Y)
	_ = r.Close() // it cannot fail
	both.Wait()
	s.last = right.last
}

func (s *state) branch(c *syntax.IfClause) {
	for ; c != nil; c = c.Else {
		if len(c.Cond) == 0 { // else
			s.list(c.Then)
			return
		}
		if s.condition(c.Cond) {
			s.list(c.Then)
			return
		}
		if s.flow != on {
			return
		}
	}
	s.last = 0
}

// condition runs statements whose failure is no error.
func (s *state) condition(stmts []*syntax.Stmt) bool {
	s.lenient++
	s.list(stmts)
	s.lenient--
	return s.last == 0 && s.flow == on
}

func (s *state) while(c *syntax.WhileClause) {
	last := 0
	for s.flow == on && s.condition(c.Cond) != c.Until && s.flow == on {
		s.list(c.Do)
		last = s.last
		if !s.again() {
			break
		}
	}
	if s.flow == on {
		s.last = last
	}
}

// again reports whether a loop goes on after its body.
func (s *state) again() bool {
	switch {
	case s.flow == on:
		return true
	case s.flow == returns || s.flow == exits:
		return false
	}
	if s.levels--; s.levels > 0 {
		return false
	}
	goes := s.flow == continues
	s.flow = on
	return goes
}

func (s *state) loop(c *syntax.ForClause) {
	s.last = 0
	switch l := c.Loop.(type) {
	case *syntax.WordIter:
		items := s.params
		if l.InPos.IsValid() {
			var ok bool
			if items, ok = s.fields(l.Items); !ok {
				return
			}
		}
		for _, item := range items {
			s.set(l.Name.Value, item)
			s.list(c.Do)
			if !s.again() {
				return
			}
		}
	case *syntax.CStyleLoop:
		for ok := s.arithm(l.Init, 1) != nil; ok && s.flow == on; ok = s.arithm(l.Post, 1) != nil {
			if n := s.arithm(l.Cond, 1); n == nil || *n == 0 || !s.step() {
				return
			}
			s.list(c.Do)
			if !s.again() {
				return
			}
		}
	}
}

// arithm is the value of an expression, or what it is without one; nil: it is none.
func (s *state) arithm(x syntax.ArithmExpr, without int) *int {
	if x == nil {
		return &without
	}
	n, err := expand.Arithm(s.config(), x)
	if err != nil {
		s.last = s.fail(1, "sh: %v", err)
		return nil
	}
	return &n
}

func (s *state) choose(c *syntax.CaseClause) {
	word, err := expand.Literal(s.config(), c.Word)
	if err != nil {
		s.last = s.fail(1, "sh: %v", err)
		return
	}
	s.last = 0
	for _, item := range c.Items {
		for _, p := range item.Patterns {
			text, err := expand.Pattern(s.config(), p)
			if err != nil {
				s.last = s.fail(1, "sh: %v", err)
				return
			}
			if matchPattern(text, word) {
				s.list(item.Stmts)
				return
			}
		}
	}
}

// matchPattern reports whether a pattern of a shell is all of a text.
func matchPattern(p, text string) bool {
	expr, err := pattern.Regexp(p, pattern.EntireString)
	return err == nil && compile(expr) != nil && compile(expr).MatchString(text)
}

// declare handles export, readonly, local and unset's relatives.
func (s *state) declare(c *syntax.DeclClause) {
	s.last = 0
	for _, a := range c.Args {
		if a.Name == nil {
			continue // a flag
		}
		if !a.Naked {
			if !s.assign(a) {
				return
			}
		}
		v := s.vars[a.Name.Value]
		v.exported = v.exported || c.Variant.Value == "export"
		v.readonly = v.readonly || c.Variant.Value == "readonly"
		s.vars[a.Name.Value] = v
	}
	if len(c.Args) == 0 {
		s.printEnv()
	}
}

func (s *state) assign(a *syntax.Assign) bool {
	if a.Array != nil || a.Index != nil {
		s.last = s.fail(codeUsage, "sh: there are no arrays in a simulated container")
		return false
	}
	value := ""
	if a.Value != nil {
		var err error
		if value, err = expand.Literal(s.config(), a.Value); err != nil {
			s.last = s.fail(1, "sh: %v", err)
			return false
		}
	}
	if a.Append {
		value = s.vars[a.Name.Value].value + value
	}
	if err := s.set(a.Name.Value, value); err != nil {
		s.last = s.fail(1, "sh: %v", err)
		return false
	}
	return true
}

// call runs a command with its assignments.
func (s *state) call(c *syntax.CallExpr) {
	args, ok := s.fields(c.Args)
	if !ok {
		return
	}
	if len(args) == 0 {
		if s.last = 0; len(c.Args) > 0 {
			return
		}
		for _, a := range c.Assigns {
			if !s.assign(a) {
				return
			}
		}
		return
	}
	was := map[string]*variable{}
	for _, a := range c.Assigns {
		if old, there := s.vars[a.Name.Value]; there {
			was[a.Name.Value] = &old
		} else {
			was[a.Name.Value] = nil
		}
		if !s.assign(a) {
			return
		}
		v := s.vars[a.Name.Value]
		v.exported = true
		s.vars[a.Name.Value] = v
	}
	s.last = s.command(args)
	for k, v := range was {
		if v == nil {
			delete(s.vars, k)
		} else {
			s.vars[k] = *v
		}
	}
}

// function runs one that the script has made.
func (s *state) function(body *syntax.Stmt, args []string) int {
	if s.depth++; s.depth > mostDepth {
		s.depth--
		return s.fail(codeUsage, "sh: too deep")
	}
	was := s.params
	s.params = args
	s.stmt(body)
	s.params, s.depth = was, s.depth-1
	if s.flow == returns {
		s.flow = on
	}
	return s.last
}
