package kube

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"rollcall/events"
)

// Strip takes conditions of some types off a DaemonSet, which another controller would
// leave there for ever. One that is gone has none.
func (c *Cluster) Strip(ctx context.Context, ds events.Key, types []appsv1.DaemonSetConditionType) error {
	sets := c.client.AppsV1().DaemonSets(ds.Namespace)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		is, err := sets.Get(ctx, ds.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		n := len(is.Status.Conditions)
		is.Status.Conditions = slices.DeleteFunc(is.Status.Conditions, func(c appsv1.DaemonSetCondition) bool { return slices.Contains(types, c.Type) })
		if len(is.Status.Conditions) == n {
			return nil
		}
		_, err = sets.UpdateStatus(ctx, is, metav1.UpdateOptions{FieldManager: manager})
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return c.refused(fmt.Sprintf("take the conditions off DaemonSet %s", ds), err)
	}
	return nil
}
