package dns

import (
	"net/netip"

	"rollcall/projector/table"
)

// Backends returns the endpoints that are ready behind an address and a port of a
// Service, in the order of their objects. ok is false if no Service has the
// address, or not the port.
func Backends(objects *table.Tables, at netip.AddrPort) (ready []netip.AddrPort, ok bool) {
	r := reader{objects}
	s := r.serviceAt(at.Addr())
	if s == nil {
		return nil, false
	}
	name := ""
	for _, p := range s.Spec.Ports {
		if p.Port == int32(at.Port()) {
			name, ok = p.Name, true
		}
	}
	if !ok {
		return nil, false
	}
	for _, slice := range r.slices(s.Namespace, s.Name) {
		for _, p := range slice.Ports {
			if p.Port == nil || deref(p.Name) != name {
				continue
			}
			for _, e := range slice.Endpoints {
				if e.Conditions.Ready != nil && !*e.Conditions.Ready {
					continue
				}
				for _, text := range e.Addresses {
					if ip, err := netip.ParseAddr(text); err == nil {
						ready = append(ready, netip.AddrPortFrom(ip, uint16(*p.Port)))
					}
				}
			}
		}
	}
	return ready, true
}
