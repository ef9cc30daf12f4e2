package simkubelet

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

// resources are what pods use of a host.
type resources struct {
	amounts []amount
	ports   []hostPort // of the node, one for each container that listens
}

// amount is how much of a resource is used: thousandths of a CPU, and whole
// units of everything else.
type amount struct {
	name corev1.ResourceName
	n    int64
}

// hostPort is a port of a node that a container listens on.
type hostPort struct {
	protocol corev1.Protocol
	ip       string // anyIP: on all
	port     int32
}

const anyIP = "0.0.0.0"

// of returns how much of a resource is used.
func (r *resources) of(name corev1.ResourceName) int64 {
	if i := r.index(name); i >= 0 {
		return r.amounts[i].n
	}
	return 0
}

func (r *resources) index(name corev1.ResourceName) int {
	return slices.IndexFunc(r.amounts, func(a amount) bool { return a.name == name })
}

// add adds what a pod uses, or takes it away if times is -1.
func (r *resources) add(o *resources, times int64) {
	for _, a := range o.amounts {
		if i := r.index(a.name); i >= 0 {
			r.amounts[i].n += times * a.n
		} else {
			r.amounts = append(r.amounts, amount{a.name, times * a.n})
		}
	}
	for _, p := range o.ports {
		if i := slices.Index(r.ports, p); times < 0 && i >= 0 {
			r.ports = slices.Delete(r.ports, i, i+1)
		} else {
			r.ports = append(r.ports, p)
		}
	}
}

// requestsOf returns what a pod uses of its host. A pod that is being resized
// uses the more of what it has and what it asks for.
func requestsOf(p *corev1.Pod) *resources {
	return counted(p, resource.PodRequests(p, resource.PodResourcesOptions{UseStatusResources: p.Generation > 1}))
}

// common are the resources that every node has, in a scheduler's order. A node
// that does not name one of them has no bound of it.
var common = []corev1.ResourceName{corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}

// counted returns what a pod with these requests uses: the common resources
// first, then the others by name.
func counted(p *corev1.Pod, l corev1.ResourceList) *resources {
	r := &resources{amounts: []amount{{corev1.ResourcePods, 1}}, ports: portsAsked(p)}
	names := slices.Sorted(maps.Keys(l))
	rest := slices.DeleteFunc(names, func(name corev1.ResourceName) bool {
		return name == corev1.ResourceStorage || slices.Contains(common, name)
	})
	for _, name := range slices.Concat(common[1:], rest) {
		if n := count(l, name); n != 0 {
			r.amounts = append(r.amounts, amount{name, n})
		}
	}
	return r
}

// count returns the amount of a resource that a list says.
func count(l corev1.ResourceList, name corev1.ResourceName) int64 {
	q := l[name]
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

// portsAsked returns the ports of the node that a pod asks for.
func portsAsked(p *corev1.Pod) (asked []hostPort) {
	for _, s := range slots(p, nil) {
		if s.role != works && s.role != assists {
			continue
		}
		for i := range s.c.Ports {
			port := &s.c.Ports[i]
			n := port.HostPort
			if n == 0 && p.Spec.HostNetwork {
				n = port.ContainerPort
			}
			at := hostPort{cmp.Or(port.Protocol, corev1.ProtocolTCP), cmp.Or(port.HostIP, anyIP), n}
			if n != 0 && !slices.Contains(asked, at) {
				asked = append(asked, at)
			}
		}
	}
	return asked
}

// clash reports whether two ports of one node are the same.
func (p hostPort) clash(q hostPort) bool {
	return p.port == q.port && p.protocol == q.protocol && (p.ip == q.ip || p.ip == anyIP || q.ip == anyIP)
}

// portsTaken reports whether one of the ports that are needed is in use.
func portsTaken(used, needs *resources) bool {
	return slices.ContainsFunc(needs.ports, func(p hostPort) bool { return slices.ContainsFunc(used.ports, p.clash) })
}

// shortage is a resource of which a node has not enough.
type shortage struct {
	name                      corev1.ResourceName
	requested, used, capacity int64
}

// text is what a scheduler says of a shortage.
func (s shortage) text() string {
	if s.name == corev1.ResourcePods {
		return "Too many pods"
	}
	return "Insufficient " + string(s.name)
}

// message is what a kubelet says of a shortage.
func (s shortage) message() string {
	return fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", s.name, s.requested, s.used, s.capacity)
}

// short returns of what a node that has l, of which used is taken, has not
// enough, in the order of the needs.
func short(l corev1.ResourceList, used, needs *resources) (out []shortage) {
	for _, a := range needs.amounts {
		_, named := l[a.name]
		taken, has := used.of(a.name), count(l, a.name)
		if taken+a.n > has && (named || !slices.Contains(common, a.name)) {
			out = append(out, shortage{a.name, a.n, taken, has})
		}
	}
	return out
}
