package streams

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcehelper "k8s.io/kubernetes/pkg/api/v1/resource"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/pkg/kubelet/envvars"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/dns"
	"rollcall/projector/table"
	"rollcall/publisher/simkubelet/script"
	"rollcall/publisher/simkubelet/shell"
)

// container is what a shell finds in a container of a pod.
func (c *Connections) container(ctx context.Context, pod *corev1.Pod, name string) *shell.Container {
	spec := specOf(pod, name)
	s := &shell.Container{Pod: hostname(pod), Namespace: pod.Namespace, Node: pod.Spec.NodeName, IP: pod.Status.PodIP, Image: spec.Image,
		Command: append(append([]string{}, spec.Command...), spec.Args...), Dir: spec.WorkingDir, As: script.IdentityOf(pod, spec), Server: dns.NameServer(c.options.Objects), Now: c.options.Now}
	if pod.Spec.Subdomain != "" {
		s.FQDN = s.Pod + "." + pod.Spec.Subdomain + "." + pod.Namespace + ".svc." + strings.TrimSuffix(dns.Domain, ".")
	}
	status := statusOf(pod, name)
	if status.State.Running != nil {
		s.Started = status.State.Running.StartedAt.Time
	}
	s.Search = search(pod)
	s.Env = c.environment(ctx, pod, spec, s.Started)
	s.Files = c.files(ctx, pod, spec, s, status.RestartCount)
	s.Network = network{c, pod}
	return s
}

func statusOf(pod *corev1.Pod, name string) corev1.ContainerStatus {
	for _, all := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for _, s := range all {
			if s.Name == name {
				return s
			}
		}
	}
	return corev1.ContainerStatus{}
}

// hostname is the name that a pod has for itself: that of its node if it is on the
// node's network.
func hostname(pod *corev1.Pod) string {
	switch {
	case pod.Spec.HostNetwork:
		return pod.Spec.NodeName
	case pod.Spec.Hostname != "":
		return pod.Spec.Hostname
	}
	const longest = 63
	name := pod.Name
	if len(name) > longest {
		name = strings.TrimRight(name[:longest], "-.")
	}
	return name
}

// search are the domains in which a pod looks for names.
func search(pod *corev1.Pod) (all []string) {
	domain := strings.TrimSuffix(dns.Domain, ".")
	if p := pod.Spec.DNSPolicy; p != corev1.DNSNone && p != corev1.DNSDefault && (p != corev1.DNSClusterFirst || !pod.Spec.HostNetwork) {
		all = []string{pod.Namespace + ".svc." + domain, "svc." + domain, domain}
	}
	if c := pod.Spec.DNSConfig; c != nil {
		all = append(all, c.Searches...)
	}
	return all
}

// environment are the variables of a container, as a kubelet makes them: Services
// that were there when it started, then those of the spec, which may name them.
func (c *Connections) environment(ctx context.Context, pod *corev1.Pod, spec *corev1.Container, started time.Time) map[string]string {
	links := map[string]string{}
	for _, e := range envvars.FromServices(c.services(pod, started)) {
		links[e.Name] = e.Value
	}
	env := map[string]string{}
	for _, from := range spec.EnvFrom {
		data := map[string][]byte{}
		if from.ConfigMapRef != nil {
			data = c.configMap(ctx, pod.Namespace, from.ConfigMapRef.Name)
		}
		if from.SecretRef != nil {
			data = c.secret(ctx, pod.Namespace, from.SecretRef.Name)
		}
		for _, k := range slices.Sorted(maps.Keys(data)) {
			env[from.Prefix+k] = string(data[k])
		}
	}
	mapping := expansion.MappingFuncFor(env, links)
	for _, e := range spec.Env {
		value := expansion.Expand(e.Value, mapping)
		if e.ValueFrom != nil {
			value = c.value(ctx, pod, spec, e.ValueFrom)
		}
		env[e.Name] = value
	}
	for k, v := range links {
		if _, there := env[k]; !there {
			env[k] = v
		}
	}
	if _, there := env["HOSTNAME"]; !there {
		env["HOSTNAME"] = hostname(pod)
	}
	return env
}

// Resolved is a pod of which one container has the values of its variables in place
// of where they come from: all that a program in it would be given.
func (c *Connections) Resolved(ctx context.Context, pod *corev1.Pod, name string) *corev1.Pod {
	if specOf(pod, name) == nil {
		return pod
	}
	seen := pod.DeepCopy()
	spec := specOf(seen, name)
	var started time.Time
	if state := statusOf(pod, name).State; state.Running != nil {
		started = state.Running.StartedAt.Time
	} else if state.Terminated != nil {
		started = state.Terminated.StartedAt.Time
	}
	env := c.environment(ctx, pod, spec, started)
	spec.EnvFrom, spec.Env = nil, nil
	for _, k := range slices.Sorted(maps.Keys(env)) {
		// A $ in a value is one, and begins no reference.
		spec.Env = append(spec.Env, corev1.EnvVar{Name: k, Value: strings.ReplaceAll(env[k], "$", "$$")})
	}
	return seen
}

// value is that of a variable which comes from elsewhere.
func (c *Connections) value(ctx context.Context, pod *corev1.Pod, spec *corev1.Container, from *corev1.EnvVarSource) string {
	switch {
	case from.ConfigMapKeyRef != nil:
		return string(c.configMap(ctx, pod.Namespace, from.ConfigMapKeyRef.Name)[from.ConfigMapKeyRef.Key])
	case from.SecretKeyRef != nil:
		return string(c.secret(ctx, pod.Namespace, from.SecretKeyRef.Name)[from.SecretKeyRef.Key])
	case from.FieldRef != nil:
		return field(pod, from.FieldRef.FieldPath)
	case from.ResourceFieldRef != nil:
		return c.resource(pod, spec, from.ResourceFieldRef)
	}
	return ""
}

// resource is what a container asks for of a resource. What has no limit may have all
// that its node has.
func (c *Connections) resource(pod *corev1.Pod, spec *corev1.Container, of *corev1.ResourceFieldSelector) string {
	node := &corev1.Node{}
	if i := c.options.Places.Nodes.At(pod.Spec.NodeName); i != nil && wire.Unmarshal(i.Data, node) == nil {
		spec = spec.DeepCopy()
		resourcehelper.MergeContainerResourceLimits(spec, node.Status.Allocatable)
	}
	v, _ := resourcehelper.ExtractContainerResourceValue(of, spec) // nothing is asked for: none
	return v
}

// field is a field of a pod, as its containers see it.
func field(pod *corev1.Pod, path string) string {
	switch path {
	case "spec.nodeName":
		return pod.Spec.NodeName
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName
	case "status.hostIP":
		return pod.Status.HostIP
	case "status.podIP":
		return pod.Status.PodIP
	case "status.hostIPs":
		var ips []string
		for _, i := range pod.Status.HostIPs {
			ips = append(ips, i.IP)
		}
		return strings.Join(ips, ",")
	case "status.podIPs":
		var ips []string
		for _, i := range pod.Status.PodIPs {
			ips = append(ips, i.IP)
		}
		return strings.Join(ips, ",")
	}
	v, _ := fieldpath.ExtractFieldPathAsString(pod, path) // what there is not is empty
	return v
}

// services are those that a container has variables of.
func (c *Connections) services(pod *corev1.Pod, started time.Time) (all []*corev1.Service) {
	links := pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks
	rows, _ := c.options.Objects.Of(events.Service).Snapshot()
	rows.Scan(func(i *table.Item) bool {
		master := i.Key == events.Key{Namespace: metav1.NamespaceDefault, Name: "kubernetes"}
		if !master && (!links || i.Key.Namespace != pod.Namespace) {
			return true
		}
		s := &corev1.Service{}
		if wire.Unmarshal(i.Data, s) == nil && (master || !s.CreationTimestamp.After(started)) {
			all = append(all, s)
		}
		return true
	})
	return all
}

func (c *Connections) configMap(ctx context.Context, namespace, name string) map[string][]byte {
	data := map[string][]byte{}
	if o, err := c.options.Client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
		for k, v := range o.Data {
			data[k] = []byte(v)
		}
		maps.Copy(data, o.BinaryData)
	}
	return data
}

func (c *Connections) secret(ctx context.Context, namespace, name string) map[string][]byte {
	if o, err := c.options.Client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
		return o.Data
	}
	return map[string][]byte{}
}

// hosts is the file that a kubelet writes.
func hosts(pod *corev1.Pod, s *shell.Container) string {
	var b strings.Builder
	b.WriteString("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	name := s.Pod
	if s.FQDN != "" {
		name = s.FQDN + "\t" + s.Pod
	}
	fmt.Fprintf(&b, "%s\t%s\n", s.IP, name)
	if len(pod.Spec.HostAliases) > 0 {
		b.WriteString("\n# Entries added by HostAliases.\n")
	}
	for _, a := range pod.Spec.HostAliases {
		fmt.Fprintf(&b, "%s\t%s\n", a.IP, strings.Join(a.Hostnames, "\t"))
	}
	return b.String()
}
