package workloads

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/resourcequota"
	quotainstall "k8s.io/kubernetes/pkg/quota/v1/install"
)

// How often usage is counted anew though nothing has told of a change, and how
// often new kinds are looked for, as in Kubernetes.
const (
	quotaResync   = 5 * time.Minute
	quotaDiscover = 30 * time.Second
)

// quotas adds the controller that counts what namespaces with a ResourceQuota
// use: what is deleted is free again, which admission does not notice.
func quotas(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	plain, err := metadata.NewForConfig(w.as("resourcequota"))
	if err != nil {
		return err
	}
	evaluate, err := quotainstall.NewQuotaConfigurationForControllers(generic.ListerFuncForResourceFunc(w.shared.ForResource), w.shared)
	if err != nil {
		return err
	}
	resources := spacedResources(client)
	c, err := resourcequota.NewController(ctx, &resourcequota.ControllerOptions{
		QuotaClient:               client.CoreV1(),
		ResourceQuotaInformer:     w.gate.core().V1().ResourceQuotas(),
		ResyncPeriod:              controller.StaticResyncPeriodFunc(quotaResync),
		InformerFactory:           &anyInformers{w.shared, metadatainformer.NewSharedInformerFactory(plain, 0)},
		ReplenishmentResyncPeriod: controller.StaticResyncPeriodFunc(quotaResync),
		DiscoveryFunc:             resources,
		IgnoredResourcesFunc:      evaluate.IgnoredResources,
		InformersStarted:          w.gate.open,
		Registry:                  generic.NewRegistry(evaluate.Evaluators()),
		UpdateFilter:              quotainstall.DefaultUpdateFilter(),
	})
	if err != nil {
		return err
	}
	w.pool(c.Run)
	w.add(func(ctx context.Context) { c.Sync(ctx, resources, quotaDiscover) })
	return nil
}

// anyInformers are informers of every resource: the shared ones of Kubernetes'
// own, and of others such that have the metadata alone.
type anyInformers struct {
	shared informers.SharedInformerFactory
	others metadatainformer.SharedInformerFactory
}

// ForResource implements informerfactory.InformerFactory.
func (i *anyInformers) ForResource(r schema.GroupVersionResource) (informers.GenericInformer, error) {
	if known, err := i.shared.ForResource(r); err == nil {
		return known, nil
	}
	return i.others.ForResource(r), nil
}

// Start implements informerfactory.InformerFactory.
func (i *anyInformers) Start(stop <-chan struct{}) {
	i.shared.Start(stop)
	i.others.Start(stop)
}
