package simkubelet

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"rollcall/events"
)

// specify takes what the input says of a pod: spec, and what of metadata and
// status it names. A pod that is made with containers has those alone.
func (st *stand) specify(p *corev1.Pod, d *datadriven.TestData) {
	st.t.Helper()
	if d.Input == "" {
		return
	}
	was := p.DeepCopy()
	var says corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(d.Input), &says); err != nil {
		d.Fatalf(st.t, "%v", err)
	}
	if len(says.Spec.Containers) > 0 {
		p.Spec.Containers = nil
	}
	if err := yaml.Unmarshal([]byte(d.Input), p); err != nil {
		d.Fatalf(st.t, "%v", err)
	}
	if d.Cmd == "change-pod" && !equality.Semantic.DeepEqual(was.Spec, p.Spec) {
		p.Generation++ // as the API does
	}
}

// status is what kubectl get -o yaml shows of a pod, shortened.
func (st *stand) status(name string) string {
	st.t.Helper()
	p := st.pod(name)
	lines := []string{fmt.Sprintf("%s %s %s observed=%d of %d", p.Status.Phase, p.Status.Reason, p.Status.Message, p.Status.ObservedGeneration, p.Generation)}
	for _, group := range []struct {
		name string
		are  []corev1.ContainerStatus
	}{{"init ", p.Status.InitContainerStatuses}, {"", p.Status.ContainerStatuses}, {"debug ", p.Status.EphemeralContainerStatuses}} {
		for _, s := range group.are {
			text := fmt.Sprintf("%s%s %s ready=%v restarts=%d %s", group.name, s.Name, s.Image, s.Ready, s.RestartCount, stateText(s.State))
			if s.LastTerminationState.Terminated != nil {
				text += ", was " + stateText(s.LastTerminationState)
			}
			if r := s.Resources; r != nil && len(r.Requests) > 0 {
				text += fmt.Sprintf(" has %s cpu, allocated %s", r.Requests.Cpu(), s.AllocatedResources.Cpu())
			}
			lines = append(lines, text)
		}
	}
	for _, c := range p.Status.Conditions {
		lines = append(lines, fmt.Sprintf("%s=%s %s %s (%d)", c.Type, c.Status, c.Reason, c.Message, c.ObservedGeneration))
	}
	for i := range lines {
		lines[i] = strings.Join(strings.Fields(lines[i]), " ")
	}
	return strings.Join(lines, "\n")
}

func stateText(s corev1.ContainerState) string {
	switch {
	case s.Running != nil:
		return fmt.Sprintf("runs since %.0fs", s.Running.StartedAt.Sub(epoch).Seconds())
	case s.Terminated != nil:
		return fmt.Sprintf("ended %s %d at %.0fs", s.Terminated.Reason, s.Terminated.ExitCode, s.Terminated.FinishedAt.Sub(epoch).Seconds())
	case s.Waiting != nil:
		return fmt.Sprintf("waits %s %s", s.Waiting.Reason, s.Waiting.Message)
	}
	return "nothing"
}

// thing makes or drops a ConfigMap or a Secret with the keys that are given.
func (st *stand) thing(name string, d *datadriven.TestData) {
	st.t.Helper()
	keys := map[string][]byte{}
	for _, a := range d.CmdArgs[1:] {
		keys[a.Key] = nil
	}
	meta := metav1.ObjectMeta{Name: name, Namespace: "x"}
	switch d.Cmd {
	case "configmap":
		st.put(events.ConfigMap, events.VerbCreated, &corev1.ConfigMap{ObjectMeta: meta, BinaryData: keys})
	case "secret":
		st.put(events.Secret, events.VerbCreated, &corev1.Secret{ObjectMeta: meta, Data: keys})
	case "drop-configmap":
		st.append("configmap.deleted", events.Gone{Ref: events.Ref{Kind: events.ConfigMap, Key: events.Key{Namespace: "x", Name: name}}})
	}
}

// restarts are those of the container that was started again most often.
func restarts(o *corev1.Pod) (n int32) {
	for i := range o.Status.ContainerStatuses {
		n = max(n, o.Status.ContainerStatuses[i].RestartCount)
	}
	return n
}

func (st *stand) alterNode(n *corev1.Node, d *datadriven.TestData) {
	for _, a := range d.CmdArgs[1:] {
		switch a.Key {
		case "source":
			n.Labels[events.LabelSource] = a.Vals[0]
		case "fail":
			n.Annotations = map[string]string{events.AnnotationFail: a.Vals[0]}
		case "cordon":
			n.Spec.Unschedulable = a.Vals[0] == "true"
		case "simulated":
			metav1.SetMetaDataLabel(&n.ObjectMeta, events.LabelSimulated, a.Vals[0])
		case "cpu", "memory", "pods":
			n.Status.Allocatable[corev1.ResourceName(a.Key)] = resource.MustParse(a.Vals[0])
		case "ready":
			setNodeCondition(n, corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionStatus(a.Vals[0]), Reason: "Somebody"}, stamp(st.now))
		case "pressure":
			setNodeCondition(n, corev1.NodeCondition{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionStatus(a.Vals[0])}, stamp(st.now))
		case "capacity":
			name, has, _ := strings.Cut(a.Vals[0], ":")
			n.Status.Capacity[corev1.ResourceName(name)] = resource.MustParse(has)
		case "label":
			n.Labels[a.Vals[0]] = "true"
		case "bare":
			// As kubectl makes it and admission leaves it.
			n.Labels, n.Status, n.Spec.ProviderID = map[string]string{}, corev1.NodeStatus{}, ""
		case "taint":
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: a.Vals[0], Effect: corev1.TaintEffectNoSchedule})
		case "untaint":
			setTaint(n, a.Vals[0], corev1.TaintEffectNoSchedule, false, stamp(st.now))
		case "uid":
			n.UID = types.UID(a.Vals[0])
		}
	}
}
