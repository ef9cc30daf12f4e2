package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"rollcall/events"
)

// ServiceName is the name of the gate among the services of a NATS server.
const ServiceName = "rollcall-gate"

const serviceVersion = "1.0.0" // of the requests and answers

// Bounds of the service. Requests beyond the pending ones are dropped by the
// client library, and their senders see a time-out.
const (
	MaxRequestBytes = 1 << 20
	maxPending      = 256 // requests of one verb that wait
	requestTimeout  = 30 * time.Second
	maxActor        = 253 // characters of a user's name
)

// operation serves one verb.
type operation struct {
	verb  string
	serve func(ctx context.Context, g *Gate, user string, data []byte) (Reply, error)
}

// op makes an operation of a method and the type of its requests. The actor is
// who has asked, whatever the request says.
func op[R any](verb string, actor func(*R) *string, do func(*Gate, context.Context, R) (Reply, error)) operation {
	return operation{verb, func(ctx context.Context, g *Gate, user string, data []byte) (Reply, error) {
		var r R
		if err := decodeRequest(data, &r); err != nil {
			return Reply{}, err
		}
		if len(user) > maxActor {
			return Reply{}, &events.Error{Code: "E-GATE-REQUEST", What: fmt.Sprintf("the user has %d characters", len(user)),
				Why: fmt.Sprintf("at most %d are kept", maxActor), Do: "shorten it", Exit: events.ExitInput}
		}
		*actor(&r) = user
		return do(g, ctx, r)
	}}
}

func nodesOp(verb string, do func(*Gate, context.Context, NodesRequest) (Reply, error)) operation {
	return op(verb, func(r *NodesRequest) *string { return &r.Actor }, do)
}

func rolloutOp(verb string, do func(*Gate, context.Context, RolloutRequest) (Reply, error)) operation {
	return op(verb, func(r *RolloutRequest) *string { return &r.Actor }, do)
}

// operations are the verbs of the gate.
var operations = []operation{
	op("apply", func(r *ApplyRequest) *string { return &r.Actor }, (*Gate).Apply),
	op("delete-daemonset", func(r *DeleteDaemonSetRequest) *string { return &r.Actor }, (*Gate).DeleteDaemonSet),
	op("delete-pod", func(r *DeletePodRequest) *string { return &r.Actor }, (*Gate).DeletePod),
	op("set-image", func(r *SetImageRequest) *string { return &r.Actor }, (*Gate).SetImage),
	op("undo", func(r *UndoRequest) *string { return &r.Actor }, (*Gate).Undo),
	rolloutOp("restart", (*Gate).Restart),
	rolloutOp("pause", (*Gate).Pause),
	rolloutOp("resume", (*Gate).Resume),
	op("add-nodes", func(r *AddNodesRequest) *string { return &r.Actor }, (*Gate).AddNodes),
	nodesOp("delete-nodes", (*Gate).DeleteNodes),
	nodesOp("cordon", (*Gate).Cordon),
	nodesOp("uncordon", (*Gate).Uncordon),
	nodesOp("label", (*Gate).Label),
	nodesOp("taint", (*Gate).Taint),
	nodesOp("fail", (*Gate).Fail),
	nodesOp("recover", (*Gate).Recover),
}

// decodeRequest reads one JSON object with known fields only.
func decodeRequest(data []byte, into any) error {
	bad := &events.Error{Code: "E-GATE-REQUEST", What: "the request cannot be read", Do: "send one JSON object of this verb's fields", Exit: events.ExitInput}
	if len(data) > MaxRequestBytes {
		bad.Code, bad.What = "E-GATE-SIZE", fmt.Sprintf("the request has %d bytes", len(data))
		bad.Why, bad.Do = fmt.Sprintf("at most %d are read", MaxRequestBytes), "send it in parts"
		return bad
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		bad.Why = err.Error()
		return bad
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		bad.Why = "there is more after the first value"
		return bad
	}
	return nil
}

// Service answers requests over NATS.
type Service struct {
	micro micro.Service
	stop  context.CancelFunc
}

// Serve answers requests to g on nc, several gates of one cluster taking
// turns, until ctx is done or Stop is called.
func Serve(ctx context.Context, nc *nats.Conn, g *Gate) (*Service, error) {
	ctx, stop := context.WithCancel(ctx)
	m, err := micro.AddService(nc, micro.Config{Name: ServiceName, Version: serviceVersion,
		Description: "changes the objects of rollcall cluster " + g.Cluster()})
	if err != nil {
		stop()
		return nil, fmt.Errorf("serve the gate: %w", err)
	}
	s := &Service{m, stop}
	for _, o := range operations {
		err := m.AddEndpoint(o.verb, handler(ctx, g, o), micro.WithEndpointSubject(g.subjects.Gate("*", o.verb)),
			micro.WithEndpointPendingLimits(maxPending, maxPending*MaxRequestBytes))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("serve the gate's %s: %w", o.verb, err), s.Stop())
		}
	}
	// Requests that arrive after Serve has returned must find the service.
	if err := nc.Flush(); err != nil {
		return nil, errors.Join(fmt.Errorf("serve the gate: %w", err), s.Stop())
	}
	return s, nil
}

// Stop ends the service. Requests under way are answered as not carried out,
// or were.
func (s *Service) Stop() error {
	s.stop()
	if err := s.micro.Stop(); err != nil {
		return fmt.Errorf("stop the gate: %w", err)
	}
	return nil
}

// asker returns the user that the subject of a request names.
func asker(subject string) string {
	parts := strings.Split(subject, ".")
	return parts[len(parts)-2]
}

func handler(ctx context.Context, g *Gate, o operation) micro.Handler {
	return micro.HandlerFunc(func(req micro.Request) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		reply, err := o.serve(ctx, g, asker(req.Subject()), req.Data())
		data := encodeAnswer(reply, err)
		if err != nil {
			r := refusalOf(err)
			// Whoever asked has gone if this fails; nobody is left to tell.
			_ = req.Error(r.Code, r.What, data)
			return
		}
		_ = req.Respond(data)
	})
}
