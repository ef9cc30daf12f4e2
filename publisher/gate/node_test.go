package gate_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/publisher/gate"
)

func (w *world) node(name string) *corev1.Node {
	w.t.Helper()
	return load[corev1.Node](w, events.Node, "", name)
}

func TestAddNodes(t *testing.T) {
	w := newWorld(t)
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "edge", Labels: map[string]string{"zone": "a"}, ResourceVersion: "9"}}
	add := func(names []string, count int) (gate.Reply, error) {
		return w.gate.AddNodes(t.Context(), gate.AddNodesRequest{Node: node, Names: names, Count: count})
	}
	r, err := add(nil, 0)
	check(t, said(t, r, err), "node/edge created")
	r, err = add(nil, 2)
	check(t, said(t, r, err), "node/edge-0001 created\nnode/edge-0002 created")
	r, err = add(nil, 1)
	check(t, said(t, r, err), "node/edge-0003 created")
	n := w.node("edge-0003")
	if n.UID == "" || n.UID == w.node("edge-0002").UID || n.Labels["zone"] != "a" || n.Labels[corev1.LabelHostname] != "edge-0003" || !n.CreationTimestamp.Time.Equal(w.now) {
		t.Errorf("node %+v", n.ObjectMeta)
	}
	before := len(w.types())
	_, err = add([]string{"new", "edge"}, 0)
	checkCode(t, err, "E-GATE-EXISTS", events.ExitInput, `"edge"`)
	_, err = add([]string{"twice", "twice"}, 0)
	checkCode(t, err, "E-GATE-EXISTS", events.ExitInput)
	_, err = add([]string{"Big"}, 0)
	checkCode(t, err, "E-MAN-NAME", events.ExitInput, "node/Big")
	for _, count := range []int{-5, 1_000_000} {
		_, err = add(nil, count)
		checkCode(t, err, "E-GATE-NUMBER", events.ExitInput)
	}
	if len(w.types()) != before {
		t.Errorf("refusals appended %v", w.types()[before:])
	}
}

// TestManyNodes: more facts than one append takes.
func TestManyNodes(t *testing.T) {
	w := newWorld(t)
	sequence := uint64(0)
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	g := gate.New(w.log, w.subjects, w.store, func() time.Time { return w.now }, func() (id ulid.ULID) {
		sequence++
		id[14], id[15], id[13] = byte(sequence>>8), byte(sequence), 1
		return id
	}, w.uid)
	r, err := g.AddNodes(t.Context(), gate.AddNodesRequest{Node: node, Count: 1100})
	if err != nil || len(r.Results) != 1100 || r.Results[0].Seq != 1 || r.Results[600].Seq != 601 || r.Seq() != 1100 {
		t.Fatalf("%d results to %d, %v", len(r.Results), r.Seq(), err)
	}
	check(t, r.Results[1099].Ref.Name, "n-1100")
}

// TestNodeOperations says what each does to one node, and to a second time.
func TestNodeOperations(t *testing.T) {
	type do = func(*gate.Gate, context.Context, gate.NodesRequest) (gate.Reply, error)
	state := func(n *corev1.Node) string {
		var out []string
		for _, x := range n.Spec.Taints {
			out = append(out, x.ToString())
		}
		return strings.TrimSpace(fmt.Sprint(n.Spec.Unschedulable, " ", strings.Join(out, ","), " zone=", n.Labels["zone"], " fail=", n.Annotations["rollcall/fail"]))
	}
	w := newWorld(t)
	w.nodes("n1")
	for i, step := range []struct {
		do      do
		changes []string
		says    string
		state   string
	}{
		{(*gate.Gate).Cordon, nil, "cordoned", "true node.kubernetes.io/unschedulable:NoSchedule zone= fail="},
		{(*gate.Gate).Cordon, nil, "already cordoned", "true node.kubernetes.io/unschedulable:NoSchedule zone= fail="},
		{(*gate.Gate).Uncordon, nil, "uncordoned", "false  zone= fail="},
		{(*gate.Gate).Uncordon, nil, "already uncordoned", "false  zone= fail="},
		{(*gate.Gate).Label, []string{"zone=a"}, "labeled", "false  zone=a fail="},
		{(*gate.Gate).Label, []string{"zone=a"}, "not labeled", "false  zone=a fail="},
		{(*gate.Gate).Label, []string{"zone-"}, "unlabeled", "false  zone= fail="},
		{(*gate.Gate).Taint, []string{"app=x:NoExecute"}, "tainted", "false app=x:NoExecute zone= fail="},
		{(*gate.Gate).Taint, []string{"app=x:NoExecute"}, "not tainted", "false app=x:NoExecute zone= fail="},
		{(*gate.Gate).Taint, []string{"app=y:NoExecute", "app:NoSchedule"}, "tainted", "false app=y:NoExecute,app:NoSchedule zone= fail="},
		{(*gate.Gate).Taint, []string{"app:NoSchedule-"}, "untainted", "false app=y:NoExecute zone= fail="},
		{(*gate.Gate).Taint, []string{"app=y:NoExecute-"}, "untainted", "false  zone= fail="},
		{(*gate.Gate).Taint, []string{"a:NoSchedule", "a:NoExecute"}, "tainted", "false a:NoSchedule,a:NoExecute zone= fail="},
		{(*gate.Gate).Taint, []string{"a-"}, "untainted", "false  zone= fail="},
		{(*gate.Gate).Fail, nil, "failed", "false  zone= fail=true"},
		{(*gate.Gate).Fail, nil, "has failed already", "false  zone= fail=true"},
		{(*gate.Gate).Recover, nil, "recovered", "false  zone= fail="},
		{(*gate.Gate).Recover, nil, "has not failed", "false  zone= fail="},
	} {
		before := len(w.types())
		r, err := step.do(w.gate, t.Context(), gate.NodesRequest{Names: []string{"n1"}, Changes: step.changes})
		check(t, said(t, r, err), "node/n1 "+step.says)
		check(t, state(w.node("n1")), step.state)
		if changed := len(w.types()) > before; err == nil && changed != (r.Seq() != 0) {
			t.Errorf("step %d: appended %t, seq %d", i, changed, r.Seq())
		}
	}
	r, err := w.gate.DeleteNodes(t.Context(), gate.NodesRequest{Names: []string{"n1"}})
	check(t, said(t, r, err), `node "n1" deleted`)
	types := w.types()
	check(t, types[len(types)-1], "node.deleted")
}

func TestNodeRefusals(t *testing.T) {
	w := newWorld(t)
	w.nodes("n1", "n2")
	w.put(events.Node, events.VerbCreated, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "real", UID: "r"}})
	before := len(w.types())
	type do = func(*gate.Gate, context.Context, gate.NodesRequest) (gate.Reply, error)
	for _, tc := range []struct {
		do      do
		names   string
		change  string
		code    string
		message string
	}{
		{(*gate.Gate).Fail, "n1 real", "", "E-GATE-SIMULATED", "rollcall/simulated=true"},
		{(*gate.Gate).Recover, "real", "", "E-GATE-SIMULATED", ""},
		{(*gate.Gate).Cordon, "n1 n3", "", "E-GATE-NOTFOUND", "did you mean n1 or n2?"},
		{(*gate.Gate).Cordon, "", "", "E-GATE-NUMBER", ""},
		{(*gate.Gate).Label, "n1", "", "E-GATE-LABEL", "key=value"},
		{(*gate.Gate).Label, "n1", "zone", "E-GATE-LABEL", `"zone"`},
		{(*gate.Gate).Label, "n1", "=a", "E-GATE-LABEL", ""},
		{(*gate.Gate).Label, "n1", "a/b/c=d", "E-MAN-META", "node/n1"},
		{(*gate.Gate).Label, "n1", "zone=?", "E-MAN-META", "metadata.labels[zone]"},
		{(*gate.Gate).Taint, "n1", "a=b", "E-GATE-TAINT", "key=value:Effect"},
		{(*gate.Gate).Taint, "n1", ":NoSchedule", "E-GATE-TAINT", ""},
		{(*gate.Gate).Taint, "n1", "a=b:NoSchedul", "E-GATE-TAINT", "did you mean NoSchedule?"},
		{(*gate.Gate).Taint, "n1", "a:NoSchedule-", "E-GATE-TAINT", "its taints are none"},
		{(*gate.Gate).Taint, "n1", "a b:NoSchedule", "E-MAN-TAINT", "spec.taints[0].key"},
	} {
		var changes []string
		if tc.change != "" {
			changes = []string{tc.change}
		}
		_, err := tc.do(w.gate, t.Context(), gate.NodesRequest{Names: strings.Fields(tc.names), Changes: changes})
		checkCode(t, err, tc.code, events.ExitInput, tc.message)
	}
	if len(w.types()) != before {
		t.Errorf("refusals appended %v", w.types()[before:])
	}
}

// TestApplyNode: a manifest of a node leaves what commands have set.
func TestApplyNode(t *testing.T) {
	w := newWorld(t)
	w.nodes("n1")
	if _, err := w.gate.Cordon(t.Context(), gate.NodesRequest{Names: []string{"n1"}}); err != nil {
		t.Fatal(err)
	}
	w.mustApply("{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {zone: a}}}")
	n := w.node("n1")
	if !n.Spec.Unschedulable || len(n.Spec.Taints) != 1 || n.Labels["zone"] != "a" || n.Labels["rollcall/simulated"] != "true" {
		t.Errorf("%v %+v", n.Labels, n.Spec)
	}
}
