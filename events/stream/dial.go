package stream

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
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
