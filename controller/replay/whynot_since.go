package replay

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector"
	"rollcall/projector/sets"
)

// follower tells which marks hold, event by event.
type follower interface {
	// begin returns the marks that hold in a state, and goes on to tell of some at least.
	begin(s *projector.State, of []mark) map[mark]bool
	// after returns those that hold after an event; ok is false if that has not
	// changed any.
	after(s *projector.State, e events.Event) (now map[mark]bool, ok bool)
}

// decisions follow marks by deciding after every event that may matter, as far as
// the rules of these marks go.
type decisions struct {
	blocking
	rules []controller.Rule // of the marks; nil: all
	again time.Time
}

func (d *decisions) begin(s *projector.State, of []mark) map[mark]bool {
	d.rules = nil
	for _, m := range of {
		if m == (mark{}) { // that nothing is left to do: by any rule
			d.rules = nil
			break
		}
		d.rules = append(d.rules, m.rule)
	}
	return d.now(s)
}

// now returns the marks that hold in a state.
func (d *decisions) now(s *projector.State) (now map[mark]bool) {
	bs, due, again := controller.Holding(s, d.of, s.Time(), controller.About{Rules: d.rules, Node: d.node})
	d.again = again
	now = map[mark]bool{}
	for _, b := range bs {
		now[mark{b.Rule, b.Says}] = true
	}
	if d.rules == nil && len(bs) == 0 && !slices.ContainsFunc(due, d.about) {
		now[mark{}] = true
	}
	return now
}

func (d *decisions) after(s *projector.State, e events.Event) (now map[mark]bool, ok bool) {
	if !slices.Contains(s.Touched(), d.of) && (d.again.IsZero() || s.Time().Before(d.again)) {
		return nil, false
	}
	return d.now(s), true
}

// obstacles follow the marks of obstacles: of nodes that may have no pod. Those are
// mostly old, and change with the DaemonSet and with one node at a time, so that
// nothing has to be decided for them but when the DaemonSet changes.
type obstacles struct {
	blocking
	reached    bool            // the decision asks about nodes
	held       map[string]mark // by node
	count      map[mark]int    // of the nodes
	holds      map[mark]bool   // it does for some node
	meta, spec []byte          // of the DaemonSet
	succeeds   bool            // a deleted DaemonSet of that name has something left
}

// obstacle reports whether a mark is one of obstacles.
func (m mark) obstacle() bool {
	return slices.Contains([]controller.Rule{controller.RuleSuspended, controller.RuleNodeName, controller.RuleLabels, controller.RuleTaint}, m.rule)
}

func (p *obstacles) begin(s *projector.State, _ []mark) map[mark]bool {
	_, t := controller.Explain(s, p.of, s.Time())
	p.reached = !slices.ContainsFunc(t.Blockers, func(b controller.Blocker) bool { return b.Node == "" })
	p.held, p.count, p.holds = map[string]mark{}, map[mark]int{}, map[mark]bool{}
	p.succeeds = len(s.DeletedSets(p.of)) > 0
	if o, _, ok := s.Object(events.DaemonSet, p.of); ok {
		p.take(o)
	}
	if p.reached {
		for n := range s.Nodes() {
			p.place(s, n.Name, n)
		}
	}
	return maps.Clone(p.holds)
}

// take notes what obstacles follow from, and reports whether that has changed.
func (p *obstacles) take(o events.Object) bool {
	meta, spec := wire.Field(o.Data, "metadata"), wire.Field(o.Data, "spec")
	same := bytes.Equal(meta, p.meta) && bytes.Equal(spec, p.spec)
	p.meta, p.spec = meta, spec
	return !same
}

// place notes the obstacle of a node; nil: there is none of that name.
func (p *obstacles) place(s *projector.State, name string, n *sets.Node) {
	if p.node != "" && p.node != name {
		return
	}
	if was, ok := p.held[name]; ok {
		delete(p.held, name)
		p.count[was]--
		p.holds[was] = p.count[was] > 0
	}
	if n == nil {
		return
	}
	if b := controller.Obstacle(s, p.of, n); b.Rule != "" {
		m := mark{b.Rule, b.Says}
		p.held[name] = m
		p.count[m]++
		p.holds[m] = true
	}
}

func (p *obstacles) after(s *projector.State, e events.Event) (now map[mark]bool, ok bool) {
	r := events.RefOf(e)
	_, unreadable := e.Body.(events.Unreadable)
	o, object := e.Body.(events.Object)
	_, gone := e.Body.(events.Gone)
	switch {
	case unreadable, p.succeeds, len(s.DeletedSets(p.of)) > 0,
		r.Kind == events.ControllerRevision,
		r.Kind == events.DaemonSet && r.Key == p.of && (gone || object && p.take(o)):
		return p.begin(s, nil), true
	case r.Kind == events.Node && p.reached:
		p.place(s, r.Key.Name, s.Node(r.Key.Name))
		return maps.Clone(p.holds), true
	}
	return nil, false
}

// firstWindow is how many events are looked at first for where a blocker began.
// What began before is looked for in windows that grow, because what holds now
// has mostly not done so for long. To ask on the way costs no more than to fold, but
// in the middle of a rollout it costs what as many nodes wait: so the first window is
// no larger, and any other begins with a keyframe if there is one not far before it.
const firstWindow = 2000

// maxWindow is how far before it a keyframe may be: they come every 25,000 events.
const maxWindow = 25_000

// begun returns at which event each mark that holds at a position began to hold.
// One that held before the first event of the log, or holds by the passing of time
// alone, is left out; one that held before a history that begins later did so at the
// position before that.
func (h *History) begun(ctx context.Context, b blocking, at events.Seq, want []mark) (map[mark]events.Seq, error) {
	found := map[mark]events.Seq{}
	var old, other []mark
	for _, m := range want {
		if m.obstacle() {
			old = append(old, m)
		} else {
			other = append(other, m)
		}
	}
	if err := h.follow(ctx, &decisions{blocking: b}, at, other, found); err != nil {
		return nil, err
	}
	return found, h.follow(ctx, &obstacles{blocking: b}, at, old, found)
}

// follow finds where marks began to hold.
func (h *History) follow(ctx context.Context, f follower, at events.Seq, want []mark, found map[mark]events.Seq) error {
	to := at
	for size, far := events.Seq(firstWindow), events.Seq(0); len(want) > 0 && to > h.before; far = maxWindow {
		s, err := h.window(ctx, to, size, max(size, far))
		if far > 0 {
			size *= 4
		}
		if err != nil {
			return err
		}
		from := s.Seq()
		began := map[mark]events.Seq{}
		held := f.begin(s, want)
		_, err = h.forward(ctx, s, to, Visit{After: func(s *projector.State, e events.Event) error {
			now, ok := f.after(s, e)
			if !ok {
				return nil
			}
			for _, m := range want {
				if now[m] && !held[m] {
					began[m] = e.Seq
				}
			}
			held = now
			return nil
		}})
		if err != nil {
			return err
		}
		want = slices.DeleteFunc(want, func(m mark) bool {
			if held[m] && began[m] > 0 {
				found[m] = began[m]
			}
			return !held[m] || began[m] > 0
		})
		to = from
	}
	if h.before > 0 {
		for _, m := range want {
			found[m] = h.before
		}
	}
	return nil
}

// window returns the state that a window of so many events begins with, or of more if a
// keyframe is so far before it at most.
func (h *History) window(ctx context.Context, to, size, far events.Seq) (*projector.State, error) {
	if to <= h.span.First+size {
		return h.At(ctx, 0)
	}
	s, err := h.nearest(ctx, to-size)
	if err != nil || to-size-s.Seq() <= far {
		return s, err
	}
	return h.forward(ctx, s, to-size, Visit{})
}
