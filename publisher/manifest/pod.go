package manifest

import (
	"fmt"
	"path"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validatePodTemplate checks the template of a DaemonSet.
func validatePodTemplate(t *corev1.PodTemplateSpec, at *field.Path) field.ErrorList {
	errs := validateLabels(t.Labels, at.Child("metadata", "labels"))
	errs = append(errs, validateAnnotations(t.Annotations, at.Child("metadata", "annotations"))...)
	s, spec := &t.Spec, at.Child("spec")
	v := podValidator{spec: s, at: spec, volumes: map[string]*corev1.Volume{}}
	errs = append(errs, v.volumeList()...)
	errs = append(errs, v.containers()...)
	errs = append(errs, validatePodPolicies(s, spec)...)
	errs = append(errs, validateScheduling(s, spec)...)
	if s.RestartPolicy != corev1.RestartPolicyAlways {
		errs = append(errs, field.NotSupported(spec.Child("restartPolicy"), s.RestartPolicy, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if s.ActiveDeadlineSeconds != nil {
		errs = append(errs, field.Forbidden(spec.Child("activeDeadlineSeconds"), "activeDeadlineSeconds in DaemonSet is not Supported"))
	}
	return errs
}

// podValidator is what the checks of one template share.
type podValidator struct {
	spec    *corev1.PodSpec
	at      *field.Path
	volumes map[string]*corev1.Volume
}

func validatePodPolicies(s *corev1.PodSpec, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if n := s.TerminationGracePeriodSeconds; n != nil {
		errs = append(errs, atLeast0(*n, at.Child("terminationGracePeriodSeconds"))...)
	}
	errs = append(errs, oneOf(s.DNSPolicy, at.Child("dnsPolicy"), corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault, corev1.DNSNone)...)
	if s.DNSPolicy == corev1.DNSNone && (s.DNSConfig == nil || len(s.DNSConfig.Nameservers) == 0) {
		errs = append(errs, field.Required(at.Child("dnsConfig", "nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None"))
	}
	for _, f := range []struct{ name, value string }{
		{"priorityClassName", s.PriorityClassName}, {"serviceAccountName", s.ServiceAccountName},
		{"nodeName", s.NodeName}, {"runtimeClassName", value(s.RuntimeClassName)},
	} {
		if f.value == "" {
			continue
		}
		for _, why := range apivalidation.NameIsDNSSubdomain(f.value, false) {
			errs = append(errs, field.Invalid(at.Child(f.name), f.value, why))
		}
	}
	for _, f := range []struct{ name, value string }{{"hostname", s.Hostname}, {"subdomain", s.Subdomain}} {
		if f.value != "" {
			errs = append(errs, eachInvalid(at.Child(f.name), f.value, validation.IsDNS1123Label(f.value))...)
		}
	}
	if s.SchedulerName != "" {
		errs = append(errs, eachInvalid(at.Child("schedulerName"), s.SchedulerName, validation.IsQualifiedName(s.SchedulerName))...)
	}
	if p := s.PreemptionPolicy; p != nil {
		errs = append(errs, oneOf(*p, at.Child("preemptionPolicy"), corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	if s.OS != nil {
		errs = append(errs, oneOf(s.OS.Name, at.Child("os", "name"), corev1.Linux, corev1.Windows)...)
	}
	if c := s.SecurityContext; c != nil {
		errs = append(errs, userAndGroup(c.RunAsUser, c.RunAsGroup, at.Child("securityContext"))...)
		if c.FSGroup != nil {
			errs = append(errs, eachInvalid(at.Child("securityContext", "fsGroup"), *c.FSGroup, validation.IsValidGroupID(*c.FSGroup))...)
		}
	}
	return errs
}

func userAndGroup(user, group *int64, at *field.Path) (errs field.ErrorList) {
	if user != nil {
		errs = append(errs, eachInvalid(at.Child("runAsUser"), *user, validation.IsValidUserID(*user))...)
	}
	if group != nil {
		errs = append(errs, eachInvalid(at.Child("runAsGroup"), *group, validation.IsValidGroupID(*group))...)
	}
	return errs
}

// eachInvalid returns one error for each reason.
func eachInvalid(at *field.Path, value any, whys []string) (errs field.ErrorList) {
	for _, why := range whys {
		errs = append(errs, field.Invalid(at, value, why))
	}
	return errs
}

// oneOf returns an error unless value is one of those served.
func oneOf[T ~string](value T, at *field.Path, served ...T) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	for _, s := range served {
		if s == value {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(at, value, served)}
}

// volumeList checks the volumes and remembers them by name.
func (v *podValidator) volumeList() (errs field.ErrorList) {
	for i := range v.spec.Volumes {
		vol, at := &v.spec.Volumes[i], v.at.Child("volumes").Index(i)
		switch _, twice := v.volumes[vol.Name]; {
		case vol.Name == "":
			errs = append(errs, field.Required(at.Child("name"), ""))
		case twice:
			errs = append(errs, field.Duplicate(at.Child("name"), vol.Name))
		default:
			errs = append(errs, eachInvalid(at.Child("name"), vol.Name, validation.IsDNS1123Label(vol.Name))...)
			v.volumes[vol.Name] = vol
		}
		errs = append(errs, validateVolumeSource(&vol.VolumeSource, at)...)
	}
	return errs
}

func validateVolumeSource(s *corev1.VolumeSource, at *field.Path) (errs field.ErrorList) {
	sources, r := 0, reflect.ValueOf(s).Elem()
	for i := range r.NumField() {
		if r.Field(i).IsNil() {
			continue
		}
		if sources++; sources > 1 {
			name, _, _ := strings.Cut(r.Type().Field(i).Tag.Get("json"), ",")
			errs = append(errs, field.Forbidden(at.Child(name), "may not specify more than 1 volume type"))
		}
	}
	if sources == 0 {
		return field.ErrorList{field.Required(at, "must specify a volume type")}
	}
	required := func(value string, names ...string) {
		if value == "" {
			errs = append(errs, field.Required(at.Child(names[0], names[1:]...), ""))
		}
	}
	switch {
	case s.HostPath != nil:
		errs = append(errs, validateHostPath(s.HostPath, at.Child("hostPath"))...)
	case s.EmptyDir != nil:
		if q := s.EmptyDir.SizeLimit; q != nil && q.Sign() < 0 {
			errs = append(errs, field.Forbidden(at.Child("emptyDir", "sizeLimit"), "SizeLimit field must be a valid resource quantity"))
		}
	case s.ConfigMap != nil:
		required(s.ConfigMap.Name, "configMap", "name")
		errs = append(errs, validateMode(s.ConfigMap.DefaultMode, at.Child("configMap", "defaultMode"))...)
	case s.Secret != nil:
		required(s.Secret.SecretName, "secret", "secretName")
		errs = append(errs, validateMode(s.Secret.DefaultMode, at.Child("secret", "defaultMode"))...)
	case s.Projected != nil:
		errs = append(errs, validateMode(s.Projected.DefaultMode, at.Child("projected", "defaultMode"))...)
	case s.DownwardAPI != nil:
		errs = append(errs, validateMode(s.DownwardAPI.DefaultMode, at.Child("downwardAPI", "defaultMode"))...)
	case s.PersistentVolumeClaim != nil:
		required(s.PersistentVolumeClaim.ClaimName, "persistentVolumeClaim", "claimName")
	case s.NFS != nil:
		required(s.NFS.Server, "nfs", "server")
		required(s.NFS.Path, "nfs", "path")
	case s.CSI != nil:
		required(s.CSI.Driver, "csi", "driver")
	}
	return errs
}

func validateHostPath(h *corev1.HostPathVolumeSource, at *field.Path) (errs field.ErrorList) {
	if h.Path == "" {
		errs = append(errs, field.Required(at.Child("path"), ""))
	}
	errs = append(errs, withoutDotDot(h.Path, at.Child("path"))...)
	switch t := value(h.Type); t {
	case corev1.HostPathUnset, corev1.HostPathDirectoryOrCreate, corev1.HostPathDirectory, corev1.HostPathFileOrCreate,
		corev1.HostPathFile, corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev:
	default:
		errs = append(errs, field.NotSupported(at.Child("type"), t, []corev1.HostPathType{
			corev1.HostPathDirectoryOrCreate, corev1.HostPathDirectory, corev1.HostPathFileOrCreate, corev1.HostPathFile,
			corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev}))
	}
	return errs
}

func withoutDotDot(p string, at *field.Path) field.ErrorList {
	for _, step := range strings.Split(p, "/") {
		if step == ".." {
			return field.ErrorList{field.Invalid(at, p, "must not contain '..'")}
		}
	}
	return nil
}

func validateMode(mode *int32, at *field.Path) field.ErrorList {
	if mode == nil || *mode >= 0 && *mode <= 0o777 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, *mode, "must be a number between 0 and 0777 (octal), both inclusive")}
}

// volumeMounts checks what one container mounts.
func (v *podValidator) volumeMounts(c *corev1.Container, at *field.Path) (errs field.ErrorList) {
	paths := map[string]bool{}
	for i, m := range c.VolumeMounts {
		p := at.Child("volumeMounts").Index(i)
		if m.Name == "" {
			errs = append(errs, field.Required(p.Child("name"), ""))
		} else if v.volumes[m.Name] == nil {
			errs = append(errs, field.NotFound(p.Child("name"), m.Name))
		}
		switch clean := path.Clean(m.MountPath); {
		case m.MountPath == "":
			errs = append(errs, field.Required(p.Child("mountPath"), ""))
		case paths[clean]:
			errs = append(errs, field.Invalid(p.Child("mountPath"), m.MountPath, "must be unique"))
		default:
			paths[clean] = true
		}
		if m.SubPath != "" && m.SubPathExpr != "" {
			errs = append(errs, field.Invalid(p.Child("subPathExpr"), m.SubPathExpr, "subPathExpr and subPath are mutually exclusive"))
		}
		for _, sub := range []struct{ name, value string }{{"subPath", m.SubPath}, {"subPathExpr", m.SubPathExpr}} {
			if strings.HasPrefix(sub.value, "/") {
				errs = append(errs, field.Invalid(p.Child(sub.name), sub.value, "must be a relative path"))
			}
			errs = append(errs, withoutDotDot(sub.value, p.Child(sub.name))...)
		}
	}
	for i, d := range c.VolumeDevices {
		p := at.Child("volumeDevices").Index(i)
		if v.volumes[d.Name] == nil {
			errs = append(errs, field.NotFound(p.Child("name"), d.Name))
		}
		if d.DevicePath == "" {
			errs = append(errs, field.Required(p.Child("devicePath"), ""))
		} else if paths[path.Clean(d.DevicePath)] {
			errs = append(errs, field.Invalid(p.Child("devicePath"), d.DevicePath, fmt.Sprintf("must not already exist as a path in %s", "volumeMounts")))
		}
	}
	return errs
}
