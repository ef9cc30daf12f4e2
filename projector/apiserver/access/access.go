// Package access says who asks the Kubernetes API, and what they may do there:
// Kubernetes' own authenticators and authorizers, over what a cluster's log and
// its data directory have of users.
//
// It answers the same for the same objects and keys, keeps nothing of its own,
// and starts nothing.
package access

import (
	"fmt"

	apiservervalues "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	unionauth "k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	unionauthz "k8s.io/apiserver/pkg/authorization/union"
)

// Admin is the user whose token a server takes.
const Admin = "admin"

// publicPaths are read by anybody, as by the role system:public-info-viewer of
// Kubernetes.
var publicPaths = []string{"/healthz", "/livez", "/readyz", "/version", "/version/"}

// Options say who is known.
type Options struct {
	Token string                    // bearer token of Admin
	Local authenticator.RequestFunc // knows the clients in this process
}

// Access is who asks, and what they may do.
type Access struct {
	Authenticator authenticator.Request
	Authorizer    authorizer.Authorizer
}

// New returns the access to one server.
func New(o Options) (*Access, error) {
	allowed, err := whatIsAllowed()
	if err != nil {
		return nil, fmt.Errorf("make the rules of access: %w", err)
	}
	return &Access{Authenticator: whoAsks(o), Authorizer: allowed}, nil
}

// whoAsks takes clients in this process, the admin's token, and anybody for what
// is public.
func whoAsks(o Options) authenticator.Request {
	admin := authenticatorfactory.NewFromTokens(map[string]*user.DefaultInfo{
		o.Token: {Name: Admin, Groups: []string{user.SystemPrivilegedGroup, user.AllAuthenticated}}}, nil)
	var public []apiservervalues.AnonymousAuthCondition
	for _, p := range publicPaths {
		public = append(public, apiservervalues.AnonymousAuthCondition{Path: p})
	}
	return unionauth.NewFailOnError(o.Local, admin, anonymous.NewAuthenticator(public)) // a wrong token is no anonymous request
}

// whatIsAllowed allows the admin everything and others what is public.
func whatIsAllowed() (authorizer.Authorizer, error) {
	public, err := path.NewAuthorizer(publicPaths)
	if err != nil {
		return nil, err
	}
	return unionauthz.New(authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup), public), nil
}
