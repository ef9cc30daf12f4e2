package simkubelet

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// rejection is why a kubelet does not take a pod that was given to its node.
type rejection struct{ reason, message string }

// admit returns why the kubelet of its host does not take a pod that somebody
// bound to it, in the order in which a kubelet asks. It does not preempt other
// pods for a critical one.
func (w *World) admit(p *pod) rejection {
	o, n := p.object(), p.host.node
	if sc := o.Spec.SecurityContext; sc != nil {
		for i := range sc.Sysctls {
			if why := forbidden(&o.Spec, sc.Sysctls[i].Name); why != "" {
				return rejection{"SysctlForbidden", "forbidden sysctl: " + why}
			}
		}
	}
	switch {
	case o.Labels[corev1.LabelOSStable] != "" && o.Labels[corev1.LabelOSStable] != nodeOS:
		return rejection{"PodOSSelectorNodeLabelDoesNotMatch", "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label"}
	case o.Spec.OS != nil && o.Spec.OS.Name != nodeOS:
		return rejection{"PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"}
	}
	used := p.host.besides(p, true)
	for _, s := range short(n.allocatable, &used, p.needs) {
		if _, has := n.allocatable[s.name]; has || !extended(s.name) {
			return rejection{"OutOf" + string(s.name), s.message()}
		}
	}
	failed := func(plugin, why string) rejection {
		return rejection{plugin, fmt.Sprintf("Predicate %s failed: %s", plugin, why)}
	}
	if ok, _ := nodeaffinity.GetRequiredNodeAffinity(o).Match(n.selectable()); !ok {
		return failed("NodeAffinity", notSelected)
	}
	if portsTaken(&used, p.needs) {
		return failed("NodePorts", portsInUse)
	}
	for i := range n.taints {
		if t := &n.taints[i]; t.Effect == corev1.TaintEffectNoExecute && !tolerated(o.Spec.Tolerations, t) {
			return failed("TaintToleration", "node(s) had untolerated taint(s)")
		}
	}
	return rejection{}
}

// nodeOS is what simulated nodes run.
const nodeOS = "linux"

// extended reports whether a resource is one that a cluster may have beside
// its nodes: a kubelet that does not know it leaves it to others.
func extended(name corev1.ResourceName) bool {
	return strings.Contains(string(name), "/") && !strings.Contains(string(name), "kubernetes.io/")
}

// The sysctls that are safe for a pod on a recent kernel, in the namespace of
// the pod: the network's, but for the first.
var safeSysctls = []string{
	"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
}

// forbidden returns why a pod may not set a sysctl, or "".
func forbidden(spec *corev1.PodSpec, name string) string {
	name = strings.ReplaceAll(name, "/", ".")
	switch {
	case !slices.Contains(safeSysctls, name):
		return fmt.Sprintf("%q not allowlisted", name)
	case strings.HasPrefix(name, "kernel.") && spec.HostIPC:
		return fmt.Sprintf("%q not allowed with host ipc enabled", name)
	case strings.HasPrefix(name, "net.") && spec.HostNetwork:
		return fmt.Sprintf("%q not allowed with host net enabled", name)
	}
	return ""
}

// desired returns what a pod would use if it got what its spec says.
func desired(o *corev1.Pod) *resources {
	return counted(o, resource.PodRequests(o, resource.PodResourcesOptions{}))
}
