package main

import (
	"cmp"
	"context"
	"fmt"
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
	var by, group, namespace string
	c := &cobra.Command{Use: "top [ds/NAME]", Short: "See nodes, rollouts and what holds them, kept up to date on a terminal", Args: takes(0, 1),
		Long: `top shows how each DaemonSet stands: how far its rollout is, since when and for how
long still if it goes on so, why nodes have no available pod, and a mark for each node.
Under that stand the last changes. It is what the page of rollcall ui shows, by the
same functions, for a terminal. The nodes are those of the first DaemonSet, or of the one
that is named; --group puts them into groups by a label, in full or its part after the
slash (zone), and --by says what their marks are.

Of an instance that runs the picture is kept up to date; of the past, that of --at or
the end of the log, it stands. Keys: up and down choose a DaemonSet, left and right
what the marks say, g the groups, space holds the picture, ? lists the keys, q leaves.

Without a terminal, or with --once, it prints one picture and ends. Without colours
($NO_COLOR) the marks say the same.`,
		Example: `  rollcall top
  rollcall top --once --group zone --by cause
  rollcall top --rec incident.rollcall --at 20`}
	q := addQuestion(c)
	q.addAt(c)
	f := c.Flags()
	f.BoolVar(&once, "once", false, "print one picture and end")
	f.StringVar(&by, "by", board.Kinds[0], "what the marks of nodes say: "+strings.Join(board.Kinds, ", "))
	complete(c, "by", cobra.FixedCompletions(board.Kinds, cobra.ShellCompDirectiveNoFileComp))
	f.StringVar(&group, "group", "", "label by which nodes stand together, such as zone")
	f.StringVarP(&namespace, "namespace", "n", "", "namespace of the DaemonSet that is named (default: any)")
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		name := ""
		if len(args) > 0 {
			if name, err = daemonSetName(args[0]); err != nil {
				return err
			}
		}
		kind := slices.Index(board.Kinds, by)
		if kind < 0 {
			return &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("marks do not say %q", by), Where: "--by", Do: "choose from " + strings.Join(board.Kinds, ", "), Exit: events.ExitInput}
		}
		return s.ask(c.Context(), q, func(x *asked) error {
			t, err := s.newTop(c.Context(), x, board.View{Cluster: q.target.cluster, By: board.By(kind), Group: group}, namespace, name)
			if err != nil {
				return err
			}
			from, watched := s.keyboard()
			if watched && !once && q.format == "text" {
				t.live = x.log.nc != nil && q.at == ""
				return atKeys(c.Context(), from, func(ctx context.Context, keys <-chan player.Key) error {
					return t.run(ctx, x.log, keys)
				})
			}
			return t.print(s, x)
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
	for e, err := range x.log.Scan(ctx, x.Span().First-1, nil) {
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

// top is a picture that somebody looks at.
type top struct {
	*viewer
	state *projector.State
	live  bool
}

// newTop looks for the first time, and refuses what is not there: a DaemonSet that is
// named, a label by which nodes are to be grouped.
func (s *session) newTop(ctx context.Context, x *asked, v board.View, namespace, name string) (*top, error) {
	l, st, err := x.look(ctx)
	if err != nil {
		return nil, err
	}
	x.log.done()
	t := &top{viewer: newViewer(s.out), state: st}
	t.look, t.from, t.view = l, st.Seq(), v
	t.view.Keys = true // labels are read
	t.mode()
	t.see(func(do func(*projector.State)) { do(st) }, st.Time())
	if name != "" {
		var names []string
		found := false
		for i, d := range slices.Backward(t.board.Sets) {
			ns, is, _ := strings.Cut(strings.TrimPrefix(d.DaemonSet, "ds/"), "/")
			names = append(names, is)
			if is == name && (namespace == "" || ns == namespace) {
				t.view.Chosen, found = i, true
			}
		}
		if !found {
			return nil, notFound("daemonset", name, fmt.Sprintf("#%d", t.board.Seq), names)
		}
	}
	if v.Group != "" && t.board.Label(v.Group) == nil {
		var keys []string
		for _, l := range t.board.Labels {
			keys = append(keys, l.Key)
		}
		return nil, &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("no label %q puts the nodes into groups", v.Group), Where: "--group",
			Do: events.Suggest(v.Group, keys, "choose from "+cmp.Or(strings.Join(keys, ", "), "none: all nodes have the same labels")), Exit: events.ExitInput}
	}
	return t, nil
}

// print prints one picture.
func (t *top) print(s *session, x *asked) error {
	sets := t.board.Sets
	if sets == nil {
		sets = []*board.Standing{}
	}
	width, height, ok := terminal(s.out)
	if !ok {
		width, height = printedWidth, printedHeight
	}
	t.view.Keys = false
	return x.give("Top", sets, func() string {
		return strings.Join(board.Draw(t.board, t.view, width, height, ok && colours()), "\n") + "\n\n"
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
			if t.view.Press(k, t.board) {
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
