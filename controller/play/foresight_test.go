package play_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"rollcall/controller/play"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/daemonpod"
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

// spoiled are what may have happened to a cluster before a rollout is foreseen.
var spoiled = map[string]func(t *testing.T, c *play.Cluster){
	"nothing": func(*testing.T, *play.Cluster) {},
	"a node is lost": func(t *testing.T, c *play.Cluster) {
		var n corev1.Node
		object(t, c, events.Node, events.Key{Name: "node-0003"}, &n)
		metav1.SetMetaDataAnnotation(&n.ObjectMeta, events.AnnotationFail, "true")
		write(t, c, events.Node, events.VerbUpdated, &n)
		run(t, c, time.Minute)
	},
	"in the middle of another": func(t *testing.T, c *play.Cluster) {
		var ds appsv1.DaemonSet
		object(t, c, events.DaemonSet, agent, &ds)
		ds.Generation++
		ds.Spec.Template.Spec.Containers[0].Image = "a:2b"
		write(t, c, events.DaemonSet, events.VerbUpdated, &ds)
		run(t, c, 1500*time.Millisecond)
	},
}

// seen foresees the rollout of a new image with the delays that the log has shown.
func seen(t *testing.T, c *play.Cluster) (*play.Outcome, *appsv1.DaemonSet) {
	t.Helper()
	i, ds := newImage(t, c)
	d, _, err := play.DelaysOf(t.Context(), history(t, c), c.State.Seq())
	if err != nil {
		t.Fatal(err)
	}
	return foresee(t, c, i, play.Terms{Delays: &d, Seed: 1, Longer: time.Hour}), ds
}

// TestForesight: what is foreseen happens: the same waves of the same nodes, and
// those that cannot be updated are not.
func TestForesight(t *testing.T) {
	for name, spoil := range spoiled {
		t.Run(name, func(t *testing.T) {
			c := rolled(t, 20)
			spoil(t, c)
			x, ds := seen(t, c)
			at := c.State.Seq()
			write(t, c, events.DaemonSet, events.VerbUpdated, ds)
			run(t, c, 10*time.Minute)
			if name == "a node is lost" {
				if len(x.Blocked) != 1 || !slices.Equal(x.Blocked[0].Nodes, []string{"node-0003"}) || !x.Blocked[0].NotReady || x.Took != nil {
					t.Errorf("blocked %+v, %v", x.Blocked, x.Took)
				}
			} else if x.Blocked != nil || x.Took == nil {
				t.Errorf("blocked %+v, %v", x.Blocked, x.Took)
			}
			comes(t, c, x, happened(t, c, at))
		})
	}
}

// comes wants what has happened to be what was foreseen.
func comes(t *testing.T, c *play.Cluster, x *play.Outcome, b became) {
	t.Helper()
	if !slices.Equal(b.updated, x.Updated) || len(x.Updated) < 19 {
		t.Errorf("updated %v, foreseen %v", b.updated, x.Updated)
	}
	if got := c.State.DaemonSet(agent).CurrentRevision(); got.Hash != x.Hash || got.Number != x.Revision {
		t.Errorf("revision %d %s, foreseen %d %s", got.Number, got.Hash, x.Revision, x.Hash)
	}
	if b.peak > x.PeakUnavailable || x.PeakUnavailable > 3 {
		t.Errorf("%d unavailable, foreseen %d", b.peak, x.PeakUnavailable)
	}
	var foreseen [][]string
	for _, w := range x.Waves {
		foreseen = append(foreseen, w.Nodes)
	}
	if !slices.Equal(b.waves[0], foreseen[0]) || !slices.Equal(slices.Concat(b.waves...), slices.Concat(foreseen...)) {
		t.Errorf("waves %v, foreseen %v", b.waves, foreseen)
	}
}

// TestForesightOfOthers: of nodes that nobody simulates the rollout is foreseen, too.
// There nobody answers, so that nothing happens that it could be held against.
func TestForesightOfOthers(t *testing.T) {
	c := rolled(t, 20)
	for _, name := range []string{"node-0002", "node-0005", "node-0006"} {
		var n corev1.Node
		object(t, c, events.Node, events.Key{Name: name}, &n)
		delete(n.Labels, events.LabelSimulated)
		write(t, c, events.Node, events.VerbUpdated, &n)
	}
	if x, _ := seen(t, c); len(x.Updated) != 20 || x.Blocked != nil || x.Took == nil || x.PeakUnavailable != 2 {
		t.Errorf("updated %v, blocked %+v, %v, %d unavailable", x.Updated, x.Blocked, x.Took, x.PeakUnavailable)
	}
}
