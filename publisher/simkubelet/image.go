package simkubelet

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// fate is what becomes of a container, as the tag of its image says.
type fate int

// The fates, worst last: the worst container decides about its pod.
const (
	runs    fate = iota
	exits0       // exit-0: the pod ends as Succeeded
	crashes      // crash-loop: it runs and ends again and again
	exits1       // exit-1: the pod ends as Failed
	missing      // non-existent: the image cannot be pulled
)

// fateOf reads an image. after is how long a container that runs takes to be
// ready: the duration in slow-<duration>.
func fateOf(image string) (f fate, after time.Duration) {
	tag := image[strings.LastIndexByte(image, ':')+1:]
	switch tag {
	case "exit-0":
		return exits0, 0
	case "exit-1":
		return exits1, 0
	case "crash-loop":
		return crashes, 0
	case "non-existent":
		return missing, 0
	}
	if rest, ok := strings.CutPrefix(tag, "slow-"); ok {
		if d, err := time.ParseDuration(rest); err == nil && d > 0 {
			return runs, d
		}
	}
	return runs, 0
}

// fateOfPod returns the worst fate of its containers, and how long it takes to
// be ready after they started.
func fateOfPod(spec *corev1.PodSpec) (f fate, after time.Duration) {
	for i := range spec.Containers {
		cf, ca := fateOfContainer(&spec.Containers[i])
		f, after = max(f, cf), max(after, ca)
	}
	return f, after
}

func fateOfContainer(c *corev1.Container) (fate, time.Duration) {
	f, after := fateOf(c.Image)
	if c.ReadinessProbe != nil {
		after += time.Duration(c.ReadinessProbe.InitialDelaySeconds) * time.Second
	}
	return f, after
}
