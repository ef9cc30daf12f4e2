package sources_test

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"rollcall/events/files"
	"rollcall/publisher/sources"
)

// TestMay: nothing may be told that no pattern names.
func TestMay(t *testing.T) {
	for _, tc := range []struct {
		may, nodes []string
		kind, node string
		tell, of   bool
	}{
		{nil, nil, "node.observed", "n", false, false},
		{[]string{"node.*"}, []string{"edge-*"}, "node.observed", "edge-1", true, true},
		{[]string{"node.*"}, []string{"edge-*"}, "nodes.observed", "xedge-1", false, false},
		{[]string{"node.*"}, []string{"edge-*"}, "node", "edge", false, false},
		{[]string{"node.gone"}, []string{"edge-1"}, "node.gone", "edge-1", true, true},
		{[]string{"node.gone"}, []string{"edge-1"}, "node.gone.x", "edge-11", false, false},
		{[]string{"com.example.*"}, []string{"a", "b-[0-9]"}, "com.example.deploy.started", "b-7", true, true},
		{[]string{"com.example.*"}, []string{"a", "b-[0-9]"}, "com.example", "b-x", false, false},
		{[]string{"*"}, []string{"*"}, "hold.placed", "any.name", true, true},
		{[]string{"*"}, []string{""}, "", "", true, true},
		{[]string{"hold.placed", "note.x"}, nil, "hold.lifted", "", false, false},
	} {
		s := sources.Source{Name: "s", May: tc.may, Nodes: tc.nodes}
		if s.MayTell(tc.kind) != tc.tell || s.MayNode(tc.node) != tc.of {
			t.Errorf("%q %q: tells %q %v, of %q %v", tc.may, tc.nodes, tc.kind, s.MayTell(tc.kind), tc.node, s.MayNode(tc.node))
		}
	}
	if !sources.Admin.MayTell("hold.placed") || !sources.Admin.MayNode("n") || !sources.Admin.Read {
		t.Error("who holds the credentials may not do everything")
	}
}

func entry(name, token string) sources.Entry {
	return sources.Entry{Source: sources.Source{Name: name, May: []string{"node.*", "com.example.a"}, Nodes: []string{"edge-*", "*"}, Read: true}, Token: sources.HashOf(token)}
}

func names(t *sources.Table) string {
	var all []string
	for _, e := range t.All() {
		all = append(all, e.Name)
	}
	return strings.Join(all, " ")
}

func save(t *testing.T, dir string, table *sources.Table) {
	t.Helper()
	if err := sources.Change(dir, func(*sources.Table) (*sources.Table, error) { return table, nil }); err != nil {
		t.Fatal(err)
	}
}

// TestTable: a token is its source's and nobody else's, before and after the file.
func TestTable(t *testing.T) {
	table := (&sources.Table{}).With(entry("b", "tb")).With(entry("a", "ta")).With(entry("c", "tc")).With(entry("b", "tb2")).Without("c")
	dir := t.TempDir()
	save(t, dir, table)
	b, err := os.ReadFile(filepath.Join(dir, sources.FileName))
	if err != nil {
		t.Fatal(err)
	}
	again, err := sources.Parse("f", b)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []*sources.Table{table, again} {
		if got := names(table); got != "a b" {
			t.Errorf("sources %s", got)
		}
		for token, want := range map[string]string{"ta": "a", "tb2": "b", "tb": "", "tc": "", "": "", "ta\n": "", strings.Repeat("x", 64<<10): ""} {
			s, ok := table.ByToken(token)
			if s.Name != want || ok != (want != "") {
				t.Errorf("token %.10q is that of %q, %v, want %q", token, s.Name, ok, want)
			}
		}
		if e, ok := table.ByName("a"); !ok || !reflect.DeepEqual(e.Source, entry("a", "ta").Source) || e.Token != sources.HashOf("ta") {
			t.Errorf("a is %+v", e)
		}
		if _, ok := table.ByName("c"); ok {
			t.Error("c is there")
		}
	}
	if _, ok := (&sources.Table{}).ByToken(""); ok {
		t.Error("an empty table knows a token")
	}
	if err := table.Unknown("aa"); !strings.Contains(err.Error(), "did you mean a?") {
		t.Error(err)
	}
}

// hash is a token as files have it.
var hash = strings.Repeat("ab", 32)

// TestMistakes: each mistake in the file is one line that says where it is, what
// is wrong and what to do; and nothing is read of such a file.
func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"# nothing\n":              "",
		"sources:\n":               "",
		"sources: []\n":            "",
		"a":                        "1: the file is no map",
		"- a":                      "1: the file is no map",
		"source: []":               `1: the file has no field "source"; did you mean sources?`,
		"sources: []\nsources: []": "2: the field sources stands there twice",
		"sources: x":               "1: sources is no list",
		"sources:\n- x":            "2: a source is no map",
		"sources:\n\t- x":          "2: the file is no YAML: found character that cannot start any token",
		"sources: [":               "1: the file is no YAML",
		"\x00":                     "1: the file is no YAML: control characters are not allowed",
		"sources:\n- name: a\n  mai: [x]\n  token: " + hash:                                                                        `3: a source has no field "mai"; did you mean may?`,
		"sources:\n- name: a\n  may: [x]\n  may: [y]\n  token: " + hash:                                                            "4: the field may stands there twice",
		"sources:\n- name: a\n  may: {x: y}\n  token: " + hash:                                                                     "3: this is no text",
		"sources:\n- name: a\n  may: [[x]]\n  token: " + hash:                                                                      "3: this is no text",
		"sources:\n- name: a\n  may: x.*\n  token: " + hash:                                                                        "",
		"sources:\n- name: a\n  read: maybe\n  token: " + hash:                                                                     `3: "maybe" is neither true nor false`,
		"sources:\n- name: a\n  read: true\n  token: abcd":                                                                         "4: the token is no SHA-256 in hex",
		"sources:\n- name: a\n  read: true":                                                                                        "2: the source a has no token",
		"sources:\n- may: [x.y]\n  token: " + hash:                                                                                 "2: the source has no name",
		"sources:\n- name: A b\n  read: true\n  token: " + hash:                                                                    `2: "A b" is no name of a source`,
		"sources:\n- name: admin\n  read: true\n  token: " + hash:                                                                  "2: admin is the name of somebody else",
		"sources:\n- name: a\n  token: " + hash:                                                                                    "2: the source may neither tell nor read anything",
		"sources:\n- name: a\n  may: [node.*x]\n  nodes: ['*']\n  token: " + hash:                                                  `3: "node.*x" is no pattern of types`,
		"sources:\n- name: a\n  may: [a..b]\n  token: " + hash:                                                                     `3: "a..b" is no pattern of types`,
		"sources:\n- name: a\n  may: ['*.b']\n  token: " + hash:                                                                    `3: "*.b" is no pattern of types`,
		"sources:\n- name: a\n  may: ['>']\n  token: " + hash:                                                                      `3: ">" is no pattern of types`,
		"sources:\n- name: a\n  may: ['a b']\n  token: " + hash:                                                                    `3: "a b" is no pattern of types`,
		"sources:\n- name: a\n  may: ['']\n  token: " + hash:                                                                       `3: "" is no pattern of types`,
		"sources:\n- name: a\n  may: [node.gone]\n  token: " + hash:                                                                "2: the source may tell node.gone, and of no node",
		"sources:\n- name: a\n  may: [node.gone]\n  nodes: ['[']\n  token: " + hash:                                                `4: "[" is no pattern of node names`,
		"sources:\n- name: a\n  may: [node.gone]\n  nodes: ['a b']\n  token: " + hash:                                              `4: "a b" is no pattern of node names`,
		"sources:\n- {name: a, read: true, token: " + hash + "}\n- {name: a, read: true, token: " + strings.Repeat("cd", 32) + "}": "3: the source a stands there twice",
		"sources:\n- {name: a, read: true, token: " + hash + "}\n- {name: b, read: true, token: " + hash + "}":                     "3: b has the token of a",
		"#" + strings.Repeat("x", 5<<20):                                                                                           "1: the file has 5242881 bytes",
	} {
		table, err := sources.Parse("dir/sources.yaml", []byte(text))
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		line, what, _ := strings.Cut(want, ": ")
		if err == nil || table != nil || strings.Contains(err.Error(), "\n") ||
			!strings.Contains(err.Error(), "E-SOURCE-FILE: "+strings.Split(what, "; ")[0]) || !strings.Contains(err.Error(), "(dir/sources.yaml:"+line+")") || !strings.Contains(err.Error(), what[strings.LastIndex(what, "; ")+1:]) {
			t.Errorf("%.80q: %v\nwant %s", text, err, want)
		}
	}
	_, err := sources.Parse("f", []byte("sources:\n- name: a\n  mai: x\n- name: B\n  read: true\n  token: x\nx: y\n"))
	if got := strings.Count(err.Error(), "\n"); got != 2 {
		t.Errorf("three mistakes are %d lines:\n%v", got+1, err)
	}
}

// TestLive: what is in the file counts at once; what cannot be read changes
// nothing and is told once.
func TestLive(t *testing.T) {
	dir := t.TempDir()
	var warned []error
	live, err := sources.Open(dir, func(err error) { warned = append(warned, err) })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	changed, done := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(done)
		_ = live.Follow(func() { changed <- names(live.Table()) })(ctx)
	}()
	knows := func(token string) bool {
		_, ok := live.Table().ByToken(token)
		return ok
	}
	if knows("ta") {
		t.Error("a token is known before there is a file")
	}
	table := (&sources.Table{}).With(entry("a", "ta"))
	save(t, dir, table)
	if !knows("ta") {
		t.Error("a source is not known after it was added")
	}
	if got := <-changed; got != "a" {
		t.Errorf("told of %q", got)
	}
	path := filepath.Join(dir, sources.FileName)
	if i, err := os.Stat(path); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v, want mode 0600", i, err)
	}
	if b, err := os.ReadFile(path); err != nil || strings.Contains(string(b), "ta\n") {
		t.Errorf("the file has the token: %s, %v", b, err)
	}
	save(t, dir, table.With(entry("a", "new")))
	if knows("ta") || !knows("new") {
		t.Error("an old token is good after a new one was made")
	}
	<-changed
	if err := files.Replace(path, []byte("sources: x")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it is told once
		knows("new")
	}
	if !knows("new") {
		t.Error("a mistake in the file has taken the sources away")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if knows("new") {
		t.Error("a source is known after its file was removed")
	}
	<-changed
	cancel()
	<-done
	if len(warned) != 1 || !strings.Contains(warned[0].Error(), "E-SOURCE-FILE") {
		t.Errorf("warned of %v", warned)
	}
}

// TestNoTable: a file that is no table is neither followed nor changed.
func TestNoTable(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, sources.FileName)
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sources.Open(dir, nil); err == nil {
		t.Error("a table that is none was opened")
	}
	if err := sources.Change(dir, nil); err == nil || !strings.Contains(err.Error(), "E-SOURCE-FILE") {
		t.Errorf("a table that is none was changed: %v", err)
	}
	if err := sources.Change(filepath.Join(dir, "gone"), nil); err == nil || !strings.Contains(err.Error(), "E-SOURCE-FILE") {
		t.Error(err)
	}
}
