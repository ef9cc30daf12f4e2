package events

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"rollcall/events/wire"
)

// ownPrefix begins the labels and annotations that rollcall reads.
const ownPrefix = "rollcall/"

// LabelSimulated with the value "true" marks the nodes that rollcall plays.
const LabelSimulated = ownPrefix + "simulated"

// LabelSource marks the nodes that a source tells of, with its name. They are as
// they were last told: that nothing is heard of one says nothing about it.
const LabelSource = ownPrefix + "source"

// RealNode reports whether a node, as the log has it, is a machine with a kubelet
// of its own: rollcall does not play it, and no source tells of it.
func RealNode(node []byte) bool {
	labels := wire.Field(wire.Field(node, "metadata"), "labels")
	return string(wire.Text(labels, LabelSimulated)) != "true" && len(wire.Text(labels, LabelSource)) == 0
}

// Annotations that rollcall reads: of a DaemonSet, and AnnotationFail of a Node.
const (
	AnnotationBudget      = ownPrefix + "budget"                    // which pods count against the budget
	AnnotationPaused      = ownPrefix + "paused"                    // no rollout step; missing pods are still made
	AnnotationSuspend     = ownPrefix + "suspend"                   // no pod anywhere
	AnnotationPartition   = ownPrefix + "partition"                 // nodes that stay on the old revision
	AnnotationDeadline    = ownPrefix + "progress-deadline-seconds" // without progress for so long: Stalled
	AnnotationCanary      = ownPrefix + "canary-selector"           // only nodes with these labels get the new revision
	AnnotationUnreachable = ownPrefix + "ignore-unreachable"        // so many nodes that are not ready do not use up the budget
	AnnotationRate        = ownPrefix + "max-creates-per-second"    // of log time; 0: no limit
	AnnotationRollout     = ownPrefix + "rollout"                   // of an OnDelete DaemonSet: its old pods are replaced, so many at once
	AnnotationFail        = ownPrefix + "fail"                      // the simulated node is lost
)

// BudgetMode is the rule by which old pods that are not available may be replaced.
type BudgetMode string

// Budget modes.
const (
	BudgetDefault  BudgetMode = "default"  // a pod that is not ready is free, one that is ready but young is not
	BudgetStrict   BudgetMode = "strict"   // every removal counts
	BudgetUpstream BudgetMode = "upstream" // every pod that is not available is free
)

// Settings are the annotations of a DaemonSet, read.
type Settings struct {
	Budget    BudgetMode
	Paused    bool
	Suspended bool
	Partition *intstr.IntOrString
	Deadline  time.Duration
	Rate      int
	Canary    string              // a label selector; empty: every node
	Lost      int                 // how many nodes that are not ready do not count
	Rollout   *intstr.IntOrString // maxUnavailable of AnnotationRollout; nil: it is not there
}

// defaultDeadline is after how long without progress a rollout is stalled, as
// for Deployments.
const defaultDeadline = 600 * time.Second

// annotation is one row of the table of annotations.
type annotation struct {
	key   string
	takes string // in words, with an example
	// set puts a value into settings. It reports false, and changes nothing,
	// if the annotation does not take that value.
	set func(s *Settings, v string) bool
}

// annotations is the one table that annotations are read and checked by.
var annotations = map[Kind][]annotation{
	DaemonSet: {
		{AnnotationBudget, "default, strict or upstream", setBudget},
		{AnnotationPaused, "true or false", setFlag(func(s *Settings) *bool { return &s.Paused })},
		{AnnotationSuspend, "true or false", setFlag(func(s *Settings) *bool { return &s.Suspended })},
		{AnnotationPartition, "a whole number of nodes or a percentage, such as 2 or 20%", setPartition},
		{AnnotationDeadline, "a whole number of seconds above 0, such as 600", setDeadline},
		{AnnotationRate, "a whole number of 0 or more, such as 10", setNumber(func(s *Settings) *int { return &s.Rate })},
		{AnnotationUnreachable, "a whole number of 0 or more, such as 1", setNumber(func(s *Settings) *int { return &s.Lost })},
		{AnnotationRollout, `what maxUnavailable is, such as {"maxUnavailable":"10%"}`, setRollout},
		{AnnotationCanary, "a label selector, such as canary=true", setCanary},
	},
	Node: {
		{AnnotationFail, "true or false", func(_ *Settings, v string) bool { return v == "true" || v == "false" }},
	},
}

// ReadSettings returns what the annotations of a DaemonSet say, which has a budget
// if it names none. A value that an annotation does not take says nothing.
func ReadSettings(has map[string]string, budget BudgetMode) Settings {
	s := Settings{Budget: budget, Deadline: defaultDeadline}
	for _, a := range annotations[DaemonSet] {
		if v, ok := has[a.key]; ok {
			a.set(&s, v)
		}
	}
	return s
}

// BadAnnotation is an annotation that an object may not be given.
type BadAnnotation struct {
	Key, Value string
	Unknown    bool   // nothing reads this key
	Why        string // what the key takes, or which key was meant
}

// String says what is wrong, and of which annotation.
func (b BadAnnotation) String() string {
	if b.Unknown {
		return b.Key + ": " + b.Why
	}
	return fmt.Sprintf("%s %s: it cannot be %q", b.Key, b.Why, b.Value)
}

// CheckAnnotations returns what is wrong with the annotations that an object
// of a kind is about to get, by key. What it had before is not looked at: an
// object with a bad annotation can still be changed.
func CheckAnnotations(kind Kind, old, now map[string]string) []BadAnnotation {
	table := annotations[kind]
	if table == nil {
		return nil
	}
	var bad []BadAnnotation
	for _, k := range slices.Sorted(maps.Keys(now)) {
		v := now[k]
		if was, had := old[k]; !strings.HasPrefix(k, ownPrefix) || had && was == v {
			continue
		}
		i := slices.IndexFunc(table, func(a annotation) bool { return a.key == k })
		if i < 0 {
			bad = append(bad, BadAnnotation{Key: k, Value: v, Unknown: true, Why: unknownAnnotation(kind, k)})
		} else if !table[i].set(new(Settings), v) {
			bad = append(bad, BadAnnotation{Key: k, Value: v, Why: "takes " + table[i].takes})
		}
	}
	return bad
}

func unknownAnnotation(kind Kind, key string) string {
	var names []string
	for _, a := range annotations[kind] {
		names = append(names, strings.TrimPrefix(a.key, ownPrefix))
	}
	if near := Nearest(strings.TrimPrefix(key, ownPrefix), names, 1); len(near) > 0 {
		return fmt.Sprintf("no %s has such an annotation; did you mean %s%s?", kind, ownPrefix, near[0])
	}
	return fmt.Sprintf("no %s has such an annotation: there is %s%s", kind, ownPrefix, strings.Join(names, ", "+ownPrefix))
}

func setBudget(s *Settings, v string) bool {
	switch m := BudgetMode(v); m {
	case BudgetDefault, BudgetStrict, BudgetUpstream:
		s.Budget = m
		return true
	}
	return false
}

func setFlag(of func(*Settings) *bool) func(*Settings, string) bool {
	return func(s *Settings, v string) bool {
		*of(s) = v == "true"
		return v == "true" || v == "false"
	}
}

// wholeNumber reads a number of 0 or more.
func wholeNumber(v string) (int, bool) {
	n, err := strconv.ParseInt(v, 10, 32)
	return int(n), err == nil && n >= 0
}

func setNumber(of func(*Settings) *int) func(*Settings, string) bool {
	return func(s *Settings, v string) bool {
		n, ok := wholeNumber(v)
		if ok {
			*of(s) = n
		}
		return ok
	}
}

func setDeadline(s *Settings, v string) bool {
	n, ok := wholeNumber(v)
	if !ok || n == 0 {
		return false
	}
	s.Deadline = time.Duration(n) * time.Second
	return true
}

func setPartition(s *Settings, v string) bool {
	number, percent := strings.CutSuffix(v, "%")
	n, ok := wholeNumber(number)
	if !ok || percent && n > 100 {
		return false
	}
	p := intstr.Parse(v)
	s.Partition = &p
	return true
}

func setRollout(s *Settings, v string) bool {
	var r map[string]*intstr.IntOrString // of a struct's fields encoding/json takes other spellings too
	if json.Unmarshal([]byte(v), &r) != nil || len(r) != 1 || r["maxUnavailable"] == nil {
		return false
	}
	most := r["maxUnavailable"]
	number, percent := strings.CutSuffix(most.String(), "%")
	n, ok := wholeNumber(number)
	if !ok || n == 0 || percent && n > 100 || !percent && most.Type == intstr.String {
		return false
	}
	s.Rollout = most
	return true
}

func setCanary(s *Settings, v string) bool {
	sel, err := labels.Parse(v)
	if err != nil {
		return false
	}
	s.Canary = sel.String() // empty for a selector that matches everything
	return true
}
