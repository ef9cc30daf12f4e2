package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/cmd/rollcall/instance"
	"rollcall/controller/board"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/story"
)

// Bounds of the live view.
const (
	maxQueue = 10_000                 // changes that wait for a slow reader of the output
	maxTail  = 6                      // last changes under the picture
	redraw   = 100 * time.Millisecond // between two looks, at least
	ticking  = time.Second            // and at most: times go on
	// A picture is made again after so many times as long as it took: whoever waits
	// for the state meanwhile hardly does.
	lookShare = 20
)

// viewer shows rollouts while they go on: one line a change, or on a terminal
// a picture that is kept up to date. It follows a fold, and never makes it wait.
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
	look    *board.Look // nil: no picture is drawn
	wake    chan struct{}

	view   board.View // on a terminal
	board  *board.Board
	screen *screen
}

func newViewer(out *output) *viewer {
	v := &viewer{out: out, screen: &screen{out: out, badge: true}, changed: make(chan struct{}, 1), teller: story.New(), wake: make(chan struct{}, 1)}
	if _, _, ok := terminal(out); ok {
		v.look = board.NewLook()
	}
	return v
}

// follow takes every event of the log in order.
func (v *viewer) follow(e events.Event) {
	notify(v.changed)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.look != nil {
		v.look.Follow(e)
	}
	plan, planned := e.Body.(*events.Plan)
	planned = planned && plan.Owner.Kind == events.DaemonSet // else of the garbage collector
	if !planned && e.Type != events.Failed && events.RefOf(e).Kind != events.DaemonSet && !besides(e) {
		if e.Seq > v.from {
			v.facts++
		}
		if v.look != nil {
			notify(v.wake) // it may be about a node of the picture
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
	show, tick := v.print, (<-chan time.Time)(nil)
	if v.look != nil {
		v.view.Mode, v.view.Cluster = "LIVE", in.Cluster
		show = func() {
			v.see(in.State.Read, time.Now())
			v.draw()
		}
		t := time.NewTicker(ticking)
		defer t.Stop()
		tick = t.C
	}
	for {
		began := time.Now()
		show()
		took := time.Since(began)
		select {
		case <-v.wake:
		case <-tick:
		case <-ctx.Done():
			show()
			return
		}
		// What comes at once is shown at once.
		select {
		case <-time.After(max(redraw, lookShare*took)):
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

// see looks how the DaemonSets stand now.
func (v *viewer) see(read board.Reader, now time.Time) {
	var b *board.Board
	v.mu.Lock()
	read(func(s *projector.State) { b = v.look.Heads(s) })
	v.mu.Unlock()
	b.Fill(read, now, v.view.Keys)
	v.board = b
	tail := append(v.view.Tail, v.take(shortLine)...)
	v.view.Tail = tail[max(0, len(tail)-maxTail):]
}

// draw shows what was seen.
func (v *viewer) draw() {
	v.screen.draw(func(width, height int) []string { return board.Draw(v.board, v.view, width-1, height, colours()) })
}

// colours reports whether somebody wants none, as no-color.org has it.
func colours() bool { return os.Getenv("NO_COLOR") == "" }
