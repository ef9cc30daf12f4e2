package controller

import (
	"rollcall/events"
	"rollcall/projector"
)

// evict deletes the pods of a node that may not have them. On a node that is
// gone it also ends those that are terminating already: no kubelet will.
func (r *decider) evict(c *projector.Cell) {
	why := events.NotWanted
	switch {
	case r.d.Deleting():
		why = events.OwnerGone
	case c.Place == projector.Gone:
		why = events.NodeGone
	case r.d.Settings.Suspended:
		why = events.Suspended
	}
	for _, p := range c.Pods {
		if r.d.Remains(c, p) && !r.mayStay(c, p) {
			r.delete(c, p, why)
		}
	}
}

// mayStay reports whether a pod is left alone on a node that is not there: one
// that is bound to a node that the log never told of, which may yet come.
func (r *decider) mayStay(c *projector.Cell, p *projector.Pod) bool {
	return c.Place == projector.Gone && c.NodeUID == "" && p.Bound && !r.d.Deleting()
}
