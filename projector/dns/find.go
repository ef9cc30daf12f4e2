package dns

import (
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// target is one thing that a name stands for.
type target struct {
	name  string // with which a record of its port points at it
	ip    string
	port  int32  // -1: none is known
	alias string // the name that stands for it instead, of an ExternalName Service
}

// asked is a name as the specification reads it.
type asked struct {
	of        string // svc or pod
	namespace string
	name      string // of the Service, or the address of a pod with dashes
	endpoint  string // one of the Service's
	port      string
	protocol  string
	tooLong   bool
}

// parse reads the labels of a name without its domain: of one of the forms
// service.namespace.svc, endpoint.service.namespace.svc,
// _port._protocol.service.namespace.svc, and address.namespace.pod.
func parse(labels []string) (q asked) {
	take := func() string {
		if len(labels) == 0 {
			return ""
		}
		last := labels[len(labels)-1]
		labels = labels[:len(labels)-1]
		return last
	}
	q.of, q.namespace, q.name = take(), take(), take()
	switch len(labels) {
	case 0:
	case 1:
		q.endpoint = labels[0]
	case 2:
		q.port, q.protocol = strings.TrimPrefix(labels[0], "_"), strings.TrimPrefix(labels[1], "_")
	default:
		q.tooLong = true
	}
	return q
}

// find returns what a name stands for; ok is false if there is no such name.
func (r reader) find(q asked) (ts []target, ok bool) {
	switch {
	case q.of != "svc" && q.of != "pod" || q.tooLong:
		return nil, false
	case q.namespace == "":
		return nil, true // names are below it
	case !r.namespace(q.namespace):
		return nil, false
	case q.name == "":
		return nil, true
	case q.of == "pod":
		return podAt(q)
	}
	s := r.service(q.namespace, q.name)
	switch {
	case s == nil:
		return nil, false
	case s.Spec.Type == corev1.ServiceTypeExternalName:
		return external(s, q)
	case strings.HasPrefix(q.endpoint, "_"):
		return nil, hasProtocol(s, q.endpoint[1:]) // names of its ports are below it
	case q.endpoint != "" || headless(s):
		return r.endpoints(s, q)
	}
	for _, p := range s.Spec.Ports {
		if !matches(q.port, p.Name) || !matches(q.protocol, string(p.Protocol)) {
			continue
		}
		ok = true
		for _, ip := range s.Spec.ClusterIPs {
			ts = append(ts, target{name: nameOf(s), ip: ip, port: p.Port})
		}
	}
	return ts, ok
}

// podAt returns the address that the name of a pod consists of: whether there is a
// pod with it nobody asks.
func podAt(q asked) ([]target, bool) {
	if q.endpoint != "" || q.port != "" {
		return nil, false
	}
	text := strings.ReplaceAll(q.name, "-", ":")
	if strings.Count(q.name, "-") == 3 && !strings.Contains(q.name, "--") {
		text = strings.ReplaceAll(q.name, "-", ".")
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		return nil, false
	}
	return []target{{ip: ip.String(), port: -1}}, true
}

// external returns the name that an ExternalName Service stands for.
func external(s *corev1.Service, q asked) ([]target, bool) {
	if q.endpoint != "" || q.port != "" || q.protocol != "" {
		return nil, false
	}
	if _, err := netip.ParseAddr(s.Spec.ExternalName); err == nil {
		return nil, false // an address is no name
	}
	return []target{{alias: s.Spec.ExternalName, port: -1}}, true
}

// endpoints returns those of a Service's endpoints that are ready and that a name
// means: all of a headless one, or the one of a name.
func (r reader) endpoints(s *corev1.Service, q asked) (ts []target, ok bool) {
	for _, slice := range r.slices(s.Namespace, s.Name) {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			for _, ip := range e.Addresses {
				host := hostname(e, ip)
				if q.endpoint != "" && !strings.EqualFold(q.endpoint, host) {
					continue
				}
				for _, p := range ports(slice) {
					if matches(q.port, deref(p.Name)) && matches(q.protocol, string(deref(p.Protocol))) {
						ts = append(ts, target{name: host + "." + nameOf(s), ip: ip, port: *p.Port})
					}
				}
			}
		}
	}
	return ts, len(ts) > 0
}

// ports returns the ports of a slice: one that is none if there are none, so that
// its addresses are found.
func ports(s *discoveryv1.EndpointSlice) (all []discoveryv1.EndpointPort) {
	none := int32(-1)
	for _, p := range s.Ports {
		if p.Port == nil {
			p.Port = &none
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		all = []discoveryv1.EndpointPort{{Port: &none}}
	}
	return all
}

// hostname is the label of an endpoint: that which it has, or one of its address.
func hostname(e discoveryv1.Endpoint, ip string) string {
	if h := deref(e.Hostname); h != "" {
		return strings.ToLower(h)
	}
	return strings.NewReplacer(".", "-", ":", "-").Replace(ip)
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// matches reports whether a part of a name that may be left out means a value.
func matches(part, value string) bool { return part == "" || strings.EqualFold(part, value) }

func headless(s *corev1.Service) bool { return s.Spec.ClusterIP == corev1.ClusterIPNone }

func hasProtocol(s *corev1.Service, protocol string) bool {
	for _, p := range s.Spec.Ports {
		if p.Name != "" && strings.EqualFold(protocol, string(p.Protocol)) {
			return true
		}
	}
	return false
}

func nameOf(s *corev1.Service) string { return s.Name + "." + s.Namespace + ".svc." + Domain }
