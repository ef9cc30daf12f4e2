package scenes

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/events"
	"rollcall/events/recording"
	"rollcall/projector"
	"rollcall/publisher/simkubelet"
)

var largeDir = flag.String("large", filepath.Join(os.TempDir(), "rollcall-large"), "directory in which the large recording of benchmarks is kept")

// largeNodes is how many nodes the large recording is of.
const largeNodes = 5000

// Large returns the path of a recording of a large cluster that benchmarks read:
// so many events, or a few more, of 5,000 nodes and three DaemonSets of which one
// is on all of them. One is rolled after the other, while nodes fail and come
// back, and somebody notes what is wrong with their disks. All of it is as up
// would have written it. It is made when it is not there: by one build, the same
// bytes each time; a million events take some minutes and 3 GB of memory.
func Large(tb testing.TB, n int) string {
	tb.Helper()
	path := filepath.Join(*largeDir, fmt.Sprintf("%d.rollcall", n))
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return path
	}
	if err := os.MkdirAll(*largeDir, 0o755); err != nil {
		tb.Fatal(err)
	}
	began := time.Now()
	newLarge(tb, path).play(events.Seq(n))
	tb.Logf("made %s in %s", path, time.Since(began).Round(time.Second))
	return path
}

// large is a large cluster that is recorded while it is played.
type large struct {
	*cluster
	w *recording.Writer
}

func newLarge(tb testing.TB, path string) *large {
	l := &large{cluster: newCluster(tb)}
	var err error
	l.w, err = recording.Create(path, recording.Options{Cluster: l.Subjects.Cluster(), Before: projector.New(l.State.Position().Log).Position()})
	l.must(err)
	return l
}

// largeSets are the DaemonSets, with how they are updated.
var largeSets = []struct {
	name        string
	where       map[string]string // their nodes
	unavailable string            // at most; empty: they surge
}{
	{"node-agent", nil, "10%"},
	{"zone-proxy", map[string]string{corev1.LabelTopologyZone: "region-1a"}, "5%"},
	{"disk-driver", map[string]string{corev1.LabelInstanceTypeStable: "m5.2xlarge"}, ""},
}

// play lets the cluster go on until there are so many events.
func (l *large) play(n events.Seq) {
	l.t.Helper()
	l.namespaces()
	for node := range simkubelet.NewNodes(largeNodes, 1) {
		l.create(events.Node, node)
	}
	l.lapse(5 * time.Second)
	for i := range largeSets {
		l.create(events.DaemonSet, largeSet(i))
		l.lapse(30 * time.Second)
	}
	for round := 0; l.State.Seq() < n; round++ {
		l.image([]int{0, 1, 0, 2}[round%4], fmt.Sprintf("2.%d.0", round))
		for step := range 12 {
			failing := largeNode(17*round + 31*step)
			l.fail(failing, true)
			l.disk(largeNode(101*round+7*step), step%2 == 0)
			l.lapse(7 * time.Second)
			l.fail(failing, false)
			l.lapse(3 * time.Second)
		}
	}
	l.must(l.w.Close())
}

func largeNode(i int) string { return fmt.Sprintf("node-%04d", 2+i%(largeNodes-1)) }

// lapse lets time pass, and records what happened.
func (l *large) lapse(d time.Duration) {
	l.t.Helper()
	l.run(d)
	for e, err := range l.Log.Read(context.Background(), l.w.Position().Seq) {
		l.must(err)
		l.must(l.w.Append(e))
	}
	if !l.w.FrameDue() {
		return
	}
	raw, err := l.State.Keyframe()
	l.must(err)
	l.must(l.w.Keyframe(recording.Keyframe{At: l.State.Position(), Kind: "state", Version: projector.KeyframeFormat, Data: raw}))
}

func largeSet(i int) *appsv1.DaemonSet {
	x := largeSets[i]
	most := intstr.FromString(x.unavailable)
	ds := agent("2.3.1", most)
	ds.Name, ds.UID = x.name, types.UID(fmt.Sprintf("a0000000-0000-4000-8000-%012d", i+1))
	labels := map[string]string{"app": x.name}
	ds.Labels, ds.Spec.Selector.MatchLabels, ds.Spec.Template.Labels, ds.Spec.Template.Spec.NodeSelector = labels, labels, labels, x.where
	if x.unavailable == "" {
		surge, none := intstr.FromString("10%"), intstr.FromInt32(0)
		ds.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &none, MaxSurge: &surge}
	}
	return ds
}

// image is kubectl set image of one of the DaemonSets.
func (l *large) image(i int, tag string) {
	l.t.Helper()
	key := events.Key{Namespace: agentKey.Namespace, Name: largeSets[i].name}
	patch(l.cluster, "kubectl-set", events.DaemonSet, key, &appsv1.DaemonSet{}, func(ds *appsv1.DaemonSet) {
		ds.Spec.Template.Spec.Containers[0].Image = "registry.example.com/" + ds.Name + ":" + tag
		ds.Generation++
	})
}

// disk is what a program that looks after nodes says of one.
func (l *large) disk(node string, bad bool) {
	l.t.Helper()
	patch(l.cluster, "disk-watch", events.Node, events.Key{Name: node}, &corev1.Node{}, func(n *corev1.Node) {
		c := corev1.NodeCondition{Type: "DiskFailing", Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(l.Now().Truncate(time.Second))}
		if bad {
			c.Status = corev1.ConditionTrue
		}
		for i := range n.Status.Conditions {
			if n.Status.Conditions[i].Type == c.Type {
				n.Status.Conditions[i] = c
				return
			}
		}
		n.Status.Conditions = append(n.Status.Conditions, c)
	})
}
