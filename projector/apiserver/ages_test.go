package apiserver

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/registry/authentication/selfsubjectreview"
	eventstore "k8s.io/kubernetes/pkg/registry/core/event/storage"

	"rollcall/events"
)

// Tables of the past count to then, and their rows hold the objects as they are.
func TestAgesOfThePast(t *testing.T) {
	c := newCluster(t)
	born := metav1.NewTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", UID: "u", CreationTimestamp: born},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "c", RestartCount: 2, Ready: true,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: born}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				StartedAt: born, FinishedAt: metav1.NewTime(born.Add(2 * time.Minute))}}}}}}
	body, err := events.NewObject(events.Pod, pod)
	if err != nil {
		t.Fatal(err)
	}
	c.append(t, "pod.created", body)
	past := serve(t, Config{Past: c.log, Subjects: c.subjects, Objects: c.objects, ReadOnly: "it is past", Now: born.Add(5 * time.Minute)})
	table := func(path string) (tab metav1.Table) {
		t.Helper()
		raw, err := past.client.CoreV1().RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
		if err == nil {
			err = json.Unmarshal(raw, &tab)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return tab
	}
	for _, path := range []string{"/api/v1/pods", "/api/v1/namespaces/default/pods/p"} {
		tab := table(path)
		cell := func(column string) any {
			i := slices.IndexFunc(tab.ColumnDefinitions, func(d metav1.TableColumnDefinition) bool { return d.Name == column })
			return tab.Rows[0].Cells[i]
		}
		if age, restarts := cell("Age"), cell("Restarts"); age != "5m" || restarts != "2 (3m ago)" {
			t.Errorf("%s: AGE %v, RESTARTS %v; want 5m and 2 (3m ago)", path, age, restarts)
		}
		var meta metav1.PartialObjectMetadata
		if err := json.Unmarshal(tab.Rows[0].Object.Raw, &meta); err != nil || !meta.CreationTimestamp.Equal(&born) {
			t.Errorf("%s: the row's object was created at %v, %v; want %v", path, meta.CreationTimestamp, err, born)
		}
	}
	lists, err := past.client.Discovery().ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lists {
		for _, r := range l.APIResources {
			if !slices.Contains(r.Verbs, "list") {
				continue
			}
			prefix := "/apis/" + l.GroupVersion
			if l.GroupVersion == "v1" {
				prefix = "/api/v1"
			}
			if tab := table(fmt.Sprint(prefix, "/", r.Name)); tab.ResourceVersion == "" {
				t.Errorf("the table of %s says no position", r.Name)
			}
		}
	}
}

// A registry that stands in two groups counts to the instant once, and one
// whose tables cannot is told.
func TestAgesOfTwoGroups(t *testing.T) {
	store := &genericregistry.Store{TableConvertor: rest.NewDefaultTableConvertor(corev1.Resource("events"))}
	g := group{"events": &eventstore.REST{Store: store}, "reviews": selfsubjectreview.NewREST()}
	for range 2 {
		if err := g.agesUntil(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if p, ok := store.TableConvertor.(pastTables); !ok {
		t.Errorf("tables are printed by %T", store.TableConvertor)
	} else if _, twice := p.TableConvertor.(pastTables); twice {
		t.Error("times are moved twice")
	}
	if err := (group{"x": struct{ rest.StandardStorage }{}}).agesUntil(time.Unix(1, 0)); err == nil {
		t.Error("a registry without a store is not told")
	}
}
