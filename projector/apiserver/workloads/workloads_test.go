package workloads_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/projector/apiserver/workloads"
)

// One cluster, in which every walk has a namespace of its own. No controller
// starts before there is something for it to do.
//
// finding U3, finding c7, finding U10
func TestWorkloads(t *testing.T) {
	s := newStand(t)
	if started := s.wanted(); len(started) > 0 {
		t.Errorf("%v started in a cluster without objects", started)
	}
	for _, walk := range []struct {
		name string
		run  func(*testing.T, *stand, string)
	}{
		{"deployment", walkDeployment}, {"statefulset", walkStatefulSet}, {"job", walkJob},
		{"failing", walkFailingJob}, {"cronjob", walkCronJob}, {"taint", walkTaint}, {"budget", walkBudget},
		{"replication", walkReplication}, {"namespace", walkNamespace}, {"foreign", walkForeignNode},
	} {
		t.Run(walk.name, func(t *testing.T) {
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: walk.name}}
			if _, err := s.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			walk.run(t, s, walk.name)
			if walk.name == "deployment" && !slices.Equal(slices.Sorted(slices.Values(s.wanted())), []workloads.Want{workloads.Deployments, workloads.ReplicaSets}) {
				t.Errorf("%v started for a Deployment", s.wanted())
			}
		})
	}
	t.Run("actors", func(t *testing.T) { checkActors(t, s) })
}

func template(image string, restart corev1.RestartPolicy) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "a"}},
		Spec: corev1.PodSpec{RestartPolicy: restart, Containers: []corev1.Container{{Name: "c", Image: image}}}}
}

var selector = metav1.LabelSelector{MatchLabels: map[string]string{"app": "a"}}

func deploy(t *testing.T, s *stand, ns string, replicas int32) {
	t.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &selector, Template: template("web:1", "")}}
	if _, err := s.AppsV1().Deployments(ns).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	rolledOut(t, s, ns)
}

// rolledOut waits for what kubectl rollout status waits for.
func rolledOut(t *testing.T, s *stand, ns string) {
	t.Helper()
	await(t, s.AppsV1().Deployments(ns), "web", "rolled out", func(d *appsv1.Deployment) bool {
		want, at := *d.Spec.Replicas, d.Status
		return at.ObservedGeneration >= d.Generation && at.UpdatedReplicas == want && at.Replicas == want && at.AvailableReplicas == want
	})
}

func pods(t *testing.T, s *stand, ns string) []corev1.Pod {
	t.Helper()
	list, err := s.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func patch[T any](t *testing.T, do func(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (T, error), name, body string) {
	t.Helper()
	if _, err := do(t.Context(), name, types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func walkDeployment(t *testing.T, s *stand, ns string) {
	deployments := s.AppsV1().Deployments(ns)
	deploy(t, s, ns, 3)
	patch(t, deployments.Patch, "web", `{"spec":{"replicas":5}}`)
	rolledOut(t, s, ns)
	patch(t, deployments.Patch, "web", `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"web:2"}]}}}}`)
	rolledOut(t, s, ns)
	var images []string
	for _, p := range pods(t, s, ns) {
		if p.DeletionTimestamp == nil {
			images = append(images, p.Spec.Containers[0].Image)
		}
	}
	if want := slices.Repeat([]string{"web:2"}, 5); !slices.Equal(images, want) {
		t.Errorf("images %v, want %v", images, want)
	}
	sets, err := s.AppsV1().ReplicaSets(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(sets.Items) != 2 {
		t.Errorf("%d ReplicaSets, want one for each image; %v", len(sets.Items), err)
	}
	foreground := metav1.DeletePropagationForeground
	if err := deployments.Delete(t.Context(), "web", metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, deployments, "web")
	if left := pods(t, s, ns); len(left) > 0 {
		t.Errorf("%d pods outlive their Deployment", len(left))
	}
}

func walkStatefulSet(t *testing.T, s *stand, ns string) {
	sets, claims := s.AppsV1().StatefulSets(ns), s.CoreV1().PersistentVolumeClaims(ns)
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db"}, Spec: appsv1.StatefulSetSpec{Replicas: ptr.To[int32](2),
		Selector: &selector, ServiceName: "db", Template: template("db:1", ""), VolumeClaimTemplates: []corev1.PersistentVolumeClaim{
			{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}}}}}}}
	// create makes the set, and returns the uids of its claims, which are bound.
	create := func() (uids []types.UID) {
		if _, err := sets.Create(t.Context(), set, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		await(t, sets, "db", "available", func(o *appsv1.StatefulSet) bool { return o.Status.AvailableReplicas == 2 })
		for _, name := range []string{"data-db-0", "data-db-1"} {
			c := await(t, claims, name, "bound", func(c *corev1.PersistentVolumeClaim) bool { return c.Status.Phase == corev1.ClaimBound })
			uids = append(uids, c.UID)
		}
		return uids
	}
	first := create()
	ps := pods(t, s, ns)
	if len(ps) != 2 || ps[0].Name != "db-0" || ps[1].CreationTimestamp.Before(&ps[0].CreationTimestamp) {
		t.Errorf("pods are not made in order: %v", ps)
	}
	if err := sets.Delete(t.Context(), "db", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, s.CoreV1().Pods(ns), "db-0")
	awaitGone(t, s.CoreV1().Pods(ns), "db-1")
	if again := create(); !slices.Equal(again, first) {
		t.Errorf("claims %v after the set was deleted and made again, want those before, %v", again, first)
	}
}

func job(name, image string) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: batchv1.JobSpec{
		BackoffLimit: ptr.To[int32](0), Template: template(image, corev1.RestartPolicyNever)}}
}

func has(j *batchv1.Job, c batchv1.JobConditionType) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(x batchv1.JobCondition) bool { return x.Type == c && x.Status == corev1.ConditionTrue })
}

func walkJob(t *testing.T, s *stand, ns string) {
	jobs := s.BatchV1().Jobs(ns)
	j := job("sum", "busybox")
	j.Spec.Completions, j.Spec.TTLSecondsAfterFinished = ptr.To[int32](2), ptr.To[int32](0)
	if _, err := jobs.Create(t.Context(), j, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	follow(t, jobs, metav1.ListOptions{}, "complete", func(e watch.Event) bool { return has(e.Object.(*batchv1.Job), batchv1.JobComplete) })
	awaitGone(t, jobs, "sum")
}

func walkFailingJob(t *testing.T, s *stand, ns string) {
	if _, err := s.BatchV1().Jobs(ns).Create(t.Context(), job("bad", "x:exit-1"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	j := await(t, s.BatchV1().Jobs(ns), "bad", "failed", func(j *batchv1.Job) bool { return has(j, batchv1.JobFailed) })
	if j.Status.Failed != 1 {
		t.Errorf("%d pods failed, want 1", j.Status.Failed)
	}
}

// The schedule of a CronJob begins long ago, so that it is due at once.
func walkCronJob(t *testing.T, s *stand, ns string) {
	cronJobs := s.BatchV1().CronJobs(ns)
	c := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "tick"}, Spec: batchv1.CronJobSpec{Schedule: "* * * * *", Suspend: ptr.To(true),
		JobTemplate: batchv1.JobTemplateSpec{Spec: job("", "busybox").Spec}}}
	c, err := cronJobs.Create(t.Context(), c, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	past := metav1.NewTime(c.CreationTimestamp.Add(-90e9))
	c.Status.LastScheduleTime = &past
	if _, err = cronJobs.UpdateStatus(t.Context(), c, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	patch(t, cronJobs.Patch, "tick", `{"spec":{"suspend":false}}`)
	await(t, cronJobs, "tick", "has run", func(c *batchv1.CronJob) bool { return c.Status.LastSuccessfulTime != nil })
}

func walkTaint(t *testing.T, s *stand, ns string) {
	deploy(t, s, ns, 4)
	nodes := s.CoreV1().Nodes()
	name := pods(t, s, ns)[0].Spec.NodeName
	patch(t, nodes.Patch, name, `{"spec":{"taints":[{"key":"a","value":"b","effect":"NoExecute"}]}}`)
	for _, p := range pods(t, s, ns) {
		if p.Spec.NodeName == name {
			awaitGone(t, s.CoreV1().Pods(ns), p.Name)
		}
	}
	rolledOut(t, s, ns)
	for _, p := range pods(t, s, ns) {
		if p.Spec.NodeName == name && p.DeletionTimestamp == nil {
			t.Errorf("pod %s stays on a node that it does not tolerate", p.Name)
		}
	}
	patch(t, nodes.Patch, name, `{"spec":{"taints":[{"key":"a","value":"b","effect":"NoExecute","$patch":"delete"}]}}`)
}

func walkBudget(t *testing.T, s *stand, ns string) {
	deploy(t, s, ns, 2)
	b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: policyv1.PodDisruptionBudgetSpec{Selector: &selector, MinAvailable: ptr.To(intstr.FromInt32(1))}}
	if _, err := s.PolicyV1().PodDisruptionBudgets(ns).Create(t.Context(), b, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, s.PolicyV1().PodDisruptionBudgets(ns), "web", "allows one", func(b *policyv1.PodDisruptionBudget) bool { return b.Status.DisruptionsAllowed == 1 })
	name := pods(t, s, ns)[0].Name
	if err := s.CoreV1().Pods(ns).EvictV1(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns}}); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, s.CoreV1().Pods(ns), name)
}

// walkReplication takes a ReplicationController up and down.
func walkReplication(t *testing.T, s *stand, ns string) {
	controllers := s.CoreV1().ReplicationControllers(ns)
	pod := template("web:1", corev1.RestartPolicyAlways)
	rc := &corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ReplicationControllerSpec{Replicas: ptr.To[int32](2), Selector: pod.Labels, Template: &pod}}
	if _, err := controllers.Create(t.Context(), rc, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ready := func(n int32) func(*corev1.ReplicationController) bool {
		return func(c *corev1.ReplicationController) bool {
			return c.Status.ReadyReplicas == n && c.Status.Replicas == n
		}
	}
	await(t, controllers, "web", "has two pods", ready(2))
	patch(t, controllers.Patch, "web", `{"spec":{"replicas":1}}`)
	await(t, controllers, "web", "has one pod", ready(1))
}

// checkActors reads what the log says of all the walks: who has written what
// through what, and nothing twice.
func checkActors(t *testing.T, s *stand) {
	const account = "system:serviceaccount:kube-system:"
	wrote := map[string]int{}
	made := map[events.Ref]bool{}
	for e, err := range s.log.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Change == "unchanged" {
			t.Errorf("#%d %s by %s changes nothing", e.Seq, e.Type, e.Actor)
		}
		name, ok := strings.CutPrefix(e.Actor, account)
		if !ok {
			continue
		}
		if e.Manager != name {
			t.Errorf("#%d %s by %s is through %q", e.Seq, e.Type, e.Actor, e.Manager)
		}
		wrote[fmt.Sprint(name, " ", e.Type)]++
		if o, ok := e.Body.(events.Object); ok && e.Type == events.ObjectType(o.Kind, events.VerbCreated) {
			if made[o.Ref] {
				t.Errorf("#%d: %v is made again", e.Seq, o.Ref)
			}
			made[o.Ref] = true
		}
	}
	for _, want := range []string{"deployment-controller replicaset.created", "deployment-controller deployment.updated",
		"replicaset-controller pod.created", "replicaset-controller replicaset.updated",
		"statefulset-controller pod.created", "statefulset-controller persistentvolumeclaim.created", "statefulset-controller statefulset.updated",
		"job-controller pod.created", "job-controller job.updated", "ttl-after-finished-controller job.updated",
		"cronjob-controller job.created", "taint-eviction-controller pod.updated", "disruption-controller poddisruptionbudget.updated",
		"namespace-controller namespace.updated", "namespace-controller namespace.deleted", "namespace-controller configmap.deleted",
		"node-controller node.updated", "replication-controller pod.created", "replication-controller replicationcontroller.updated"} {
		if wrote[want] == 0 {
			t.Errorf("the log knows of no %s, but of %v", want, slices.Sorted(maps.Keys(wrote)))
		}
	}
}

func TestUnknownName(t *testing.T) {
	nowhere := &rest.Config{Host: "https://127.0.0.1:1"}
	err := workloads.Run(t.Context(), nowhere, workloads.Options{Names: []string{"job", "nothing"}})
	if err == nil || !strings.Contains(err.Error(), `"nothing"`) {
		t.Errorf("Run = %v, want a refusal of the name", err)
	}
}
