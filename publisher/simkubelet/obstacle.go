package simkubelet

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
)

// imageKind is that of an image on the node that is the namespace of its key.
const imageKind events.Kind = "image"

// thing is what a pod may wait for: a ConfigMap, a Secret, an image on its node.
type thing struct {
	kind events.Kind
	key  events.Key
}

// obstacle is why a container cannot start, as its status says it.
type obstacle struct{ reason, message string }

// caName is the ConfigMap with the cluster's own certificate. Every node has
// it: pods do not wait for the copy of their namespace.
const caName = "kube-root-ca.crt"

// thingIs notes the keys of a ConfigMap or Secret: their values are nobody's
// business here.
func (w *World) thingIs(e events.Event, o events.Object) {
	t := thing{o.Kind, o.Key}
	if o.Kind == events.ConfigMap {
		if c := new(corev1.ConfigMap); o.Decode(c) == nil {
			w.things[t] = append(keysOf(c.Data), keysOf(c.BinaryData)...)
			slices.Sort(w.things[t])
		}
	} else if s := new(corev1.Secret); o.Decode(s) == nil {
		w.things[t] = keysOf(s.Data)
	}
	w.appeared(t, clock(e))
}

func (w *World) thingGone(r events.Ref) { delete(w.things, thing{r.Kind, r.Key}) }

func keysOf[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// appeared arms the pods anew that wait for a thing.
func (w *World) appeared(t thing, now time.Time) {
	for _, p := range slices.Clone(w.blocked[t]) {
		w.armPod(p, now)
	}
}

// await notes what a pod waits for, in place of what it waited for before.
func (w *World) await(p *pod, what []thing) {
	for _, t := range p.awaits {
		w.blocked[t] = without(w.blocked[t], p)
		if len(w.blocked[t]) == 0 {
			delete(w.blocked, t)
		}
	}
	p.awaits = what
	for _, t := range what {
		w.blocked[t] = with(w.blocked[t], p)
	}
}

// obstacle returns why a container of a pod does not start, in the order in
// which a kubelet comes upon it: volumes, image, environment.
func (w *World) obstacle(p *pod, o *corev1.Pod, s *slot) obstacle {
	if s.role != debugs {
		if why := w.unmounted(o, nil); why != "" {
			reason := creating
			if len(o.Spec.InitContainers) > 0 {
				reason = initializing
			}
			return obstacle{reason, why}
		}
	}
	if b := w.imageless(p, o, s.c); b.reason != "" {
		return b
	}
	if why := cmp.Or(w.unconfigured(o, s.c, nil), misplaced(o, s.c), rootless(o, s.c)); why != "" {
		return obstacle{"CreateContainerConfigError", why}
	}
	return obstacle{}
}

// wanting returns the things whose coming would change what holds a pod up.
func (w *World) wanting(p *pod) []thing {
	var list []thing
	note := func(t thing) {
		if !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	o := p.object()
	w.unmounted(o, note)
	for _, s := range slots(o, nil) {
		w.unconfigured(o, s.c, note)
		if s.c.ImagePullPolicy == corev1.PullNever {
			note(thing{imageKind, events.Key{Namespace: p.host.ref.Key.Name, Name: s.c.Image}})
		}
	}
	return list
}

// want is a part of a thing that a pod needs.
type want struct {
	thing
	keys     []string
	optional *bool
}

// lacks returns what is missing of a want, and notes the thing.
func (w *World) lacks(n want, note func(thing)) (gone bool, key string) {
	if n.optional != nil && *n.optional || n.key.Name == caName && n.kind == events.ConfigMap {
		return false, ""
	}
	has, ok := w.things[n.thing]
	if !ok {
		if note != nil {
			note(n.thing)
		}
		return true, ""
	}
	for _, k := range n.keys {
		if _, ok := slices.BinarySearch(has, k); !ok {
			if note != nil {
				note(n.thing)
			}
			return false, k
		}
	}
	return false, ""
}

func word(k events.Kind) string {
	if k == events.Secret {
		return "secret"
	}
	return "configmap"
}

// unmountedPrefix begins why a volume is not mounted.
const unmountedPrefix = "MountVolume.SetUp failed"

// unmounted returns why a volume of a pod cannot be mounted, or "".
func (w *World) unmounted(o *corev1.Pod, note func(thing)) (why string) {
	for i := range o.Spec.Volumes {
		v := &o.Spec.Volumes[i]
		for _, n := range volumeWants(o.Namespace, v) {
			gone, key := w.lacks(n, note)
			said := ""
			switch {
			case gone:
				said = fmt.Sprintf("%s %q not found", word(n.kind), n.key.Name)
			case key != "":
				said = fmt.Sprintf("references non-existent %s key: %s", strings.TrimSuffix(word(n.kind), "map"), key)
			}
			if said != "" && why == "" {
				why = fmt.Sprintf("%s for volume %q : %s", unmountedPrefix, v.Name, said)
			}
		}
	}
	return why
}

func volumeWants(ns string, v *corev1.Volume) (ws []want) {
	add := func(k events.Kind, name string, items []corev1.KeyToPath, optional *bool) {
		n := want{thing: thing{k, events.Key{Namespace: ns, Name: name}}, optional: optional}
		for i := range items {
			n.keys = append(n.keys, items[i].Key)
		}
		ws = append(ws, n)
	}
	if c := v.ConfigMap; c != nil {
		add(events.ConfigMap, c.Name, c.Items, c.Optional)
	}
	if s := v.Secret; s != nil {
		add(events.Secret, s.SecretName, s.Items, s.Optional)
	}
	if v.Projected != nil {
		for i := range v.Projected.Sources {
			if c := v.Projected.Sources[i].ConfigMap; c != nil {
				add(events.ConfigMap, c.Name, c.Items, c.Optional)
			}
			if s := v.Projected.Sources[i].Secret; s != nil {
				add(events.Secret, s.Name, s.Items, s.Optional)
			}
		}
	}
	return ws
}

// unconfigured returns why the environment of a container cannot be made, or "".
func (w *World) unconfigured(o *corev1.Pod, c *corev1.Container, note func(thing)) (why string) {
	need := func(k events.Kind, name, key string, optional *bool) {
		n := want{thing: thing{k, events.Key{Namespace: o.Namespace, Name: name}}, optional: optional}
		if key != "" {
			n.keys = []string{key}
		}
		gone, lacks := w.lacks(n, note)
		switch {
		case why != "":
		case gone:
			why = fmt.Sprintf("%s %q not found", word(k), name)
		case lacks != "":
			why = fmt.Sprintf("couldn't find key %s in %s %s/%s", lacks, k, o.Namespace, name)
		}
	}
	for i := range c.EnvFrom {
		if r := c.EnvFrom[i].ConfigMapRef; r != nil {
			need(events.ConfigMap, r.Name, "", r.Optional)
		}
		if r := c.EnvFrom[i].SecretRef; r != nil {
			need(events.Secret, r.Name, "", r.Optional)
		}
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.ConfigMapKeyRef != nil {
			need(events.ConfigMap, from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Optional)
		} else if from != nil && from.SecretKeyRef != nil {
			need(events.Secret, from.SecretKeyRef.Name, from.SecretKeyRef.Key, from.SecretKeyRef.Optional)
		}
	}
	return why
}

// misplaced returns why a part of a volume, of whose path variables are a part, cannot
// be mounted, or "". Values that come from other objects are nobody's business here:
// a path with such a one is taken for good.
func misplaced(o *corev1.Pod, c *corev1.Container) string {
	env := environment(o, c)
	elsewhere := len(c.EnvFrom) > 0 || slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.ValueFrom != nil && e.ValueFrom.FieldRef == nil })
	for i := range c.VolumeMounts {
		expr := c.VolumeMounts[i].SubPathExpr
		if expr == "" || elsewhere {
			continue
		}
		var missing []string
		for _, v := range variables.FindAllString(expr, -1) {
			if name := strings.Trim(v, "$()"); v != "$$" && env[name] == "" && !slices.Contains(missing, name) {
				missing = append(missing, name)
			}
		}
		slices.Sort(missing)
		at := expandArgument(expr, env)
		switch {
		case len(missing) > 0:
			return "missing value for " + strings.Join(missing, ", ")
		case strings.HasPrefix(at, "/"):
			return fmt.Sprintf("error SubPath `%s` must not be an absolute path", at)
		case slices.Contains(strings.Split(at, "/"), ".."):
			return fmt.Sprintf("unable to provision SubPath `%s`: must not contain '..'", at)
		}
	}
	return ""
}

// imageless returns why a container has no image, or nothing.
func (w *World) imageless(p *pod, o *corev1.Pod, c *corev1.Container) obstacle {
	switch why := w.unnamed(c.Image); {
	case why != "":
		return obstacle{"InvalidImageName", why}
	case w.hasPulled(c) && c.ImagePullPolicy != corev1.PullAlways:
	case c.ImagePullPolicy == corev1.PullNever && !p.host.hasImage(c.Image):
		return obstacle{"ErrImageNeverPull", fmt.Sprintf("Container image %q is not present with pull policy of Never", c.Image)}
	case readTag(c.Image).absent || unreachable(c.Image):
		return obstacle{"ImagePullBackOff", fmt.Sprintf("Back-off pulling image %q: ErrImagePull: not found", c.Image)}
	}
	return obstacle{}
}

// unreachable reports whether an image says of itself that no registry has it: it
// is on the machine of its author, or in a registry that cannot exist.
func unreachable(image string) bool {
	domain, _, _ := strings.Cut(image, "/")
	return domain != image && (domain == "localhost" || strings.HasPrefix(domain, "invalid.") || strings.HasSuffix(domain, ".invalid"))
}

// unnamed returns why an image has no proper name, or "". What was said of an
// image is remembered: rollouts ask again and again.
func (w *World) unnamed(image string) string {
	return remember(w.images, image, func() string {
		err := CheckImage(image)
		if err == nil {
			return ""
		}
		return fmt.Sprintf("Failed to apply default image tag %q: couldn't parse image name %q: %v", image, image, err)
	})
}

// CheckImage returns what is wrong with the name of an image.
func CheckImage(image string) error {
	_, err := reference.ParseNormalizedNamed(image)
	return err
}

// hasPulled reports whether the image of a container is on every node.
func (w *World) hasPulled(c *corev1.Container) bool {
	return slices.Contains(w.options.Pulled, c.Image)
}

// hasImage reports whether an image is on a node: some pod there has run it.
func (h *host) hasImage(image string) bool {
	return slices.ContainsFunc(h.pods, func(p *pod) bool {
		has := func(s corev1.ContainerStatus) bool { return s.Image == image && s.ImageID != "" }
		s := &p.object().Status
		return slices.ContainsFunc(s.ContainerStatuses, has) || slices.ContainsFunc(s.InitContainerStatuses, has) ||
			slices.ContainsFunc(s.EphemeralContainerStatuses, has)
	})
}

// pulled arms the pods anew that wait for an image that a pod has brought.
func (w *World) pulled(p *pod, o *corev1.Pod, now time.Time) {
	if p.host == nil || len(w.blocked) == 0 {
		return
	}
	for _, s := range slots(o, nil) {
		if s.s != nil && s.s.ImageID != "" {
			w.appeared(thing{imageKind, events.Key{Namespace: p.host.ref.Key.Name, Name: s.s.Image}}, now)
		}
	}
}
