package instance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/keyframes"
	"rollcall/events/natsd"
	"rollcall/events/stream"
	"rollcall/projector"
	"rollcall/publisher/executor"
	"rollcall/publisher/gate"
)

// CheckYoung refuses to archive what somebody may have been about to write after.
func CheckYoung(e events.Event, now time.Time) error {
	if now.Sub(e.Stored) >= stream.Young {
		return nil
	}
	return &events.Error{Code: "E-ARCHIVE-RANGE", What: fmt.Sprintf("#%d is too young to be archived", e.Seq),
		Why: fmt.Sprintf("while an instance may run, what was stored in the last %s stays: a write that is under way is held against it", stream.Young),
		Do:  "give an earlier instant, or stop the instance", Exit: events.ExitInput}
}

// shelf is a log, and the keyframes beside it.
type shelf struct {
	log      *stream.Log
	subjects events.Subjects
	store    *keyframes.Store
	passed   func(keyframes.Frame, error) // told of each keyframe that is not good
}

// beginWith makes the log begin with the event of a keyframe, of which position,
// running hash and hash are known from the archive: it makes the keyframe, pins it,
// reads it back, and purges what was before. Killed at any point it has lost
// nothing: what is to be purged is archived, and the keyframe is there before
// anything is gone.
func (s shelf) beginWith(ctx context.Context, want keyframes.Frame, purge func(func() error) error) error {
	f, k, err := s.make(ctx, want)
	if err != nil {
		return err
	}
	f.Pinned = true
	if err := s.store.Put(ctx, f, k); err != nil {
		return err
	}
	if err := s.pinned(ctx, f); err != nil {
		return err
	}
	Reached("keyframe pinned")
	if err := purge(func() error { return s.log.Purge(ctx, f.Seq) }); err != nil {
		return err
	}
	Reached("log purged")
	all, err := s.store.List(ctx)
	for _, x := range all {
		if err == nil && x.Seq < f.Seq { // the log has no event any more that it could be held against
			err = s.store.Delete(ctx, x)
		}
	}
	return err
}

// make makes a keyframe of what the log has: of the newest one before it that is
// good, or of nothing, and the events since. It has to be the one that is wanted.
func (s shelf) make(ctx context.Context, want keyframes.Frame) (f keyframes.Frame, k keyframes.Kept, err error) {
	from, err := newestOf(ctx, s, want.Seq-1)
	if err != nil {
		return f, k, err
	}
	if from == nil {
		from = &resumed{state: projector.New("")}
	}
	x := executor.New(s.subjects, nil)
	x.ReadFrom(from.state.Objects())
	if err := from.resume([]drive.Party{x}); err != nil {
		return f, k, err
	}
	for e, err := range s.log.Read(ctx, from.state.Seq()) {
		if err != nil {
			return f, k, err
		}
		if x.Observe(projector.Fold(from.state, e), e.Stored); e.Seq >= want.Seq {
			break
		}
	}
	if f, k.State, err = from.state.Keep().Frame(time.Now()); err != nil {
		return f, k, err
	}
	if f.Seq != want.Seq || f.Chain != want.Chain || f.Hash != want.Hash {
		return f, k, &events.Error{Code: "E-ARCHIVE-KEYFRAME", What: fmt.Sprintf("the state at position %d is not the one that comes of what was archived", want.Seq),
			Do: "keep a copy of the data directory, run rollcall verify, and report a bug", Exit: events.ExitHalt}
	}
	k.Parties, err = x.Keep()
	return f, k, err
}

// pinned reads back what was pinned.
func (s shelf) pinned(ctx context.Context, f keyframes.Frame) error {
	all, err := s.store.List(ctx)
	for _, x := range all {
		if err == nil && x.Seq == f.Seq && x.Chain == f.Chain && x.Hash == f.Hash && x.Pinned {
			_, err = s.store.Get(ctx, x)
			return err
		}
	}
	return errors.Join(err, fmt.Errorf("pin the keyframe of position %d: it is not there", f.Seq))
}

// ArchiveStopped makes the log of a data directory on which no instance runs begin
// with the event of a keyframe. It starts the server that the log is of, and stops
// it again.
func ArchiveStopped(ctx context.Context, dir string, subjects events.Subjects, want keyframes.Frame, warn func(string)) (err error) {
	keeper := datadir.NewKeeper(datadir.Options{Dir: dir, Subjects: subjects, Warn: warn})
	defer func() { err = errors.Join(err, keeper.End()) }()
	s, err := natsd.Start(ctx, natsd.Options{Dir: dir, Cluster: subjects.Cluster(), Check: keeper.Check})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	nc, err := s.Connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	shelf, err := openShelf(ctx, nc, subjects, true, warn)
	if err != nil {
		return err
	}
	info, err := shelf.log.Info(ctx)
	if err == nil {
		err = keeper.Begin(info)
	}
	if err != nil {
		return err
	}
	return shelf.beginWith(ctx, want, keeper.Purge)
}

// ArchiveFar makes the log on somebody else's server begin with the event of a
// keyframe, with what the connection may do there.
func ArchiveFar(ctx context.Context, nc *nats.Conn, subjects events.Subjects, want keyframes.Frame, warn func(string)) error {
	shelf, err := openShelf(ctx, nc, subjects, false, warn)
	if err != nil {
		return err
	}
	return shelf.beginWith(ctx, want, func(purge func() error) error { return purge() })
}

// openShelf opens a log that is there and the keyframes beside it; own: the server is of
// this process.
func openShelf(ctx context.Context, nc *nats.Conn, subjects events.Subjects, own bool, warn func(string)) (s shelf, err error) {
	log, err := stream.Open(ctx, nc, subjects, stream.Options{Own: own})
	if err != nil {
		return s, err
	}
	objects, err := stream.OpenObjects(ctx, nc, subjects, stream.ObjectsOptions{Name: keyframes.Bucket, Create: true, Replicas: log.Replicas()})
	return shelf{log, subjects, keyframes.Open(objects), func(f keyframes.Frame, why error) { warn(passedText(f, why)) }}, err
}

// archive is what the gate does when it is asked to archive: only for who has
// started the instance, and only of a log that is its own.
func (in *Instance) archive(ctx context.Context, user string, a gate.Archive) error {
	want := keyframes.Frame{Seq: a.Seq, Hash: a.Hash}
	copy(want.Chain[:], a.Chain)
	if in.Server == nil || user != in.natsNames()[0] {
		return &events.Error{Code: "E-ARCHIVE-DENIED", What: "the log cannot be archived by this user", Where: user,
			Do: "ask as the user who has started the instance, or of a log on another server with --nats-url", Exit: events.ExitInput}
	}
	for e, err := range in.Log.Read(ctx, want.Seq-1) {
		if err == nil {
			err = CheckYoung(e, time.Now())
		}
		if err != nil {
			return err
		}
		break
	}
	objects, err := stream.OpenObjects(ctx, in.NC, in.Subjects, stream.ObjectsOptions{Name: keyframes.Bucket, Create: true, MemoryStorage: in.Memory})
	if err != nil {
		return err
	}
	purge := func(purge func() error) error { return purge() }
	if in.keeping != nil {
		purge = in.keeping.Purge
	}
	s := shelf{in.Log.Log, in.Subjects, keyframes.Open(objects), func(f keyframes.Frame, why error) { in.passOver(ctx, f, why) }}
	return s.beginWith(ctx, want, purge)
}
