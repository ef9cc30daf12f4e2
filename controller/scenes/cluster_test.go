package scenes

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/projector/story"
	"rollcall/publisher/executor"
	"rollcall/publisher/simkubelet"
)

// epoch is when every scene begins.
var epoch = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// tick is how long it takes until the next event is stored.
const tick = 230 * time.Microsecond

// cluster is all that up runs but the API, on a log in memory, one step after the
// other and in played time.
type cluster struct {
	t        *testing.T
	subjects events.Subjects
	log      *memlog.Log
	state    *projector.State
	parties  []drive.Party
	now      time.Time
	ids      uint64
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	subjects, err := events.NewSubjects("demo")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, subjects: subjects, now: epoch}
	c.log = memlog.New(subjects, func() time.Time {
		c.now = c.now.Add(tick)
		return c.now
	})
	info, err := c.log.Info(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c.state = projector.New(info.ID)
	o := simkubelet.DefaultOptions()
	o.Start, o.Stop = simkubelet.Delay{From: 2 * time.Second, To: 9 * time.Second}, simkubelet.Delay{From: time.Second, To: 3 * time.Second}
	c.parties = []drive.Party{controller.New(subjects, c.state, controller.Options{ID: c.id}), controller.NewGarbageCollector(subjects, c.state, controller.Options{ID: c.id}),
		executor.New(subjects, executor.LogWorld{}), simkubelet.New(subjects, o)}
	return c
}

// id returns the next id, unlike any other of the scene.
func (c *cluster) id() (id ulid.ULID) {
	c.ids++
	binary.BigEndian.PutUint64(id[8:], c.ids)
	_ = id.SetTime(uint64(c.now.UnixMilli())) // cannot be out of range
	return id
}

// Now implements drive.Clock.
func (c *cluster) Now() time.Time { return c.now }

// Sleep implements drive.Clock.
func (c *cluster) Sleep(_ context.Context, d time.Duration) error {
	c.now = c.now.Add(d)
	return nil
}

// observe has everybody take what is new in the log.
func (c *cluster) observe() {
	for e, err := range c.log.Read(context.Background(), c.state.Seq()) {
		c.must(err)
		e = projector.Fold(c.state, e)
		for _, p := range c.parties {
			p.Observe(e, c.now)
		}
	}
}

func (c *cluster) must(err error) {
	if err != nil {
		c.t.Helper()
		c.t.Fatal(err)
	}
}

// run lets time pass: everything that is due until then is done when it is.
func (c *cluster) run(d time.Duration) {
	until := c.now.Add(d)
	for {
		c.observe()
		next, at := drive.Party(nil), until
		for _, p := range c.parties {
			if t, ok := p.Next(); ok && t.Before(at) {
				next, at = p, t
			}
		}
		if c.now.Before(at) {
			c.now = at
		}
		if next == nil {
			return
		}
		for _, s := range next.Due(c.now, 64) {
			err := s.Perform(context.Background(), drive.Log{Log: c.log, Clock: c})
			next.Done(s, err, c.now)
		}
	}
}

// write appends what a user of the API has made of an object; was is the object
// before, nil for a new one.
func (c *cluster) write(verb, manager string, k events.Kind, was *events.Object, last events.Seq, o metav1.Object) {
	c.t.Helper()
	body, err := events.NewObject(k, o)
	c.must(err)
	e := events.Event{ID: c.id(), Type: events.ObjectType(k, events.VerbUpdated), Source: "api", Actor: "anna", Verb: verb, Manager: manager, At: c.now, Body: body}
	if was == nil {
		was, e.Type = &events.Object{}, events.ObjectType(k, events.VerbCreated)
	}
	e.Change = story.Change(*was, body)
	_, err = c.log.Append(context.Background(), events.Entry{Event: e, Expect: events.Expect{Subject: c.subjects.Object(k, body.Ref.Key), Last: last}})
	c.must(err)
}

func (c *cluster) create(k events.Kind, o metav1.Object) {
	o.SetCreationTimestamp(metav1.NewTime(c.now.Truncate(time.Second)))
	c.write("create", "kubectl-create", k, nil, 0, o)
}

// patch changes an object.
func patch[T metav1.Object](c *cluster, manager string, k events.Kind, key events.Key, into T, change func(T)) {
	c.t.Helper()
	c.observe()
	was, last, ok := c.state.Object(k, key)
	if !ok {
		c.t.Fatalf("there is no %s %s", k, key)
	}
	c.must(was.Decode(into))
	change(into)
	c.write("patch", manager, k, &was, last, into)
}

// agentKey is the DaemonSet of every scene.
var agentKey = events.Key{Namespace: "kube-system", Name: "node-agent"}

// begin makes a cluster of so many nodes with the DaemonSet on all of them.
func (c *cluster) begin(nodes int, maxUnavailable intstr.IntOrString) {
	for i, name := range []string{"default", "kube-system"} {
		c.create(events.Namespace, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("b0000000-0000-4000-8000-00000000000" + string(rune('1'+i))),
			Labels: map[string]string{corev1.LabelMetadataName: name}}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}})
	}
	for _, n := range simkubelet.NewNodes(nodes, 1) {
		c.create(events.Node, n)
	}
	c.run(2 * time.Second)
	c.create(events.DaemonSet, agent("2.3.1", maxUnavailable))
	c.run(30 * time.Second)
	if d := c.state.DaemonSet(agentKey); d == nil || d.Counts.Ready != nodes {
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
	d := c.state.DaemonSet(agentKey)
	if n := d.Counts; n.Ready != n.Desired || n.Updated != n.Desired || n.Desired == 0 {
		c.t.Fatalf("it is not rolled out at #%d, %s: %+v", c.state.Seq(), c.now, n)
	}
}

// stuck wants the rollout to be under way.
func (c *cluster) stuck() {
	c.t.Helper()
	if n := c.state.DaemonSet(agentKey).Counts; n.Ready == n.Desired && n.Updated == n.Desired {
		c.t.Fatalf("it is rolled out at #%d, %s: %+v", c.state.Seq(), c.now, n)
	}
}
