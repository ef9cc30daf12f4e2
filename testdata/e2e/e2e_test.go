// Package e2e runs Kubernetes' own end-to-end specs of DaemonSets and
// ControllerRevisions against a running rollcall: their clients, their waits
// and their assertions, with our controller behind the API.
//
//	go test . -timeout 30m -rollcall ../../bin/rollcall
//	KUBECONFIG=FILE go test . -timeout 30m
//
// Of the sixty specs in k8s.io/kubernetes/test/e2e/apps the eleven in focus
// run. All flags of Kubernetes' e2e.test exist, -ginkgo.focus among them.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"
	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"
	e2enode "k8s.io/kubernetes/test/e2e/framework/node"

	_ "k8s.io/kubernetes/test/e2e/apps"
	_ "k8s.io/kubernetes/test/e2e/framework/node/init"
)

const (
	focus = `Daemon set|ControllerRevision`
	// wanted is how many specs the focus finds in v1.36.3: a run that found
	// fewer has proved less than it says.
	wanted = 11
)

// skips are left out, each because a simulated node has nothing to do it to.
var skips = []string{
	`\[Disruptive\]`, // stops kubelets and controller managers over ssh
	`\[Feature:.+\]`, // needs a feature gate or an add-on of a real cluster
	`\[Flaky\]`,      // upstream itself does not trust it
}

var binary = flag.String("rollcall", "", "path of a rollcall binary to start and test; without it, KUBECONFIG names a running one")

func TestMain(m *testing.M) {
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 2
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if *binary != "" {
		kubeconfig, stop, err := start(*binary)
		if err != nil {
			return 0, err
		}
		defer stop()
		framework.TestContext.KubeConfig = kubeconfig
	}
	if framework.TestContext.KubeConfig == "" {
		return 0, fmt.Errorf("no cluster to test: set KUBECONFIG, or give -rollcall the path of the binary")
	}
	framework.TestContext.Provider = "skeleton"
	framework.AfterReadingAllFlags(&framework.TestContext)
	return m.Run(), nil
}

func TestE2E(t *testing.T) {
	gomega.RegisterFailHandler(framework.Fail)
	suite, reporter := framework.CreateGinkgoConfig()
	if len(suite.FocusStrings) == 0 {
		suite.FocusStrings = []string{focus}
		ginkgo.ReportAfterSuite("every spec in focus", func(r ginkgo.Report) {
			gomega.Expect(r.PreRunStats.SpecsThatWillRun).To(gomega.Equal(wanted), "specs in focus")
		})
	}
	suite.SkipStrings = append(suite.SkipStrings, skips...)
	reporter.SilenceSkips = true
	// Here and not above: the framework has looked at the specs in a dry run,
	// whose results must not be taken for any.
	ginkgo.BeforeSuite(waitForNodes)
	ginkgo.ReportAfterEach(tell)
	ginkgo.RunSpecs(t, "rollcall under Kubernetes' own specs", suite, reporter)
}

func waitForNodes(ctx context.Context) {
	c, err := framework.LoadClientset()
	framework.ExpectNoError(err)
	framework.ExpectNoError(e2enode.WaitForAllNodesSchedulable(ctx, c, 3*time.Minute))
	nodes, err := e2enode.GetReadySchedulableNodes(ctx, c)
	framework.ExpectNoError(err)
	gomega.Expect(len(nodes.Items)).To(gomega.BeNumerically(">=", 2), "with one node a rollback restarts nothing, whatever the controller does")
	framework.TestContext.CloudConfig.NumNodes = len(nodes.Items)
	version, err := c.Discovery().ServerVersion()
	framework.ExpectNoError(err)
	fmt.Printf("server %s, %d nodes\n", version.GitVersion, len(nodes.Items))
}

var tags = regexp.MustCompile(` ?\[[^\]]*\]`)

func tell(r ginkgo.SpecReport) {
	if !r.State.Is(types.SpecStateSkipped) {
		fmt.Printf("\n%-6s %5.1fs %s\n", r.State, r.RunTime.Seconds(), tags.ReplaceAllString(r.FullText(), ""))
	}
}
