// Package access says who asks the Kubernetes API, and what they may do there:
// Kubernetes' own authenticators and authorizers, over what a cluster's log and
// its data directory have of users.
//
// What it knows it reads where it is kept, each time: an account, a token or a
// binding that is gone counts for nothing from the write on that took it away.
// Nothing is made, and no informer started, before somebody asks who needs it:
// roles of Kubernetes are written into the log by the first request of a user
// that is neither the admin nor anonymous.
package access

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"

	apiservervalues "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	unionauth "k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	uniontoken "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/serviceaccount"
)

// Admin is the user whose token a server takes.
const Admin = "admin"

// Issuer is who tokens of service accounts say that they are from, and for whom
// they are if nobody else is named, as by kubeadm.
const Issuer = "https://kubernetes.default.svc.cluster.local"

// clusterInfo is what a node that is about to join reads first, without being
// known: where the cluster is, and by which certificate it is known.
const clusterInfo = "/api/v1/namespaces/kube-public/configmaps/cluster-info"

// publicPaths are read by anybody, as by the role system:public-info-viewer of
// Kubernetes.
var publicPaths = []string{"/healthz", "/livez", "/readyz", "/version", "/version/"}

// Options say who is known.
type Options struct {
	Token string                    // bearer token of Admin; empty: it has none
	Local authenticator.RequestFunc // knows the clients in this process
	CA    []byte                    // PEM of who signs certificates of clients; empty: none is taken
	Key   crypto.Signer             // signs tokens of service accounts; nil: one that ends with the process

	Objects informers.SharedInformerFactory // whose listers read what is so now
	Client  kubernetes.Interface            // by which roles of Kubernetes are made; nil: they are not
	Nodes   informers.SharedInformerFactory // of pods on nodes that are not simulated, volumes and attachments; nil: there is no such node
	Life    context.Context                 // of the informers of Nodes
}

// Access is who asks, and what they may do.
type Access struct {
	Authenticator authenticator.Request
	Authorizer    authorizer.Authorizer
	Rules         authorizer.RuleResolver
	Audiences     authenticator.Audiences
	ClientCA      dynamiccertificates.CAContentProvider // nil: no certificates are taken
	Issuer        serviceaccount.TokenGenerator         // of TokenRequests
	Lasting       serviceaccount.TokenGenerator         // of tokens that are kept in Secrets, and have no end
	Keys          serviceaccount.PublicKeysGetter       // with which tokens are checked

	roles *roles
}

// New returns the access to one server.
func New(o Options) (a *Access, err error) {
	a = &Access{Audiences: authenticator.Audiences{Issuer}, roles: newRoles(o)}
	if o.Key == nil {
		if o.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, fmt.Errorf("make a key for tokens: %w", err)
		}
	}
	if a.Issuer, err = serviceaccount.JWTTokenGenerator(Issuer, o.Key); err != nil {
		return nil, fmt.Errorf("make the issuer of tokens: %w", err)
	}
	if a.Lasting, err = serviceaccount.JWTTokenGenerator(serviceaccount.LegacyIssuer, o.Key); err != nil {
		return nil, fmt.Errorf("make the issuer of tokens: %w", err)
	}
	if a.Keys, err = serviceaccount.StaticPublicKeysGetter([]any{o.Key.Public()}); err != nil {
		return nil, fmt.Errorf("read the key of tokens: %w", err)
	}
	if len(o.CA) > 0 {
		if a.ClientCA, err = dynamiccertificates.NewStaticCAContent("client-ca", o.CA); err != nil {
			return nil, fmt.Errorf("read the certificate of the CA: %w", err)
		}
	}
	if a.Authenticator, err = a.whoAsks(o); err != nil {
		return nil, fmt.Errorf("make the rules of who asks: %w", err)
	}
	if err := a.whatIsAllowed(o); err != nil {
		return nil, fmt.Errorf("make the rules of access: %w", err)
	}
	return a, nil
}

// whoAsks takes clients in this process, certificates of the CA, tokens, and
// anybody for what is public.
func (a *Access) whoAsks(o Options) (authenticator.Request, error) {
	tokens, err := a.tokens(o)
	if err != nil {
		return nil, err
	}
	known := []authenticator.Request{o.Local}
	if a.ClientCA != nil {
		known = append(known, x509.NewDynamic(a.ClientCA.VerifyOptions, x509.CommonNameUserConversion))
	}
	known = append(known, bearertoken.New(tokens), websocket.NewProtocolAuthenticator(tokens))
	var public []apiservervalues.AnonymousAuthCondition
	for _, p := range append([]string{clusterInfo}, publicPaths...) {
		public = append(public, apiservervalues.AnonymousAuthCondition{Path: p})
	}
	// A wrong token is no anonymous request.
	return unionauth.NewFailOnError(group.NewAuthenticatedGroupAdder(unionauth.New(known...)), anonymous.NewAuthenticator(public)), nil
}

// tokens takes the admin's token, those of service accounts and those by which
// nodes join. None of its answers is kept: who is taken away is gone at once.
func (a *Access) tokens(o Options) (authenticator.Token, error) {
	accounts, err := a.accountTokens(o)
	if err != nil {
		return nil, err
	}
	var opaque []authenticator.Token
	if o.Token != "" {
		opaque = append(opaque, tokenfile.New(map[string]*user.DefaultInfo{o.Token: {Name: Admin, Groups: []string{user.SystemPrivilegedGroup}}}))
	}
	for _, t := range append(opaque, joinTokens(o)) {
		accounts = append(accounts, authenticator.WrapAudienceAgnosticToken(a.Audiences, t))
	}
	return uniontoken.New(accounts...), nil
}
