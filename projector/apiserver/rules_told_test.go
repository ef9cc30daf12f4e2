package apiserver

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"rollcall/events"
)

// Rules give what is told the defaults of the API, keep what the API would not let a
// request change, and refuse what it would refuse.
func TestRules(t *testing.T) {
	rules := NewRules()
	object := func(n *corev1.Node) events.Object {
		t.Helper()
		o, err := events.NewObject(events.Node, n)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	node := func(change func(*corev1.Node)) *corev1.Node {
		n := &corev1.Node{}
		n.Name, n.UID = "n", "11111111-2222-3333-4444-555555555555"
		n.Spec.ProviderID = "aws:///i-1"
		n.Spec.Taints = []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}}
		if change(n); n.Labels == nil {
			n.Labels = map[string]string{}
		}
		return n
	}
	was, err := rules.Node(events.Object{}, object(node(func(*corev1.Node) {})))
	if err != nil {
		t.Fatal(err)
	}
	now, err := rules.Node(was, object(node(func(n *corev1.Node) {
		n.Labels = map[string]string{"zone": "a"}
		n.Spec.Unschedulable = true
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	})))
	var is corev1.Node
	if err == nil {
		err = now.Decode(&is)
	}
	if err != nil || is.Labels["zone"] != "a" || !is.Spec.Unschedulable || len(is.Status.Conditions) != 1 || is.ResourceVersion != "" {
		t.Errorf("%+v, %v", is, err)
	}
	for field, change := range map[string]func(*corev1.Node){
		"spec.providerID": func(n *corev1.Node) { n.Spec.ProviderID = "aws:///i-2" },
		"metadata.taints": func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, n.Spec.Taints[0]) },
		"metadata.labels": func(n *corev1.Node) { n.Labels = map[string]string{"a b": ""} },
	} {
		_, err := rules.Node(was, object(node(change)))
		var st apierrors.APIStatus
		if !errors.As(err, &st) || !strings.HasPrefix(st.Status().Details.Causes[0].Field, field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
