package grid

import (
	"strings"
	"time"

	"rollcall/projector/sets"
)

// view is a cell of the state while it is looked at.
type view struct {
	*sets.Cell
	pods *sets.Survey
	now  time.Time
	pod  *sets.Pod // that serves the node, or is to; nil: none
	live bool      // it is not on its way out
	from time.Time // when the first pod of the cell is or was available; zero: none is ready
}

// choose finds the pod that serves the node: one that is ready before one that is
// not, and a new one before an old one.
func (v *view) choose(d *sets.DaemonSet) {
	for _, list := range [2][]*sets.Pod{v.pods.New, v.pods.Old} {
		for _, p := range list {
			from := d.AvailableFrom(p)
			if v.pod == nil || v.pod.ReadySince.IsZero() && !from.IsZero() {
				v.pod, v.live = p, true
			}
			if !from.IsZero() && (v.from.IsZero() || from.Before(v.from)) {
				v.from = from
			}
		}
	}
	if v.pod == nil && len(v.Pods) > 0 {
		v.pod = v.Pods[0]
	}
}

// stands says how the cell stands, and why no pod is available if one should be.
func (v *view) stands(d *sets.DaemonSet) (p Phase, c Cause) {
	p, c = v.serves(d)
	if v.Place != sets.Run {
		return p, None
	}
	if c != None && c != Young && v.Lost {
		return Lost, NodeLost
	}
	return p, c
}

func (v *view) serves(d *sets.DaemonSet) (Phase, Cause) {
	switch {
	case v.pod == nil && v.Place == sets.Run:
		return Missing, NoPod
	case v.pod == nil:
		return Unwanted, None
	case v.live && !v.from.IsZero() && v.from.After(v.now):
		return Ready, Young
	case v.live && !v.from.IsZero() && d.Current(v.pod.Revision):
		return Updated, None
	case v.live && !v.from.IsZero():
		return Outdated, None
	case v.pod.Terminal():
		return Failing, Crash
	case !v.live:
		return Stopping, Replaced
	}
	switch t := v.pod.Trouble(); {
	case strings.Contains(t.Reason, "Image"):
		return Failing, Image
	case t.Reason != "":
		return Failing, Crash
	}
	return Starting, Slow
}
