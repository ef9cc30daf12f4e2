package scenario_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"rollcall/events"
	"rollcall/projector"
)

// place folds a node called n1 and places a pod template's spec on it.
func place(t *testing.T, node, spec string) projector.Verdict {
	t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "u1"}}
	if err := yaml.UnmarshalStrict([]byte(node), n); err != nil {
		t.Fatal(err)
	}
	body, err := events.NewObject(events.Node, n)
	if err != nil {
		t.Fatal(err)
	}
	s := projector.New("test")
	projector.Fold(s, events.Event{Seq: 1, Type: events.ObjectType(events.Node, events.VerbCreated), Body: body})
	pod := &corev1.PodSpec{}
	if err := yaml.UnmarshalStrict([]byte(spec), pod); err != nil {
		t.Fatal(err)
	}
	return projector.Place(s.Node("n1").NodeView, projector.NewPlacement(pod))
}

type placement struct {
	name, node, spec string
	want             projector.Verdict
}

func places(t *testing.T, cases []placement) {
	t.Helper()
	for _, c := range cases {
		if got := place(t, c.node, c.spec); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// required writes a required node affinity with these terms.
func required(terms string) string {
	return `affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: ` + terms + `}}}`
}

func label(k, v string) string { return `metadata: {name: n1, labels: {` + k + `: "` + v + `"}}` }

func taint(s string) string { return `spec: {taints: ` + s + `}` }

// B01 B02 B04 B05 B13 B15: TestNodeShouldRunDaemonPod, all eleven cases. (yes, yes) is
// Run, (no, yes) is Keep, (no, no) is Evict. What a node has room for is not
// asked, so the cases of memory and ports differ only in what nobody reads.
func TestNodeShouldRunDaemonPod(t *testing.T) {
	const small = `status: {allocatable: {cpu: 200m, memory: 100Mi, pods: 1}}`
	const big = `containers: [{name: c, resources: {requests: {memory: 75Mi, cpu: 150m}}, ports: [{containerPort: 80, hostPort: 80}]}]`
	places(t, []placement{
		{"fits", ``, big, projector.Run},
		{"too little memory", small, `containers: [{name: c, resources: {requests: {memory: 1Gi}}}]`, projector.Run},
		{"another node by name", ``, `nodeName: other-node`, projector.Evict},
		{"host port taken", small, big, projector.Run},
		{"resources taken", small, big, projector.Run},
		{"fits beside another pod", ``, `containers: [{name: c, resources: {requests: {memory: 1Mi}}}]`, projector.Run},
		{"node selector does not match", label("color", "red"), `nodeSelector: {color: blue}`, projector.Evict},
		{"node selector matches", label("color", "blue"), `nodeSelector: {color: blue}`, projector.Run},
		{"affinity does not match", label("color", "red"),
			required(`[{matchExpressions: [{key: color, operator: In, values: [blue]}]}]`), projector.Evict},
		{"affinity matches", label("color", "blue"),
			required(`[{matchExpressions: [{key: color, operator: In, values: [blue]}]}]`), projector.Run},
		{"unschedulable", `spec: {unschedulable: true}`, ``, projector.Run},
	})
}

// B04 B05 B06 B12 B14 B16 B18 B20.
func TestPlaceByNameAndSelector(t *testing.T) {
	places(t, []placement{
		{"no constraint", ``, ``, projector.Run},
		{"its name", ``, `nodeName: n1`, projector.Run},
		{"its name and a selector that matches", label("a", "b"), `{nodeName: n1, nodeSelector: {a: b}}`, projector.Run},
		{"its name and a selector that does not", ``, `{nodeName: n1, nodeSelector: {a: b}}`, projector.Evict},
		{"a selector that matches and another name", label("a", "b"), `{nodeName: n2, nodeSelector: {a: b}}`, projector.Evict},
		{"its name and a taint", taint(`[{key: a, effect: NoSchedule}]`), `nodeName: n1`, projector.Keep},
		{"one of two labels", label("a", "b"), `nodeSelector: {a: b, c: d}`, projector.Evict},
		{"an empty value and no label", ``, `nodeSelector: {a: ""}`, projector.Evict},
		{"an empty value", label("a", ""), `nodeSelector: {a: ""}`, projector.Run},
		{"mismatch beats a taint", taint(`[{key: a, effect: NoSchedule}]`), `nodeSelector: {a: b}`, projector.Evict},
		{"hostname label of another node", label("kubernetes.io/hostname", "n2"), `nodeName: n1`, projector.Run},
		{"not ready", `status: {conditions: [{type: Ready, status: "False"}, {type: DiskPressure, status: "True"}]}`, ``, projector.Run},
		{"deleting", `metadata: {name: n1, deletionTimestamp: "2026-01-01T00:00:00Z"}`, ``, projector.Run},
		{"preferred terms are not asked", ``, `affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution:
  [{weight: 1, preference: {matchExpressions: [{key: a, operator: In, values: [b]}]}}]}}`, projector.Run},
		{"pod affinity and spread are not asked", ``, `{affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution:
  [{topologyKey: zone, labelSelector: {matchLabels: {a: b}}}]}, podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution:
  [{topologyKey: zone, labelSelector: {}}]}}, topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]}`,
			projector.Run},
	})
}

// B07 B08: operators on labels; a label that is missing satisfies NotIn and DoesNotExist.
func TestPlaceByExpression(t *testing.T) {
	term := func(op, values string) string {
		return required(`[{matchExpressions: [{key: gen, operator: ` + op + `, values: ` + values + `}]}]`)
	}
	gen, none := label("gen", "7"), ``
	places(t, []placement{
		{"In", gen, term("In", `["6", "7"]`), projector.Run},
		{"In, another", gen, term("In", `["6"]`), projector.Evict},
		{"In, missing", none, term("In", `["7"]`), projector.Evict},
		{"NotIn", gen, term("NotIn", `["6"]`), projector.Run},
		{"NotIn, that one", gen, term("NotIn", `["7"]`), projector.Evict},
		{"NotIn, missing", none, term("NotIn", `["7"]`), projector.Run},
		{"Exists", gen, term("Exists", `[]`), projector.Run},
		{"Exists, missing", none, term("Exists", `[]`), projector.Evict},
		{"DoesNotExist", gen, term("DoesNotExist", `[]`), projector.Evict},
		{"DoesNotExist, missing", none, term("DoesNotExist", `[]`), projector.Run},
		{"Gt", gen, term("Gt", `["6"]`), projector.Run},
		{"Gt, equal", gen, term("Gt", `["7"]`), projector.Evict},
		{"Gt is of numbers, not of text", label("gen", "10"), term("Gt", `["9"]`), projector.Run},
		{"Gt, the label is no number", label("gen", "new"), term("Gt", `["6"]`), projector.Evict},
		{"Gt, missing", none, term("Gt", `["6"]`), projector.Evict},
		{"Lt", gen, term("Lt", `["8"]`), projector.Run},
		{"Lt, equal", gen, term("Lt", `["7"]`), projector.Evict},
		{"all of a term", gen, required(`[{matchExpressions: [{key: gen, operator: Exists}, {key: gen, operator: In, values: ["6"]}]}]`), projector.Evict},
		{"one of two terms", gen, required(`[{matchExpressions: [{key: gen, operator: In, values: ["6"]}]},
  {matchExpressions: [{key: gen, operator: In, values: ["7"]}]}]`), projector.Run},
		{"affinity and selector", gen, `{nodeSelector: {gen: "6"}, ` + term("Exists", `[]`) + `}`, projector.Evict},
	})
}

// B07 B09 B10 B11: fields, empty terms, and terms that do not parse: those match nothing and
// leave the others alone.
func TestPlaceByField(t *testing.T) {
	field := func(op, values string) string {
		return `{matchFields: [{key: metadata.name, operator: ` + op + `, values: ` + values + `}]}`
	}
	places(t, []placement{
		{"In", ``, required(`[` + field("In", `[n1]`) + `]`), projector.Run},
		{"In, another", ``, required(`[` + field("In", `[n2]`) + `]`), projector.Evict},
		{"NotIn", ``, required(`[` + field("NotIn", `[n2]`) + `]`), projector.Run},
		{"NotIn, that one", ``, required(`[` + field("NotIn", `[n1]`) + `]`), projector.Evict},
		{"two values", ``, required(`[` + field("In", `[n1, n2]`) + `]`), projector.Evict},
		{"Exists", ``, required(`[` + field("Exists", `[]`) + `]`), projector.Evict},
		{"another field", ``, required(`[{matchFields: [{key: metadata.uid, operator: In, values: [u1]}]}]`), projector.Evict},
		{"field and label of a term", label("a", "b"),
			required(`[{matchFields: [{key: metadata.name, operator: In, values: [n1]}], matchExpressions: [{key: a, operator: In, values: [c]}]}]`),
			projector.Evict},
		{"label or field", ``, required(`[{matchExpressions: [{key: a, operator: Exists}]}, ` + field("In", `[n1]`) + `]`), projector.Run},
		{"an empty term", ``, required(`[{}]`), projector.Evict},
		{"an empty term and one that matches", ``, required(`[{}, ` + field("In", `[n1]`) + `]`), projector.Run},
		{"no terms", ``, required(`[]`), projector.Evict},
		{"an unknown operator", label("a", "b"), required(`[{matchExpressions: [{key: a, operator: Like, values: [b]}]}]`), projector.Evict},
		{"an unknown operator beside a term that matches", label("a", "b"),
			required(`[{matchExpressions: [{key: a, operator: Like, values: [b]}]}, {matchExpressions: [{key: a, operator: Exists}]}]`), projector.Run},
		{"two values of a field beside a term that matches", ``, required(`[` + field("In", `[n1, n2]`) + `, ` + field("In", `[n1]`) + `]`), projector.Run},
		{"Gt without a number beside a term that matches", label("a", "7"),
			required(`[{matchExpressions: [{key: a, operator: Gt, values: [x]}]}, {matchExpressions: [{key: a, operator: Exists}]}]`), projector.Run},
	})
}

// B17 B18 C05 C06 C09.
func TestPlaceByTaint(t *testing.T) {
	one := func(key, effect string) string {
		return taint(`[{key: ` + key + `, value: v, effect: ` + effect + `}]`)
	}
	const notReady, unreachable = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
	places(t, []placement{
		{"NoSchedule", one("a", "NoSchedule"), ``, projector.Keep},
		{"NoExecute", one("a", "NoExecute"), ``, projector.Evict},
		{"PreferNoSchedule", one("a", "PreferNoSchedule"), ``, projector.Run},
		{"both", taint(`[{key: a, effect: NoSchedule}, {key: b, effect: NoExecute}]`), ``, projector.Evict},
		{"NoExecute tolerated and NoSchedule not", taint(`[{key: a, effect: NoExecute}, {key: b, effect: NoSchedule}]`),
			`tolerations: [{key: a, operator: Exists}]`, projector.Keep},
		{"tolerated for seconds", one("a", "NoExecute"), `tolerations: [{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 5}]`, projector.Run},
		{"out of service", one("node.kubernetes.io/out-of-service", "NoExecute"), ``, projector.Evict},
		{"not initialised", one("node.cloudprovider.kubernetes.io/uninitialized", "NoSchedule"), ``, projector.Keep},
		{"control plane", one("node-role.kubernetes.io/control-plane", "NoSchedule"), ``, projector.Keep},
		{"not ready, NoExecute", one(notReady, "NoExecute"), ``, projector.Run},
		{"not ready, NoSchedule", one(notReady, "NoSchedule"), ``, projector.Keep},
		{"unreachable, NoExecute", one(unreachable, "NoExecute"), ``, projector.Run},
		{"unreachable, NoSchedule", one(unreachable, "NoSchedule"), ``, projector.Keep},
		{"everything tolerated", one(notReady, "NoSchedule"), `tolerations: [{operator: Exists}]`, projector.Run},
	})
}

// C01 C02 C04 C10.
func TestPlaceByAutomaticToleration(t *testing.T) {
	pressure := taint(`[{key: node.kubernetes.io/disk-pressure, effect: NoSchedule}, {key: node.kubernetes.io/memory-pressure, effect: NoSchedule},
  {key: node.kubernetes.io/pid-pressure, effect: NoSchedule}, {key: node.kubernetes.io/unschedulable, effect: NoSchedule}]`)
	network := taint(`[{key: node.kubernetes.io/network-unavailable, effect: NoSchedule}]`)
	places(t, []placement{
		{"pressure", pressure, ``, projector.Run},
		{"pressure, NoExecute", taint(`[{key: node.kubernetes.io/disk-pressure, effect: NoExecute}]`), ``, projector.Evict},
		{"network", network, ``, projector.Keep},
		{"network of the host", network, `hostNetwork: true`, projector.Run},
		{"seconds of its own are lost", taint(`[{key: node.kubernetes.io/not-ready, effect: NoExecute}]`),
			`tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 1}]`, projector.Run},
		{"priority says nothing", taint(`[{key: a, effect: NoSchedule}]`), `priorityClassName: system-node-critical`, projector.Keep},
	})
}

// C07 C08.
func TestPlaceByTolerationMatch(t *testing.T) {
	tainted := taint(`[{key: a, value: "5", effect: NoSchedule}]`)
	tolerate := func(s string) string { return `tolerations: [` + s + `]` }
	places(t, []placement{
		{"Equal", tainted, tolerate(`{key: a, operator: Equal, value: "5", effect: NoSchedule}`), projector.Run},
		{"no operator is Equal", tainted, tolerate(`{key: a, value: "5", effect: NoSchedule}`), projector.Run},
		{"another value", tainted, tolerate(`{key: a, value: "6", effect: NoSchedule}`), projector.Keep},
		{"no value", tainted, tolerate(`{key: a, operator: Equal}`), projector.Keep},
		{"Exists", tainted, tolerate(`{key: a, operator: Exists, effect: NoSchedule}`), projector.Run},
		{"another effect", tainted, tolerate(`{key: a, operator: Exists, effect: NoExecute}`), projector.Keep},
		{"no effect is every effect", tainted, tolerate(`{key: a, operator: Exists}`), projector.Run},
		{"another key", tainted, tolerate(`{key: b, operator: Exists}`), projector.Keep},
		{"no key is every key", tainted, tolerate(`{operator: Exists, effect: NoSchedule}`), projector.Run},
		{"one of several", tainted, tolerate(`{key: b, operator: Exists}, {key: a, operator: Exists}`), projector.Run},
		{"numbers are not compared", tainted, tolerate(`{key: a, operator: Gt, value: "4", effect: NoSchedule}`), projector.Keep},
	})
}
