// Package extensions serves custom resources by Kubernetes' own
// apiextensions-apiserver over the storage of another server.
//
// CustomResourceDefinitions are a resource of that other server, as every kind
// is. What makes them more than objects (the controllers that accept names,
// establish, finalize and publish them, and the handler of the resources that
// they define) begins with the first of them: a cluster without any has none of
// it.
//
// What is not derived from the definitions by Kubernetes' own code is pulled when
// somebody asks (OpenAPI), so that an answer is never older than the definitions.
package extensions
