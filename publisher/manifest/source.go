package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"rollcall/events"
)

// text refuses data that is not UTF-8. The parser skips a byte order mark.
func (p *parser) text(data []byte) error {
	if len(data) > MaxBytes {
		return p.refuse(nil, "E-MAN-SIZE", "", &events.Error{
			What: fmt.Sprintf("the file has %d bytes", len(data)), Why: fmt.Sprintf("at most %d are read", MaxBytes),
			Do: "split it into several files"})
	}
	for _, bom := range []string{"\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(data, []byte(bom)) {
			return p.refuse(nil, "E-MAN-ENCODING", "", &events.Error{
				What: "the file is UTF-16", Why: "a manifest is UTF-8", Do: "save it as UTF-8"})
		}
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 || r == 0 {
			line := 1 + bytes.Count(data[:i], []byte("\n"))
			return p.refuse(&yaml.Node{Line: line}, "E-MAN-ENCODING", "", &events.Error{
				What: fmt.Sprintf("byte %d (0x%02x) is not text", i, data[i]), Why: "a manifest is UTF-8", Do: "save it as UTF-8"})
		}
		i += n
	}
	return nil
}

// separator begins a document. It is only used to count documents of a file
// that cannot be parsed to its end.
var separator = regexp.MustCompile(`(?m)^---(\s|$)`)

// roots parses data into one tree a document, without those that hold nothing
// but comments.
func (p *parser) roots(data []byte) ([]*yaml.Node, error) {
	var roots []*yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			p.index = len(roots) + 1
			n := len(separator.FindAllIndex(data, -1))
			if !separator.Match(firstLine(data)) {
				n++
			}
			p.count = max(p.index, n)
			return nil, p.syntax(data, err)
		}
		if n.Kind != yaml.DocumentNode || len(n.Content) != 1 || isEmpty(n.Content[0]) {
			continue
		}
		if roots = append(roots, n.Content[0]); len(roots) > maxDocuments {
			return nil, p.refuse(roots[maxDocuments], "E-MAN-SIZE", "", &events.Error{
				What: fmt.Sprintf("the file has more than %d documents", maxDocuments), Do: "split it into several files"})
		}
	}
	if len(roots) == 0 {
		return nil, p.refuse(nil, "E-MAN-EMPTY", "", &events.Error{
			What: "the file holds no object", Why: "it is empty or has only comments", Do: "write a DaemonSet into it"})
	}
	return roots, nil
}

// firstLine returns the first line of data that is neither blank nor a comment.
func firstLine(data []byte) []byte {
	for line := range bytes.Lines(data) {
		t := bytes.TrimSpace(line)
		if len(t) > 0 && t[0] != '#' && t[0] != '%' {
			return line
		}
	}
	return nil
}

func isEmpty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null" && n.Value == ""
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntax turns an error of the YAML parser into a refusal.
func (p *parser) syntax(data []byte, err error) error {
	line, why := 0, strings.Join(strings.Fields(err.Error()), " ")
	if m := yamlLine.FindStringSubmatch(why); m != nil {
		line, _ = strconv.Atoi(m[1]) // "" gives 0: no line known
		why = m[2]
	}
	e := &events.Error{What: "the file is not YAML", Why: why, Do: "check indentation, colons and quotes near this line"}
	switch {
	case strings.Contains(why, "exceeded max depth"):
		e.What, e.Why, e.Do = "the file is nested too deep", fmt.Sprintf("at most %d levels are read", maxDepth), "flatten it"
	case strings.Contains(why, "cannot start any token"), strings.Contains(why, "found a tab"):
		if at := tabLine(data, line); at > 0 {
			line = at
			e.What, e.Why, e.Do = "tab used for indentation", "YAML is indented with spaces", "replace the tab by spaces"
		}
	}
	return p.refuse(&yaml.Node{Line: line}, "E-MAN-YAML", "", e)
}

// tabLine returns the number of the line at or next to the given one that is
// indented with a tab, or 0. The parser may name the line before the tab.
func tabLine(data []byte, near int) int {
	n := 0
	for line := range bytes.Lines(data) {
		n++
		if n < near || n > near+2 {
			continue
		}
		if indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]; bytes.Contains(indent, []byte("\t")) {
			return n
		}
	}
	return 0
}

// find returns the value of a key of a mapping, or nil.
func find(m *yaml.Node, key string) *yaml.Node {
	m = deref(m)
	if m == nil || m.Kind != yaml.MappingNode {
		return nil
	}
	var merged *yaml.Node
	for i := 0; i+1 < len(m.Content); i += 2 {
		k, v := m.Content[i], m.Content[i+1]
		if k.Kind == yaml.ScalarNode && k.Value == key && k.Tag != "!!merge" {
			return v
		}
		if k.Tag == "!!merge" {
			for _, from := range mergeSources(v) {
				if merged == nil && deref(from) != m {
					merged = shallowFind(from, key)
				}
			}
		}
	}
	return merged
}

// shallowFind is find without merges of merges, which only moves a line number.
func shallowFind(m *yaml.Node, key string) *yaml.Node {
	m = deref(m)
	if m == nil || m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

// deref follows aliases.
func deref(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// mergeSources returns the mappings that the value of a merge key names, the
// strongest first.
func mergeSources(v *yaml.Node) []*yaml.Node {
	if d := deref(v); d.Kind == yaml.SequenceNode {
		return d.Content
	}
	return []*yaml.Node{v}
}
