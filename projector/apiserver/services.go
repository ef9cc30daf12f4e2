package apiserver

import (
	"math/big"
	"sync"

	corev1 "k8s.io/api/core/v1"
	api "k8s.io/kubernetes/pkg/apis/core"
	endpointstore "k8s.io/kubernetes/pkg/registry/core/endpoint/storage"
	podstore "k8s.io/kubernetes/pkg/registry/core/pod/storage"
	"k8s.io/kubernetes/pkg/registry/core/service/allocator"
	"k8s.io/kubernetes/pkg/registry/core/service/ipallocator"
	"k8s.io/kubernetes/pkg/registry/core/service/portallocator"
	servicestore "k8s.io/kubernetes/pkg/registry/core/service/storage"
	netutils "k8s.io/utils/net"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// services puts Services and their Endpoints into the core group.
func (i *installer) services(g group, pods *podstore.REST) {
	endpoints := single(i, endpointstore.NewREST)
	ips, err := ipallocator.New(&i.ranges.ClusterIPs, i.allocations(func(s *corev1.Service) (held []int) {
		first := new(big.Int).Add(netutils.BigForIP(i.ranges.ClusterIPs.IP), big.NewInt(1))
		for _, text := range s.Spec.ClusterIPs {
			if ip := netutils.ParseIPSloppy(text); ip != nil && i.ranges.ClusterIPs.Contains(ip) {
				held = append(held, int(new(big.Int).Sub(netutils.BigForIP(ip), first).Int64()))
			}
		}
		return held
	}))
	i.keep(err)
	ports, err := portallocator.New(i.ranges.NodePorts, i.allocations(func(s *corev1.Service) (held []int) {
		add := func(port int32) {
			if i.ranges.NodePorts.Contains(int(port)) {
				held = append(held, int(port)-i.ranges.NodePorts.Base)
			}
		}
		for _, p := range s.Spec.Ports {
			add(p.NodePort)
		}
		add(s.Spec.HealthCheckNodePort)
		return held
	}))
	i.keep(err)
	if i.err != nil {
		return
	}
	services, status, proxy, err := servicestore.NewREST(i.options, ips.IPFamily(), map[api.IPFamily]ipallocator.Interface{ips.IPFamily(): ips}, ports, endpoints, pods, i.connections.PodTransport())
	i.keep(err)
	g["endpoints"], g["services"], g["services/status"], g["services/proxy"] = endpoints, services, status, proxy
}

// allocation is what Services have of a range: Kubernetes' bitmap, which is kept
// as the table of Services says. Nothing is stored, and nobody has to release what
// a Service had that somebody else than its registry took out of the log. It is
// filled when it is first asked.
type allocation struct {
	empty    func() *allocator.AllocationBitmap
	services *table.Table
	of       func(*corev1.Service) []int // what a Service has, as offsets

	mu    sync.Mutex
	bits  *allocator.AllocationBitmap // nil: nobody has asked yet
	rev   uint64                      // of services, up to which bits are known
	has   map[events.Key][]int
	count map[int]int      // in how many Services an offset is
	asked map[int]struct{} // allocated for a Service that is not in the table yet
}

var _ allocator.Interface = (*allocation)(nil)

// allocations returns what makes an allocation for an allocator.
func (i *installer) allocations(of func(*corev1.Service) []int) allocator.AllocatorWithOffsetFactory {
	return func(size int, spec string, offset int) (allocator.Interface, error) {
		empty := func() *allocator.AllocationBitmap { return allocator.NewAllocationMapWithOffset(size, spec, offset) }
		return &allocation{empty: empty, services: i.objects.Of(events.Service), of: of, asked: map[int]struct{}{}}, nil
	}
}

// follow takes what has happened to Services. The caller holds mu.
func (a *allocation) follow() {
	for a.bits != nil {
		cs, _, _, ok := a.services.Since(a.rev)
		for _, c := range cs {
			a.note(c.Key, c.Now)
			a.rev = c.Rev
		}
		switch {
		case !ok:
			a.bits = nil
		case len(cs) == 0:
			return
		}
	}
	a.bits, a.has, a.count = a.empty(), map[events.Key][]int{}, map[int]int{}
	for o := range a.asked {
		a.take(o)
	}
	items, rev := a.services.Snapshot()
	items.Scan(func(i *table.Item) bool {
		a.note(i.Key, i)
		return true
	})
	a.rev = rev
}

// note takes what a Service is now; nil: it is gone.
func (a *allocation) note(key events.Key, now *table.Item) {
	was := a.has[key]
	delete(a.has, key)
	var s corev1.Service
	if now != nil && wire.Unmarshal(now.Data, &s) == nil { // one that cannot be read has nothing
		a.has[key] = a.of(&s)
	}
	for _, o := range a.has[key] {
		a.take(o)
		a.count[o]++
		delete(a.asked, o)
	}
	for _, o := range was {
		if a.count[o]--; a.count[o] == 0 {
			delete(a.count, o)
			a.free(o)
		}
	}
}

// take and free do not fail: the bitmap is in memory, and the offset in its range.
func (a *allocation) take(o int) { _, _ = a.bits.Allocate(o) }

func (a *allocation) free(o int) {
	if _, asked := a.asked[o]; !asked && a.count[o] == 0 {
		_ = a.bits.Release(o)
	}
}

// Allocate implements allocator.Interface.
func (a *allocation) Allocate(o int) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.follow()
	ok, err := a.bits.Allocate(o)
	if ok {
		a.asked[o] = struct{}{}
	}
	return ok, err
}

// AllocateNext implements allocator.Interface.
func (a *allocation) AllocateNext() (int, bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.follow()
	o, ok, err := a.bits.AllocateNext()
	if ok {
		a.asked[o] = struct{}{}
	}
	return o, ok, err
}

// Release implements allocator.Interface. What a Service still has stays taken.
func (a *allocation) Release(o int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.follow()
	delete(a.asked, o)
	a.free(o)
	return nil
}

// ForEach implements allocator.Interface.
func (a *allocation) ForEach(f func(int)) { a.now().ForEach(f) }

// Has implements allocator.Interface.
func (a *allocation) Has(o int) bool { return a.now().Has(o) }

// Free implements allocator.Interface.
func (a *allocation) Free() int { return a.now().Free() }

// Destroy implements allocator.Interface.
func (a *allocation) Destroy() {}

func (a *allocation) now() *allocator.AllocationBitmap {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.follow()
	return a.bits
}
