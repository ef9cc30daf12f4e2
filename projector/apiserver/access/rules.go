package access

import (
	"context"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/path"
	unionauthz "k8s.io/apiserver/pkg/authorization/union"
	rbacvalues "k8s.io/kubernetes/pkg/apis/rbac"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"
)

// whatIsAllowed allows system:masters everything, everybody what is public, nodes
// what is theirs, and the rest what roles say.
func (a *Access) whatIsAllowed(o Options) error {
	public, err := path.NewAuthorizer(publicPaths)
	if err != nil {
		return err
	}
	of := o.Objects.Rbac().V1()
	rules := rbac.New(&rbac.RoleGetter{Lister: of.Roles().Lister()}, &rbac.RoleBindingLister{Lister: of.RoleBindings().Lister()},
		&rbac.ClusterRoleGetter{Lister: of.ClusterRoles().Lister()}, &rbac.ClusterRoleBindingLister{Lister: of.ClusterRoleBindings().Lister()})
	nodes := newNodeRules(o)
	masters := authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)
	founded := founded{a.roles, rules}
	a.Authorizer = rolesFirst{a.roles, unionauthz.New(masters, public, nodes, founded)}
	a.Rules = unionauthz.NewRuleResolvers(nodes, founded)
	return nil
}

// founded is what roles say, once those of Kubernetes are there.
type founded struct {
	roles *roles
	rules *rbac.RBACAuthorizer
}

// Authorize implements authorizer.Authorizer.
func (f founded) Authorize(ctx context.Context, x authorizer.Attributes) (authorizer.Decision, string, error) {
	if u := x.GetUser(); u != nil && u.GetName() != user.Anonymous {
		if err := f.roles.found(ctx); err != nil {
			return authorizer.DecisionNoOpinion, "", err
		}
	}
	return f.rules.Authorize(ctx, x)
}

// RulesFor implements authorizer.RuleResolver.
func (f founded) RulesFor(ctx context.Context, u user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	if err := f.roles.found(ctx); err != nil {
		return nil, nil, true, err
	}
	return f.rules.RulesFor(ctx, u, namespace)
}

// rolesFirst has the roles of Kubernetes made before anybody sees or makes one.
type rolesFirst struct {
	roles *roles
	authorizer.Authorizer
}

// Authorize implements authorizer.Authorizer.
func (r rolesFirst) Authorize(ctx context.Context, x authorizer.Attributes) (authorizer.Decision, string, error) {
	decision, reason, err := r.Authorizer.Authorize(ctx, x)
	if decision != authorizer.DecisionAllow || !x.IsResourceRequest() || x.GetAPIGroup() != rbacvalues.GroupName || ofServer(x.GetUser()) {
		return decision, reason, err
	}
	if err := r.roles.found(ctx); err != nil {
		return authorizer.DecisionNoOpinion, "", err
	}
	return decision, reason, nil
}

// ofServer reports whether a user is a part of the server: it makes the roles, or
// looks through all there is.
func ofServer(u user.Info) bool {
	if !strings.HasPrefix(u.GetName(), "system:") {
		return false
	}
	for _, g := range u.GetGroups() {
		if g == user.SystemPrivilegedGroup {
			return true
		}
	}
	return false
}
