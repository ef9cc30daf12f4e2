package kube

import (
	"errors"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"rollcall/publisher/executor"
)

// What a cluster answers is a refusal, or not so any more, or to be tried again; nothing
// is read out of words.
func TestAnswered(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	budget := apierrors.NewTooManyRequests("Cannot evict pod", 0)
	budget.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: policyv1.DisruptionBudgetCause}}
	ending := apierrors.NewForbidden(pods, "a", errors.New("it is being terminated"))
	ending.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	twoBudgets := &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: 500, Message: "This pod has more than one PodDisruptionBudget"}}
	for _, c := range []struct {
		name, class, reason string
		err                 error
	}{
		{"a budget", "refused", "DisruptionBudget", budget},
		{"two budgets", "refused", "Refused", twoBudgets},
		{"too much to do", "again", "", apierrors.NewTooManyRequests("slow down", 3)},
		{"broken", "again", "", apierrors.NewInternalError(errors.New("etcd"))},
		{"not there", "again", "", apierrors.NewServiceUnavailable("no")},
		{"token", "again", "", apierrors.NewUnauthorized("expired")},
		{"no answer", "again", "", errors.New("connection refused")},
		{"gone", "overtaken", "PodGone", apierrors.NewNotFound(pods, "a")},
		{"changed", "overtaken", "Changed", apierrors.NewConflict(pods, "a", errors.New("Precondition failed"))},
		{"ending namespace", "overtaken", "NamespaceTerminating", ending},
		{"a policy", "refused", "Forbidden", apierrors.NewForbidden(pods, "a", errors.New("denied by a webhook"))},
		{"invalid", "refused", "Invalid", apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", pods, "", "", 0, false)},
		{"bad", "refused", "BadRequest", apierrors.NewBadRequest("no")},
	} {
		err, class, reason := answered(c.err), "again", ""
		var refusal *executor.Refusal
		var late *executor.Overtaken
		switch {
		case errors.As(err, &refusal):
			class, reason = "refused", refusal.Reason
		case errors.As(err, &late):
			class, reason = "overtaken", late.Reason
		case !errors.Is(err, c.err):
			t.Errorf("%s: %v", c.name, err)
		}
		if class != c.class || reason != c.reason {
			t.Errorf("%s: %s %s, want %s %s", c.name, class, reason, c.class, c.reason)
		}
	}
	var later *executor.Later
	if !errors.As(answered(apierrors.NewTooManyRequests("slow down", 3)), &later) || later.After != 3*time.Second {
		t.Errorf("how long it is to be waited is not told: %v", later)
	}
	if answered(nil) != nil {
		t.Error("no error is one")
	}
}

// FuzzAnswered: whatever a status says, it is one of the three.
func FuzzAnswered(f *testing.F) {
	f.Add(int32(429), "TooManyRequests", "DisruptionBudget")
	f.Add(int32(500), "", "")
	f.Fuzz(func(t *testing.T, code int32, reason, cause string) {
		err := &apierrors.StatusError{ErrStatus: metav1.Status{Code: code, Reason: metav1.StatusReason(reason), Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: metav1.CauseType(cause)}}}}}
		var refusal *executor.Refusal
		var late *executor.Overtaken
		switch got := answered(err); {
		case errors.As(got, &refusal) && refusal.Reason == "", errors.As(got, &late) && late.Reason == "":
			t.Errorf("no reason: %v", got)
		case got == nil:
			t.Error("nothing")
		}
	})
}
