package main

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"rollcall/cmd/rollcall/instance"
	"rollcall/cmd/rollcall/page"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/stream"
)

// uiListen is where the page is served if nobody says otherwise.
const uiListen = "127.0.0.1:0"

func (s *session) uiCommand() *cobra.Command {
	var listen, beside string
	c := &cobra.Command{Use: "ui", Short: "Serve a page over the log: nodes, rollouts, events and their causes, at any instant", Args: takes(0, 0),
		Long: `ui serves a page in which a log is looked at: that of an instance that runs, of a
stopped data directory, of a NATS server or of a recording. It shows what the questions
to the log answer, with a bar to go to any instant; each view says which command answers
the same. Where an instance runs, rollouts are paused, resumed and undone there, and
holds placed and lifted, with a reason and by the rights of who has started ui. With
--beside, rollouts of a recording are held against those of the log.

It prints a link that lets one browser in, once, and stays until it is stopped. The
page is served on a loopback address. rollcall up serves one by itself.`,
		Example: `  rollcall ui --data ./cluster
  rollcall ui --rec incident.rollcall
  rollcall ui --rec after.rollcall --beside before.rollcall`}
	t := addTarget(c)
	t.addRecording(c)
	c.Flags().StringVar(&listen, "listen", uiListen, "loopback address of the page")
	c.Flags().StringVar(&beside, "beside", "", "second recording, whose rollouts are held against those of the log")
	c.RunE = func(c *cobra.Command, _ []string) error {
		at, err := instance.ParseListen("--listen", listen)
		if err == nil && at.None() {
			err = usageError("E-CLI-FLAG", "--listen none leaves nothing to look at", "give an address, or leave it out")
		}
		if err != nil {
			return err
		}
		config, err := s.uiConfig(c.Context(), t, beside)
		if err != nil {
			return err
		}
		return s.servePage(c.Context(), at, config, func(link string) {
			s.out.printf("The page of %s is at\n  %s\nThe link lets one browser in, once. Ctrl-C ends it.\n", t.cluster, link)
		})
	}
	return c
}

// uiConfig is what a page over a log is about: what stops is only looked at.
func (s *session) uiConfig(ctx context.Context, t *target, beside string) (c page.Config, err error) {
	a, err := t.open(ctx, s)
	if err != nil {
		return c, err
	}
	live := a.nc != nil
	if !live {
		err = a.begun(ctx)
	}
	a.close()
	if err != nil {
		return c, err
	}
	d := doors{session: s, target: t, config: t.config}
	c = page.Config{Open: t.opens(s, live), Cluster: t.cluster, Target: t.flags(), Live: live, Insert: d.insert}
	if live {
		c.Act, c.Health = d.act, d.health
	}
	if len(t.recs) == 0 {
		c.Refused = d.refusals
	}
	if beside == "" {
		return c, nil
	}
	o := &target{recs: []string{beside}}
	if a, err = o.open(ctx, s); err == nil {
		a.close()
		c.Beside = &page.Beside{Name: beside, Open: o.opens(s, false)}
	}
	return c, err
}

// opens returns what opens the log for a page. That of an instance which has gone is
// not read from its files: the page would hold them when it comes back. What is read
// from files is opened, and a stopped directory checked, once for all who read it at a time.
func (t *target) opens(s *session, live bool) func(context.Context) (*page.Past, error) {
	if !live {
		return (&shared{open: func(ctx context.Context) (*archive, error) { return t.open(ctx, s) }}).past
	}
	return func(ctx context.Context) (*page.Past, error) {
		if t.data != "" {
			if stopped, err := idle(t.data); err != nil || stopped {
				return nil, cmp.Or(err, error(&events.Error{Code: "E-CLI-OFFLINE", What: "no instance is running on the data directory", Where: t.data,
					Do: "start it with rollcall up: the page goes on by itself; or read its past with rollcall ui", Exit: events.ExitInput}))
			}
		}
		a, err := t.open(ctx, s)
		if err != nil {
			return nil, err
		}
		return a.past(ctx)
	}
}

// shared is a log in files, of which many may read at once.
type shared struct {
	open  func(ctx context.Context) (*archive, error)
	mu    sync.Mutex
	log   *archive // open, if somebody reads
	users int
}

// past returns the log for one more who reads it.
func (x *shared) past(ctx context.Context) (*page.Past, error) {
	a, err := x.join(ctx)
	if err != nil {
		return nil, err
	}
	return a.past(ctx)
}

func (x *shared) join(ctx context.Context) (a *archive, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.users == 0 {
		if x.log, err = x.open(ctx); err != nil {
			return nil, err
		}
	}
	x.users++
	one := *x.log
	one.close = sync.OnceFunc(x.leave)
	return &one, nil
}

// leave closes the files, if nobody reads them any more.
func (x *shared) leave() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.users--; x.users == 0 {
		x.log.close()
	}
}

// begun refuses a log that nobody writes any more and that has no event.
func (a *archive) begun(ctx context.Context) error {
	info, err := a.Info(ctx)
	if err == nil && info.Last == 0 {
		err = a.noEvents()
	}
	return err
}

// past is the log as the page reads it.
func (a *archive) past(ctx context.Context) (*page.Past, error) {
	frames, err := a.keyframes(ctx)
	if err != nil {
		a.close()
		return nil, err
	}
	p := &page.Past{Log: a, Frames: frames, Moment: func(ctx context.Context, at replay.Instant, last events.Seq) (replay.Moment, error) {
		return a.moment(ctx, at, last)
	}, Facts: a.facts, Close: a.close}
	if a.nc != nil {
		p.Gone = a.nc.IsClosed
	}
	if log, ok := a.history.(*stream.Log); ok {
		p.Members = func(ctx context.Context) ([]page.Check, error) { return members(ctx, log) }
	}
	return p, nil
}

// flags are those by which a command names the same log.
func (t *target) flags() string {
	var parts []string
	named := [][2]string{{"--data", t.data}, {"--nats-url", instance.WithoutUser(t.natsURL)}}
	for _, rec := range t.recs {
		named = append(named, [2]string{"--rec", rec})
	}
	for _, f := range named {
		if f[1] != "" {
			parts = append(parts, f[0]+" "+instance.QuoteShell(f[1]))
		}
	}
	return strings.Join(parts, " ")
}

// servePage serves a page until ctx is done; begun is told its link.
func (s *session) servePage(ctx context.Context, at instance.Address, c page.Config, begun func(link string)) error {
	l, err := at.Loopback()
	if err != nil {
		return err
	}
	c.Version, _ = built()
	p := page.New(c, l.Addr().String())
	begun(p.Link())
	return p.Serve(ctx, l)
}

// page serves the page of an instance, beside it, and returns its link; empty: it has
// none. The page is one more reader of the log, with a connection of its own from
// the first request on.
func (in *upRun) page(ctx context.Context, s *session) (link string, stop func(), err error) {
	if in.up.ui.None() {
		return "", func() {}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	c := page.Config{Open: func(ctx context.Context) (*page.Past, error) { return in.past(ctx, s) }, Cluster: in.Cluster, Target: in.target().flags(), Live: true, Scene: in.up.scene.told(in.up.Nodes)}
	d := doors{session: s, target: in.target(), config: func(context.Context) (*rest.Config, error) { return in.LoopbackAs(actor()), nil }}
	c.Act, c.Insert, c.Refused, c.Health = d.act, d.insert, d.refusals, d.health
	begun, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- s.servePage(ctx, in.up.ui, c, func(link string) { begun <- link }) }()
	select {
	case link = <-begun:
	case err := <-ended:
		cancel()
		return "", nil, err
	}
	return link, func() {
		cancel()
		if err := <-ended; err != nil {
			s.Warn("the page has ended: " + err.Error())
		}
	}, nil
}

// target is how commands name the log of the instance.
func (in *upRun) target() *target {
	t := &target{data: in.Data, natsURL: in.NATSURL, cluster: in.Cluster}
	if t.data == "" && in.Server != nil {
		t.data = in.Server.Dir()
	}
	return t
}

// past opens the log of the instance as every reader from outside does.
func (in *upRun) past(ctx context.Context, s *session) (*page.Past, error) {
	a := &archive{session: s, dir: in.Data, subjects: in.Subjects}
	var err error
	if in.Server != nil {
		a.nc, err = in.Server.Connect()
	} else {
		a.nc, err = instance.Dial(in.NATSURL, in.NATSCreds)
	}
	if err != nil {
		return nil, err
	}
	a.close = a.nc.Close
	if a.history, err = stream.Open(ctx, a.nc, in.Subjects, stream.Options{Direct: true}); err == nil {
		err = a.findBegin(ctx)
	}
	if err != nil {
		a.close()
		return nil, err
	}
	return a.past(ctx)
}

// checkUI decides whether up serves a page.
func (o *upOptions) checkUI(given func(string) bool) (err error) {
	if o.once && !given("ui") {
		o.uiFlag = instance.NoListen
	}
	if o.ui, err = instance.ParseListen("--ui", o.uiFlag); err != nil || o.ui.None() {
		return err
	}
	return errors.Join(o.ui.CheckLoopback(), o.ui.Probe())
}
