package simkubelet

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// The conditions of a pod stand in a kubelet's order, behind those of others,
// and name the containers that it waits for.
func TestConditions(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "setup"}, {Name: "proxy", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}},
		Containers:     []corev1.Container{{Name: "quick", Image: "a"}, {Name: "late", Image: "a:slow-30s"}},
	}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: "example.com/gate"}}
	c := &change{pod: pod, at: metav1.Unix(1, 0)}
	for _, stage := range []struct {
		name string
		do   func()
		want string
	}{
		{"accepted", func() { c.accept("10.0.0.1") }, `example.com/gate=
PodReadyToStartContainers=False
Initialized=False ContainersNotInitialized containers with incomplete status: [setup proxy]
Ready=False ContainersNotReady containers with unready status: [proxy quick late]
ContainersReady=False ContainersNotReady containers with unready status: [proxy quick late]
PodScheduled=True`},
		{"started", c.start, `example.com/gate=
PodReadyToStartContainers=True
Initialized=True
Ready=False ContainersNotReady containers with unready status: [late]
ContainersReady=False ContainersNotReady containers with unready status: [late]
PodScheduled=True`},
		{"ready", c.containersReady, `example.com/gate=
PodReadyToStartContainers=True
Initialized=True
Ready=True
ContainersReady=True
PodScheduled=True`},
		{"finished", c.finish, `example.com/gate=
PodReadyToStartContainers=False
Initialized=True PodCompleted
Ready=False PodCompleted
ContainersReady=False PodCompleted
PodScheduled=True`},
	} {
		stage.do()
		var have []string
		for _, x := range pod.Status.Conditions {
			have = append(have, strings.TrimSpace(fmt.Sprintf("%s=%s %s %s", x.Type, x.Status, x.Reason, x.Message)))
		}
		if got := strings.Join(have, "\n"); got != stage.want {
			t.Errorf("%s:\n%s\nwant\n%s", stage.name, got, stage.want)
		}
	}
}
