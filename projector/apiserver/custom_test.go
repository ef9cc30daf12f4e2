package apiserver

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	extensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensionsclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"rollcall/events"
	"rollcall/events/wire"
)

// probes is a definition with what real ones have: versions, status, scale, CEL,
// columns, defaults, fields to select by.
const probes = `
metadata: {name: probes.net.example.com}
spec:
  group: net.example.com
  scope: Namespaced
  names: {plural: probes, singular: probe, kind: Probe, listKind: ProbeList, shortNames: [pb], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Target, type: string, jsonPath: .spec.target}
    selectableFields:
    - jsonPath: .spec.target
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [target]
            x-kubernetes-validations:
            - {rule: "self.minimum <= self.maximum", message: minimum is above maximum}
            properties:
              target: {type: string, description: what is probed}
              replicas: {type: integer, default: 1}
              minimum: {type: integer, format: int64, default: 0}
              maximum: {type: integer, format: int64, default: 100}
              ratio: {type: number}
              port: {x-kubernetes-int-or-string: true}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
          status:
            type: object
            properties: {phase: {type: string}, replicas: {type: integer}}
  - name: v1beta1
    served: true
    storage: false
    deprecated: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
  - name: v1alpha1
    served: false
    storage: false
    schema: {openAPIV3Schema: {type: object}}
`

var (
	probeKind = events.CustomKind("net.example.com", "Probe")
	probesV1  = schema.GroupVersionResource{Group: "net.example.com", Version: "v1", Resource: "probes"}
)

func unmarshal[T any](t testing.TB, text string) *T {
	t.Helper()
	o := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// custom is a cluster whose API knows probes.
type custom struct {
	*cluster
	definitions extensionsclient.Interface
	objects     dynamic.Interface
}

func newCustom(t testing.TB) *custom {
	t.Helper()
	c := &custom{cluster: newCluster(t)}
	config := c.server.Loopback()
	var err error
	if c.definitions, err = extensionsclient.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if c.objects, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	return c
}

// define makes a definition, and returns it when it is established.
func (c *custom) define(t testing.TB, text string) *extensionsv1.CustomResourceDefinition {
	t.Helper()
	ds := c.definitions.ApiextensionsV1().CustomResourceDefinitions()
	d, err := ds.Create(t.Context(), unmarshal[extensionsv1.CustomResourceDefinition](t, text), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d, err = ds.Get(t.Context(), d.Name, metav1.GetOptions{}); err != nil || len(d.Status.Conditions) == 0 {
		t.Errorf("it is created and has no conditions, on which kubectl wait fails: %v", err)
	}
	eventually(t, "it is established", func(ctx context.Context) bool {
		d, err = ds.Get(ctx, d.Name, metav1.GetOptions{})
		return err == nil && slices.ContainsFunc(d.Status.Conditions, func(c extensionsv1.CustomResourceDefinitionCondition) bool {
			return c.Type == extensionsv1.Established && c.Status == extensionsv1.ConditionTrue
		})
	})
	return d
}

func eventually(t testing.TB, what string, is func(context.Context) bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) { return is(ctx), nil })
	if err != nil {
		t.Fatalf("it never came to be so: %s", what)
	}
}

func (c *custom) probe(t testing.TB, spec string) *unstructured.Unstructured {
	t.Helper()
	o := unmarshal[map[string]any](t, "apiVersion: net.example.com/v1\nkind: Probe\nmetadata: {name: a}\nspec: {target: nine}\n")
	data, err := yaml.YAMLToJSON([]byte(spec))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: *o}
	if err := u.UnmarshalJSON([]byte(`{"kind":"Probe","spec":` + string(data) + `}`)); err != nil {
		t.Fatal(err)
	}
	u.SetAPIVersion("net.example.com/v1")
	u.SetName("a")
	return u
}

// The log has a custom object with the numbers and the empty values that it was
// sent with, at the version that it is stored at.
func TestCustomObjectsAreKeptWithoutLoss(t *testing.T) {
	c := newCustom(t)
	c.define(t, probes)
	sent := c.probe(t, `{target: nine, maximum: 9007199254740993, ratio: 0.5, port: 7, bogus: 1,
		free: {int: 1, big: -9223372036854775808, float: 1.5, huge: 1e30, text: "1", "yes": true, "null": null, list: [], map: {}}}`)
	made, err := c.objects.Resource(probesV1).Namespace("default").Create(t.Context(), sent, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i := c.cluster.objects.Get(probeKind, events.Key{Namespace: "default", Name: "a"})
	if i == nil {
		t.Fatal("it is not in the log")
	}
	if v := string(wire.Text(i.Data, "apiVersion")); v != "net.example.com/v1" {
		t.Errorf("it is stored at %q", v)
	}
	stored, err := wire.ToJSON(wire.Field(i.Data, "spec"))
	want := `{"free":{"big":-9223372036854775808,"float":1.5,"huge":1000000000000000000000000000000.0,"int":1,"list":[],"map":{},"null":null,"text":"1","yes":true},` +
		`"maximum":9007199254740993,"minimum":0,"port":7,"ratio":0.5,"replicas":1,"target":"nine"}`
	if wanted := strings.Replace(want, "1000000000000000000000000000000.0", "1e+30", 1); err != nil || string(stored) != wanted {
		t.Errorf("the log has\n%s, want\n%s (%v)", stored, wanted, err)
	}
	got, err := c.objects.Resource(probesV1).Namespace("default").Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := made.Object["spec"], got.Object["spec"]; !jsonEqual(t, a, b) {
		t.Errorf("it was made as %v, and is read as %v", a, b)
	}
}

func jsonEqual(t testing.TB, a, b any) bool {
	t.Helper()
	x, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(x) == string(y)
}

// A custom resource is what Kubernetes makes of its definition: checked,
// defaulted, pruned, with its subresources, and found in all its versions.
func TestCustomResources(t *testing.T) {
	c := newCustom(t)
	c.define(t, probes)
	ps := c.objects.Resource(probesV1).Namespace("default")
	for spec, why := range map[string]string{
		`{target: nine, minimum: 5, maximum: 4}`: "minimum is above maximum",
		`{replicas: 1}`:                          "spec.target: Required value",
		`{target: nine, replicas: many}`:         "must be of type integer",
	} {
		if _, err := ps.Create(t.Context(), c.probe(t, spec), metav1.CreateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %s", spec, err, why)
		}
	}
	strict := metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}
	if _, err := ps.Create(t.Context(), c.probe(t, `{target: nine, bogus: 1}`), strict); err == nil || !strings.Contains(err.Error(), `unknown field "spec.bogus"`) {
		t.Errorf("a field that is not in the schema: %v", err)
	}
	w, err := ps.Watch(t.Context(), metav1.ListOptions{FieldSelector: "spec.target=nine"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if _, err := ps.Create(t.Context(), c.probe(t, `{target: nine, bogus: 1}`), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if e := <-w.ResultChan(); e.Type != "ADDED" || e.Object.(*unstructured.Unstructured).GetName() != "a" {
		t.Errorf("the watch tells %+v", e)
	}
	if _, err := ps.Patch(t.Context(), "a", types.StrategicMergePatchType, []byte(`{}`), metav1.PatchOptions{}); !apierrors.IsUnsupportedMediaType(err) {
		t.Errorf("a strategic merge patch: %v", err)
	}
	if _, err := ps.Patch(t.Context(), "a", types.MergePatchType, []byte(`{"spec":{"replicas":3},"status":{"phase":"Up"}}`), metav1.PatchOptions{}, "status"); err != nil {
		t.Error(err)
	}
	applied := []byte(`{"apiVersion":"net.example.com/v1","kind":"Probe","metadata":{"name":"a"},"spec":{"ratio":0.25}}`)
	if _, err := ps.Patch(t.Context(), "a", types.ApplyPatchType, applied, metav1.PatchOptions{FieldManager: "tuner"}); err != nil {
		t.Error(err)
	}
	for _, version := range []string{"v1", "v1beta1"} {
		resource := probesV1
		resource.Version = version
		l, err := c.objects.Resource(resource).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(l.Items) != 1 || l.Items[0].GetAPIVersion() != "net.example.com/"+version {
			t.Fatalf("in %s: %+v, %v", version, l, err)
		}
		spec, status := l.Items[0].Object["spec"], l.Items[0].Object["status"]
		if want := map[string]any{"target": "nine", "replicas": int64(1), "minimum": int64(0), "maximum": int64(100), "ratio": 0.25}; !jsonEqual(t, spec, want) {
			t.Errorf("in %s: spec %v, want %v", version, spec, want)
		}
		if want := map[string]any{"phase": "Up"}; !jsonEqual(t, status, want) {
			t.Errorf("in %s: status %v, want %v", version, status, want)
		}
	}
	resource := probesV1
	resource.Version = "v1alpha1"
	if _, err := c.objects.Resource(resource).List(t.Context(), metav1.ListOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a version that is not served: %v", err)
	}
	if got := c.scale(t, "a", 7); got != 7 {
		t.Errorf("it is scaled to %d", got)
	}
}

func (c *custom) scale(t testing.TB, name string, replicas int64) int64 {
	t.Helper()
	ps := c.objects.Resource(probesV1).Namespace("default")
	if _, err := ps.Patch(t.Context(), name, types.MergePatchType, []byte(`{"spec":{"replicas":7}}`), metav1.PatchOptions{}, "scale"); err != nil {
		t.Fatal(err)
	}
	o, err := ps.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n, _, err := unstructured.NestedInt64(o.Object, "spec", "replicas")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What is defined is in discovery and in the descriptions of the API, in both
// forms of each, as soon as it is established and until it is gone. Without a
// definition there is neither.
func TestCustomResourcesAreDescribed(t *testing.T) {
	c := newCustom(t)
	told := func(path, accept string) string {
		b, err := c.client.CoreV1().RESTClient().Get().AbsPath(path).SetHeader("Accept", accept).DoRaw(t.Context())
		if err != nil {
			return ""
		}
		return string(b)
	}
	const plain, aggregated = "application/json", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	where := []struct{ path, accept, has string }{
		{"/apis", plain, `"groupVersion":"net.example.com/v1beta1"`},
		{"/apis", aggregated, `"resource":"probes"`},
		{"/apis/net.example.com", plain, `"preferredVersion":{"groupVersion":"net.example.com/v1"`},
		{"/apis/net.example.com/v1", plain, `"shortNames":["pb"]`},
		{"/openapi/v2", plain, "com.example.net.v1.Probe"},
		{"/openapi/v3", plain, "apis/net.example.com/v1beta1"},
		{"/openapi/v3/apis/net.example.com/v1", plain, "what is probed"},
	}
	for _, x := range where {
		if got := told(x.path, x.accept); strings.Contains(got, x.has) {
			t.Errorf("%s has %s before it is defined", x.path, x.has)
		}
	}
	d := c.define(t, probes)
	for _, x := range where {
		eventually(t, x.path+" has "+x.has, func(context.Context) bool { return strings.Contains(told(x.path, x.accept), x.has) })
	}
	if err := c.definitions.ApiextensionsV1().CustomResourceDefinitions().Delete(t.Context(), d.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, x := range where {
		eventually(t, x.path+" has no "+x.has, func(context.Context) bool { return !strings.Contains(told(x.path, x.accept), x.has) })
	}
}

// A definition that is deleted goes when its objects are gone, and takes them with
// it; one that Kubernetes refuses is not in the log.
func TestDefinitionsGoWithTheirObjects(t *testing.T) {
	c := newCustom(t)
	d := c.define(t, probes)
	for _, ns := range []string{"default", "kube-system"} {
		if _, err := c.objects.Resource(probesV1).Namespace(ns).Create(t.Context(), c.probe(t, `{target: nine}`), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ds := c.definitions.ApiextensionsV1().CustomResourceDefinitions()
	if err := ds.Delete(t.Context(), d.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func(ctx context.Context) bool {
		_, err := ds.Get(ctx, d.Name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	if n, _ := c.cluster.objects.Of(probeKind).Size(); n != 0 {
		t.Errorf("%d objects are left", n)
	}
	if _, err := c.objects.Resource(probesV1).List(t.Context(), metav1.ListOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("what is not defined any more: %v", err)
	}
	before := c.cluster.objects.Position()
	for text, why := range map[string]string{
		strings.Replace(probes, "name: probes.net", "name: probe.net", 1):            "must be spec.names.plural",
		strings.Replace(probes, "rule: \"self.minimum <=", "rule: \"self.low <=", 1): "undefined field 'low'",
		strings.Replace(probes, "type: string, description", "description", 1):       "must not be empty for specified object fields",
	} {
		if _, err := ds.Create(t.Context(), unmarshal[extensionsv1.CustomResourceDefinition](t, text), metav1.CreateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %s", err, why)
		}
	}
	if after := c.cluster.objects.Position(); after != before {
		t.Errorf("the log went from %d to %d", before, after)
	}
	taken := strings.NewReplacer("probes.net", "tests.net", "plural: probes, singular: probe", "plural: tests, singular: probe").Replace(probes)
	c.define(t, probes)
	if _, err := ds.Create(t.Context(), unmarshal[extensionsv1.CustomResourceDefinition](t, taken), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its names are refused", func(ctx context.Context) bool {
		d, err := ds.Get(ctx, "tests.net.example.com", metav1.GetOptions{})
		return err == nil && slices.ContainsFunc(d.Status.Conditions, func(c extensionsv1.CustomResourceDefinitionCondition) bool {
			return c.Type == extensionsv1.NamesAccepted && c.Status == extensionsv1.ConditionFalse && strings.Contains(c.Message, "is already in use")
		})
	})
}

// kubectl lists the CustomResourceDefinitions when a file has a kind that the
// schema does not have, and gives the file up if it cannot.
//
// finding B2, finding c14
func TestUnknownKindsCanBeLookedFor(t *testing.T) {
	c := newCluster(t)
	definitions := c.client.CoreV1().RESTClient().Get().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
	got, err := definitions.Do(t.Context()).Raw()
	if err != nil || !strings.Contains(string(got), `"kind":"CustomResourceDefinitionList"`) || !strings.Contains(string(got), `"items":[]`) {
		t.Errorf("CustomResourceDefinitions: %s, %v", got, err)
	}
}
