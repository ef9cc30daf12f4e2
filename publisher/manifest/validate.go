package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Details that advice depends on.
const (
	immutable      = apivalidation.FieldImmutableErrorMsg
	selectsNothing = "`selector` does not match template `labels`"
	surgeNeedsZero = "may not be set when maxUnavailable is non-zero"
	bothZero       = "cannot be 0 when maxSurge is 0"
)

// ValidateDaemonSet returns what is wrong with a defaulted DaemonSet, in the
// order of its fields: by the rules for a new one if old is nil, for a change
// of old otherwise.
func ValidateDaemonSet(ds, old *appsv1.DaemonSet) field.ErrorList {
	errs := validateMeta(&ds.ObjectMeta, true)
	_, bad := templateGeneration(ds)
	errs = append(errs, bad...)
	spec := field.NewPath("spec")
	// An object that is there already may hold a selector that newer rules refuse.
	tolerant := old != nil && metavalidation.LabelSelectorHasInvalidLabelValue(old.Spec.Selector)
	errs = append(errs, validateSelector(ds, tolerant, spec)...)
	errs = append(errs, validatePodTemplate(&ds.Spec.Template, spec.Child("template"))...)
	errs = append(errs, atLeast0(int64(ds.Spec.MinReadySeconds), spec.Child("minReadySeconds"))...)
	errs = append(errs, validateUpdateStrategy(ds, spec.Child("updateStrategy"))...)
	if n := ds.Spec.RevisionHistoryLimit; n != nil {
		errs = append(errs, atLeast0(int64(*n), spec.Child("revisionHistoryLimit"))...)
	}
	if old != nil {
		errs = append(validateChange(ds, old), errs...)
	}
	return errs
}

// validateChange returns what may not change from old to ds and did.
func validateChange(ds, old *appsv1.DaemonSet) field.ErrorList {
	errs := sameIdentity(&ds.ObjectMeta, &old.ObjectMeta)
	spec := field.NewPath("spec")
	if !equality.Semantic.DeepEqual(ds.Spec.Selector, old.Spec.Selector) {
		errs = append(errs, field.Invalid(spec.Child("selector"), metav1.FormatLabelSelector(ds.Spec.Selector), immutable))
	}
	is, bad := templateGeneration(ds)
	was, oldBad := templateGeneration(old)
	if len(bad)+len(oldBad) > 0 {
		return errs
	}
	path := spec.Child("templateGeneration")
	changed := !SameTemplate(&ds.Spec.Template, &old.Spec.Template)
	switch {
	case is < was:
		errs = append(errs, field.Invalid(path, is, "must not be decremented"))
	case is == was && changed:
		errs = append(errs, field.Invalid(path, is, "must be incremented upon template update"))
	case is > was && !changed:
		errs = append(errs, field.Invalid(path, is, "must not be incremented without template update"))
	}
	return errs
}

// sameIdentity returns which of name, namespace and uid differ.
func sameIdentity(is, was *metav1.ObjectMeta) (errs field.ErrorList) {
	path := field.NewPath("metadata")
	for _, f := range []struct{ name, is, was string }{
		{"name", is.Name, was.Name}, {"namespace", is.Namespace, was.Namespace}, {"uid", string(is.UID), string(was.UID)},
	} {
		if f.is != f.was {
			errs = append(errs, field.Invalid(path.Child(f.name), f.is, immutable))
		}
	}
	return errs
}

// templateGeneration returns the number in the annotation that stands for it,
// 0 if there is none.
func templateGeneration(ds *appsv1.DaemonSet) (int64, field.ErrorList) {
	text, ok := ds.Annotations[appsv1.DeprecatedTemplateGeneration]
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, field.ErrorList{field.Invalid(field.NewPath("metadata", "annotations").Key(appsv1.DeprecatedTemplateGeneration), text, "must be an integer")}
	}
	return n, atLeast0(n, field.NewPath("spec", "templateGeneration"))
}

func atLeast0(n int64, path *field.Path) field.ErrorList {
	return apivalidation.ValidateNonnegativeField(n, path)
}

// validateMeta checks the metadata of an object. Labels and annotations are
// checked in the order of their keys.
func validateMeta(m *metav1.ObjectMeta, namespaced bool) field.ErrorList {
	path := field.NewPath("metadata")
	rest := *m
	rest.Labels, rest.Annotations = nil, nil
	errs := apivalidation.ValidateObjectMeta(&rest, namespaced, apivalidation.NameIsDNSSubdomain, path)
	errs = append(errs, validateLabels(m.Labels, path.Child("labels"))...)
	return append(errs, validateAnnotations(m.Annotations, path.Child("annotations"))...)
}

func validateLabels(m map[string]string, path *field.Path) (errs field.ErrorList) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		errs = append(errs, metavalidation.ValidateLabelName(k, path.Key(k))...)
		for _, why := range validation.IsValidLabelValue(m[k]) {
			errs = append(errs, field.Invalid(path.Key(k), m[k], why))
		}
	}
	return errs
}

func validateAnnotations(m map[string]string, path *field.Path) (errs field.ErrorList) {
	size := 0
	for _, k := range slices.Sorted(maps.Keys(m)) {
		size += len(k) + len(m[k])
		for _, why := range validation.IsQualifiedName(strings.ToLower(k)) {
			errs = append(errs, field.Invalid(path.Key(k), k, why))
		}
	}
	if size > apivalidation.TotalAnnotationSizeLimitB {
		errs = append(errs, field.TooLong(path, "", apivalidation.TotalAnnotationSizeLimitB))
	}
	return errs
}

func validateSelector(ds *appsv1.DaemonSet, tolerant bool, spec *field.Path) field.ErrorList {
	s, path := ds.Spec.Selector, spec.Child("selector")
	if s == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	errs := labelSelector(s, tolerant, path)
	if len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		return append(errs, field.Invalid(path, "{}", "empty selector is invalid for daemonset"))
	}
	parsed, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		if len(errs) == 0 {
			errs = append(errs, field.Invalid(path, metav1.FormatLabelSelector(s), err.Error()))
		}
		return errs
	}
	t := ds.Spec.Template.Labels
	if !parsed.Matches(labels.Set(t)) {
		errs = append(errs, field.Invalid(spec.Child("template", "metadata", "labels"), labels.Set(t).String(), selectsNothing))
	}
	return errs
}

func labelSelector(s *metav1.LabelSelector, tolerant bool, path *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	errs := validateLabels(s.MatchLabels, path.Child("matchLabels"))
	opts := metavalidation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: tolerant}
	for i, r := range s.MatchExpressions {
		errs = append(errs, metavalidation.ValidateLabelSelectorRequirement(r, opts, path.Child("matchExpressions").Index(i))...)
	}
	return errs
}

func validateUpdateStrategy(ds *appsv1.DaemonSet, path *field.Path) field.ErrorList {
	switch s := ds.Spec.UpdateStrategy; s.Type {
	case appsv1.OnDeleteDaemonSetStrategyType:
		return nil
	case appsv1.RollingUpdateDaemonSetStrategyType:
		if s.RollingUpdate == nil {
			return field.ErrorList{field.Required(path.Child("rollingUpdate"), "")}
		}
		errs := validateRollingUpdate(s.RollingUpdate, path.Child("rollingUpdate"))
		if len(errs) == 0 && amount(s.RollingUpdate.MaxSurge) != 0 {
			errs = validateSurge(ds, field.NewPath("spec", "template", "spec"))
		}
		return errs
	default:
		return field.ErrorList{field.NotSupported(path, s.Type, []appsv1.DaemonSetUpdateStrategyType{
			appsv1.RollingUpdateDaemonSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType})}
	}
}

func validateRollingUpdate(r *appsv1.RollingUpdateDaemonSet, path *field.Path) field.ErrorList {
	errs := validateAmount(r.MaxUnavailable, path.Child("maxUnavailable"))
	errs = append(errs, validateAmount(r.MaxSurge, path.Child("maxSurge"))...)
	if len(errs) > 0 {
		return errs
	}
	unavailable, surge := amount(r.MaxUnavailable), amount(r.MaxSurge)
	switch {
	case unavailable != 0 && surge != 0:
		errs = append(errs, field.Invalid(path.Child("maxSurge"), r.MaxSurge.String(), surgeNeedsZero))
	case unavailable == 0 && surge == 0:
		errs = append(errs, field.Required(path.Child("maxUnavailable"), bothZero))
	}
	return errs
}

// maxPercentDigits keeps a percentage within an int.
const maxPercentDigits = 9

// validateAmount checks a number of nodes or a percentage of them.
func validateAmount(v *intstr.IntOrString, path *field.Path) field.ErrorList {
	if v == nil {
		return nil
	}
	if v.Type == intstr.Int {
		return atLeast0(int64(v.IntVal), path)
	}
	if why := validation.IsValidPercent(v.StrVal); why != nil {
		return field.ErrorList{field.Invalid(path, v.StrVal, why[0])}
	}
	if len(v.StrVal) > maxPercentDigits || amount(v) > 100 {
		return field.ErrorList{field.Invalid(path, v.StrVal, "must not be greater than 100%")}
	}
	return nil
}

// amount returns the number in v, of nodes or of percent; 0 if there is none.
func amount(v *intstr.IntOrString) int {
	if v == nil {
		return 0
	}
	if v.Type == intstr.Int {
		return v.IntValue()
	}
	n, err := strconv.Atoi(strings.TrimSuffix(v.StrVal, "%"))
	if err != nil {
		return 0
	}
	return n
}

// validateSurge refuses ports of the node: an old and a new pod cannot both
// have one, so that the new pod would wait forever.
func validateSurge(ds *appsv1.DaemonSet, path *field.Path) (errs field.ErrorList) {
	spec := &ds.Spec.Template.Spec
	for i, c := range spec.Containers {
		for j, p := range c.Ports {
			port := p.HostPort
			if port == 0 && spec.HostNetwork {
				port = p.ContainerPort
			}
			if port != 0 {
				errs = append(errs, field.Forbidden(path.Child("containers").Index(i).Child("ports").Index(j).Child("hostPort"),
					fmt.Sprintf("host port %d cannot be shared by the old and the new pod of a surge", port)))
			}
		}
	}
	return errs
}

// ValidateDaemonSetStatus returns what is wrong with a changed status.
func ValidateDaemonSetStatus(s, old *appsv1.DaemonSetStatus) (errs field.ErrorList) {
	path := field.NewPath("status")
	for _, f := range []struct {
		name string
		n    int64
	}{
		{"currentNumberScheduled", int64(s.CurrentNumberScheduled)}, {"numberMisscheduled", int64(s.NumberMisscheduled)},
		{"desiredNumberScheduled", int64(s.DesiredNumberScheduled)}, {"numberReady", int64(s.NumberReady)},
		{"observedGeneration", s.ObservedGeneration}, {"updatedNumberScheduled", int64(s.UpdatedNumberScheduled)},
		{"numberAvailable", int64(s.NumberAvailable)}, {"numberUnavailable", int64(s.NumberUnavailable)},
		{"collisionCount", int64(value(s.CollisionCount))},
	} {
		errs = append(errs, atLeast0(f.n, path.Child(f.name))...)
	}
	if value(s.CollisionCount) < value(old.CollisionCount) {
		errs = append(errs, field.Invalid(path.Child("collisionCount"), value(s.CollisionCount), "cannot be decremented"))
	}
	return errs
}

// value returns what p points to, or zero.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
