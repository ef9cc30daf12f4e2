// Package workloads runs Kubernetes' own controllers: those of Deployments,
// ReplicaSets, StatefulSets, Jobs and CronJobs, and those without which these,
// nodes and namespaces would not live as they do elsewhere. Each starts when
// there is something for it to do, and costs nothing before.
//
// They are clients of the Kubernetes API like any other, each as the service
// account that it has in Kubernetes: what they write is an event of the log
// with them as its actor. DaemonSets, garbage collection, simulated nodes and
// the binding of pods are not theirs.
package workloads

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/cronjob"
	"k8s.io/kubernetes/pkg/controller/deployment"
	"k8s.io/kubernetes/pkg/controller/job"
	"k8s.io/kubernetes/pkg/controller/replicaset"
	"k8s.io/kubernetes/pkg/controller/statefulset"
	"k8s.io/kubernetes/pkg/controller/tainteviction"
	"k8s.io/kubernetes/pkg/controller/ttlafterfinished"
	"k8s.io/kubernetes/pkg/serviceaccount"
)

// workers is how many objects a controller works on at once, as in Kubernetes.
const workers = 5

// Want is what there has to be for a controller to have anything to do.
type Want string

// What controllers wait for. The first eight are kinds.
const (
	Deployments   Want = "Deployment"
	ReplicaSets   Want = "ReplicaSet"
	StatefulSets  Want = "StatefulSet"
	Jobs          Want = "Job"
	CronJobs      Want = "CronJob"
	Budgets       Want = "PodDisruptionBudget"
	Quotas        Want = "ResourceQuota"
	VolumeClasses Want = "VolumeAttributesClass"
	Evictions     Want = "Eviction"    // a pod that is none of a DaemonSet, and a taint that pods have to leave for
	ForeignNodes  Want = "ForeignNode" // a node that is not simulated
	Endings       Want = "Ending"      // a namespace that is being deleted
	Selectors     Want = "Selector"    // a Service that selects pods
	HandMade      Want = "HandMade"    // Endpoints that somebody has made
	Replications  Want = "ReplicationController"

	Requests      Want = "CertificateSigningRequest"
	Aggregations  Want = "Aggregation"  // a ClusterRole that is not Kubernetes' as it was made
	AccountTokens Want = "AccountToken" // a Secret for the token of a service account
	JoinTokens    Want = "JoinToken"    // a Secret with the token of a node that joins
)

// members are the controllers, by the names that kube-controller-manager gives
// them, without its "-controller".
var members = []struct {
	name  string
	wants Want
	build func(context.Context, *controllers, kubernetes.Interface) error
}{
	{"deployment", Deployments, deployments},
	{"replicaset", ReplicaSets, replicaSets},
	{"statefulset", StatefulSets, statefulSets},
	{"job", Jobs, jobs},
	{"cronjob", CronJobs, cronJobs},
	{"ttl-after-finished", Jobs, finishedJobs},
	{"disruption", Budgets, disruptions},
	{"taint-eviction", Evictions, evictions},
	{"node-lifecycle", ForeignNodes, nodeLifecycle},
	{"namespace", Endings, namespaces},
	{"endpoints", Selectors, endpoints},
	{"endpointslice", Selectors, endpointSlices},
	{"endpointslice-mirroring", HandMade, mirrors},
	{"replicationcontroller", Replications, replications},
	{"resourcequota", Quotas, quotas},
	{"volumeattributesclass-protection", VolumeClasses, classProtection},
	{"certificatesigningrequest-approving", Requests, approvals},
	{"certificatesigningrequest-signing", Requests, signatures},
	{"certificatesigningrequest-cleaner", Requests, oldRequests},
	{"clusterrole-aggregation", Aggregations, aggregations},
	{"serviceaccount-token", AccountTokens, accountTokens},
	{"token-cleaner", JoinTokens, oldTokens},
	{"bootstrap-signer", JoinTokens, clusterInfo},
}

// Names are the names of all controllers.
func Names() []string {
	var names []string
	for _, m := range members {
		names = append(names, m.name)
	}
	return names
}

// Options say which controllers run, and when they start.
type Options struct {
	Names []string // of those that Names lists

	// Await returns when there is what a controller wants, or with ctx's error.
	// Until then the controller takes no memory.
	Await func(ctx context.Context, w Want) error

	// Foreign are the nodes that node-lifecycle looks after.
	Foreign Foreign

	CA          string                        // file of the certificate and the key that requests are signed with; empty: none is signed
	RootCA      []byte                        // PEM of the certificate that clients check the API with
	Tokens      serviceaccount.TokenGenerator // signs tokens of service accounts that are kept in Secrets
	ClusterInfo string                        // kubeconfig by which nodes find the API, without a user; empty: none does
}

// Foreign are the nodes whose health nobody else looks after. They and their
// pods come from wherever that takes no memory for the others.
type Foreign interface {
	Nodes() cache.ListerWatcher // of corev1.Node
	Pods() cache.ListerWatcher  // of corev1.Pod, on these nodes at least
	Well() *corev1.Node         // a node that is not foreign and is ready; nil: none is
}

// Run runs controllers on the API that c reaches, until ctx is done and all of
// them have stopped, or until one cannot be started. c must be allowed to
// impersonate.
func Run(ctx context.Context, c *rest.Config, o Options) error {
	w, err := newControllers(c, o)
	if err != nil {
		return err
	}
	for _, name := range o.Names {
		if !slices.Contains(Names(), name) {
			return fmt.Errorf("there is no controller %q: only %s", name, strings.Join(Names(), ", "))
		}
	}
	ctx, failed := context.WithCancelCause(ctx)
	defer failed(nil)
	for _, m := range members {
		if !slices.Contains(o.Names, m.name) {
			continue
		}
		w.running.Go(func() {
			if err := o.Await(ctx, m.wants); err != nil {
				failed(err)
			} else if err := w.start(ctx, m.name, m.build); err != nil {
				failed(fmt.Errorf("start the %s controller: %w", m.name, err))
			}
		})
	}
	w.running.Wait()
	w.shared.Shutdown()
	return context.Cause(ctx)
}

// controllers are those that run, on informers that they share.
type controllers struct {
	config  *rest.Config
	options Options
	shared  informers.SharedInformerFactory
	running sync.WaitGroup

	mu    sync.Mutex // held while a controller is started: one at a time
	gate  *gate
	tasks []func(context.Context)
}

func newControllers(c *rest.Config, o Options) (*controllers, error) {
	w := &controllers{config: rest.CopyConfig(c), options: o}
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

// start builds a controller and runs it until ctx is done. Informers that others
// share already go on.
func (w *controllers) start(ctx context.Context, name string, build func(context.Context, *controllers, kubernetes.Interface) error) error {
	client, err := kubernetes.NewForConfig(w.as(name))
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate, w.tasks = &gate{w.shared, make(chan struct{}), ctx}, nil
	if err := build(ctx, w, client); err != nil {
		return err
	}
	close(w.gate.open)
	w.shared.StartWithContext(ctx)
	for _, run := range w.tasks {
		w.running.Go(func() { run(ctx) })
	}
	return nil
}

// withoutManagers drops what no controller reads and is half of many objects.
func withoutManagers(o any) (any, error) {
	if m, err := meta.Accessor(o); err == nil {
		m.SetManagedFields(nil)
	}
	return o, nil
}

// add makes something run for the controller that is being built.
func (w *controllers) add(run func(context.Context)) { w.tasks = append(w.tasks, run) }

// pool makes it run with as many workers as in Kubernetes.
func (w *controllers) pool(run func(context.Context, int)) {
	w.add(func(ctx context.Context) { run(ctx, workers) })
}

// accountOf is the service account of a controller.
func accountOf(member string) string {
	switch member {
	case "node-lifecycle":
		return "node-controller"
	case "endpoints":
		return "endpoint-controller"
	case "endpointslice-mirroring":
		return "endpointslicemirroring-controller"
	case "replicationcontroller":
		return "replication-controller"
	case "certificatesigningrequest-approving", "certificatesigningrequest-signing", "certificatesigningrequest-cleaner":
		return "certificate-controller"
	case "serviceaccount-token":
		return "tokens-controller"
	case "token-cleaner", "bootstrap-signer":
		return member
	}
	return member + "-controller"
}

// as returns a configuration for clients that act for a controller.
func (w *controllers) as(member string) *rest.Config {
	name := accountOf(member)
	c := rest.CopyConfig(w.config)
	c.UserAgent = name
	c.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:kube-system:" + name,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:masters"}}
	return c
}

func deployments(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	apps := w.gate.apps().V1()
	c, err := deployment.NewDeploymentController(ctx, apps.Deployments(), apps.ReplicaSets(), w.gate.core().V1().Pods(), client)
	if err != nil {
		return err
	}
	w.pool(c.Run)
	return nil
}

func replicaSets(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	c := replicaset.NewReplicaSetController(ctx, w.gate.apps().V1().ReplicaSets(), w.gate.core().V1().Pods(), client, replicaset.BurstReplicas)
	w.pool(c.Run)
	return nil
}

func statefulSets(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	apps, core := w.gate.apps().V1(), w.gate.core().V1()
	c := statefulset.NewStatefulSetController(ctx, core.Pods(), apps.StatefulSets(), core.PersistentVolumeClaims(), apps.ControllerRevisions(), client)
	w.pool(c.Run)
	return nil
}

func jobs(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	c, err := job.NewController(ctx, client, w.gate.core().V1().Pods(), w.gate.batch().V1().Jobs(), nil, nil)
	if err != nil {
		return err
	}
	w.pool(c.Run)
	return nil
}

// finishedJobs adds the controller that deletes Jobs whose
// ttlSecondsAfterFinished is over.
func finishedJobs(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	w.pool(ttlafterfinished.New(ctx, w.gate.batch().V1().Jobs(), client).Run)
	return nil
}

func cronJobs(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	batch := w.gate.batch().V1()
	c, err := cronjob.NewControllerV2(ctx, batch.Jobs(), batch.CronJobs(), client)
	if err != nil {
		return err
	}
	w.pool(c.Run)
	return nil
}

// evictions adds the controller that deletes the pods that do not tolerate a
// NoExecute taint of their node.
func evictions(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	core := w.gate.core().V1()
	if err := controller.AddPodNodeNameIndexer(core.Pods().Informer()); err != nil {
		return err
	}
	c, err := tainteviction.New(ctx, client, core.Pods(), core.Nodes(), "taint-eviction-controller")
	if err != nil {
		return err
	}
	w.add(c.Run)
	return nil
}
