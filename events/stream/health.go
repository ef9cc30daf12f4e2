package stream

import (
	"errors"

	"github.com/nats-io/nats.go"

	"rollcall/events"
)

// Health returns nil if the log takes events as far as is known, and else why it
// does not: E-LOG-FULL, E-LOG-QUORUM or E-LOG-UNREACHABLE, an *events.Error. It
// asks nobody and never waits.
func (l *Log) Health() error {
	if l.nc.Status() != nats.CONNECTED {
		return unreachable(l.nc)
	}
	if e := l.ill.Load(); e != nil {
		return e
	}
	return nil
}

func unreachable(nc *nats.Conn) *events.Error {
	return &events.Error{Code: "E-LOG-UNREACHABLE", What: "the NATS server of the log cannot be reached",
		Where: nc.ConnectedUrlRedacted(), Do: "start the server or mend the way to it; rollcall connects by itself",
		Exit: events.ExitFailure, Err: nc.LastError()}
}

// note remembers what an append tells of the health of the log.
func (l *Log) note(err error) {
	var e *events.Error
	switch {
	case err == nil:
		l.ill.Store(nil)
	case errors.As(err, &e) && e.Code == "E-LOG-FULL":
		l.ill.Store(e)
	}
}
