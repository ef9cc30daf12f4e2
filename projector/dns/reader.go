package dns

import (
	"bytes"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// reader reads the objects that names are made of. What cannot be read is not
// there.
type reader struct{ objects *table.Tables }

func (r reader) namespace(name string) bool {
	return r.objects.Get(events.Namespace, events.Key{Name: name}) != nil
}

func (r reader) service(namespace, name string) *corev1.Service {
	return read[corev1.Service](r.objects.Get(events.Service, events.Key{Namespace: namespace, Name: name}))
}

func read[T any](i *table.Item) *T {
	if i == nil {
		return nil
	}
	o := new(T)
	if err := wire.Unmarshal(i.Data, o); err != nil {
		return nil
	}
	return o
}

// serviceAt returns the Service that has an address.
func (r reader) serviceAt(ip netip.Addr) (found *corev1.Service) {
	each(r.objects.Of(events.Service), "", part(ip), func(s *corev1.Service) bool {
		if has(s.Spec.ClusterIPs, ip) {
			found = s
		}
		return found == nil
	})
	return found
}

// slices returns the EndpointSlices of a Service.
func (r reader) slices(namespace, service string) (all []*discoveryv1.EndpointSlice) {
	each(r.objects.Of(events.EndpointSlice), namespace+"/", []byte(service), func(s *discoveryv1.EndpointSlice) bool {
		if serviceOf(s) == service {
			all = append(all, s)
		}
		return true
	})
	return all
}

// slicesWith returns the EndpointSlices that have an address.
func (r reader) slicesWith(ip netip.Addr) (all []*discoveryv1.EndpointSlice) {
	each(r.objects.Of(events.EndpointSlice), "", part(ip), func(s *discoveryv1.EndpointSlice) bool {
		if serviceOf(s) != "" {
			all = append(all, s)
		}
		return true
	})
	return all
}

// part is what the bytes of an object have that has an address: there are several
// ways to write one of IPv6.
func part(ip netip.Addr) []byte {
	if ip.Is4() {
		return []byte(ip.String())
	}
	return nil
}

func serviceOf(s *discoveryv1.EndpointSlice) string { return s.Labels[discoveryv1.LabelServiceName] }

// each calls visit with the objects below a prefix, in order, until it returns
// false. Those whose bytes do not have what all have that are looked for are not
// decoded.
func each[T any](t *table.Table, prefix string, with []byte, visit func(*T) bool) {
	rows, _ := t.Snapshot()
	rows.From(prefix, "", func(i *table.Item) bool {
		if !bytes.Contains(i.Data, with) {
			return true
		}
		o := read[T](i)
		return o == nil || visit(o)
	})
}
