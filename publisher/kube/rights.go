package kube

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// Rights say what is done in a cluster, and how. The zero Rights are those to read.
type Rights struct {
	Control bool // all that the controller of DaemonSets does
	Evict   bool // old pods are evicted, which PodDisruptionBudgets have a say in
	Delete  bool // or deleted
}

// home is the namespace in which rollcall itself has objects.
const home = metav1.NamespaceSystem

// right is a verb on a resource of a group, with a subresource: create pods/eviction. A
// name says of which object alone.
type right struct{ group, verb, resource, name string }

// controlRights are what a controller of DaemonSets needs besides reading, in every
// namespace and in its own.
var (
	controlRights = []right{{"", "get", "pods", ""}, {"", "create", "pods", ""}, {"", "delete", "pods", ""}, {"", "patch", "pods", ""}, {"apps", "get", "controllerrevisions", ""}, {"apps", "create", "controllerrevisions", ""},
		{"apps", "update", "controllerrevisions", ""}, {"apps", "delete", "controllerrevisions", ""}, {"apps", "get", "daemonsets", ""}, {"apps", "update", "daemonsets/status", ""}, {"apps", "update", "daemonsets/finalizers", ""}, {"", "create", "events", ""}, {"", "patch", "events", ""}}
	homeRights = []right{{"apps", "create", "daemonsets", ""}, {"apps", "delete", "daemonsets", probeKey.Name},
		{"coordination.k8s.io", "get", "leases", leaseName}, {"coordination.k8s.io", "create", "leases", ""}, {"coordination.k8s.io", "update", "leases", leaseName}}
	evict      = right{"", "create", "pods/eviction", ""}
	deletePods = right{"", "delete", "pods", ""}
)

// MayEnd returns the rights to end pods in the scope of a charter, or says that there
// are none.
func (c *Cluster) MayEnd(ctx context.Context, scope events.Scope) (Rights, error) {
	r := Rights{Evict: true}
	for range 2 {
		namespace, lacks, err := c.lacksIn(ctx, r, scope)
		switch {
		case err != nil:
			return Rights{}, err
		case lacks == "":
			return r, nil
		case r.Delete:
			return Rights{}, c.missing(Rights{Evict: true}, evict.String(), namespace)
		}
		r = Rights{Delete: true}
	}
	return r, nil
}

// MayControl returns the rights of a controller in the scope of a charter, or says which
// are missing.
func (c *Cluster) MayControl(ctx context.Context, scope events.Scope) (Rights, error) {
	r := Rights{Control: true}
	namespace, lacks, err := c.lacksIn(ctx, r, scope)
	if err == nil && lacks != "" {
		err = c.missing(r, lacks, namespace)
	}
	return r, err
}

// lacksIn says which right is missing first, and in which namespace.
func (c *Cluster) lacksIn(ctx context.Context, r Rights, scope events.Scope) (namespace, lacks string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	in := scope.Namespaces
	if len(in) == 0 {
		in = []string{metav1.NamespaceAll}
	}
	if r.Control {
		if lacks, err = c.first(ctx, homeRights, home); err != nil || lacks != "" {
			return home, lacks, err
		}
	}
	for _, namespace := range in {
		if lacks, err = c.first(ctx, r.needed(), namespace); err != nil || lacks != "" {
			return namespace, lacks, err
		}
	}
	return "", "", nil
}

// needed returns what a user needs in each namespace.
func (r Rights) needed() []right {
	switch {
	case r.Control:
		return controlRights
	case r.Evict:
		return []right{evict}
	case r.Delete:
		return []right{deletePods}
	}
	return nil
}

// lacks says which right is missing in a namespace; "": none is, or nobody knows.
func (c *Cluster) lacks(ctx context.Context, r Rights, namespace string) string {
	text, err := c.first(ctx, r.needed(), namespace)
	if err != nil {
		return ""
	}
	return text
}

// first says which of some rights in a namespace is the first that is missing.
func (c *Cluster) first(ctx context.Context, rights []right, namespace string) (string, error) {
	for _, r := range rights {
		resource, sub, _ := strings.Cut(r.resource, "/")
		what := &authorizationv1.ResourceAttributes{Namespace: namespace, Group: r.group, Verb: r.verb, Resource: resource, Subresource: sub, Name: r.name}
		is, err := c.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx,
			&authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: what}}, metav1.CreateOptions{})
		switch {
		case err != nil:
			return "", c.refused("ask what it may do", err)
		case !is.Status.Allowed:
			return r.String(), nil
		}
	}
	return "", nil
}

// String names a right as one would say it.
func (r right) String() string {
	return strings.TrimSuffix(r.verb+" "+r.resource+" "+r.name, " ")
}

// missing says that a right is missing.
func (c *Cluster) missing(r Rights, what, namespace string) error {
	where, file := "in any namespace", "rbac-rollouts.yaml"
	if namespace != "" {
		where = "in namespace " + namespace
	}
	if r.Control {
		file = "rbac-control.yaml"
	}
	return &events.Error{Code: "E-KUBE-FORBIDDEN", What: fmt.Sprintf("the user of the kubeconfig may not %s %s", what, where), Where: c.Host,
		Do: "give it the rights of deploy/" + file, Exit: events.ExitInput}
}
