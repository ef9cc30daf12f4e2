package daemonpod

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/randfill"
)

const template = `
metadata: {labels: {app: agent, tier: node}, annotations: {note: "1"}}
spec:
  containers:
  - name: c
    image: agent:1
    env: [{name: A, value: "1"}, {name: B, value: "2"}]
    ports: [{containerPort: 80}]
    resources: {limits: {memory: 1Gi}}
    readinessProbe: {httpGet: {port: 80}}
  affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone, labelSelector: {}}]}}
  volumes: [{name: tmp}, {name: log, hostPath: {path: /var/log}}]
`

// M04: what is written differently and means the same.
func TestDigestIgnoresSpelling(t *testing.T) {
	want := Digest(fromYAML[corev1.PodTemplateSpec](t, template))
	if len(want) != 64 {
		t.Errorf("digest %q", want)
	}
	for _, c := range []struct{ name, old, new string }{
		{"order of keys", `{app: agent, tier: node}`, `{tier: node, app: agent}`},
		{"null", `env: [{`, "securityContext: null\n    env: [{"},
		{"empty map", `env: [{`, "securityContext: {}\n    env: [{"},
		{"empty list", `env: [{`, "args: []\n    env: [{"},
		{"empty string", `image: agent:1`, "image: agent:1\n    workingDir: \"\""},
		{"false", `volumes:`, "hostNetwork: false\n  volumes:"},
		{"explicit pod defaults", `volumes:`, "restartPolicy: Always\n  dnsPolicy: ClusterFirst\n  schedulerName: default-scheduler\n" +
			"  terminationGracePeriodSeconds: 30\n  securityContext: {}\n  enableServiceLinks: true\n  volumes:"},
		{"explicit container defaults", `image: agent:1`, "image: agent:1\n    imagePullPolicy: IfNotPresent\n" +
			"    terminationMessagePath: /dev/termination-log\n    terminationMessagePolicy: File"},
		{"explicit protocol", `{containerPort: 80}`, `{containerPort: 80, protocol: TCP}`},
		{"explicit requests", `{limits: {memory: 1Gi}}`, `{limits: {memory: 1Gi}, requests: {memory: 1Gi}}`},
		{"another unit", `{limits: {memory: 1Gi}}`, `{limits: {memory: "1073741824"}}`},
		{"explicit probe", `{httpGet: {port: 80}}`, `{httpGet: {port: 80, path: /, scheme: HTTP}, periodSeconds: 10,
      timeoutSeconds: 1, successThreshold: 1, failureThreshold: 3}`},
		{"explicit volumes", `{name: tmp}, {name: log, hostPath: {path: /var/log}}`,
			`{name: tmp, emptyDir: {}}, {name: log, hostPath: {path: /var/log, type: ""}}`},
		{"name of the template", `metadata: {`, `metadata: {name: x, `},
		{"old name of the account, twice", `volumes:`, "serviceAccountName: \"\"\n  serviceAccount: \"\"\n  volumes:"},
	} {
		if got := Digest(changed(t, c.old, c.new)); got != want {
			t.Errorf("%s changes the digest", c.name)
		}
	}
	account := Digest(changed(t, `volumes:`, "serviceAccountName: sa\n  volumes:"))
	if account != Digest(changed(t, `volumes:`, "serviceAccount: sa\n  volumes:")) {
		t.Error("the old name of the service account is another account")
	}
}

// M04: every difference that pods can see.
func TestDigestSeesMeaning(t *testing.T) {
	seen := map[string]string{Digest(fromYAML[corev1.PodTemplateSpec](t, template)): "the template"}
	for _, c := range []struct{ name, old, new string }{
		{"image", `agent:1`, `agent:2`},
		{"order of the environment", `{name: A, value: "1"}, {name: B, value: "2"}`, `{name: B, value: "2"}, {name: A, value: "1"}`},
		{"a value", `value: "2"`, `value: "3"`},
		{"label", `tier: node`, `tier: edge`},
		{"label added", `tier: node`, `tier: node, x: y`},
		{"annotation, as kubectl rollout restart sets", `{note: "1"}`, `{note: "1", kubectl.kubernetes.io/restartedAt: now}`},
		{"finalizer", `labels: {`, `finalizers: [example.com/x], labels: {`},
		{"pull policy", `image: agent:1`, "image: agent:1\n    imagePullPolicy: Always"},
		{"quantity", `memory: 1Gi`, `memory: 1G`},
		{"request below the limit", `{limits: {memory: 1Gi}}`, `{limits: {memory: 1Gi}, requests: {memory: 1Mi}}`},
		{"host network", `volumes:`, "hostNetwork: true\n  volumes:"},
		{"an unset boolean", `volumes:`, "automountServiceAccountToken: false\n  volumes:"},
		{"user 0", `volumes:`, "securityContext: {runAsUser: 0}\n  volumes:"},
		{"selector of everything or of nothing", `, labelSelector: {}`, ``},
		{"namespaces", `labelSelector: {}`, `labelSelector: {}, namespaceSelector: {}`},
		{"order of volumes", `{name: tmp}, {name: log, hostPath: {path: /var/log}}`, `{name: log, hostPath: {path: /var/log}}, {name: tmp}`},
		{"an empty term", `affinity: {`, `affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{}]}}, `},
		{"probe", `{httpGet: {port: 80}}`, `{httpGet: {port: 80}, initialDelaySeconds: 5}`},
		{"port by name", `{httpGet: {port: 80}}`, `{httpGet: {port: "80"}}`},
	} {
		got := Digest(changed(t, c.old, c.new))
		if was, ok := seen[got]; ok {
			t.Errorf("%s has the digest of %s", c.name, was)
		}
		seen[got] = c.name
	}
}

func changed(t *testing.T, old, new string) *corev1.PodTemplateSpec {
	t.Helper()
	if strings.Count(template, old) != 1 {
		t.Fatalf("%q is not once in the template", old)
	}
	return fromYAML[corev1.PodTemplateSpec](t, strings.Replace(template, old, new, 1))
}

func TestDigestKeepsTemplate(t *testing.T) {
	a := fromYAML[corev1.PodTemplateSpec](t, template)
	before := a.DeepCopy()
	Digest(a)
	if !reflect.DeepEqual(a, before) {
		t.Error("Digest changes its argument")
	}
}

// TestComputeHash of spec 6.7; M14, M18.
func TestHash(t *testing.T) {
	a, b := Hash("a", 0), Hash("b", 0)
	if a != Hash("a", 0) || a == b || a == Hash("a", 1) || Hash("a", 1) == Hash("a", 2) {
		t.Error("a hash is a function of digest and collisions, and of both")
	}
	for n := range int32(200) {
		h := Hash("a", n)
		if len(h) != 10 || strings.Trim(h, "bcdfghjklmnpqrstvwxz2456789") != "" {
			t.Fatalf("hash %q", h)
		}
	}
}

// M14: where upstream would fail to create for ever.
func TestRevisionName(t *testing.T) {
	hash := Hash("a", 0)
	if got := RevisionName("agent", hash); got != "agent-"+hash {
		t.Errorf("%q", got)
	}
	seen := map[string]bool{}
	for _, ds := range []string{
		strings.Repeat("a", 242), strings.Repeat("a", 243), strings.Repeat("a", 252) + "b", strings.Repeat("a", 253),
		strings.Repeat("a", 232) + "." + strings.Repeat("b", 20), strings.Repeat("a", 231) + "--" + strings.Repeat("b", 20),
	} {
		name := RevisionName(ds, hash)
		if why := validation.IsDNS1123Subdomain(name); why != nil {
			t.Errorf("%q: %v", name, why)
		}
		if !strings.HasSuffix(name, "-"+hash) || seen[name] {
			t.Errorf("name %q of %q", name, ds)
		}
		seen[name] = true
	}
}

// M03.
func TestRevisionData(t *testing.T) {
	tmpl := fromYAML[corev1.PodTemplateSpec](t, `
metadata: {labels: {b: "2", a: "1"}}
spec: {containers: [{name: c, image: "i:1"}], activeDeadlineSeconds: 9007199254740993}`)
	data, err := RevisionData(tmpl)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"a":"1","b":"2"}},` +
		`"spec":{"activeDeadlineSeconds":9007199254740993,"containers":[{"image":"i:1","name":"c","resources":{}}]}}}}`
	if string(data) != want {
		t.Errorf("got  %s\nwant %s", data, want)
	}
	back, err := Template(data)
	if err != nil || !reflect.DeepEqual(back, tmpl) {
		t.Errorf("%v: %+v", err, back)
	}
	for _, bad := range []string{``, `{}`, `{"spec":{}}`, `{"spec":{"template":null}}`, `{"spec":{"template":3}}`} {
		if _, err := Template([]byte(bad)); err == nil {
			t.Errorf("%q is read as a template", bad)
		}
	}
}

// Every template comes back from its revision's data as JSON would bring it
// back, with the digest that it had, and its defaults settle in one round.
func TestEveryTemplateRoundTrips(t *testing.T) {
	for seed := range uint64(200) {
		f := randfill.NewWithSeed(int64(seed)).NilChance(0.5).NumElements(0, 2).MaxDepth(12).Funcs(fillers()...)
		var tmpl corev1.PodTemplateSpec
		f.Fill(&tmpl)
		plain, err := json.Marshal(tmpl)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		data, err := RevisionData(&tmpl)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		back, err := Template(data)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got, _ := json.Marshal(back); !bytes.Equal(got, plain) {
			t.Fatalf("seed %d:\n got %s\nwant %s", seed, got, plain)
		}
		if Digest(back) != Digest(&tmpl) {
			t.Errorf("seed %d: the digest changes through the revision", seed)
		}
		once := tmpl.DeepCopy()
		SetDefaults(once)
		twice := once.DeepCopy()
		SetDefaults(twice)
		if !reflect.DeepEqual(once, twice) {
			t.Errorf("seed %d: defaults do not settle", seed)
		}
		if Digest(once) != Digest(&tmpl) {
			t.Errorf("seed %d: defaults change the digest", seed)
		}
	}
}
