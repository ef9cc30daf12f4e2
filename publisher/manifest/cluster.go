package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateNode returns what is wrong with a node: as a new one if old is nil.
func ValidateNode(n, old *corev1.Node) field.ErrorList {
	errs := validateMeta(&n.ObjectMeta, false)
	errs = append(errs, ValidateTaints(n.Spec.Taints, field.NewPath("spec", "taints"))...)
	for _, l := range []struct {
		name string
		list corev1.ResourceList
	}{{"capacity", n.Status.Capacity}, {"allocatable", n.Status.Allocatable}} {
		for _, name := range slices.Sorted(maps.Keys(l.list)) {
			if q := l.list[name]; q.Sign() < 0 {
				errs = append(errs, field.Invalid(field.NewPath("status", l.name).Key(string(name)), q.String(), "must be greater than or equal to 0"))
			}
		}
	}
	if old != nil {
		errs = append(sameIdentity(&n.ObjectMeta, &old.ObjectMeta), errs...)
	}
	return errs
}

// ValidateTaints returns what is wrong with the taints of a node. A key can
// have one taint of each effect.
func ValidateTaints(taints []corev1.Taint, path *field.Path) (errs field.ErrorList) {
	seen := map[string]bool{}
	for i, t := range taints {
		at := path.Index(i)
		if t.Key == "" {
			errs = append(errs, field.Required(at.Child("key"), ""))
		} else {
			errs = append(errs, metavalidation.ValidateLabelName(t.Key, at.Child("key"))...)
		}
		errs = append(errs, eachInvalid(at.Child("value"), t.Value, validation.IsValidLabelValue(t.Value))...)
		errs = append(errs, taintEffect(t.Effect, at.Child("effect"))...)
		id := t.Key + ":" + string(t.Effect)
		if seen[id] {
			errs = append(errs, field.Duplicate(at, id))
		}
		seen[id] = true
	}
	return errs
}

// What Kubernetes keeps for its own priority classes.
const (
	systemPrefix    = "system-"
	highestPriority = 1_000_000_000
)

// ValidatePriorityClass returns what is wrong with a priority class: as a new
// one if old is nil.
func ValidatePriorityClass(c, old *schedulingv1.PriorityClass) field.ErrorList {
	errs := validateMeta(&c.ObjectMeta, false)
	if strings.HasPrefix(c.Name, systemPrefix) {
		errs = append(errs, field.Forbidden(field.NewPath("metadata", "name"),
			"priority class names with '"+systemPrefix+"' prefix are reserved for system use only"))
	} else if c.Value > highestPriority {
		errs = append(errs, field.Forbidden(field.NewPath("value"),
			fmt.Sprintf("maximum allowed value of a user defined priority is %d", highestPriority)))
	}
	if p := c.PreemptionPolicy; p != nil {
		errs = append(errs, oneOf(*p, field.NewPath("preemptionPolicy"), corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	if old == nil {
		return errs
	}
	changed := sameIdentity(&c.ObjectMeta, &old.ObjectMeta)
	if c.Value != old.Value {
		changed = append(changed, field.Invalid(field.NewPath("value"), c.Value, immutable))
	}
	if value(c.PreemptionPolicy) != value(old.PreemptionPolicy) {
		changed = append(changed, field.Invalid(field.NewPath("preemptionPolicy"), string(value(c.PreemptionPolicy)), immutable))
	}
	return append(changed, errs...)
}

// ValidateNamespace returns what is wrong with a namespace.
func ValidateNamespace(n, old *corev1.Namespace) field.ErrorList {
	errs := validateMeta(&n.ObjectMeta, false)
	if n.Name != "" && len(errs) == 0 {
		errs = eachInvalid(field.NewPath("metadata", "name"), n.Name, apivalidation.ValidateNamespaceName(n.Name, false))
	}
	if old != nil {
		errs = append(sameIdentity(&n.ObjectMeta, &old.ObjectMeta), errs...)
	}
	return errs
}

// ValidateControllerRevision returns what is wrong with a revision: as a new
// one if old is nil. Its data never changes, its number may.
func ValidateControllerRevision(r, old *appsv1.ControllerRevision) field.ErrorList {
	errs := validateMeta(&r.ObjectMeta, true)
	errs = append(errs, atLeast0(r.Revision, field.NewPath("revision"))...)
	if old != nil {
		errs = append(sameIdentity(&r.ObjectMeta, &old.ObjectMeta), errs...)
		if !bytes.Equal(r.Data.Raw, old.Data.Raw) {
			errs = append(errs, field.Invalid(field.NewPath("data"), omitted, immutable))
		}
	}
	return append(errs, revisionData(r.Data.Raw, field.NewPath("data"))...)
}

// omitted stands for a value that is too long for a refusal.
const omitted = "<value omitted>"

func revisionData(raw []byte, path *field.Path) field.ErrorList {
	if len(raw) == 0 {
		return field.ErrorList{field.Required(path, "data is mandatory")}
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return field.ErrorList{field.Invalid(path, omitted, fmt.Sprintf("error parsing data: %v", err))}
	}
	if _, ok := v.(map[string]any); !ok {
		return field.ErrorList{field.Invalid(path, omitted, "data must be a valid JSON object")}
	}
	return nil
}
