package gate

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/events"
	"rollcall/publisher"
	"rollcall/publisher/envelope"
	"rollcall/publisher/sources"
)

// atomicHeader asks for all events of a message or none, over NATS.
const atomicHeader = "Rollcall-Atomic"

// Headers by which clients of NATS micro services know a refusal.
const (
	errorCodeHeader = "Nats-Service-Error-Code"
	errorHeader     = "Nats-Service-Error"
)

// gates is the queue group of the gates of a cluster: one of them takes a message.
const gates = "rollcall-gate"

// pendingBytes bounds the messages that have come and that nobody has begun with.
const pendingBytes = 64 << 20

// Listen takes events over NATS until the returned stop is called, which returns
// when all that came are answered.
func (g *Gate) Listen(ctx context.Context, nc *nats.Conn) (stop func() error, err error) {
	var open sync.WaitGroup
	sub, err := nc.QueueSubscribe(g.config.Subjects.Ingest("*", ">"), gates, func(m *nats.Msg) {
		finish := g.heard(ctx, m)
		open.Go(func() { answerMsg(m, finish()) })
	})
	if err == nil {
		err = sub.SetPendingLimits(-1, pendingBytes)
	}
	if err == nil {
		err = nc.Flush() // what is sent after Listen has returned is heard
	}
	if err != nil {
		return nil, err
	}
	closed := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(closed) })
	return func() error {
		err := sub.Drain()
		if err == nil {
			select {
			case <-closed:
			case <-time.After(drainTime):
			}
		}
		open.Wait()
		return err
	}, nil
}

// drainTime bounds the wait for what has come when a gate stops listening.
const drainTime = 2 * time.Second

// heard begins with a message. Its subject says who has sent it, which the server's
// permissions hold.
func (g *Gate) heard(ctx context.Context, m *nats.Msg) (finish func() Reply) {
	source, typ := spoken(m.Subject)
	by, ok := g.source(source)
	if !ok {
		return func() Reply {
			return replyOf(refusal(http.StatusForbidden, "E-TOLD-SOURCE", "no such source", "there is no source %s; make it with rollcall source add", quote(source)))
		}
	}
	header := map[string][]string(m.Header)
	atomic := strings.EqualFold(m.Header.Get(atomicHeader), "true")
	return g.Begin(ctx, Sender{Source: by, Door: "nats", Type: typ, Unanswered: m.Reply == ""}, envelope.Message{Header: header, Body: m.Data, Type: typ}, atomic)
}

// spoken returns who speaks on a subject, and of which type.
func spoken(subject string) (source, typ string) {
	parts := strings.SplitN(subject, ".", 6) // rollcall.CLUSTER.from.SOURCE.ingest.TYPE
	if len(parts) < 6 {
		return "", ""
	}
	return parts[3], parts[5]
}

// source returns the source of a name, as it may tell now.
func (g *Gate) source(name string) (sources.Source, bool) {
	if name == events.AdminSource {
		return sources.Admin, true
	}
	e, ok := g.config.Sources().ByName(name)
	return e.Source, ok
}

// answerMsg answers a message, if its sender waits.
func answerMsg(m *nats.Msg, r Reply) {
	if m.Reply == "" {
		return
	}
	body, _ := json.Marshal(r.Body) // it has strings and numbers only
	out := &nats.Msg{Subject: m.Reply, Data: body, Header: nats.Header{"Content-Type": {"application/json"}}}
	if p, ok := r.Body.(*publisher.Problem); ok {
		out.Header = nats.Header{"Content-Type": {"application/problem+json"}, errorCodeHeader: {strconv.Itoa(p.Status)}, errorHeader: {p.Code + " " + p.Title}}
	}
	_ = m.RespondMsg(out) // whoever asked has gone if it cannot be sent
}
