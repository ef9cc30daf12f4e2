// Package keyframes keeps states of a log beside it, so that who needs one does
// not have to fold all of the log.
//
// A keyframe is a cache. It is used only if the log has the event that it was
// made after and its bytes are those that were kept; else the next older one is
// looked at, and it is said why. What is lost of them is folded again.
//
// A log whose first events were archived begins with the event of a pinned
// keyframe, which is never thinned out: without it that log cannot be folded.
package keyframes

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
	"rollcall/events/chain"
)

// Bucket is the name, among those of its cluster, of the object store that
// keyframes are in.
const Bucket = "keyframes"

// Object is an object of an object store.
type Object struct {
	Name string
	Meta map[string]string
}

// Reader reads an object store beside a log.
type Reader interface {
	// List returns the objects. An error says that some could not be listed, or
	// are damaged; those that could are returned with it.
	List(ctx context.Context) ([]Object, error)
	// Get returns what an object holds, whole and as it was put.
	Get(ctx context.Context, name string) ([]byte, error)
}

// Writer is an object store that can be written.
type Writer interface {
	Reader
	// Put puts an object, in place of the one of its name.
	Put(ctx context.Context, o Object, data []byte) error
	// Delete removes an object.
	Delete(ctx context.Context, name string) error
}

// Frame says what a keyframe is, and of which event.
type Frame struct {
	Seq    events.Seq
	ID     string    // of the event at Seq; empty: it has none
	Chain  chain.Sum // after that event
	Before chain.Sum // before it: with the bytes of the event it gives Chain
	Format int       // of the state
	Hash   string    // of the state: SHA-256 of its bytes
	Made   time.Time
	Pinned bool // it is never thinned out

	stateBytes, partyBytes int // as they are kept
	partiesHash            string
}

// Kept is what a keyframe holds.
type Kept struct {
	State   []byte // as State.Keyframe has written it
	Parties []byte // what parties remember that the state does not say; empty: nothing
}

// Check says why a keyframe is not of a log that has the event e at its
// position; nil: it is.
func (f Frame) Check(e events.Event) error {
	id := ""
	if e.ID != (ulid.ULID{}) {
		id = e.ID.String()
	}
	if e.Seq != f.Seq || id != f.ID {
		return fmt.Errorf("the log has another event at #%d, %s", e.Seq, id)
	}
	c := chain.From(chain.Position{Seq: f.Seq - 1, Chain: f.Before})
	if c.Take(e.Seq, e.Raw); c.Chain != f.Chain {
		return errOtherChain
	}
	return nil
}

// name is that of the object of a keyframe: those of later positions come later.
func (f Frame) name() string { return fmt.Sprintf("%020d", f.Seq) }

// meta writes a frame as the metadata of its object, with how its bytes are kept.
func (f Frame) meta(k Kept) map[string]string {
	m := map[string]string{"position": strconv.FormatUint(uint64(f.Seq), 10), "event": f.ID, "chain": hex.EncodeToString(f.Chain[:]),
		"before": hex.EncodeToString(f.Before[:]), "format": strconv.Itoa(f.Format), "hash": f.Hash, "made": f.Made.UTC().Format(time.RFC3339Nano),
		"state-bytes": strconv.Itoa(len(k.State)), "party-bytes": strconv.Itoa(len(k.Parties)), "parties-hash": Hash(k.Parties)}
	if f.Pinned {
		m["pinned"] = "true"
	}
	return m
}

// frameOf reads the metadata of an object; ok is false if it is not what meta
// writes.
func frameOf(o Object) (f Frame, ok bool) {
	seq, err := strconv.ParseUint(o.Meta["position"], 10, 64)
	if err != nil {
		return f, false
	}
	f = Frame{Seq: events.Seq(seq), ID: o.Meta["event"], Hash: o.Meta["hash"], Pinned: o.Meta["pinned"] != ""}
	if f.Format, err = strconv.Atoi(o.Meta["format"]); err != nil {
		return f, false
	}
	if f.Made, err = time.Parse(time.RFC3339Nano, o.Meta["made"]); err != nil {
		return f, false
	}
	var err1, err2 error
	f.stateBytes, err1 = strconv.Atoi(o.Meta["state-bytes"])
	f.partyBytes, err2 = strconv.Atoi(o.Meta["party-bytes"])
	if f.partiesHash = o.Meta["parties-hash"]; err1 != nil || err2 != nil {
		return f, false
	}
	ok = sumOf(&f.Chain, o.Meta["chain"]) && sumOf(&f.Before, o.Meta["before"])
	return f, ok && f.name() == o.Name
}

func sumOf(into *chain.Sum, text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && copy(into[:], b) == len(into) && len(b) == len(into)
}

// Hash is the hash of what a keyframe holds, as Frame has it of the state.
func Hash(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// Store is the keyframes of a log.
type Store struct {
	from Reader
}

// Open returns the keyframes that are kept in an object store.
func Open(from Reader) *Store { return &Store{from} }

// List returns the keyframes by position, those of other formats too. An error
// says what could not be listed; the others are returned with it.
func (s *Store) List(ctx context.Context) ([]Frame, error) {
	os, err := s.from.List(ctx)
	var fs []Frame
	for _, o := range os {
		if f, ok := frameOf(o); ok {
			fs = append(fs, f)
		}
	}
	slices.SortFunc(fs, func(a, b Frame) int { return cmp.Compare(a.Seq, b.Seq) })
	if err != nil {
		err = fmt.Errorf("list the keyframes: %w", err)
	}
	return fs, err
}

// Get returns what a keyframe holds that List has returned.
func (s *Store) Get(ctx context.Context, f Frame) (Kept, error) {
	data, err := s.from.Get(ctx, f.name())
	if err != nil {
		return Kept{}, err
	}
	if data, err = unpack(data, f.stateBytes, f.partyBytes); err != nil {
		return Kept{}, err
	}
	k := Kept{State: data[:f.stateBytes:f.stateBytes], Parties: data[f.stateBytes:]}
	if Hash(k.State) != f.Hash || Hash(k.Parties) != f.partiesHash {
		return Kept{}, errors.New("its hash is another")
	}
	return k, nil
}

// Put keeps a keyframe, in place of the one of its position.
func (s *Store) Put(ctx context.Context, f Frame, k Kept) error {
	w, err := s.writer()
	if err != nil {
		return err
	}
	data, err := pack(k.State, k.Parties)
	if err == nil {
		err = w.Put(ctx, Object{f.name(), f.meta(k)}, data)
	}
	if err != nil {
		return fmt.Errorf("keep the keyframe of position %d: %w", f.Seq, err)
	}
	return nil
}

// Delete lets a keyframe go.
func (s *Store) Delete(ctx context.Context, f Frame) error {
	w, err := s.writer()
	if err == nil {
		err = w.Delete(ctx, f.name())
	}
	if err != nil {
		return fmt.Errorf("delete the keyframe of position %d: %w", f.Seq, err)
	}
	return nil
}

func (s *Store) writer() (Writer, error) {
	w, ok := s.from.(Writer)
	if !ok {
		return nil, errors.New("the keyframes are only read here")
	}
	return w, nil
}

// Log is what keyframes are held against.
type Log struct {
	// Event returns the event at a position.
	Event func(ctx context.Context, at events.Seq) (events.Event, error)
	// Chain returns the running hash at a position where somebody has read all of
	// the log up to there; nil: nobody has.
	Chain func(at events.Seq) (chain.Sum, bool)
	// Format is that of the states which the reader can read.
	Format int
	// Before is the position before the first event that the log has. The event of
	// the keyframe there is not in it any more.
	Before events.Seq
	// Passed is told of each keyframe that is not good, and why; nil: nobody is.
	Passed func(f Frame, why error)
}

// Check says why a keyframe is not one of the log; nil: it is.
func (l Log) Check(ctx context.Context, f Frame) error {
	if l.Before == 0 || f.Seq != l.Before {
		e, err := l.Event(ctx, f.Seq)
		if err == nil {
			err = f.Check(e)
		}
		if err != nil {
			return err
		}
	}
	if l.Chain != nil {
		if sum, ok := l.Chain(f.Seq); ok && sum != f.Chain {
			return errOtherChain
		}
	}
	return nil
}

var errOtherChain = errors.New("the running hash of the log is another there")

// Newest has the newest good keyframe after a position, up to another, used. One
// that is not good, or that use does not take, is passed over, and told of if it is
// of the format that is read. found is false if none is left.
func (s *Store) Newest(ctx context.Context, after, at events.Seq, of Log, use func(Frame, Kept) error) (found bool, err error) {
	fs, err := s.List(ctx)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	passed := of.Passed
	if passed == nil {
		passed = func(Frame, error) {}
	}
	if err != nil {
		passed(Frame{}, err)
	}
	for _, f := range slices.Backward(fs) {
		if f.Seq > at || f.Seq <= after || f.Seq < of.Before || f.Format != of.Format {
			continue
		}
		err := of.Check(ctx, f)
		var k Kept
		if err == nil {
			k, err = s.Get(ctx, f)
		}
		if err == nil {
			err = use(f, k)
		}
		if err == nil {
			return true, nil
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		passed(f, err)
	}
	return false, nil
}

// Which keyframes are kept: the newest ones, for those that are found wrong; of
// those before, one an hour of the last day, for questions about it; and one a
// day, as many as there are.
const (
	keptNewest = 4
	keptHours  = 24 * time.Hour
)

// Thin lets keyframes go by their age and returns how many. Pinned ones stay.
func (s *Store) Thin(ctx context.Context, now time.Time) (gone int, err error) {
	fs, err := s.List(ctx)
	if err != nil {
		return 0, err
	}
	for _, f := range surplus(fs, now) {
		if err := s.Delete(ctx, f); err != nil {
			return gone, err
		}
		gone++
	}
	return gone, nil
}

// surplus returns those of the keyframes, which are by position, that nobody
// needs: of each hour or day the first stays.
func surplus(fs []Frame, now time.Time) (gone []Frame) {
	type span struct {
		size time.Duration
		of   time.Time
	}
	taken := map[span]bool{}
	for i, f := range fs {
		size := 24 * time.Hour
		if now.Sub(f.Made) < keptHours {
			size = time.Hour
		}
		at := span{size, f.Made.UTC().Truncate(size)}
		if f.Pinned || i >= len(fs)-keptNewest {
			continue
		}
		if taken[at] {
			gone = append(gone, f)
		}
		taken[at] = true
	}
	return gone
}

// EventAt returns the event at a position of a log.
func EventAt(log events.Reader) func(context.Context, events.Seq) (events.Event, error) {
	return func(ctx context.Context, at events.Seq) (events.Event, error) {
		for e, err := range log.Read(ctx, at-1) {
			return e, err
		}
		return events.Event{}, fmt.Errorf("read #%d: %w", at, events.ErrTruncated)
	}
}
