package scenario_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// place folds a node called n1 and places a pod template's spec on it.
func place(t *testing.T, node, spec string) sets.Verdict {
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
	v, _ := sets.Place(s.Node("n1").NodeView, sets.NewPlacement(pod))
	return v
}

type placement struct {
	name, node, spec string
	want             sets.Verdict
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
		{"fits", ``, big, sets.Run},
		{"too little memory", small, `containers: [{name: c, resources: {requests: {memory: 1Gi}}}]`, sets.Run},
		{"another node by name", ``, `nodeName: other-node`, sets.Evict},
		{"host port taken", small, big, sets.Run},
		{"resources taken", small, big, sets.Run},
		{"fits beside another pod", ``, `containers: [{name: c, resources: {requests: {memory: 1Mi}}}]`, sets.Run},
		{"node selector does not match", label("color", "red"), `nodeSelector: {color: blue}`, sets.Evict},
		{"node selector matches", label("color", "blue"), `nodeSelector: {color: blue}`, sets.Run},
		{"affinity does not match", label("color", "red"),
			required(`[{matchExpressions: [{key: color, operator: In, values: [blue]}]}]`), sets.Evict},
		{"affinity matches", label("color", "blue"),
			required(`[{matchExpressions: [{key: color, operator: In, values: [blue]}]}]`), sets.Run},
		{"unschedulable", `spec: {unschedulable: true}`, ``, sets.Run},
	})
}

// B04 B05 B06 B12 B14 B16 B18 B20.
func TestPlaceByNameAndSelector(t *testing.T) {
	places(t, []placement{
		{"no constraint", ``, ``, sets.Run},
		{"its name", ``, `nodeName: n1`, sets.Run},
		{"its name and a selector that matches", label("a", "b"), `{nodeName: n1, nodeSelector: {a: b}}`, sets.Run},
		{"its name and a selector that does not", ``, `{nodeName: n1, nodeSelector: {a: b}}`, sets.Evict},
		{"a selector that matches and another name", label("a", "b"), `{nodeName: n2, nodeSelector: {a: b}}`, sets.Evict},
		{"its name and a taint", taint(`[{key: a, effect: NoSchedule}]`), `nodeName: n1`, sets.Keep},
		{"one of two labels", label("a", "b"), `nodeSelector: {a: b, c: d}`, sets.Evict},
		{"an empty value and no label", ``, `nodeSelector: {a: ""}`, sets.Evict},
		{"an empty value", label("a", ""), `nodeSelector: {a: ""}`, sets.Run},
		{"mismatch beats a taint", taint(`[{key: a, effect: NoSchedule}]`), `nodeSelector: {a: b}`, sets.Evict},
		{"hostname label of another node", label("kubernetes.io/hostname", "n2"), `nodeName: n1`, sets.Run},
		{"not ready", `status: {conditions: [{type: Ready, status: "False"}, {type: DiskPressure, status: "True"}]}`, ``, sets.Run},
		{"deleting", `metadata: {name: n1, deletionTimestamp: "2026-01-01T00:00:00Z"}`, ``, sets.Run},
		{"preferred terms are not asked", ``, `affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution:
  [{weight: 1, preference: {matchExpressions: [{key: a, operator: In, values: [b]}]}}]}}`, sets.Run},
		{"pod affinity and spread are not asked", ``, `{affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution:
  [{topologyKey: zone, labelSelector: {matchLabels: {a: b}}}]}, podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution:
  [{topologyKey: zone, labelSelector: {}}]}}, topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]}`,
			sets.Run},
	})
}

// B07 B08: operators on labels; a label that is missing satisfies NotIn and DoesNotExist.
func TestPlaceByExpression(t *testing.T) {
	term := func(op, values string) string {
		return required(`[{matchExpressions: [{key: gen, operator: ` + op + `, values: ` + values + `}]}]`)
	}
	gen, none := label("gen", "7"), ``
	places(t, []placement{
		{"In", gen, term("In", `["6", "7"]`), sets.Run},
		{"In, another", gen, term("In", `["6"]`), sets.Evict},
		{"In, missing", none, term("In", `["7"]`), sets.Evict},
		{"NotIn", gen, term("NotIn", `["6"]`), sets.Run},
		{"NotIn, that one", gen, term("NotIn", `["7"]`), sets.Evict},
		{"NotIn, missing", none, term("NotIn", `["7"]`), sets.Run},
		{"Exists", gen, term("Exists", `[]`), sets.Run},
		{"Exists, missing", none, term("Exists", `[]`), sets.Evict},
		{"DoesNotExist", gen, term("DoesNotExist", `[]`), sets.Evict},
		{"DoesNotExist, missing", none, term("DoesNotExist", `[]`), sets.Run},
		{"Gt", gen, term("Gt", `["6"]`), sets.Run},
		{"Gt, equal", gen, term("Gt", `["7"]`), sets.Evict},
		{"Gt is of numbers, not of text", label("gen", "10"), term("Gt", `["9"]`), sets.Run},
		{"Gt, the label is no number", label("gen", "new"), term("Gt", `["6"]`), sets.Evict},
		{"Gt, missing", none, term("Gt", `["6"]`), sets.Evict},
		{"Lt", gen, term("Lt", `["8"]`), sets.Run},
		{"Lt, equal", gen, term("Lt", `["7"]`), sets.Evict},
		{"all of a term", gen, required(`[{matchExpressions: [{key: gen, operator: Exists}, {key: gen, operator: In, values: ["6"]}]}]`), sets.Evict},
		{"one of two terms", gen, required(`[{matchExpressions: [{key: gen, operator: In, values: ["6"]}]},
  {matchExpressions: [{key: gen, operator: In, values: ["7"]}]}]`), sets.Run},
		{"affinity and selector", gen, `{nodeSelector: {gen: "6"}, ` + term("Exists", `[]`) + `}`, sets.Evict},
	})
}

// B07 B09 B10 B11: fields, empty terms, and terms that do not parse: those match nothing and
// leave the others alone.
func TestPlaceByField(t *testing.T) {
	field := func(op, values string) string {
		return `{matchFields: [{key: metadata.name, operator: ` + op + `, values: ` + values + `}]}`
	}
	places(t, []placement{
		{"In", ``, required(`[` + field("In", `[n1]`) + `]`), sets.Run},
		{"In, another", ``, required(`[` + field("In", `[n2]`) + `]`), sets.Evict},
		{"NotIn", ``, required(`[` + field("NotIn", `[n2]`) + `]`), sets.Run},
		{"NotIn, that one", ``, required(`[` + field("NotIn", `[n1]`) + `]`), sets.Evict},
		{"two values", ``, required(`[` + field("In", `[n1, n2]`) + `]`), sets.Evict},
		{"Exists", ``, required(`[` + field("Exists", `[]`) + `]`), sets.Evict},
		{"another field", ``, required(`[{matchFields: [{key: metadata.uid, operator: In, values: [u1]}]}]`), sets.Evict},
		{"field and label of a term", label("a", "b"),
			required(`[{matchFields: [{key: metadata.name, operator: In, values: [n1]}], matchExpressions: [{key: a, operator: In, values: [c]}]}]`),
			sets.Evict},
		{"label or field", ``, required(`[{matchExpressions: [{key: a, operator: Exists}]}, ` + field("In", `[n1]`) + `]`), sets.Run},
		{"an empty term", ``, required(`[{}]`), sets.Evict},
		{"an empty term and one that matches", ``, required(`[{}, ` + field("In", `[n1]`) + `]`), sets.Run},
		{"no terms", ``, required(`[]`), sets.Evict},
		{"an unknown operator", label("a", "b"), required(`[{matchExpressions: [{key: a, operator: Like, values: [b]}]}]`), sets.Evict},
		{"an unknown operator beside a term that matches", label("a", "b"),
			required(`[{matchExpressions: [{key: a, operator: Like, values: [b]}]}, {matchExpressions: [{key: a, operator: Exists}]}]`), sets.Run},
		{"two values of a field beside a term that matches", ``, required(`[` + field("In", `[n1, n2]`) + `, ` + field("In", `[n1]`) + `]`), sets.Run},
		{"Gt without a number beside a term that matches", label("a", "7"),
			required(`[{matchExpressions: [{key: a, operator: Gt, values: [x]}]}, {matchExpressions: [{key: a, operator: Exists}]}]`), sets.Run},
	})
}

// B17 B18 C05 C06 C09.
func TestPlaceByTaint(t *testing.T) {
	one := func(key, effect string) string {
		return taint(`[{key: ` + key + `, value: v, effect: ` + effect + `}]`)
	}
	const notReady, unreachable = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
	places(t, []placement{
		{"NoSchedule", one("a", "NoSchedule"), ``, sets.Keep},
		{"NoExecute", one("a", "NoExecute"), ``, sets.Evict},
		{"PreferNoSchedule", one("a", "PreferNoSchedule"), ``, sets.Run},
		{"both", taint(`[{key: a, effect: NoSchedule}, {key: b, effect: NoExecute}]`), ``, sets.Evict},
		{"NoExecute tolerated and NoSchedule not", taint(`[{key: a, effect: NoExecute}, {key: b, effect: NoSchedule}]`),
			`tolerations: [{key: a, operator: Exists}]`, sets.Keep},
		{"tolerated for seconds", one("a", "NoExecute"), `tolerations: [{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 5}]`, sets.Run},
		{"out of service", one("node.kubernetes.io/out-of-service", "NoExecute"), ``, sets.Evict},
		{"not initialised", one("node.cloudprovider.kubernetes.io/uninitialized", "NoSchedule"), ``, sets.Keep},
		{"control plane", one("node-role.kubernetes.io/control-plane", "NoSchedule"), ``, sets.Keep},
		{"not ready, NoExecute", one(notReady, "NoExecute"), ``, sets.Run},
		{"not ready, NoSchedule", one(notReady, "NoSchedule"), ``, sets.Keep},
		{"unreachable, NoExecute", one(unreachable, "NoExecute"), ``, sets.Run},
		{"unreachable, NoSchedule", one(unreachable, "NoSchedule"), ``, sets.Keep},
		{"everything tolerated", one(notReady, "NoSchedule"), `tolerations: [{operator: Exists}]`, sets.Run},
	})
}

// C01 C02 C04 C10.
func TestPlaceByAutomaticToleration(t *testing.T) {
	pressure := taint(`[{key: node.kubernetes.io/disk-pressure, effect: NoSchedule}, {key: node.kubernetes.io/memory-pressure, effect: NoSchedule},
  {key: node.kubernetes.io/pid-pressure, effect: NoSchedule}, {key: node.kubernetes.io/unschedulable, effect: NoSchedule}]`)
	network := taint(`[{key: node.kubernetes.io/network-unavailable, effect: NoSchedule}]`)
	places(t, []placement{
		{"pressure", pressure, ``, sets.Run},
		{"pressure, NoExecute", taint(`[{key: node.kubernetes.io/disk-pressure, effect: NoExecute}]`), ``, sets.Evict},
		{"network", network, ``, sets.Keep},
		{"network of the host", network, `hostNetwork: true`, sets.Run},
		{"seconds of its own are lost", taint(`[{key: node.kubernetes.io/not-ready, effect: NoExecute}]`),
			`tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 1}]`, sets.Run},
		{"priority says nothing", taint(`[{key: a, effect: NoSchedule}]`), `priorityClassName: system-node-critical`, sets.Keep},
	})
}

// C07 C08.
func TestPlaceByTolerationMatch(t *testing.T) {
	tainted := taint(`[{key: a, value: "5", effect: NoSchedule}]`)
	tolerate := func(s string) string { return `tolerations: [` + s + `]` }
	places(t, []placement{
		{"Equal", tainted, tolerate(`{key: a, operator: Equal, value: "5", effect: NoSchedule}`), sets.Run},
		{"no operator is Equal", tainted, tolerate(`{key: a, value: "5", effect: NoSchedule}`), sets.Run},
		{"another value", tainted, tolerate(`{key: a, value: "6", effect: NoSchedule}`), sets.Keep},
		{"no value", tainted, tolerate(`{key: a, operator: Equal}`), sets.Keep},
		{"Exists", tainted, tolerate(`{key: a, operator: Exists, effect: NoSchedule}`), sets.Run},
		{"another effect", tainted, tolerate(`{key: a, operator: Exists, effect: NoExecute}`), sets.Keep},
		{"no effect is every effect", tainted, tolerate(`{key: a, operator: Exists}`), sets.Run},
		{"another key", tainted, tolerate(`{key: b, operator: Exists}`), sets.Keep},
		{"no key is every key", tainted, tolerate(`{operator: Exists, effect: NoSchedule}`), sets.Run},
		{"one of several", tainted, tolerate(`{key: b, operator: Exists}, {key: a, operator: Exists}`), sets.Run},
		{"numbers are not compared", tainted, tolerate(`{key: a, operator: Gt, value: "4", effect: NoSchedule}`), sets.Keep},
	})
}
