package wide

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"
	"k8s.io/kubernetes/test/e2e/framework"
)

// A Verdict is what became of one spec.
type Verdict struct {
	Spec    string  `json:"spec"`
	State   string  `json:"state"` // passed, skipped, failed, or what else ginkgo says
	Seconds float64 `json:"seconds"`
	Reason  string  `json:"reason,omitempty"`
}

const suiteName = "wide"

// TestSpec is the process of one spec: the one that -spec names. What became
// of it goes to the file of -verdict.
func TestSpec(t *testing.T) {
	if *spec == "" {
		t.Skip("TestWide starts a process with -spec for each spec")
	}
	gomega.RegisterFailHandler(framework.Fail)
	suite, reporter := framework.CreateGinkgoConfig()
	suite.FocusStrings = []string{"^" + suiteName + " " + regexp.QuoteMeta(*spec) + "$"}
	suite.SkipStrings = nil
	suite.Timeout = *each
	suite.GracePeriod = 5 * time.Second
	reporter.SilenceSkips = true
	found := false
	ginkgo.ReportAfterEach(func(r ginkgo.SpecReport) {
		if r.FullText() != *spec {
			return
		}
		found = true
		if err := write(*verdict, r); err != nil {
			t.Error(err)
		}
	})
	ginkgo.RunSpecs(t, suiteName, suite, reporter)
	if !found {
		t.Errorf("no spec is called %q", *spec)
	}
}

func write(file string, r ginkgo.SpecReport) error {
	v := Verdict{Spec: r.FullText(), State: r.State.String(), Seconds: r.RunTime.Seconds()}
	if r.State != types.SpecStatePassed {
		v.Reason = short(r.Failure.Message)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if file == "" {
		fmt.Printf("%s\n", b)
		return nil
	}
	return os.WriteFile(file, b, 0o644)
}

// short is a message of gomega's on one line.
func short(message string) string {
	s := strings.Join(strings.Fields(message), " ")
	if len(s) > 400 {
		s = s[:200] + " ... " + s[len(s)-200:]
	}
	return s
}
