package shell

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

var (
	errTooLong  = errors.New("that is more than a simulated container keeps")
	errReadOnly = errors.New("is read only")
)

// config is how words are expanded: by variables and files of the container alone.
func (s *state) config() *expand.Config {
	return &expand.Config{Env: environ{s}, CmdSubst: s.substitute, ReadDir2: s.container.Files.entries(s.dir), NoUnset: s.unset,
		ProcSubst: func(*syntax.ProcSubst) (string, error) {
			return "", errors.New("<() and >() do not work in a simulated container")
		}}
}

// environ are the variables of a shell as words see them.
type environ struct{ *state }

var _ expand.WriteEnviron = environ{}

// Get implements expand.Environ.
func (e environ) Get(name string) expand.Variable {
	text := func(v string) expand.Variable { return expand.Variable{Set: true, Kind: expand.String, Str: v} }
	switch name {
	case "?":
		return text(strconv.Itoa(e.last))
	case "#":
		return text(strconv.Itoa(len(e.params)))
	case "@", "*":
		return expand.Variable{Set: true, Kind: expand.Indexed, List: append([]string{}, e.params...)}
	case "0":
		return text(e.name)
	case "$":
		return text("42") // of a process that is not there
	case "PPID":
		return text("0")
	case "-":
		return text("")
	case "UID", "EUID":
		return text(strconv.FormatInt(e.container.As.User, 10))
	}
	if strings.HasPrefix(name, "HOME ") {
		if name == "HOME root" {
			return text("/root")
		}
		return text("/home/" + name[len("HOME "):]) // users of the host are not looked for
	}
	if n, err := strconv.Atoi(name); err == nil {
		if n >= 1 && n <= len(e.params) {
			return text(e.params[n-1])
		}
		return expand.Variable{}
	}
	v, there := e.vars[name]
	if !there {
		return expand.Variable{}
	}
	return expand.Variable{Set: true, Kind: expand.String, Str: v.value, Exported: v.exported, ReadOnly: v.readonly}
}

// Each implements expand.Environ.
func (e environ) Each(f func(string, expand.Variable) bool) {
	for _, k := range slices.Sorted(maps.Keys(e.vars)) {
		if !f(k, e.Get(k)) {
			return
		}
	}
}

// Set implements expand.WriteEnviron.
func (e environ) Set(name string, v expand.Variable) error {
	if !v.IsSet() {
		delete(e.vars, name)
		return nil
	}
	return e.set(name, v.String())
}

// set gives a variable a value.
func (s *state) set(name, value string) error {
	v := s.vars[name]
	switch {
	case v.readonly:
		return fmt.Errorf("%s: %w", name, errReadOnly)
	case len(value) > mostBytes/16 || len(s.vars) > mostFields:
		return fmt.Errorf("%s: %w", name, errTooLong)
	}
	v.value = value
	s.vars[name] = v
	return nil
}

// printEnv writes what commands are given.
func (s *state) printEnv() {
	for _, k := range slices.Sorted(maps.Keys(s.vars)) {
		if v := s.vars[k]; v.exported {
			fmt.Fprintf(s.out, "%s=%s\n", k, v.value)
		}
	}
}

// fields are the words of a command, expanded.
func (s *state) fields(words []*syntax.Word) (all []string, ok bool) {
	bytes := 0
	for f, err := range expand.FieldsSeq(s.config(), words...) {
		if err == nil && (len(all) >= mostFields || bytes > mostBytes) {
			err = errTooLong
		}
		if err != nil {
			s.last = s.fail(1, "sh: %v", err)
			if _, is := err.(expand.UnsetParameterError); is {
				s.flow = exits
			}
			return nil, false
		}
		bytes += len(f)
		all = append(all, f)
	}
	return all, true
}

// substitute runs the commands of $(...), and writes what they write.
func (s *state) substitute(w io.Writer, c *syntax.CmdSubst) error {
	var out limited
	code := s.subshell(func(sub *state) {
		sub.out = &out
		sub.list(c.Stmts)
	})
	s.last = code
	if out.full {
		return errTooLong
	}
	_, err := w.Write(out.Bytes())
	return err
}

// limited is what a substitution gives, as much as is kept.
type limited struct {
	bytes.Buffer
	full bool
}

// Write implements io.Writer.
func (l *limited) Write(b []byte) (int, error) {
	if l.Len()+len(b) > mostBytes {
		l.full = true
		return 0, errTooLong
	}
	return l.Buffer.Write(b)
}

// option sets what set and sh take as flags.
func (s *state) option(flags string) {
	is := flags[0] == '-'
	for _, f := range flags[1:] {
		switch f {
		case 'e':
			s.strict = is
		case 'u':
			s.unset = is
		}
	}
}

// compile returns a regular expression, or nil.
func compile(expr string) *regexp.Regexp {
	r, err := regexp.Compile(expr)
	if err != nil {
		return nil
	}
	return r
}

// entries is how patterns see directories.
func (f *Files) entries(dir string) func(string) ([]fs.DirEntry, error) {
	return func(path string) ([]fs.DirEntry, error) {
		if !strings.HasPrefix(path, "/") {
			path = dir + "/" + path
		}
		list, err := f.List(clean(path))
		var all []fs.DirEntry
		for _, i := range list {
			all = append(all, fs.FileInfoToDirEntry(i))
		}
		return all, err
	}
}
