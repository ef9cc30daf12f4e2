package kube

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// node registers a node that is ready.
func (c *cluster) node(name string) {
	c.Helper()
	n, err := c.client.CoreV1().Nodes().Create(c.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name}}}, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	if _, err := c.client.CoreV1().Nodes().Patch(c.Context(), name, types.MergePatchType, []byte(`{"spec":{"taints":null}}`), metav1.PatchOptions{}); err != nil {
		c.Fatal(err) // admission has put one on, which nobody takes off here
	}
	c.beats(n, time.Now())
}

// beat has nodes say every ten seconds that they are there, until the test ends.
func (c *cluster) beat(names ...string) {
	c.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			for _, name := range names {
				patch := fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":%q}]}}`, time.Now().UTC().Format(time.RFC3339))
				_, err := c.client.CoreV1().Nodes().Patch(ctx, name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
				if err != nil && ctx.Err() == nil {
					c.Logf("heartbeat of %s: %v", name, err)
				}
			}
			select {
			case <-time.After(10 * time.Second):
			case <-ctx.Done():
				return
			}
		}
	}()
	c.Cleanup(func() {
		stop()
		<-done
	})
}

// beats has a node say that it was there at a time.
func (c *cluster) beats(n *corev1.Node, at time.Time) {
	c.Helper()
	patch := fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady","lastHeartbeatTime":%q,"lastTransitionTime":%q}]}}`,
		at.UTC().Format(time.RFC3339), n.CreationTimestamp.UTC().Format(time.RFC3339))
	if _, err := c.client.CoreV1().Nodes().Patch(c.Context(), n.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
		c.Fatal(err)
	}
}

// kubelets bind pods to their nodes, have them run, and end them: all that the books of
// a scheduler and of kubelets say. They go on until the test ends.
func (c *cluster) kubelets() {
	c.Helper()
	ctx, stop := context.WithCancel(context.Background())
	factory := informers.NewSharedInformerFactory(c.client, 0)
	pods := factory.Core().V1().Pods().Informer()
	var group sync.WaitGroup
	todo := make(chan *corev1.Pod, 4096)
	put := func(p *corev1.Pod) {
		select {
		case todo <- p:
		case <-ctx.Done():
		}
	}
	see := func(o any) {
		p, ok := o.(*corev1.Pod)
		switch {
		case !ok:
		case p.Spec.NodeName != "" && p.Status.Phase == corev1.PodPending && p.DeletionTimestamp == nil:
			time.AfterFunc(c.starts(p), func() { put(p) })
		default:
			put(p)
		}
	}
	if _, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: see, UpdateFunc: func(_, o any) { see(o) }}); err != nil {
		c.Fatal(err)
	}
	for range 4 {
		group.Go(func() {
			for {
				select {
				case p := <-todo:
					if err := c.keep(ctx, p); err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
						group.Go(func() { // the server is away, or a race was lost
							select {
							case <-time.After(500 * time.Millisecond):
								put(p)
							case <-ctx.Done():
							}
						})
					}
				case <-ctx.Done():
					return
				}
			}
		})
	}
	factory.Start(ctx.Done())
	c.Cleanup(func() {
		stop()
		factory.Shutdown()
		group.Wait()
	})
}

// starts is how long a pod takes until it is ready.
func (c *cluster) starts(p *corev1.Pod) (d time.Duration) {
	if c.pace != nil {
		d = c.pace(p)
	}
	if probe := p.Spec.Containers[0].ReadinessProbe; probe != nil {
		d += time.Duration(probe.InitialDelaySeconds) * time.Second
	}
	return d
}

// keep does the next thing for a pod.
func (c *cluster) keep(ctx context.Context, p *corev1.Pod) error {
	api := c.client.CoreV1().Pods(p.Namespace)
	switch {
	case p.DeletionTimestamp != nil && p.Spec.NodeName != "":
		now := int64(0)
		return api.Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &p.UID}})
	case p.DeletionTimestamp != nil || p.Status.Phase != corev1.PodPending || strings.HasSuffix(p.Spec.Containers[0].Image, ":non-existent"):
		return nil
	case p.Spec.NodeName == "":
		node := pin(p)
		if node == "" {
			return nil
		}
		return api.Bind(ctx, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID}, Target: corev1.ObjectReference{Kind: "Node", Name: node}}, metav1.CreateOptions{})
	}
	if c.stuck(p) {
		return errStuck
	}
	now := time.Now().UTC().Format(time.RFC3339)
	patch := fmt.Sprintf(`{"metadata":{"uid":%q},"status":{"phase":"Running","startTime":%q,"conditions":[{"type":"Ready","status":"True","lastTransitionTime":%q}]}}`, p.UID, now, now)
	_, err := api.Patch(ctx, p.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	return err
}

// pin returns the node that a daemon pod is for.
func pin(p *corev1.Pod) string {
	a := p.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, f := range term.MatchFields {
			if f.Key == "metadata.name" && len(f.Values) == 1 {
				return f.Values[0]
			}
		}
	}
	return ""
}
