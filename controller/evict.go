package controller

import (
	"rollcall/events"
	"rollcall/projector/sets"
)

// evict deletes the pods of a node that may not have them. On a node that is
// gone it also ends those that are terminating already: no kubelet will.
func (d *decider) evict(c *sets.Cell) {
	why := events.NotWanted
	switch {
	case d.ds.Deleting():
		why = events.OwnerGone
	case c.Place == sets.Gone:
		why = events.NodeGone
	case d.ds.Settings.Suspended:
		why = events.Suspended
	}
	for _, p := range c.Pods {
		if d.ds.Remains(c, p) && !d.mayStay(c, p) && !d.mayCome(p) {
			d.delete(c, p, why)
		}
	}
}

// mayStay reports whether a pod is left alone on a node that is not there: one
// that is bound to a node that the log never told of, which may yet come.
func (d *decider) mayStay(c *sets.Cell, p *sets.Pod) bool {
	return c.Place == sets.Gone && c.NodeUID == "" && p.Bound && !d.ds.Deleting()
}

// mayCome reports whether a pod waits for a node that the log may yet tell of: where
// the cluster collects, the order in which pods and nodes are told says nothing.
func (d *decider) mayCome(p *sets.Pod) bool {
	until := p.Astray.Add(lostAfter)
	if p.Astray.IsZero() || !d.now.Before(until) {
		return false
	}
	d.requeueBy(until)
	return true
}
