package manifest_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"rollcall/publisher/manifest"
)

// checkErrors fails the test unless errs is one error whose text has want, or
// none if want is empty.
func checkErrors(t *testing.T, errs field.ErrorList, want string) {
	t.Helper()
	switch {
	case want == "" && len(errs) > 0:
		t.Errorf("refused: %v", errs)
	case want != "" && (len(errs) == 0 || !strings.Contains(errs[0].Error(), want)):
		t.Errorf("got %v\nwant %s", errs, want)
	}
}

// TestDaemonSetRules is group Q for a new DaemonSet: the paths and the wording
// of Kubernetes.
func TestDaemonSetRules(t *testing.T) {
	for _, tc := range []struct {
		row    string
		change func(ds *appsv1.DaemonSet)
		want   string
	}{
		{"as it is", func(*appsv1.DaemonSet) {}, ""},
		{"Q01 empty name", func(ds *appsv1.DaemonSet) { ds.Name = "" }, "metadata.name: Required value"},
		{"Q01 trailing dash", func(ds *appsv1.DaemonSet) { ds.Name = "a-" }, "metadata.name: Invalid value"},
		{"Q01 no namespace", func(ds *appsv1.DaemonSet) { ds.Namespace = "" }, "metadata.namespace: Required value"},
		{"Q01 label", func(ds *appsv1.DaemonSet) { ds.Labels = map[string]string{"a/b/c": "x"} }, "metadata.labels[a/b/c]: Invalid value"},
		{"Q01 annotation", func(ds *appsv1.DaemonSet) { ds.Annotations[" "] = "x" }, "metadata.annotations[ ]: Invalid value"},
		{"Q01 annotations of 256 KiB", func(ds *appsv1.DaemonSet) { ds.Annotations["a"] = strings.Repeat("x", 256<<10) }, "metadata.annotations: Too long"},
		{"Q02 no selector", func(ds *appsv1.DaemonSet) { ds.Spec.Selector = nil }, "spec.selector: Required value"},
		{"Q02 bad label value", func(ds *appsv1.DaemonSet) { ds.Spec.Selector.MatchLabels["app"] = "?" }, "spec.selector.matchLabels[app]: Invalid value"},
		{"Q03 empty selector", func(ds *appsv1.DaemonSet) { ds.Spec.Selector = &metav1.LabelSelector{} }, "empty selector is invalid for daemonset"},
		{"Q04 mismatch", func(ds *appsv1.DaemonSet) { ds.Spec.Template.Labels = nil }, "spec.template.metadata.labels: Invalid value: \"\": `selector` does not match template `labels`"},
		{"Q05 ephemeral containers", func(ds *appsv1.DaemonSet) {
			ds.Spec.Template.Spec.EphemeralContainers = make([]corev1.EphemeralContainer, 1)
		}, "spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template"},
		{"Q06 OnFailure", func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.RestartPolicy = "OnFailure" }, `spec.template.spec.restartPolicy: Unsupported value: "OnFailure": supported values: "Always"`},
		{"Q07 deadline", func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.ActiveDeadlineSeconds = ptr(int64(5)) }, "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not Supported"},
		{"Q08 minReadySeconds", func(ds *appsv1.DaemonSet) { ds.Spec.MinReadySeconds = -1 }, "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0"},
		{"Q08 no upper bound", func(ds *appsv1.DaemonSet) { ds.Spec.MinReadySeconds = 1<<31 - 1 }, ""},
		{"Q09 generation", func(ds *appsv1.DaemonSet) { ds.Annotations[appsv1.DeprecatedTemplateGeneration] = "-1" }, "spec.templateGeneration: Invalid value"},
		{"R09 generation", func(ds *appsv1.DaemonSet) { ds.Annotations[appsv1.DeprecatedTemplateGeneration] = "x" }, "must be an integer"},
		{"Q10 history", func(ds *appsv1.DaemonSet) { ds.Spec.RevisionHistoryLimit = ptr(int32(-1)) }, "spec.revisionHistoryLimit: Invalid value: -1"},
		{"Q10 no history", func(ds *appsv1.DaemonSet) { ds.Spec.RevisionHistoryLimit = ptr(int32(0)) }, ""},
		{"Q11 strategy", func(ds *appsv1.DaemonSet) { ds.Spec.UpdateStrategy.Type = "Recreate" }, `spec.updateStrategy: Unsupported value: "Recreate": supported values: "RollingUpdate", "OnDelete"`},
		{"Q12 no parameters", func(ds *appsv1.DaemonSet) { ds.Spec.UpdateStrategy.RollingUpdate = nil }, "spec.updateStrategy.rollingUpdate: Required value"},
		{"Q23 long name", func(ds *appsv1.DaemonSet) { ds.Name = strings.Repeat("a", 253) }, ""},
		{"R6 surge on the host's network", func(ds *appsv1.DaemonSet) {
			surge(ds)
			ds.Spec.Template.Spec.HostNetwork = true
			ds.Spec.Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, Protocol: "TCP"}}
		}, "host port 80 cannot be shared"},
		{"R6 surge with own ports", func(ds *appsv1.DaemonSet) {
			surge(ds)
			ds.Spec.Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, Protocol: "TCP"}}
		}, ""},
	} {
		t.Run(tc.row, func(t *testing.T) {
			ds := mustRead(t, agent)
			tc.change(ds)
			checkErrors(t, manifest.ValidateDaemonSet(ds, nil), tc.want)
		})
	}
}

func ptr[T any](v T) *T { return &v }

func surge(ds *appsv1.DaemonSet) {
	ds.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr(intstr.FromInt32(0))
	ds.Spec.UpdateStrategy.RollingUpdate.MaxSurge = ptr(intstr.FromInt32(1))
}

// TestBudgetCombinations is TestDaemonSetUpdateMaxSurge: valid if exactly one
// of the two is not zero and no percentage is above 100 (Q13 to Q17).
func TestBudgetCombinations(t *testing.T) {
	values := map[string]*intstr.IntOrString{"unset": nil, "0": ptr(intstr.FromInt32(0)), "0%": ptr(intstr.FromString("0%")),
		"1": ptr(intstr.FromInt32(1)), "10%": ptr(intstr.FromString("10%")), "101%": ptr(intstr.FromString("101%")), "-1": ptr(intstr.FromInt32(-1))}
	zero := map[string]bool{"unset": true, "0": true, "0%": true}
	for unavailable, u := range values {
		for surge, s := range values {
			ds := mustRead(t, agent)
			ds.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{MaxUnavailable: u, MaxSurge: s}
			bad := unavailable == "101%" || surge == "101%" || unavailable == "-1" || surge == "-1"
			want := !bad && zero[unavailable] != zero[surge]
			if errs := manifest.ValidateDaemonSet(ds, nil); (len(errs) == 0) != want {
				t.Errorf("maxUnavailable %s, maxSurge %s: %v", unavailable, surge, errs)
			}
		}
	}
	// Q17: a surge alone meets the default of the other.
	_, err := read(budget("maxSurge: 1\n"))
	checkRefusal(t, err, "E-MAN-BUDGET", "may not be set when maxUnavailable is non-zero", "it is 1 if it is not set")
	// Q14: whole numbers have no upper bound.
	mustRead(t, budget("maxUnavailable: 100000\n"))
}

// TestUpdateRules is Q18, Q19, Q22 and TestValidateDaemonSetUpdate.
func TestUpdateRules(t *testing.T) {
	generation := func(ds *appsv1.DaemonSet, n string) {
		ds.Annotations[appsv1.DeprecatedTemplateGeneration] = n
	}
	image := func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers[0].Image = "agent:2" }
	for _, tc := range []struct {
		row    string
		change func(ds, old *appsv1.DaemonSet)
		want   string
	}{
		{"no change", func(ds, old *appsv1.DaemonSet) {}, ""},
		{"template and number", func(ds, old *appsv1.DaemonSet) { image(ds); generation(ds, "2") }, ""},
		{"equal template with a default spelt out", func(ds, old *appsv1.DaemonSet) { old.Spec.Template.Spec.SchedulerName = "" }, ""},
		{"strategy", func(ds, old *appsv1.DaemonSet) {
			ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: "OnDelete"}
		}, ""},
		{"Q18 selector", func(ds, old *appsv1.DaemonSet) {
			ds.Spec.Template.Labels["x"], ds.Spec.Selector.MatchLabels["x"] = "y", "y"
			generation(ds, "2")
		}, "spec.selector: Invalid value: \"app=agent,x=y\": field is immutable"},
		{"Q18 name", func(ds, old *appsv1.DaemonSet) { ds.Name = "other" }, "metadata.name: Invalid value: \"other\": field is immutable"},
		{"Q18 uid", func(ds, old *appsv1.DaemonSet) { ds.UID = "other" }, "metadata.uid: Invalid value"},
		{"Q19 decreased", func(ds, old *appsv1.DaemonSet) { generation(old, "3") }, "spec.templateGeneration: Invalid value: 1: must not be decremented"},
		{"Q19 not raised", func(ds, old *appsv1.DaemonSet) { image(ds) }, "must be incremented upon template update"},
		{"Q19 raised for nothing", func(ds, old *appsv1.DaemonSet) { generation(ds, "2") }, "must not be incremented without template update"},
		{"bad pod", func(ds, old *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers = nil; generation(ds, "2") }, "spec.template.spec.containers: Required value"},
		{"Q22 selector that is bad already", func(ds, old *appsv1.DaemonSet) {
			for _, d := range []*appsv1.DaemonSet{ds, old} {
				d.Spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "NotIn", Values: []string{"-?"}}}}
			}
		}, "label values must"},
	} {
		t.Run(tc.row, func(t *testing.T) {
			old := mustRead(t, agent)
			ds := old.DeepCopy()
			tc.change(ds, old)
			errs := manifest.ValidateDaemonSet(ds, old)
			if strings.HasPrefix(tc.row, "Q22") {
				// Tolerated where values are checked; such a selector still cannot be parsed.
				for _, e := range errs {
					if strings.HasPrefix(e.Field, "spec.selector.matchExpressions") {
						t.Errorf("refused: %v", e)
					}
				}
				return
			}
			checkErrors(t, errs, tc.want)
		})
	}
}

// TestStatusRules is Q20 and TestValidateDaemonSetStatusUpdate.
func TestStatusRules(t *testing.T) {
	old := &appsv1.DaemonSetStatus{CollisionCount: ptr(int32(2))}
	for want, s := range map[string]appsv1.DaemonSetStatus{
		"":                              {CollisionCount: ptr(int32(2))},
		"status.currentNumberScheduled": {CurrentNumberScheduled: -1, CollisionCount: ptr(int32(2))},
		"status.observedGeneration":     {ObservedGeneration: -1, CollisionCount: ptr(int32(2))},
		"status.numberUnavailable":      {NumberUnavailable: -1, CollisionCount: ptr(int32(2))},
		"cannot be decremented":         {CollisionCount: nil},
	} {
		checkErrors(t, manifest.ValidateDaemonSetStatus(&s, old), want)
	}
}

// TestPodRules refuses a template for each rule of a pod.
func TestPodRules(t *testing.T) {
	for lines, want := range map[string][2]string{
		"initContainers: [{name: main, image: a}]":                                     {"E-MAN-CONTAINER", "initContainers[0].name"},
		"initContainers: [{name: i, image: a, livenessProbe: {exec: {command: [a]}}}]": {"E-MAN-CONTAINER", "restartPolicy=Always"},
		"dnsPolicy: Never":                  {"E-MAN-FIELD", "ClusterFirst"},
		"dnsPolicy: None":                   {"E-MAN-FIELD", "nameserver"},
		"priorityClassName: High_Priority":  {"E-MAN-FIELD", "priorityClassName"},
		"nodeName: N1":                      {"E-MAN-FIELD", "nodeName"},
		"terminationGracePeriodSeconds: -1": {"E-MAN-NUMBER", "greater than or equal to 0"},
		"activeDeadlineSeconds: 3":          {"E-MAN-FIELD", "not Supported"},
		"volumes: [{name: v, emptyDir: {}}, {name: v, emptyDir: {}}]":                         {"E-MAN-VOLUME", "volumes[1].name"},
		"volumes: [{name: v, emptyDir: {}, hostPath: {path: /a}}]":                            {"E-MAN-VOLUME", "may not specify more than 1 volume type"},
		"volumes: [{name: v, hostPath: {path: /a/../b}}]":                                     {"E-MAN-VOLUME", "must not contain '..'"},
		"volumes: [{name: v, hostPath: {path: /a, type: Folder}}]":                            {"E-MAN-VOLUME", "DirectoryOrCreate"},
		"volumes: [{name: v, hostPath: {}}]":                                                  {"E-MAN-VOLUME", "hostPath.path"},
		"volumes: [{name: v, configMap: {name: c, defaultMode: 512}}]":                        {"E-MAN-VOLUME", "0777"},
		"volumes: [{emptyDir: {}}]":                                                           {"E-MAN-VOLUME", "volumes[0].name"},
		"nodeSelector: {a/b/c: x}":                                                            {"E-MAN-AFFINITY", "nodeSelector[a/b/c]"},
		"tolerations: [{key: a, operator: Equals}]":                                           {"E-MAN-TOLERATION", `"Equal", "Exists"`},
		"affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {}}}":      {"E-MAN-AFFINITY", "at least one node selector term"},
		strings.TrimSuffix(required("{key: a, operator: In}"), "\n"):                          {"E-MAN-AFFINITY", "must be specified when `operator`"},
		strings.TrimSuffix(required("{key: a, operator: Exists, values: [b]}"), "\n"):         {"E-MAN-AFFINITY", "may not be specified"},
		strings.TrimSuffix(required("{key: a, operator: Lt, values: ['1', '2']}"), "\n"):      {"E-MAN-AFFINITY", "single value"},
		fieldTerm("{key: metadata.name, operator: In, values: [a, b]}"):                       {"E-MAN-AFFINITY", "only one value"},
		fieldTerm("{key: metadata.name, operator: Exists}"):                                   {"E-MAN-AFFINITY", "not a valid selector operator"},
		fieldTerm("{key: spec.nodeName, operator: In, values: [a]}"):                          {"E-MAN-AFFINITY", "not a valid field selector key"},
		"topologySpreadConstraints: [{maxSkew: 0, topologyKey: a, whenUnsatisfiable: Never}]": {"E-MAN-AFFINITY", "(and 1 more)"},
		"affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{}]}}":     {"E-MAN-AFFINITY", "topologyKey"},
	} {
		t.Run(strings.SplitN(lines, "\n", 2)[0], func(t *testing.T) {
			_, err := read(pod(lines + "\n"))
			checkRefusal(t, err, want[0], want[1])
		})
	}
}

func fieldTerm(f string) string {
	return "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [" + f + "]}]}}}"
}

// TestContainerRules refuses a container for each rule of one.
func TestContainerRules(t *testing.T) {
	for lines, want := range map[string][2]string{
		"imagePullPolicy: Sometimes":                                                    {"E-MAN-CONTAINER", "IfNotPresent"},
		"ports: [{containerPort: 0}]":                                                   {"E-MAN-CONTAINER", "containerPort"},
		"ports: [{containerPort: 70000}]":                                               {"E-MAN-CONTAINER", "65535"},
		"ports: [{containerPort: 80, protocol: HTTP}]":                                  {"E-MAN-CONTAINER", `"SCTP", "TCP", "UDP"`},
		"ports: [{containerPort: 80, name: a}, {containerPort: 81, name: a}]":           {"E-MAN-CONTAINER", "ports[1].name"},
		"ports: [{containerPort: 80, name: Web}]":                                       {"E-MAN-CONTAINER", "alpha-numeric"},
		"ports: [{containerPort: 80, hostPort: 80}, {containerPort: 81, hostPort: 80}]": {"E-MAN-CONTAINER", "ports[1].hostPort"},
		"env: [{name: '', value: a}]":                                                   {"E-MAN-CONTAINER", "env[0].name"},
		"env: [{name: a=b}]":                                                            {"E-MAN-CONTAINER", "env[0].name"},
		"env: [{name: A, value: 5}]":                                                    {"E-MAN-TYPE", `quote it: "5"`},
		"env: [{name: A, value: x, valueFrom: {fieldRef: {fieldPath: a}}}]":             {"E-MAN-CONTAINER", "may not be specified when `value` is not empty"},
		"env: [{name: A, valueFrom: {}}]":                                               {"E-MAN-CONTAINER", "must specify one of"},
		"envFrom: [{}]":                                                                 {"E-MAN-CONTAINER", "configMapRef"},
		"resources: {requests: {cpu: -1}}":                                              {"E-MAN-RESOURCE", "greater than or equal to 0"},
		"resources: {requests: {cpu: 2}, limits: {cpu: 1500m}}":                         {"E-MAN-RESOURCE", "must be less than or equal to cpu limit of 1500m"},
		"resources: {requests: {gpu: 1}}":                                               {"E-MAN-RESOURCE", "standard resource"},
		"resources: {requests: {cpu: lots}}":                                            {"E-MAN-RESOURCE", "containers[0].resources.requests[cpu]"},
		"volumeMounts: [{name: v, mountPath: /a}]":                                      {"E-MAN-VOLUME", "add a volume of this name"},
		"volumeMounts: [{name: v, subPath: /a}]":                                        {"E-MAN-VOLUME", "(and 2 more)"},
		"livenessProbe: {}":                                                             {"E-MAN-CONTAINER", "must specify a handler type"},
		"livenessProbe: {exec: {command: [a]}, tcpSocket: {port: 1}}":                   {"E-MAN-CONTAINER", "more than 1 handler"},
		"livenessProbe: {exec: {command: [a]}, successThreshold: 2}":                    {"E-MAN-CONTAINER", "must be 1"},
		"readinessProbe: {httpGet: {port: 0}}":                                          {"E-MAN-CONTAINER", "httpGet.port"},
		"readinessProbe: {exec: {command: [a]}, periodSeconds: -1}":                     {"E-MAN-CONTAINER", "periodSeconds"},
		"lifecycle: {preStop: {exec: {}}}":                                              {"E-MAN-CONTAINER", "exec.command"},
		"securityContext: {privileged: true, allowPrivilegeEscalation: false}":          {"E-MAN-CONTAINER", "privileged"},
		"securityContext: {runAsUser: -1}":                                              {"E-MAN-CONTAINER", "runAsUser"},
		"stdin: 'yes'":                                                                  {"E-MAN-TYPE", "true or false"},
		"command: ls":                                                                   {"E-MAN-TYPE", "a list"},
	} {
		t.Run(lines, func(t *testing.T) {
			_, err := read(container(lines + "\n"))
			checkRefusal(t, err, want[0], want[1])
		})
	}
	mustRead(t, container("stdin: yes\nresources: {requests: {cpu: 0.5, memory: 1Gi, example.com/gpu: 1}, limits: {cpu: 1}}\n"))
}

// TestClusterObjects reads nodes, priority classes and namespaces.
func TestClusterObjects(t *testing.T) {
	for data, want := range map[string]string{
		"{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {taints: [{key: a, effect: NoSchedule}]}}":                                "",
		"{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {taints: [{key: a, effect: NoSchedul}]}}":                                 "E-MAN-TAINT",
		"{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {taints: [{key: a, effect: NoExecute}, {key: a, effect: NoExecute}]}}":    "E-MAN-TAINT",
		"{apiVersion: v1, kind: Node, metadata: {name: N1}}":                                                                                "E-MAN-NAME",
		"{apiVersion: v1, kind: Node, metadata: {name: n1, namespace: x}}":                                                                  "E-MAN-NAMESPACE",
		"{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {a: '?'}}}":                                                              "E-MAN-META",
		"{apiVersion: v1, kind: Namespace, metadata: {name: logging}}":                                                                      "",
		"{apiVersion: v1, kind: Namespace, metadata: {name: a.b}}":                                                                          "E-MAN-NAME",
		"{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}, value: 1000000}":                                   "",
		"{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}, value: 1000000001}":                                "E-MAN-NUMBER",
		"{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: system-high}, value: 1}":                                  "E-MAN-NAME",
		"{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}, value: 1, preemptionPolicy: Always}":               "E-MAN-FIELD",
		strings.ReplaceAll(with(t, "  namespace: prod\n", "  namespace: prod\n  annotations: {rollcall/budget: lax}\n"), "\t", ""):          "E-MAN-META",
		strings.ReplaceAll(with(t, "  namespace: prod\n", "  namespace: prod\n  annotations: {rollcall/bugdet: strict}\n"), "\t", ""):       "E-MAN-META",
		strings.ReplaceAll(with(t, "  namespace: prod\n", "  namespace: prod\n  annotations: {rollcall/partition: 20%, a: b}\n"), "\t", ""): "",
	} {
		_, err := read(data)
		if want == "" && err != nil {
			t.Errorf("%s\n%v", data, err)
		}
		if want != "" {
			checkRefusal(t, err, want)
		}
	}
	old := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "high"}, Value: 1}
	changed := old.DeepCopy()
	changed.Value = 2
	checkErrors(t, manifest.ValidatePriorityClass(changed, old), "field is immutable")
}

// TestRevisionRules is Q21 and M28.
func TestRevisionRules(t *testing.T) {
	for _, tc := range []struct {
		data string
		n    int64
		name string
		want string
	}{
		{`{}`, 0, "agent-1", ""},
		{`{"spec":{}}`, 3, "agent-1", ""},
		{``, 1, "agent-1", "data: Required value: data is mandatory"},
		{`{`, 1, "agent-1", "error parsing data: unexpected end of JSON input"},
		{`[]`, 1, "agent-1", "data must be a valid JSON object"},
		{`null`, 1, "agent-1", "data must be a valid JSON object"},
		{`{}`, -1, "agent-1", "revision: Invalid value: -1"},
		{`{}`, 1, "", "metadata.name: Required value"},
		{`{}`, 1, "A", "metadata.name: Invalid value"},
	} {
		r := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: tc.name, Namespace: "prod"}, Revision: tc.n}
		r.Data.Raw = []byte(tc.data)
		checkErrors(t, manifest.ValidateControllerRevision(r, nil), tc.want)
	}
	old := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "prod"}, Revision: 1}
	old.Data.Raw = []byte(`{}`)
	next := old.DeepCopy()
	next.Revision = 2
	checkErrors(t, manifest.ValidateControllerRevision(next, old), "")
	next.Data.Raw = []byte(`{"a":1}`)
	checkErrors(t, manifest.ValidateControllerRevision(next, old), "data: Invalid value: \"<value omitted>\": field is immutable")
}
