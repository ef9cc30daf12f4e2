package docs

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The rows of the catalogue of bad input, as tests cite them: 9.1-E7.
var (
	badRow      = regexp.MustCompile(`^(E\d+) \| ([^|]+?)(?: \| ours: ([^|]+))?$`)
	badCitation = regexp.MustCompile(`\b9\.1-(E\d+)\b`)
)

// writeBadInput writes what is done about each event that cannot be so with the files
// whose tests cite its row, or why there is none.
func writeBadInput(b *bytes.Buffer, root fs.FS) (problems []string, err error) {
	cited, err := badCitations(root)
	if err != nil {
		return nil, err
	}
	data, err := fs.ReadFile(root, badInput)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(b, "\n## Bad input: events\n\nWhat somebody may send to the gate, or publish on the log. The catalogue has rows E, of events; it has none that are called G.\n\n"+
		"| row | what comes | tests, or why none |\n|---|---|---|\n")
	known := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		m := badRow.FindStringSubmatch(line)
		if m == nil || m[1] != "E"+strconv.Itoa(len(known)+1) {
			return nil, fmt.Errorf("%s: %q is not row E%d", badInput, line, len(known)+1)
		}
		known[m[1]] = true
		where := strings.Join(cited[m[1]], ", ")
		if where == "" && m[3] == "" {
			problems = append(problems, fmt.Sprintf("9.1-%s (%s): no test cites it, and no reason is given in %s", m[1], m[2], badInput))
		}
		if where == "" && m[3] != "" {
			where = reasons["ours"] + ": " + m[3]
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", m[1], m[2], cmp.Or(where, "**none**"))
	}
	for id, where := range cited {
		if !known[id] {
			problems = append(problems, fmt.Sprintf("%s cites 9.1-%s, which is no row", strings.Join(where, ", "), id))
		}
	}
	return problems, nil
}

// badCitations returns the names of the tests that cite each row, in order.
func badCitations(root fs.FS) (map[string][]string, error) {
	cited := map[string][]string{}
	err := fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (name == self || name != "." && e.Name()[0] == '.'):
			return fs.SkipDir
		case !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		data, err := fs.ReadFile(root, name)
		for _, m := range badCitation.FindAllSubmatch(data, -1) {
			if id := string(m[1]); !slices.Contains(cited[id], name) {
				cited[id] = append(cited[id], name)
			}
		}
		return err
	})
	return cited, err
}
