package play_test

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/controller/play"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/publisher/simkubelet"
)

// rolled returns a cluster of so many nodes in which a DaemonSet was rolled out,
// and then another image of it, 10% of the nodes at a time.
func rolled(t testing.TB, nodes int) *play.Cluster {
	t.Helper()
	return rolledWith(t, nodes, simkubelet.DefaultOptions())
}

func rolledWith(t testing.TB, nodes int, kubelets simkubelet.Options) *play.Cluster {
	t.Helper()
	s, err := events.NewSubjects("demo")
	if err != nil {
		t.Fatal(err)
	}
	c := play.New(s, "", time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), kubelets)
	write := func(k events.Kind, verb string, o metav1.Object) {
		body, err := events.NewObject(k, o)
		if err == nil {
			_, err = c.Log.Append(t.Context(), events.Entry{Event: events.Event{ID: c.ID(), Type: events.ObjectType(k, verb), Source: "api", Actor: "anna", At: c.Now(), Body: body}})
		}
		if err == nil {
			err = c.Run(t.Context(), c.Now())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(events.Namespace, events.VerbCreated, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "x", UID: "n"}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive}})
	for n := range simkubelet.NewNodes(nodes, 1) {
		write(events.Node, events.VerbCreated, n)
	}
	labels, ten, none := map[string]string{"app": "a"}, intstr.FromString("10%"), intstr.FromInt32(0)
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "a", UID: "d", Generation: 1}}
	ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &ten, MaxSurge: &none}}
	ds.Spec.Template.Labels = labels
	ds.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} // one of the nodes has a taint
	ds.Spec.Template.Spec.Containers = []corev1.Container{{Name: "a", Image: "a:1"}}
	write(events.DaemonSet, events.VerbCreated, ds)
	if err := c.Run(t.Context(), c.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	now, _, _ := c.State.Object(events.DaemonSet, events.Key{Namespace: "x", Name: "a"})
	if err := now.Decode(ds); err != nil {
		t.Fatal(err)
	}
	ds.Generation++
	ds.Spec.Template.Spec.Containers[0].Image = "a:2"
	write(events.DaemonSet, events.VerbUpdated, ds)
	if err := c.Run(t.Context(), c.Now().Add(10*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n := c.State.DaemonSets()[0].Counts; n.Updated != nodes || n.Available != nodes {
		t.Fatalf("not rolled out: %+v", n)
	}
	return c
}

// BenchmarkWhatIf asks what a rollout over 1,000 nodes would have been with half
// the budget, and compares. It is to take no more than 3 s.
func BenchmarkWhatIf(b *testing.B) {
	c := rolled(b, 1000)
	x, err := play.ParseSet("x/a.maxUnavailable=5%", "x")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		w, err := play.NewWhatIf(b.Context(), c.Log, c.Subjects, play.Question{Sets: []play.Set{x}, Longer: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		p, err := w.Play(b.Context(), 1)
		if err != nil {
			b.Fatal(err)
		}
		pairs, err := w.Pairs(b.Context(), p.Log)
		if err != nil || len(pairs) != 2 || pairs[1].Model == nil || pairs[1].Model.Restarted != 1000 || pairs[1].Model.PeakUnavailable > 50 {
			b.Fatal(pairs, err)
		}
	}
	b.ReportMetric(float64(c.State.Seq()), "events")
}

// BenchmarkForesight foresees a rollout over 1,000 nodes once, 10% of them at a
// time, as plan does several times.
func BenchmarkForesight(b *testing.B) {
	c := rolled(b, 1000)
	i, _ := newImage(b, c)
	h := history(b, c)
	d, _, err := play.DelaysOf(b.Context(), h, c.State.Seq())
	if err != nil {
		b.Fatal(err)
	}
	f, err := play.NewForesight(b.Context(), h, c.Subjects, now(c))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		all, err := f.Play(b.Context(), []play.Intent{i}, play.Terms{Delays: &d, Seed: 1, Longer: time.Hour})
		if err != nil || len(all[0].Updated) != 1000 || all[0].Took == nil {
			b.Fatal(all, err)
		}
	}
}

// BenchmarkVerify decides every plan of a rollout over 1,000 nodes again. It is
// to take no more than 2 s.
func BenchmarkVerify(b *testing.B) {
	c := rolled(b, 1000)
	for b.Loop() {
		r, err := replay.Verify(b.Context(), c.Log)
		if err != nil || len(r.Differences) > 0 || r.Equal == 0 {
			b.Fatalf("%+v, %v", r, err)
		}
	}
	b.ReportMetric(float64(c.State.Seq()), "events")
}
