package controller

import (
	"time"

	"rollcall/projector/sets"
)

// How long the next try waits. The state counts what failed and when; these are
// the curves.
const (
	firstPause = time.Second
	maxPause   = 15 * time.Minute // G05
)

// Pauses of all creates of a DaemonSet after refusals, as of a Kubernetes work
// queue.
const (
	firstRefusedPause = 5 * time.Millisecond
	maxRefusedPause   = 1000 * time.Second
)

// BackoffUntil returns when the next try to get a pod onto a cell's node may be
// made; zero: at once.
func BackoffUntil(c *sets.Cell) time.Time {
	return pauseAfter(c.Failures, c.FailedAt, firstPause, maxPause)
}

// deniedUntil returns when the next command about a pod may be planned, after
// some that did nothing.
func deniedUntil(p *sets.Pod) time.Time {
	return pauseAfter(p.Denials, p.DeniedAt, firstPause, maxPause)
}

// refusedUntil returns when creates may be tried again after refusals.
func refusedUntil(ds *sets.DaemonSet) time.Time {
	return pauseAfter(ds.Refusals, ds.RefusedAt, firstRefusedPause, maxRefusedPause)
}

// pauseAfter returns when the next try may be made after n failures in a row,
// the last of them at a time: each pause is twice as long as the one before.
func pauseAfter(n int, last time.Time, first, most time.Duration) time.Time {
	if n == 0 {
		return time.Time{}
	}
	pause := first
	for i := 1; i < n && pause < most; i++ {
		pause *= 2
	}
	return last.Add(min(pause, most))
}
