package docs

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Where the rules are, and what is written.
const (
	rowsFile = "testdata/spec/rows.txt"
	upstream = "testdata/spec/upstream.txt"
	badInput = "testdata/spec/badinput.txt"
	document = "docs/COVERAGE.md"
	self     = "docs" // whose tests cite examples
)

// documents are what is written, and from what: for every rule of a DaemonSet
// controller the tests that cite it, or why there is none, and the same for what
// was found not to hold.
//
// A test cites a rule by its id in a comment: "// F06: ..." in Go, "# F06: ..."
// in a conversation. F06-F08 and F06 to F08 cite all of them. In Go the name of
// a case that begins with an id cites it too: {"F06 terminating", ...}. A finding
// is cited with the word before it: "// finding H2".
var documents = []struct {
	name     string
	generate func(fs.FS) (text []byte, problems []string, err error)
}{{document, generate}, {findingsDocument, generateFindings}}

// row is one rule.
type row struct{ id, rule, reason string }

// reasons are what the words before a colon stand for.
var reasons = map[string]string{
	"api":  "waits for the Kubernetes API",
	"ext":  "the business of another component",
	"ours": "done in another way here",
}

var rowLine = regexp.MustCompile(`^([A-X]\d\d) \| ([^|]+?)(?: \| (api|ext|ours): ([^|]+))?$`)

func readRows(root fs.FS) ([]row, error) {
	data, err := fs.ReadFile(root, rowsFile)
	if err != nil {
		return nil, err
	}
	var rows []row
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		if line := s.Text(); line != "" && line[0] != '#' {
			m := rowLine.FindStringSubmatch(line)
			if m == nil {
				return nil, fmt.Errorf("%s: %q is no rule", rowsFile, line)
			}
			r := row{id: m[1], rule: m[2]}
			if m[3] != "" {
				r.reason = reasons[m[3]] + ": " + m[4]
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// generate returns the document, and what is wrong with the coverage.
func generate(root fs.FS) (text []byte, problems []string, err error) {
	rows, err := readRows(root)
	if err != nil {
		return nil, nil, err
	}
	files, err := readTests(root)
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	problems = writeRules(&b, rows, citations(files))
	more, err := writeUpstream(&b, root, files)
	if err != nil {
		return nil, nil, err
	}
	bad, err := writeBadInput(&b, root)
	if err != nil {
		return nil, nil, err
	}
	return b.Bytes(), slices.Concat(problems, more, bad), nil
}

// writeRules writes every rule with the files that cite it.
func writeRules(b *bytes.Buffer, rows []row, cited map[string][]string) (problems []string) {
	known := map[string]bool{}
	covered, excused := 0, 0
	for _, r := range rows {
		known[r.id] = true
		switch {
		case len(cited[r.id]) > 0:
			covered++
		case r.reason != "":
			excused++
		default:
			problems = append(problems, fmt.Sprintf("%s (%s): no test cites it, and no reason is given in %s", r.id, r.rule, rowsFile))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(cited)) {
		if !known[id] && id[0] <= 'V' {
			problems = append(problems, fmt.Sprintf("%s cites %s, which is no rule", strings.Join(cited[id], ", "), id))
		}
	}
	fmt.Fprintf(b, "# Coverage of the DaemonSet rules\n\nWritten by `go test ./docs -rewrite` from the comments of the tests; a test fails when it is out of date.\n"+
		"A rule that says what is odd about upstream is covered by a test of what is done here instead.\n\n"+
		"%d rules: %d with a test, %d with a reason for having none, %d with neither.\n",
		len(rows), covered, excused, len(rows)-covered-excused)
	group := byte(0)
	for _, r := range rows {
		if r.id[0] != group {
			group = r.id[0]
			fmt.Fprintf(b, "\n## %c: %s\n\n| id | rule | tests, or why none |\n|---|---|---|\n", group, groups[group])
		}
		where := strings.Join(cited[r.id], ", ")
		if where == "" {
			where = cmp.Or(r.reason, "**none**")
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", r.id, r.rule, where)
	}
	return problems
}

// writeUpstream writes every test of the upstream controller with the files that
// name it. A conversation cannot have blanks in its name and has dashes.
func writeUpstream(b *bytes.Buffer, root fs.FS, files []file) (problems []string, err error) {
	data, err := fs.ReadFile(root, upstream)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(b, "\n## Tests of the upstream controller\n\n| test | ours, or why none |\n|---|---|\n")
	for line := range strings.Lines(string(data)) {
		name, why, _ := strings.Cut(strings.TrimSpace(line), " | ")
		if name == "" || name[0] == '#' {
			continue
		}
		var in []string
		for _, f := range files {
			if named(f.remarks, name) || named(f.remarks, strings.ReplaceAll(name, " ", "-")) {
				in = append(in, f.name)
			}
		}
		where := strings.Join(in, ", ")
		if kind, detail, ok := strings.Cut(why, ": "); where == "" && ok {
			where = reasons[kind] + ": " + detail
		}
		if where == "" {
			where = "**none**"
			problems = append(problems, fmt.Sprintf("%s: no test names it, and no reason is given in %s", name, upstream))
		}
		fmt.Fprintf(b, "| %s | %s |\n", name, where)
	}
	return problems, nil
}

var groups = map[byte]string{
	'A': "wiring and order of a reconcile", 'B': "which nodes get a pod", 'C': "tolerations", 'D': "from template to pod",
	'E': "claiming", 'F': "pods of a node", 'G': "failed and succeeded pods", 'H': "limits and commands under way",
	'I': "rolling update", 'J': "rolling update with surge", 'K': "OnDelete", 'L': "availability", 'M': "revisions",
	'N': "status", 'O': "deletion", 'P': "Kubernetes events", 'Q': "validation", 'R': "defaults and generations",
	'S': "nodes", 'T': "pod events", 'U': "refusals and odd situations", 'V': "what others do",
}

// places are where tests about the rules are; what is cited in others belongs to
// other lists, of the command line or of logs.
var places = []string{"controller/", "projector/", "publisher/", "events/daemonpod/", "testdata/fold/", "testdata/reconcile/"}

// elsewhere are packages whose tests cite, under these letters, rules of another
// list: what a log may do.
var elsewhere = map[string]string{"controller/simtest": "LRSV"}

// named reports whether text has name as a whole word.
func named(text, name string) bool {
	for {
		i := strings.Index(text, name)
		if i < 0 {
			return false
		}
		text = text[i+len(name):]
		if text == "" || !wordByte.MatchString(text[:1]) {
			return true
		}
	}
}

var wordByte = regexp.MustCompile(`\w`)

// file is a test or a conversation. Its remarks are the comments, and the names
// of conversations.
type file struct{ name, comment, text, remarks string }

// readTests returns all tests and conversations by name.
func readTests(root fs.FS) ([]file, error) {
	var files []file
	err := fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if b := path.Base(name); name != "." && b[0] == '.' || name == self {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.ContainsFunc(places, func(p string) bool { return strings.HasPrefix(name, p) }) {
			return nil
		}
		f := file{name: name, comment: "//"}
		switch {
		case strings.HasSuffix(name, "_test.go"):
		case strings.HasPrefix(name, "testdata/") && strings.HasSuffix(name, ".txt"):
			f.comment = "#"
		default:
			return nil
		}
		data, err := fs.ReadFile(root, name)
		f.text = string(data)
		for line := range strings.Lines(f.text) {
			at := strings.Index(line, f.comment)
			if strings.HasPrefix(line, "subtest ") {
				at = 0
			}
			if at >= 0 {
				f.remarks += line[at:]
			}
		}
		files = append(files, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read tests: %w", err)
	}
	return files, nil
}

// citations returns the names of the files that cite each rule, in order.
func citations(files []file) map[string][]string {
	cited := map[string][]string{}
	for _, f := range files {
		for _, id := range cites(f.text, f.comment) {
			if !strings.Contains(elsewhere[path.Dir(f.name)], id[:1]) {
				cited[id] = append(cited[id], f.name)
			}
		}
	}
	return cited
}

// citation is an id, or the first and the last of several.
var citation = regexp.MustCompile(`(?:^|[^-\w])([A-X])(\d\d)(?:(?:-| to )([A-X])(\d\d))?\b`)

// caseName is an id at the beginning of a string.
var caseName = regexp.MustCompile(`"([A-X]\d\d)[ "]`)

// cites returns the ids that a file cites, each once.
func cites(text, comment string) []string {
	var ids []string
	for line := range strings.Lines(text) {
		if comment == "//" {
			for _, m := range caseName.FindAllStringSubmatch(line, -1) {
				ids = append(ids, m[1])
			}
		}
		at := strings.Index(line, comment)
		if at < 0 || comment == "#" && at > 0 {
			continue
		}
		for _, m := range citation.FindAllStringSubmatch(findingCitation.ReplaceAllString(line[at:], ""), -1) {
			first, last := m[2], cmp.Or(m[4], m[2])
			if m[3] != "" && m[3] != m[1] {
				last = first
			}
			for n := first; n <= last; n = next(n) {
				ids = append(ids, m[1]+n)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// next returns the number after a number of two digits.
func next(n string) string {
	if n[1] == '9' {
		return string(n[0]+1) + "0"
	}
	return n[:1] + string(n[1]+1)
}
