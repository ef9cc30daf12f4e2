// Package wide runs those of Kubernetes' own end-to-end specs that need no
// machine, each in a process of its own, against a running rollcall:
//
//	task e2e:wide
//	task e2e:wide -- -only StatefulSet -results /tmp/wide
//
// rule_test.go has which. expected.txt has those that are known not to pass,
// each under its reason: the run fails on a spec that does not pass and is not
// there, and tells of one that is there and passes.
package wide

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"
	"k8s.io/kubernetes/test/e2e/framework/testfiles"
	manifests "k8s.io/kubernetes/test/e2e/testing-manifests"

	conformancedata "k8s.io/kubernetes/test/conformance/testdata"
	fixtures "k8s.io/kubernetes/test/fixtures"
)

var (
	binary  = flag.String("rollcall", "", "path of a rollcall binary to start and test")
	jobs    = flag.Int("jobs", 3, "specs that run at once, but those that upstream runs alone")
	each    = flag.Duration("each", 3*time.Minute, "time that a spec has")
	only    = flag.String("only", "", "run the specs whose name matches this expression")
	results = flag.String("results", "", "directory for results.txt and the output of each spec (default: a temporary one)")

	spec    = flag.String("spec", "", "of the process of one spec: its name")
	verdict = flag.String("verdict", "", "of the process of one spec: file for what became of it")
)

func TestMain(m *testing.M) {
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	flag.Parse()
	framework.TestContext.Provider = "skeleton"
	testfiles.AddFileSource(manifests.GetE2ETestingManifestsFS())
	testfiles.AddFileSource(fixtures.GetTestFixturesFS())
	testfiles.AddFileSource(conformancedata.GetConformanceTestdataFS())
	framework.AfterReadingAllFlags(&framework.TestContext)
	os.Exit(m.Run())
}

func TestWide(t *testing.T) {
	if *spec != "" {
		t.Skip("the process of one spec")
	}
	all := tests()
	n := 0
	for _, s := range all {
		if s.conformance {
			n++
		}
	}
	if len(all) != wanted || n != conformance {
		t.Fatalf("the rule finds %d specs, %d of Conformance, not %d and %d", len(all), n, wanted, conformance)
	}
	known, err := readExpected("expected.txt", all)
	if err != nil {
		t.Fatal(err)
	}
	if *binary == "" {
		t.Skip("no binary to test: give -rollcall the path of one")
	}
	r := &run{dir: *results, binary: *binary}
	if r.dir == "" {
		r.dir = t.TempDir()
	}
	if err := r.start(); err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	wanted, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	var chosen []test
	for _, s := range all {
		if wanted.MatchString(s.name) {
			chosen = append(chosen, s)
		}
	}
	verdicts := r.all(chosen)
	if err := writeResults(r.dir, chosen, verdicts); err != nil {
		t.Error(err)
	}
	for i, s := range chosen {
		reason, listed := known[s.name]
		switch passed := verdicts[i].State == "passed"; {
		case !passed && !listed:
			t.Errorf("%s\n\t%s: %s", s.name, verdicts[i].State, verdicts[i].Reason)
		case passed && listed:
			fmt.Printf("passes, and is expected not to (%s): %s\n", reason, s.name)
		}
	}
	fmt.Print(count(chosen, verdicts))
}

// readExpected reads specs that are known not to pass: a reason in a line that
// begins with ==, and below it the specs that have it, one a line.
func readExpected(file string, all []test) (map[string]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, s := range all {
		there[s.name] = true
	}
	known, reason := map[string]string{}, ""
	for i, line := range strings.Split(string(b), "\n") {
		name := strings.TrimSpace(line)
		switch {
		case name == "" || strings.HasPrefix(name, "#"):
		case strings.HasPrefix(name, "== "):
			reason = strings.TrimPrefix(name, "== ")
		case reason == "" || known[name] != "" || !there[name]:
			return nil, fmt.Errorf("%s:%d: no spec of the rule, a spec twice, or one without a reason: %s", file, i+1, name)
		default:
			known[name] = reason
		}
	}
	return known, nil
}
