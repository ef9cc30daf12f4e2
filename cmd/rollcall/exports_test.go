package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// parsed is one package of the module: the files that it is built from, and
// all that lie in its directory, tests too.
type parsed struct {
	name  string // its path below the module
	built []*ast.File
	all   []*ast.File
}

// parseModule parses every Go file below root, those of the modules in testdata
// too, and files them by directory.
func parseModule(t *testing.T, root string) map[string]*parsed {
	t.Helper()
	ps := map[string]*parsed{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(file) != ".go" {
			return err
		}
		f, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		p := ps[dir]
		if p == nil {
			p = &parsed{name: filepath.ToSlash(dir)}
			ps[dir] = p
		}
		if p.all = append(p.all, f); !strings.HasSuffix(file, "_test.go") {
			p.built = append(p.built, f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

// usedOutside returns every name, as package path and name, that a file of
// another directory selects.
func usedOutside(ps map[string]*parsed) map[string]bool {
	used := map[string]bool{}
	for _, p := range ps {
		for _, f := range p.all {
			imports := map[string]string{}
			for _, i := range f.Imports {
				full, err := strconv.Unquote(i.Path.Value)
				if err != nil {
					continue
				}
				rel, own := strings.CutPrefix(full, module+"/")
				if !own {
					continue
				}
				as := path.Base(rel)
				if i.Name != nil {
					as = i.Name.Name
				}
				imports[as] = rel
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := s.X.(*ast.Ident); ok && imports[x.Name] != "" {
						used[imports[x.Name]+"."+s.Sel.Name] = true
					}
				}
				return true
			})
		}
	}
	return used
}

// spoken returns the names of types that the exported surface of a package
// mentions: whoever uses that surface holds values of them, named or not.
func spoken(p *parsed) map[string]bool {
	names := map[string]bool{}
	mention := func(n ast.Node) {
		if n == nil {
			return
		}
		ast.Inspect(n, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.BlockStmt:
				return false
			case *ast.Ident:
				names[x.Name] = true
			}
			return true
		})
	}
	for _, f := range p.built {
		for _, d := range f.Decls {
			switch x := d.(type) {
			case *ast.FuncDecl:
				if x.Name.IsExported() {
					mention(x.Type)
				}
			case *ast.GenDecl:
				for _, s := range x.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						if s.Name.IsExported() {
							mention(s.Type)
						}
					case *ast.ValueSpec:
						if len(s.Names) > 0 && s.Names[0].IsExported() && s.Type != nil {
							mention(s.Type)
						}
					}
				}
			}
		}
	}
	return names
}

// TestExports fails on an exported name that only its own package uses. The
// values of a type that others use, as in an enumeration, belong to the type.
func TestExports(t *testing.T) {
	ps := parseModule(t, filepath.Join("..", ".."))
	used := usedOutside(ps)
	for _, p := range ps {
		if strings.HasPrefix(p.name, "testdata/") || p.name == "cmd/rollcall" || strings.HasPrefix(p.name, ".") || strings.HasSuffix(p.name, "test") {
			continue // programs, and what tests of their own package use
		}
		mentioned := spoken(p)
		for _, f := range p.built {
			for _, d := range f.Decls {
				for _, name := range exported(d, used, mentioned, p.name) {
					t.Errorf("%s.%s is exported, and only its own package uses it", p.name, name)
				}
			}
		}
	}
}

// exported lists the exported names of a declaration that nobody outside needs.
func exported(d ast.Decl, used, mentioned map[string]bool, pkg string) (idle []string) {
	check := func(id *ast.Ident, also bool) {
		if id.IsExported() && !used[pkg+"."+id.Name] && !also {
			idle = append(idle, id.Name)
		}
	}
	switch x := d.(type) {
	case *ast.FuncDecl:
		if x.Recv == nil {
			check(x.Name, false)
		}
	case *ast.GenDecl:
		kind := "" // of a group of constants, as its first one has it
		for _, s := range x.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				check(s.Name, mentioned[s.Name.Name])
			case *ast.ValueSpec:
				if id, ok := s.Type.(*ast.Ident); ok {
					kind = id.Name
				}
				for _, n := range s.Names {
					check(n, x.Tok == token.CONST && kind != "" && (used[pkg+"."+kind] || mentioned[kind]))
				}
			}
		}
	}
	return idle
}
