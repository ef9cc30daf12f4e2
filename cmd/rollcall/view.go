package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"rollcall/cmd/rollcall/instance"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/story"
)

// Bounds of the live view.
const (
	maxQueue = 10_000                 // changes that wait for a slow reader of the output
	maxTail  = 6                      // last changes under the rollouts
	redraw   = 100 * time.Millisecond // between two looks
)

// viewer shows rollouts while they go on: one line a change, or on a terminal
// a picture that is kept up to date. It follows the projector, and never makes
// it wait.
type viewer struct {
	out     *output
	from    events.Seq    // what came before is history
	changed chan struct{} // receives when events were folded since it last did

	mu      sync.Mutex
	teller  *story.Teller
	queue   []events.Event
	lost    int
	facts   int
	planned int
	plans   map[events.Key]*events.Plan // the last of each DaemonSet
	wake    chan struct{}

	tail   []string // on a terminal
	screen *screen
}

func newViewer(out *output) *viewer {
	return &viewer{out: out, screen: &screen{out: out}, changed: make(chan struct{}, 1), teller: story.New(),
		plans: map[events.Key]*events.Plan{}, wake: make(chan struct{}, 1)}
}

// follow takes every event of the log in order.
func (v *viewer) follow(e events.Event) {
	notify(v.changed)
	v.mu.Lock()
	defer v.mu.Unlock()
	plan, planned := e.Body.(*events.Plan)
	planned = planned && plan.Owner.Kind == events.DaemonSet // else of the garbage collector
	switch {
	case planned:
		v.plans[plan.Owner.Key] = plan
	case e.Type != events.Failed && events.RefOf(e).Kind != events.DaemonSet && !besides(e):
		if e.Seq > v.from {
			v.facts++
		}
		return
	}
	if e.Seq <= v.from {
		v.teller.Observe(e)
		return
	}
	if planned {
		v.planned++
	} else {
		v.facts++
	}
	if len(v.queue) == maxQueue {
		v.drop(maxQueue / 4)
	}
	v.queue = append(v.queue, e)
	notify(v.wake)
}

// besides reports whether e is a hold or a note from outside: no fact, and what
// explains what is to be seen.
func besides(e events.Event) bool {
	return slices.Contains([]events.Type{events.HoldPlaced, events.HoldLifted, events.NoteTold}, e.Type)
}

// drop passes over the n oldest changes.
func (v *viewer) drop(n int) {
	for _, e := range v.queue[:n] {
		v.teller.Observe(e)
	}
	v.queue = slices.Delete(v.queue, 0, n)
	v.lost += n
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// counts returns how many facts and plans the log got since the start.
func (v *viewer) counts() (facts, plans int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.facts, v.planned
}

// shortLine is story.Line for a terminal, where there is no room for what the
// day and the type add.
func shortLine(e story.Entry) string {
	return fmt.Sprintf("#%-6d %s  %s  %s", e.Seq, e.Time.Local().Format("15:04:05"), e.Object, e.What)
}

// take returns lines for the changes since the last call.
func (v *viewer) take(line func(story.Entry) string) (lines []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.lost > 0 {
		lines = append(lines, fmt.Sprintf("(%d changes are not shown: the output is read too slowly; rollcall log has them)", v.lost))
		v.lost = 0
	}
	for i := 0; i < len(v.queue); {
		e, n := together(v.queue[i:])
		i += n
		for _, entry := range v.teller.Tell(e) {
			switch {
			case entry.Indent == 0 && n > 1:
				entry.What += fmt.Sprintf(" (in %d plans)", n)
			case entry.Indent > 0 && !strings.HasPrefix(entry.What, "held: "):
				continue
			}
			lines = append(lines, line(entry))
		}
	}
	v.queue = v.queue[:0]
	return lines
}

// together returns the first of es, and as one the plans for one DaemonSet that
// follow each other, with how many events that are: nodes that join one by one
// give a plan each.
func together(es []events.Event) (events.Event, int) {
	first, ok := es[0].Body.(*events.Plan)
	if !ok {
		return es[0], 1
	}
	all := *first
	all.Commands = slices.Clone(first.Commands)
	n := 1
	for ; n < len(es); n++ {
		p, ok := es[n].Body.(*events.Plan)
		if !ok || p.Owner.UID != first.Owner.UID {
			break
		}
		commands := append(all.Commands, p.Commands...)
		all = *p
		all.Commands = commands
	}
	e := es[n-1]
	e.Body = &all
	return e, n
}

// run shows changes until ctx is done, and then those that are left.
func (v *viewer) run(ctx context.Context, in *instance.Instance) {
	show := v.print
	if _, _, ok := terminal(v.out); ok {
		show = func() { v.draw(in) }
	}
	for {
		show()
		select {
		case <-v.wake:
		case <-ctx.Done():
			show()
			return
		}
		// What comes at once is shown at once.
		select {
		case <-time.After(redraw):
		case <-ctx.Done():
		}
	}
}

// print writes one line a change.
func (v *viewer) print() {
	if lines := v.take(story.Line); len(lines) > 0 {
		v.out.printf("%s\n", strings.Join(lines, "\n"))
	}
}

// draw shows the picture.
func (v *viewer) draw(in *instance.Instance) {
	v.screen.draw(func(_, height int) []string {
		v.tail = append(v.tail, v.take(shortLine)...)
		v.tail = v.tail[max(0, len(v.tail)-maxTail):]
		return v.picture(in, height)
	})
}

// picture returns a line for each DaemonSet and under them the last changes, at
// most height lines.
func (v *viewer) picture(in *instance.Instance, height int) []string {
	var sets []*appsv1.DaemonSet
	in.State.Read(func(s *projector.State) {
		for _, d := range s.DaemonSets() {
			sets = append(sets, d.Object)
		}
	})
	var lines []string
	v.mu.Lock()
	for _, ds := range sets {
		lines = append(lines, story.RolloutLine(ds, v.plans[events.Key{Namespace: ds.Namespace, Name: ds.Name}]))
	}
	v.mu.Unlock()
	if room := height - len(v.tail) - 1; len(lines) > room && room > 0 {
		more := len(lines) - room + 1
		lines = append(lines[:room-1], fmt.Sprintf("and %d more", more))
	}
	lines = append(lines, "")
	lines = append(lines, v.tail...)
	return lines[:max(0, min(len(lines), height))]
}
