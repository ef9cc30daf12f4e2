package sets

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"

	"rollcall/events/daemonpod"
)

// Verdict says whether a node gets and keeps a pod of a DaemonSet.
type Verdict int8

// Verdicts, in order: Gone < Evict < Keep < Run.
const (
	Gone  Verdict = iota // the node was deleted
	Evict                // no pod may be there
	Keep                 // a pod that is there stays, none is created
	Run                  // a pod should run there
)

func (v Verdict) String() string { return [...]string{"Gone", "Evict", "Keep", "Run"}[v] }

// Obstacle is what keeps a node from getting pods of a DaemonSet.
type Obstacle struct {
	Rule  ObstacleRule
	Taint *corev1.Taint // of Untolerated
}

// ObstacleRule is a rule of placement.
type ObstacleRule int8

// The rules of placement, in the order of asking.
const (
	NoObstacle  ObstacleRule = iota
	OtherNode                // the template names another node
	NotSelected              // node selector or affinity does not match the node's labels
	Untolerated              // a taint is not tolerated
)

// Placement is the part of a pod template that decides on which nodes pods
// run, prepared once for many nodes.
type Placement struct {
	nodeName    string
	affinity    nodeaffinity.RequiredNodeAffinity
	constrained bool
	tolerations []corev1.Toleration
}

// NewPlacement prepares the placement of a pod template's spec.
func NewPlacement(spec *corev1.PodSpec) *Placement {
	pod := &corev1.Pod{Spec: corev1.PodSpec{NodeSelector: spec.NodeSelector, Affinity: spec.Affinity}}
	return &Placement{
		nodeName:    spec.NodeName,
		affinity:    nodeaffinity.GetRequiredNodeAffinity(pod),
		constrained: len(spec.NodeSelector) > 0 || spec.Affinity != nil,
		tolerations: daemonpod.Tolerations(spec),
	}
}

// placedAlike reports whether the placements of two specs say the same of every node.
func placedAlike(a, b *corev1.PodSpec) bool {
	same := equality.Semantic.DeepEqual
	return a.NodeName == b.NodeName && same(a.NodeSelector, b.NodeSelector) && same(a.Affinity, b.Affinity) &&
		same(daemonpod.Tolerations(a), daemonpod.Tolerations(b))
}

// Place decides by node name, labels and taints alone: conditions, room and
// ports are the scheduler's business. It is the eligibility rule of the
// Kubernetes DaemonSet controller. The obstacle says why the verdict is not Run.
func Place(n *NodeView, p *Placement) (Verdict, Obstacle) {
	if p.nodeName != "" && p.nodeName != n.Name {
		return Evict, Obstacle{Rule: OtherNode}
	}
	if p.constrained {
		// A term that does not parse matches nothing; the others still count (B11).
		if ok, _ := p.affinity.Match(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: n.Labels()}}); !ok {
			return Evict, Obstacle{Rule: NotSelected}
		}
	}
	v, o := Run, Obstacle{}
	for i := range n.Taints {
		t := &n.Taints[i]
		if t.Effect == corev1.TaintEffectPreferNoSchedule || tolerated(p.tolerations, t) {
			continue
		}
		if t.Effect == corev1.TaintEffectNoExecute {
			return Evict, Obstacle{Untolerated, t}
		}
		v, o = Keep, Obstacle{Untolerated, t}
	}
	return v, o
}

func tolerated(ts []corev1.Toleration, t *corev1.Taint) bool {
	for i := range ts {
		// The logger is used by the numeric operators alone, which are behind a gate that is off.
		if ts[i].ToleratesTaint(klog.Logger{}, t, false) {
			return true
		}
	}
	return false
}
