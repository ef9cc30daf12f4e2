package play_test

import (
	"encoding/json"
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
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"rollcall/controller/play"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/publisher/simkubelet"
)

var agent = events.Key{Namespace: "x", Name: "a"}

// object reads an object of a cluster.
func object(t testing.TB, c *play.Cluster, k events.Kind, key events.Key, into any) {
	t.Helper()
	o, _, ok := c.State.Object(k, key)
	if !ok {
		t.Fatalf("there is no %s %s", k, key)
	}
	if err := o.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// write writes an object, as somebody does through the API.
func write(t testing.TB, c *play.Cluster, k events.Kind, verb string, o metav1.Object) {
	t.Helper()
	body, err := events.NewObject(k, o)
	if err == nil {
		_, err = c.Log.Append(t.Context(), events.Entry{Event: events.Event{ID: c.ID(), Type: events.ObjectType(k, verb), Source: "api", Actor: "bob", At: c.Now(), Body: body}})
	}
	if err == nil {
		err = c.Observe(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, c *play.Cluster, d time.Duration) {
	t.Helper()
	if err := c.Run(t.Context(), c.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
}

// tree returns an object as a server has it.
func tree(t testing.TB, o any) (m map[string]any) {
	t.Helper()
	data, err := json.Marshal(o)
	if err == nil {
		err = utiljson.Unmarshal(data, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// newImage is the intent to give the DaemonSet another image, and the DaemonSet.
func newImage(t testing.TB, c *play.Cluster) (play.Intent, *appsv1.DaemonSet) {
	t.Helper()
	var ds appsv1.DaemonSet
	object(t, c, events.DaemonSet, agent, &ds)
	before := tree(t, &ds)
	ds.Generation++
	ds.Spec.Template.Spec.Containers[0].Image = "a:3"
	i, err := play.NewIntent(events.DaemonSet, before, tree(t, &ds))
	if err != nil {
		t.Fatal(err)
	}
	return i, &ds
}

func now(c *play.Cluster) replay.Moment {
	return replay.Moment{Point: replay.Point{Seq: c.State.Seq(), Time: c.State.Time()}, Now: c.State.Time()}
}

func history(t testing.TB, c *play.Cluster) *replay.History {
	t.Helper()
	h, err := replay.Open(t.Context(), c.Log, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// foresee plays an intent from the end of the log on.
func foresee(t testing.TB, c *play.Cluster, i play.Intent, terms play.Terms) *play.Outcome {
	t.Helper()
	f, err := play.NewForesight(t.Context(), history(t, c), c.Subjects, now(c))
	if err != nil {
		t.Fatal(err)
	}
	all, err := f.Play(t.Context(), []play.Intent{i}, terms)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	return all[0]
}

// became is what a rollout has come to, from the log alone.
type became struct {
	waves   [][]string
	updated []string
	peak    int
}

// happened tells it of the events after a position.
func happened(t testing.TB, c *play.Cluster, after events.Seq) (b became) {
	t.Helper()
	for e, err := range c.Log.Read(t.Context(), after) {
		if err != nil {
			t.Fatal(err)
		}
		p, ok := e.Body.(*events.Plan)
		if !ok || p.Owner.Key != agent {
			continue
		}
		var nodes []string
		for _, x := range p.Commands {
			if x.Reason == events.Rollout {
				nodes = append(nodes, x.Node)
			}
		}
		if nodes != nil {
			b.waves = append(b.waves, nodes)
		}
		b.peak = max(b.peak, p.Rollout.Unavailable+p.Rollout.Taken)
	}
	hash := c.State.DaemonSet(agent).CurrentRevision().Hash
	for p := range c.State.Pods() {
		if p.Key.Namespace == "x" && p.Ready && p.Labels()[daemonpod.RevisionLabel] == hash {
			b.updated = append(b.updated, p.Node)
		}
	}
	slices.Sort(b.updated)
	return b
}

// TestForesight: what is foreseen happens: the same waves of the same nodes, and
// those that cannot be updated are not.
func TestForesight(t *testing.T) {
	for name, spoil := range map[string]func(c *play.Cluster){
		"nothing": func(*play.Cluster) {},
		"a node is lost": func(c *play.Cluster) {
			var n corev1.Node
			object(t, c, events.Node, events.Key{Name: "node-0003"}, &n)
			metav1.SetMetaDataAnnotation(&n.ObjectMeta, events.AnnotationFail, "true")
			write(t, c, events.Node, events.VerbUpdated, &n)
			run(t, c, time.Minute)
		},
		"nodes that nobody simulates": func(c *play.Cluster) {
			for _, name := range []string{"node-0002", "node-0005", "node-0006"} {
				var n corev1.Node
				object(t, c, events.Node, events.Key{Name: name}, &n)
				delete(n.Labels, events.LabelSimulated)
				write(t, c, events.Node, events.VerbUpdated, &n)
			}
		},
		"in the middle of another": func(c *play.Cluster) {
			var ds appsv1.DaemonSet
			object(t, c, events.DaemonSet, agent, &ds)
			ds.Generation++
			ds.Spec.Template.Spec.Containers[0].Image = "a:2b"
			write(t, c, events.DaemonSet, events.VerbUpdated, &ds)
			run(t, c, 1500*time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := rolled(t, 20)
			spoil(c)
			i, ds := newImage(t, c)
			d, _, err := play.DelaysOf(t.Context(), history(t, c), c.State.Seq())
			if err != nil {
				t.Fatal(err)
			}
			x := foresee(t, c, i, play.Terms{Delays: &d, Seed: 1, Longer: time.Hour})
			if name == "nodes that nobody simulates" {
				if len(x.Updated) != 20 || x.Blocked != nil || x.Took == nil || x.PeakUnavailable != 2 {
					t.Errorf("updated %v, blocked %+v, %v, %d unavailable", x.Updated, x.Blocked, x.Took, x.PeakUnavailable)
				}
				return // and nobody answers
			}
			at := c.State.Seq()
			write(t, c, events.DaemonSet, events.VerbUpdated, ds)
			run(t, c, 10*time.Minute)
			b := happened(t, c, at)
			if !slices.Equal(b.updated, x.Updated) || len(x.Updated) < 19 {
				t.Errorf("updated %v, foreseen %v", b.updated, x.Updated)
			}
			if got := c.State.DaemonSet(agent).CurrentRevision(); got.Hash != x.Hash || got.Number != x.Revision {
				t.Errorf("revision %d %s, foreseen %d %s", got.Number, got.Hash, x.Revision, x.Hash)
			}
			if b.peak > x.PeakUnavailable || x.PeakUnavailable > 3 {
				t.Errorf("%d unavailable, foreseen %d", b.peak, x.PeakUnavailable)
			}
			if name == "a node is lost" {
				if len(x.Blocked) != 1 || !slices.Equal(x.Blocked[0].Nodes, []string{"node-0003"}) || !x.Blocked[0].NotReady || x.Took != nil {
					t.Errorf("blocked %+v, %v", x.Blocked, x.Took)
				}
			} else if x.Blocked != nil || x.Took == nil {
				t.Errorf("blocked %+v, %v", x.Blocked, x.Took)
			}
			var order, foreseen []string
			for _, w := range b.waves {
				order = append(order, w...)
			}
			for _, w := range x.Waves {
				foreseen = append(foreseen, w.Nodes...)
			}
			if !slices.Equal(b.waves[0], x.Waves[0].Nodes) || !slices.Equal(order, foreseen) {
				t.Errorf("waves %v, foreseen %+v", b.waves, x.Waves)
			}
		})
	}
}

// single writes one event of some kind, which matters to a rollout or does not.
func single(t testing.TB, c *play.Cluster, r *rand.Rand) string {
	t.Helper()
	nodes := slices.Collect(c.State.Nodes())
	name := nodes[r.IntN(len(nodes))].Name
	node := func(change func(*corev1.Node)) {
		var n corev1.Node
		object(t, c, events.Node, events.Key{Name: name}, &n)
		change(&n)
		write(t, c, events.Node, events.VerbUpdated, &n)
	}
	pod := func(change func(*corev1.Pod)) {
		var p corev1.Pod
		all := slices.Collect(c.State.Pods())
		object(t, c, events.Pod, all[r.IntN(len(all))].Key, &p)
		change(&p)
		write(t, c, events.Pod, events.VerbUpdated, &p)
	}
	set := func(change func(*appsv1.DaemonSet)) {
		var ds appsv1.DaemonSet
		object(t, c, events.DaemonSet, agent, &ds)
		change(&ds)
		write(t, c, events.DaemonSet, events.VerbUpdated, &ds)
	}
	kinds := []func() string{
		func() string {
			node(func(n *corev1.Node) { metav1.SetMetaDataLabel(&n.ObjectMeta, "pool", fmt.Sprint(r.IntN(3))) })
			return "label of " + name
		},
		func() string {
			node(func(n *corev1.Node) {
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "dedicated", Effect: corev1.TaintEffectNoSchedule})
			})
			return "taint of " + name
		},
		func() string { node(func(n *corev1.Node) { n.Spec.Unschedulable = true }); return "cordon " + name },
		func() string {
			node(func(n *corev1.Node) {
				for i := range n.Status.Conditions {
					if n.Status.Conditions[i].Type == corev1.NodeReady {
						n.Status.Conditions[i].Status = corev1.ConditionFalse
					}
				}
			})
			return name + " is not ready"
		},
		func() string {
			node(func(n *corev1.Node) { metav1.SetMetaDataAnnotation(&n.ObjectMeta, events.AnnotationFail, "true") })
			return name + " is lost"
		},
		func() string {
			node(func(n *corev1.Node) {
				for i := range n.Status.Conditions {
					n.Status.Conditions[i].LastHeartbeatTime = metav1.NewTime(c.Now())
				}
			})
			return "heartbeat of " + name
		},
		func() string {
			var n corev1.Node
			object(t, c, events.Node, events.Key{Name: name}, &n)
			n.Name, n.UID, n.ResourceVersion = "node-9999", "new", ""
			write(t, c, events.Node, events.VerbCreated, &n)
			return "another node"
		},
		func() string {
			pod(func(p *corev1.Pod) { metav1.SetMetaDataLabel(&p.ObjectMeta, "seen", "yes") })
			return "label of a pod"
		},
		func() string {
			pod(func(p *corev1.Pod) {
				for i := range p.Status.Conditions {
					if p.Status.Conditions[i].Type == corev1.PodReady {
						p.Status.Conditions[i].Status = corev1.ConditionFalse
					}
				}
			})
			return "a pod is not ready"
		},
		func() string {
			pod(func(p *corev1.Pod) { p.Status.Message = "still here" })
			return "status of a pod"
		},
		func() string {
			set(func(ds *appsv1.DaemonSet) {
				metav1.SetMetaDataAnnotation(&ds.ObjectMeta, events.AnnotationPaused, "true")
			})
			return "pause"
		},
		func() string {
			set(func(ds *appsv1.DaemonSet) { metav1.SetMetaDataLabel(&ds.ObjectMeta, "team", "blue") })
			return "label of the DaemonSet"
		},
		func() string {
			set(func(ds *appsv1.DaemonSet) {
				ds.Generation++
				n := intstr.FromInt32(1 + r.Int32N(3))
				ds.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = &n
			})
			return "budget"
		},
		func() string {
			set(func(ds *appsv1.DaemonSet) { ds.Generation++; ds.Spec.Template.Spec.Containers[0].Image = "a:2b" })
			return "another template"
		},
		func() string {
			write(t, c, events.ConfigMap, events.VerbCreated, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: fmt.Sprint(c.State.Seq()), UID: "c"}})
			return "a ConfigMap"
		},
		func() string {
			var ds appsv1.DaemonSet
			object(t, c, events.DaemonSet, agent, &ds)
			ds.Name, ds.UID, ds.Generation, ds.Status = "b", "b", 1, appsv1.DaemonSetStatus{}
			ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "b"}}
			ds.Spec.Template.Labels = ds.Spec.Selector.MatchLabels
			write(t, c, events.DaemonSet, events.VerbCreated, &ds)
			return "another DaemonSet"
		},
	}
	return kinds[r.IntN(len(kinds))]()
}

// TestGuard: a plan is refused if and only if what comes of it is something else.
// That is found a second time by carrying it out: before a single event in one
// cluster, after it in another.
func TestGuard(t *testing.T) {
	rounds := 1000
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
