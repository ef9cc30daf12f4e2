package apiserver

import (
	"maps"
	"slices"
	"strings"

	extensions "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kubernetes/pkg/generated/openapi"
)

// described are the packages whose types are described in the API's schema,
// with what these refer to.
var described = func() []string {
	ps := []string{"io.k8s.apimachinery.", "io.k8s.api.authentication.v1.", "io.k8s.api.authorization.v1.", "io.k8s.api.events.v1.", "io.k8s.apiextensions-apiserver.", "io.k8s.kube-aggregator."}
	for _, r := range served {
		group, _, _ := strings.Cut(r.group, ".")
		if group == "" {
			group = "core"
		}
		for _, v := range versionsOf(r.group) {
			if p := "io.k8s.api." + group + "." + v + "."; !slices.Contains(ps, p) {
				ps = append(ps, p)
			}
		}
	}
	return ps
}()

// definitions returns Kubernetes' schemas of what is served. Those of every
// other API would stay in memory, 10 MB of them.
func definitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	all := openapi.GetOpenAPIDefinitions(ref)
	maps.Copy(all, extensions.GetOpenAPIDefinitions(ref))
	kept := map[string]common.OpenAPIDefinition{}
	var keep func(name string)
	keep = func(name string) {
		d, ok := all[name]
		if _, again := kept[name]; again || !ok {
			return
		}
		kept[name] = d
		for _, dep := range d.Dependencies {
			keep(dep)
		}
	}
	for name := range all {
		for _, p := range described {
			if strings.HasPrefix(name, p) {
				keep(name)
			}
		}
	}
	return kept
}
