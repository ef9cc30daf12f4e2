package wide

import (
	"cmp"
	"slices"
	"strings"

	"github.com/onsi/ginkgo/v2"

	_ "k8s.io/kubernetes/test/e2e/apimachinery"
	_ "k8s.io/kubernetes/test/e2e/apps"
	_ "k8s.io/kubernetes/test/e2e/architecture"
	_ "k8s.io/kubernetes/test/e2e/auth"
	_ "k8s.io/kubernetes/test/e2e/common/node"
	_ "k8s.io/kubernetes/test/e2e/framework/node/init"
	_ "k8s.io/kubernetes/test/e2e/instrumentation"
	_ "k8s.io/kubernetes/test/e2e/kubectl"
	_ "k8s.io/kubernetes/test/e2e/node"
	_ "k8s.io/kubernetes/test/e2e/scheduling"
)

// dirs of k8s.io/kubernetes/test/e2e have the specs of this run, but for those
// with a label of leftOut. Directories that are about a cluster's add-ons and
// machines are left out: network, storage, common/network, common/storage,
// cloud, autoscaling, dra, lifecycle, windows.
var dirs = []string{"apimachinery", "apps", "architecture", "auth", "common/node", "instrumentation", "kubectl", "node", "scheduling"}

// wanted and conformance are how many the rule finds in v1.36.3: a run that
// found fewer has proved less than it says.
const (
	wanted      = 592
	conformance = 302
)

// leftOut says of a label why its specs are not run.
var leftOut = []struct{ label, why string }{
	{"Disruptive", "stops kubelets, controller managers or etcd over ssh"},
	{"Flaky", "upstream itself does not trust it"},
	{"Feature:", "needs an add-on, a machine or a setting of a real cluster"},
	{"FeatureGate:", "is about a feature that is on its way in or out"},
}

// A test is a spec as its tree has it.
type test struct {
	name        string
	dir         string // of k8s.io/kubernetes/test/e2e
	alone       bool   // upstream runs nothing beside it
	conformance bool
}

func tests() []test {
	var ts []test
	for _, s := range ginkgo.PreviewSpecs(suiteName).SpecReports {
		t := test{name: s.FullText(), dir: dirOf(s)}
		runs := slices.Contains(dirs, t.dir)
		for _, l := range s.Labels() {
			t.alone = t.alone || l == "Serial"
			t.conformance = t.conformance || l == "Conformance"
			for _, o := range leftOut {
				if l == o.label || strings.HasSuffix(o.label, ":") && strings.HasPrefix(l, o.label) {
					runs = false
				}
			}
		}
		if runs {
			ts = append(ts, t)
		}
	}
	// The tree shuffles what it has.
	slices.SortFunc(ts, func(a, b test) int { return cmp.Or(strings.Compare(a.dir, b.dir), strings.Compare(a.name, b.name)) })
	return ts
}

// dirOf is the first directory below test/e2e, and below common the second.
func dirOf(s ginkgo.SpecReport) string {
	_, file, _ := strings.Cut(s.LeafNodeLocation.FileName, "/test/e2e/")
	parts := strings.Split(file, "/")
	if parts[0] == "common" {
		return "common/" + parts[1]
	}
	return parts[0]
}
