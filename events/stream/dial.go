package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// A server that answers no ping is left for another after (pings + 1) intervals:
// eight seconds.
const (
	pingInterval = 2 * time.Second
	pings        = 3
	// reconnectWait is between tries of one server when all have been tried.
	reconnectWait = 250 * time.Millisecond
)

// Dial connects to one of the servers of a comma-separated list, and to another
// one, of the list or that they know of, when that is lost. The caller closes
// the connection.
func Dial(urls string, opts ...nats.Option) (*nats.Conn, error) {
	var list []string
	for u := range strings.SplitSeq(urls, ",") {
		if u = strings.TrimSpace(u); u != "" {
			list = append(list, u)
		}
	}
	all := append([]nats.Option{nats.MaxReconnects(-1), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(pings),
		nats.ReconnectWait(reconnectWait)}, opts...)
	nc, err := nats.Connect(strings.Join(list, ","), all...)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return nc, nil
}

// strangerTimeout bounds the look at what a stranger may do.
const strangerTimeout = 2 * time.Second

// AnybodyWrites reports whether a connection without credentials may write the
// log of a cluster. What it publishes can never be stored: it expects a position
// that no log has.
func AnybodyWrites(ctx context.Context, urls string, s events.Subjects) bool {
	nc, err := nats.Connect(urls, nats.Name("rollcall, without credentials"), nats.Timeout(strangerTimeout), nats.NoReconnect(),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		return false
	}
	defer nc.Close()
	m := nats.NewMsg(s.Object(events.Node, events.Key{Name: "nobody"}))
	m.Header.Set(jetstream.ExpectedLastSeqHeader, fmt.Sprint(uint64(1<<62)))
	ctx, cancel := context.WithTimeout(ctx, strangerTimeout)
	defer cancel()
	answer, err := nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return false
	}
	var ack struct {
		Error *jetstream.APIError `json:"error"`
	}
	if json.Unmarshal(answer.Data, &ack) != nil || ack.Error == nil {
		return false
	}
	return ack.Error.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		ack.Error.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}
