package scenes

import (
	"context"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller/play"
	"rollcall/events"
	"rollcall/projector/story"
	"rollcall/publisher/simkubelet"
)

// epoch is when every scene begins.
var epoch = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// cluster is a cluster in played time that a scene is played with.
type cluster struct {
	*play.Cluster
	t testing.TB
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	subjects, err := events.NewSubjects("demo")
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{play.New(subjects, "", epoch, kubelets()), t}
}

// kubelets are how long the pods of a scene take.
func kubelets() simkubelet.Options {
	o := simkubelet.DefaultOptions()
	o.Start, o.Stop = simkubelet.Delay{From: 2 * time.Second, To: 9 * time.Second}, simkubelet.Delay{From: time.Second, To: 3 * time.Second}
	return o
}

func (c *cluster) must(err error) {
	if err != nil {
		c.t.Helper()
		c.t.Fatal(err)
	}
}

// run lets time pass.
func (c *cluster) run(d time.Duration) {
	c.t.Helper()
	c.must(c.Run(context.Background(), c.Now().Add(d)))
}

// write appends what a user of the API has made of an object; was is the object
// before, nil for a new one.
func (c *cluster) write(verb, manager string, k events.Kind, was *events.Object, last events.Seq, o metav1.Object) {
	c.t.Helper()
	body, err := events.NewObject(k, o)
	c.must(err)
	e := events.Event{ID: c.ID(), Type: events.ObjectType(k, events.VerbUpdated), Source: "api", Actor: "anna", Verb: verb, Manager: manager, At: c.Now(), Body: body}
	if was == nil {
		was, e.Type = &events.Object{}, events.ObjectType(k, events.VerbCreated)
	}
	e.Change = story.Change(*was, body)
	_, err = c.Log.Append(context.Background(), events.Entry{Event: e, Expect: events.Expect{Subject: c.Subjects.Object(k, body.Ref.Key), Last: last}})
	c.must(err)
}

func (c *cluster) create(k events.Kind, o metav1.Object) {
	o.SetCreationTimestamp(metav1.NewTime(c.Now().Truncate(time.Second)))
	c.write("create", "kubectl-create", k, nil, 0, o)
}

// patch changes an object.
func patch[T metav1.Object](c *cluster, manager string, k events.Kind, key events.Key, into T, change func(T)) {
	c.t.Helper()
	c.must(c.Observe(context.Background()))
	was, last, ok := c.State.Object(k, key)
	if !ok {
		c.t.Fatalf("there is no %s %s", k, key)
	}
	c.must(was.Decode(into))
	change(into)
	c.write("patch", manager, k, &was, last, into)
}

// agentKey is the DaemonSet of every scene.
var agentKey = events.Key{Namespace: "kube-system", Name: "node-agent"}

// namespaces creates the two that every scene has.
func (c *cluster) namespaces() {
	for i, name := range []string{"default", "kube-system"} {
		c.create(events.Namespace, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("b0000000-0000-4000-8000-00000000000" + string(rune('1'+i))),
			Labels: map[string]string{corev1.LabelMetadataName: name}}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}})
	}
}

// begin makes a cluster of so many nodes with the DaemonSet on all of them.
func (c *cluster) begin(nodes int, maxUnavailable intstr.IntOrString) {
	c.namespaces()
	for n := range simkubelet.NewNodes(nodes, 1) {
		c.create(events.Node, n)
	}
	c.run(2 * time.Second)
	c.create(events.DaemonSet, agent("2.3.1", maxUnavailable))
	c.run(30 * time.Second)
	if d := c.State.DaemonSet(agentKey); d == nil || d.Counts.Ready != nodes {
		c.t.Fatalf("the cluster of %d nodes has not begun: %+v", nodes, d)
	}
}

// agent is the DaemonSet as the API stores it. Like most agents of nodes it
// tolerates everything, so that a node which is lost is still one of its own.
func agent(tag string, maxUnavailable intstr.IntOrString) *appsv1.DaemonSet {
	labels := map[string]string{"app": "node-agent"}
	none := intstr.FromInt32(0)
	history, grace := int32(10), int64(30)
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: agentKey.Name, Namespace: agentKey.Namespace, UID: "a0000000-0000-4000-8000-000000000001", Generation: 1, Labels: labels},
		Spec: appsv1.DaemonSetSpec{
			Selector:             &metav1.LabelSelector{MatchLabels: labels},
			RevisionHistoryLimit: &history,
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &maxUnavailable, MaxSurge: &none}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyAlways, DNSPolicy: corev1.DNSClusterFirst, SchedulerName: corev1.DefaultSchedulerName,
				Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
				TerminationGracePeriodSeconds: &grace, SecurityContext: &corev1.PodSecurityContext{},
				Containers: []corev1.Container{{Name: "agent", Image: "registry.example.com/node-agent:" + tag, ImagePullPolicy: corev1.PullIfNotPresent,
					Env:                    []corev1.EnvVar{{Name: "LOG_LEVEL", Value: "info"}, {Name: "TOKEN", Value: "not-a-secret"}},
					TerminationMessagePath: corev1.TerminationMessagePathDefault, TerminationMessagePolicy: corev1.TerminationMessageReadFile}},
			}},
		},
	}
}

// setImage is kubectl set image.
func (c *cluster) setImage(tag string) {
	c.t.Helper()
	patch(c, "kubectl-set", events.DaemonSet, agentKey, &appsv1.DaemonSet{}, func(ds *appsv1.DaemonSet) {
		ds.Spec.Template.Spec.Containers[0].Image = "registry.example.com/node-agent:" + tag
		ds.Generation++
	})
}

// fail makes a node fail as if the power went, or ends that.
func (c *cluster) fail(name string, fails bool) {
	c.t.Helper()
	patch(c, "rollcall", events.Node, events.Key{Name: name}, &corev1.Node{}, func(n *corev1.Node) {
		if delete(n.Annotations, events.AnnotationFail); fails {
			metav1.SetMetaDataAnnotation(&n.ObjectMeta, events.AnnotationFail, "true")
		}
	})
}

// rolledOut wants every node to have a ready pod of the newest revision.
func (c *cluster) rolledOut() {
	c.t.Helper()
	d := c.State.DaemonSet(agentKey)
	if n := d.Counts; n.Ready != n.Desired || n.Updated != n.Desired || n.Desired == 0 {
		c.t.Fatalf("it is not rolled out at #%d, %s: %+v", c.State.Seq(), c.Now(), n)
	}
}

// stuck wants the rollout to be under way.
func (c *cluster) stuck() {
	c.t.Helper()
	if n := c.State.DaemonSet(agentKey).Counts; n.Ready == n.Desired && n.Updated == n.Desired {
		c.t.Fatalf("it is rolled out at #%d, %s: %+v", c.State.Seq(), c.Now(), n)
	}
}
