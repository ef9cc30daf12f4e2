package main

import (
	_ "unsafe" // for go:linkname

	"k8s.io/component-base/version"

	"rollcall/projector/apiserver"
)

// kubernetesVersion is that of the modules of Kubernetes inside: TestVersion
// holds it to go.mod.
const (
	kubernetesVersion = apiserver.Version
	kubernetesMajor   = "1"
	kubernetesMinor   = "36"
)

// Kubernetes' own builds write their version with -ldflags -X, which go run,
// go build and go test do not. Clients and servers without it tell each other
// that they are v0.0.0, and kubectl version ends with an error.
var (
	//go:linkname baseVersion k8s.io/component-base/version.gitVersion
	baseVersion string
	//go:linkname baseMajor k8s.io/component-base/version.gitMajor
	baseMajor string
	//go:linkname baseMinor k8s.io/component-base/version.gitMinor
	baseMinor string
	//go:linkname baseCommit k8s.io/component-base/version.gitCommit
	baseCommit string
	//go:linkname clientVersion k8s.io/client-go/pkg/version.gitVersion
	clientVersion string
	//go:linkname clientCommit k8s.io/client-go/pkg/version.gitCommit
	clientCommit string
)

func init() {
	baseVersion, baseMajor, baseMinor, baseCommit = kubernetesVersion, kubernetesMajor, kubernetesMinor, ""
	clientVersion, clientCommit = kubernetesVersion, ""
	if err := version.SetDynamicVersion(kubernetesVersion); err != nil {
		panic(err) // it was set to this very version two lines above
	}
}
