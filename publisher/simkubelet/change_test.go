package simkubelet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"rollcall/events"
)

// The conditions of a pod stand in a kubelet's order, behind those of others,
// and name the containers that it waits for.
func TestConditions(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "setup", Image: "a"}, {Name: "proxy", Image: "a", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}},
		Containers:     []corev1.Container{{Name: "quick", Image: "a"}, {Name: "late", Image: "a:slow-30s"}},
	}}
	pod.Name, pod.Namespace, pod.UID, pod.Spec.NodeName = "p", "x", "u", "n00"
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: "example.com/gate"}}
	pod.Status.Phase = corev1.PodPending
	st := newStand(t, Options{Bind: Exactly(time.Second), Start: Exactly(time.Second), Run: 100 * time.Second})
	st.nodesNamed(1)
	st.put(events.Pod, events.VerbCreated, pod)
	for _, stage := range []struct {
		name string
		at   time.Duration
		want string
	}{
		{"accepted", time.Second, `example.com/gate=
PodReadyToStartContainers=False
Initialized=False ContainersNotInitialized containers with incomplete status: [setup proxy]
Ready=False ContainersNotReady containers with unready status: [proxy quick late]
ContainersReady=False ContainersNotReady containers with unready status: [proxy quick late]
PodScheduled=True`},
		{"started", time.Second, `example.com/gate=
PodReadyToStartContainers=True
Initialized=True
Ready=False ContainersNotReady containers with unready status: [late]
ContainersReady=False ContainersNotReady containers with unready status: [late]
PodScheduled=True`},
		{"ready", 30 * time.Second, `example.com/gate=
PodReadyToStartContainers=True
Initialized=True
Ready=True
ContainersReady=True
PodScheduled=True`},
		{"one finished", 70 * time.Second, `example.com/gate=
PodReadyToStartContainers=True
Initialized=True
Ready=False ContainersNotReady containers with unready status: [quick]
ContainersReady=False ContainersNotReady containers with unready status: [quick]
PodScheduled=True`},
		{"finished", 30 * time.Second, `example.com/gate=
PodReadyToStartContainers=False
Initialized=True PodCompleted
Ready=False PodCompleted
ContainersReady=False PodCompleted
PodScheduled=True`},
	} {
		st.run(stage.at)
		var have []string
		for _, x := range st.pod("p").Status.Conditions {
			have = append(have, strings.TrimSpace(fmt.Sprintf("%s=%s %s %s", x.Type, x.Status, x.Reason, x.Message)))
		}
		if got := strings.Join(have, "\n"); got != stage.want {
			t.Errorf("%s:\n%s\nwant\n%s", stage.name, got, stage.want)
		}
	}
}
