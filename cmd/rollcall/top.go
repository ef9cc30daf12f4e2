package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/controller/board"
	"rollcall/controller/player"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
)

// Size of a picture that is printed where no terminal says one.
const (
	printedWidth  = 100
	printedHeight = 40
)

func (s *session) topCommand() *cobra.Command {
	var once bool
	c := &cobra.Command{Use: "top", Short: "See nodes, rollouts and what holds them, kept up to date on a terminal", Args: takes(0, 0),
		Long: `top shows how each DaemonSet stands: how far its rollout is, since when and for how
long still if it goes on so, why nodes have no available pod, and a mark for each node.
Under that stand the last changes. It is what the page of rollcall ui shows, by the
same functions, for a terminal.

Of an instance that runs the picture is kept up to date; of the past, that of --at or
the end of the log, it stands. Keys: up and down choose a DaemonSet, left and right
what the marks say, space holds the picture, ? lists the keys, q leaves.

Without a terminal, or with --once, it prints one picture and ends. Without colours
($NO_COLOR) the marks say the same.`,
		Example: `  rollcall top
  rollcall top --once
  rollcall top --rec incident.rollcall --at 20`}
	q := addQuestion(c)
	q.addAt(c)
	c.Flags().BoolVar(&once, "once", false, "print one picture and end")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return s.ask(c.Context(), q, func(x *asked) error {
			from, watched := s.keyboard()
			if watched && !once && q.format == "text" {
				live := x.log.nc != nil && q.at == ""
				return s.watchTop(c.Context(), x, live, q.target.cluster, from)
			}
			return s.printTop(c.Context(), x, q.target.cluster)
		})
	}
	return c
}

// look returns a look at the state of the instant that is asked about, which knows
// when rollouts that are under way there began.
func (x *asked) look(ctx context.Context) (*board.Look, *projector.State, error) {
	st, err := x.At(ctx, x.at.Seq)
	if err != nil {
		return nil, nil, err
	}
	l, underWay := board.NewLook(), false
	for _, d := range st.DaemonSets() {
		underWay = underWay || !replay.HasRolledOut(d.Object, d.Object.Generation)
		if seq := st.LastPlan(d.Key); seq >= x.Span().First {
			e, err := x.Event(ctx, seq)
			if err != nil {
				return nil, nil, err
			}
			l.Follow(e)
		}
	}
	if !underWay {
		return l, st, nil
	}
	for e, err := range x.log.Scan(ctx, x.Span().First-1) {
		if err != nil {
			return nil, nil, err
		}
		if e.Seq > x.at.Seq {
			break
		}
		if of, _ := events.Under(e.Subject); of != "daemonset" {
			continue
		}
		if e.Body == nil {
			told := events.Decode(slices.Clone(e.Raw))
			told.Seq, told.Stored = e.Seq, e.Stored
			e = told
		}
		l.Follow(e)
	}
	return l, st, nil
}

// printTop prints one picture.
func (s *session) printTop(ctx context.Context, x *asked, cluster string) error {
	l, st, err := x.look(ctx)
	if err != nil {
		return err
	}
	b := l.Heads(st)
	b.Fill(func(do func(*projector.State)) { do(st) }, st.Time())
	if b.Sets == nil {
		b.Sets = []*board.Standing{}
	}
	width, height, ok := terminal(s.out)
	if !ok {
		width, height = printedWidth, printedHeight
	}
	return x.give("Top", b.Sets, func() string {
		return strings.Join(board.Draw(b, board.View{Mode: "AT", Cluster: cluster}, width, height, ok && colours()), "\n") + "\n\n"
	})
}

// top is a picture that somebody looks at.
type top struct {
	*viewer
	state *projector.State
	live  bool
}

// watchTop keeps a picture up to date until it is left.
func (s *session) watchTop(ctx context.Context, x *asked, live bool, cluster string, from *os.File) error {
	l, st, err := x.look(ctx)
	if err != nil {
		return err
	}
	x.log.done()
	t := &top{viewer: newViewer(s.out), state: st, live: live}
	t.look, t.from, t.view = l, st.Seq(), board.View{Cluster: cluster, Keys: true}
	return atKeys(ctx, from, func(ctx context.Context, keys <-chan player.Key) error {
		return t.run(ctx, x.log, keys)
	})
}

// run shows the picture, and folds what comes.
func (t *top) run(ctx context.Context, log *reading, keys <-chan player.Key) error {
	ctx, stop := context.WithCancel(ctx)
	es, ended := make(chan events.Event, 1024), make(chan error, 1)
	defer func() { stop(); <-ended }()
	go func() { ended <- t.tail(ctx, log, es) }()
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	t.show()
	for next := time.Now(); ; {
		select {
		case e := <-es:
			t.follow(projector.Fold(t.state, e))
		case k := <-keys:
			if t.view.Press(k, len(t.board.Sets)) {
				return nil
			}
			t.mode()
			t.draw()
		case now := <-tick.C:
			if now.After(next) {
				t.show()
				next = now.Add(lookShare * time.Since(now))
			}
		case err := <-ended:
			ended <- err
			if ctx.Err() != nil {
				return nil // Ctrl-C
			}
			return log.lost(err)
		}
		if err := t.out.failure(); err != nil {
			return err
		}
	}
}

// tail reads the log as it goes on, if it does, until ctx is done.
func (t *top) tail(ctx context.Context, log *reading, es chan<- events.Event) error {
	if !t.live {
		<-ctx.Done()
		return ctx.Err()
	}
	for e, err := range log.Tail(ctx, t.from) {
		if err != nil {
			return err
		}
		select {
		case es <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// show looks again, unless the picture is held.
func (t *top) show() {
	t.mode()
	if !t.view.Paused || t.board == nil {
		now := t.state.Time()
		if t.live {
			now = time.Now()
		}
		t.see(func(do func(*projector.State)) { do(t.state) }, now)
	}
	t.draw()
}

// mode says whether the picture is of now.
func (t *top) mode() {
	switch {
	case !t.live:
		t.view.Mode = "AT"
	case t.view.Paused:
		t.view.Mode = "PAUSED"
	default:
		t.view.Mode = "LIVE"
	}
}
