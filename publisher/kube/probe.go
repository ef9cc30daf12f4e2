package kube

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// probeKey names the DaemonSet by which it is found out whether somebody acts as the
// controller of DaemonSets. No node has its selector, so it never has a pod, and it is
// never recorded.
var probeKey = events.Key{Namespace: home, Name: "rollcall-probe"}

// ProbeTime is how long a probe waits if nothing else is asked for: Kubernetes' own
// controller answers within a tenth of a second.
const ProbeTime = 10 * time.Second

// probePause is how often a probe looks.
const probePause = 200 * time.Millisecond

// probe makes a DaemonSet that no node has a pod of, and waits whether somebody acts upon
// it: rival says what he has done, or is empty. at is when it was made, by the cluster's
// clock. The DaemonSet is deleted in any case.
func (c *Cluster) probe(ctx context.Context, wait time.Duration) (rival string, at time.Time, err error) {
	sets, background := c.client.AppsV1().DaemonSets(probeKey.Namespace), metav1.DeletePropagationBackground
	remove := func(ctx context.Context) error {
		err := sets.Delete(ctx, probeKey.Name, metav1.DeleteOptions{PropagationPolicy: &background})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	if err := remove(ctx); err != nil { // of a probe that was killed
		return "", at, c.refused("delete the DaemonSet of a probe", err)
	}
	ds, err := sets.Create(ctx, probeSet(), metav1.CreateOptions{FieldManager: manager})
	if err != nil {
		return "", at, c.refused("create the DaemonSet of a probe", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWait)
		defer cancel()
		if gone := remove(ctx); err == nil && gone != nil {
			err = c.refused("delete the DaemonSet of a probe", gone)
		}
	}()
	for until := time.Now().Add(wait); ; {
		if rival, err = c.answeredProbe(ctx, ds); err != nil || rival != "" || !time.Now().Before(until) {
			return rival, ds.CreationTimestamp.Time, err
		}
		select {
		case <-time.After(probePause):
		case <-ctx.Done():
			return "", at, ctx.Err()
		}
	}
}

// RivalCode is the code of an error that says that somebody else is the controller.
const RivalCode = "E-KUBE-RIVAL"

// Rival says in one line that somebody else acts as the controller of DaemonSets, by what
// he has done.
func (c *Cluster) Rival(what string) error {
	return &events.Error{Code: RivalCode, What: "somebody else acts as the controller of DaemonSets in the cluster", Where: c.Host, Why: what,
		Do: "run kube-controller-manager with --controllers=*,-daemonset-controller, and start again", Exit: events.ExitHalt}
}

// answeredProbe says what somebody has made of a probe; "": nothing yet.
func (c *Cluster) answeredProbe(ctx context.Context, ds *appsv1.DaemonSet) (string, error) {
	is, err := c.client.AppsV1().DaemonSets(ds.Namespace).Get(ctx, ds.Name, metav1.GetOptions{})
	if err != nil {
		return "", c.refused("get the DaemonSet of a probe", err)
	}
	if is.Status.ObservedGeneration > 0 {
		return "somebody has written the status of DaemonSet " + probeKey.String(), nil
	}
	revisions, err := c.client.AppsV1().ControllerRevisions(ds.Namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(ds.Spec.Selector)})
	if err != nil {
		return "", c.refused("list the revisions of a probe", err)
	}
	for i := range revisions.Items {
		if metav1.IsControlledBy(&revisions.Items[i], ds) {
			return "somebody has made a ControllerRevision of DaemonSet " + probeKey.String(), nil
		}
	}
	return "", nil
}

func probeSet() *appsv1.DaemonSet {
	labels := map[string]string{"app": probeKey.Name}
	return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: probeKey.Namespace, Name: probeKey.Name, Labels: labels},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{NodeSelector: map[string]string{probeKey.Name: "no-node"}, Containers: []corev1.Container{{Name: "none", Image: "none"}}}}}}
}
