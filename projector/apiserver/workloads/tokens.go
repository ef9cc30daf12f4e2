package workloads

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/rbac"
	"k8s.io/client-go/kubernetes"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/bootstrap"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
)

func (g *gate) rbac() rbac.Interface { return rbac.New(g, "", nil) }

// aggregations adds the controller that gives a ClusterRole the rules of those
// that it gathers.
func aggregations(_ context.Context, w *controllers, client kubernetes.Interface) error {
	c := clusterroleaggregation.NewClusterRoleAggregation(w.gate.rbac().V1().ClusterRoles(), client.RbacV1())
	w.pool(c.Run)
	return nil
}

// ofType returns informers of the Secrets of one type: values of others are of no
// concern here.
func ofType(client kubernetes.Interface, namespace string, t corev1.SecretType) informers.SharedInformerFactory {
	return informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(withoutManagers), informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = fields.OneTermEqualSelector("type", string(t)).String() }))
}

// beside starts informers that one controller has for itself, with it.
func (w *controllers) beside(ctx context.Context, own informers.SharedInformerFactory) {
	own.StartWithContext(ctx)
	w.add(func(ctx context.Context) {
		<-ctx.Done()
		own.Shutdown()
	})
}

// accountTokens adds the controller that fills Secrets of the type
// kubernetes.io/service-account-token, and takes those away whose account is gone.
func accountTokens(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	if w.options.Tokens == nil {
		return errors.New("nobody signs tokens")
	}
	own := ofType(client, "", corev1.SecretTypeServiceAccountToken)
	c, err := serviceaccount.NewTokensController(klog.FromContext(ctx), w.gate.core().V1().ServiceAccounts(), own.Core().V1().Secrets(), client,
		serviceaccount.TokensControllerOptions{TokenGenerator: w.options.Tokens, RootCA: w.options.RootCA})
	if err != nil {
		return err
	}
	w.beside(ctx, own)
	w.pool(c.Run)
	return nil
}

// oldTokens adds the controller that takes away tokens of nodes that join, when
// their time is over.
func oldTokens(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	own := ofType(client, metav1.NamespaceSystem, bootstrapapi.SecretTypeBootstrapToken)
	c, err := bootstrap.NewTokenCleaner(client, own.Core().V1().Secrets(), bootstrap.DefaultTokenCleanerOptions())
	if err != nil {
		return err
	}
	w.beside(ctx, own)
	w.add(c.Run)
	return nil
}

// clusterInfo adds the controller that signs, with each token of a node that joins,
// where the cluster is and by which certificate it is known: a node believes that
// before it knows the certificate.
func clusterInfo(ctx context.Context, w *controllers, client kubernetes.Interface) error {
	if w.options.ClusterInfo == "" {
		return nil // nobody can reach the API
	}
	if err := publishClusterInfo(ctx, client, w.options.ClusterInfo); err != nil {
		return fmt.Errorf("publish where the cluster is: %w", err)
	}
	own := ofType(client, metav1.NamespaceSystem, bootstrapapi.SecretTypeBootstrapToken)
	info := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(metav1.NamespacePublic),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", bootstrapapi.ConfigMapClusterInfo).String()
		}))
	c, err := bootstrap.NewSigner(client, own.Core().V1().Secrets(), info.Core().V1().ConfigMaps(), bootstrap.DefaultSignerOptions())
	if err != nil {
		return err
	}
	w.beside(ctx, own)
	w.beside(ctx, info)
	w.add(c.Run)
	return nil
}

// publishClusterInfo writes a kubeconfig without a user where everybody can read
// it, as kubeadm does.
func publishClusterInfo(ctx context.Context, client kubernetes.Interface, kubeconfig string) error {
	maps := client.CoreV1().ConfigMaps(metav1.NamespacePublic)
	m, err := maps.Get(ctx, bootstrapapi.ConfigMapClusterInfo, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		m = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: bootstrapapi.ConfigMapClusterInfo}, Data: map[string]string{bootstrapapi.KubeConfigKey: kubeconfig}}
		if _, err := maps.Create(ctx, m, metav1.CreateOptions{}); err != nil {
			return err
		}
	case err != nil:
		return err
	case m.Data[bootstrapapi.KubeConfigKey] != kubeconfig:
		m = m.DeepCopy()
		m.Data = map[string]string{bootstrapapi.KubeConfigKey: kubeconfig} // its signatures are of the old one
		if _, err := maps.Update(ctx, m, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	const name = "kubeadm:bootstrap-signer-clusterinfo"
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{bootstrapapi.ConfigMapClusterInfo}, Verbs: []string{"get"}}}}
	if _, err := client.RbacV1().Roles(metav1.NamespacePublic).Create(ctx, role, metav1.CreateOptions{}); utilerrors.FilterOut(err, apierrors.IsAlreadyExists) != nil {
		return err
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "system:anonymous"}}}
	_, err = client.RbacV1().RoleBindings(metav1.NamespacePublic).Create(ctx, binding, metav1.CreateOptions{})
	return utilerrors.FilterOut(err, apierrors.IsAlreadyExists)
}
