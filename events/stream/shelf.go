package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// Bounds of a shelf. What is over them goes, oldest first.
const (
	shelfBytes = 64 << 20
	shelfAge   = 7 * 24 * time.Hour
)

// ShelfOptions say where a shelf is kept.
type ShelfOptions struct {
	MemoryStorage bool
	Replicas      int                 // as Options has it
	Room          func(n int64) error // as Options has it; nil: not asked
}

// Shelf keeps what was refused of what sources told, in a stream of its own beside
// the log that is bounded by size and age. Its methods may be called from any
// goroutine.
type Shelf struct {
	js       jetstream.JetStream
	stream   jetstream.Stream
	subjects events.Subjects
	room     func(n int64) error
}

// OpenShelf opens the shelf of a cluster, and makes it if there is none.
func OpenShelf(ctx context.Context, nc *nats.Conn, s events.Subjects, o ShelfOptions) (*Shelf, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open the rejects: %w", err)
	}
	c := jetstream.StreamConfig{Name: s.RejectsStream(), Description: "rollcall: what the gate of cluster " + s.Cluster() + " has refused",
		Subjects: []string{s.Rejects("*")}, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		MaxBytes: shelfBytes, MaxAge: shelfAge, Storage: jetstream.FileStorage, Compression: jetstream.S2Compression, Replicas: max(o.Replicas, 1), AllowDirect: true}
	if o.MemoryStorage {
		c.Storage, c.Compression = jetstream.MemoryStorage, jetstream.NoCompression
	}
	st, err := js.Stream(ctx, c.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		st, err = js.CreateStream(ctx, c)
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // somebody else was faster
		st, err = js.Stream(ctx, c.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("open the rejects: %w", err)
	}
	return &Shelf{js, st, s, o.Room}, nil
}

// Put keeps a message of a source and returns its number.
func (s *Shelf) Put(ctx context.Context, source string, data []byte) (uint64, error) {
	if s.room != nil {
		if err := s.room(int64(len(data))); err != nil {
			return 0, err
		}
	}
	ack, err := s.js.Publish(ctx, s.subjects.Rejects(source), data)
	if err != nil {
		return 0, fmt.Errorf("keep a reject: %w", err)
	}
	return ack.Sequence, nil
}

// Get returns the message of a number; ok is false if it is not there any more.
func (s *Shelf) Get(ctx context.Context, number uint64) (data []byte, ok bool, err error) {
	m, err := s.stream.GetMsg(ctx, number)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("read reject %d: %w", number, err)
	}
	return m.Data, true, nil
}

// Drop takes a message away, and reports whether it was there.
func (s *Shelf) Drop(ctx context.Context, number uint64) (bool, error) {
	err := s.stream.DeleteMsg(ctx, number)
	var api *jetstream.APIError
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, jetstream.ErrMsgNotFound), errors.As(err, &api) && strings.Contains(api.Description, "not found"):
		return false, nil
	}
	return false, fmt.Errorf("drop reject %d: %w", number, err)
}

// Each calls f with what there is, oldest first, until f returns false.
func (s *Shelf) Each(ctx context.Context, f func(number uint64, data []byte) bool) error {
	i, err := s.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("read the rejects: %w", err)
	}
	for at := i.State.FirstSeq; at <= i.State.LastSeq && i.State.Msgs > 0; {
		m, err := s.stream.GetMsg(ctx, at, jetstream.WithGetMsgSubject(s.subjects.Rejects("*")))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("read the rejects: %w", err)
		case !f(m.Sequence, m.Data):
			return nil
		}
		at = m.Sequence + 1
	}
	return nil
}

// Held returns how many messages there are, of how many bytes, and how many there
// ever were.
func (s *Shelf) Held(ctx context.Context) (messages, bytes, ever uint64, err error) {
	i, err := s.stream.Info(ctx)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("look at the rejects: %w", err)
	}
	return i.State.Msgs, i.State.Bytes, i.State.LastSeq, nil
}
