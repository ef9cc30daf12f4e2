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
	milliCPU  int64
	memory    int64 // bytes
	ephemeral int64 // bytes of storage
	pods      int64
	others    *others // nil: none
}

// others are what few pods ask for: extended resources, huge pages and ports
// of the node. A host has them only while a pod of it has.
type others struct {
	scalars map[corev1.ResourceName]int64
	ports   map[hostPort]int
}

// hostPort is a port of a node that a container listens on.
type hostPort struct {
	protocol corev1.Protocol
	ip       string // anyIP: on all
	port     int32
}

const anyIP = "0.0.0.0"

// add adds what a pod uses, or takes it away if times is -1.
func (r *resources) add(o *resources, times int64) {
	r.milliCPU += times * o.milliCPU
	r.memory += times * o.memory
	r.ephemeral += times * o.ephemeral
	r.pods += times * o.pods
	if o.others == nil {
		return
	}
	if r.others == nil {
		r.others = &others{scalars: map[corev1.ResourceName]int64{}, ports: map[hostPort]int{}}
	}
	for _, name := range slices.Sorted(maps.Keys(o.others.scalars)) {
		if r.others.scalars[name] += times * o.others.scalars[name]; r.others.scalars[name] == 0 {
			delete(r.others.scalars, name)
		}
	}
	for _, p := range portsOf(o.others) {
		if r.others.ports[p] += int(times) * o.others.ports[p]; r.others.ports[p] == 0 {
			delete(r.others.ports, p)
		}
	}
	if len(r.others.scalars)+len(r.others.ports) == 0 {
		r.others = nil
	}
}

func portsOf(o *others) []hostPort {
	return slices.SortedFunc(maps.Keys(o.ports), func(a, b hostPort) int {
		return cmp.Or(cmp.Compare(a.port, b.port), cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.ip, b.ip))
	})
}

// requestsOf returns what a pod uses of its host. A pod that is being resized
// uses the more of what it has and what it asks for.
func requestsOf(p *corev1.Pod) resources {
	return counted(p, resource.PodRequests(p, resource.PodResourcesOptions{UseStatusResources: p.Generation > 1}))
}

// common are the resources that are counted apart, or that no node gives.
var common = [...]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage, corev1.ResourcePods, corev1.ResourceStorage}

func counted(p *corev1.Pod, l corev1.ResourceList) resources {
	r := resources{l.Cpu().MilliValue(), l.Memory().Value(), l.StorageEphemeral().Value(), 1, nil}
	more := others{ports: portsAsked(p)}
	for _, name := range slices.Sorted(maps.Keys(l)) {
		q := l[name]
		if slices.Contains(common[:], name) || q.IsZero() {
			continue
		}
		if more.scalars == nil {
			more.scalars = map[corev1.ResourceName]int64{}
		}
		more.scalars[name] = q.Value()
	}
	if more.ports != nil || more.scalars != nil {
		r.others = &more
	}
	return r
}

// portsAsked returns the ports of the node that a pod asks for, or nil.
func portsAsked(p *corev1.Pod) (asked map[hostPort]int) {
	take := func(c *corev1.Container) {
		for i := range c.Ports {
			port := &c.Ports[i]
			n := port.HostPort
			if n == 0 && p.Spec.HostNetwork {
				n = port.ContainerPort
			}
			if n == 0 {
				continue
			}
			if asked == nil {
				asked = map[hostPort]int{}
			}
			asked[hostPort{cmp.Or(port.Protocol, corev1.ProtocolTCP), cmp.Or(port.HostIP, anyIP), n}] = 1
		}
	}
	for i := range p.Spec.InitContainers {
		if c := &p.Spec.InitContainers[i]; sidecar(c) {
			take(c)
		}
	}
	for i := range p.Spec.Containers {
		take(&p.Spec.Containers[i])
	}
	return asked
}

// clash reports whether two ports of one node are the same.
func (p hostPort) clash(q hostPort) bool {
	return p.port == q.port && p.protocol == q.protocol && (p.ip == q.ip || p.ip == anyIP || q.ip == anyIP)
}

// portsTaken reports whether one of the ports that are needed is in use.
func portsTaken(used, needs *others) bool {
	if used == nil || needs == nil || len(used.ports) == 0 {
		return false
	}
	taken := portsOf(used)
	return slices.ContainsFunc(portsOf(needs), func(p hostPort) bool {
		return slices.ContainsFunc(taken, p.clash)
	})
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
// enough, in a scheduler's order. Of the first four a node that does not name
// them has no bound.
func short(l corev1.ResourceList, used, needs *resources) (out []shortage) {
	for _, r := range [...]struct {
		name        corev1.ResourceName
		used, needs int64
	}{
		{corev1.ResourcePods, used.pods, needs.pods},
		{corev1.ResourceCPU, used.milliCPU, needs.milliCPU},
		{corev1.ResourceMemory, used.memory, needs.memory},
		{corev1.ResourceEphemeralStorage, used.ephemeral, needs.ephemeral},
	} {
		if r.needs == 0 {
			continue
		}
		q, bounded := l[r.name]
		has := q.Value()
		if r.name == corev1.ResourceCPU {
			has = q.MilliValue()
		}
		if bounded && r.used+r.needs > has {
			out = append(out, shortage{r.name, r.needs, r.used, has})
		}
	}
	if needs.others == nil {
		return out
	}
	for _, name := range slices.Sorted(maps.Keys(needs.others.scalars)) {
		n, taken := needs.others.scalars[name], int64(0)
		if used.others != nil {
			taken = used.others.scalars[name]
		}
		q := l[name]
		if taken+n > q.Value() {
			out = append(out, shortage{name, n, taken, q.Value()})
		}
	}
	return out
}
