// Package aggregation serves the APIs of others by Kubernetes' own
// kube-aggregator: what an APIService says is served by a Service.
//
// APIServices are a resource of the server that they extend, as every kind is.
// What makes them more than objects begins with the first one that names a
// Service, or with the first request about APIServices: then the groups that are
// served here get theirs, as a kube-apiserver's do, and requests go through
// kube-aggregator. A cluster that has none of both has none of it.
package aggregation
