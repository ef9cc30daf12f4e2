package kube

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall/events"
)

// Bounds of how old that may be which is decided upon.
const (
	settleTime = time.Second     // after a watch was opened: what the server kept for it has come by then
	behindTime = 5 * time.Second // until what was heard is in the log
	heardTime  = 4 * time.Second // after the gate was opened: what came then is old enough to be judged by
)

// Gate says whether a log has what a cluster has, as far as anybody can tell: every
// watch of what is decided upon is open, has been for settleTime, and what it says is in the log within
// behindTime. While it is shut nothing is decided that others' pods have a part in. The
// zero Gate is shut.
type Gate struct {
	watches map[string]watchState
	working time.Time // when that was heard which is being appended; zero: nothing is
	open    bool
	since   time.Time  // when it was opened
	from    events.Seq // where the log was then
	heard   time.Time  // when it was last known what had not happened in the cluster
}

// watchState is how it stands with one watch.
type watchState struct {
	n     int       // how many have been opened
	since time.Time // when the last was; zero: it has ended
}

// Expect has a watch waited for.
func (g *Gate) Expect(plural string) {
	if g.watches == nil {
		g.watches = map[string]watchState{}
	}
	g.watches[plural] = watchState{}
}

// Opened tells, of a watch that is waited for, that the n-th watch of a resource is open, and what was heard before it
// is in the log.
func (g *Gate) Opened(plural string, n int, now time.Time) {
	if w, is := g.watches[plural]; is && n > w.n {
		g.watches[plural] = watchState{n, now}
	}
}

// Ended tells, of a watch that is waited for, that the n-th watch of a resource has ended.
func (g *Gate) Ended(plural string, n int) {
	if w, is := g.watches[plural]; is && n >= w.n {
		g.watches[plural] = watchState{n: n}
	}
}

// Working tells that something is being appended that was heard at a time; zero: that
// nothing is.
func (g *Gate) Working(heard time.Time) { g.working = heard }

// Look opens or shuts the gate by what is known at a time, when the log was read up to
// a position, and reports whether it was shut before and is open now.
func (g *Gate) Look(now time.Time, at events.Seq) (opened bool) {
	was := g.open
	g.open = g.why(now) == ""
	if opened = g.open && !was; opened {
		g.since, g.from = now, at
	}
	if g.open && now.Sub(g.since) >= heardTime {
		g.heard = now
	}
	return opened
}

// Open reports whether the gate is open.
func (g *Gate) Open(now time.Time) bool { return g.open && g.why(now) == "" }

// Heard returns until when it is known what has not happened in the cluster: a watch that
// ends and is opened again leaves it where it was meanwhile. Zero: it never was.
func (g *Gate) Heard() time.Time { return g.heard }

// Permit says why a command may not be carried out at a time that was decided from a
// position; "": it may.
func (g *Gate) Permit(basis events.Seq, now time.Time) string {
	switch why := g.why(now); {
	case why != "":
		return why
	case !g.open:
		return "the watches of the cluster have just been opened"
	case basis < g.from:
		return fmt.Sprintf("it was decided before #%d, when the watches of the cluster were opened again", g.from)
	}
	return ""
}

// why says what keeps the gate shut; "": nothing.
func (g *Gate) why(now time.Time) string {
	var down []string
	for _, plural := range slices.Sorted(maps.Keys(g.watches)) {
		if w := g.watches[plural]; w.since.IsZero() || now.Sub(w.since) < settleTime {
			down = append(down, plural)
		}
	}
	switch {
	case g.watches == nil:
		return "the cluster is not watched"
	case len(down) > 0:
		return "what is watched is not complete: " + strings.Join(down, ", ")
	case !g.working.IsZero() && now.Sub(g.working) > behindTime:
		return fmt.Sprintf("the log is more than %s behind the cluster", behindTime)
	}
	return ""
}
