// Package instance runs a cluster in a process: a NATS server or a connection to
// one, the log in it, who acts upon the log, and the Kubernetes API. It says where
// it is in a data directory, kubeconfigs and a list of those that run.
//
// The command rollcall up is flags on it. A test, or another program, starts one
// with Options that say no more than what differs, and uses its API by
// LoopbackAs, without a port.
package instance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"k8s.io/client-go/rest"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/keyframes"
	"rollcall/events/natsd"
	"rollcall/events/stream"
	"rollcall/projector"
	"rollcall/projector/apiserver"
	"rollcall/projector/table"
	"rollcall/publisher/executor"
	"rollcall/publisher/gate"
	"rollcall/publisher/reading"
	"rollcall/publisher/simkubelet"
	"rollcall/publisher/sources"
)

// stopTime bounds a clean stop.
const stopTime = 30 * time.Second

// Options say what an instance is. The zero one is a new cluster without nodes, in
// a temporary directory, with no controllers and no port.
type Options struct {
	Cluster    string // empty: datadir.DefaultCluster
	Nodes      int    // simulated nodes of a new cluster
	NodesGiven bool   // they were asked for: it is told when a cluster keeps others
	Seed       int64  // of these nodes

	Data       string // directory that keeps the log; empty: a temporary one
	Memory     bool   // the log is kept in memory
	Durability natsd.Durability
	NATSListen string // of the embedded server
	NATSURL    string // a server that is somebody else's, instead of the embedded one
	NATSCreds  string // file of credentials for it
	NATSUsers  []string
	Replicas   int // of the log there; 0: as many as fit

	KeyFile string // keys of the Secrets; empty: where KeyPath says, and made if there are none
	NewKey  bool   // another key is made there, though values may be sealed with one that is gone

	User        string             // who is told to have done what is done
	Controllers []string           // names of those that run: see ResolveControllers
	Delays      simkubelet.Options // of what is simulated
	API         API
	Services    apiserver.ServiceRanges // what is zero: as kubeadm has it
	Metrics     Address                 // of /metrics and of what probes ask, without a token; the zero one: nowhere
	DNS         Address                 // of answers about names, over UDP and TCP; the zero one: nowhere
	EventBytes  int                     // of a message to the gate; 0: envelope.Default
	Patience    time.Duration           // after which nodes that have not joined are not waited for
	KeepAtEnd   bool                    // Stop keeps a keyframe more, if much has happened since the last one
	Record      *Record                 // nil: the log is the cluster

	Console Console               // nil: nobody is told anything
	Begun   func(last events.Seq) // called with the end of the log, before it is read
	Follow  func(e events.Event)  // called with each event
}

// Console is told what a person has to know.
type Console interface {
	Print(line string)
	Warn(text string)
	Progress(doing string, far func() string) (done func()) // far may be nil
}

// silence is the Console of nobody.
type silence struct{}

func (silence) Print(string)                          {}
func (silence) Warn(string)                           {}
func (silence) Progress(string, func() string) func() { return func() {} }

// complete fills in what is not said.
func (o *Options) complete() {
	if o.Cluster == "" {
		o.Cluster = datadir.DefaultCluster
	}
	if o.NATSListen == "" {
		o.NATSListen = NoListen
	}
	if o.Console == nil {
		o.Console = silence{}
	}
	if o.Begun == nil {
		o.Begun = func(events.Seq) {}
	}
	if o.Follow == nil {
		o.Follow = func(events.Event) {}
	}
	o.Delays.Unscheduled = len(o.Controllers) == 0
}

// Instance is a cluster that runs. Its fields are for reading.
type Instance struct {
	Options
	Subjects events.Subjects
	Server   *natsd.Server // nil: the NATS server is somebody else's
	NC       *nats.Conn
	Log      datadir.Log
	Began    events.Info // the log when the instance started
	From     events.Seq  // of the keyframe that it went on from; 0: it has read the whole log
	State    *projector.Projector
	Gate     *gate.Gate
	Served   *Served
	opened   chan struct{} // closed when Served is there

	farPath string           // where the position of a log is kept that is on another server
	dir     string           // of the API's credentials, or empty
	names   string           // the address of answers about names, or empty
	keeping *datadir.Keeper  // nil: the log is in no data directory
	frames  *keyframes.Store // nil: none are kept
	early   *early           // nil: nothing was read before the server had started
	framer  *framer          // nil: none are kept
	passed  string           // what was said of the last keyframe that was not good
	tally   *apiserver.Tally
	shelf   *stream.Shelf                // of what the gate refuses; nil: it is not kept
	sources atomic.Pointer[sources.Live] // who may tell what; nil: not read yet
	prints  *gate.Prints                 // of what was told last
	readers *reading.Hub                 // who reads the log over HTTP
	reads   http.Handler                 // answers them
	engine  engine
	stops   []func() error // in the order of starting
	failure chan error     // the first part that ended by itself says why
}

// Failed receives why a part that must run has ended by itself.
func (in *Instance) Failed() <-chan error { return in.failure }

// LoopbackAs returns a configuration for clients of the API in this process that
// act for a user, who may do everything.
func (in *Instance) LoopbackAs(user string) *rest.Config { return in.Served.Server.LoopbackAs(user) }

// Start starts all parts, each on what those before it made, and
// returns when the log has been read to its end. If one cannot start, those
// before it are stopped.
func Start(ctx context.Context, o Options) (_ *Instance, err error) {
	o.complete()
	in := &Instance{Options: o, failure: make(chan error, 1), opened: make(chan struct{}), readers: reading.NewHub(), prints: gate.NewPrints()}
	defer func() {
		if err != nil {
			err = errors.Join(err, in.Stop())
		}
	}()
	if in.Subjects, err = events.NewSubjects(o.Cluster); err != nil {
		return nil, err
	}
	done := o.Console.Progress("opening the log", nil)
	defer done()
	if err := in.connect(ctx); err != nil {
		return nil, err
	}
	Reached("connected")
	log, err := stream.Open(ctx, in.NC, in.Subjects, in.streamOptions())
	if err != nil {
		return nil, err
	}
	in.Log = datadir.Log{Log: log, Keeper: in.keeping}
	if in.Began, err = in.Log.Info(ctx); err != nil {
		return nil, err
	}
	if in.keeping != nil {
		if err := in.keeping.Begin(in.Began); err != nil {
			return nil, err
		}
		in.launch(in.keeping.Watch)
	}
	done()
	Reached("log opened")
	in.warnOfNATS(ctx)
	in.openKeyframes(ctx)
	if err := in.project(ctx); err != nil {
		return nil, err
	}
	Reached("log read")
	if err := in.checkRecord(); err != nil {
		return nil, err
	}
	if err := in.openGate(ctx); err != nil {
		return nil, err
	}
	if err := in.serve(ctx); err != nil {
		return nil, err
	}
	Reached("API open")
	if err := in.listen(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	Reached("gate open")
	in.control()
	return in, errors.Join(in.resolve(ctx), in.register())
}

// parties returns who acts upon the log: controllers, the executor of their
// plans, and the nodes, all as far as from; nil: before the first event.
func (in *Instance) parties(from *resumed) ([]drive.Party, error) {
	var all []drive.Party
	state := in.State.State()
	if slices.Contains(in.Controllers, ownController) {
		all = append(all, controller.New(in.Subjects, state, controller.Options{Queue: in.queue()}))
	}
	if len(in.Controllers) > 0 { // what others leave behind is collected for all
		all = append(all, controller.NewGarbageCollector(in.Subjects, state, controller.Options{}))
	}
	executor := executor.New(in.Subjects, in.where())
	executor.ReadFrom(in.State.Objects())
	if all = append(all, executor); in.Record == nil {
		all = append(all, in.world(from))
	}
	var err error
	all = append(all, in.decides(state)...)
	if from != nil {
		err = from.resume(all)
	}
	in.Record.heed(all)
	if in.frames != nil {
		in.framer = &framer{store: in.frames, state: state, executor: executor, last: state.Seq()}
		if in.Server != nil {
			in.framer.room = in.Server.Room
		}
		if from != nil {
			in.framer.from = time.Now().Add(keyframeShare * from.took)
		}
		all = append(all, in.framer)
	}
	return all, err
}

// connect starts the embedded server or reaches the one that is named.
func (in *Instance) connect(ctx context.Context) (err error) {
	sweepKilled()
	in.launch(in.giveBack)
	o := in.Options
	if o.NATSURL != "" {
		if in.NC, err = Dial(o.NATSURL, o.NATSCreds); err != nil {
			return err
		}
		if err := in.farSources(); err != nil {
			return err
		}
	} else {
		if err := datadir.CheckCluster(o.Data, o.Cluster); err != nil {
			return err
		}
		at, err := parseNATSListen(o.NATSListen)
		if err != nil {
			return err
		}
		users, err := in.beforeServer()
		if err != nil {
			return err
		}
		no := natsd.Options{Dir: o.Data, Durability: o.Durability, Listen: at, Users: users, Cluster: o.Cluster, Sources: in.source}
		if o.Data != "" {
			in.keeping = datadir.NewKeeper(datadir.Options{Dir: o.Data, Subjects: in.Subjects, Relaxed: o.Durability == natsd.Relaxed,
				Warn: o.Console.Warn, Progress: o.Console.Progress})
			no.Check = in.check
			in.stops = append(in.stops, in.keeping.End)
		}
		if in.Server, err = natsd.Start(ctx, no); err != nil {
			return err
		}
		in.stops = append(in.stops, in.Server.Close)
		if err := in.afterServer(); err != nil {
			return err
		}
		if o.API.Address.None() {
			forgetAPI(in.Server.Dir())
		}
		if in.NC, err = in.Server.Connect(); err != nil {
			return err
		}
	}
	in.stops = append(in.stops, func() error {
		in.rest()
		in.NC.Close()
		return nil
	})
	return nil
}

// project starts the reading of the log, and who acts upon it, and waits until
// it has been read.
func (in *Instance) project(ctx context.Context) error {
	o := projector.Options{History: table.Recent, Drive: drive.Options{Report: in.reports(), Wake: in.Record.wakes()},
		Follow: []func(events.Event){in.Follow, in.prints.Follow, in.readers.Follow, func(e events.Event) { Reached(fmt.Sprintf("event %d", e.Seq)) }}}
	if in.keeping != nil {
		o.Known, o.Save = in.keeping.Known(), in.keeping.Save
	} else if err := in.witnessFar(&o); err != nil {
		return err
	}
	in.Begun(in.Began.Last)
	at := in.Began.Last
	if o.Known.Seq > 0 {
		at = min(at, o.Known.Seq) // the running hash is compared there
	}
	for {
		from, err := in.newest(ctx, at)
		if err != nil {
			return err
		}
		err = in.projectFrom(ctx, o, from)
		if from == nil || !errors.Is(err, events.ErrRewritten) {
			return err
		}
		in.passOver(ctx, from.frame, err)
		at = from.frame.Seq - 1
	}
}

// projectFrom is project from a state on; nil: that before the first event.
func (in *Instance) projectFrom(ctx context.Context, o projector.Options, from *resumed) error {
	if in.From = 0; from != nil {
		o.From, in.From = from.state, from.frame.Seq
	}
	in.tally = apiserver.NewTally()
	o.Follow = append(slices.Clip(o.Follow), in.tally.Follow)
	in.State = projector.Open(in.Log, o)
	parties, err := in.parties(from)
	if err != nil {
		return err
	}
	if in.KeepAtEnd {
		in.stops = append(in.stops, in.keepAtEnd)
	}
	in.launch(in.engine.run(func(ctx context.Context) error { return in.State.Run(ctx, parties...) }))
	defer in.Console.Progress("reading the log", func() string { return fmt.Sprintf("%d of %d events", in.LastSeq(), in.Began.Last) })()
	select {
	case <-in.State.Ready():
		return nil
	case err := <-in.failure:
		return in.farHint(err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// launch runs a part until stop. One that ends before is a failure of all.
func (in *Instance) launch(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			select {
			case in.failure <- err:
			default:
			}
		}
	}()
	in.stops = append(in.stops, func() error {
		cancel()
		<-done
		return nil
	})
}

// Stop stops the parts in reverse order of starting. It gives up after stopTime,
// and the time that a keyframe may take.
func (in *Instance) Stop() error {
	limit := stopTime
	if in.KeepAtEnd {
		limit += endTime
	}
	done := make(chan error, 1)
	go func() {
		var errs []error
		for i := len(in.stops) - 1; i >= 0; i-- {
			errs = append(errs, in.stops[i]())
		}
		done <- errors.Join(errs...)
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return &events.Error{Code: "E-CLI-STOP", What: fmt.Sprintf("the instance did not stop within %s", limit),
			Do: "start it again: it goes on from its log", Exit: events.ExitFailure}
	}
}
