package access

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/kubernetes/pkg/serviceaccount"
	"k8s.io/kubernetes/plugin/pkg/auth/authenticator/token/bootstrap"
)

// accountTokens takes tokens of service accounts: those of TokenRequest, with what
// they are bound to, and those that are kept in a Secret.
func (a *Access) accountTokens(o Options) ([]authenticator.Token, error) {
	core := o.Objects.Core().V1()
	read := accountObjects{core.ServiceAccounts().Lister(), core.Pods().Lister(), core.Secrets().Lister(), core.Nodes().Lister()}
	kept := []authenticator.Token{
		serviceaccount.JWTTokenAuthenticator([]string{Issuer}, a.Keys, a.Audiences, serviceaccount.NewValidator(read)),
	}
	if o.Client == nil {
		return kept, nil
	}
	legacy, err := serviceaccount.NewLegacyValidator(true, read, o.Client.CoreV1())
	if err != nil {
		return nil, err
	}
	return append(kept, serviceaccount.JWTTokenAuthenticator([]string{serviceaccount.LegacyIssuer}, a.Keys, a.Audiences, legacy)), nil
}

// accountObjects are what a token of a service account may be bound to.
type accountObjects struct {
	accounts corelisters.ServiceAccountLister
	pods     corelisters.PodLister
	secrets  corelisters.SecretLister
	nodes    corelisters.NodeLister
}

// GetServiceAccount implements serviceaccount.ServiceAccountTokenGetter.
func (x accountObjects) GetServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return x.accounts.ServiceAccounts(namespace).Get(name)
}

// GetPod implements serviceaccount.ServiceAccountTokenGetter.
func (x accountObjects) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	return x.pods.Pods(namespace).Get(name)
}

// GetSecret implements serviceaccount.ServiceAccountTokenGetter.
func (x accountObjects) GetSecret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	return x.secrets.Secrets(namespace).Get(name)
}

// GetNode implements serviceaccount.ServiceAccountTokenGetter.
func (x accountObjects) GetNode(_ context.Context, name string) (*corev1.Node, error) {
	return x.nodes.Get(name)
}

// joinTokens takes the tokens by which nodes join: Secrets of kube-system.
func joinTokens(o Options) authenticator.Token {
	return bootstrap.NewTokenAuthenticator(o.Objects.Core().V1().Secrets().Lister().Secrets(metav1.NamespaceSystem))
}
