// Package workloads runs Kubernetes' own controllers of Deployments,
// ReplicaSets, StatefulSets, Jobs and CronJobs, and those without which their
// pods would not live as they do elsewhere: eviction by NoExecute taints, and
// the status of PodDisruptionBudgets.
//
// They are clients of the Kubernetes API like any other, each as the service
// account that it has in Kubernetes: what they write is an event of the log
// with them as its actor. Garbage collection, namespaces, nodes and the binding
// of pods are not theirs.
package workloads

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/cronjob"
	"k8s.io/kubernetes/pkg/controller/deployment"
	"k8s.io/kubernetes/pkg/controller/job"
	"k8s.io/kubernetes/pkg/controller/replicaset"
	"k8s.io/kubernetes/pkg/controller/statefulset"
	"k8s.io/kubernetes/pkg/controller/tainteviction"
	"k8s.io/kubernetes/pkg/controller/ttlafterfinished"
)

// workers is how many objects a controller works on at once, as in Kubernetes.
const workers = 5

// builders add the controllers that can be asked for to a crew.
var builders = map[string]func(context.Context, *crew) error{
	"cronjob":     cronJobs,
	"deployment":  deployments,
	"job":         jobs,
	"replicaset":  replicaSets,
	"statefulset": statefulSets,
}

// Run runs the controllers of these names, of "deployment", "replicaset",
// "statefulset", "job" and "cronjob", on the API that c reaches, until ctx is
// done and all of them have stopped, or until one cannot be started. c must be
// allowed to impersonate.
func Run(ctx context.Context, c *rest.Config, names []string) error {
	building, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := newCrew(c)
	if err != nil {
		return err
	}
	for _, name := range names {
		build, ok := builders[name]
		if !ok {
			return fmt.Errorf("there is no controller %q: only %s", name, strings.Join(slices.Sorted(maps.Keys(builders)), ", "))
		}
		if err := build(building, w); err != nil {
			return fmt.Errorf("start the %s controller: %w", name, err)
		}
	}
	if err := evictions(building, w); err != nil {
		return fmt.Errorf("start the eviction by taints: %w", err)
	}
	if err := disruptions(building, w); err != nil {
		return fmt.Errorf("start the controller of PodDisruptionBudgets: %w", err)
	}
	w.work(ctx)
	return ctx.Err()
}

// crew is the controllers that run, on informers that they share.
type crew struct {
	config  *rest.Config
	shared  informers.SharedInformerFactory
	members []func(context.Context)
}

func newCrew(c *rest.Config) (*crew, error) {
	w := &crew{config: rest.CopyConfig(c)}
	w.config.ContentType = runtime.ContentTypeProtobuf
	w.config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	reader := rest.CopyConfig(w.config)
	reader.UserAgent = "shared-informers"
	client, err := kubernetes.NewForConfig(reader)
	if err != nil {
		return nil, fmt.Errorf("make a client for the controllers: %w", err)
	}
	// No resync: what is there is written again only when something changes.
	w.shared = informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(withoutManagers))
	return w, nil
}

// withoutManagers drops what no controller reads and is half of many objects.
func withoutManagers(o any) (any, error) {
	if m, err := meta.Accessor(o); err == nil {
		m.SetManagedFields(nil)
	}
	return o, nil
}

// add makes a member run from work on.
func (w *crew) add(run func(context.Context)) { w.members = append(w.members, run) }

// pool makes a member run with as many workers as in Kubernetes.
func (w *crew) pool(run func(context.Context, int)) {
	w.add(func(ctx context.Context) { run(ctx, workers) })
}

// work runs all members until ctx is done and they have stopped.
func (w *crew) work(ctx context.Context) {
	w.shared.StartWithContext(ctx)
	var running sync.WaitGroup
	for _, run := range w.members {
		running.Go(func() { run(ctx) })
	}
	running.Wait()
	w.shared.Shutdown()
}

// as returns a configuration for clients that act for a controller.
func (w *crew) as(name string) *rest.Config {
	c := rest.CopyConfig(w.config)
	c.UserAgent = name
	c.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:kube-system:" + name,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:masters"}}
	return c
}

func (w *crew) client(name string) (kubernetes.Interface, error) {
	return kubernetes.NewForConfig(w.as(name))
}

func deployments(ctx context.Context, w *crew) error {
	client, err := w.client("deployment-controller")
	if err != nil {
		return err
	}
	apps := w.shared.Apps().V1()
	c, err := deployment.NewDeploymentController(ctx, apps.Deployments(), apps.ReplicaSets(), w.shared.Core().V1().Pods(), client)
	if err != nil {
		return err
	}
	w.pool(c.Run)
	return nil
}

func replicaSets(ctx context.Context, w *crew) error {
	client, err := w.client("replicaset-controller")
	if err != nil {
		return err
	}
	c := replicaset.NewReplicaSetController(ctx, w.shared.Apps().V1().ReplicaSets(), w.shared.Core().V1().Pods(), client, replicaset.BurstReplicas)
	w.pool(c.Run)
	return nil
}

func statefulSets(ctx context.Context, w *crew) error {
	client, err := w.client("statefulset-controller")
	if err != nil {
		return err
	}
	apps, core := w.shared.Apps().V1(), w.shared.Core().V1()
	c := statefulset.NewStatefulSetController(ctx, core.Pods(), apps.StatefulSets(), core.PersistentVolumeClaims(), apps.ControllerRevisions(), client)
	w.pool(c.Run)
	return nil
}

// jobs adds the controller of Jobs, and the one that deletes those whose
// ttlSecondsAfterFinished is over.
func jobs(ctx context.Context, w *crew) error {
	client, err := w.client("job-controller")
	if err != nil {
		return err
	}
	informer := w.shared.Batch().V1().Jobs()
	c, err := job.NewController(ctx, client, w.shared.Core().V1().Pods(), informer, nil, nil)
	if err != nil {
		return err
	}
	w.pool(c.Run)
	if client, err = w.client("ttl-after-finished-controller"); err != nil {
		return err
	}
	w.pool(ttlafterfinished.New(ctx, informer, client).Run)
	return nil
}

func cronJobs(ctx context.Context, w *crew) error {
	client, err := w.client("cronjob-controller")
	if err != nil {
		return err
	}
	batch := w.shared.Batch().V1()
	c, err := cronjob.NewControllerV2(ctx, batch.Jobs(), batch.CronJobs(), client)
	if err != nil {
		return err
	}
	w.pool(c.Run)
	return nil
}

// evictions adds the controller that deletes the pods that do not tolerate a
// NoExecute taint of their node.
func evictions(ctx context.Context, w *crew) error {
	const name = "taint-eviction-controller"
	client, err := w.client(name)
	if err != nil {
		return err
	}
	core := w.shared.Core().V1()
	if err := controller.AddPodNodeNameIndexer(core.Pods().Informer()); err != nil {
		return err
	}
	c, err := tainteviction.New(ctx, client, core.Pods(), core.Nodes(), name)
	if err != nil {
		return err
	}
	w.add(c.Run)
	return nil
}
