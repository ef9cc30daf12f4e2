package access

import (
	"context"
	"sync"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
	coreinformers "k8s.io/client-go/informers/core/v1"
	storageinformers "k8s.io/client-go/informers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/auth/nodeidentifier"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/node"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
)

// nodeRules allow a kubelet what its node and the pods on it need, and nothing of
// other nodes. They follow what is on nodes from the first request of a node on.
type nodeRules struct {
	identify nodeidentifier.NodeIdentifier
	rules    *node.NodeAuthorizer
	graph    *node.Graph
	of       informers.SharedInformerFactory
	life     context.Context
	begin    sync.Once
	synced   []cache.InformerSynced
}

func newNodeRules(o Options) *nodeRules {
	n := &nodeRules{identify: nodeidentifier.NewDefaultNodeIdentifier(), graph: node.NewGraph(), of: o.Nodes, life: o.Life}
	n.rules = node.NewAuthorizer(n.graph, n.identify, bootstrappolicy.NodeRules())
	return n
}

// Authorize implements authorizer.Authorizer.
func (n *nodeRules) Authorize(ctx context.Context, x authorizer.Attributes) (authorizer.Decision, string, error) {
	if _, is := n.identify.NodeIdentity(x.GetUser()); is && n.of != nil {
		n.begin.Do(n.follow)
		cache.WaitForCacheSync(ctx.Done(), n.synced...)
	}
	return n.rules.Authorize(ctx, x)
}

// RulesFor implements authorizer.RuleResolver.
func (n *nodeRules) RulesFor(ctx context.Context, u user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	return n.rules.RulesFor(ctx, u, namespace)
}

// follow begins to follow pods, volumes and what is attached where.
func (n *nodeRules) follow() {
	pods, volumes, attached := n.of.Core().V1().Pods(), n.of.Core().V1().PersistentVolumes(), n.of.Storage().V1().VolumeAttachments()
	all := []*told{{SharedIndexInformer: pods.Informer()}, {SharedIndexInformer: volumes.Informer()}, {SharedIndexInformer: attached.Informer()}}
	node.AddGraphEventHandlers(n.graph, nil, toldPods{pods, all[0]}, toldVolumes{volumes, all[1]}, toldAttachments{attached, all[2]}, nil, nil)
	for _, i := range all {
		n.synced = append(n.synced, i.handles.HasSynced)
		go i.Run(n.life.Done())
	}
}

// told is an informer that keeps whether its handler has been told all there was.
type told struct {
	cache.SharedIndexInformer
	handles cache.ResourceEventHandlerRegistration
}

// AddEventHandler implements cache.SharedInformer.
func (t *told) AddEventHandler(h cache.ResourceEventHandler) (_ cache.ResourceEventHandlerRegistration, err error) {
	t.handles, err = t.SharedIndexInformer.AddEventHandler(h)
	return t.handles, err
}

type toldPods struct {
	coreinformers.PodInformer
	told *told
}

// Informer implements coreinformers.PodInformer.
func (x toldPods) Informer() cache.SharedIndexInformer { return x.told }

type toldVolumes struct {
	coreinformers.PersistentVolumeInformer
	told *told
}

// Informer implements coreinformers.PersistentVolumeInformer.
func (x toldVolumes) Informer() cache.SharedIndexInformer { return x.told }

type toldAttachments struct {
	storageinformers.VolumeAttachmentInformer
	told *told
}

// Informer implements storageinformers.VolumeAttachmentInformer.
func (x toldAttachments) Informer() cache.SharedIndexInformer { return x.told }
