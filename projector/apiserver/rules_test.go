package apiserver

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"rollcall/events"
)

// wants fails the test unless err has a text, or is none if the text is empty.
func wants(t *testing.T, name string, err error, text string) {
	t.Helper()
	if (err != nil) != (text != "") || err != nil && !strings.Contains(err.Error(), text) {
		t.Errorf("%s: %v\nwant %q", name, err, text)
	}
}

func surging(ds *appsv1.DaemonSet, unavailable, surge *intstr.IntOrString) {
	ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: unavailable, MaxSurge: surge}}
}

// The rules for a new DaemonSet are Kubernetes', with its paths and its words.
//
// Q01, Q02, Q03, Q04, Q05, Q06, Q07, Q08, Q10, Q11, Q12, Q23, R09
func TestDaemonSetRules(t *testing.T) {
	sets := newCluster(t).client.AppsV1().DaemonSets("default")
	long := strings.Repeat("a", 253)
	for i, c := range []struct {
		name   string
		change func(ds *appsv1.DaemonSet)
		want   string
	}{
		{"as it is", func(*appsv1.DaemonSet) {}, ""},
		{"empty name", func(ds *appsv1.DaemonSet) { ds.Name = "" }, "metadata.name: Required value"},
		{"trailing dash", func(ds *appsv1.DaemonSet) { ds.Name = "a-" }, "metadata.name: Invalid value"},
		{"long name", func(ds *appsv1.DaemonSet) { ds.Name = long }, ""},
		{"label", func(ds *appsv1.DaemonSet) { ds.Labels = map[string]string{"a/b/c": "x"} }, `metadata.labels: Invalid value: "a/b/c"`},
		{"annotation", func(ds *appsv1.DaemonSet) { ds.Annotations[" "] = "x" }, "metadata.annotations: Invalid value"},
		{"annotations of 256 KiB", func(ds *appsv1.DaemonSet) { ds.Annotations["a"] = strings.Repeat("x", 256<<10) }, "metadata.annotations: Too long"},
		{"no selector", func(ds *appsv1.DaemonSet) { ds.Spec.Selector = nil }, "`selector` does not match template `labels`"},
		{"bad label value", func(ds *appsv1.DaemonSet) { ds.Spec.Selector.MatchLabels["app"] = "?" }, "spec.selector.matchLabels: Invalid value"},
		{"empty selector", func(ds *appsv1.DaemonSet) { ds.Spec.Selector = &metav1.LabelSelector{} }, "empty selector is invalid for daemonset"},
		{"mismatch", func(ds *appsv1.DaemonSet) { ds.Spec.Template.Labels = nil }, "`selector` does not match template `labels`"},
		{"ephemeral containers", func(ds *appsv1.DaemonSet) {
			ds.Spec.Template.Spec.EphemeralContainers = make([]corev1.EphemeralContainer, 1)
		}, "ephemeral containers not allowed in pod template"},
		{"OnFailure", func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.RestartPolicy = "OnFailure" }, `spec.template.spec.restartPolicy: Unsupported value: "OnFailure": supported values: "Always"`},
		{"deadline", func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.ActiveDeadlineSeconds = ptr.To[int64](5) }, "activeDeadlineSeconds in DaemonSet is not Supported"},
		{"negative minReadySeconds", func(ds *appsv1.DaemonSet) { ds.Spec.MinReadySeconds = -1 }, "spec.minReadySeconds: Invalid value: -1"},
		{"long minReadySeconds", func(ds *appsv1.DaemonSet) { ds.Spec.MinReadySeconds = 1<<31 - 1 }, ""},
		{"template generation that is no number", func(ds *appsv1.DaemonSet) { ds.Annotations[appsv1.DeprecatedTemplateGeneration] = "x" }, "invalid syntax"},
		{"negative history", func(ds *appsv1.DaemonSet) { ds.Spec.RevisionHistoryLimit = ptr.To[int32](-1) }, "spec.revisionHistoryLimit: Invalid value: -1"},
		{"no history", func(ds *appsv1.DaemonSet) { ds.Spec.RevisionHistoryLimit = ptr.To[int32](0) }, ""},
		{"strategy", func(ds *appsv1.DaemonSet) { ds.Spec.UpdateStrategy.Type = "Recreate" }, `supported values: "RollingUpdate", "OnDelete"`},
		{"surge on a host port", func(ds *appsv1.DaemonSet) {
			surging(ds, ptr.To(intstr.FromInt32(0)), ptr.To(intstr.FromInt32(1)))
			ds.Spec.Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}}
		}, "cannot share host port 80"},
	} {
		ds := daemonSetOf(fmt.Sprintf("agent-%d", i), podNamed("", nil).Spec)
		ds.Annotations = map[string]string{}
		c.change(ds)
		_, err := sets.Create(t.Context(), ds, metav1.CreateOptions{})
		wants(t, c.name, err, c.want)
	}
}

// Of maxUnavailable and maxSurge exactly one is not zero, and no percentage is
// above 100. A number has no bound.
//
// Q13, Q14, Q15, Q16, Q17
func TestBudgetRules(t *testing.T) {
	sets := newCluster(t).client.AppsV1().DaemonSets("default")
	values := map[string]*intstr.IntOrString{"unset": nil, "0": ptr.To(intstr.FromInt32(0)), "0%": ptr.To(intstr.FromString("0%")), "1": ptr.To(intstr.FromInt32(1)),
		"10%": ptr.To(intstr.FromString("10%")), "101%": ptr.To(intstr.FromString("101%")), "-1": ptr.To(intstr.FromInt32(-1)), "100000": ptr.To(intstr.FromInt32(100_000)), "x": ptr.To(intstr.FromString("x"))}
	for unavailable, u := range values {
		for surge, s := range values {
			ds := daemonSetOf("agent", podNamed("", nil).Spec)
			surging(ds, u, s)
			_, err := sets.Create(t.Context(), ds, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			bad := func(v string) bool { return v == "101%" || v == "-1" || v == "x" }
			zero := func(v string) bool { return v == "0" || v == "0%" }
			// What is not set is 1 unavailable, and no surge.
			want := !bad(unavailable) && !bad(surge) && zero(unavailable) != (surge == "unset" || zero(surge))
			if (err == nil) != want {
				t.Errorf("maxUnavailable %s, maxSurge %s: %v", unavailable, surge, err)
			}
		}
	}
}

// What may be changed of a DaemonSet, and what a change does to its generations.
//
// Q18, Q19, R05, R09
func TestDaemonSetUpdates(t *testing.T) {
	sets := newCluster(t).client.AppsV1().DaemonSets("default")
	image := func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers[0].Image = "agent:2" }
	generation := func(n string) func(*appsv1.DaemonSet) {
		return func(ds *appsv1.DaemonSet) { ds.Annotations[appsv1.DeprecatedTemplateGeneration] = n }
	}
	for i, c := range []struct {
		name     string
		change   func(ds *appsv1.DaemonSet)
		want     string
		gen      int64
		template string
	}{
		{"nothing", func(*appsv1.DaemonSet) {}, "", 1, "1"},
		{"status", func(ds *appsv1.DaemonSet) { ds.Status.NumberReady = 9 }, "", 1, "1"},
		{"label", func(ds *appsv1.DaemonSet) { ds.Labels = map[string]string{"team": "a"} }, "", 1, "1"},
		{"minReadySeconds", func(ds *appsv1.DaemonSet) { ds.Spec.MinReadySeconds = 5 }, "", 2, "1"},
		{"strategy", func(ds *appsv1.DaemonSet) {
			ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
		}, "", 2, "1"},
		{"image", image, "", 2, "2"},
		{"another number of the template is not taken", generation("9"), "", 1, "1"},
		{"selector", func(ds *appsv1.DaemonSet) {
			ds.Spec.Template.Labels["x"], ds.Spec.Selector.MatchLabels["x"] = "y", "y"
		}, "spec.selector: Invalid value: ", 0, ""},
		{"uid", func(ds *appsv1.DaemonSet) { ds.UID = "other" }, "Precondition failed: UID in precondition: other", 0, ""},
		{"bad pod", func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers = nil }, "spec.template.spec.containers: Required value", 0, ""},
	} {
		ds, err := sets.Create(t.Context(), daemonSetOf(fmt.Sprintf("agent-%d", i), podNamed("", nil).Spec), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c.change(ds)
		ds, err = sets.Update(t.Context(), ds, metav1.UpdateOptions{})
		wants(t, c.name, err, c.want)
		if err == nil && (ds.Generation != c.gen || ds.Annotations[appsv1.DeprecatedTemplateGeneration] != c.template || ds.Status.NumberReady != 0) {
			t.Errorf("%s: generation %d, template %s, status %+v", c.name, ds.Generation, ds.Annotations[appsv1.DeprecatedTemplateGeneration], ds.Status)
		}
	}
}

// A new DaemonSet gets the defaults of Kubernetes, and nothing that the author
// has to choose; what is the system's to set is not taken from the author.
//
// R01, R02, R03, R04, R09, K06, Q09
func TestDaemonSetDefaults(t *testing.T) {
	sets := newCluster(t).client.AppsV1().DaemonSets("default")
	given := daemonSetOf("agent", podNamed("", nil).Spec)
	given.UID, given.Generation, given.Status.NumberReady = "x", 9, 7
	ds, err := sets.Create(t.Context(), given, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	u, s := ds.Spec.UpdateStrategy, ds.Spec.Template.Spec
	got := fmt.Sprintf("generation=%d template=%s strategy=%s %s %s history=%d restart=%s dns=%s grace=%d scheduler=%s ready=%d labels=%d",
		ds.Generation, ds.Annotations[appsv1.DeprecatedTemplateGeneration], u.Type, u.RollingUpdate.MaxUnavailable, u.RollingUpdate.MaxSurge,
		*ds.Spec.RevisionHistoryLimit, s.RestartPolicy, s.DNSPolicy, *s.TerminationGracePeriodSeconds, s.SchedulerName, ds.Status.NumberReady, len(ds.Labels))
	if want := "generation=1 template=1 strategy=RollingUpdate 1 0 history=10 restart=Always dns=ClusterFirst grace=30 scheduler=default-scheduler ready=0 labels=0"; got != want || ds.UID == "x" {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	given = daemonSetOf("by-hand", podNamed("", nil).Spec)
	surging(given, ptr.To(intstr.FromInt32(1)), nil)
	given.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
	given.Annotations = map[string]string{appsv1.DeprecatedTemplateGeneration: "4"}
	if ds, err = sets.Create(t.Context(), given, metav1.CreateOptions{}); err != nil || ds.Annotations[appsv1.DeprecatedTemplateGeneration] != "4" {
		t.Errorf("the parameters that OnDelete does not read, and a template generation: %v, %v", ds, err)
	}
	given = daemonSetOf("negative", podNamed("", nil).Spec)
	given.Annotations = map[string]string{appsv1.DeprecatedTemplateGeneration: "-1"}
	if ds, err = sets.Create(t.Context(), given, metav1.CreateOptions{}); err != nil || ds.Annotations[appsv1.DeprecatedTemplateGeneration] != "1" {
		t.Errorf("a negative template generation: %v, %v", ds, err)
	}
	bare := daemonSetOf("bare", podNamed("", nil).Spec)
	bare.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
	if ds, err = sets.Create(t.Context(), bare, metav1.CreateOptions{}); err != nil || ds.Spec.UpdateStrategy.RollingUpdate != nil {
		t.Errorf("parameters are made up for OnDelete: %v, %v", ds, err)
	}
}

// A DaemonSet that holds what is refused of a new one can be changed: labels of
// its selector that are bad already stay so.
//
// Q22
func TestBadSelectorStays(t *testing.T) {
	c := newCluster(t)
	old := daemonSetOf("old", podNamed("", nil).Spec)
	old.Namespace, old.UID = "default", "uid-of-old"
	old.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "old"},
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "bad", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"-?"}}}}
	o, err := events.NewObject(events.DaemonSet, old)
	if err != nil {
		t.Fatal(err)
	}
	seq := c.append(t, events.ObjectType(events.DaemonSet, events.VerbCreated), o)
	if err := c.objects.Await(t.Context(), seq); err != nil {
		t.Fatal(err)
	}
	sets := c.client.AppsV1().DaemonSets("default")
	ds, err := sets.Get(t.Context(), "old", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ds.Labels = map[string]string{"team": "a"}
	_, err = sets.Update(t.Context(), ds, metav1.UpdateOptions{})
	if err != nil && strings.Contains(err.Error(), "spec.selector.matchExpressions") {
		t.Errorf("the value of its selector is refused: %v", err)
	}
}

// Numbers of a status are not negative, and collisions do not become fewer.
//
// Q20
func TestDaemonSetStatusRules(t *testing.T) {
	sets := newCluster(t).client.AppsV1().DaemonSets("default")
	ds, err := sets.Create(t.Context(), daemonSetOf("agent", podNamed("", nil).Spec), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ds.Status.CollisionCount = ptr.To[int32](2)
	if ds, err = sets.UpdateStatus(t.Context(), ds, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*appsv1.DaemonSetStatus){
		"status.currentNumberScheduled": func(s *appsv1.DaemonSetStatus) { s.CurrentNumberScheduled = -1 },
		"status.observedGeneration":     func(s *appsv1.DaemonSetStatus) { s.ObservedGeneration = -1 },
		"status.numberUnavailable":      func(s *appsv1.DaemonSetStatus) { s.NumberUnavailable = -1 },
		"cannot be decremented":         func(s *appsv1.DaemonSetStatus) { s.CollisionCount = ptr.To[int32](1) },
	} {
		next := ds.DeepCopy()
		change(&next.Status)
		_, err := sets.UpdateStatus(t.Context(), next, metav1.UpdateOptions{})
		wants(t, want, err, want)
	}
}

// Q21, M28
func TestRevisionRules(t *testing.T) {
	revisions := newCluster(t).client.AppsV1().ControllerRevisions("default")
	made := func(name, data string, n int64) *appsv1.ControllerRevision {
		return &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: name}, Revision: n, Data: runtime.RawExtension{Raw: []byte(data)}}
	}
	for _, c := range []struct {
		name, data string
		n          int64
		want       string
	}{
		{"a", `{}`, 0, ""},
		{"b", `{"spec":{}}`, 3, ""},
		{"c", `null`, 1, "data"},
		{"d", `[]`, 1, "data"},
		{"e", `{}`, -1, "revision: Invalid value: -1"},
		{"", `{}`, 1, "metadata.name: Required value"},
		{"A", `{}`, 1, "metadata.name: Invalid value"},
	} {
		_, err := revisions.Create(t.Context(), made(c.name, c.data, c.n), metav1.CreateOptions{})
		wants(t, c.name+" "+c.data, err, c.want)
	}
	r, err := revisions.Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.Revision = 2
	r, err = revisions.Update(t.Context(), r, metav1.UpdateOptions{})
	wants(t, "renumbered", err, "")
	r.Data.Raw = []byte(`{"a":1}`)
	_, err = revisions.Update(t.Context(), r, metav1.UpdateOptions{})
	wants(t, "other data", err, "field is immutable")
}
