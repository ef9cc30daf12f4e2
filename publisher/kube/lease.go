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
	leaseLook  = time.Second      // between two looks whether another renews it
)

// errLease ends a renewal: the Lease is another's.
var errLease = errors.New("the Lease is another's")

// errUnrenewed ends a renewal: nobody knows any more whose the Lease is.
var errUnrenewed = errors.New("the Lease could not be renewed")

// observed is a Lease as it was seen here. Whether its holder still renews it is told by
// its changes, and not by the times that are in it: they are of the clock of another machine.
type observed struct {
	version string    // its resourceVersion
	since   time.Time // by the clock of this machine: when it was first seen so
	changed bool      // it was seen to change
}

// heldByOther reports whether a Lease, as it is at a time of this machine's clock, is
// another log's: that is so until it has stood still for as long as it says.
func (o *observed) heldByOther(l *coordinationv1.Lease, log string, now time.Time) bool {
	s := &l.Spec
	if s.HolderIdentity == nil || *s.HolderIdentity == "" || *s.HolderIdentity == log || s.LeaseDurationSeconds == nil {
		return false
	}
	if l.ResourceVersion != o.version {
		o.version, o.since, o.changed = l.ResourceVersion, now, o.version != ""
	}
	return now.Before(o.since.Add(time.Duration(*s.LeaseDurationSeconds) * time.Second))
}

// Lease takes the Lease of a cluster for a log. If another has it, it waits for as long as
// that one may have died, unless it is seen to renew it.
func (c *Cluster) Lease(ctx context.Context, log string) error {
	for was := new(observed); ; {
		err := c.lease(ctx, log, was)
		switch {
		case err == nil:
			return nil
		case !apierrors.IsConflict(err) && (!errors.Is(err, errLease) || was.changed):
			return c.leased(err)
		}
		select {
		case <-time.After(leaseLook):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lease takes or renews the Lease if it is not another's.
func (c *Cluster) lease(ctx context.Context, log string, was *observed) error {
	ctx, cancel := context.WithTimeout(ctx, leaseEvery)
	defer cancel()
	leases, now := c.client.CoordinationV1().Leases(home), metav1.NowMicro()
	seconds := int32(leaseTime / time.Second)
	l, err := leases.Get(ctx, leaseName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leaseName}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &log, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now}},
			metav1.CreateOptions{FieldManager: manager})
	case err == nil && was.heldByOther(l, log, now.Time):
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

// hold renews the Lease of a log every so often until ctx is done, it is another's, or for
// a limit nobody has said whose it is.
func (c *Cluster) hold(ctx context.Context, log string, every, limit time.Duration) error {
	for renewed := time.Now(); ; {
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return ctx.Err()
		}
		err := c.lease(ctx, log, new(observed))
		switch {
		case err == nil:
			renewed = time.Now()
		case errors.Is(err, errLease):
			return c.leased(err)
		case time.Since(renewed) > limit:
			return fmt.Errorf("%w for %s: %w", errUnrenewed, limit, err)
		}
	}
}

// leased says in one line why a cluster is not controlled from a log.
func (c *Cluster) leased(err error) error {
	if !errors.Is(err, errLease) {
		return c.refused("renew the Lease "+home+"/"+leaseName, err)
	}
	return &events.Error{Code: "E-KUBE-LEASE", What: "another rollcall controls the cluster", Where: c.Host, Why: err.Error(),
		Do: "stop that one: who was killed is not waited for longer than 15 seconds", Exit: events.ExitHalt, Err: err}
}
