package daemonpod

import (
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

func toleration(key string, effect corev1.TaintEffect) corev1.Toleration {
	return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: effect}
}

// C01-C04.
func TestTolerations(t *testing.T) {
	auto := []corev1.Toleration{
		toleration("node.kubernetes.io/not-ready", "NoExecute"),
		toleration("node.kubernetes.io/unreachable", "NoExecute"),
		toleration("node.kubernetes.io/disk-pressure", "NoSchedule"),
		toleration("node.kubernetes.io/memory-pressure", "NoSchedule"),
		toleration("node.kubernetes.io/pid-pressure", "NoSchedule"),
		toleration("node.kubernetes.io/unschedulable", "NoSchedule"),
	}
	user := corev1.Toleration{Key: "app", Operator: corev1.TolerationOpEqual, Value: "x", Effect: "NoExecute"}
	limited := auto[1]
	limited.TolerationSeconds = ptr.To[int64](300)
	equal := corev1.Toleration{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpEqual, Effect: "NoExecute"}
	network := toleration("node.kubernetes.io/network-unavailable", "NoSchedule")
	join := func(ts ...[]corev1.Toleration) (out []corev1.Toleration) {
		for _, t := range ts {
			out = append(out, t...)
		}
		return out
	}
	for _, c := range []struct {
		name string
		spec corev1.PodSpec
		want []corev1.Toleration
	}{
		{"none of its own", corev1.PodSpec{}, auto},
		{"host network", corev1.PodSpec{HostNetwork: true}, join(auto, []corev1.Toleration{network})},
		{"its own come first", corev1.PodSpec{Tolerations: []corev1.Toleration{user}}, join([]corev1.Toleration{user}, auto)},
		{"replaced in place, seconds lost", corev1.PodSpec{Tolerations: []corev1.Toleration{limited, user}},
			join([]corev1.Toleration{auto[1], user}, auto[:1], auto[2:])},
		{"another operator stays beside it", corev1.PodSpec{Tolerations: []corev1.Toleration{equal}},
			join([]corev1.Toleration{equal}, auto)},
	} {
		before := c.spec.DeepCopy()
		if got := Tolerations(&c.spec); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %v\nwant %v", c.name, got, c.want)
		}
		if !reflect.DeepEqual(&c.spec, before) {
			t.Errorf("%s: the spec was changed", c.name)
		}
	}
}

// D07: TestReplaceDaemonSetPodNodeNameNodeAffinity of spec 6.3, and what stays.
func TestPin(t *testing.T) {
	const pinned = `requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [node-a]}]}]}`
	const preferred = `preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: type, operator: Exists}]}}]`
	for _, c := range []struct{ name, spec, want string }{
		{"no affinity", `{}`, `affinity: {nodeAffinity: {` + pinned + `}}`},
		{"no node affinity", `affinity: {}`, `affinity: {nodeAffinity: {` + pinned + `}}`},
		{"no required selector", `affinity: {nodeAffinity: {}}`, `affinity: {nodeAffinity: {` + pinned + `}}`},
		{"label term", `affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
			{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [host-1]}]}]}}}`,
			`affinity: {nodeAffinity: {` + pinned + `}}`},
		{"preferred stays", `affinity: {nodeAffinity: {` + preferred + `}}`,
			`affinity: {nodeAffinity: {` + preferred + `, ` + pinned + `}}`},
		{"field with two names", `affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
			{matchFields: [{key: metadata.name, operator: In, values: [host-1, host-2]}]}]}}}`,
			`affinity: {nodeAffinity: {` + pinned + `}}`},
		{"label term and field term", `affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
			{matchExpressions: [{key: zone, operator: Exists}]}, {matchFields: [{key: metadata.name, operator: In, values: [node-a]}]}]}}}`,
			`affinity: {nodeAffinity: {` + pinned + `}}`},
		{"field of another node", `affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
			{matchFields: [{key: metadata.name, operator: In, values: [node-b]}]}]}}}`,
			`affinity: {nodeAffinity: {` + pinned + `}}`},
		{"unknown field", `affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
			{matchFields: [{key: metadata.foo, operator: In, values: [node-a]}]}]}}}`,
			`affinity: {nodeAffinity: {` + pinned + `}}`},
		{"pod affinity stays", `affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone}]}}`,
			`affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone}]}, nodeAffinity: {` + pinned + `}}`},
	} {
		got := fromYAML[corev1.PodSpec](t, untab(c.spec))
		Pin(got, "node-a")
		if want := fromYAML[corev1.PodSpec](t, untab(c.want)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got.Affinity, want.Affinity)
		}
		if n, ok := TargetNode(got); n != "node-a" || !ok {
			t.Errorf("%s: target %q, %v", c.name, n, ok)
		}
	}
}

// F01: TestGetTargetNodeName of spec 6.3.
func TestTargetNode(t *testing.T) {
	field := func(terms string) string {
		return `affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [` + terms + `]}}}`
	}
	for _, c := range []struct {
		name, spec, want string
	}{
		{"bound", `nodeName: node-a`, "node-a"},
		{"bound and pinned", `nodeName: node-a
` + field(`{matchFields: [{key: metadata.name, operator: In, values: [node-b]}]}`), "node-a"},
		{"pinned", field(`{matchFields: [{key: metadata.name, operator: In, values: [node-a]}]}`), "node-a"},
		{"pinned in the second term", field(`{matchExpressions: [{key: zone, operator: Exists}]},
  {matchFields: [{key: metadata.name, operator: In, values: [node-a]}]}`), "node-a"},
		{"first requirement decides", field(`{matchFields: [{key: metadata.name, operator: In, values: [a, b]}]},
  {matchFields: [{key: metadata.name, operator: In, values: [node-a]}]}`), ""},
		{"two names", field(`{matchFields: [{key: metadata.name, operator: In, values: [node-a, node-b]}]}`), ""},
		{"excluded", field(`{matchFields: [{key: metadata.name, operator: NotIn, values: [node-a]}]}`), ""},
		{"nothing", `{}`, ""},
		{"no terms", field(``), ""},
	} {
		name, ok := TargetNode(fromYAML[corev1.PodSpec](t, c.spec))
		if name != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q, %v, want %q", c.name, name, ok, c.want)
		}
	}
}

// untab lets a table's YAML flow over indented lines.
func untab(s string) string { return strings.ReplaceAll(s, "\t", " ") }
