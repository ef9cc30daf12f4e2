package stream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// Headers of an atomic batch, which the client does not know yet.
const (
	batchID     = "Nats-Batch-Id"
	batchSeq    = "Nats-Batch-Sequence"
	batchCommit = "Nats-Batch-Commit"
)

// Codes of refusals that the client has no name for.
const (
	codeAccountResources  = 10002
	codeNoResources       = 10023 // memory or disk
	codeNoMemory          = 10028
	codeNoStorage         = 10047
	codeDuplicateInFlight = 10158 // of a replicated stream
	codeDuplicateInBatch  = 10201
	codeBatchesInFlight   = 10210
)

var (
	errDuplicate = errors.New("an event of the batch is in the log")
	errBusy      = errors.New("another append of the subject is under way")
	errAway      = errors.New("no server takes events of the log")
)

// publish stores one message and returns its position, or that of the message
// that was stored with its id.
func (l *Log) publish(ctx context.Context, m *nats.Msg) (events.Seq, error) {
	answer, err := l.request(ctx, m)
	if err != nil {
		return 0, l.requestError(m, err)
	}
	seq, err := l.position(m, answer.Data)
	l.note(err)
	return seq, err
}

// publishBatch stores all of ms, one after another, or none, and returns the
// position of the last.
func (l *Log) publishBatch(ctx context.Context, ms []*nats.Msg) (events.Seq, error) {
	commit, err := l.stage(ms)
	if err != nil {
		return 0, err
	}
	return l.publish(ctx, commit)
}

// stage sends all of ms but the last, which it returns: with it all are stored, one
// after another, or none, and without it the server drops them. It writes its own
// headers to them.
func (l *Log) stage(ms []*nats.Msg) (commit *nats.Msg, err error) {
	id := rand.Text()
	for i, m := range ms {
		m.Header[batchSeq] = []string{strconv.Itoa(i + 1)}
		m.Header[batchID] = []string{id}
		if i == len(ms)-1 {
			m.Header[batchCommit] = []string{"1"}
			return m, nil
		}
		if err := l.nc.PublishMsg(m); err != nil {
			// Without its last message the batch is dropped.
			if errors.Is(err, nats.ErrMaxPayload) {
				return nil, events.TooLarge(m.Subject, len(m.Data), l.most())
			}
			return nil, fmt.Errorf("append: %w", err)
		}
	}
	return nil, errors.New("append: an empty batch")
}

// most returns how many bytes of an event the log takes: what it is made for, or
// less if the server takes no such messages.
func (l *Log) most() int {
	return min(events.MaxSize, int(l.nc.MaxPayload())-(events.MaxMessage-events.MaxSize))
}

// requestError says what it means that a publish was not answered.
func (l *Log) requestError(m *nats.Msg, err error) error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return events.TooLarge(m.Subject, len(m.Data), l.most())
	case errors.Is(err, nats.ErrNoResponders): // nobody was there to store it
		return fmt.Errorf("append to %s: %w: %w", m.Subject, errAway, err)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrInvalidConnection):
		return fmt.Errorf("append: %w", err) // before it was sent
	}
	return fmt.Errorf("append: %w: %w", events.ErrUnknown, err)
}

// position reads the answer to a publish.
func (l *Log) position(m *nats.Msg, answer []byte) (events.Seq, error) {
	var ack struct {
		Error *jetstream.APIError `json:"error"`
		Seq   events.Seq          `json:"seq"`
	}
	if err := json.Unmarshal(answer, &ack); err != nil {
		return 0, fmt.Errorf("append: %w: %w", events.ErrUnknown, err)
	}
	if ack.Error == nil {
		return ack.Seq, nil
	}
	switch ack.Error.ErrorCode {
	case jetstream.JSErrCodeStreamWrongLastSequence:
		return 0, fmt.Errorf("append to %s: %s: %w", m.Subject, ack.Error.Description, events.ErrConflict)
	case jetstream.JSErrCodeStreamWrongLastSequenceConstant, codeDuplicateInFlight, codeBatchesInFlight:
		return 0, fmt.Errorf("append to %s: %w: %w", m.Subject, errBusy, ack.Error)
	case codeDuplicateInBatch:
		return 0, errDuplicate
	case jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return 0, events.TooLarge(m.Subject, len(m.Data), l.most())
	case codeAccountResources, codeNoResources, codeNoMemory, codeNoStorage:
		return 0, events.Full(m.Subject, ack.Error.Description, "raise the limits of JetStream on the server, or make room on its disk")
	}
	return 0, fmt.Errorf("append to %s: %w", m.Subject, ack.Error)
}
