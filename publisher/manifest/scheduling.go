package manifest

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateScheduling checks what chooses nodes: selector, affinity,
// tolerations, spread.
func validateScheduling(s *corev1.PodSpec, at *field.Path) field.ErrorList {
	errs := validateLabels(s.NodeSelector, at.Child("nodeSelector"))
	if a := s.Affinity; a != nil {
		errs = append(errs, validateNodeAffinity(a.NodeAffinity, at.Child("affinity", "nodeAffinity"))...)
		if p := a.PodAffinity; p != nil {
			errs = append(errs, validatePodAffinity(p.RequiredDuringSchedulingIgnoredDuringExecution,
				p.PreferredDuringSchedulingIgnoredDuringExecution, at.Child("affinity", "podAffinity"))...)
		}
		if p := a.PodAntiAffinity; p != nil {
			errs = append(errs, validatePodAffinity(p.RequiredDuringSchedulingIgnoredDuringExecution,
				p.PreferredDuringSchedulingIgnoredDuringExecution, at.Child("affinity", "podAntiAffinity"))...)
		}
	}
	for i := range s.Tolerations {
		errs = append(errs, validateToleration(&s.Tolerations[i], at.Child("tolerations").Index(i))...)
	}
	for i := range s.TopologySpreadConstraints {
		errs = append(errs, validateSpread(&s.TopologySpreadConstraints[i], at.Child("topologySpreadConstraints").Index(i))...)
	}
	return errs
}

func validateToleration(t *corev1.Toleration, at *field.Path) (errs field.ErrorList) {
	if t.Key != "" {
		errs = append(errs, metavalidation.ValidateLabelName(t.Key, at.Child("key"))...)
	} else if t.Operator != corev1.TolerationOpExists {
		errs = append(errs, field.Invalid(at.Child("operator"), string(t.Operator),
			"operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
	}
	if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
		errs = append(errs, field.Invalid(at.Child("effect"), string(t.Effect), "effect must be 'NoExecute' when `tolerationSeconds` is set"))
	}
	switch t.Operator {
	case corev1.TolerationOpEqual, "":
		errs = append(errs, eachInvalid(at.Child("value"), t.Value, validation.IsValidLabelValue(t.Value))...)
	case corev1.TolerationOpExists:
		if t.Value != "" {
			errs = append(errs, field.Invalid(at.Child("operator"), string(t.Operator), "value must be empty when `operator` is 'Exists'"))
		}
	default:
		errs = append(errs, field.NotSupported(at.Child("operator"), t.Operator, []corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists}))
	}
	if t.Effect != "" {
		errs = append(errs, taintEffect(t.Effect, at.Child("effect"))...)
	}
	return errs
}

func taintEffect(e corev1.TaintEffect, at *field.Path) field.ErrorList {
	return oneOf(e, at, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)
}

func validateNodeAffinity(a *corev1.NodeAffinity, at *field.Path) (errs field.ErrorList) {
	if a == nil {
		return nil
	}
	if r := a.RequiredDuringSchedulingIgnoredDuringExecution; r != nil {
		path := at.Child("requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
		if len(r.NodeSelectorTerms) == 0 {
			errs = append(errs, field.Required(path, "must have at least one node selector term"))
		}
		for i := range r.NodeSelectorTerms {
			errs = append(errs, validateNodeTerm(&r.NodeSelectorTerms[i], path.Index(i))...)
		}
	}
	for i, p := range a.PreferredDuringSchedulingIgnoredDuringExecution {
		path := at.Child("preferredDuringSchedulingIgnoredDuringExecution").Index(i)
		errs = append(errs, weight(p.Weight, path)...)
		errs = append(errs, validateNodeTerm(&p.Preference, path.Child("preference"))...)
	}
	return errs
}

func weight(w int32, at *field.Path) field.ErrorList {
	if w < 1 || w > 100 {
		return field.ErrorList{field.Invalid(at.Child("weight"), w, "must be in the range 1-100")}
	}
	return nil
}

func validateNodeTerm(t *corev1.NodeSelectorTerm, at *field.Path) (errs field.ErrorList) {
	for i := range t.MatchExpressions {
		errs = append(errs, validateNodeRequirement(&t.MatchExpressions[i], at.Child("matchExpressions").Index(i))...)
	}
	for i := range t.MatchFields {
		errs = append(errs, validateNodeField(&t.MatchFields[i], at.Child("matchFields").Index(i))...)
	}
	return errs
}

func validateNodeRequirement(r *corev1.NodeSelectorRequirement, at *field.Path) (errs field.ErrorList) {
	values := at.Child("values")
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) == 0 {
			errs = append(errs, field.Required(values, "must be specified when `operator` is 'In' or 'NotIn'"))
		}
		for i, v := range r.Values {
			errs = append(errs, eachInvalid(values.Index(i), v, validation.IsValidLabelValue(v))...)
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			errs = append(errs, field.Forbidden(values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(r.Values) != 1 {
			errs = append(errs, field.Required(values, "must be specified single value when `operator` is 'Lt' or 'Gt'"))
		} else if _, err := strconv.ParseInt(r.Values[0], 10, 64); err != nil {
			errs = append(errs, field.Invalid(values.Index(0), r.Values[0], "for 'Gt', 'Lt' operators, the value must be an integer"))
		}
	default:
		errs = append(errs, field.Invalid(at.Child("operator"), string(r.Operator), "not a valid selector operator"))
	}
	return append(errs, metavalidation.ValidateLabelName(r.Key, at.Child("key"))...)
}

func validateNodeField(r *corev1.NodeSelectorRequirement, at *field.Path) (errs field.ErrorList) {
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) != 1 {
			errs = append(errs, field.Required(at.Child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
		}
	default:
		errs = append(errs, field.Invalid(at.Child("operator"), string(r.Operator), "not a valid selector operator"))
	}
	if r.Key != "metadata.name" {
		return append(errs, field.Invalid(at.Child("key"), r.Key, "not a valid field selector key"))
	}
	for i, v := range r.Values {
		errs = append(errs, eachInvalid(at.Child("values").Index(i), v, apivalidation.NameIsDNSSubdomain(v, false))...)
	}
	return errs
}

func validatePodAffinity(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm, at *field.Path) (errs field.ErrorList) {
	for i := range required {
		errs = append(errs, validatePodTerm(&required[i], at.Child("requiredDuringSchedulingIgnoredDuringExecution").Index(i))...)
	}
	for i := range preferred {
		path := at.Child("preferredDuringSchedulingIgnoredDuringExecution").Index(i)
		errs = append(errs, weight(preferred[i].Weight, path)...)
		errs = append(errs, validatePodTerm(&preferred[i].PodAffinityTerm, path.Child("podAffinityTerm"))...)
	}
	return errs
}

func validatePodTerm(t *corev1.PodAffinityTerm, at *field.Path) field.ErrorList {
	errs := labelSelector(t.LabelSelector, false, at.Child("labelSelector"))
	errs = append(errs, labelSelector(t.NamespaceSelector, false, at.Child("namespaceSelector"))...)
	for i, n := range t.Namespaces {
		errs = append(errs, eachInvalid(at.Child("namespaces").Index(i), n, apivalidation.ValidateNamespaceName(n, false))...)
	}
	return append(errs, topologyKey(t.TopologyKey, at)...)
}

func topologyKey(key string, at *field.Path) field.ErrorList {
	if key == "" {
		return field.ErrorList{field.Required(at.Child("topologyKey"), "can not be empty")}
	}
	return metavalidation.ValidateLabelName(key, at.Child("topologyKey"))
}

func validateSpread(c *corev1.TopologySpreadConstraint, at *field.Path) (errs field.ErrorList) {
	if c.MaxSkew <= 0 {
		errs = append(errs, field.Invalid(at.Child("maxSkew"), c.MaxSkew, "must be greater than zero"))
	}
	errs = append(errs, topologyKey(c.TopologyKey, at)...)
	errs = append(errs, oneOf(c.WhenUnsatisfiable, at.Child("whenUnsatisfiable"), corev1.DoNotSchedule, corev1.ScheduleAnyway)...)
	return append(errs, labelSelector(c.LabelSelector, false, at.Child("labelSelector"))...)
}
