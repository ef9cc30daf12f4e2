package simtest

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// plantedBug is the environment variable that names the plant of a test binary
// that has several.
const plantedBug = "ROLLCALL_PLANTED_BUG"

// switches is source in which planted bugs are behind a switch: each function
// that a plant changes is there as it is and as it is planted, and begins by
// asking which it is to be. What is compiled of it is the code as it is, unless
// the environment names a plant, and then with that plant only.
type switches struct {
	root  string
	files map[string]*switchedFile // by path
	added map[string][]byte        // files beside them, by path
}

// switchedFile is a file some of whose functions are planted.
type switchedFile struct {
	source
	cases map[*ast.FuncDecl][]string // names of plants
}

// source is a file of Go, read.
type source struct {
	text  string
	file  *ast.File
	set   *token.FileSet
	funcs map[string]*ast.FuncDecl // by receiver and name
	rest  []string                 // what else is declared, but imports
}

func newSwitches(root string) *switches {
	return &switches{root: root, files: map[string]*switchedFile{}, added: map[string][]byte{}}
}

// plant adds a plant, or says that it changes more than what functions do: such
// a plant is compiled alone.
func (s *switches) plant(name string, p patch) (bool, error) {
	type change struct {
		at      *switchedFile
		of      *ast.FuncDecl
		path    string
		planted source
		to      *ast.FuncDecl
	}
	var changes []change
	for _, f := range p.files {
		at, err := s.file(f.path(s.root))
		if err != nil {
			return false, err
		}
		text, err := f.planted(s.root)
		if err != nil {
			return false, err
		}
		planted, err := readSource(text)
		if err != nil {
			return false, err
		}
		if !slices.Equal(at.rest, planted.rest) {
			return false, nil
		}
		for _, key := range slices.Sorted(maps.Keys(planted.funcs)) {
			now, before := planted.funcs[key], at.funcs[key]
			if before != nil && at.of(before) == planted.of(now) {
				continue
			}
			if before == nil || before.Body == nil || key == "init" || at.signature(before) != planted.signature(now) {
				return false, nil
			}
			changes = append(changes, change{at: at, of: before, path: f.path(s.root), planted: planted, to: now})
		}
	}
	for i, c := range changes {
		c.at.cases[c.of] = append(c.at.cases[c.of], name)
		dir, base := filepath.Split(c.path)
		s.added[filepath.Join(dir, fmt.Sprintf("planted_%s_%d_%s", ident(name), i, base))] = c.planted.alone(c.to, name)
		s.added[filepath.Join(dir, "planted.go")] = fmt.Appendf(nil, "package %s\n\nimport \"os\"\n\nvar plantedBug = os.Getenv(%q)\n", c.at.source.file.Name, plantedBug)
	}
	return true, nil
}

func (s *switches) file(path string) (*switchedFile, error) {
	if f := s.files[path]; f != nil {
		return f, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	of, err := readSource(string(text))
	if err != nil {
		return nil, err
	}
	s.files[path] = &switchedFile{of, map[*ast.FuncDecl][]string{}}
	return s.files[path], nil
}

// texts returns what the files are to be, by path.
func (s *switches) texts() map[string][]byte {
	all := maps.Clone(s.added)
	for path, f := range s.files {
		if len(f.cases) > 0 {
			all[path] = f.switched()
		}
	}
	return all
}

func readSource(text string) (source, error) {
	s := source{text: text, set: token.NewFileSet(), funcs: map[string]*ast.FuncDecl{}}
	var err error
	if s.file, err = parser.ParseFile(s.set, "", text, parser.SkipObjectResolution); err != nil {
		return s, err
	}
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			key := d.Name.Name
			if d.Recv != nil {
				key = strings.TrimLeft(s.of(d.Recv.List[0].Type), "*") + "." + key
			}
			s.funcs[key] = d
		case *ast.GenDecl:
			if d.Tok != token.IMPORT {
				s.rest = append(s.rest, s.of(d))
			}
		}
	}
	return s, nil
}

// of returns the text of something of a file.
func (s source) of(n ast.Node) string { return s.text[s.at(n.Pos()):s.at(n.End())] }

func (s source) at(p token.Pos) int { return s.set.Position(p).Offset }

// signature is the text of what stands before a function's body.
func (s source) signature(d *ast.FuncDecl) string {
	if d.Body == nil {
		return s.of(d)
	}
	return s.text[s.at(d.Pos()):s.at(d.Body.Lbrace)]
}

// switched returns a file whose planted functions ask which they are to be.
func (f *switchedFile) switched() []byte {
	var b bytes.Buffer
	done := 0
	for _, d := range slices.SortedFunc(maps.Keys(f.cases), func(x, y *ast.FuncDecl) int { return cmp.Compare(x.Pos(), y.Pos()) }) {
		b.WriteString(f.text[done:f.at(d.Pos())])
		head, call := f.call(d)
		fmt.Fprintf(&b, "%s{ switch plantedBug {", head)
		for _, name := range f.cases[d] {
			if of := fmt.Sprintf(call, d.Name.Name+"_"+ident(name)); d.Type.Results != nil {
				fmt.Fprintf(&b, " case %q: return %s;", name, of)
			} else {
				fmt.Fprintf(&b, " case %q: %s; return;", name, of)
			}
		}
		b.WriteString(" };")
		done = f.at(d.Body.Lbrace) + 1
	}
	b.WriteString(f.text[done:])
	return b.Bytes()
}

// call returns the head of a function, each of whose arguments has a name, and a
// call with the same of a function whose name is to be filled in.
func (f *switchedFile) call(d *ast.FuncDecl) (head, call string) {
	n := 0
	named := func(l *ast.FieldList) (all, args string) {
		for i, field := range l.List {
			names := []string{}
			for _, id := range field.Names {
				names = append(names, id.Name)
			}
			if len(names) == 0 {
				names = []string{"_"}
			}
			for i := range names {
				if names[i] == "_" {
					n++
					names[i] = "unnamed" + strconv.Itoa(n)
				}
			}
			sep := ""
			if i > 0 {
				sep = ", "
			}
			all += sep + strings.Join(names, ", ") + " " + f.of(field.Type)
			args += sep + strings.Join(names, ", ")
			if _, ok := field.Type.(*ast.Ellipsis); ok {
				args += "..."
			}
		}
		return all, args
	}
	head, call = "func ", "%s"
	if d.Recv != nil {
		all, receiver := named(d.Recv)
		head, call = head+"("+all+") ", receiver+".%s"
	}
	head += d.Name.Name
	if d.Type.TypeParams != nil {
		all, args := named(d.Type.TypeParams)
		head, call = head+"["+all+"]", call+"["+args+"]"
	}
	all, args := named(d.Type.Params)
	head, call = head+"("+all+") ", call+"("+args+")"
	if d.Type.Results != nil {
		head += f.of(d.Type.Results) + " "
	}
	return head, call
}

// alone returns a file with nothing but a function as it is planted, by a name of
// its own, and the imports that it needs.
func (s source) alone(d *ast.FuncDecl, name string) []byte {
	used := map[string]bool{}
	ast.Inspect(d, func(n ast.Node) bool {
		if x, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := x.X.(*ast.Ident); ok {
				used[id.Name] = true
			}
		}
		return true
	})
	var b bytes.Buffer
	fmt.Fprintf(&b, "package %s\n\n", s.file.Name)
	for _, i := range s.file.Imports {
		if used[importName(i)] {
			fmt.Fprintf(&b, "import %s\n", s.of(i))
		}
	}
	from, to := s.at(d.Name.Pos()), s.at(d.Name.End())
	fmt.Fprintf(&b, "\n%s%s_%s%s\n", s.text[s.at(d.Pos()):from], d.Name.Name, ident(name), s.text[to:s.at(d.End())])
	return b.Bytes()
}

var versionElement = regexp.MustCompile(`^v\d+$`)

// importName is the name by which a file knows a package, if that is not another
// than its path says.
func importName(i *ast.ImportSpec) string {
	if i.Name != nil {
		return i.Name.Name
	}
	p, _ := strconv.Unquote(i.Path.Value)
	if versionElement.MatchString(path.Base(p)) {
		p = path.Dir(p)
	}
	return strings.TrimSuffix(path.Base(p), ".go")
}

// ident is a plant's name as a part of a name in Go.
func ident(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}

func TestSwitches(t *testing.T) {
	root := t.TempDir()
	const was = "package x\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\nconst c = 1\n\nfunc (n T) f(_ int, s ...string) error {\n\treturn fmt.Errorf(s[0])\n}\n\nfunc g[A any](a A) { os.Exit(1) }\n"
	if err := os.WriteFile(filepath.Join(root, "x.go"), []byte(was), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSwitches(root)
	for name, change := range map[string]string{"1-f": "-\treturn fmt.Errorf(s[0])\n+\treturn nil", "2-g": "-func g[A any](a A) { os.Exit(1) }\n+func g[A any](a A) { os.Exit(2) }"} {
		p, err := parsePatch("why\n\nKiller: S1\n\n--- a/x.go\n+++ b/x.go\n@@ @@\n" + change + "\n")
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := s.plant(name, p); !ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	for path, want := range map[string]string{
		"x.go":               "package x\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\nconst c = 1\n\nfunc (n T) f(unnamed1 int, s ...string) error { switch plantedBug { case \"1-f\": return n.f_1_f(unnamed1, s...); };\n\treturn fmt.Errorf(s[0])\n}\n\nfunc g[A any](a A) { switch plantedBug { case \"2-g\": g_2_g[A](a); return; }; os.Exit(1) }\n",
		"planted_1_f_0_x.go": "package x\n\n\nfunc (n T) f_1_f(_ int, s ...string) error {\n\treturn nil\n}\n",
		"planted_2_g_0_x.go": "package x\n\nimport \"os\"\n\nfunc g_2_g[A any](a A) { os.Exit(2) }\n",
		"planted.go":         "package x\n\nimport \"os\"\n\nvar plantedBug = os.Getenv(\"" + plantedBug + "\")\n",
	} {
		if got := string(s.texts()[filepath.Join(root, path)]); got != want {
			t.Errorf("%s is\n%s, want\n%s", path, got, want)
		}
	}
	p, err := parsePatch("why\n\nKiller: S1\n\n--- a/x.go\n+++ b/x.go\n@@ @@\n-const c = 1\n+const c = 2\n")
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := s.plant("3-c", p); ok || err != nil {
		t.Errorf("a constant is behind a switch: %v, %v", ok, err)
	}
}
