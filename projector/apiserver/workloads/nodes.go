package workloads

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/nodelifecycle"
)

// The defaults of kube-controller-manager.
const (
	nodeMonitorPeriod      = 5 * time.Second
	nodeStartupGracePeriod = time.Minute
	nodeMonitorGracePeriod = 50 * time.Second
	nodeEvictionRate       = 0.1
	secondaryEvictionRate  = 0.01
	largeClusterSize       = 50
	unhealthyZoneThreshold = 0.55
)

// nodeLifecycle adds the controller that looks after the health of the nodes
// that are not simulated: their taints follow their conditions, and one that is
// silent becomes Unknown. It must not see simulated ones, which renew no Lease
// that a watch could tell of.
func nodeLifecycle(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	of := w.options.Foreign
	if of == nil {
		return errors.New("nobody says which nodes are not simulated")
	}
	own := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(withoutManagers), informers.WithNamespace(corev1.NamespaceNodeLease))
	own.InformerFor(&corev1.Pod{}, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer {
		return cache.NewSharedIndexInformer(of.Pods(), &corev1.Pod{}, 0, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	})
	pods := own.Core().V1().Pods()
	nodes := &census{SharedIndexInformer: cache.NewSharedIndexInformer(of.Nodes(), &corev1.Node{}, 0, cache.Indexers{}), others: of.Well}
	c, err := nodelifecycle.NewNodeLifecycleController(ctx, own.Coordination().V1().Leases(), pods, nodes,
		w.gate.apps().V1().DaemonSets(), client, nodeMonitorPeriod, nodeStartupGracePeriod, nodeMonitorGracePeriod,
		nodeEvictionRate, secondaryEvictionRate, largeClusterSize, unhealthyZoneThreshold)
	if err != nil {
		return err
	}
	own.StartWithContext(ctx)
	w.add(func(ctx context.Context) {
		defer own.Shutdown()
		c.Run(ctx)
	})
	w.add(nodes.RunWithContext)
	r := &reminder{nodes: nodes.listed(), pods: pods.Informer(), client: client}
	w.add(r.run)
	return nil
}

// census informs of the nodes that are not simulated, and lists with them one
// simulated node that is ready, if there is one. The controller evicts nothing
// when no node at all is ready, since then it may be cut off itself; a ready
// simulated node shows that it is not.
type census struct {
	cache.SharedIndexInformer
	others func() *corev1.Node

	mu   sync.Mutex
	well *corev1.Node // the simulated node that was listed last
}

// Informer implements coreinformers.NodeInformer.
func (c *census) Informer() cache.SharedIndexInformer { return c.SharedIndexInformer }

// Lister implements coreinformers.NodeInformer.
func (c *census) Lister() corelisters.NodeLister { return counted{c.listed(), c} }

func (c *census) listed() corelisters.NodeLister { return corelisters.NewNodeLister(c.GetIndexer()) }

// spokesman returns a simulated node that is ready, with a heartbeat of now; nil:
// there is none.
func (c *census) spokesman() *corev1.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.well = c.others()
	if c.well == nil {
		return nil
	}
	for i := range c.well.Status.Conditions {
		if r := &c.well.Status.Conditions[i]; r.Type == corev1.NodeReady {
			r.LastHeartbeatTime = metav1.Now()
		}
	}
	return c.well
}

// counted lists nodes with the one that a census adds.
type counted struct {
	corelisters.NodeLister
	census *census
}

// List implements corelisters.NodeLister.
func (c counted) List(s labels.Selector) ([]*corev1.Node, error) {
	all, err := c.NodeLister.List(s)
	if n := c.census.spokesman(); n != nil && err == nil && len(all) > 0 {
		all = append(all, n)
	}
	return all, err
}

// Get implements corelisters.NodeLister.
func (c counted) Get(name string) (*corev1.Node, error) {
	n, err := c.NodeLister.Get(name)
	if !apierrors.IsNotFound(err) {
		return n, err
	}
	c.census.mu.Lock()
	defer c.census.mu.Unlock()
	if w := c.census.well; w != nil && w.Name == name {
		return w, nil
	}
	return nil, err
}

// How long a pod may wait for a kubelet before an Event says so, and how often
// that is looked at.
const (
	remindAfter = 10 * time.Second
	remindEvery = 5 * time.Second
)

// reminder tells why pods wait on nodes that nobody runs.
type reminder struct {
	nodes  corelisters.NodeLister
	pods   cache.SharedIndexInformer
	client kubernetes.Interface
	told   map[types.UID]bool
}

func (r *reminder) run(ctx context.Context) {
	if !cache.WaitForCacheSync(ctx.Done(), r.pods.HasSynced) {
		return
	}
	events := record.NewBroadcaster(record.WithContext(ctx))
	defer events.Shutdown()
	events.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: typedcore.New(r.client.CoreV1().RESTClient()).Events("")})
	recorder := events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "node-controller"})
	tick := time.NewTicker(remindEvery)
	defer tick.Stop()
	for {
		for _, p := range r.waiting(time.Now()) {
			recorder.Eventf(p, corev1.EventTypeWarning, "NoKubelet",
				"Node %s is not simulated, and nothing that acts as its kubelet has taken this pod up: it stays Pending until something does", p.Spec.NodeName)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// waiting returns the pods that wait for a kubelet for long and were not
// returned before.
func (r *reminder) waiting(now time.Time) (pods []*corev1.Pod) {
	nodes, err := r.nodes.List(labels.Everything())
	if err != nil {
		return nil
	}
	told := map[types.UID]bool{}
	for _, n := range nodes {
		on, err := r.pods.GetIndexer().ByIndex(controller.PodNodeNameKeyIndex, n.Name)
		if err != nil {
			continue
		}
		for _, o := range on {
			p := o.(*corev1.Pod)
			if p.Status.Phase != corev1.PodPending || p.Status.StartTime != nil || now.Sub(p.CreationTimestamp.Time) < remindAfter {
				continue
			}
			if told[p.UID] = true; !r.told[p.UID] {
				pods = append(pods, p)
			}
		}
	}
	r.told = told
	return pods
}
