package streams

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/publisher/simkubelet/shell"
)

// directories are those that every container has.
var directories = []string{"bin", "dev", "home", "lib", "opt", "proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr/bin", "usr/local", "usr/share/nginx/html",
	"usr/local/apache2/htdocs", "var/www/html", "var/log", "var/run", "data"}

// files are those of a container: its own until it is started again, what a
// kubelet writes, and its volumes.
func (c *Connections) files(ctx context.Context, pod *corev1.Pod, spec *corev1.Container, s *shell.Container, restarts int32) *shell.Files {
	now := c.options.Now
	root := c.disk.tree(fmt.Sprintf("container/%s/%s/%d", pod.UID, spec.Name, restarts), func() *shell.Tree {
		t := shell.NewTree(map[string][]byte{
			"etc/passwd":      []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
			"etc/os-release":  []byte("NAME=\"simulated by rollcall\"\nID=rollcall\n"),
			"etc/hostname":    []byte(s.Pod + "\n"),
			"etc/hosts":       []byte(hosts(pod, s)),
			"etc/resolv.conf": []byte("search " + strings.Join(s.Search, " ") + "\nnameserver " + s.Server + "\noptions ndots:5\n"),
		}, s.Started)
		for _, d := range directories {
			t.MakeDir(d, s.Started)
		}
		if spec.WorkingDir != "" {
			t.MakeDir(strings.Trim(spec.WorkingDir, "/"), s.Started)
		}
		return t
	})
	mounts := []shell.Mount{{Path: "/", Tree: root}}
	for _, m := range spec.VolumeMounts {
		for i := range pod.Spec.Volumes {
			if v := &pod.Spec.Volumes[i]; v.Name == m.Name {
				mounts = append(mounts, c.mount(ctx, pod, spec, v, m, s))
			}
		}
	}
	return shell.NewFiles(mounts, now)
}

// mount is a volume where a container has it.
func (c *Connections) mount(ctx context.Context, pod *corev1.Pod, spec *corev1.Container, v *corev1.Volume, m corev1.VolumeMount, s *shell.Container) shell.Mount {
	sub := m.SubPath
	if m.SubPathExpr != "" {
		sub = m.SubPathExpr
		for k, value := range s.Env {
			sub = strings.ReplaceAll(sub, "$("+k+")", value)
		}
	}
	at := shell.Mount{Path: m.MountPath, Sub: sub, ReadOnly: m.ReadOnly, Tree: c.volume(ctx, pod, spec, v, s)}
	if sub != "" && !at.Tree.ReadOnly {
		at.Tree.MakeDir(strings.Trim(sub, "/"), s.Started) // as a kubelet does
	}
	return at
}

// volume returns the files of a volume.
func (c *Connections) volume(ctx context.Context, pod *corev1.Pod, spec *corev1.Container, v *corev1.Volume, s *shell.Container) *shell.Tree {
	written := func(files map[string][]byte) *shell.Tree {
		t := shell.NewTree(files, s.Started)
		t.ReadOnly = true
		return t
	}
	switch {
	case v.ConfigMap != nil:
		return written(items(c.configMap(ctx, pod.Namespace, v.ConfigMap.Name), v.ConfigMap.Items))
	case v.Secret != nil:
		return written(items(c.secret(ctx, pod.Namespace, v.Secret.SecretName), v.Secret.Items))
	case v.DownwardAPI != nil:
		return written(c.downward(pod, spec, v.DownwardAPI.Items))
	case v.Projected != nil:
		files := map[string][]byte{}
		for i := range v.Projected.Sources {
			for k, data := range c.projected(ctx, pod, spec, &v.Projected.Sources[i]) {
				files[k] = data
			}
		}
		return written(files)
	case v.HostPath != nil:
		return c.disk.tree("node/"+pod.Spec.NodeName+v.HostPath.Path, empty(s.Started)) // of the simulated node
	case v.PersistentVolumeClaim != nil:
		if claim, err := c.options.Client.CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx, v.PersistentVolumeClaim.ClaimName, metav1.GetOptions{}); err == nil {
			return c.disk.tree("claim/"+string(claim.UID), empty(s.Started))
		}
	}
	return c.disk.tree("pod/"+string(pod.UID)+"/"+v.Name, empty(s.Started))
}

// items are the keys that a volume has, at the paths it says.
func items(data map[string][]byte, of []corev1.KeyToPath) map[string][]byte {
	if len(of) == 0 {
		return data
	}
	files := map[string][]byte{}
	for _, i := range of {
		if v, there := data[i.Key]; there {
			files[i.Path] = v
		}
	}
	return files
}

func (c *Connections) downward(pod *corev1.Pod, spec *corev1.Container, of []corev1.DownwardAPIVolumeFile) map[string][]byte {
	files := map[string][]byte{}
	for _, f := range of {
		switch {
		case f.FieldRef != nil:
			files[f.Path] = []byte(field(pod, f.FieldRef.FieldPath))
		case f.ResourceFieldRef != nil:
			named := specOf(pod, f.ResourceFieldRef.ContainerName)
			if named == nil {
				named = spec
			}
			files[f.Path] = []byte(c.resource(pod, named, f.ResourceFieldRef))
		}
	}
	return files
}

// noToken is what there is in place of a token: nothing can be done with one here,
// and what is in a file may be printed.
const noToken = "a simulated container has no token: it cannot reach the API"

func (c *Connections) projected(ctx context.Context, pod *corev1.Pod, spec *corev1.Container, p *corev1.VolumeProjection) map[string][]byte {
	switch {
	case p.ConfigMap != nil:
		return items(c.configMap(ctx, pod.Namespace, p.ConfigMap.Name), p.ConfigMap.Items)
	case p.Secret != nil:
		return items(c.secret(ctx, pod.Namespace, p.Secret.Name), p.Secret.Items)
	case p.DownwardAPI != nil:
		return c.downward(pod, spec, p.DownwardAPI.Items)
	case p.ServiceAccountToken != nil:
		return map[string][]byte{p.ServiceAccountToken.Path: []byte(noToken)}
	}
	return nil
}
