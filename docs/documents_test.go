package docs

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// rewrite has the documents written anew.
var rewrite = flag.Bool("rewrite", false, "write docs/COVERAGE.md and docs/FINDINGS.md")

const rootDir = ".."

// TestDocuments fails if a rule or a finding has neither test nor reason, if a
// test cites what is none, and if a document is not what the tests say.
func TestDocuments(t *testing.T) {
	for _, d := range documents {
		text, problems, err := d.generate(os.DirFS(rootDir))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Error(p)
		}
		if *rewrite {
			if err := os.WriteFile(rootDir+"/"+d.name, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		was, err := os.ReadFile(rootDir + "/" + d.name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(was, text) {
			t.Errorf("%s is out of date: go test ./docs -rewrite", d.name)
		}
	}
}

// TestFindings says that a finding without a test, and a citation of none, are
// noticed.
func TestFindings(t *testing.T) {
	root := fstest.MapFS{
		findingsFile:               {Data: []byte("# found\nC1 | one\nc1 | two | cannot be tested\nH2 | three\nH3 | four\n")},
		"events/blocks/a_test.go":  {Data: []byte("// finding C1, finding H3: x\nx := 1 // finding H3\n")},
		"testdata/script/b.txt":    {Data: []byte("# finding C1 and finding U99\nexec finding H2\n")},
		"cmd/rollcall/b.go":        {Data: []byte("// finding H2\n")},
		"testdata/plants/31.patch": {Data: []byte("Killer: finding H3\n")},
	}
	text, problems, err := generateFindings(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"finding H2 (three): no test cites it, and no reason is given in " + findingsFile,
		"testdata/script/b.txt cites finding U99, which is none",
	}
	if !slices.Equal(problems, want) {
		t.Errorf("problems %q, want %q", problems, want)
	}
	for _, line := range []string{
		"| C1 | one | events/blocks/a_test.go, testdata/script/b.txt |",
		"| c1 | two | cannot be tested |",
		"| H2 | three | **none** |",
		"| H3 | four | events/blocks/a_test.go, testdata/plants/31.patch |",
	} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
}

func TestCites(t *testing.T) {
	for _, c := range []struct{ comment, text, want string }{
		{"//", "x := 1 // B02, C03\ny := \"D04 x\" + \"of E05\"\n", "B02 C03 D04"},
		{"//", "// B02-B04 and R01 to R03: F-P23, n01, B2\n", "B02 B03 B04 R01 R02 R03"},
		{"#", "# I15 I15: TestX\nnode A01 # B02\n", "I15"},
		{"#", "# B09-B11 B02-C04", "B02 B09 B10 B11"},
		{"//", "// finding U10 and A01, finding M10: x", "A01"},
	} {
		if got := strings.Join(cites(c.text, c.comment), " "); got != c.want {
			t.Errorf("%q cites %q, want %q", c.text, got, c.want)
		}
	}
}

// TestProblems says that what is missing and what is wrong is noticed.
func TestProblems(t *testing.T) {
	root := fstest.MapFS{
		rowsFile:                           {Data: []byte("# rules\nA01 | one\nA02 | two | api: later\nA03 | three\nR01 | four\n")},
		upstream:                           {Data: []byte("# tests\nTestFoo\nTestFooBar\nshould work | api: later\nshould work well\n")},
		"testdata/reconcile/a.txt":         {Data: []byte("# A01 B77 W03: TestFooBar\nsubtest should-work-well\n")},
		"controller/simtest/other_test.go": {Data: []byte("// R01\n")},
		"controller/a_test.go":             {Data: []byte("// A01.\n")},
		badInput:                           {Data: []byte("# rows\nE1 | one\nE2 | two | ours: later\nE3 | three\n")},
		"events/stream/d_test.go":          {Data: []byte("\"9.1-E3 x\", // 9.1-E4\n")},
		"cmd/rollcall/b_test.go":           {Data: []byte("// A03 C77\n")},
		"testdata/script/c.txt":            {Data: []byte("# A03\n")},
	}
	text, problems, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"A03 (three): no test cites it, and no reason is given in " + rowsFile,
		"R01 (four): no test cites it, and no reason is given in " + rowsFile,
		"testdata/reconcile/a.txt cites B77, which is no rule",
		"TestFoo: no test names it, and no reason is given in " + upstream,
		"9.1-E1 (one): no test cites it, and no reason is given in " + badInput,
		"events/stream/d_test.go cites 9.1-E4, which is no row",
	}
	if !slices.Equal(problems, want) {
		t.Errorf("problems %q, want %q", problems, want)
	}
	for _, line := range []string{
		"4 rules: 1 with a test, 1 with a reason for having none, 2 with neither.",
		"| A01 | one | controller/a_test.go, testdata/reconcile/a.txt |",
		"| A02 | two | waits for the Kubernetes API: later |",
		"| A03 | three | **none** |",
		"| TestFoo | **none** |",
		"| TestFooBar | testdata/reconcile/a.txt |",
		"| should work well | testdata/reconcile/a.txt |",
		"| E1 | one | **none** |",
		"| E2 | two | done in another way here: later |",
		"| E3 | three | events/stream/d_test.go |",
	} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	root[rowsFile].Data = []byte("A1 | one\n")
	if _, _, err := generate(root); err == nil {
		t.Error("a line that is no rule is read as one")
	}
}
