// Package stream is an events.Log on a JetStream stream.
//
// The stream's sequence is the position. The stream refuses to delete, limit or
// roll up; one that is set otherwise is not opened. Its beginning may be purged, by
// Purge: a fence whose position was purged then expects, of the server, that its
// subject has no event. The id of an event that is not bound is
// its Nats-Msg-Id, so that an append whose answer was lost can be made again. Of the
// others the server knows no id: what it keeps of each is a fifth of the objects in
// memory at the end of a large rollout.
//
// Appends of many goroutines at once share atomic batches, which share the
// sync to disk. No goroutine of the package outlives the call that needs it, but
// the one that waits for a log that does not answer, which ends with its connection.
package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// Options say how a log is opened. The zero Options open one that exists.
type Options struct {
	Create bool // make the stream if there is none
	// Replicas of a stream that is made, and at least of one that Create finds.
	// 0: three where there are so many servers, else one; as it is if there is a stream.
	Replicas int
	// Wait bounds how long Open waits for servers that choose a leader, and
	// Waiting is told, once, that it does.
	Wait    time.Duration
	Waiting func(why error)
	// Room returns an error if the store of the log has no room for n bytes more;
	// nil where that cannot be known.
	Room func(n int64) error
	// Own says that the server is of this process, and that none other writes to the
	// log: it may have been left at rest, by Rest.
	Own bool
	// Direct reads without a consumer, for users that may make none. Events are
	// seen a little later.
	Direct        bool
	MemoryStorage bool          // of a stream that is made; one that is opened may have it
	AckTimeout    time.Duration // of one append, then its outcome is unknown; 0: 5 s
	// BatchFrom is how many appends must wait to be sent as one batch. 0: ten,
	// which is right for a server that syncs each write; BatchFromRelaxed is for one
	// of this process that does not.
	BatchFrom int
}

// BatchFromRelaxed is the Options.BatchFrom for a server of this process that does not
// sync each write: what a batch costs is less than to have it look up a fence.
const BatchFromRelaxed = 1

// defaultAckTimeout is longer than a server stalls on a slow disk and shorter
// than a person waits.
const defaultAckTimeout = 5 * time.Second

// Log is an events.Log on a stream. Its methods may be called from several
// goroutines.
type Log struct {
	nc        *nats.Conn
	js        jetstream.JetStream
	subjects  events.Subjects
	timeout   time.Duration
	batchFrom int
	// request sends a message and waits for its answer. Tests lose answers here.
	request func(context.Context, *nats.Msg) (*nats.Msg, error)

	room     func(n int64) error
	own      *written    // nil: others write to the log too
	resting  atomic.Bool // nothing is appended any more
	direct   bool
	replicas atomic.Int32                 // of the stream
	first    atomic.Uint64                // position of the first event that it has
	ill      atomic.Pointer[events.Error] // why the log does not answer; nil: it does
	full     atomic.Pointer[fullNote]     // the last refusal for want of room

	mu       sync.Mutex
	queue    []*batch
	flushing bool // a goroutine empties the queue
}

var _ events.Log = (*Log)(nil)

// attach returns a log without a look at its stream.
func attach(nc *nats.Conn, s events.Subjects, o Options) (*Log, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", s.Stream(), err)
	}
	l := &Log{nc: nc, js: js, subjects: s, timeout: o.AckTimeout, batchFrom: o.BatchFrom, room: o.Room, direct: o.Direct,
		request: nc.RequestMsgWithContext}
	if o.Own {
		l.own = new(written)
	}
	if l.timeout == 0 {
		l.timeout = defaultAckTimeout
	}
	if l.batchFrom == 0 {
		l.batchFrom = defaultBatchFrom
	}
	return l, nil
}

// info is look by a caller that does not wait long for servers.
func (l *Log) info(ctx context.Context) (i *jetstream.StreamInfo, err error) {
	err = l.patiently(ctx, func(ctx context.Context) (err error) {
		i, err = l.look(ctx)
		return err
	})
	return i, err
}

// identity tells a stream from another of the same name.
func identity(i *jetstream.StreamInfo) string {
	return fmt.Sprintf("%s@%d", i.Config.Name, i.Created.UnixNano())
}

// Info implements events.Log.
func (l *Log) Info(ctx context.Context) (events.Info, error) {
	i, err := l.info(ctx)
	if err != nil {
		return events.Info{}, err
	}
	return events.Info{ID: identity(i), Last: events.Seq(i.State.LastSeq), Before: before(i)}, nil
}

// Latest implements events.Log.
func (l *Log) Latest(ctx context.Context, subject string) (events.Event, bool, error) {
	m, ok, err := l.stored(ctx, lookup{LastFor: subject})
	if err != nil || !ok {
		return events.Event{}, false, err
	}
	return m.event(), true, nil
}

// lookup is a request for one stored message: the last of a subject, or the
// first of one from a position on.
type lookup struct {
	Seq     events.Seq `json:"seq,omitempty"`
	NextFor string     `json:"next_by_subj,omitempty"`
	LastFor string     `json:"last_by_subj,omitempty"`
}

// message is a stored message as the server returns it.
type message struct {
	Subject string     `json:"subject"`
	Seq     events.Seq `json:"seq"`
	Header  []byte     `json:"hdrs"`
	Data    []byte     `json:"data"`
	Time    time.Time  `json:"time"`
}

func (m message) event() events.Event {
	e := events.Decode(m.Data)
	e.Seq, e.Stored, e.Subject = m.Seq, m.Time.UTC(), m.Subject
	return e
}

// stored asks the leader of the stream, because a replica may answer a direct
// get from the past.
func (l *Log) stored(ctx context.Context, q lookup) (m message, ok bool, err error) {
	body, err := json.Marshal(q)
	if err != nil {
		return m, false, err
	}
	err = l.patiently(ctx, func(ctx context.Context) (err error) {
		m, ok, err = l.lookUp(ctx, body)
		return err
	})
	if err != nil {
		return m, false, fmt.Errorf("look up %s%s: %w", q.LastFor, q.NextFor, err)
	}
	return m, ok, nil
}

func (l *Log) lookUp(ctx context.Context, body []byte) (m message, ok bool, err error) {
	a, err := l.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+l.subjects.Stream(), body)
	if err != nil {
		return m, false, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message message             `json:"message"`
	}
	if err := json.Unmarshal(a.Data, &answer); err != nil {
		return m, false, err
	}
	switch {
	case answer.Error == nil:
		return answer.Message, true, nil
	case answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return m, false, nil
	}
	return m, false, answer.Error
}
