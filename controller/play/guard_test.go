package play_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller/play"
	"rollcall/events"
	"rollcall/publisher/simkubelet"
)

// change is one event that somebody writes into a cluster.
type change struct {
	t    testing.TB
	c    *play.Cluster
	r    *rand.Rand
	name string // of a node
}

func (x *change) node(change func(*corev1.Node)) {
	var n corev1.Node
	object(x.t, x.c, events.Node, events.Key{Name: x.name}, &n)
	change(&n)
	write(x.t, x.c, events.Node, events.VerbUpdated, &n)
}

func (x *change) pod(change func(*corev1.Pod)) {
	var p corev1.Pod
	all := slices.Collect(x.c.State.Pods())
	object(x.t, x.c, events.Pod, all[x.r.IntN(len(all))].Key, &p)
	change(&p)
	write(x.t, x.c, events.Pod, events.VerbUpdated, &p)
}

func (x *change) set(change func(*appsv1.DaemonSet)) {
	var ds appsv1.DaemonSet
	object(x.t, x.c, events.DaemonSet, agent, &ds)
	change(&ds)
	write(x.t, x.c, events.DaemonSet, events.VerbUpdated, &ds)
}

// single writes one event of some kind, which matters to a rollout or does not.
func single(t testing.TB, c *play.Cluster, r *rand.Rand) string {
	t.Helper()
	nodes := slices.Collect(c.State.Nodes())
	x := &change{t, c, r, nodes[r.IntN(len(nodes))].Name}
	kinds := append(x.ofNodes(), x.ofOthers()...)
	return kinds[r.IntN(len(kinds))]()
}

// ofNodes are changes of nodes, each of which says what it was.
func (x *change) ofNodes() []func() string {
	return []func() string{
		func() string {
			x.node(func(n *corev1.Node) { metav1.SetMetaDataLabel(&n.ObjectMeta, "pool", fmt.Sprint(x.r.IntN(3))) })
			return "label of " + x.name
		},
		func() string {
			x.node(func(n *corev1.Node) {
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "dedicated", Effect: corev1.TaintEffectNoSchedule})
			})
			return "taint of " + x.name
		},
		func() string { x.node(func(n *corev1.Node) { n.Spec.Unschedulable = true }); return "cordon " + x.name },
		func() string {
			x.node(func(n *corev1.Node) {
				for i := range n.Status.Conditions {
					if n.Status.Conditions[i].Type == corev1.NodeReady {
						n.Status.Conditions[i].Status = corev1.ConditionFalse
					}
				}
			})
			return x.name + " is not ready"
		},
		func() string {
			x.node(func(n *corev1.Node) { metav1.SetMetaDataAnnotation(&n.ObjectMeta, events.AnnotationFail, "true") })
			return x.name + " is lost"
		},
		func() string {
			x.node(func(n *corev1.Node) {
				for i := range n.Status.Conditions {
					n.Status.Conditions[i].LastHeartbeatTime = metav1.NewTime(x.c.Now())
				}
			})
			return "heartbeat of " + x.name
		},
		func() string {
			var n corev1.Node
			object(x.t, x.c, events.Node, events.Key{Name: x.name}, &n)
			n.Name, n.UID, n.ResourceVersion = "node-9999", "new", ""
			write(x.t, x.c, events.Node, events.VerbCreated, &n)
			return "another node"
		},
	}
}

// ofOthers are changes of pods, of the DaemonSet and of what it has nothing to do with.
func (x *change) ofOthers() []func() string {
	return []func() string{
		func() string {
			x.pod(func(p *corev1.Pod) { metav1.SetMetaDataLabel(&p.ObjectMeta, "seen", "yes") })
			return "label of a pod"
		},
		func() string {
			x.pod(func(p *corev1.Pod) {
				for i := range p.Status.Conditions {
					if p.Status.Conditions[i].Type == corev1.PodReady {
						p.Status.Conditions[i].Status = corev1.ConditionFalse
					}
				}
			})
			return "a pod is not ready"
		},
		func() string {
			x.pod(func(p *corev1.Pod) { p.Status.Message = "still here" })
			return "status of a pod"
		},
		func() string {
			x.set(func(ds *appsv1.DaemonSet) {
				metav1.SetMetaDataAnnotation(&ds.ObjectMeta, events.AnnotationPaused, "true")
			})
			return "pause"
		},
		func() string {
			x.set(func(ds *appsv1.DaemonSet) { metav1.SetMetaDataLabel(&ds.ObjectMeta, "team", "blue") })
			return "label of the DaemonSet"
		},
		func() string {
			x.set(func(ds *appsv1.DaemonSet) {
				ds.Generation++
				n := intstr.FromInt32(1 + x.r.Int32N(3))
				ds.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = &n
			})
			return "budget"
		},
		func() string {
			x.set(func(ds *appsv1.DaemonSet) { ds.Generation++; ds.Spec.Template.Spec.Containers[0].Image = "a:2b" })
			return "another template"
		},
		func() string {
			write(x.t, x.c, events.ConfigMap, events.VerbCreated, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: fmt.Sprint(x.c.State.Seq()), UID: "c"}})
			return "a ConfigMap"
		},
		func() string {
			var ds appsv1.DaemonSet
			object(x.t, x.c, events.DaemonSet, agent, &ds)
			ds.Name, ds.UID, ds.Generation, ds.Status = "b", "b", 1, appsv1.DaemonSetStatus{}
			ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "b"}}
			ds.Spec.Template.Labels = ds.Spec.Selector.MatchLabels
			write(x.t, x.c, events.DaemonSet, events.VerbCreated, &ds)
			return "another DaemonSet"
		},
	}
}

// TestGuard: a plan is refused if and only if what comes of it is something else.
// That is found a second time by carrying it out: before a single event in one
// cluster, after it in another.
func TestGuard(t *testing.T) {
	rounds := 500
	if testing.Short() {
		rounds = 100
	}
	count := map[bool]int{}
	// carried out, a rollout comes to this
	var planned became
	var plannedSpec appsv1.DaemonSetSpec
	for round := range rounds {
		r := rand.New(rand.NewPCG(uint64(round), 1))
		c := steady(t)
		i, ds := newImage(t, c)
		if round == 0 {
			twin := steady(t)
			plannedSpec = *ds.Spec.DeepCopy()
			planned = carriedOut(t, twin)
		}
		from := c.State.Seq()
		what := single(t, c, r)
		m, err := play.Guard(t.Context(), history(t, c), c.Subjects, []play.Intent{i}, from, c.State.Seq(), time.Hour)
		if err != nil {
			t.Fatal(round, what, err)
		}
		if m != nil && m.Seq != from+1 {
			t.Fatalf("round %d, %s: the plan is refused for #%d", round, what, m.Seq)
		}
		var was appsv1.DaemonSet
		object(t, c, events.DaemonSet, agent, &was)
		was.Spec.Template.Spec.Containers[0].Image = "a:3"
		told := !equality.Semantic.DeepEqual(was.Spec, plannedSpec) || what == "pause" || what == "another template"
		b := carriedOut(t, c)
		differs := told || !slices.Equal(b.updated, planned.updated) || !slices.Equal(slices.Concat(b.waves...), slices.Concat(planned.waves...)) ||
			len(b.waves) > 0 && !slices.Equal(b.waves[0], planned.waves[0])
		if differs != (m != nil) {
			t.Fatalf("round %d, %s: refused: %+v, carried out %+v, planned %+v", round, what, m, b, planned)
		}
		count[differs]++
	}
	if count[true] < rounds/5 || count[false] < rounds/5 {
		t.Errorf("%d events mattered, and %d did not", count[true], count[false])
	}
}

// steady returns a cluster of few nodes in which all is done and every pod takes
// the same.
func steady(t testing.TB) *play.Cluster {
	t.Helper()
	o := simkubelet.DefaultOptions()
	o.Took = func(string, *corev1.Pod) (time.Duration, bool) { return time.Second, true }
	return rolledWith(t, 7, o)
}

// carriedOut writes the new image, and returns what comes of it.
func carriedOut(t testing.TB, c *play.Cluster) became {
	t.Helper()
	_, ds := newImage(t, c)
	at := c.State.Seq()
	write(t, c, events.DaemonSet, events.VerbUpdated, ds)
	run(t, c, time.Hour)
	return happened(t, c, at)
}
