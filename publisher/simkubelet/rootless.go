package simkubelet

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// rootImages are images whose user is known to everybody: root. Of any other nobody
// here knows, and it is believed to have the one that its pod asks for.
var rootImages = []string{
	"docker.io/library/alpine", "docker.io/library/busybox", "docker.io/library/debian", "docker.io/library/nginx",
	"docker.io/library/ubuntu", "registry.k8s.io/e2e-test-images/busybox", "registry.k8s.io/e2e-test-images/nginx",
}

// rootless returns why a container that must not run as root cannot start, with the
// words of a kubelet, or "".
func rootless(o *corev1.Pod, c *corev1.Container) string {
	of, own := o.Spec.SecurityContext, c.SecurityContext
	if of == nil {
		of = &corev1.PodSecurityContext{}
	}
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	if !ptr.Deref(cmp.Or(own.RunAsNonRoot, of.RunAsNonRoot), false) {
		return ""
	}
	switch user := cmp.Or(own.RunAsUser, of.RunAsUser); {
	case user != nil && *user == 0:
		return fmt.Sprintf("container's runAsUser breaks non-root policy (pod: %q, container: %s)", fullName(o), c.Name)
	case user == nil && runsAsRoot(c.Image):
		return fmt.Sprintf("container has runAsNonRoot and image will run as root (pod: %q, container: %s)", fullName(o), c.Name)
	}
	return ""
}

// runsAsRoot reports whether everybody knows that an image runs as root.
func runsAsRoot(image string) bool {
	name, err := reference.ParseNormalizedNamed(image)
	return err == nil && slices.Contains(rootImages, name.Name())
}
