package manifest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projector/apiserver"
	"rollcall/projector/table"
)

// cluster is the API of a new cluster, over a log in memory.
type cluster struct {
	kubernetes.Interface
	log    events.Log
	server *apiserver.Server
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	subjects, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{log: memlog.New(subjects, time.Now)}
	objects := table.New(table.Recent)
	launch(t, func(ctx context.Context) {
		for e, err := range c.log.Tail(ctx, 0) {
			if err == nil {
				objects.Take(e)
			}
		}
	})
	if c.server, err = apiserver.New(apiserver.Config{Log: c.log, Subjects: subjects, Objects: objects, Tally: apiserver.NewTally(), Leases: memlog.NewKV(), Events: memlog.NewKV()}); err != nil {
		t.Fatal(err)
	}
	launch(t, func(ctx context.Context) { _ = c.server.Run(ctx) })
	<-c.server.Ready()
	if c.Interface, err = kubernetes.NewForConfig(c.server.LoopbackAs("user")); err != nil {
		t.Fatal(err)
	}
	return c
}

// launch runs a part until the test ends.
func launch(t *testing.T, run func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// written returns the positions of what the one who applies has written: the
// controllers of the cluster write beside it, when they come to it.
func (c *cluster) written(t *testing.T) (all []events.Seq) {
	t.Helper()
	for e, err := range c.log.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Actor == "user" {
			all = append(all, e.Seq)
		}
	}
	return all
}

// apply applies a manifest as up does, and returns what it was told.
func (c *cluster) apply(t *testing.T, text string) (told, warned []string, err error) {
	t.Helper()
	docs, err := read(t, text)
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewApplier(c.server.LoopbackAs("user"), "", docs, func(w string) { warned = append(warned, w) })
	if err != nil {
		t.Fatal(err)
	}
	before := c.written(t)
	err = a.Rehearse(t.Context())
	if after := c.written(t); !slices.Equal(after, before) {
		t.Fatalf("a dry run has appended the events %d", after[len(before):])
	}
	if err != nil {
		return told, warned, err
	}
	return told, warned, a.Apply(t.Context(), func(s string) { told = append(told, s) })
}

const daemonSet = `apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: agent
  namespace: logging
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers:
      - name: main
        image: agent:1
`

// Nothing is applied before the dry run of everything is over: one document that
// is refused, be it the last one, leaves the log as it is.
func TestNothingIsAppliedIfOneIsRefused(t *testing.T) {
	c := newCluster(t)
	good := configMap("a") + "---\n" + configMap("b")
	_, _, err := c.apply(t, good+"---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: Bad_Name\n")
	if err == nil || !strings.HasPrefix(err.Error(), "E-MAN-FIELD: ") || !strings.Contains(err.Error(), "(standard input: document 3 of 3: line 14: metadata.name)") {
		t.Errorf("%v", err)
	}
	if told, _, err := c.apply(t, good); err != nil || strings.Join(told, ", ") != "configmap/a created, configmap/b created" {
		t.Errorf("%v, %v", told, err)
	}
}

// needEachOther are objects before those that they need, and some that nothing
// would act on.
const needEachOther = daemonSet + `---
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: logging}
spec: {priorityClassName: high, serviceAccountName: agent, containers: [{name: main, image: "agent:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: here}
spec: {priorityClassName: high, serviceAccountName: other, containers: [{name: main, image: "agent:1"}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: agent, namespace: logging}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: other}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 1000
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w, namespace: logging}
spec: {size: 3}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer, maximum: 5}, color: {type: string, default: red}}}}}
---
apiVersion: v1
kind: Service
metadata: {name: agent, namespace: logging}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: logging}
`

// What the objects of the same manifests need counts as there in the dry run, and
// is made before them: also the definition of a kind, by whose schema its objects
// are tried before anything is made.
func TestObjectsThatNeedEachOther(t *testing.T) {
	c := newCluster(t)
	before := c.written(t)
	for old, want := range map[string]string{"size: 3": "E-MAN-FIELD: Invalid value: 7: spec.size in body should be less than or equal to 5 (standard input: document 7 of 10: line 41: spec.size)", "spec: {size": "E-MAN-FIELD: unknown field (standard input: document 7 of 10: line 41: spec.weight)"} {
		new := map[string]string{"size: 3": "size: 7", "spec: {size": "spec: {weight"}[old]
		if _, _, err := c.apply(t, strings.Replace(needEachOther, old, new, 1)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", new, err, want)
		}
	}
	if after := c.written(t); !slices.Equal(after, before) {
		t.Errorf("the log has got the events %d", after[len(before):])
	}
	told, warned, err := c.apply(t, needEachOther)
	if err != nil {
		t.Fatal(err)
	}
	want := "namespace/logging created, customresourcedefinition.apiextensions.k8s.io/widgets.example.com created, priorityclass.scheduling.k8s.io/high created, serviceaccount/agent created, serviceaccount/other created, " +
		"daemonset.apps/agent created, pod/alone created, pod/here created, widget.example.com/w created, service/agent created"
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("told %s\nwant %s", got, want)
	}
	if len(warned) != 0 {
		t.Errorf("warned of %s", warned)
	}
	if told, _, err = c.apply(t, needEachOther); err != nil || strings.Contains(strings.Join(told, ", "), "created") {
		t.Errorf("applied again: %s, %v", told, err)
	}
	if told, _, err = c.apply(t, strings.NewReplacer("maximum: 5", "maximum: 9", "size: 3", "size: 7").Replace(needEachOther)); err != nil || !strings.Contains(strings.Join(told, ", "), "widget.example.com/w configured") {
		t.Errorf("applied with another schema: %s, %v", told, err)
	}
}

// Who applies a manifest again gets what it says, whoever has changed it since;
// fields that it no longer has go with it, those of others stay. The events name
// who has applied it, and by what.
func TestApplyAgain(t *testing.T) {
	c := newCluster(t)
	const first = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: \"1\", b: \"1\"}\n"
	if _, _, err := c.apply(t, first); err != nil {
		t.Fatal(err)
	}
	maps := c.CoreV1().ConfigMaps("default")
	m, err := maps.Get(t.Context(), "m", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m.Data["a"], m.Data["c"] = "2", "2"
	if _, err := maps.Update(t.Context(), m, metav1.UpdateOptions{FieldManager: "someone"}); err != nil {
		t.Fatal(err)
	}
	second := strings.Replace(first, `, b: "1"`, "", 1)
	for _, want := range []string{"configmap/m configured", "configmap/m unchanged"} {
		if told, _, err := c.apply(t, second); err != nil || len(told) != 1 || told[0] != want {
			t.Errorf("%v, %v; want %s", told, err, want)
		}
	}
	if m, err = maps.Get(t.Context(), "m", metav1.GetOptions{}); err != nil || len(m.Data) != 2 || m.Data["a"] != "1" || m.Data["c"] != "2" {
		t.Errorf("%v, %v", m.Data, err)
	}
	var last events.Event
	for e, err := range c.log.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		last = e
	}
	if last.Actor != "user" || last.Manager != Manager || last.Verb != "patch" {
		t.Errorf("the event says %q, %q, %q", last.Actor, last.Manager, last.Verb)
	}
}

// What the cluster refuses is one line with file, line and field.
func TestRefusedByTheCluster(t *testing.T) {
	c := newCluster(t)
	if _, _, err := c.apply(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: logging}\n---\n"+daemonSet); err != nil {
		t.Fatal(err)
	}
	edit := func(old, new string) string { return strings.Replace(daemonSet, old, new, 1) }
	for _, x := range []struct{ text, want string }{
		{edit("containers:", "contaners:"), "E-MAN-FIELD: unknown field (standard input: line 11: spec.template.spec.contaners)"},
		{edit("image: agent:1", "imagee: x"), `E-MAN-FIELD: unknown field (standard input: line 13: spec.template.spec.containers[name="main"].imagee)`},
		{edit("image: agent:1", "image: 5"), `E-MAN-FIELD: expected string, got 5 (standard input: line 13: spec.template.spec.containers[name="main"].image)`},
		{edit("        image: agent:1\n", ""), "E-MAN-FIELD: Required value (standard input: line 12: spec.template.spec.containers[0].image)"},
		{edit("labels: {app: agent}", "labels: {app: other}"), "E-MAN-FIELD: Invalid value: {\"app\":\"other\"}: selector does not match template labels (standard input: line 9: spec.template.metadata.labels)"},
		{strings.ReplaceAll(daemonSet, "app: agent", "app: other"), "E-MAN-IMMUTABLE: Invalid value: "},
		{edit("namespace: logging", "namespace: nowhere"), `E-MAN-NAMESPACE: namespaces "nowhere" not found (standard input: line 5: metadata.namespace); `},
		{edit("metadata:\n", "metadata:\n  annotations: {rollcall/partition: banana}\n"), `E-MAN-FIELD: Invalid value: "banana": takes a whole number of nodes or a percentage, such as 2 or 20% (standard input: line 4: metadata.annotations[rollcall/partition])`},
		{edit("apps/v1", "extensions/v1beta1"), "E-MAN-API: DaemonSet of apiVersion extensions/v1beta1 is not served (standard input: line 1: apiVersion); use apps/v1"},
		{edit("DaemonSet", "DeamonSet"), `E-MAN-KIND: there is no kind "DeamonSet" (standard input: line 2: kind); did you mean DaemonSet?`},
		{"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {priorityClassName: none, containers: [{name: a, image: b}]}", "E-MAN-REFUSED: pods \"p\" is forbidden: no PriorityClass with name none was found (standard input: line 1)"},
	} {
		if _, _, err := c.apply(t, x.text); err == nil || !strings.HasPrefix(err.Error(), x.want) {
			t.Errorf("got  %v\nwant %s", err, x.want)
		}
	}
}

// TestExpect: who has looked at an object writes it as it was then, or not at all;
// and what was to be new, not over what somebody else has made.
func TestExpect(t *testing.T) {
	c := newCluster(t)
	write := func(partial bool, expect, value string) error {
		d, err := Made("the plan", map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c", "namespace": "default"},
			"data": map[string]any{"key": value}}, partial)
		if err != nil {
			t.Fatal(err)
		}
		d.Expect(expect)
		a, err := NewApplier(c.server.LoopbackAs("user"), "", []*Document{d}, func(string) {})
		if err == nil {
			err = a.Rehearse(t.Context())
		}
		if err == nil {
			err = a.Apply(t.Context(), func(string) {})
		}
		return err
	}
	is := func() *corev1.ConfigMap {
		m, err := c.CoreV1().ConfigMaps("default").Get(t.Context(), "c", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	other := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Data: map[string]string{"key": "theirs"}}
	if _, err := c.CoreV1().ConfigMaps("default").Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := write(false, "", "new"); !apierrors.IsConflict(err) || is().Data["key"] != "theirs" {
		t.Errorf("what was to be new is written over another: %v, %q", err, is().Data)
	}
	seen := is().ResourceVersion
	if err := write(false, seen, "first"); err != nil || is().Data["key"] != "first" {
		t.Errorf("as it was: %v, %q", err, is().Data)
	}
	for _, partial := range []bool{false, true} {
		if err := write(partial, seen, "second"); !apierrors.IsConflict(err) || is().Data["key"] != "first" {
			t.Errorf("partial %t: what has changed is written over: %v, %q", partial, err, is().Data)
		}
	}
	if err := write(true, is().ResourceVersion, "third"); err != nil || is().Data["key"] != "third" {
		t.Errorf("merged: %v, %q", err, is().Data)
	}
}
