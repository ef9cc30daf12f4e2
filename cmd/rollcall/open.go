package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/instance"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projector/apiserver"
	"rollcall/projector/table"
	"rollcall/publisher/simkubelet"
)

func (s *session) openCommand() *cobra.Command {
	var when string
	var o apiOptions
	c := &cobra.Command{Use: "open", Short: "Serve the Kubernetes API as the cluster was, to be read with any kubectl", Args: takes(0, 0),
		Long: `open serves the cluster as it was after an event of its log, from the data
directory or beside the instance that runs. Nothing can be changed there. It
stays until it is stopped, and leaves nothing behind.

` + replay.InstantForms,
		Example: `  rollcall open --at 10
  rollcall open --at now --data ./cluster`}
	t := addLogTarget(c)
	t.addRecording(c)
	t.addKeyFile(c)
	c.Flags().StringVar(&when, "at", "", "instant to show (default: the end of the log)")
	addAPIFlags(c, &o)
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		var at replay.Instant
		if c.Flags().Changed("at") {
			if at, err = replay.ParseInstant(when, time.Now()); err != nil {
				return of("--at", err)
			}
		}
		if o.listen == instance.NoListen {
			return usageError("E-CLI-FLAG", "--listen none leaves nothing to open", "give an address, or leave it out")
		}
		if err := cmp.Or(o.check(c.Flags().Changed), logKubernetes(o.verbosity)); err != nil {
			return err
		}
		was, m, err := s.readPast(c.Context(), t, at)
		if err != nil {
			return err
		}
		return s.servePast(c.Context(), reopened{session: s, target: t}, was, m, o.API)
	}
	return c
}

// of says which flag an instant that is refused was given with.
func of(flag string, err error) error {
	if e := new(events.Error); errors.As(err, &e) && e.Code == "E-CLI-INSTANT" {
		e.Where = flag
	}
	return err
}

// locate makes an instant a position or a time of the log. Where nothing is
// appended any more, instants count back from the last event, else from now.
func (a *archive) locate(ctx context.Context, at replay.Instant) (replay.Instant, error) {
	end := time.Now()
	if a.checked != nil || a.rec != nil {
		info, err := a.Info(ctx)
		if err != nil {
			return at, err
		}
		last, err := replay.Instant{}.Find(ctx, a, info.Last)
		if err != nil {
			return at, err
		}
		end = last.Time
	}
	return at.Locate(ctx, beginning{a}, end)
}

// moment returns where an instant is in a log with this end.
func (a *archive) moment(ctx context.Context, at replay.Instant, last events.Seq) (m replay.Moment, err error) {
	if at, err = a.locate(ctx, at); err != nil {
		return m, err
	}
	return at.Find(ctx, beginning{a}, last)
}

// foldUntil feeds the events after a position that an instant holds, and returns
// where it is.
func (a *archive) foldUntil(ctx context.Context, at replay.Instant, after events.Seq, feed func(events.Event)) (m replay.Moment, err error) {
	info, err := a.Info(ctx)
	if err != nil {
		return m, err
	}
	p := a.counting("reading the log", info.Last)
	defer p.done()
	if m, err = a.moment(ctx, at, info.Last); err != nil || m.Seq <= after {
		return m, err
	}
	for e, err := range p.Read(ctx, after) {
		if err != nil {
			return m, err
		}
		if feed(e); e.Seq == m.Seq {
			break
		}
	}
	return m, nil
}

// noEvents refuses a log in which there is nothing to look at.
func (a *archive) noEvents() error {
	return &events.Error{Code: "E-CLI-INSTANT", What: "the log is empty", Where: a.dir, Do: "start a cluster with rollcall up", Exit: events.ExitInput}
}

// readPast reads the log up to an instant, for an API to be made of it. It has
// let go of the data directory when it returns: an up may start on it meanwhile.
func (s *session) readPast(ctx context.Context, t *target, at replay.Instant) (was apiserver.Config, m replay.Moment, err error) {
	a, err := t.open(ctx, s)
	if err != nil {
		return was, m, err
	}
	defer a.close()
	was.Objects, was.Tally = table.New(table.Recent), apiserver.NewTally()
	if was.Secrets, err = t.keys(); err != nil {
		return was, m, err
	}
	before, err := a.kept(ctx, was.Objects)
	if err != nil {
		return was, m, err
	}
	from, err := a.goOn(ctx, at, before)
	if err != nil {
		return was, m, of("--at", err)
	}
	was.Objects = from.Objects()
	charter := from.Charter()
	m, err = a.foldUntil(ctx, at, from.Seq(), func(e events.Event) {
		if c, ok := e.Body.(events.Charter); ok {
			charter = &c
		}
		was.Objects.Take(e)
		was.Tally.Follow(e)
	})
	if err == nil && m.Seq == 0 {
		err = a.noEvents()
	}
	if charter != nil {
		was.Version, was.Logs = charter.Version, instance.NoLogs
		was.ReadOnly = fmt.Sprintf("this is the record of cluster %s as it was at %s: nothing can be changed there; write to the cluster itself", charter.Cluster, m)
	}
	return was, m, of("--at", err)
}

// reopened reads a log that is opened for each reading only.
type reopened struct {
	session *session
	target  *target
}

// Read implements events.Reader.
func (r reopened) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		a, err := r.target.open(ctx, r.session)
		if err != nil {
			yield(events.Event{}, err)
			return
		}
		defer a.close()
		beginning{a}.Read(ctx, after)(yield)
	}
}

// past is the API of a cluster as it was, which runs until ctx of openPast is
// done. Its directory is removed by whoever has opened it.
type past struct {
	api   *instance.Served
	dir   string     // temporary, with its credentials; empty: it has no port
	ended chan error // why it has ended
}

// openPast makes the cluster as it was be served; it may not be ready yet.
func openPast(ctx context.Context, log reopened, was apiserver.Config, m replay.Moment, o instance.API) (_ *past, err error) {
	cluster := log.target.cluster
	subjects, err := events.NewSubjects(cluster)
	if err != nil {
		return nil, err
	}
	dir := ""
	if !o.Address.None() {
		if dir, err = instance.MakeTemp(); err != nil {
			return nil, fmt.Errorf("make a directory for the kubeconfig: %w", err)
		}
	}
	o.Kubeconfigs.Origin = log.target.origin()
	o.Kubeconfigs.Origin.Past = true
	was.Leases, was.Events = memlog.NewKV(), memlog.NewKV() // of the past nobody knows them
	was.Past, was.Subjects, was.Now = log, subjects, m.Now
	if was.Logs == nil { // it is no record: kubelets and containers are simulated
		was.ReadOnly = readOnlyText(m)
		was.Logs, was.Notices, was.Claims, was.Alive = instance.LogsUntil(func() time.Time { return m.Now }), simkubelet.Notices, simkubelet.ClaimNotices, simkubelet.Heartbeat
	}
	api, err := o.Open(dir, fmt.Sprintf("%s-%d", cluster, m.Seq), was)
	if err != nil {
		return nil, cmp.Or(err, os.RemoveAll(dir))
	}
	p := &past{api, dir, make(chan error, 1)}
	go func() { p.ended <- api.Server.Run(ctx) }()
	return p, nil
}

// servePast serves the cluster as it was until ctx is done.
func (s *session) servePast(ctx context.Context, log reopened, was apiserver.Config, m replay.Moment, o instance.API) (err error) {
	p, err := openPast(ctx, log, was, m, o)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, os.RemoveAll(p.dir)) }()
	select {
	case <-p.api.Server.Ready():
		s.out.printf("rollcall  cluster %s as it was at %s, to be read only\n%s  Stop     Ctrl-C\n\n%s\n", log.target.cluster, m, p.api.Lines(), instance.ExportLine(p.api.Kubeconfig))
		err = <-p.ended
	case err = <-p.ended:
	}
	if ctx.Err() != nil {
		return s.out.failure() // it was stopped
	}
	return err
}

// readOnlyText is the refusal of a write to what has been.
func readOnlyText(m replay.Moment) string {
	return fmt.Sprintf("the cluster is shown as it was at %s: nothing can be changed there; run `rollcall up` on the data directory to go on from its end", m)
}
