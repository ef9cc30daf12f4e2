package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// A Lease says which log a cluster is controlled from: two that know nothing of each other
// would both think that they are alone.
const (
	leaseName  = "rollcall"
	leaseTime  = 15 * time.Second
	leaseEvery = 5 * time.Second
	leaseLimit = 10 * time.Second // without an answer it may be another's soon
)

// errLease ends a renewal: the Lease is another's.
var errLease = errors.New("the Lease is another's")

// Lease takes the Lease of a cluster for a log.
func (c *Cluster) Lease(ctx context.Context, log string) error {
	if err := c.lease(ctx, log); err != nil {
		return c.leased(err)
	}
	return nil
}

func (c *Cluster) lease(ctx context.Context, log string) error {
	ctx, cancel := context.WithTimeout(ctx, leaseEvery)
	defer cancel()
	leases, now := c.client.CoordinationV1().Leases(home), metav1.NowMicro()
	seconds := int32(leaseTime / time.Second)
	l, err := leases.Get(ctx, leaseName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leaseName}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &log, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now}},
			metav1.CreateOptions{FieldManager: manager})
	case err == nil && heldByOther(&l.Spec, log, now.Time):
		return fmt.Errorf("%w: %s/%s is held by log %s", errLease, home, leaseName, *l.Spec.HolderIdentity)
	case err == nil:
		if l.Spec.HolderIdentity == nil || *l.Spec.HolderIdentity != log {
			l.Spec.AcquireTime = &now
		}
		l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &log, &seconds, &now
		_, err = leases.Update(ctx, l, metav1.UpdateOptions{FieldManager: manager})
	}
	return err
}

// heldByOther reports whether a Lease is another log's at a time.
func heldByOther(l *coordinationv1.LeaseSpec, log string, now time.Time) bool {
	if l.HolderIdentity == nil || *l.HolderIdentity == "" || *l.HolderIdentity == log || l.RenewTime == nil || l.LeaseDurationSeconds == nil {
		return false
	}
	return now.Before(l.RenewTime.Add(time.Duration(*l.LeaseDurationSeconds) * time.Second))
}

// Unlease gives the Lease of a log up.
func (c *Cluster) Unlease(ctx context.Context, log string) error {
	leases := c.client.CoordinationV1().Leases(home)
	l, err := leases.Get(ctx, leaseName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && (l.Spec.HolderIdentity == nil || *l.Spec.HolderIdentity != log) {
		return nil
	}
	if err == nil {
		none := ""
		l.Spec.HolderIdentity = &none
		_, err = leases.Update(ctx, l, metav1.UpdateOptions{FieldManager: manager})
	}
	return err
}

// Hold renews the Lease of a log until ctx is done, it is another's, or nobody knows any
// more whose it is.
func (c *Cluster) Hold(ctx context.Context, log string) error {
	for renewed := time.Now(); ; {
		select {
		case <-time.After(leaseEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
		err := c.lease(ctx, log)
		switch {
		case err == nil:
			renewed = time.Now()
		case errors.Is(err, errLease) || time.Since(renewed) > leaseLimit:
			return c.leased(err)
		}
	}
}

// leased says in one line why a cluster is not controlled from a log.
func (c *Cluster) leased(err error) error {
	if !errors.Is(err, errLease) {
		return c.refused("renew the Lease "+home+"/"+leaseName, err)
	}
	return &events.Error{Code: "E-KUBE-LEASE", What: "another rollcall controls the cluster", Where: c.Host, Why: err.Error(),
		Do: "stop that one, or wait 15 seconds if it was killed", Exit: events.ExitHalt, Err: err}
}
