package sets

import (
	corev1 "k8s.io/api/core/v1"

	"rollcall/events/wire"
)

// Trouble is why a pod does not get ready, as far as it tells.
type Trouble struct {
	Reason string // a waiting reason of Kubernetes; empty: nothing is wrong that it tells of
	Image  string // of the container
	Silent bool   // no kubelet has said anything about it
}

// Trouble reads why p does not get ready. It says the same for a container
// that is tried again and again, whatever it does just now.
func (p *Pod) Trouble() Trouble {
	status := wire.Field(p.Object.Data, "status")
	phase := wire.Text(status, "phase")
	t := Trouble{Silent: len(wire.Text(status, "startTime")) == 0 && (phase == nil || string(phase) == string(corev1.PodPending))}
	for _, list := range [2]string{"containerStatuses", "initContainerStatuses"} {
		for container := range wire.Items(wire.Field(status, list)) {
			t.Silent = false
			t.container(container)
		}
	}
	return t
}

// container takes over what holds a container up, if none before it is held up.
func (t *Trouble) container(c []byte) {
	if t.Reason != "" || wire.True(c, "ready") {
		return
	}
	state := wire.Field(c, "state")
	reason := string(wire.Text(wire.Field(state, "waiting"), "reason"))
	ends, exit := wire.NewCursor(wire.Field(c, "restartCount")), wire.NewCursor(wire.Field(wire.Field(state, "terminated"), "exitCode"))
	switch {
	case lastingTrouble(reason) != "":
		t.Reason, t.Image = lastingTrouble(reason), string(wire.Text(c, "image"))
	case ends.Int() > 0 && (exit.Int() != 0 || reason == ""):
		t.Reason, t.Image = "CrashLoopBackOff", string(wire.Text(c, "image"))
	}
}

// lastingTrouble returns the name of a waiting reason that does not pass by
// itself, or "".
func lastingTrouble(reason string) string {
	switch reason {
	case "", "ContainerCreating", "PodInitializing":
		return ""
	case "ErrImagePull": // and in turn
		return "ImagePullBackOff"
	}
	return reason
}
