package parity

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// difference is one command that was answered otherwise: the lines that are
// only in golden.txt behind "-", those only in the answer behind "+".
type difference struct{ command, lines string }

func (d difference) String() string { return "$ " + d.command + "\n" + d.lines }

func compare(want, got answers) []difference {
	var d []difference
	answered := map[string]string{}
	for _, a := range got {
		answered[a.command] = a.text
	}
	for _, a := range want {
		text, ok := answered[a.command]
		delete(answered, a.command)
		if !ok {
			d = append(d, difference{a.command, "not in commands.txt any more\n"})
		} else if text != a.text {
			d = append(d, difference{a.command, diff(a.text, text)})
		}
	}
	for _, a := range got {
		if _, left := answered[a.command]; left {
			d = append(d, difference{a.command, "not in golden.txt yet\n"})
		}
	}
	return d
}

// diff is the shortest edit of lines, without those that stay.
func diff(from, to string) string {
	a, b := slices.Collect(strings.Lines(from)), slices.Collect(strings.Lines(to))
	common := make([][]int, len(a)+1) // of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out strings.Builder
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out.WriteString("-" + a[i])
			i++
		default:
			out.WriteString("+" + b[j])
			j++
		}
	}
	return out.String()
}

// reason is why one command may be answered otherwise, and how.
type reason struct {
	difference
	why string
}

// reasons reads differences.txt: a command behind "$ ", the reason behind
// "# ", and the lines.
func reasons(text string) map[string]reason {
	listed := map[string]reason{}
	command := ""
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "$ "); ok {
			command = strings.TrimSpace(name)
			listed[command] = reason{difference: difference{command: command}}
			continue
		}
		r := listed[command]
		switch {
		case command == "" || line == "\n":
			continue
		case strings.HasPrefix(line, "# "):
			r.why += line
		default:
			r.lines += line
		}
		listed[command] = r
	}
	return listed
}

const preamble = `Where rollcall answers otherwise than Kubernetes 1.36.3, and why: "-" is
Kubernetes' line, "+" is rollcall's. A difference that is not here fails the
test, and so does one that is here and no longer occurs.
`

func list(got []difference, listed map[string]reason) string {
	var b strings.Builder
	b.WriteString(preamble)
	for _, d := range got {
		fmt.Fprintf(&b, "\n$ %s\n%s%s", d.command, listed[d.command].why, d.lines)
	}
	return b.String()
}

// unexplained compares what differs with what is listed.
func unexplained(got []difference, listed map[string]reason) []string {
	var problems []string
	found := map[string]bool{}
	for _, d := range got {
		found[d.command] = true
		r, ok := listed[d.command]
		switch {
		case !ok:
			problems = append(problems, "not listed in differences.txt:\n"+d.String())
		case r.lines != d.lines:
			problems = append(problems, "differs otherwise than differences.txt says:\n"+d.String())
		case r.why == "":
			problems = append(problems, "differences.txt gives no reason:\n$ "+d.command)
		}
	}
	for command := range listed {
		if !found[command] {
			problems = append(problems, "listed in differences.txt, but no longer so:\n$ "+command)
		}
	}
	slices.Sort(problems)
	return problems
}

func TestDifferences(t *testing.T) {
	want := answers{{"a", "1\n2\n3\n"}, {"b", "same\n"}, {"c", "old\n"}}
	got := answers{{"a", "1\n3\n4\n"}, {"b", "same\n"}, {"c", "new\n"}}
	d := compare(parse(want.String()), parse(got.String()))
	if text := fmt.Sprint(d); text != "[$ a\n-2\n+4\n $ c\n-old\n+new\n]" {
		t.Errorf("differences: %s", text)
	}
	listed := reasons("heading\n\n$ a\n# because\n-2\n+4\n\n$ b\n# once\n-x\n")
	problems := unexplained(d, listed)
	if len(problems) != 2 || !strings.Contains(problems[0], "no longer so:\n$ b") || !strings.Contains(problems[1], "not listed") {
		t.Errorf("problems: %q", problems)
	}
	if again := reasons(list(d, listed)); again["a"] != listed["a"] || again["c"].why != "" {
		t.Errorf("list and reasons do not agree: %v", again)
	}
}
