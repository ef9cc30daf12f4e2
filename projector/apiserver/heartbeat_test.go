package apiserver

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
)

// A kubelet that says that it is still there gets the node as it is, and its
// Lease is renewed; nothing is appended. What else it says is an event.
func TestHeartbeatsAreNoEvents(t *testing.T) {
	c := newCluster(t)
	nodes := c.client.CoreV1().Nodes()
	if _, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	condition := func(status, at string) []byte {
		return []byte(`{"status":{"conditions":[{"type":"Ready","status":"` + status + `","reason":"r","lastHeartbeatTime":"` + at + `"}]}}`)
	}
	patch := func(data []byte) *corev1.Node {
		t.Helper()
		n, err := nodes.Patch(t.Context(), "n", types.StrategicMergePatchType, data, metav1.PatchOptions{}, "status")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	began := time.Now().Truncate(time.Microsecond) // as a Lease has its times
	was := patch(condition("True", "2026-01-01T00:00:00Z"))
	alone := []byte(`{"status":{"conditions":[{"type":"Ready","lastHeartbeatTime":"2026-01-01T00:01:00Z"}]}}`)
	for name, beat := range map[string]func() (*corev1.Node, error){
		"all of the condition": func() (*corev1.Node, error) { return patch(condition("True", "2026-01-01T00:00:10Z")), nil },
		"the time alone":       func() (*corev1.Node, error) { return patch(alone), nil },
		"another manager": func() (*corev1.Node, error) {
			return c.as(t, "other/1").CoreV1().Nodes().Patch(t.Context(), "n", types.StrategicMergePatchType, alone, metav1.PatchOptions{}, "status")
		},
		"an update": func() (*corev1.Node, error) {
			n := was.DeepCopy()
			n.Status.Conditions[0].LastHeartbeatTime = metav1.Now()
			return nodes.UpdateStatus(t.Context(), n, metav1.UpdateOptions{})
		},
	} {
		n, err := beat()
		if err != nil || n.ResourceVersion != was.ResourceVersion || !n.Status.Conditions[0].LastHeartbeatTime.Equal(&was.Status.Conditions[0].LastHeartbeatTime) {
			t.Errorf("%s: %v, node at %s since %v, want the one at %s", name, err, n.ResourceVersion, n.Status.Conditions, was.ResourceVersion)
		}
	}
	lease, err := c.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(t.Context(), "n", metav1.GetOptions{})
	if err != nil || lease.Spec.RenewTime.Time.Before(began) {
		t.Errorf("the Lease of the node: %v, %v", lease, err)
	}
	if n := patch(condition("False", "2026-01-01T00:00:20Z")); n.ResourceVersion == was.ResourceVersion || n.Status.Conditions[0].Status != corev1.ConditionFalse {
		t.Errorf("a change of the status is lost: %v", n.Status.Conditions)
	}
	var told []string
	for e, err := range c.log.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if events.RefOf(e).Kind == events.Node {
			told = append(told, string(e.Type))
		}
	}
	if got := strings.Join(told, " "); got != "node.created node.updated node.updated" {
		t.Errorf("the log tells %s", got)
	}
}

// Who makes an Event, or counts one that was made, does not start the view of
// Events, which reads all of the log.
func TestMakingEventsReadsNothing(t *testing.T) {
	c := newCluster(t)
	told := c.client.CoreV1().Events("default")
	e := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "e"}, InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "p"}, Count: 1}
	if _, err := told.Create(t.Context(), e, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := told.Patch(t.Context(), "e", types.StrategicMergePatchType, []byte(`{"count":2}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	b := c.server.stores.backends["events"].(*kvBackend)
	seen := func() events.Seq {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.seen
	}
	if at := seen(); at != 0 {
		t.Errorf("the view is at %d", at)
	}
	if got, err := told.Get(t.Context(), "e", metav1.GetOptions{}); err != nil || got.Count != 2 || seen() != 0 {
		t.Errorf("the Event is %v, %v, and the view at %d", got, err, seen())
	}
	list, err := told.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) == 0 || seen() == 0 {
		t.Errorf("%d Events, %v, and the view at %d", len(list.Items), err, seen())
	}
}
