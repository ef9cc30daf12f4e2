package sources

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"rollcall/events"
)

// FileName is the file of a data directory that keeps its table of sources.
const FileName = "sources.yaml"

// head is what the file begins with, for who opens it.
const head = `# Who may tell this cluster what, as rollcall source writes it. A running instance
# looks at this file again when it changes. may: types, such as node.* or *.
# nodes: names with * in them. token: the SHA-256 of the token, in hex.
`

// maxFile bounds the file: thousands of sources.
const maxFile = 4 << 20

// Parse reads a table from the bytes of a file; path is what errors call it. Its
// error has one line for each mistake: the file, the line, what is wrong and what
// to do. An empty file is an empty table.
func Parse(path string, data []byte) (*Table, error) {
	p := parser{path: path, table: &Table{}}
	if len(data) > maxFile {
		p.wrong(1, fmt.Sprintf("the file has %d bytes", len(data)), fmt.Sprintf("keep it below %d", maxFile))
		return nil, errors.Join(p.mistakes...)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		p.unreadable(err)
	} else if len(doc.Content) > 0 {
		p.document(doc.Content[0])
	}
	if err := errors.Join(p.mistakes...); err != nil {
		return nil, err
	}
	return p.table, nil
}

// parser reads a file, and goes on after a mistake.
type parser struct {
	path     string
	table    *Table
	mistakes []error
}

func (p *parser) wrong(line int, what, do string) {
	p.mistakes = append(p.mistakes, &events.Error{Code: "E-SOURCE-FILE", What: what, Where: fmt.Sprintf("%s:%d", p.path, line), Do: do, Exit: events.ExitInput})
}

// lineInText finds the line that a reader of YAML complains about.
var lineInText = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s)(.*)$`)

func (p *parser) unreadable(err error) {
	line, what := 1, err.Error()
	if m := lineInText.FindStringSubmatch(what); m != nil {
		_, _ = fmt.Sscan(m[1], &line) // stays 1 where none is told
		what = m[2]
	}
	p.wrong(line, "the file is no YAML: "+what, "look at this line, and the one above it")
}

func (p *parser) document(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	p.fields(n, "the file", map[string]func(*yaml.Node){"sources": func(list *yaml.Node) {
		if list.Kind != yaml.SequenceNode {
			if list.Tag != "!!null" {
				p.wrong(list.Line, "sources is no list", "begin each source with a dash: - name: NAME")
			}
			return
		}
		for _, item := range list.Content {
			p.source(item)
		}
	}})
}

// fields walks a map, whose keys are known and stand there once.
func (p *parser) fields(n *yaml.Node, of string, known map[string]func(*yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.wrong(n.Line, of+" is no map", "write fields and values, such as name: NAME")
		return
	}
	names := slices.Sorted(maps.Keys(known))
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		read := known[key.Value]
		switch {
		case read == nil:
			p.wrong(key.Line, fmt.Sprintf("%s has no field %.80q", of, key.Value), events.Suggest(key.Value, names, "fields are "+strings.Join(names, ", ")))
		case seen[key.Value]:
			p.wrong(key.Line, fmt.Sprintf("the field %s stands there twice", key.Value), "keep one")
		default:
			read(value)
		}
		seen[key.Value] = true
	}
}

// source reads one item of the list.
func (p *parser) source(n *yaml.Node) {
	var e Entry
	before, lines := len(p.mistakes), map[string]int{}
	at := func(field string, read func(*yaml.Node)) func(*yaml.Node) {
		return func(n *yaml.Node) {
			lines[field] = n.Line
			read(n)
		}
	}
	p.fields(n, "a source", map[string]func(*yaml.Node){
		"name":  at("name", func(n *yaml.Node) { e.Name = p.text(n) }),
		"may":   at("may", func(n *yaml.Node) { e.May = p.texts(n) }),
		"nodes": at("nodes", func(n *yaml.Node) { e.Nodes = p.texts(n) }),
		"read": at("read", func(n *yaml.Node) {
			if n.Decode(&e.Read) != nil {
				p.wrong(n.Line, fmt.Sprintf("%.80q is neither true nor false", n.Value), "write read: true, or leave it out")
			}
		}),
		"token": at("token", func(n *yaml.Node) {
			b, err := hex.DecodeString(n.Value)
			if err != nil || len(b) != len(e.Token) {
				p.wrong(n.Line, "the token is no SHA-256 in hex", "make a new one with rollcall source token "+e.Name)
			}
			copy(e.Token[:], b)
		}),
	})
	if len(p.mistakes) > before {
		return
	}
	for _, m := range e.Check() {
		line, ok := lines[m.Field]
		if !ok {
			line = n.Line
		}
		p.wrong(line, m.What, m.Do)
	}
	if _, ok := lines["token"]; !ok {
		p.wrong(n.Line, fmt.Sprintf("the source %.80s has no token", e.Name), "remove it, and add it with rollcall source add")
	}
	p.add(e, n.Line)
}

// add puts a source into the table, which takes no name and no token twice.
func (p *parser) add(e Entry, line int) {
	if _, ok := p.table.ByName(e.Name); ok {
		p.wrong(line, fmt.Sprintf("the source %.80s stands there twice", e.Name), "keep one")
	}
	if i := slices.IndexFunc(p.table.entries, func(o Entry) bool { return o.Token == e.Token }); i >= 0 {
		p.wrong(line, fmt.Sprintf("%.80s has the token of %.80s", e.Name, p.table.entries[i].Name), "make another with rollcall source token "+e.Name)
	}
	p.table = p.table.With(e)
}

// text reads one word.
func (p *parser) text(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		p.wrong(n.Line, "this is no text", "write one word")
		return ""
	}
	return n.Value
}

// texts reads a list of words, or one.
func (p *parser) texts(n *yaml.Node) (all []string) {
	if n.Kind != yaml.SequenceNode {
		return []string{p.text(n)}
	}
	for _, item := range n.Content {
		all = append(all, p.text(item))
	}
	return all
}

// format returns the bytes of the file that Parse reads as this table.
func (t *Table) format() []byte {
	type entry struct {
		Name  string   `yaml:"name"`
		May   []string `yaml:"may,flow,omitempty"`
		Nodes []string `yaml:"nodes,flow,omitempty"`
		Read  bool     `yaml:"read,omitempty"`
		Token string   `yaml:"token"`
	}
	all := make([]entry, len(t.entries))
	for i, e := range t.entries {
		all[i] = entry{e.Name, e.May, e.Nodes, e.Read, hex.EncodeToString(e.Token[:])}
	}
	out, err := yaml.Marshal(map[string]any{"sources": all})
	if err != nil {
		panic(err) // texts, a bool
	}
	return append([]byte(head), out...)
}
