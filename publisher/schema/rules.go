package schema

import (
	"fmt"

	"rollcall/publisher"
)

// impossible returns what a schema does not say: what cannot be so together.
func impossible(data any) (errs []publisher.ProblemError) {
	switch d := data.(type) {
	case publisher.PodStatus:
		if d.Ready != nil && *d.Ready && d.Phase != "" && d.Phase != "Running" {
			errs = append(errs, publisher.ProblemError{Pointer: "/data/ready", Expected: "false in phase " + d.Phase, Got: "true", Hint: "only a pod that is Running is ready"})
		}
		errs = append(errs, twice("/data/containers", d.Containers, func(c publisher.Container) string { return c.Name })...)
	case publisher.NodeObserved:
		if d.Taints != nil {
			errs = append(errs, twice("/data/taints", *d.Taints, func(t publisher.Taint) string { return t.Key + ":" + t.Effect })...)
		}
		errs = append(errs, twice("/data/conditions", d.Conditions, func(c publisher.Condition) string { return c.Type })...)
	}
	return errs
}

// twice returns the elements of a list that have the key of one before them.
func twice[T any](at string, list []T, key func(T) string) (errs []publisher.ProblemError) {
	seen := map[string]bool{}
	for i, x := range list {
		if k := key(x); seen[k] {
			errs = append(errs, publisher.ProblemError{Pointer: fmt.Sprintf("%s/%d", at, i), Expected: "each once", Got: short(k), Hint: "leave one out"})
		} else {
			seen[k] = true
		}
	}
	return errs[:min(len(errs), maxErrors)]
}
