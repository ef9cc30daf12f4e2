package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"rollcall/events"
)

const (
	serviceName    = "rollcall-gate"
	serviceVersion = "2.0.0" // of the requests and answers
	infoVerb       = "info"
	archiveVerb    = "archive"
	rejectsVerb    = "rejects"

	serveTime = 30 * time.Second // for one request
	askTime   = 5 * time.Second
)

// Info says what stands behind a gate.
type Info struct {
	Cluster string     `json:"cluster"`
	Seq     events.Seq `json:"seq"` // end of the log
	// API is the address of the Kubernetes API, and Kubeconfig the file on the
	// machine of the instance that tells how to use it. Empty: it has no port.
	API        string `json:"api,omitempty"`
	Kubeconfig string `json:"kubeconfig,omitempty"`
	// Heard is, of a record of another cluster, the time until which the log has what has
	// happened there. Zero: it is no record, or nobody knows.
	Heard time.Time `json:"heard,omitzero"`
}

// answer is what is sent for a request.
type answer struct {
	Info    *Info          `json:"info,omitempty"`
	Rejects *RejectsAnswer `json:"rejects,omitempty"`
	Error   *events.Error  `json:"error,omitempty"`
}

// Service is what answers the requests besides events.
type Service struct {
	Info    func(context.Context) (Info, error)
	Archive func(ctx context.Context, user string, a Archive) error
	Rejects func(context.Context, RejectsRequest) (RejectsAnswer, error)
}

// Serve answers requests on nc, several gates of one cluster taking turns, until
// the micro service is stopped. ctx is that of requests.
func (s Service) Serve(ctx context.Context, nc *nats.Conn, subjects events.Subjects) (micro.Service, error) {
	m, err := micro.AddService(nc, micro.Config{Name: serviceName, Version: serviceVersion, Description: "finds rollcall cluster " + subjects.Cluster()})
	if err != nil {
		return nil, fmt.Errorf("serve the gate: %w", err)
	}
	for verb, serve := range map[string]func(context.Context, micro.Request) (answer, error){infoVerb: s.info, archiveVerb: s.archive, rejectsVerb: s.rejects} {
		if err != nil {
			break
		}
		err = m.AddEndpoint(verb, micro.HandlerFunc(func(r micro.Request) {
			ctx, cancel := context.WithTimeout(ctx, serveTime)
			defer cancel()
			a, err := serve(ctx, r)
			respond(r, a, err)
		}), micro.WithEndpointSubject(subjects.Gate("*", verb)))
	}
	if err == nil {
		err = nc.Flush() // requests that arrive after Serve has returned must find the service
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("serve the gate: %w", err), m.Stop())
	}
	return m, nil
}

func (s Service) info(ctx context.Context, _ micro.Request) (answer, error) {
	i, err := s.Info(ctx)
	return answer{Info: &i}, err
}

func (s Service) archive(ctx context.Context, r micro.Request) (answer, error) {
	var a Archive
	if err := json.Unmarshal(r.Data(), &a); err != nil {
		return answer{}, err
	}
	parts := strings.Split(r.Subject(), ".")
	return answer{}, s.Archive(ctx, parts[len(parts)-2], a)
}

func (s Service) rejects(ctx context.Context, r micro.Request) (answer, error) {
	var q RejectsRequest
	if err := json.Unmarshal(r.Data(), &q); err != nil {
		return answer{}, err
	}
	a, err := s.Rejects(ctx, q)
	return answer{Rejects: &a}, err
}

// respond sends an answer, or the refusal that err is; about another error who
// has asked can do nothing. Whoever asked has gone if it cannot be sent.
func respond(r micro.Request, a answer, err error) {
	if err == nil {
		_ = r.RespondJSON(a)
		return
	}
	var e *events.Error
	if !errors.As(err, &e) {
		e = &events.Error{Code: "E-GATE-FAILED", What: "the request was not carried out", Why: err.Error(), Do: "try again", Exit: events.ExitFailure}
	}
	data, _ := json.Marshal(answer{Error: e}) // it has strings and a number only
	_ = r.Error(e.Code, e.What, data)
}

// Ask returns what the gate of a cluster says, to the user of nc: a name that can
// be a token of a subject. nc stays the caller's. An error of which
// nats.ErrNoResponders is the cause says that no instance runs on the log.
func Ask(ctx context.Context, nc *nats.Conn, subjects events.Subjects, user string) (Info, error) {
	a, err := ask(ctx, nc, subjects.Gate(user, infoVerb), nil, askTime)
	if err == nil && a.Info == nil {
		err = errors.New("the answer of the gate is empty")
	}
	if err != nil {
		return Info{}, err
	}
	return *a.Info, nil
}

// Archive says with which event a log is to begin.
type Archive struct {
	Seq   events.Seq `json:"seq"`
	Chain []byte     `json:"chain"` // the running hash after it
	Hash  string     `json:"hash"`  // of the state after it
}

// AskArchive has the gate of a cluster make its log begin with an event, and
// a keyframe of it. What was before it is gone then.
func AskArchive(ctx context.Context, nc *nats.Conn, subjects events.Subjects, user string, at Archive) error {
	body, err := json.Marshal(at)
	if err == nil {
		_, err = ask(ctx, nc, subjects.Gate(user, archiveVerb), body, serveTime)
	}
	return err
}

// AskRejects asks the gate of a cluster about what it has refused.
func AskRejects(ctx context.Context, nc *nats.Conn, subjects events.Subjects, user string, q RejectsRequest) (RejectsAnswer, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return RejectsAnswer{}, err
	}
	a, err := ask(ctx, nc, subjects.Gate(user, rejectsVerb), body, serveTime)
	if err == nil && a.Rejects == nil {
		err = errors.New("the answer of the gate is empty")
	}
	if err != nil {
		return RejectsAnswer{}, err
	}
	return *a.Rejects, nil
}

// ask sends a request once, and returns its answer.
func ask(ctx context.Context, nc *nats.Conn, subject string, body []byte, within time.Duration) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	msg, err := nc.RequestWithContext(ctx, subject, body)
	if err != nil {
		return a, unanswered(err)
	}
	if err := json.Unmarshal(msg.Data, &a); err != nil {
		return a, fmt.Errorf("read the answer of the gate: %w", err)
	}
	if a.Error != nil {
		return a, a.Error
	}
	return a, nil
}

func unanswered(err error) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return &events.Error{Code: "E-GATE-DOWN", What: "no instance answers", Exit: events.ExitFailure, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &events.Error{Code: "E-GATE-TIMEOUT", What: "the instance has not answered in time", Why: "it is busy, or does not take requests of this user",
			Exit: events.ExitTimeout, Err: err}
	}
	return fmt.Errorf("ask the gate: %w", err)
}
