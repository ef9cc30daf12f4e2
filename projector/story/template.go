package story

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"
)

// Template returns a pod template as kubectl describe prints it. The kinds of
// volumes that daemon pods use are described; of others the name is printed.
func Template(t *corev1.PodTemplateSpec) string {
	var b strings.Builder
	d := &describer{w: tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)}
	d.line(0, "Pod Template:")
	d.pairs("Labels", t.Labels, "=")
	if len(t.Annotations) > 0 {
		d.pairs("Annotations", t.Annotations, ": ")
	}
	spec := &t.Spec
	if spec.ServiceAccountName != "" {
		d.line(1, "Service Account:\t%s", spec.ServiceAccountName)
	}
	if len(spec.InitContainers) > 0 {
		d.containers("Init Containers", spec.InitContainers)
	}
	d.containers("Containers", spec.Containers)
	d.volumes(spec.Volumes)
	if spec.PriorityClassName != "" {
		d.line(1, "Priority Class Name:\t%s", spec.PriorityClassName)
	}
	d.pairs("Node-Selectors", spec.NodeSelector, "=")
	d.tolerations(spec.Tolerations)
	_ = d.w.Flush() // a strings.Builder takes everything
	return b.String()
}

// describer writes lines whose values are aligned below each other.
type describer struct{ w *tabwriter.Writer }

func (d *describer) line(level int, format string, args ...any) {
	fmt.Fprintf(d.w, strings.Repeat("  ", level)+format+"\n", args...)
}

// pairs writes one pair a line.
func (d *describer) pairs(name string, m map[string]string, between string) {
	head := name + ":"
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if k == corev1.LastAppliedConfigAnnotation {
			continue
		}
		d.line(1, "%s\t%s%s%s", head, k, between, oneLine(m[k]))
		head = ""
	}
	if head != "" {
		d.line(1, "%s\t%s", head, none)
	}
}

func (d *describer) containers(name string, cs []corev1.Container) {
	if len(cs) == 0 {
		d.line(1, "%s: %s", name, none)
		return
	}
	d.line(1, "%s:", name)
	for i := range cs {
		d.container(&cs[i])
	}
}

func (d *describer) container(c *corev1.Container) {
	d.line(1, " %s:", c.Name)
	d.line(2, "Image:\t%s", c.Image)
	d.ports(c.Ports)
	d.words("Command", c.Command)
	d.words("Args", c.Args)
	d.resources("Limits", c.Resources.Limits)
	d.resources("Requests", c.Resources.Requests)
	d.probe("Liveness", c.LivenessProbe)
	d.probe("Readiness", c.ReadinessProbe)
	d.probe("Startup", c.StartupProbe)
	d.environment(c)
	if len(c.VolumeMounts) == 0 {
		d.line(2, "Mounts:\t%s", none)
		return
	}
	d.line(2, "Mounts:")
	for _, m := range slices.SortedFunc(slices.Values(c.VolumeMounts), func(a, b corev1.VolumeMount) int {
		return cmp.Compare(a.MountPath, b.MountPath)
	}) {
		flags := "rw"
		if m.ReadOnly {
			flags = "ro"
		}
		if m.SubPath != "" {
			flags += fmt.Sprintf(",path=%q", m.SubPath)
		}
		d.line(3, "%s from %s (%s)", m.MountPath, m.Name, flags)
	}
}

func (d *describer) ports(ps []corev1.ContainerPort) {
	several := ""
	if len(ps) > 1 {
		several = "s"
	}
	list := func(number func(corev1.ContainerPort) int32) string {
		var parts []string
		for _, p := range ps {
			parts = append(parts, fmt.Sprintf("%d/%s%s", number(p), p.Protocol, inBrackets(p.Name)))
		}
		return cmp.Or(strings.Join(parts, ", "), none)
	}
	d.line(2, "Port%s:\t%s", several, list(func(p corev1.ContainerPort) int32 { return p.ContainerPort }))
	d.line(2, "Host Port%s:\t%s", several, list(func(p corev1.ContainerPort) int32 { return p.HostPort }))
}

func (d *describer) words(name string, words []string) {
	if len(words) == 0 {
		return
	}
	d.line(2, "%s:", name)
	for _, w := range words {
		for l := range strings.SplitSeq(w, "\n") {
			d.line(3, "%s", oneLine(l))
		}
	}
}

func (d *describer) resources(name string, l corev1.ResourceList) {
	if len(l) == 0 {
		return
	}
	d.line(2, "%s:", name)
	for _, k := range slices.Sorted(maps.Keys(l)) {
		q := l[k]
		d.line(3, "%s:\t%s", k, q.String())
	}
}

func (d *describer) probe(name string, p *corev1.Probe) {
	if p == nil {
		return
	}
	what := "unknown"
	switch {
	case p.Exec != nil:
		what = fmt.Sprintf("exec %v", p.Exec.Command)
	case p.HTTPGet != nil:
		path := p.HTTPGet.Path
		if path != "" && !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		what = fmt.Sprintf("http-get %s://%s:%s%s", strings.ToLower(string(p.HTTPGet.Scheme)), p.HTTPGet.Host, p.HTTPGet.Port.String(), path)
	case p.TCPSocket != nil:
		what = fmt.Sprintf("tcp-socket %s:%s", p.TCPSocket.Host, p.TCPSocket.Port.String())
	case p.GRPC != nil:
		service := ""
		if p.GRPC.Service != nil {
			service = *p.GRPC.Service
		}
		what = fmt.Sprintf("grpc <pod>:%d %s", p.GRPC.Port, service)
	}
	d.line(2, "%s:\t%s delay=%ds timeout=%ds period=%ds #success=%d #failure=%d", name, oneLine(what),
		p.InitialDelaySeconds, p.TimeoutSeconds, p.PeriodSeconds, p.SuccessThreshold, p.FailureThreshold)
}

func (d *describer) environment(c *corev1.Container) {
	if len(c.EnvFrom) > 0 {
		d.line(2, "Environment Variables from:")
		for _, e := range c.EnvFrom {
			from, name, optional := "", "", false
			switch {
			case e.ConfigMapRef != nil:
				from, name, optional = "ConfigMap", e.ConfigMapRef.Name, yes(e.ConfigMapRef.Optional)
			case e.SecretRef != nil:
				from, name, optional = "Secret", e.SecretRef.Name, yes(e.SecretRef.Optional)
			}
			if e.Prefix != "" {
				from += " with prefix '" + e.Prefix + "'"
			}
			d.line(3, "%s\t%s\tOptional: %t", name, from, optional)
		}
	}
	if len(c.Env) == 0 {
		d.line(2, "Environment:\t%s", none)
		return
	}
	d.line(2, "Environment:")
	for _, e := range c.Env {
		d.variable(e)
	}
}

func (d *describer) variable(e corev1.EnvVar) {
	from := e.ValueFrom
	switch {
	case from == nil:
		head := e.Name + ":"
		for l := range strings.SplitSeq(e.Value, "\n") {
			d.line(3, "%s\t%s", head, oneLine(l))
			head = ""
		}
	case from.FieldRef != nil:
		d.line(3, "%s:\t (%s:%s)", e.Name, from.FieldRef.APIVersion, from.FieldRef.FieldPath)
	case from.ResourceFieldRef != nil:
		d.line(3, "%s:\t (%s)", e.Name, from.ResourceFieldRef.Resource)
	case from.SecretKeyRef != nil:
		d.line(3, "%s:\t<set to the key '%s' in secret '%s'>\tOptional: %t", e.Name,
			from.SecretKeyRef.Key, from.SecretKeyRef.Name, yes(from.SecretKeyRef.Optional))
	case from.ConfigMapKeyRef != nil:
		d.line(3, "%s:\t<set to the key '%s' of config map '%s'>\tOptional: %t", e.Name,
			from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Name, yes(from.ConfigMapKeyRef.Optional))
	}
}

func yes(b *bool) bool { return b != nil && *b }

func (d *describer) tolerations(ts []corev1.Toleration) {
	head := "Tolerations:"
	for _, t := range slices.SortedFunc(slices.Values(ts), func(a, b corev1.Toleration) int { return cmp.Compare(a.Key, b.Key) }) {
		s := t.Key
		if t.Value != "" {
			s += "=" + t.Value
		}
		if t.Effect != "" {
			s += ":" + string(t.Effect)
		}
		if t.Operator == corev1.TolerationOpExists && t.Value == "" {
			if t.Key != "" || t.Effect != "" {
				s += " "
			}
			s += "op=Exists"
		}
		if t.TolerationSeconds != nil {
			s += fmt.Sprintf(" for %ds", *t.TolerationSeconds)
		}
		d.line(1, "%s\t%s", head, s)
		head = ""
	}
	if head != "" {
		d.line(1, "%s\t%s", head, none)
	}
}
