package daemonpod

import (
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// def sets *p to v if it holds the zero value.
func def[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// defTo sets *p to a pointer to v if it is nil.
func defTo[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
}

// SetDaemonSetDefaults fills in what the API server fills into an apps/v1
// DaemonSet. Setting them twice changes nothing more.
func SetDaemonSetDefaults(ds *appsv1.DaemonSet) {
	SetDefaults(&ds.Spec.Template)
	def(&ds.Spec.UpdateStrategy.Type, appsv1.RollingUpdateDaemonSetStrategyType)
	if ds.Spec.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		defTo(&ds.Spec.UpdateStrategy.RollingUpdate, appsv1.RollingUpdateDaemonSet{})
		defTo(&ds.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
		defTo(&ds.Spec.UpdateStrategy.RollingUpdate.MaxSurge, intstr.FromInt32(0))
	}
	defTo(&ds.Spec.RevisionHistoryLimit, 10)
}

// SetDefaults fills in what the API server fills into a v1 pod template. It
// does not fill in what is decided for a pod alone, such as requests that
// follow from limits. Setting them twice changes nothing more.
func SetDefaults(t *corev1.PodTemplateSpec) {
	s := &t.Spec
	def(&s.DNSPolicy, corev1.DNSClusterFirst)
	def(&s.RestartPolicy, corev1.RestartPolicyAlways)
	defTo(&s.SecurityContext, corev1.PodSecurityContext{})
	defTo(&s.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	def(&s.SchedulerName, corev1.DefaultSchedulerName)
	// The older of the two names is read if it stands alone, and always written.
	def(&s.ServiceAccountName, s.DeprecatedServiceAccount)
	s.DeprecatedServiceAccount = s.ServiceAccountName
	roundUp(s.Overhead)
	if s.Resources != nil {
		roundUp(s.Resources.Limits)
		roundUp(s.Resources.Requests)
	}
	eachContainer(s, containerDefaults)
	for i := range s.Volumes {
		volumeDefaults(&s.Volumes[i])
	}
}

// eachContainer calls f on every container of spec, with its changes kept.
func eachContainer(s *corev1.PodSpec, f func(*corev1.Container)) {
	for i := range s.InitContainers {
		f(&s.InitContainers[i])
	}
	for i := range s.Containers {
		f(&s.Containers[i])
	}
	for i := range s.EphemeralContainers {
		c := corev1.Container(s.EphemeralContainers[i].EphemeralContainerCommon)
		f(&c)
		s.EphemeralContainers[i].EphemeralContainerCommon = corev1.EphemeralContainerCommon(c)
	}
}

func containerDefaults(c *corev1.Container) {
	def(&c.ImagePullPolicy, pullPolicy(c.Image))
	def(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	def(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		def(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		from := c.Env[i].ValueFrom
		if from == nil {
			continue
		}
		if from.FieldRef != nil {
			def(&from.FieldRef.APIVersion, "v1")
		}
		if from.FileKeyRef != nil {
			defTo(&from.FileKeyRef.Optional, false)
		}
	}
	roundUp(c.Resources.Limits)
	roundUp(c.Resources.Requests)
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		probeDefaults(p)
	}
	if c.Lifecycle != nil {
		for _, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if h != nil {
				httpDefaults(h.HTTPGet)
			}
		}
	}
}

func probeDefaults(p *corev1.Probe) {
	if p == nil {
		return
	}
	def(&p.TimeoutSeconds, 1)
	def(&p.PeriodSeconds, 10)
	def(&p.SuccessThreshold, 1)
	def(&p.FailureThreshold, 3)
	httpDefaults(p.HTTPGet)
	if p.GRPC != nil {
		defTo(&p.GRPC.Service, "")
	}
}

func httpDefaults(a *corev1.HTTPGetAction) {
	if a == nil {
		return
	}
	def(&a.Path, "/")
	def(&a.Scheme, corev1.URISchemeHTTP)
}

// pullPolicy is Always for an image that can change under its name: one with
// the tag latest, or with neither tag nor digest.
func pullPolicy(image string) corev1.PullPolicy {
	name, _, digest := strings.Cut(image, "@")
	tag := ""
	// A colon before the last slash belongs to the registry's port.
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		tag = name[i+1:]
	}
	if tag == "latest" || tag == "" && !digest {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

// roundUp rounds quantities up to a thousandth, the finest that is kept.
func roundUp(l corev1.ResourceList) {
	for _, name := range slices.Sorted(maps.Keys(l)) {
		q := l[name]
		q.RoundUp(resource.Milli)
		l[name] = q
	}
}

// setPodDefaults fills in what the API server fills into a pod and not into a
// template.
func setPodDefaults(s *corev1.PodSpec) {
	defTo(&s.EnableServiceLinks, corev1.DefaultEnableServiceLinks)
	requestLimits := func(r *corev1.ResourceRequirements) {
		for _, name := range slices.Sorted(maps.Keys(r.Limits)) {
			if _, ok := r.Requests[name]; ok {
				continue
			}
			if r.Requests == nil {
				r.Requests = corev1.ResourceList{}
			}
			r.Requests[name] = r.Limits[name].DeepCopy()
		}
	}
	for _, cs := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range cs {
			requestLimits(&cs[i].Resources)
			if s.HostNetwork {
				hostPorts(cs[i].Ports)
			}
		}
	}
	if s.Resources != nil {
		requestLimits(s.Resources)
	}
}

// hostPorts makes the ports of a pod on the host's network those of the host.
func hostPorts(ports []corev1.ContainerPort) {
	for i := range ports {
		def(&ports[i].HostPort, ports[i].ContainerPort)
	}
}

func volumeDefaults(v *corev1.Volume) {
	if v.VolumeSource == (corev1.VolumeSource{}) {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	switch {
	case v.HostPath != nil:
		defTo(&v.HostPath.Type, corev1.HostPathUnset)
	case v.Secret != nil:
		defTo(&v.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	case v.ConfigMap != nil:
		defTo(&v.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	case v.DownwardAPI != nil:
		defTo(&v.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		fieldVersions(v.DownwardAPI.Items)
	case v.Projected != nil:
		projectedDefaults(v.Projected)
	case v.Image != nil:
		def(&v.Image.PullPolicy, pullPolicy(v.Image.Reference))
	case v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil:
		defTo(&v.Ephemeral.VolumeClaimTemplate.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	default:
		networkVolumeDefaults(v)
	}
}

func fieldVersions(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		if items[i].FieldRef != nil {
			def(&items[i].FieldRef.APIVersion, "v1")
		}
	}
}

func projectedDefaults(p *corev1.ProjectedVolumeSource) {
	defTo(&p.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
	for _, s := range p.Sources {
		if s.DownwardAPI != nil {
			fieldVersions(s.DownwardAPI.Items)
		}
		if s.ServiceAccountToken != nil {
			// An hour.
			defTo(&s.ServiceAccountToken.ExpirationSeconds, 3600)
		}
	}
}

// networkVolumeDefaults are those of volumes that older templates still name.
func networkVolumeDefaults(v *corev1.Volume) {
	switch {
	case v.ISCSI != nil:
		def(&v.ISCSI.ISCSIInterface, "default")
	case v.RBD != nil:
		def(&v.RBD.RBDPool, "rbd")
		def(&v.RBD.RadosUser, "admin")
		def(&v.RBD.Keyring, "/etc/ceph/keyring")
	case v.AzureDisk != nil:
		defTo(&v.AzureDisk.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		defTo(&v.AzureDisk.Kind, corev1.AzureSharedBlobDisk)
		defTo(&v.AzureDisk.FSType, "ext4")
		defTo(&v.AzureDisk.ReadOnly, false)
	case v.ScaleIO != nil:
		def(&v.ScaleIO.StorageMode, "ThinProvisioned")
		def(&v.ScaleIO.FSType, "xfs")
	}
}
