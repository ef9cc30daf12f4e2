package kube

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// Rights say how pods of a cluster may be ended. The zero Rights are those to read.
type Rights struct {
	Evict  bool // by eviction, which PodDisruptionBudgets have a say in
	Delete bool
}

// MayEnd returns the rights to end pods in the scope of a charter, or says that there
// are none.
func (c *Cluster) MayEnd(ctx context.Context, scope events.Scope) (Rights, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	all := Rights{true, true}
	in := scope.Namespaces
	if len(in) == 0 {
		in = []string{metav1.NamespaceAll}
	}
	for _, namespace := range in {
		has, err := c.endRights(ctx, namespace)
		if err != nil {
			return Rights{}, c.refused("ask what it may do", err)
		}
		if all = (Rights{all.Evict && has.Evict, all.Delete && has.Delete}); all == (Rights{}) {
			return all, c.missing("end pods", namespace)
		}
	}
	all.Delete = all.Delete && !all.Evict
	return all, nil
}

// endRights asks the cluster how pods of a namespace may be ended.
func (c *Cluster) endRights(ctx context.Context, namespace string) (r Rights, err error) {
	if r.Evict, err = c.allowed(ctx, authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "create", Resource: "pods", Subresource: "eviction"}); err == nil {
		r.Delete, err = c.allowed(ctx, authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "delete", Resource: "pods"})
	}
	return r, err
}

func (c *Cluster) allowed(ctx context.Context, what authorizationv1.ResourceAttributes) (bool, error) {
	ask := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &what}}
	is, err := c.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, ask, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return is.Status.Allowed, nil
}

// missing says that a right is missing.
func (c *Cluster) missing(what, namespace string) error {
	where := "in any namespace"
	if namespace != "" {
		where = "in namespace " + namespace
	}
	return &events.Error{Code: "E-KUBE-FORBIDDEN", What: fmt.Sprintf("the user of the kubeconfig may not %s %s", what, where), Where: c.Host,
		Do: "give it the rights of deploy/rbac-rollouts.yaml", Exit: events.ExitInput}
}
