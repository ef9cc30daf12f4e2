package access

import (
	"reflect"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/reconciliation"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
)

// What the reconciler of Kubernetes finds is read where the log's objects are: a
// read through the API would start a watch cache for each kind of role.

type clusterRoleReader struct {
	reconciliation.ClusterRoleModifier
	list   rbaclisters.ClusterRoleLister
	gather []rbacv1.PolicyRule // of an aggregated role that is new
}

// Get implements reconciliation.RuleOwnerModifier.
func (x clusterRoleReader) Get(_, name string) (reconciliation.RuleOwner, error) {
	o, err := x.list.Get(name)
	return reconciliation.ClusterRoleRuleOwner{ClusterRole: o}, err
}

// Create implements reconciliation.RuleOwnerModifier.
func (x clusterRoleReader) Create(role reconciliation.RuleOwner) (reconciliation.RuleOwner, error) {
	if role.GetAggregationRule() != nil {
		role.SetRules(x.gather)
	}
	return x.ClusterRoleModifier.Create(role)
}

type roleReader struct {
	reconciliation.RoleModifier
	list rbaclisters.RoleLister
}

// Get implements reconciliation.RuleOwnerModifier.
func (x roleReader) Get(namespace, name string) (reconciliation.RuleOwner, error) {
	o, err := x.list.Roles(namespace).Get(name)
	return reconciliation.RoleRuleOwner{Role: o}, err
}

type clusterBindingReader struct {
	reconciliation.ClusterRoleBindingClientAdapter
	list rbaclisters.ClusterRoleBindingLister
}

// Get implements reconciliation.RoleBindingModifier.
func (x clusterBindingReader) Get(_, name string) (reconciliation.RoleBinding, error) {
	o, err := x.list.Get(name)
	return reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: o}, err
}

type bindingReader struct {
	reconciliation.RoleBindingClientAdapter
	list rbaclisters.RoleBindingLister
}

// Get implements reconciliation.RoleBindingModifier.
func (x bindingReader) Get(namespace, name string) (reconciliation.RoleBinding, error) {
	o, err := x.list.RoleBindings(namespace).Get(name)
	return reconciliation.RoleBindingAdapter{RoleBinding: o}, err
}

// gathered returns what the aggregated ones of Kubernetes' roles gather, as the
// controller that aggregates has it: who is bound to a new one is not refused until
// the controller has come to it.
func gathered() map[string][]rbacv1.PolicyRule {
	all := append(bootstrappolicy.ClusterRoles(), bootstrappolicy.ControllerRoles()...)
	slices.SortFunc(all, func(a, b rbacv1.ClusterRole) int { return strings.Compare(a.Name, b.Name) })
	for again := true; again; { // a role may gather from one that gathers itself
		again = false
		for i := range all {
			if all[i].AggregationRule == nil {
				continue
			}
			if rules := gather(all[i], all); !reflect.DeepEqual(rules, all[i].Rules) {
				all[i].Rules, again = rules, true
			}
		}
	}
	rules := map[string][]rbacv1.PolicyRule{}
	for _, role := range all {
		rules[role.Name] = role.Rules
	}
	return rules
}

// gather returns the rules of those roles that a role selects, each once.
func gather(into rbacv1.ClusterRole, all []rbacv1.ClusterRole) (rules []rbacv1.PolicyRule) {
	for _, selector := range into.AggregationRule.ClusterRoleSelectors {
		selected, err := metav1.LabelSelectorAsSelector(&selector)
		if err != nil {
			continue // Kubernetes' own roles have none that is wrong
		}
		for _, from := range all {
			if from.Name == into.Name || !selected.Matches(labels.Set(from.Labels)) {
				continue
			}
			for _, rule := range from.Rules {
				if !slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool { return reflect.DeepEqual(r, rule) }) {
					rules = append(rules, rule)
				}
			}
		}
	}
	return rules
}
