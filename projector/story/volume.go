package story

import (
	corev1 "k8s.io/api/core/v1"
)

func (d *describer) volumes(vs []corev1.Volume) {
	if len(vs) == 0 {
		d.line(1, "Volumes:\t%s", none)
		return
	}
	d.line(1, "Volumes:")
	for i := range vs {
		d.line(1, " %s:", vs[i].Name)
		d.volume(&vs[i])
	}
}

func (d *describer) volume(v *corev1.Volume) {
	switch {
	case v.HostPath != nil:
		typ := none
		if v.HostPath.Type != nil {
			typ = string(*v.HostPath.Type)
		}
		d.line(2, "Type:\tHostPath (bare host directory volume)")
		d.line(2, "Path:\t%s", v.HostPath.Path)
		d.line(2, "HostPathType:\t%s", typ)
	case v.EmptyDir != nil:
		limit := "<unset>"
		if q := v.EmptyDir.SizeLimit; q != nil && q.Sign() > 0 {
			limit = q.String()
		}
		d.line(2, "Type:\tEmptyDir (a temporary directory that shares a pod's lifetime)")
		d.line(2, "Medium:\t%s", v.EmptyDir.Medium)
		d.line(2, "SizeLimit:\t%s", limit)
	case v.Secret != nil:
		d.line(2, "Type:\tSecret (a volume populated by a Secret)")
		d.line(2, "SecretName:\t%s", v.Secret.SecretName)
		d.line(2, "Optional:\t%t", yes(v.Secret.Optional))
	case v.ConfigMap != nil:
		d.line(2, "Type:\tConfigMap (a volume populated by a ConfigMap)")
		d.line(2, "Name:\t%s", v.ConfigMap.Name)
		d.line(2, "Optional:\t%t", yes(v.ConfigMap.Optional))
	case v.DownwardAPI != nil:
		d.line(2, "Type:\tDownwardAPI (a volume populated by information about the pod)")
		d.line(2, "Items:")
		for _, f := range v.DownwardAPI.Items {
			if f.FieldRef != nil {
				d.line(3, "%s -> %s", f.FieldRef.FieldPath, f.Path)
			}
			if f.ResourceFieldRef != nil {
				d.line(3, "%s -> %s", f.ResourceFieldRef.Resource, f.Path)
			}
		}
	case v.Projected != nil:
		d.line(2, "Type:\tProjected (a volume that contains injected data from multiple sources)")
		for i := range v.Projected.Sources {
			d.projected(&v.Projected.Sources[i])
		}
	case v.PersistentVolumeClaim != nil:
		d.line(2, "Type:\tPersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)")
		d.line(2, "ClaimName:\t%s", v.PersistentVolumeClaim.ClaimName)
		d.line(2, "ReadOnly:\t%t", v.PersistentVolumeClaim.ReadOnly)
	case v.NFS != nil:
		d.line(2, "Type:\tNFS (an NFS mount that lasts the lifetime of a pod)")
		d.line(2, "Server:\t%s", v.NFS.Server)
		d.line(2, "Path:\t%s", v.NFS.Path)
		d.line(2, "ReadOnly:\t%t", v.NFS.ReadOnly)
	default:
		d.line(1, "%s", unknown)
	}
}

func (d *describer) projected(p *corev1.VolumeProjection) {
	switch {
	case p.Secret != nil:
		d.line(2, "SecretName:\t%s", p.Secret.Name)
		d.line(2, "Optional:\t%t", yes(p.Secret.Optional))
	case p.DownwardAPI != nil:
		d.line(2, "DownwardAPI:\ttrue")
	case p.ConfigMap != nil:
		d.line(2, "ConfigMapName:\t%s", p.ConfigMap.Name)
		d.line(2, "Optional:\t%t", yes(p.ConfigMap.Optional))
	case p.ServiceAccountToken != nil:
		seconds := int64(3600) // what the API server fills in
		if s := p.ServiceAccountToken.ExpirationSeconds; s != nil {
			seconds = *s
		}
		d.line(2, "TokenExpirationSeconds:\t%d", seconds)
	}
}
