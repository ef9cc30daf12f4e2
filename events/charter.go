package events

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Chartered is the type of the event that says what a log is about from there on.
const Chartered Type = "cluster.chartered"

// CharterKind is the kind of the reference to the charter of a log. A charter is no
// object of Kubernetes.
const CharterKind Kind = "Charter"

// Charter says what a log is about, and what may be done there. A log without one
// is a cluster that is nothing but its log: what is appended is so.
type Charter struct {
	Cluster  string     `json:"cluster"`           // uid of the namespace kube-system of the real cluster
	Epoch    int        `json:"epoch,omitempty"`   // counts restores of its etcd
	Version  string     `json:"version,omitempty"` // of its server
	Mode     Mode       `json:"mode"`
	Scope    Scope      `json:"scope,omitzero"`
	Collects bool       `json:"collects,omitempty"` // owners, namespaces and nodes are looked after by rollcall; false in a real cluster
	Budget   BudgetMode `json:"budget,omitempty"`   // of DaemonSets that name none; empty: BudgetDefault
}

// Mode is how much is done in the cluster that a log is about.
type Mode string

// The modes of a charter.
const (
	Shadow   Mode = "shadow"   // nothing: the log is a record
	Rollouts Mode = "rollouts" // old pods of DaemonSets that ask for it are deleted
	Control  Mode = "control"  // all that the cluster's own DaemonSet controller would do
)

// Scope says which DaemonSets a charter is about. The zero Scope is all of them.
type Scope struct {
	Namespaces []string `json:"namespaces,omitempty"` // in one of these
	Selector   string   `json:"selector,omitempty"`   // of the DaemonSet's labels
}

func (Charter) body() {}

// Ref returns the reference to the charter.
func (Charter) Ref() Ref { return Ref{Kind: CharterKind, Key: Key{Name: "charter"}} }

// Charter returns the subject of the charter of the log.
func (s Subjects) Charter() string { return s.Object(CharterKind, Charter{}.Ref().Key) }

// doubt says why nobody can have chartered a log so.
func (c Charter) doubt() string {
	switch {
	case c.Cluster == "" || !short(c.Cluster):
		return "the charter names no cluster that can be printed"
	case c.Epoch < 0:
		return fmt.Sprintf("epoch %d is negative", c.Epoch)
	case !short(c.Version):
		return "the version of the cluster cannot be printed"
	case c.Mode != Shadow && c.Mode != Rollouts && c.Mode != Control:
		return fmt.Sprintf("mode %s is none of shadow, rollouts and control", quote(string(c.Mode)))
	case !slices.Contains([]BudgetMode{"", BudgetDefault, BudgetStrict, BudgetUpstream}, c.Budget):
		return fmt.Sprintf("budget %s is none of default, strict and upstream", quote(string(c.Budget)))
	}
	return c.Scope.doubt()
}

// doubtCharter doubts the event that says b.
func doubtCharter(e *Event, b Charter) (code, why string) {
	switch {
	case e.Type != Chartered:
		return misfit(e.Type, "a charter")
	case !e.Cause.IsZero():
		return "E-EVT-CHARTER", "no command has a charter written"
	}
	if why := b.doubt(); why != "" {
		return "E-EVT-CHARTER", why
	}
	return "", ""
}

func (s Scope) doubt() string {
	if len(s.Namespaces) > maxSelected {
		return fmt.Sprintf("the scope has %d namespaces, and at most %d go", len(s.Namespaces), maxSelected)
	}
	for _, ns := range s.Namespaces {
		if why := validation.IsDNS1123Label(ns); why != nil {
			return fmt.Sprintf("namespace %s of the scope: %s", quote(ns), why[0])
		}
	}
	if _, err := labels.Parse(s.Selector); err != nil {
		return "the selector of the scope: " + err.Error()
	}
	return ""
}

// follows says why c cannot be the charter after another one of the log, or "".
func (c Charter) follows(last *Charter) string {
	switch {
	case last == nil:
	case c.Cluster != last.Cluster:
		return fmt.Sprintf("the log is about cluster %s, and not about %s", last.Cluster, quote(c.Cluster))
	case c.Epoch < last.Epoch:
		return fmt.Sprintf("epoch %d of the cluster is over: it is %d", c.Epoch, last.Epoch)
	}
	return ""
}

// Match returns what reports whether a DaemonSet is in the scope. Of a selector that
// does not parse, which a charter cannot have, none is.
func (s Scope) Match() func(Key, map[string]string) bool {
	selector, err := labels.Parse(s.Selector)
	return func(ds Key, has map[string]string) bool {
		return err == nil && oneOf(s.Namespaces, ds.Namespace) && selector.Matches(labels.Set(has))
	}
}
