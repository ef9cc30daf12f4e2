package extensions

import (
	"maps"
	"slices"
	"sync"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	listers "k8s.io/apiextensions-apiserver/pkg/client/listers/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/endpoints/discovery"
	"k8s.io/client-go/tools/cache"
)

// groups puts the groups of custom resources into the list of all groups, where
// kube-aggregator has them. Aggregated discovery has them by Kubernetes' own
// controller.
type groups struct {
	lister  listers.CustomResourceDefinitionLister
	manager discovery.GroupManager

	mu   sync.Mutex
	told map[string]metav1.APIGroup
}

func (g *groups) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{AddFunc: func(any) { g.tell() }, UpdateFunc: func(any, any) { g.tell() }, DeleteFunc: func(any) { g.tell() }}
}

// tell tells what has changed.
func (g *groups) tell() {
	g.mu.Lock()
	defer g.mu.Unlock()
	ds, err := g.lister.List(labels.Everything())
	if err != nil {
		return // a lister has no errors
	}
	now := groupsOf(ds)
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if was, ok := g.told[name]; !ok || !slices.Equal(was.Versions, now[name].Versions) {
			g.manager.AddGroup(now[name])
		}
	}
	for name := range g.told {
		if _, ok := now[name]; !ok {
			g.manager.RemoveGroup(name)
		}
	}
	g.told = now
}

// groupsOf returns the groups of the established definitions. The version that is
// preferred is the newest stable one.
func groupsOf(ds []*v1.CustomResourceDefinition) map[string]metav1.APIGroup {
	served := map[string][]string{}
	for _, d := range ds {
		for _, v := range d.Spec.Versions {
			if established(d) && v.Served && !slices.Contains(served[d.Spec.Group], v.Name) {
				served[d.Spec.Group] = append(served[d.Spec.Group], v.Name)
			}
		}
	}
	all := map[string]metav1.APIGroup{}
	for name, versions := range served {
		slices.SortFunc(versions, func(a, b string) int { return version.CompareKubeAwareVersionStrings(b, a) })
		g := metav1.APIGroup{Name: name}
		for _, v := range versions {
			g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + v, Version: v})
		}
		g.PreferredVersion = g.Versions[0]
		all[name] = g
	}
	return all
}
