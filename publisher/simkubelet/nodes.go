package simkubelet

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
)

// kubeletVersion is that of the Kubernetes whose behaviour is simulated.
const kubeletVersion = "v1.36.3"

// controlPlaneLabel is on the node that keeps other pods away with a taint of
// the same key.
const controlPlaneLabel = "node-role.kubernetes.io/control-plane"

// machines are the kinds of nodes that a simulated cluster has, in turn.
var machines = []struct{ kind, cpu, memory string }{
	{"t2.large", "2", "8Gi"},
	{"m5.xlarge", "4", "16Gi"},
	{"m5.2xlarge", "8", "32Gi"},
}

// NewNodes yields n simulated nodes that are about to join: node-0001 and so
// on, the same for the same n and seed, and the same node under a number
// whatever n is while the names are equally long. The first is the control
// plane; the others are spread over three zones. Their kubelets make them Ready.
func NewNodes(n int, seed int64) iter.Seq[*corev1.Node] {
	digits := max(len(strconv.Itoa(n)), 4)
	return func(yield func(*corev1.Node) bool) {
		for i := range n {
			node := NewNode(fmt.Sprintf("node-%0*d", digits, i+1), i, seed)
			if i == 0 {
				node.Labels[controlPlaneLabel] = ""
				node.Spec.Taints = append([]corev1.Taint{{Key: controlPlaneLabel, Effect: corev1.TaintEffectNoSchedule}}, node.Spec.Taints...)
			}
			if !yield(node) {
				return
			}
		}
	}
}

// NewNode returns a simulated node that is about to join, with the labels that
// a kubelet and a cloud give it. index chooses its zone and its size. Its uid is
// a function of name and seed.
func NewNode(name string, index int, seed int64) *corev1.Node {
	m := machines[index/3%len(machines)]
	labels := kubeletLabels(name)
	labels[events.LabelSimulated] = "true"
	labels[corev1.LabelInstanceTypeStable] = m.kind
	labels[corev1.LabelTopologyRegion] = "region-1"
	labels[corev1.LabelTopologyZone] = "region-1" + string("abc"[index%3])
	uid := nodeUID(name, seed)
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid, Labels: labels},
		Spec: corev1.NodeSpec{
			ProviderID: "rollcall://" + name,
			Taints:     []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}},
		},
		Status: corev1.NodeStatus{
			Capacity:    capacity(m.cpu, m.memory),
			Allocatable: capacity(m.cpu, m.memory),
			Addresses:   nodeAddresses(name),
			NodeInfo:    nodeInfo(name),
		},
	}
}

// kubeletLabels are what a kubelet says of its node. The names with beta are
// old, and are still written and selected by.
func kubeletLabels(name string) map[string]string {
	const arch = "amd64"
	return map[string]string{
		corev1.LabelHostname:   name,
		corev1.LabelOSStable:   nodeOS,
		corev1.LabelArchStable: arch,
		labelOSBeta:            nodeOS,
		labelArchBeta:          arch,
	}
}

const (
	labelOSBeta   = "beta.kubernetes.io/os"
	labelArchBeta = "beta.kubernetes.io/arch"
)

func nodeUID(name string, seed int64) types.UID {
	return derivedUID("node/" + strconv.FormatInt(seed, 10) + "/" + name)
}

// derivedUID returns a uid that is always the same for the same words.
func derivedUID(words string) types.UID { return events.DerivedUID(sha256.Sum256([]byte(words))) }

// nodeAddresses are a host name and an address in 172.16.0.0/12.
func nodeAddresses(name string) []corev1.NodeAddress {
	n := draw("node/" + name)
	// The number in the name, if it has one, so that addresses follow names.
	digits := len(name)
	for digits > 0 && name[digits-1] >= '0' && name[digits-1] <= '9' {
		digits--
	}
	if i, err := strconv.ParseUint(name[digits:], 10, 20); err == nil {
		n = i
	}
	return []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("172.%d.%d.%d", 16+n>>16&15, n>>8&255, n&255)},
		{Type: corev1.NodeHostName, Address: name},
	}
}

func nodeInfo(name string) corev1.NodeSystemInfo {
	return corev1.NodeSystemInfo{
		MachineID:               hexDigest("machine/" + name)[:32],
		SystemUUID:              hexDigest("system/" + name)[:32],
		BootID:                  hexDigest("boot/" + name)[:32],
		KernelVersion:           "6.12.0-rollcall",
		OSImage:                 "rollcall simulated",
		ContainerRuntimeVersion: "containerd://2.1.0",
		KubeletVersion:          kubeletVersion,
		OperatingSystem:         "linux",
		Architecture:            "amd64",
	}
}
