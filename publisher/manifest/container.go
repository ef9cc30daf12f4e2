package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// containers checks every container of the template. Names are unique over
// init containers and containers together.
func (v *podValidator) containers() field.ErrorList {
	var errs field.ErrorList
	s := v.spec
	if len(s.Containers) == 0 {
		errs = append(errs, field.Required(v.at.Child("containers"), ""))
	}
	names := map[string]bool{}
	hostPorts := map[string]bool{}
	for i := range s.Containers {
		c, at := &s.Containers[i], v.at.Child("containers").Index(i)
		errs = append(errs, v.container(c, names, at)...)
		errs = append(errs, v.hostPorts(c, hostPorts, at)...)
		errs = append(errs, validateProbes(c, at)...)
		errs = append(errs, validateLifecycle(c.Lifecycle, at.Child("lifecycle"))...)
	}
	for i := range s.InitContainers {
		c, at := &s.InitContainers[i], v.at.Child("initContainers").Index(i)
		errs = append(errs, v.container(c, names, at)...)
		errs = append(errs, validateInit(c, at)...)
	}
	if len(s.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(v.at.Child("ephemeralContainers"), "ephemeral containers not allowed in pod template"))
	}
	return errs
}

func (v *podValidator) container(c *corev1.Container, names map[string]bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case c.Name == "":
		errs = append(errs, field.Required(at.Child("name"), ""))
	case names[c.Name]:
		errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
	default:
		names[c.Name] = true
		errs = append(errs, eachInvalid(at.Child("name"), c.Name, validation.IsDNS1123Label(c.Name))...)
	}
	switch {
	case c.Image == "":
		errs = append(errs, field.Required(at.Child("image"), ""))
	case strings.TrimSpace(c.Image) != c.Image:
		errs = append(errs, field.Invalid(at.Child("image"), c.Image, "must not have leading or trailing whitespace"))
	case strings.ContainsAny(c.Image, " \t\r\n"):
		errs = append(errs, field.Invalid(at.Child("image"), c.Image, "must not contain whitespace"))
	}
	errs = append(errs, oneOf(c.ImagePullPolicy, at.Child("imagePullPolicy"), corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	errs = append(errs, oneOf(c.TerminationMessagePolicy, at.Child("terminationMessagePolicy"),
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)...)
	errs = append(errs, validatePorts(c.Ports, at.Child("ports"))...)
	errs = append(errs, validateEnv(c, at)...)
	errs = append(errs, validateResources(&c.Resources, at.Child("resources"))...)
	errs = append(errs, v.volumeMounts(c, at)...)
	if sc := c.SecurityContext; sc != nil {
		errs = append(errs, userAndGroup(sc.RunAsUser, sc.RunAsGroup, at.Child("securityContext"))...)
		if value(sc.Privileged) && sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation {
			errs = append(errs, field.Invalid(at.Child("securityContext"), "", "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
		}
	}
	return errs
}

func validatePorts(ports []corev1.ContainerPort, path *field.Path) (errs field.ErrorList) {
	names := map[string]bool{}
	for i, p := range ports {
		at := path.Index(i)
		switch {
		case p.Name == "":
		case names[p.Name]:
			errs = append(errs, field.Duplicate(at.Child("name"), p.Name))
		default:
			names[p.Name] = true
			errs = append(errs, eachInvalid(at.Child("name"), p.Name, validation.IsValidPortName(p.Name))...)
		}
		if p.ContainerPort == 0 {
			errs = append(errs, field.Required(at.Child("containerPort"), ""))
		} else {
			errs = append(errs, eachInvalid(at.Child("containerPort"), p.ContainerPort, validation.IsValidPortNum(int(p.ContainerPort)))...)
		}
		if p.HostPort != 0 {
			errs = append(errs, eachInvalid(at.Child("hostPort"), p.HostPort, validation.IsValidPortNum(int(p.HostPort)))...)
		}
		errs = append(errs, oneOf(p.Protocol, at.Child("protocol"), corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
	}
	return errs
}

// hostPorts refuses a port of the node that is asked for twice, and one that
// differs from the container's on the host's network.
func (v *podValidator) hostPorts(c *corev1.Container, seen map[string]bool, at *field.Path) (errs field.ErrorList) {
	for i, p := range c.Ports {
		if p.HostPort == 0 {
			continue
		}
		path := at.Child("ports").Index(i)
		port := fmt.Sprintf("%s/%s/%d", p.Protocol, p.HostIP, p.HostPort)
		if seen[port] {
			errs = append(errs, field.Duplicate(path.Child("hostPort"), port))
		}
		seen[port] = true
		if v.spec.HostNetwork && p.HostPort != p.ContainerPort {
			errs = append(errs, field.Invalid(path.Child("containerPort"), p.ContainerPort, "must match `hostPort` when `hostNetwork` is true"))
		}
	}
	return errs
}

func validateEnv(c *corev1.Container, at *field.Path) (errs field.ErrorList) {
	for i, e := range c.Env {
		p := at.Child("env").Index(i)
		if e.Name == "" {
			errs = append(errs, field.Required(p.Child("name"), ""))
		} else {
			errs = append(errs, eachInvalid(p.Child("name"), e.Name, validation.IsRelaxedEnvVarName(e.Name))...)
		}
		f := e.ValueFrom
		if f == nil {
			continue
		}
		n := countTrue(f.FieldRef != nil, f.ResourceFieldRef != nil, f.ConfigMapKeyRef != nil, f.SecretKeyRef != nil, f.FileKeyRef != nil)
		switch {
		case e.Value != "":
			errs = append(errs, field.Invalid(p.Child("valueFrom"), "", "may not be specified when `value` is not empty"))
		case n == 0:
			errs = append(errs, field.Invalid(p.Child("valueFrom"), "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
		case n > 1:
			errs = append(errs, field.Invalid(p.Child("valueFrom"), "", "may not have more than one field specified at a time"))
		}
	}
	for i, e := range c.EnvFrom {
		p := at.Child("envFrom").Index(i)
		switch countTrue(e.ConfigMapRef != nil, e.SecretRef != nil) {
		case 0:
			errs = append(errs, field.Invalid(p, "", "must specify one of: `configMapRef` or `secretRef`"))
		case 2:
			errs = append(errs, field.Invalid(p, "", "may not have more than one field specified at a time"))
		}
	}
	return errs
}

func countTrue(bs ...bool) (n int) {
	for _, b := range bs {
		if b {
			n++
		}
	}
	return n
}

func validateResources(r *corev1.ResourceRequirements, at *field.Path) (errs field.ErrorList) {
	for _, l := range []struct {
		name string
		list corev1.ResourceList
	}{{"limits", r.Limits}, {"requests", r.Requests}} {
		for _, name := range slices.Sorted(maps.Keys(l.list)) {
			p, q := at.Child(l.name).Key(string(name)), l.list[name]
			errs = append(errs, resourceName(name, p)...)
			if q.Sign() < 0 {
				errs = append(errs, field.Invalid(p, q.String(), "must be greater than or equal to 0"))
			}
			limit, limited := r.Limits[name]
			if l.name == "requests" && limited && q.Cmp(limit) > 0 {
				errs = append(errs, field.Invalid(p, q.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String())))
			}
		}
	}
	return errs
}

// resourceName checks that a container can ask for a resource of this name.
func resourceName(name corev1.ResourceName, at *field.Path) field.ErrorList {
	if why := validation.IsQualifiedName(string(name)); why != nil {
		return eachInvalid(at, string(name), why)
	}
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return nil
	}
	if strings.Contains(string(name), "/") || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, string(name), "must be a standard resource for containers")}
}

func validateInit(c *corev1.Container, at *field.Path) (errs field.ErrorList) {
	if value(c.RestartPolicy) == corev1.ContainerRestartPolicyAlways {
		return append(validateProbes(c, at), validateLifecycle(c.Lifecycle, at.Child("lifecycle"))...)
	}
	for _, f := range []struct {
		name string
		set  bool
	}{{"lifecycle", c.Lifecycle != nil}, {"livenessProbe", c.LivenessProbe != nil},
		{"readinessProbe", c.ReadinessProbe != nil}, {"startupProbe", c.StartupProbe != nil}} {
		if f.set {
			errs = append(errs, field.Forbidden(at.Child(f.name), "may not be set for init containers without restartPolicy=Always"))
		}
	}
	return errs
}

func validateProbes(c *corev1.Container, at *field.Path) (errs field.ErrorList) {
	for _, p := range []struct {
		name  string
		probe *corev1.Probe
	}{{"livenessProbe", c.LivenessProbe}, {"readinessProbe", c.ReadinessProbe}, {"startupProbe", c.StartupProbe}} {
		if p.probe == nil {
			continue
		}
		path := at.Child(p.name)
		errs = append(errs, validateProbe(p.probe, path)...)
		if p.name != "readinessProbe" && p.probe.SuccessThreshold != 1 {
			errs = append(errs, field.Invalid(path.Child("successThreshold"), p.probe.SuccessThreshold, "must be 1"))
		}
		if p.name == "readinessProbe" && p.probe.TerminationGracePeriodSeconds != nil {
			errs = append(errs, field.Invalid(path.Child("terminationGracePeriodSeconds"), *p.probe.TerminationGracePeriodSeconds, "must not be set for readinessProbes"))
		}
	}
	return errs
}

func validateProbe(p *corev1.Probe, at *field.Path) field.ErrorList {
	h := handler{exec: p.Exec, http: p.HTTPGet, tcp: p.TCPSocket, grpc: p.GRPC}
	errs := h.validate(at)
	for _, f := range []struct {
		name string
		n    int32
	}{{"initialDelaySeconds", p.InitialDelaySeconds}, {"timeoutSeconds", p.TimeoutSeconds}, {"periodSeconds", p.PeriodSeconds},
		{"successThreshold", p.SuccessThreshold}, {"failureThreshold", p.FailureThreshold}} {
		errs = append(errs, atLeast0(int64(f.n), at.Child(f.name))...)
	}
	if n := p.TerminationGracePeriodSeconds; n != nil && *n <= 0 {
		errs = append(errs, field.Invalid(at.Child("terminationGracePeriodSeconds"), *n, "must be greater than 0"))
	}
	return errs
}

func validateLifecycle(l *corev1.Lifecycle, at *field.Path) (errs field.ErrorList) {
	if l == nil {
		return nil
	}
	for _, s := range []struct {
		name string
		h    *corev1.LifecycleHandler
	}{{"postStart", l.PostStart}, {"preStop", l.PreStop}} {
		if s.h != nil {
			h := handler{exec: s.h.Exec, http: s.h.HTTPGet, tcp: s.h.TCPSocket, sleep: s.h.Sleep}
			errs = append(errs, h.validate(at.Child(s.name))...)
		}
	}
	return errs
}

// handler is what a probe or a hook does: exactly one of these.
type handler struct {
	exec  *corev1.ExecAction
	http  *corev1.HTTPGetAction
	tcp   *corev1.TCPSocketAction
	grpc  *corev1.GRPCAction
	sleep *corev1.SleepAction
}

func (h handler) validate(at *field.Path) (errs field.ErrorList) {
	switch countTrue(h.exec != nil, h.http != nil, h.tcp != nil, h.grpc != nil, h.sleep != nil) {
	case 0:
		return field.ErrorList{field.Required(at, "must specify a handler type")}
	case 1:
	default:
		return field.ErrorList{field.Forbidden(at, "may not specify more than 1 handler type")}
	}
	switch {
	case h.exec != nil && len(h.exec.Command) == 0:
		errs = append(errs, field.Required(at.Child("exec", "command"), ""))
	case h.http != nil:
		if h.http.Path == "" {
			errs = append(errs, field.Required(at.Child("httpGet", "path"), ""))
		}
		errs = append(errs, validatePort(h.http.Port, at.Child("httpGet", "port"))...)
		errs = append(errs, oneOf(h.http.Scheme, at.Child("httpGet", "scheme"), corev1.URISchemeHTTP, corev1.URISchemeHTTPS)...)
		for i, header := range h.http.HTTPHeaders {
			errs = append(errs, eachInvalid(at.Child("httpGet", "httpHeaders").Index(i).Child("name"), header.Name, validation.IsHTTPHeaderName(header.Name))...)
		}
	case h.tcp != nil:
		errs = append(errs, validatePort(h.tcp.Port, at.Child("tcpSocket", "port"))...)
	case h.grpc != nil:
		errs = append(errs, validatePort(intstr.FromInt32(h.grpc.Port), at.Child("grpc", "port"))...)
	case h.sleep != nil && h.sleep.Seconds < 0:
		errs = append(errs, field.Invalid(at.Child("sleep", "seconds"), h.sleep.Seconds, "must be greater than or equal to 0"))
	}
	return errs
}

func validatePort(p intstr.IntOrString, at *field.Path) field.ErrorList {
	if p.Type == intstr.Int {
		return eachInvalid(at, p.IntVal, validation.IsValidPortNum(int(p.IntVal)))
	}
	return eachInvalid(at, p.StrVal, validation.IsValidPortName(p.StrVal))
}
