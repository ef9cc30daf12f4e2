package simtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/events"
)

// What a DaemonSet means, written down a second time and plainly.

// place is what a node is to a DaemonSet.
type place int

const (
	nowhere  place = iota // there is no such node
	unwanted              // no pod may be there
	kept                  // a pod that is there may stay
	wanted                // a pod should run there
)

func (p place) String() string { return [...]string{"nowhere", "unwanted", "kept", "wanted"}[p] }

// always are taints that daemon pods tolerate, as key and effect.
var always = []string{"node.kubernetes.io/not-ready NoExecute", "node.kubernetes.io/unreachable NoExecute",
	"node.kubernetes.io/disk-pressure NoSchedule", "node.kubernetes.io/memory-pressure NoSchedule",
	"node.kubernetes.io/pid-pressure NoSchedule", "node.kubernetes.io/unschedulable NoSchedule"}

func placeOf(ds *appsv1.DaemonSet, n *corev1.Node) place {
	switch {
	case n == nil:
		return nowhere
	case suspended(ds):
		return unwanted
	}
	for _, k := range sortedKeys(ds.Spec.Template.Spec.NodeSelector, strings.Compare) {
		if v, ok := n.Labels[k]; !ok || v != ds.Spec.Template.Spec.NodeSelector[k] {
			return unwanted
		}
	}
	p := wanted
	for _, t := range n.Spec.Taints {
		switch {
		case t.Effect == corev1.TaintEffectPreferNoSchedule || tolerates(ds, t):
		case t.Effect == corev1.TaintEffectNoExecute:
			return unwanted
		default:
			p = kept
		}
	}
	return p
}

func tolerates(ds *appsv1.DaemonSet, t corev1.Taint) bool {
	if slices.Contains(always, t.Key+" "+string(t.Effect)) {
		return true
	}
	return slices.ContainsFunc(ds.Spec.Template.Spec.Tolerations, func(x corev1.Toleration) bool {
		return (x.Effect == "" || x.Effect == t.Effect) && (x.Key == "" || x.Key == t.Key) &&
			(x.Operator == corev1.TolerationOpExists || x.Value == t.Value)
	})
}

func annotated(ds *appsv1.DaemonSet, key, value string) bool { return ds.Annotations[key] == value }

func suspended(ds *appsv1.DaemonSet) bool { return annotated(ds, events.AnnotationSuspend, "true") }
func paused(ds *appsv1.DaemonSet) bool    { return annotated(ds, events.AnnotationPaused, "true") }

func rolls(ds *appsv1.DaemonSet) bool {
	return ds.Spec.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType
}

// partition returns how many nodes stay on the old revision.
func partition(ds *appsv1.DaemonSet, desired int) int {
	v := intstr.Parse(ds.Annotations[events.AnnotationPartition])
	return scaled(&v, desired, false)
}

// count returns the number that an annotation gives; 0: none.
func count(ds *appsv1.DaemonSet, annotation string) int {
	n, _ := strconv.Atoi(ds.Annotations[annotation])
	return n
}

// scaled returns a number, or a percentage of n nodes.
func scaled(v *intstr.IntOrString, n int, up bool) int {
	if v == nil {
		return 0
	}
	k, _ := intstr.GetScaledValueFromIntOrPercent(v, n, up) // 0, if it is neither
	return k
}

// withheld reports whether a node keeps its old pod because it is no canary.
// The histories ask for one label only.
func withheld(ds *appsv1.DaemonSet, n *corev1.Node) bool {
	k, v, ok := strings.Cut(ds.Annotations[events.AnnotationCanary], "=")
	return ok && n.Labels[k] != v
}

func nodeReady(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// budget returns maxUnavailable and maxSurge for that many desired nodes.
func budget(ds *appsv1.DaemonSet, desired int) (unavailable, surge int) {
	if u := ds.Spec.UpdateStrategy.RollingUpdate; u != nil {
		unavailable, surge = scaled(u.MaxUnavailable, desired, true), scaled(u.MaxSurge, desired, true)
	}
	if unavailable == 0 && surge == 0 && desired > 0 {
		unavailable = 1
	}
	return unavailable, surge
}

// surging reports whether new pods are made beside old ones.
func surging(ds *appsv1.DaemonSet) bool {
	u := ds.Spec.UpdateStrategy.RollingUpdate
	return rolls(ds) && u != nil && scaled(u.MaxSurge, 1, true) > 0
}

func ownerOf(o metav1.Object) types.UID {
	if c := metav1.GetControllerOfNoCopy(o); c != nil {
		return c.UID
	}
	return ""
}

func selects(ds *appsv1.DaemonSet, p *corev1.Pod) bool {
	s, err := metav1.LabelSelectorAsSelector(ds.Spec.Selector)
	return err == nil && !s.Empty() && s.Matches(labels.Set(p.Labels))
}

// templateOf tells templates apart by what the histories vary.
func templateOf(t *corev1.PodTemplateSpec) string {
	return fmt.Sprint(t.Labels, t.Spec.Containers[0].Image, t.Spec.NodeSelector, t.Spec.Tolerations)
}

func finished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
}

// pauseAfter is how long to wait after that many failures in a row.
func pauseAfter(failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	return min(15*time.Minute, time.Second<<min(failures-1, 20))
}
