package main

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rollcall/events"
)

// said is a text in the source: a string that the program may print.
type said struct {
	text string
	at   token.Position
	hint bool // it is what an error tells to do
}

// everythingSaid returns every string of every file of the module that is no
// test.
func everythingSaid(t *testing.T) (all []said) {
	t.Helper()
	top := filepath.Join("..", "..")
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || path != top && strings.HasPrefix(d.Name(), ".") && d.Name() != ".."):
			return fs.SkipDir
		case path == filepath.Join(top, "publisher", "simkubelet", "shell"):
			return fs.SkipDir // its commands are those of other programs
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		hints := hintsOf(file)
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, said{text, fset.Position(lit.Pos()), hints[lit]})
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// hintsOf returns the strings in what is set as Do of an error, and in the last
// argument of functions that make one.
func hintsOf(file *ast.File) map[*ast.BasicLit]bool {
	found := map[*ast.BasicLit]bool{}
	mark := func(n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok {
				found[lit] = true
			}
			return true
		})
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if k, ok := n.Key.(*ast.Ident); ok && k.Name == "Do" {
				mark(n.Value)
			}
		case *ast.AssignStmt:
			for i, to := range n.Lhs {
				if s, ok := to.(*ast.SelectorExpr); ok && s.Sel.Name == "Do" && i < len(n.Rhs) {
					mark(n.Rhs[i])
				}
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && (strings.HasSuffix(f.Name, "Error") || f.Name == "suggestion") && len(n.Args) > 1 {
				mark(n.Args[len(n.Args)-1])
			}
		case *ast.ValueSpec:
			if len(n.Names) == 1 && n.Names[0].Name == "Repair" {
				mark(n.Values[0])
			}
		}
		return true
	})
	return found
}

// mention is a text that names the program, with what may be a command of it.
var mention = regexp.MustCompile("\\brollcall((?: +[a-z][a-z-]*\\b)*)([^;,`\n]*)")

// nouns follow the program's name where it is no command line. So do verbs, as
// in "rollcall reads": a word with an s that no command is like.
var nouns = []string{"cluster", "instance", "simulated", "wrote", "can", "cli"}

func prose(root *cobra.Command, word string) bool {
	var names []string
	for _, c := range root.Commands() {
		names = append(names, c.Name())
	}
	return slices.Contains(nouns, word) || strings.HasSuffix(word, "s") && len(events.Nearest(word, names, 1)) == 0
}

// flagIn finds flags in a text.
var flagIn = regexp.MustCompile(`(?:^|[\s'"(])--([a-z][a-z-]+)`)

// elsewhere are flags of others that texts name.
var elsewhere = []string{"dry-run", "server", "context", "cascade", "clusterrole", "config", "config-dir", "hostname-override", "bootstrap-kubeconfig"}

// promised are commands that do not exist.
var promised = regexp.MustCompile(`\b(export|import|restore)\b`)

// wrongHint returns what is wrong with a text that a user may follow.
func wrongHint(root *cobra.Command, s said) (wrong []string) {
	for _, m := range mention.FindAllStringSubmatch(s.text, -1) {
		words := strings.Fields(m[1])
		c := root
		for len(words) > 0 {
			next := slices.IndexFunc(c.Commands(), func(sub *cobra.Command) bool { return sub.Name() == words[0] || sub.HasAlias(words[0]) })
			if next < 0 {
				break
			}
			c, words = c.Commands()[next], words[1:]
		}
		if c == root && len(words) > 0 && !prose(root, words[0]) {
			wrong = append(wrong, "there is no command rollcall "+words[0])
		}
		if c.Name() == kubectlName && len(words) > 0 && !kubectlHas(words[0]) {
			wrong = append(wrong, "kubectl has no command "+words[0])
		}
		if c == root || c.DisableFlagParsing {
			continue
		}
		for _, f := range flagIn.FindAllStringSubmatch(m[2], -1) {
			if c.Flags().Lookup(f[1]) == nil && !strings.Contains(m[2], "without --"+f[1]) && f[1] != "help" {
				wrong = append(wrong, c.CommandPath()+" has no flag --"+f[1])
			}
		}
	}
	for _, f := range flagIn.FindAllStringSubmatch(s.text, -1) {
		if !anyHas(root, f[1]) && !slices.Contains(elsewhere, f[1]) {
			wrong = append(wrong, "no command has a flag --"+f[1])
		}
	}
	if rest := strings.NewReplacer("export line", "", "record export", "", "record import", "").Replace(s.text); s.hint && promised.MatchString(rest) {
		wrong = append(wrong, "it promises to "+promised.FindString(rest))
	}
	return wrong
}

// anyHas reports whether a command under c has a flag.
func anyHas(c *cobra.Command, name string) bool {
	if name == "help" || name == "version" || c.Flags().Lookup(name) != nil {
		return true
	}
	return slices.ContainsFunc(c.Commands(), func(sub *cobra.Command) bool { return anyHas(sub, name) })
}

func testRoot() *cobra.Command {
	root := (&session{}).root()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

// TestHints: what errors and other texts tell to do can be done: every command
// and every flag that a string of the program names exists.
//
// finding U8
func TestHints(t *testing.T) {
	root := testRoot()
	hints := 0
	for _, s := range everythingSaid(t) {
		if s.hint {
			hints++
		}
		for _, w := range wrongHint(root, s) {
			t.Errorf("%s: %q: %s", s.at, s.text, w)
		}
	}
	for _, k := range codes() {
		hints++
		for _, w := range append(wrongHint(root, said{text: k.cause}), wrongHint(root, said{text: k.do, hint: true})...) {
			t.Errorf("docs/CODES.md, %s: %s", k.code, w)
		}
	}
	if hints < 200 {
		t.Errorf("only %d hints were found: does this test still see them?", hints)
	}
}

// TestHintsSeesWrong plants hints that cannot be followed.
//
// finding U8
func TestHintsSeesWrong(t *testing.T) {
	root := testRoot()
	for _, text := range []string{"restore the log from an export", "use the program that wrote it, or export and import", "rollcall export it",
		"list them with rollcall gte ds", "see rollcall logs", "start it with rollcall up --dta DIR", "give --dataa", "run `rollcall verifi` on it",
		"list them with rollcall kubectl gte ds", "see rollcall kubectl hystory ds/NAME"} {
		if wrongHint(root, said{text: text, hint: true}) == nil {
			t.Errorf("%q is taken for good", text)
		}
	}
	for _, text := range []string{"start one with rollcall up --data DIR", "no rollcall instance answers", "use the export line that rollcall up has printed",
		"write rollcall node add NAME --label a=b; give --nats-url", "start rollcall up without --listen none, or give --kubeconfig"} {
		if w := wrongHint(root, said{text: text, hint: true}); w != nil {
			t.Errorf("%q: %v", text, w)
		}
	}
}

// TestCodes: every code that the program can print is explained, and nothing
// else is.
//
// finding U12
func TestCodes(t *testing.T) {
	used := map[string]token.Position{}
	code := regexp.MustCompile(`\bE-[A-Z]+-[A-Z0-9]+\b`)
	for _, s := range everythingSaid(t) {
		if filepath.Base(s.at.Filename) == "help.go" {
			continue // an example of asking for one
		}
		for _, c := range code.FindAllString(s.text, -1) {
			used[c] = s.at
		}
	}
	explained, parts := map[string]bool{}, map[string]string{}
	last := ""
	for _, k := range codes() {
		area := strings.Split(k.code, "-")[1]
		if parts[area] == "" {
			parts[area] = k.part
		}
		switch {
		case k.code <= last:
			t.Errorf("%s stands after %s, or twice", k.code, last)
		case k.part == "" || k.part != parts[area]:
			t.Errorf("%s stands under %q, others of %s under %q", k.code, k.part, area, parts[area])
		case k.means == "" || k.cause == "" || k.do == "":
			t.Errorf("%s is not explained whole", k.code)
		case strings.HasSuffix(k.means, ".") || strings.HasSuffix(k.cause, ".") || strings.HasSuffix(k.do, "."):
			t.Errorf("%s: its texts end with the full stop that is added", k.code)
		}
		last, explained[k.code] = k.code, true
		if _, ok := used[k.code]; !ok {
			t.Errorf("%s is explained and never used", k.code)
		}
	}
	for c, at := range used {
		if !explained[c] {
			t.Errorf("%s: %s is not explained in docs/CODES.md", at, c)
		}
	}
}

// TestExplainCode prints each code as help does.
//
// finding U12
func TestExplainCode(t *testing.T) {
	for _, k := range codes() {
		var out bytes.Buffer
		s := &session{out: newOutput(&out, func(error) {})}
		if err := s.explainCode(k.code); err != nil || !strings.Contains(out.String(), k.do) {
			t.Errorf("%s: %v\n%s", k.code, err, out.String())
		}
	}
}

// TestExamplesParse: every command line that a help text shows is one, and is
// run by a script.
//
// finding U12
func TestExamplesParse(t *testing.T) {
	lines := regexp.MustCompile(`(?m)^  rollcall (.*)$`)
	script, err := os.ReadFile(filepath.Join("..", "..", "testdata", "script", "examples.txt"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		for _, m := range lines.FindAllStringSubmatch(c.Long+"\n"+c.Example, -1) {
			n++
			line, _, _ := strings.Cut(m[1], " | ")
			if run := regexp.MustCompile(`(?m)^(exec rollcall|start \w+) ` + regexp.QuoteMeta(line) + `$`); !run.Match(script) {
				t.Errorf("%s shows rollcall %s, which testdata/script/examples.txt does not run", c.CommandPath(), line)
			}
			args := strings.Fields(strings.ReplaceAll(line, "'", ""))
			if err := parses(args); err != nil {
				t.Errorf("%s shows rollcall %s: %v", c.CommandPath(), line, err)
			}
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(testRoot())
	if n < 15 {
		t.Errorf("only %d examples were found: does this test still see them?", n)
	}
	if parses(strings.Fields("up --nods 3")) == nil || parses(strings.Fields("verify now")) == nil || parses(strings.Fields("gte ds")) == nil {
		t.Error("what cannot be is taken for an example")
	}
}

// parses reports whether args are a command line, without running it.
func parses(args []string) error {
	root := testRoot()
	c, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if c.DisableFlagParsing {
		return nil
	}
	if err := c.ParseFlags(rest); err != nil && err != pflag.ErrHelp && err != flag.ErrHelp {
		return err
	}
	rest = c.Flags().Args()
	if len(rest) > 0 && c.HasSubCommands() {
		return unknownCommand(c, rest[0])
	}
	return c.ValidateArgs(rest)
}
