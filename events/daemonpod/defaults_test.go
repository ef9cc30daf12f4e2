package daemonpod

import (
	"encoding/json"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"
	"sigs.k8s.io/yaml"
)

// fillers fill types whose Go form holds more than their JSON form.
func fillers() []any {
	return []any{
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewMilliQuantity(c.Int63n(1e6), resource.DecimalSI)
		},
		func(x *intstr.IntOrString, c randfill.Continue) {
			*x = intstr.FromInt32(c.Int31())
		},
		func(m *metav1.Time, c randfill.Continue) { *m = metav1.Unix(c.Int63n(1e9), 0) },
		func(m *metav1.FieldsV1, c randfill.Continue) { m.SetRawBytes([]byte(`{}`)) },
	}
}

func sameYAML(t *testing.T, name string, got any, want string) {
	t.Helper()
	data, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var g, w any
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	gs, _ := yaml.Marshal(g)
	ws, _ := yaml.Marshal(w)
	if string(gs) != string(ws) {
		t.Errorf("%s:\n--- got\n%s--- want\n%s", name, gs, ws)
	}
}

// R01-R03: TestSetDefaultDaemonSetSpec of spec 6.6.
func TestSetDaemonSetDefaults(t *testing.T) {
	const empty = `
metadata: {}
spec: {restartPolicy: Always, dnsPolicy: ClusterFirst, terminationGracePeriodSeconds: 30, schedulerName: default-scheduler,
  securityContext: {}, containers: null}`
	for _, c := range []struct{ name, strategy, want string }{
		{"nothing", `{}`, `{type: RollingUpdate, rollingUpdate: {maxUnavailable: 1, maxSurge: 0}}`},
		{"empty rolling update", `{type: RollingUpdate, rollingUpdate: {}}`, `{type: RollingUpdate, rollingUpdate: {maxUnavailable: 1, maxSurge: 0}}`},
		{"surge", `{rollingUpdate: {maxSurge: 10%, maxUnavailable: 0}}`, `{type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 10%}}`},
		{"OnDelete", `{type: OnDelete}`, `{type: OnDelete}`},
	} {
		ds := fromYAML[appsv1.DaemonSet](t, `spec: {updateStrategy: `+c.strategy+`}`)
		SetDaemonSetDefaults(ds)
		sameYAML(t, c.name, ds.Spec.UpdateStrategy, c.want)
		sameYAML(t, c.name, ds.Spec.Template, empty)
		if *ds.Spec.RevisionHistoryLimit != 10 || ds.Spec.Selector != nil || ds.Labels != nil {
			t.Errorf("%s: %+v", c.name, ds)
		}
	}
	kept := fromYAML[appsv1.DaemonSet](t, `spec: {revisionHistoryLimit: 0}`)
	SetDaemonSetDefaults(kept)
	if *kept.Spec.RevisionHistoryLimit != 0 {
		t.Error("a limit of 0 is replaced by the default")
	}
}

// R01.
func TestSetDefaults(t *testing.T) {
	for _, c := range []struct{ name, spec, want string }{
		{"probes", `containers: [{name: c, image: "i:1", livenessProbe: {grpc: {port: 1}}, readinessProbe: {httpGet: {port: 80}, periodSeconds: 3}}]`,
			`containers: [{name: c, image: "i:1", imagePullPolicy: IfNotPresent, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File,
  resources: {}, livenessProbe: {grpc: {port: 1, service: ""}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3},
  readinessProbe: {httpGet: {port: 80, path: /, scheme: HTTP}, timeoutSeconds: 1, periodSeconds: 3, successThreshold: 1, failureThreshold: 3}}]`},
		{"limits give no requests in a template", `initContainers: [{name: c, image: i, resources: {limits: {cpu: 1}}, ports: [{containerPort: 1}]}]`,
			`initContainers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File,
  resources: {limits: {cpu: "1"}}, ports: [{containerPort: 1, protocol: TCP}]}]
containers: null`},
		{"environment and hooks", `ephemeralContainers: [{name: c, image: "i:1", env: [{name: A, valueFrom: {fieldRef: {fieldPath: p}}}],
  lifecycle: {preStop: {httpGet: {port: 1}}}}]`,
			`ephemeralContainers: [{name: c, image: "i:1", imagePullPolicy: IfNotPresent, terminationMessagePath: /dev/termination-log,
  terminationMessagePolicy: File, resources: {}, env: [{name: A, valueFrom: {fieldRef: {fieldPath: p, apiVersion: v1}}}],
  lifecycle: {preStop: {httpGet: {port: 1, path: /, scheme: HTTP}}}}]
containers: null`},
		{"volumes", `volumes: [{name: a}, {name: b, secret: {secretName: s}}, {name: c, configMap: {name: m, defaultMode: 256}},
  {name: d, downwardAPI: {items: [{path: p, fieldRef: {fieldPath: f}}]}},
  {name: e, projected: {sources: [{serviceAccountToken: {path: t}}, {downwardAPI: {items: [{path: p, fieldRef: {fieldPath: f}}]}}]}},
  {name: f, image: {reference: r}}, {name: g, hostPath: {path: /p}}]`,
			`volumes: [{name: a, emptyDir: {}}, {name: b, secret: {secretName: s, defaultMode: 420}}, {name: c, configMap: {name: m, defaultMode: 256}},
  {name: d, downwardAPI: {defaultMode: 420, items: [{path: p, fieldRef: {fieldPath: f, apiVersion: v1}}]}},
  {name: e, projected: {defaultMode: 420, sources: [{serviceAccountToken: {path: t, expirationSeconds: 3600}},
    {downwardAPI: {items: [{path: p, fieldRef: {fieldPath: f, apiVersion: v1}}]}}]}},
  {name: f, image: {reference: r, pullPolicy: Always}}, {name: g, hostPath: {path: /p, type: ""}}]
containers: null`},
		{"quantities", `overhead: {cpu: 100u}`, "overhead: {cpu: 1m}\ncontainers: null"},
		{"account", `serviceAccount: old`, "serviceAccount: old\nserviceAccountName: old\ncontainers: null"},
		{"accounts", "serviceAccount: old\nserviceAccountName: new", "serviceAccount: new\nserviceAccountName: new\ncontainers: null"},
	} {
		tmpl := fromYAML[corev1.PodTemplateSpec](t, "{}")
		tmpl.Spec = *fromYAML[corev1.PodSpec](t, c.spec)
		SetDefaults(tmpl)
		sameYAML(t, c.name, tmpl.Spec, c.want+`
restartPolicy: Always
dnsPolicy: ClusterFirst
terminationGracePeriodSeconds: 30
schedulerName: default-scheduler
securityContext: {}
`)
	}
}

func TestPodDefaults(t *testing.T) {
	s := fromYAML[corev1.PodSpec](t, `
hostNetwork: true
containers: [{name: c, ports: [{containerPort: 80}, {containerPort: 81, hostPort: 9}], resources: {limits: {cpu: 1, memory: 2Gi}, requests: {cpu: 10m}}}]`)
	setPodDefaults(s)
	sameYAML(t, "pod", s, `
hostNetwork: true
enableServiceLinks: true
containers: [{name: c, ports: [{containerPort: 80, hostPort: 80}, {containerPort: 81, hostPort: 9}],
  resources: {limits: {cpu: "1", memory: 2Gi}, requests: {cpu: 10m, memory: 2Gi}}}]`)
}

func TestPullPolicy(t *testing.T) {
	for image, want := range map[string]corev1.PullPolicy{
		"nginx": "Always", "nginx:latest": "Always", "reg:5000/nginx": "Always", "nginx:latest@sha256:ab": "Always",
		"nginx:1.14": "IfNotPresent", "reg:5000/nginx:1": "IfNotPresent", "nginx@sha256:ab": "IfNotPresent",
	} {
		if got := pullPolicy(image); got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}
