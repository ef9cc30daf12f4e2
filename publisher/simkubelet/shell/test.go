package shell

import (
	"slices"
	"strconv"
)

// test is test and [.
func (s *state) test(args []string) int {
	if len(args) > 0 && args[0] == "[" {
		if args[len(args)-1] != "]" {
			return s.fail(codeUsage, "sh: [: missing ]")
		}
		args = args[1 : len(args)-1]
	}
	t := tester{s, args, true}
	is := t.or()
	if !t.ok || len(t.rest) > 0 {
		return s.fail(codeUsage, "sh: test: bad expression")
	}
	return truth(is)
}

// tester reads an expression of test.
type tester struct {
	*state
	rest []string
	ok   bool
}

func (t *tester) is(word string) bool {
	if len(t.rest) > 0 && t.rest[0] == word {
		t.rest = t.rest[1:]
		return true
	}
	return false
}

func (t *tester) or() bool {
	v := t.and()
	for t.is("-o") {
		v = t.and() || v
	}
	return v
}

func (t *tester) and() bool {
	v := t.not()
	for t.is("-a") {
		v = t.not() && v
	}
	return v
}

func (t *tester) not() bool {
	if len(t.rest) > 1 && t.is("!") {
		return !t.not()
	}
	return t.primary()
}

var comparisons = []string{"=", "==", "!=", "-eq", "-ne", "-lt", "-le", "-gt", "-ge"}

func (t *tester) primary() bool {
	switch {
	case len(t.rest) == 0:
		return false
	case len(t.rest) >= 3 && slices.Contains(comparisons, t.rest[1]):
		a, op, b := t.rest[0], t.rest[1], t.rest[2]
		t.rest = t.rest[3:]
		return t.compare(a, op, b)
	case len(t.rest) >= 2 && len(t.rest[0]) == 2 && t.rest[0][0] == '-':
		op, x := t.rest[0][1], t.rest[1]
		t.rest = t.rest[2:]
		return t.unary(op, x)
	}
	if t.is("(") {
		v := t.or()
		t.ok = t.is(")") && t.ok
		return v
	}
	x := t.rest[0]
	t.rest = t.rest[1:]
	return x != ""
}

func (t *tester) compare(a, op, b string) bool {
	switch op {
	case "=", "==":
		return a == b
	case "!=":
		return a != b
	}
	x, err := strconv.Atoi(a)
	y, err2 := strconv.Atoi(b)
	t.ok = t.ok && err == nil && err2 == nil
	switch op {
	case "-eq":
		return x == y
	case "-ne":
		return x != y
	case "-lt":
		return x < y
	case "-le":
		return x <= y
	case "-gt":
		return x > y
	}
	return x >= y
}

func (t *tester) unary(op byte, x string) bool {
	switch op {
	case 'z':
		return x == ""
	case 'n':
		return x != ""
	}
	i, err := t.container.Files.Stat(t.path(x))
	switch op {
	case 'e', 'r', 'x':
		return err == nil
	case 'w':
		return err == nil && t.container.Files.writable(t.path(x))
	case 'f':
		return err == nil && !i.IsDir()
	case 'd':
		return err == nil && i.IsDir()
	case 's':
		return err == nil && i.Size() > 0
	case 'h', 'L', 'p', 'S', 'b', 'c':
		return false
	}
	t.ok = false
	return false
}

func (f *Files) writable(path string) bool {
	m, _ := f.at(path)
	return !m.ReadOnly && !m.Tree.ReadOnly
}
