package kube

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/projector/table"
)

// Config is what a Recorder works with.
type Config struct {
	World    *World                // the cluster, which is told how far its record is
	UnderWay func() []events.Cause // the commands of the log that are not answered
	Missed   func() []events.Ref   // what the log did not take, and does not have as it is
	Log      events.Log
	Subjects events.Subjects
	Objects  *table.Tables // of the log, which somebody fills
	Cursors  events.KV     // where it is kept how far the cluster was heard
	Scope    events.Scope
	AllPods  bool
	Epoch    int          // of the cluster, by the charter of the log
	Since    events.Seq   // where the epoch began in the log
	Once     bool         // record what there is, and end
	Report   func(error)  // told of what is tried again
	Warn     func(string) // told what a person has to know
}

// Recorder records a cluster into a log.
type Recorder struct {
	Config
	lanes    Lanes
	merge    Merge[heard]
	in       chan heard
	log      drive.Log
	adopts   []*watcher // of what a DaemonSet may adopt
	mark     string     // of the log, on pods that are made for it
	batch    []pending
	wrote    map[string]bool // subjects of the batch
	bytes    int
	at       map[string]uint64 // by resource: all until there is in the log, or in the batch
	kept     uint64            // revision of the kept cursors
	saved    string
	synced   chan struct{}
	isSynced bool
	behind   map[string]bool // resources that have not said yet what there was at the start

	mu    sync.Mutex
	facts int
	group sync.WaitGroup
	fail  chan error
}

// pending is an entry that waits for its batch, and what it was made of.
type pending struct {
	events.Entry
	seen *Seen // nil: a note
	size int
}

// Bounds of what is appended at once.
const (
	batchEvents  = 400
	togetherFrom = 10 // less is appended one after the other: a server makes a store of its own for what is stored together
	batchBytes   = 2 << 20
	heardBuffer  = 1024
)

// saveEvery is how often cursors are kept while something is heard.
const saveEvery = time.Second

// New returns a recorder that has heard nothing yet.
func New(c Config) *Recorder {
	r := &Recorder{Config: c, in: make(chan heard, heardBuffer), wrote: map[string]bool{}, at: map[string]uint64{},
		synced: make(chan struct{}), behind: map[string]bool{}, fail: make(chan error, len(resources))}
	r.lanes = Lanes{Subjects: c.Subjects, Objects: c.Objects, Scope: c.Scope, AllPods: c.AllPods, Epoch: c.Epoch, Since: c.Since, Missed: c.Missed}
	r.log = drive.Log{Log: c.Log, GiveUp: func(err error) error {
		c.Report(err)
		return nil
	}}
	return r
}

// Synced is closed when the log has what the cluster had at the start.
func (r *Recorder) Synced() <-chan struct{} { return r.synced }

// Facts returns how many events were appended.
func (r *Recorder) Facts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.facts
}

// Run records until ctx is done, the cluster is not the one that it was, or with Once
// until what there is was recorded.
func (r *Recorder) Run(ctx context.Context) error {
	defer r.group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := r.begin(ctx); err != nil {
		return err
	}
	err := r.loop(ctx)
	if errors.Is(err, context.Canceled) || err == nil {
		err = errors.Join(err, r.save(context.WithoutCancel(ctx)))
	}
	return r.explain(err)
}

// begin starts the watchers where the log was left.
func (r *Recorder) begin(ctx context.Context) error {
	info, err := r.Log.Info(ctx)
	if err != nil {
		return err
	}
	r.World.begin(r.Log, info.ID)
	r.mark = info.ID
	was, err := r.load(ctx, info)
	if err != nil {
		return err
	}
	var watchers []*watcher
	missed := r.Missed()
	for _, res := range resources {
		w := &watcher{cluster: r.World.Cluster, resource: res, out: r.in, report: r.Report, ended: func(n int) { r.World.ended(res.plural, n) }, once: r.Once, rv: was.Heard[res.plural]}
		if w.rv == 0 {
			rows, _ := r.Objects.Of(res.kind).Snapshot()
			w.list, w.first = "it was not heard before", rows.Len() == 0 && r.Since == 0
		} else if slices.ContainsFunc(missed, func(m events.Ref) bool { return m.Kind == res.kind }) {
			w.list = "the log did not take all of it" // and may take it now
		}
		r.behind[res.plural] = true
		if res.kind != "" { // upon Events nobody decides
			r.World.expect(res.plural)
		}
		r.at[res.plural] = w.rv
		if res.kind == events.Pod || res.kind == events.ControllerRevision {
			look := *w
			r.adopts = append(r.adopts, &look)
		}
		watchers = append(watchers, w)
	}
	r.group.Go(func() { r.start(ctx, watchers) })
	return nil
}

// start has the watchers run, each when what it depends on was listed.
func (r *Recorder) start(ctx context.Context, watchers []*watcher) {
	for _, w := range watchers {
		if w.list != "" {
			if err := w.begin(ctx); err != nil {
				r.fail <- err
				return
			}
			if w.once {
				_ = w.say(ctx, 0, caught{0}) // fails only with ctx
				continue
			}
		}
		r.group.Go(func() {
			err := w.run(ctx)
			if err == nil {
				err = w.say(ctx, 0, caught{0})
			}
			if err != nil {
				r.fail <- err
			}
		})
	}
}

// loop takes what is heard.
func (r *Recorder) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	save := time.NewTicker(saveEvery)
	defer save.Stop()
	for len(r.behind) > 0 || !r.Once {
		var err error
		select {
		case h := <-r.in:
			err = r.drain(ctx, h)
		case <-timer.C:
		case <-save.C:
			err = r.save(ctx)
		case err = <-r.fail:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err == nil {
			err = r.tellAll(ctx, r.merge.Due(time.Now()))
		}
		if err == nil {
			err = r.flush(ctx)
		}
		if err != nil {
			return err
		}
		r.World.rest(r.Objects.Position())
		timer.Stop()
		if at, ok := r.merge.Next(); ok {
			timer.Reset(time.Until(at))
		}
	}
	return r.tellAll(ctx, r.merge.All())
}

// drain takes a thing that was heard, and what has come meanwhile.
func (r *Recorder) drain(ctx context.Context, h heard) error {
	for n := 0; ; n++ {
		r.World.working(h.at)
		if err := r.take(ctx, h); err != nil || n == heardBuffer {
			return err
		}
		select {
		case h = <-r.in:
		default:
			return nil
		}
	}
}

// take takes one thing. What a list says is told at once: it is in no order of time.
func (r *Recorder) take(ctx context.Context, h heard) error {
	switch x := h.what.(type) {
	case listed, caught:
	case *Seen:
		if r.lanes.Rewound(x) {
			return errRewound{h.plural, x.RV, RVOf(r.Objects.Get(x.Kind, x.Key).Data)}
		}
		if h.rv != 0 {
			r.merge.Take(h.rv, time.Now(), h)
			return nil
		}
	default:
		r.merge.Take(h.rv, time.Now(), h)
		return nil
	}
	if err := r.tellAll(ctx, r.merge.All()); err != nil {
		return err
	}
	return r.tell(ctx, h)
}

func (r *Recorder) tellAll(ctx context.Context, hs []heard) error {
	for _, h := range hs {
		if err := r.tell(ctx, h); err != nil {
			return err
		}
	}
	return nil
}
