package apiserver

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/registry/authentication/selfsubjectreview"
	"k8s.io/kubernetes/pkg/registry/authentication/tokenreview"
	"k8s.io/kubernetes/pkg/registry/authorization/localsubjectaccessreview"
	"k8s.io/kubernetes/pkg/registry/authorization/selfsubjectaccessreview"
	"k8s.io/kubernetes/pkg/registry/authorization/selfsubjectrulesreview"
	"k8s.io/kubernetes/pkg/registry/authorization/subjectaccessreview"
	accountstore "k8s.io/kubernetes/pkg/registry/core/serviceaccount/storage"
	"k8s.io/kubernetes/pkg/routes"
	"k8s.io/kubernetes/pkg/serviceaccount"

	"rollcall/events"
	"rollcall/projector/apiserver/access"
	"rollcall/projector/table"
)

// knownUsers are who may ask this server, and what they may do.
func (s *Server) knownUsers() (*access.Access, error) {
	o := access.Options{Token: s.config.Token, Local: whoIsLocal, CA: s.config.CA, Key: s.config.Accounts, Objects: s.shared, Life: s.life}
	if s.config.ReadOnly == "" { // no roles are made in the past, and no node joins
		o.Client, o.Nodes = s.client, nodeInformers(s.config.Objects)
	}
	return access.New(o)
}

// LastingTokens signs tokens of service accounts that are kept in Secrets.
func (s *Server) LastingTokens() serviceaccount.TokenGenerator { return s.users.Lasting }

// nodeInformers inform of what the nodes that are not simulated need.
func nodeInformers(objects *table.Tables) informers.SharedInformerFactory {
	f := informers.NewSharedInformerFactory(nil, 0)
	all := func([]byte) bool { return true }
	for o, from := range map[runtime.Object]cache.ListerWatcher{
		&corev1.Pod{}: NewForeign(objects).Pods(), &corev1.PersistentVolume{}: selectionOf(objects, events.PersistentVolume, all),
		&storagev1.VolumeAttachment{}: selectionOf(objects, "VolumeAttachment", all),
	} {
		f.InformerFor(o, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer {
			return cache.NewSharedIndexInformer(from, o, 0, cache.Indexers{})
		})
	}
	return f
}

// authentication are the resources by which a client asks who somebody is.
func (i *installer) authentication() group {
	return group{"selfsubjectreviews": selfsubjectreview.NewREST(), "tokenreviews": tokenreview.NewREST(i.users.Authenticator, i.users.Audiences)}
}

// authorization are the resources by which a client asks what somebody may do.
func (i *installer) authorization() group {
	return group{
		"selfsubjectaccessreviews":  selfsubjectaccessreview.NewREST(i.auth),
		"subjectaccessreviews":      subjectaccessreview.NewREST(i.auth),
		"localsubjectaccessreviews": localsubjectaccessreview.NewREST(i.auth),
		"selfsubjectrulesreviews":   selfsubjectrulesreview.NewREST(i.users.Rules),
	}
}

// longestToken is how long a token of a service account is good for a pod that was
// made when tokens had no end, as by kube-apiserver.
const longestToken = 365 * 24 * time.Hour

// accounts puts the service accounts and their tokens into a group.
func (i *installer) accounts(g group) {
	if i.err != nil {
		return
	}
	of := func(resource string) rest.Getter { return g[resource].(rest.Getter) }
	accounts, err := accountstore.NewREST(i.options, i.users.Issuer, i.users.Audiences, 0, of("pods"), of("secrets"), of("nodes"), true, longestToken)
	if i.keep(err); err == nil {
		g["serviceaccounts"], g["serviceaccounts/token"] = accounts, accounts.Token
	}
}

// serveIssuer tells others where the keys are with which they can check tokens of
// service accounts.
func (s *Server) serveIssuer(g *genericapiserver.GenericAPIServer) error {
	p, err := serviceaccount.NewOpenIDMetadataProvider(access.Issuer, "", g.ExternalAddress, s.users.Keys)
	if err != nil {
		return fmt.Errorf("describe the issuer of tokens: %w", err)
	}
	routes.NewOpenIDMetadataServer(p).Install(g.Handler.GoRestfulContainer)
	return nil
}
