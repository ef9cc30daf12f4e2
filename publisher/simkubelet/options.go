package simkubelet

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Options are the delays of a world. Zero is no delay; DefaultOptions are
// those of a quick cluster.
type Options struct {
	Join  Delay // from a node's creation or recovery until it is Ready
	Bind  Delay // from a pod's creation until a node has it, a claim's until it has a volume
	Start Delay // from there until its containers run
	Stop  Delay // from its deletion until it is gone; at most its grace period

	Pulled []string // images that are on every node already: a pod of these alone starts at once

	Run  time.Duration // from when a pod that is not restarted is Ready until it has done its work
	Seed int64         // of the delays: another seed gives others

	// Everywhere has kubelets also on nodes that are not simulated, so that it can be
	// told what would become of them. One of them that is not Ready stays so.
	Everywhere bool

	// Unscheduled has nobody give pods to real nodes: who has made one says himself
	// what runs on it.
	Unscheduled bool

	// Took is asked how long a pod takes to "bind", "start" or "stop", as it is
	// asked for; what it does not know is drawn. nil: all is drawn.
	Took func(what string, p *corev1.Pod) (time.Duration, bool)
}

// DefaultOptions return the delays of a quick cluster: a pod starts in 0.2 to
// 0.6 s and stops in 0.1 to 0.3 s.
func DefaultOptions() Options {
	ms := func(from, to time.Duration) Delay { return Delay{from * time.Millisecond, to * time.Millisecond} }
	return Options{Join: ms(100, 300), Bind: ms(20, 60), Start: ms(200, 600), Stop: ms(100, 300), Run: time.Second}
}
