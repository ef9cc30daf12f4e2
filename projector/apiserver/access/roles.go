package access

import (
	"context"
	"errors"
	"fmt"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
	"k8s.io/component-helpers/auth/rbac/reconciliation"
	rbacv1helpers "k8s.io/kubernetes/pkg/apis/rbac/v1"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
)

// rolesAtOnce is how many roles are made at once: what is appended together is one
// write to the disk.
const rolesAtOnce = 16

// roles are those that every cluster of Kubernetes has, with their bindings.
type roles struct {
	objects informers.SharedInformerFactory
	client  kubernetes.Interface // nil: nothing can be made

	turn  chan struct{} // who holds it makes them
	there bool          // they are; read and written by who has the turn
	done  chan struct{} // closed when they are
}

func newRoles(o Options) *roles {
	r := &roles{objects: o.Objects, client: o.Client, turn: make(chan struct{}, 1), done: make(chan struct{})}
	if r.client == nil {
		close(r.done)
	}
	return r
}

// found returns when the roles of Kubernetes are there as Kubernetes reconciles
// them when it starts: what is missing is made, and what a user has added, or
// keeps with the annotation autoupdate=false, stays. One request does that for all
// that need it; what it leaves undone, the next one does.
func (r *roles) found(ctx context.Context) error {
	select {
	case <-r.done:
		return nil
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.there {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // others wait for it
	if err := r.reconcile(ctx); err != nil {
		return fmt.Errorf("make the roles of Kubernetes: %w", err)
	}
	r.there = true
	close(r.done)
	return nil
}

// reconcile makes roles before bindings, so that no binding is to a role that is
// not there.
func (r *roles) reconcile(ctx context.Context) error {
	var roles, bindings []func() error
	of, client := r.objects.Rbac().V1(), r.client.RbacV1()
	gathered := gathered()
	for _, role := range append(bootstrappolicy.ClusterRoles(), bootstrappolicy.ControllerRoles()...) {
		o := &reconciliation.ReconcileRoleOptions{Role: reconciliation.ClusterRoleRuleOwner{ClusterRole: &role}, Confirm: true,
			Client: clusterRoleReader{reconciliation.ClusterRoleModifier{Client: client.ClusterRoles()}, of.ClusterRoles().Lister(), gathered[role.Name]}}
		roles = append(roles, func() error { _, err := o.Run(); return err })
	}
	for _, all := range bootstrappolicy.NamespaceRoles() {
		for _, role := range all {
			o := &reconciliation.ReconcileRoleOptions{Role: reconciliation.RoleRuleOwner{Role: &role}, Confirm: true,
				Client: roleReader{reconciliation.RoleModifier{Client: client, NamespaceClient: r.client.CoreV1().Namespaces()}, of.Roles().Lister()}}
			roles = append(roles, func() error { _, err := o.Run(); return err })
		}
	}
	for _, b := range append(append(bootstrappolicy.ClusterRoleBindings(), kubeletClients()), bootstrappolicy.ControllerRoleBindings()...) {
		o := &reconciliation.ReconcileRoleBindingOptions{RoleBinding: reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: &b}, Confirm: true,
			Client: clusterBindingReader{reconciliation.ClusterRoleBindingClientAdapter{Client: client.ClusterRoleBindings()}, of.ClusterRoleBindings().Lister()}}
		bindings = append(bindings, func() error { _, err := o.Run(); return err })
	}
	for _, all := range bootstrappolicy.NamespaceRoleBindings() {
		for _, b := range all {
			o := &reconciliation.ReconcileRoleBindingOptions{RoleBinding: reconciliation.RoleBindingAdapter{RoleBinding: &b}, Confirm: true,
				Client: bindingReader{reconciliation.RoleBindingClientAdapter{Client: client, NamespaceClient: r.client.CoreV1().Namespaces()}, of.RoleBindings().Lister()}}
			bindings = append(bindings, func() error { _, err := o.Run(); return err })
		}
	}
	if err := atOnce(roles); err != nil {
		return err
	}
	return atOnce(bindings)
}

// KubeletClients is the group of the certificate by which kubelets know the API.
const KubeletClients = "rollcall:kubelet-clients"

// kubeletClients allows that group what an API asks kubelets for, by the role that
// Kubernetes makes for that and binds to nobody.
func kubeletClients() rbacv1.ClusterRoleBinding {
	return rbacv1helpers.NewClusterBinding("system:kubelet-api-admin").Groups(KubeletClients).BindingOrDie()
}

// atOnce runs all, some at once, and returns what failed of them.
func atOnce(all []func() error) error {
	errs := make([]error, len(all))
	place := make(chan struct{}, rolesAtOnce)
	var running sync.WaitGroup
	for i, run := range all {
		place <- struct{}{}
		running.Go(func() {
			defer func() { <-place }()
			errs[i] = retry.OnError(retry.DefaultBackoff, func(err error) bool {
				return apierrors.IsConflict(err) || apierrors.IsServiceUnavailable(err)
			}, run)
		})
	}
	running.Wait()
	return errors.Join(errs...)
}
