package kube

import (
	"errors"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/publisher/executor"
)

// Reasons of outcomes, besides those that a cluster gives itself.
const (
	reasonBudget  = policyv1.DisruptionBudgetCause // a PodDisruptionBudget lets no pod go now
	reasonChanged = "Changed"                      // the pod is not what was decided upon
	reasonPodGone = "PodGone"                      // the pod is no longer there
	reasonEnding  = "NamespaceTerminating"         // nothing is made in the namespace any more
	reasonRefused = "Refused"                      // the cluster gives no reason
	reasonBehind  = "Behind"                       // the log does not have what the cluster has
	reasonMode    = "Mode"                         // the charter does not let it be done
	reasonExists  = "Exists"                       // another has done it
)

// Codes of answers.
const (
	codeUnauthorized = 401
	codeNotFound     = 404
	codeTimeout      = 408
	codeTooMany      = 429
	codeBroken       = 500
)

// answered says what an error of a cluster means for a command about a pod that is
// there: a refusal, that it is not so any more what was decided upon, or, for every
// other error, that it is to be tried again.
func answered(err error) error {
	var status apierrors.APIStatus
	if err == nil || !errors.As(err, &status) {
		return err
	}
	s := status.Status()
	switch {
	case caused(s, policyv1.DisruptionBudgetCause) != nil:
		why := caused(s, policyv1.DisruptionBudgetCause).Message // names the budget
		return &executor.Refusal{Reason: string(reasonBudget), Message: strings.TrimSpace(s.Message + " " + why)}
	case caused(s, corev1.NamespaceTerminatingCause) != nil:
		return &executor.Overtaken{Reason: reasonEnding, Message: s.Message}
	case s.Code == codeNotFound:
		return &executor.Overtaken{Reason: reasonPodGone, Message: s.Message}
	case s.Reason == metav1.StatusReasonConflict:
		return &executor.Overtaken{Reason: reasonChanged, Message: s.Message}
	case again(s):
		if s.Details != nil && s.Details.RetryAfterSeconds > 0 {
			return &executor.Later{After: time.Duration(s.Details.RetryAfterSeconds) * time.Second, Err: err}
		}
		return err
	}
	reason := string(s.Reason)
	if reason == "" {
		reason = reasonRefused
	}
	return &executor.Refusal{Reason: reason, Message: s.Message}
}

// again reports whether a cluster may give another answer to the same request: it has
// too much to do, or something is broken or not known yet. That a right is missing is
// not said by the answer: whoever asked has to find out.
func again(s metav1.Status) bool {
	switch s.Code {
	case codeUnauthorized, codeTimeout, codeTooMany:
		return true
	}
	// An eviction answers 500 without a reason for what will not change by itself.
	return s.Code == 0 || s.Code >= codeBroken && s.Reason != ""
}

// caused returns the cause of a type that a status has; nil: it has none.
func caused(s metav1.Status, cause metav1.CauseType) *metav1.StatusCause {
	if s.Details == nil {
		return nil
	}
	for i := range s.Details.Causes {
		if c := &s.Details.Causes[i]; c.Type == cause {
			return c
		}
	}
	return nil
}
