package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// pace is how often a cluster that is controlled is looked after.
type pace struct {
	lease, limit time.Duration // the Lease is renewed, and how long it may not be
	probe        time.Duration // a probe is made without a reason
	suspicion    time.Duration // at most one is made for a reason
}

var usualPace = pace{lease: leaseEvery, limit: leaseLimit, probe: 10 * time.Minute, suspicion: time.Minute}

// Guard sees to it that a cluster which was taken is nobody else's, until ctx is done or
// somebody else controls it. It keeps the Lease of a log, and probes now and then, and
// when something was heard that only a controller of DaemonSets does. wait is for how long
// a probe waits.
//
// While nobody can say whose the Lease is nothing is done in the cluster; when it is this
// log's again and nobody answers a probe, control goes on. told hears of both.
func (w *World) Guard(ctx context.Context, log string, wait time.Duration, told func(string)) error {
	return w.guard(ctx, log, wait, usualPace, told)
}

func (w *World) guard(ctx context.Context, log string, wait time.Duration, p pace, told func(string)) error {
	defer w.Let()
	for since := w.taken(); ; {
		err := w.watchOver(ctx, log, wait, p)
		if !errors.Is(err, errUnrenewed) {
			return err
		}
		w.Let()
		told(err.Error() + "; nothing is done in the cluster until it is")
		if err := w.regain(ctx, log, wait, p); err != nil {
			return err
		}
		w.Take(since)
		told("the Lease is this log's still, and nobody else controls the cluster: control goes on")
	}
}

// watchOver keeps the Lease, and probes, until one of them fails.
func (w *World) watchOver(ctx context.Context, log string, wait time.Duration, p pace) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.hold(ctx, log, p.lease, p.limit) }()
	for last := time.Now(); ; last = time.Now() {
		if err := w.occasion(ctx, last, p, ended); err != nil {
			return err
		}
		var rival *events.Error
		if _, err := w.Alone(ctx, wait); errors.As(err, &rival) && rival.Code == RivalCode {
			return err
		}
	}
}

// occasion returns when there is one to probe after the last probe, or why there will be
// none any more.
func (w *World) occasion(ctx context.Context, last time.Time, p pace, ended <-chan error) error {
	regular := time.After(p.probe)
	for {
		select {
		case err := <-ended:
			return err
		case <-regular:
			return nil
		case <-w.suspects:
		}
		select {
		case err := <-ended:
			return err
		case <-time.After(time.Until(last.Add(p.suspicion))):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// regain tries until the Lease is this log's and nobody answers a probe, or somebody else
// controls the cluster.
func (w *World) regain(ctx context.Context, log string, wait time.Duration, p pace) error {
	for {
		err := w.lease(ctx, log, new(observed))
		if err == nil {
			_, err = w.Alone(ctx, wait)
		}
		var e *events.Error
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errLease):
			return w.leased(err)
		case errors.As(err, &e) && e.Code == RivalCode:
			return err
		}
		select {
		case <-time.After(p.lease):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Alone returns since when, by the cluster's clock, nobody else is the controller of
// DaemonSets there, or says who is: a probe waits for him that long.
func (c *Cluster) Alone(ctx context.Context, wait time.Duration) (since time.Time, err error) {
	rival, since, err := c.probe(ctx, wait)
	if err == nil && rival != "" {
		err = c.Rival(rival)
	}
	return since, err
}

// suspect has a probe made soon: something was done that a controller of DaemonSets does.
func (w *World) suspect() {
	select {
	case w.suspects <- struct{}{}:
	default: // there is reason enough
	}
}

// TellRival leaves word in the cluster why it is not controlled any more: an Event about
// the Lease.
func (c *Cluster) TellRival(ctx context.Context, why string) error {
	now := metav1.Now()
	about := corev1.ObjectReference{APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Namespace: home, Name: leaseName}
	_, err := c.client.CoreV1().Events(home).Create(ctx, &corev1.Event{ObjectMeta: metav1.ObjectMeta{GenerateName: leaseName + "-"}, InvolvedObject: about, Type: corev1.EventTypeWarning,
		Reason: "Rival", Message: RivalCode + ": " + why, Source: corev1.EventSource{Component: manager}, FirstTimestamp: now, LastTimestamp: now, Count: 1}, metav1.CreateOptions{FieldManager: manager})
	if err != nil {
		return fmt.Errorf("tell the cluster of the rival: %w", err)
	}
	return nil
}
