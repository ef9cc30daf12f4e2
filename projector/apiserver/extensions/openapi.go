package extensions

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	"k8s.io/klog/v2"
	"k8s.io/kube-openapi/pkg/cached"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"rollcall/events/wire"
	"rollcall/projector/table"
)

// options are those of Kubernetes' controllers that publish custom resources.
func options(v2 bool) builder.Options {
	return builder.Options{V2: v2, IncludeSelectableFields: true}
}

// DescribeV2 returns next, which serves a description of the API, with the
// custom resources in the description as they are when somebody asks.
func (s *Server) DescribeV2(next http.Handler, service *handler.OpenAPIService, static *spec.Swagger) http.Handler {
	return s.describe(next, func(ds []*v1.CustomResourceDefinition, rev string) error {
		var of []*spec.Swagger
		for d, version := range served(ds) {
			one, err := builder.BuildOpenAPIV2(d, version, options(true))
			if err != nil {
				return fmt.Errorf("describe %s: %w", d.Name, err)
			}
			one.Definitions = handler.PruneDefaults(one.Definitions)
			of = append(of, one)
		}
		merged, err := builder.MergeSpecs(static, of...)
		if err != nil {
			return err
		}
		service.UpdateSpecLazy(cached.Static(merged, rev))
		return nil
	})
}

// DescribeV3 is DescribeV2 for OpenAPI v3, which has a description for each group
// and version.
func (s *Server) DescribeV3(next http.Handler, service *handler3.OpenAPIService) http.Handler {
	var told map[string][]*spec3.OpenAPI
	return s.describe(next, func(ds []*v1.CustomResourceDefinition, _ string) error {
		now := map[string][]*spec3.OpenAPI{}
		for d, version := range served(ds) {
			one, err := builder.BuildOpenAPIV3(d, version, options(false))
			if err != nil {
				return fmt.Errorf("describe %s: %w", d.Name, err)
			}
			path := "apis/" + d.Spec.Group + "/" + version
			now[path] = append(now[path], one)
		}
		for _, path := range slices.Sorted(maps.Keys(now)) {
			merged, err := builder.MergeSpecsV3(now[path]...)
			if err != nil {
				return err
			}
			service.UpdateGroupVersion(path, merged)
		}
		for path := range told {
			if now[path] == nil {
				service.DeleteGroupVersion(path)
			}
		}
		told = now
		return nil
	})
}

// served yields the versions of the definitions that are served.
func served(ds []*v1.CustomResourceDefinition) func(func(*v1.CustomResourceDefinition, string) bool) {
	return func(yield func(*v1.CustomResourceDefinition, string) bool) {
		for _, d := range ds {
			for _, v := range d.Spec.Versions {
				if v.Served && !yield(d, v.Name) {
					return
				}
			}
		}
	}
}

// describe returns next behind what updates the description that it serves, if
// the definitions have changed since.
func (s *Server) describe(next http.Handler, update func(_ []*v1.CustomResourceDefinition, rev string) error) http.Handler {
	var mu sync.Mutex
	var seen uint64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if rows, last := s.definitions.Snapshot(); last != seen {
			if err := update(establishedIn(rows), strconv.FormatUint(last, 10)); err != nil {
				klog.ErrorS(err, "describe custom resources")
			}
			seen = last
		}
		mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// establishedIn returns the established definitions of a table, in order.
func establishedIn(rows table.Rows) (ds []*v1.CustomResourceDefinition) {
	rows.Scan(func(i *table.Item) bool {
		d := &v1.CustomResourceDefinition{}
		if wire.Unmarshal(i.Data, d) == nil && established(d) { // what cannot be read is not served either
			ds = append(ds, d)
		}
		return true
	})
	return ds
}
