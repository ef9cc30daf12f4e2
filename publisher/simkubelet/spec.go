package simkubelet

import (
	corev1 "k8s.io/api/core/v1"

	"rollcall/events/wire"
)

// spec is what pods of one template have in common: the spec of each of them
// without its node and its affinity, and what they need of a host. It is never
// changed: all of them share it.
type spec struct {
	corev1.PodSpec
	needs *resources
}

// specs are the specs that were read, by the bytes of what is common. Hardly any
// pod is the only one of its template, and half of reading a pod is its spec.
type specs struct {
	known map[string]*spec
	key   []byte // of the last one that was asked for
}

// bare is the spec of a pod that has none.
var bare = spec{needs: requestsOf(&corev1.Pod{})}

// maxSpecs bounds what is remembered of templates.
const maxSpecs = 1024

// read reads a pod, whose spec is not to be changed but for its node.
func (s *specs) read(data []byte) (*corev1.Pod, *spec, error) {
	o, common := new(corev1.Pod), &bare
	c := wire.NewCursor(data)
	for range c.Map() {
		switch string(c.Str()) {
		case "kind":
			c.Read(&o.Kind)
		case "apiVersion":
			c.Read(&o.APIVersion)
		case "metadata":
			c.Read(&o.ObjectMeta)
		case "status":
			c.Read(&o.Status)
		case "spec":
			var err error
			if common, err = s.readSpec(c.Value(), &o.Spec); err != nil {
				return nil, nil, err
			}
		default:
			c.Skip()
		}
	}
	return o, common, c.Err()
}

func (s *specs) readSpec(data []byte, into *corev1.PodSpec) (*spec, error) {
	var node, affinity []byte
	s.key = s.key[:0]
	c := wire.NewCursor(data)
	for range c.Map() {
		name := c.Str()
		value := c.Value()
		switch string(name) {
		case "nodeName":
			node = value
		case "affinity":
			affinity = value
		default: // a value ends where it ends, a name has a length
			s.key = append(append(append(s.key, byte(len(name))), name...), value...)
		}
	}
	common := s.known[string(s.key)]
	if common == nil {
		common = new(spec)
		if err := wire.Unmarshal(data, &common.PodSpec); err != nil {
			return nil, err
		}
		common.NodeName, common.Affinity = "", nil
		common.needs = requestsOf(&corev1.Pod{Spec: common.PodSpec})
		if len(s.known) >= maxSpecs {
			clear(s.known)
		}
		s.known[string(s.key)] = common
	}
	*into = common.PodSpec
	if node != nil {
		if err := wire.Unmarshal(node, &into.NodeName); err != nil {
			return nil, err
		}
	}
	if affinity != nil {
		if err := wire.Unmarshal(affinity, &into.Affinity); err != nil {
			return nil, err
		}
	}
	return common, c.Err()
}
