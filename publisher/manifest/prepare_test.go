package manifest_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"rollcall/publisher/manifest"
)

// TestCreateDefaults is R01 to R04 and R09.
func TestCreateDefaults(t *testing.T) {
	ds := mustRead(t, agent+"status: {numberReady: 7}\n")
	want := "uid=11111111-2222-4333-8444-555555555555 created=2026-01-02T03:04:05Z generation=1 template=1 strategy=RollingUpdate 1 0 history=10 restart=Always dns=ClusterFirst grace=30 scheduler=default-scheduler ready=0"
	u := ds.Spec.UpdateStrategy
	s := ds.Spec.Template.Spec
	got := fmt.Sprintf("uid=%s created=%s generation=%d template=%s strategy=%s %s %s history=%d restart=%s dns=%s grace=%d scheduler=%s ready=%d",
		ds.UID, ds.CreationTimestamp.UTC().Format(time.RFC3339Nano), ds.Generation, ds.Annotations[appsv1.DeprecatedTemplateGeneration], u.Type, u.RollingUpdate.MaxUnavailable,
		u.RollingUpdate.MaxSurge, *ds.Spec.RevisionHistoryLimit, s.RestartPolicy, s.DNSPolicy, *s.TerminationGracePeriodSeconds, s.SchedulerName, ds.Status.NumberReady)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if ds.Labels != nil || mustRead(t, spec("updateStrategy: {type: OnDelete}\n")).Spec.UpdateStrategy.RollingUpdate != nil {
		t.Error("R02, R03: labels or a rolling update were made up")
	}
	given := with(t, "  namespace: prod\n", "  namespace: prod\n  generation: 9\n  uid: x\n  annotations: {deprecated.daemonset.template.generation: '4'}\n")
	if ds := mustRead(t, given); ds.Generation != 1 || ds.UID != stamp.UID || ds.Annotations[appsv1.DeprecatedTemplateGeneration] != "4" {
		t.Errorf("R04: generation %d, uid %s, template generation %s", ds.Generation, ds.UID, ds.Annotations[appsv1.DeprecatedTemplateGeneration])
	}
}

// TestPrepareUpdate is R05 and R09: what a change does to both generations,
// and what it leaves.
func TestPrepareUpdate(t *testing.T) {
	labelled := with(t, "  namespace: prod\n", "  namespace: prod\n  labels: {team: a}\n")
	for _, tc := range []struct {
		row, data            string
		changed              bool
		generation, template string
	}{
		{"nothing", agent, false, "3", "2"},
		{"another number of the template is not taken", with(t, "  namespace: prod\n", "  namespace: prod\n  annotations: {deprecated.daemonset.template.generation: '9'}\n"), false, "3", "2"},
		{"status", agent + "status: {numberReady: 9}\n", false, "3", "2"},
		{"defaults spelt out", pod("restartPolicy: Always\n"), false, "3", "2"},
		{"label", labelled, true, "3", "2"},
		{"minReadySeconds", spec("minReadySeconds: 5\n"), true, "4", "2"},
		{"image", with(t, "agent:1", "agent:2"), true, "4", "3"},
	} {
		t.Run(tc.row, func(t *testing.T) {
			old := mustRead(t, agent)
			old.Generation, old.Status.NumberReady = 3, 5
			old.Annotations[appsv1.DeprecatedTemplateGeneration] = "2"
			before := old.DeepCopy()
			next := parseOne(t, tc.data)
			changed := manifest.PrepareUpdate(next, old)
			if changed != tc.changed || fmt.Sprint(next.Generation) != tc.generation || next.Annotations[appsv1.DeprecatedTemplateGeneration] != tc.template {
				t.Errorf("changed %t, generation %d, template %s", changed, next.Generation, next.Annotations[appsv1.DeprecatedTemplateGeneration])
			}
			if next.UID != old.UID || next.Status.NumberReady != 5 || !next.CreationTimestamp.Equal(&old.CreationTimestamp) {
				t.Error("identity or status was not kept")
			}
			if !reflect.DeepEqual(before, old) {
				t.Error("the old object was changed")
			}
			checkErrors(t, manifest.ValidateDaemonSet(next, old), "")
		})
	}
}

func parseOne(t *testing.T, data string) *appsv1.DaemonSet {
	t.Helper()
	docs, err := manifest.Parse("f.yaml", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return docs[0].Object.(*appsv1.DaemonSet)
}

// TestUpdateKeeps shows what a manifest leaves that does not name it.
func TestUpdateKeeps(t *testing.T) {
	old := mustRead(t, agent)
	old.Annotations["rollcall/paused"], old.Annotations["team"] = "true", "a"
	old.Spec.Template.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
	old.Finalizers = []string{"example.com/f"}
	next := parseOne(t, agent)
	manifest.PrepareUpdate(next, old)
	if next.Annotations["rollcall/paused"] != "true" || len(next.Finalizers) != 1 || len(next.Spec.Template.Annotations) != 1 {
		t.Errorf("lost what the system owns: %v %v %v", next.Annotations, next.Finalizers, next.Spec.Template.Annotations)
	}
	if _, kept := next.Annotations["team"]; kept {
		t.Error("kept an annotation that the manifest no longer has")
	}
	if next.Generation != old.Generation {
		t.Error("a restart was undone by a manifest that does not name it")
	}
}

// TestImmutableSelector is row M15.
func TestImmutableSelector(t *testing.T) {
	old := mustRead(t, agent)
	docs, err := manifest.Parse("f.yaml", []byte(strings.ReplaceAll(agent, "app: agent", "app: other")))
	if err != nil {
		t.Fatal(err)
	}
	manifest.PrepareUpdate(docs[0].Object, old)
	checkRefusal(t, docs[0].Check(old), "E-MAN-IMMUTABLE", "field is immutable", "spec.selector", "line 8", "--cascade=orphan")
}
