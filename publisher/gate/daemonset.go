package gate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/publisher/manifest"
)

// key returns the object's key, in the default namespace if it names none.
func (o Object) key() events.Key {
	return events.Key{Namespace: cmp.Or(o.Namespace, manifest.DefaultNamespace), Name: o.Name}
}

// DeleteDaemonSet deletes a DaemonSet: at once with cascade background, its
// pods follow; with foreground and orphan it is marked, and goes when the
// controller has removed its pods, or has taken itself off them.
func (g *Gate) DeleteDaemonSet(ctx context.Context, r DeleteDaemonSetRequest) (Reply, error) {
	cascade := strings.ToLower(cmp.Or(string(r.Cascade), "background"))
	finalizer, ok := map[string]string{"background": "", "foreground": metav1.FinalizerDeleteDependents, "orphan": metav1.FinalizerOrphanDependents}[cascade]
	if !ok {
		return Reply{}, &events.Error{Code: "E-GATE-CASCADE", What: fmt.Sprintf("unknown cascade %q", r.Cascade),
			Do: "use background, foreground or orphan", Exit: events.ExitInput}
	}
	results, err := g.write(ctx, r.Actor, func(s Objects) ([]change, error) {
		ds := &appsv1.DaemonSet{}
		last, err := load(s, events.DaemonSet, r.Object.key(), ds)
		if err != nil {
			return nil, err
		}
		what := fmt.Sprintf("daemonset.apps %q deleted from %s namespace", ds.Name, ds.Namespace)
		next := ds.DeepCopy()
		next.Finalizers = slices.DeleteFunc(next.Finalizers, func(f string) bool {
			return f == metav1.FinalizerDeleteDependents || f == metav1.FinalizerOrphanDependents
		})
		if finalizer != "" {
			next.Finalizers = append(next.Finalizers, finalizer)
		}
		if len(next.Finalizers) == 0 {
			return []change{{events.DaemonSet, events.VerbDeleted, ds, last, what}}, nil
		}
		if next.DeletionTimestamp == nil {
			next.DeletionTimestamp = &metav1.Time{Time: g.now()}
			next.DeletionGracePeriodSeconds = new(int64)
			next.Generation++
		}
		if equality.Semantic.DeepEqual(ds, next) {
			return []change{nothing(events.DaemonSet, ds, named(events.DaemonSet, ds.Name, "is being deleted already"))}, nil
		}
		return []change{{events.DaemonSet, events.VerbUpdated, next, last, what}}, nil
	})
	return Reply{Results: results}, err
}

// now returns the time in whole seconds, as Kubernetes writes it.
func (g *Gate) now() time.Time { return g.clock().UTC().Truncate(time.Second) }

// updateDaemonSet changes a DaemonSet by edit, which returns what to say. The
// generations follow from what changed; nothing changed appends nothing.
func (g *Gate) updateDaemonSet(ctx context.Context, actor string, o Object, edit func(s Objects, ds *appsv1.DaemonSet) (what string, err error)) (Reply, error) {
	var warnings []string
	results, err := g.write(ctx, actor, func(s Objects) ([]change, error) {
		old := &appsv1.DaemonSet{}
		last, err := load(s, events.DaemonSet, o.key(), old)
		if err != nil {
			return nil, err
		}
		next := old.DeepCopy()
		what, err := edit(s, next)
		if err != nil {
			return nil, err
		}
		daemonpod.SetDaemonSetDefaults(next)
		if equality.Semantic.DeepEqual(old, next) {
			return []change{nothing(events.DaemonSet, old, what)}, nil
		}
		manifest.Generations(next, old)
		d := manifest.Document{File: "daemonset.apps/" + old.Name, Count: 1, Kind: events.DaemonSet, Object: next}
		if err := d.Check(old); err != nil {
			return nil, err
		}
		warnings = d.Warnings
		return []change{{events.DaemonSet, events.VerbUpdated, next, last, what}}, nil
	})
	return Reply{Results: results, Warnings: warnings}, err
}

// Undo puts the template of an earlier revision back.
func (g *Gate) Undo(ctx context.Context, r UndoRequest) (Reply, error) {
	return g.updateDaemonSet(ctx, r.Actor, r.Object, func(s Objects, ds *appsv1.DaemonSet) (string, error) {
		target, err := revisionOf(s, ds, r.ToRevision)
		if err != nil {
			return "", err
		}
		t, err := daemonpod.Template(target.Data.Raw)
		if err != nil {
			return "", fmt.Errorf("restore revision %d: %w", target.Revision, err)
		}
		daemonpod.SetDefaults(t)
		if manifest.SameTemplate(t, &ds.Spec.Template) {
			return named(events.DaemonSet, ds.Name, fmt.Sprintf("skipped rollback (current template already matches revision %d)", r.ToRevision)), nil
		}
		ds.Spec.Template = *t
		return named(events.DaemonSet, ds.Name, "rolled back"), nil
	})
}

// revisionOf returns the revision of ds with the number n, or for 0 the one
// with the second highest number.
func revisionOf(s Objects, ds *appsv1.DaemonSet, n int64) (*appsv1.ControllerRevision, error) {
	var all []*appsv1.ControllerRevision
	for _, o := range s.List(events.ControllerRevision, ds.Namespace) {
		r := &appsv1.ControllerRevision{}
		if err := o.Decode(r); err != nil {
			return nil, err
		}
		if ref := metav1.GetControllerOf(r); ref != nil && ref.UID == ds.UID {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *appsv1.ControllerRevision) int {
		return cmp.Or(cmp.Compare(b.Revision, a.Revision), strings.Compare(a.Name, b.Name))
	})
	e := &events.Error{Code: "E-GATE-REVISION", Where: "daemonset.apps/" + ds.Name, Exit: events.ExitInput}
	if n == 0 {
		if len(all) > 1 {
			return all[1], nil
		}
		e.What, e.Do = "no last revision to roll back to", "change the template first; rollcall rollout history lists the revisions"
		return nil, e
	}
	var numbers []string
	for _, r := range all {
		if r.Revision == n {
			return r, nil
		}
		numbers = append(numbers, fmt.Sprint(r.Revision))
	}
	e.What, e.Do = fmt.Sprintf("unable to find specified revision %d in history", n), "there are none"
	if len(numbers) > 0 {
		e.Do = "there are " + strings.Join(numbers, ", ")
	}
	return nil, e
}

// restartedAt is the annotation of a template that restarts its pods.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// Restart replaces every pod of a DaemonSet, as a rollout.
func (g *Gate) Restart(ctx context.Context, r RolloutRequest) (Reply, error) {
	return g.updateDaemonSet(ctx, r.Actor, r.Object, func(_ Objects, ds *appsv1.DaemonSet) (string, error) {
		at := g.now().Format(time.RFC3339)
		if ds.Spec.Template.Annotations[restartedAt] == at {
			return "", &events.Error{Code: "E-GATE-RESTART", What: "failed to create patch for " + ds.Name,
				Why: "if restart has already been triggered within the past second, please wait before attempting to trigger another",
				Do:  "try again in a second", Exit: events.ExitFailure}
		}
		set(&ds.Spec.Template.Annotations, restartedAt, at)
		return named(events.DaemonSet, ds.Name, "restarted"), nil
	})
}

func set(m *map[string]string, k, v string) {
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[k] = v
}

// Pause holds the rollout of a DaemonSet: no pod is replaced until Resume.
func (g *Gate) Pause(ctx context.Context, r RolloutRequest) (Reply, error) {
	return g.updateDaemonSet(ctx, r.Actor, r.Object, func(_ Objects, ds *appsv1.DaemonSet) (string, error) {
		if ds.Annotations[events.AnnotationPaused] == "true" {
			return named(events.DaemonSet, ds.Name, "is paused already"), nil
		}
		set(&ds.Annotations, events.AnnotationPaused, "true")
		return named(events.DaemonSet, ds.Name, "paused"), nil
	})
}

// Resume ends Pause.
func (g *Gate) Resume(ctx context.Context, r RolloutRequest) (Reply, error) {
	return g.updateDaemonSet(ctx, r.Actor, r.Object, func(_ Objects, ds *appsv1.DaemonSet) (string, error) {
		if _, is := ds.Annotations[events.AnnotationPaused]; !is {
			return named(events.DaemonSet, ds.Name, "is not paused"), nil
		}
		delete(ds.Annotations, events.AnnotationPaused)
		return named(events.DaemonSet, ds.Name, "resumed"), nil
	})
}

// SetImage sets images of containers, init containers among them.
func (g *Gate) SetImage(ctx context.Context, r SetImageRequest) (Reply, error) {
	if len(r.Images) == 0 {
		return Reply{}, &events.Error{Code: "E-GATE-IMAGE", What: "no image is given", Do: "give container=image", Exit: events.ExitInput}
	}
	return g.updateDaemonSet(ctx, r.Actor, r.Object, func(_ Objects, ds *appsv1.DaemonSet) (string, error) {
		before := ds.DeepCopy()
		for _, assignment := range r.Images {
			if err := setImage(&ds.Spec.Template.Spec, assignment); err != nil {
				return "", err
			}
		}
		if equality.Semantic.DeepEqual(before, ds) {
			return named(events.DaemonSet, ds.Name, "unchanged"), nil
		}
		return named(events.DaemonSet, ds.Name, "image updated"), nil
	})
}

func setImage(spec *corev1.PodSpec, assignment string) error {
	container, image, ok := strings.Cut(assignment, "=")
	if !ok || container == "" || image == "" {
		return &events.Error{Code: "E-GATE-IMAGE", What: fmt.Sprintf("%q is not an image of a container", assignment),
			Do: "write container=image", Exit: events.ExitInput}
	}
	var names []string
	found := false
	for _, cs := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
		for i := range cs {
			names = append(names, cs[i].Name)
			if container == "*" || cs[i].Name == container {
				cs[i].Image, found = image, true
			}
		}
	}
	if !found {
		return &events.Error{Code: "E-GATE-IMAGE", What: fmt.Sprintf("unable to find container named %q", container),
			Do: "the containers are " + strings.Join(names, ", "), Exit: events.ExitInput}
	}
	return nil
}

// defaultGraceSeconds is how long a pod may take to stop that does not say.
const defaultGraceSeconds = 30

// DeletePod deletes a pod by hand: it is marked with its time of grace and
// goes when its node has stopped it; a pod without a node, or one that has
// ended, goes at once.
func (g *Gate) DeletePod(ctx context.Context, r DeletePodRequest) (Reply, error) {
	results, err := g.write(ctx, r.Actor, func(s Objects) ([]change, error) {
		pod := &corev1.Pod{}
		last, err := load(s, events.Pod, r.Object.key(), pod)
		if err != nil {
			return nil, err
		}
		what := fmt.Sprintf("pod %q deleted from %s namespace", pod.Name, pod.Namespace)
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if (pod.Spec.NodeName == "" || ended) && len(pod.Finalizers) == 0 {
			return []change{{events.Pod, events.VerbDeleted, pod, last, what}}, nil
		}
		if pod.DeletionTimestamp != nil {
			return []change{nothing(events.Pod, pod, named(events.Pod, pod.Name, "is being deleted already"))}, nil
		}
		grace := int64(defaultGraceSeconds)
		if pod.Spec.TerminationGracePeriodSeconds != nil {
			grace = *pod.Spec.TerminationGracePeriodSeconds
		}
		pod.DeletionTimestamp = &metav1.Time{Time: g.now().Add(time.Duration(grace) * time.Second)}
		pod.DeletionGracePeriodSeconds = &grace
		return []change{{events.Pod, events.VerbUpdated, pod, last, what}}, nil
	})
	return Reply{Results: results}, err
}
