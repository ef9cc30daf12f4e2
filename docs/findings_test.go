package docs

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Where the findings are, and what is written about them.
const (
	findingsFile     = "testdata/spec/findings.txt"
	findingsDocument = "docs/FINDINGS.md"
)

var (
	findingLine     = regexp.MustCompile(`^([A-Za-z]\d+) \| ([^|]+?)(?: \| ([^|]+))?$`)
	findingCitation = regexp.MustCompile(`\bfinding ([A-Za-z]\d+)\b`)
)

func readFindings(root fs.FS) ([]row, error) {
	data, err := fs.ReadFile(root, findingsFile)
	if err != nil {
		return nil, err
	}
	var rows []row
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		if line := s.Text(); line != "" && line[0] != '#' {
			m := findingLine.FindStringSubmatch(line)
			if m == nil {
				return nil, fmt.Errorf("%s: %q is no finding", findingsFile, line)
			}
			rows = append(rows, row{id: m[1], rule: m[2], reason: m[3]})
		}
	}
	return rows, nil
}

// generateFindings returns the document about findings, and what is wrong with
// their tests.
func generateFindings(root fs.FS) (text []byte, problems []string, err error) {
	rows, err := readFindings(root)
	if err != nil {
		return nil, nil, err
	}
	cited, err := findingCitations(root)
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	fmt.Fprint(&b, "# Findings and their tests\n\nWritten by `go test ./docs -rewrite` from the comments of the tests; a test fails when it is out of date.\n"+
		"What attacks, real installs, Kubernetes' own specs and new users found in the version 24933fa, and the tests that hold it now.\n\n"+
		"| id | what did not hold | tests, or why none |\n|---|---|---|\n")
	for _, r := range rows {
		where := strings.Join(cited[r.id], ", ")
		delete(cited, r.id)
		if where == "" && r.reason == "" {
			problems = append(problems, fmt.Sprintf("finding %s (%s): no test cites it, and no reason is given in %s", r.id, r.rule, findingsFile))
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.id, r.rule, cmp.Or(where, r.reason, "**none**"))
	}
	for id, files := range cited {
		problems = append(problems, fmt.Sprintf("%s cites finding %s, which is none", strings.Join(files, ", "), id))
	}
	slices.Sort(problems)
	return b.Bytes(), problems, nil
}

// findingCitations returns the names of the tests that cite each finding, in
// order. Unlike rules, findings are cited in every package.
func findingCitations(root fs.FS) (map[string][]string, error) {
	cited := map[string][]string{}
	err := fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if b := path.Base(name); name != "." && b[0] == '.' || name == self || name == path.Dir(findingsFile) {
				return fs.SkipDir
			}
			return nil
		}
		var comment string
		switch kind := path.Ext(name); {
		case strings.HasSuffix(name, "_test.go"):
			comment = "//"
		case strings.Contains("/"+name, "/testdata/") && kind == ".txt":
			comment = "#"
		case strings.HasPrefix(name, "testdata/plants/") && kind == ".patch": // says what kills it above the patch
		default:
			return nil
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(data)) {
			at := max(strings.Index(line, comment), 0)
			if !strings.HasPrefix(line[at:], comment) {
				continue
			}
			for _, m := range findingCitation.FindAllStringSubmatch(line[at:], -1) {
				if !slices.Contains(cited[m[1]], name) {
					cited[m[1]] = append(cited[m[1]], name)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read tests: %w", err)
	}
	return cited, nil
}
