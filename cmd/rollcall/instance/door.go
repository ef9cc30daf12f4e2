package instance

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"rollcall/events"
	"rollcall/events/stream"
	"rollcall/projector"
	"rollcall/projector/apiserver"
	"rollcall/publisher/gate"
	"rollcall/publisher/reading"
	"rollcall/publisher/schema"
	"rollcall/publisher/sources"
)

// gateState is the log as the gate reads it.
type gateState struct{ *projector.Projector }

// Hold implements gate.State.
func (s gateState) Hold(owner, name string) (h events.Hold, at events.Seq, ok bool) {
	s.Read(func(st *projector.State) {
		if is := st.Hold(owner, name); is != nil {
			h, at, ok = is.Hold, is.Seq, true
		}
	})
	return h, at, ok
}

// Holds implements gate.State.
func (s gateState) Holds(owner string) (hs []events.Hold) {
	s.Read(func(st *projector.State) {
		for _, is := range st.Holds() {
			if is.Owner == owner {
				hs = append(hs, is.Hold)
			}
		}
	})
	return hs
}

// openGate makes the gate through which others tell what they know. What it
// refuses is kept, if the server lets us.
func (in *Instance) openGate(ctx context.Context) error {
	c := gate.Config{Log: in.Log, Subjects: in.Subjects, State: gateState{in.State}, Rules: apiserver.NewRules(), Sources: in.table, Prints: in.prints, Report: in.engine.report}
	c.Limits.Bytes = in.EventBytes
	o := stream.ShelfOptions{MemoryStorage: in.Memory, Replicas: in.Log.Replicas()}
	if in.Server != nil && !in.Memory {
		o.Room = in.Server.Room
	}
	opening := ctx
	if in.Server != nil { // one of somebody else answers at once, or does not let us
		var cancel context.CancelFunc
		opening, cancel = context.WithTimeout(ctx, shelfOpens)
		defer cancel()
	}
	shelf, err := stream.OpenShelf(opening, in.NC, in.Subjects, o)
	switch {
	case err == nil:
		c.Shelf, in.shelf = shelf, shelf
	case in.Server != nil:
		return err
	default:
		in.Console.Warn(fmt.Sprintf("what the gate refuses is not kept: %v", err))
	}
	in.Gate = gate.New(c)
	in.reads = reading.Handler(reading.Options{Log: in.Log, Hub: in.readers, Encoder: reading.NewEncoder(in.Cluster),
		By: func(r *http.Request) sources.Source { return gate.SourceOf(r.Context()) }})
	return nil
}

// listen opens the gate's doors on NATS. That on HTTP is the API's.
func (in *Instance) listen(ctx context.Context) error {
	service, err := gate.Service{Info: in.about, Archive: in.archive, Rejects: in.Gate.Rejects}.Serve(ctx, in.NC, in.Subjects)
	if err != nil {
		return err
	}
	in.stops = append(in.stops, in.readers.Close, in.Gate.Close, service.Stop)
	if in.Record != nil { // nobody tells a record what it is about
		return nil
	}
	stop, err := in.Gate.Listen(ctx, in.NC)
	if err != nil {
		return fmt.Errorf("open the gate: %w", err)
	}
	in.stops = append(in.stops, stop)
	return nil
}

// about is what the gate says of the instance.
func (in *Instance) about(ctx context.Context) (gate.Info, error) {
	i := gate.Info{Cluster: in.Cluster, API: in.Served.URL, Kubeconfig: in.Served.Kubeconfig}
	if in.Record != nil {
		if ago, ok := in.Record.Heard(); ok {
			in.State.ReadNow(func(_ *projector.State, now time.Time) { i.Heard = now.Add(-ago) })
		}
	}
	end, err := in.Log.Info(ctx)
	i.Seq = end.Last
	return i, err
}

// beside answers what is asked beside the Kubernetes API, by its admin and by
// sources.
func (in *Instance) beside(s *apiserver.Server) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+gate.EventsPath, in.reads)
	if in.Record == nil {
		mux.Handle("POST "+gate.EventsPath, in.Gate)
		mux.Handle(gate.EventsPath, gate.NotAllowed(http.MethodGet, http.MethodPost))
	} else { // nobody tells a record what it is about
		mux.Handle(gate.EventsPath, gate.NotAllowed(http.MethodGet))
	}
	mux.Handle(schema.Path, schema.Handler())
	mux.Handle(schema.Path+"/", schema.Handler())
	mux.Handle(schema.AsyncAPIPath, schema.Handler())
	mux.HandleFunc("/", gate.NotFound)
	return gate.Doorkeeper{Admin: s.IsAdmin, Table: in.table, Know: s.Know}.Before(mux)
}

// shelfOpens bounds how long an instance waits for its own server to open the stream
// of the rejects.
const shelfOpens = time.Minute
