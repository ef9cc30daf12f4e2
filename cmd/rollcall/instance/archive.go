package instance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/events/keyframes"
	"rollcall/events/natsd"
	"rollcall/events/stream"
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

// beginWith makes a log begin with the event of a keyframe: it pins the keyframe,
// reads it back, and purges what was before. Killed at any point it has lost
// nothing: what is to be purged is archived, and the keyframe is there before
// anything is gone.
func beginWith(ctx context.Context, log *stream.Log, store *keyframes.Store, at chain.Position, purge func(func() error) error) error {
	f, k, err := frameAt(ctx, store, at)
	if err != nil {
		return err
	}
	f.Pinned = true
	if err := store.Put(ctx, f, k); err != nil {
		return err
	}
	if f, _, err = frameAt(ctx, store, at); err != nil || !f.Pinned {
		return errors.Join(err, fmt.Errorf("pin the keyframe of position %d: it is not there", at.Seq))
	}
	Reached("keyframe pinned")
	if err := purge(func() error { return log.Purge(ctx, at.Seq) }); err != nil {
		return err
	}
	Reached("log purged")
	all, err := store.List(ctx)
	for _, f := range all {
		if err == nil && f.Seq < at.Seq { // the log has no event any more that it could be held against
			err = store.Delete(ctx, f)
		}
	}
	return err
}

// frameAt returns the keyframe of a position that is whole.
func frameAt(ctx context.Context, store *keyframes.Store, at chain.Position) (f keyframes.Frame, k keyframes.Kept, err error) {
	all, err := store.List(ctx)
	why := "there is none"
	for _, f := range all {
		if f.Seq != at.Seq {
			continue
		}
		if f.Chain != at.Chain {
			why = "the running hash up to there is another"
		} else if k, err = store.Get(ctx, f); err == nil {
			return f, k, nil
		}
	}
	if err != nil {
		why = err.Error()
	}
	return f, k, &events.Error{Code: "E-ARCHIVE-KEYFRAME", What: fmt.Sprintf("the keyframe of position %d cannot be used", at.Seq), Why: why,
		Do: "give another instant", Exit: events.ExitInput}
}

// ArchiveStopped makes the log of a data directory on which no instance runs begin
// with the event of a keyframe. It starts the server that the log is of, and stops
// it again.
func ArchiveStopped(ctx context.Context, dir string, subjects events.Subjects, at chain.Position, warn func(string)) (err error) {
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
	log, store, err := openBoth(ctx, nc, subjects)
	if err != nil {
		return err
	}
	info, err := log.Info(ctx)
	if err == nil {
		err = keeper.Begin(info)
	}
	if err != nil {
		return err
	}
	return beginWith(ctx, log, store, at, keeper.Purge)
}

// ArchiveFar makes the log on somebody else's server begin with the event of a
// keyframe, with what the connection may do there.
func ArchiveFar(ctx context.Context, nc *nats.Conn, subjects events.Subjects, at chain.Position) error {
	log, store, err := openBoth(ctx, nc, subjects)
	if err != nil {
		return err
	}
	return beginWith(ctx, log, store, at, func(purge func() error) error { return purge() })
}

// openBoth opens a log that is there and the keyframes beside it.
func openBoth(ctx context.Context, nc *nats.Conn, subjects events.Subjects) (*stream.Log, *keyframes.Store, error) {
	log, err := stream.Open(ctx, nc, subjects, stream.Options{})
	if err != nil {
		return nil, nil, err
	}
	objects, err := stream.OpenObjects(ctx, nc, subjects, stream.ObjectsOptions{Name: keyframes.Bucket, Create: true, Replicas: log.Replicas()})
	return log, keyframes.Open(objects), err
}

// archive is what the gate does when it is asked to archive: only for who has
// started the instance, and only of a log that is its own.
func (in *Instance) archive(ctx context.Context, user string, a gate.Archive) error {
	at := chain.Position{Seq: a.Seq}
	copy(at.Chain[:], a.Chain)
	if in.Server == nil || user != in.natsNames()[0] {
		return &events.Error{Code: "E-ARCHIVE-DENIED", What: "the log cannot be archived by this user", Where: user,
			Do: "ask as the user who has started the instance, or of a log on another server with --nats-url", Exit: events.ExitInput}
	}
	for e, err := range in.Log.Read(ctx, at.Seq-1) {
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
	return beginWith(ctx, in.Log.Log, keyframes.Open(objects), at, purge)
}
