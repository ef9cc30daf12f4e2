package instance

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"rollcall/events"
	"rollcall/projector/apiserver/workloads"
)

// What --controllers says, as kube-controller-manager reads it.
//
// finding U3
func TestControllers(t *testing.T) {
	all := slices.Concat(KnownControllers, helpers())
	but := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(n string) bool { return slices.Contains(names, n) })
	}
	only := func(names ...string) []string { return slices.Concat(names, helpers()) }
	for given, want := range map[string][]string{
		"*": all, "all": all, "*,job": all, "": nil,
		"*,-job": but("job"), "-job,*": but("job"), "-job": but("job"), "*,-namespace-controller": but("namespace"),
		"job,daemonset,job": only("daemonset", "job"), "deployment-controller": only("deployment"),
		"daemonset,-node-lifecycle": slices.DeleteFunc(only("daemonset"), func(n string) bool { return n == "node-lifecycle" }),
		"job,-job":                  only("job"),
	} {
		var words []string
		if given != "" {
			words = strings.Split(given, ",")
		}
		if got, err := ResolveControllers(words); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", given, got, err, want)
		}
	}
	for name, want := range map[string]string{"deployments": "did you mean deployment?", "": "choose from daemonset, ",
		"horizontalpodautoscaler": "choose from", "-": "choose from", "-al": "or * for all", "-*": "choose from"} {
		if _, err := ResolveControllers([]string{name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
	if len(helpers())+len(KnownControllers) != len(workloads.Names())+1 {
		t.Errorf("%v and %v are not our own and %v", KnownControllers, helpers(), workloads.Names())
	}
}

// Who makes what nobody acts on is told, and only then.
//
// finding U3
func TestUnattended(t *testing.T) {
	run, err := ResolveControllers([]string{"daemonset", "job", "deployment", "-disruption"})
	if err != nil {
		t.Fatal(err)
	}
	all, err := ResolveControllers([]string{"*"})
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[events.Kind]string{
		events.Deployment: "leaves the replicaset controller out", events.CronJob: "leaves the cronjob controller out",
		events.StatefulSet: "leaves the statefulset controller out", events.PodDisruptionBudget: "leaves the disruption controller out",
		events.ReplicaSet: "leaves the replicaset controller out", events.Job: "", events.DaemonSet: "",
	} {
		got := ""
		if f := unattended(run)[kind]; f != nil {
			got = f(&appsv1.Deployment{})
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
		if f := unattended(all)[kind]; f != nil {
			t.Errorf("%s is warned of though its controller runs", kind)
		}
	}
	if f := unattended(all)["Ingress"]; f == nil || !strings.Contains(f(nil), "nothing acts on Ingresses here") {
		t.Error("an Ingress is taken without a word")
	}
	if unattended(all)["StorageClass"] != nil || unattended(all)["ClusterRole"] != nil {
		t.Error("warned of what is only read")
	}
	if none := unattended(nil); len(none) > 0 {
		t.Errorf("warned of %v where others act", none)
	}
	for _, kind := range []events.Kind{events.PersistentVolume, events.PersistentVolumeClaim} {
		if unattended(all)[kind] != nil {
			t.Errorf("%s is warned of though it is bound", kind)
		}
	}
}
