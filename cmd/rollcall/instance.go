package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/controller"
	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/natsd"
	"rollcall/events/stream"
	"rollcall/projector"
	"rollcall/projector/apiserver"
	"rollcall/projector/table"
	"rollcall/publisher"
	"rollcall/publisher/gate"
	"rollcall/publisher/simkubelet"
)

// stopTime bounds a clean stop.
const stopTime = 5 * time.Second

// instance is everything that up runs.
type instance struct {
	options  upOptions
	subjects events.Subjects
	server   *natsd.Server // nil: the NATS server is somebody else's
	farPath  string        // where the position of its log is kept
	dir      string        // of the API's credentials, or empty
	kept     bool          // the temporary log outlives the instance
	nc       *nats.Conn
	log      datadir.Log
	keeping  *datadir.Keeper // nil: the log is in no data directory
	began    events.Info     // the log when the instance started
	state    *projector.Projector
	tally    *apiserver.Tally
	api      *served
	engine   engine
	stops    []func() error // in the order of starting
	failure  chan error     // the first part that ended by itself says why
}

// startInstance starts all parts, each on what those before it made, and
// returns when the log has been read to its end. If one cannot start, those
// before it are stopped.
func startInstance(ctx context.Context, s *session, o upOptions, v *viewer) (_ *instance, err error) {
	in := &instance{options: o, failure: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, in.stop())
		}
	}()
	if in.subjects, err = events.NewSubjects(o.cluster); err != nil {
		return nil, err
	}
	done := s.progress("opening the log", nil)
	defer done()
	if err := in.connect(ctx, s); err != nil {
		return nil, err
	}
	reached("connected")
	log, err := stream.Open(ctx, in.nc, in.subjects, in.streamOptions(s))
	if err != nil {
		return nil, err
	}
	in.log = datadir.Log{Log: log, Keeper: in.keeping}
	if in.began, err = in.log.Info(ctx); err != nil {
		return nil, err
	}
	if in.keeping != nil {
		if err := in.keeping.Begin(in.began); err != nil {
			return nil, err
		}
		in.launch(in.keeping.Watch)
	}
	done()
	reached("log opened")
	s.warnOfNATS(ctx, in)
	if err := in.project(ctx, s, v); err != nil {
		return nil, err
	}
	reached("log read")
	if err := in.serve(ctx, s); err != nil {
		return nil, err
	}
	reached("API open")
	service, err := gate.Serve(context.WithoutCancel(ctx), in.nc, in.subjects, in.about)
	if err != nil {
		return nil, err
	}
	in.stops = append(in.stops, service.Stop)
	reached("gate open")
	in.control()
	return in, in.register()
}

// about is what the gate says of the instance.
func (in *instance) about(ctx context.Context) (gate.Info, error) {
	end, err := in.log.Info(ctx)
	return gate.Info{Cluster: in.options.cluster, Seq: end.Last, API: in.api.url, Kubeconfig: in.api.kubeconfig}, err
}

// parties returns who acts upon the log: controllers, the executor of their
// plans, and the nodes.
func (in *instance) parties() ([]drive.Party, error) {
	var all []drive.Party
	state := in.state.State()
	if slices.Contains(in.options.controls, ownController) {
		all = append(all, controller.New(in.subjects, state, controller.Options{}))
	}
	if len(in.options.controls) > 0 { // what others leave behind is collected for all
		all = append(all, controller.NewCollector(in.subjects, state, controller.Options{}))
	}
	admit, err := in.admission()
	if err != nil {
		return nil, err
	}
	executor := publisher.NewExecutor(in.subjects, publisher.LogWorld{Admit: admit})
	executor.ReadFrom(in.state.Objects())
	return append(all, executor,
		simkubelet.New(in.subjects, in.options.delays)), nil
}

// connect starts the embedded server or reaches the one that is named.
func (in *instance) connect(ctx context.Context, s *session) (err error) {
	sweepKilled()
	in.launch(giveBack)
	o := in.options
	if o.natsURL != "" {
		if in.nc, err = dial(o.natsURL, o.natsCreds); err != nil {
			return err
		}
	} else {
		if err := datadir.CheckCluster(o.data, o.cluster); err != nil {
			return err
		}
		no := natsd.Options{Dir: o.data, Durability: o.durable, Listen: o.natsListen, Users: o.natsNames(), Cluster: o.cluster}
		if o.data != "" {
			in.keeping = datadir.NewKeeper(datadir.Options{Dir: o.data, Subjects: in.subjects, Relaxed: o.durable == natsd.Relaxed,
				Warn: s.warn, Progress: s.progress})
			no.Check = in.keeping.Check
			in.stops = append(in.stops, in.keeping.End)
		}
		if in.server, err = natsd.Start(ctx, no); err != nil {
			return err
		}
		in.stops = append(in.stops, in.server.Close)
		if err := datadir.Sweep(in.server.Dir()); err != nil {
			return err
		}
		if o.api.address.none() {
			forgetAPI(in.server.Dir())
		}
		if in.nc, err = in.server.Connect(); err != nil {
			return err
		}
	}
	in.stops = append(in.stops, func() error {
		in.nc.Close()
		return nil
	})
	return nil
}

// project starts the reading of the log, and who acts upon it, and waits until
// it has been read.
func (in *instance) project(ctx context.Context, s *session, v *viewer) error {
	in.tally = apiserver.NewTally()
	o := projector.Options{History: table.Recent, Drive: drive.Options{Report: in.engine.report},
		Follow: []func(events.Event){v.follow, func(e events.Event) { reached(fmt.Sprintf("event %d", e.Seq)) }, in.tally.Follow}}
	if in.keeping != nil {
		o.Known, o.Save = in.keeping.Known(), in.keeping.Save
	} else if err := in.witnessFar(s, &o); err != nil {
		return err
	}
	v.from = in.began.Last
	in.state = projector.Open(in.log, o)
	parties, err := in.parties()
	if err != nil {
		return err
	}
	in.launch(in.engine.run(func(ctx context.Context) error { return in.state.Run(ctx, parties...) }))
	defer s.progress("reading the log", func() string {
		var at events.Seq
		in.state.Read(func(st *projector.State) { at = st.Seq() })
		return fmt.Sprintf("%d of %d events", at, in.began.Last)
	})()
	select {
	case <-in.state.Ready():
		return nil
	case err := <-in.failure:
		return in.farHint(err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// launch runs a part until stop. One that ends before is a failure of all.
func (in *instance) launch(run func(context.Context) error) {
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

// stop stops the parts in reverse order of starting. It gives up after stopTime.
func (in *instance) stop() error {
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
	case <-time.After(stopTime):
		return &events.Error{Code: "E-CLI-STOP", What: fmt.Sprintf("the instance did not stop within %s", stopTime),
			Do: "start it again: it goes on from its log", Exit: events.ExitFailure}
	}
}
