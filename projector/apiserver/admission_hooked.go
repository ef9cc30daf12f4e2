package apiserver

import (
	"slices"
	"sync"

	regv1 "k8s.io/api/admissionregistration/v1"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// hooked says what of a cluster's rules is asked about each pod: webhooks and
// policies, which may say of one pod what they did not say of another, and
// quotas, which count. Its methods may be called from any goroutine.
type hooked struct {
	objects *table.Tables

	mu    sync.Mutex
	known [len(hookKinds)]struct {
		at   uint64 // of the table
		pods bool
	}
}

// hookKinds are the kinds of configurations that say what they are asked about.
var hookKinds = [...]events.Kind{mutatingPolicy, mutatingWebhooks, validatingPolicy, validatingWebhooks}

// pods reports whether each new pod of a namespace has to be asked about.
func (h *hooked) pods(namespace string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, kind := range hookKinds {
		t, k := h.objects.Of(kind), &h.known[i]
		if at := t.Last(); at != k.at {
			k.at, k.pods = at, anyOfPods(t)
		}
		if k.pods {
			return true
		}
	}
	counted := false
	if t := h.objects.Of(resourceQuota); filled(t) {
		all, _ := t.Snapshot()
		all.From(namespace+"/", "", func(*table.Item) bool {
			counted = true
			return false
		})
	}
	return counted
}

// changes reports whether there are rules that change pods in ways that only
// their authors know.
func (h *hooked) changes() bool {
	return filled(h.objects.Of(limitRange)) || filled(h.objects.Of(mutatingPolicy)) || filled(h.objects.Of(mutatingWebhooks))
}

func filled(t *table.Table) bool {
	n, _ := t.Size()
	return n > 0
}

// anyOfPods reports whether a table has a configuration that is asked about new
// pods, whatever else it says of them. One that cannot be read is.
func anyOfPods(t *table.Table) (found bool) {
	all, _ := t.Snapshot()
	all.Scan(func(i *table.Item) bool {
		// What the four kinds have of this one has the same names in each.
		var c struct {
			Webhooks []struct {
				Rules []regv1.RuleWithOperations `json:"rules"`
			} `json:"webhooks"`
			Spec struct {
				MatchConstraints struct {
					ResourceRules []regv1.NamedRuleWithOperations `json:"resourceRules"`
				} `json:"matchConstraints"`
			} `json:"spec"`
		}
		found = wire.Unmarshal(i.Data, &c) != nil
		for _, w := range c.Webhooks {
			found = found || slices.ContainsFunc(w.Rules, ofPods)
		}
		for _, r := range c.Spec.MatchConstraints.ResourceRules {
			found = found || ofPods(r.RuleWithOperations)
		}
		return !found
	})
	return found
}

// ofPods reports whether a rule is about new pods.
func ofPods(r regv1.RuleWithOperations) bool {
	has := func(all []string, any ...string) bool {
		return slices.ContainsFunc(all, func(x string) bool { return slices.Contains(any, x) })
	}
	does := slices.Contains(r.Operations, regv1.Create) || slices.Contains(r.Operations, regv1.OperationAll)
	return does && has(r.APIGroups, "", "*") && has(r.Resources, "pods", "*", "*/*")
}
