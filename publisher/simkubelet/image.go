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
	runs      fate = iota
	completes      // it does its work and the pod ends as Succeeded
	exits0         // exit-0: the pod ends as Succeeded, without having been Ready
	crashes        // crash-loop: it runs and ends again and again
	exits1         // exit-1: the pod ends as Failed
	missing        // non-existent, 404: the image cannot be pulled
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
	case "non-existent", "404":
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
		cf, ca := fateOfContainer(spec, &spec.Containers[i])
		f, after = max(f, cf), max(after, ca)
	}
	return f, after
}

// fateOfContainer returns what becomes of a container of a pod: the restart
// policy says whether it works for ever, and whether it gets a second chance.
func fateOfContainer(spec *corev1.PodSpec, c *corev1.Container) (fate, time.Duration) {
	f, after := fateOf(c.Image)
	if c.ReadinessProbe != nil {
		after += time.Duration(c.ReadinessProbe.InitialDelaySeconds) * time.Second
	}
	never, onFailure := spec.RestartPolicy == corev1.RestartPolicyNever, spec.RestartPolicy == corev1.RestartPolicyOnFailure
	switch {
	case f == runs && (never || onFailure):
		f = completes
	case f == crashes && never:
		f = exits1
	case f == exits1 && onFailure:
		f = crashes
	}
	return f, after
}

// A container that crashes is restarted after 10 s, 20 s and so on; after so
// many restarts it stays down, so that a world at rest appends nothing.
const (
	firstBackoff = 10 * time.Second
	lastBackoff  = 5 * time.Minute // a kubelet's
	maxRestarts  = 5
	jobRestarts  = 10 // more than a Job's default limit of 6, so that the Job ends before the pod
)

// backoff returns the pause after n restarts.
func backoff(n int32) time.Duration { return min(firstBackoff<<max(n-1, 0), lastBackoff) }

// patience is how often a pod is restarted.
func patience(o *corev1.Pod) int32 {
	if o.Spec.RestartPolicy == corev1.RestartPolicyOnFailure {
		return jobRestarts
	}
	return maxRestarts
}
