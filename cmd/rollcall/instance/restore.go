package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/chain"
	"rollcall/events/files"
	"rollcall/events/natsd"
	"rollcall/events/recording"
	"rollcall/events/stream"
)

// Restore makes the data directory of a stopped cluster whose log is that of a
// recording: with the same positions, times and chain. The directory is made
// whole or not at all; one that holds anything is refused. progress is told how
// far the copy is.
func Restore(ctx context.Context, r *recording.Recording, dir string, progress func(events.Seq)) (end chain.Position, err error) {
	m := r.Manifest()
	subjects, err := events.NewSubjects(m.Cluster)
	if err != nil {
		return end, err
	}
	if m.Before.Seq > 0 {
		return end, cannotRestore(dir, fmt.Sprintf("the recording begins at position %d, and a log has all positions from the first", m.Before.Seq+1),
			"read it as it is with --rec, or take one that begins with its log")
	}
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return end, cannotRestore(dir, "the directory is not empty", "name one that is not there yet")
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return end, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-")
	if err != nil {
		return end, cannotRestore(dir, files.Reason(err), "name a directory whose parent is there")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }() // nothing, once it has its name
	if end, err = restore(ctx, r, tmp, subjects, progress); err != nil {
		return end, err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) { // an empty one
		return end, err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return end, err
	}
	return end, files.SyncDir(filepath.Dir(dir))
}

func cannotRestore(dir, why, do string) *events.Error {
	return &events.Error{Code: "E-REC-IMPORT", What: "the recording cannot be made a data directory", Where: dir, Why: why, Do: do, Exit: events.ExitInput}
}

// restore fills an empty directory, and reads back what it has written.
func restore(ctx context.Context, r *recording.Recording, dir string, subjects events.Subjects, progress func(events.Seq)) (end chain.Position, err error) {
	if err := makeStream(ctx, dir, subjects); err != nil {
		return end, err
	}
	w, err := blocks.NewWriter(dir, subjects)
	if err != nil {
		return end, err
	}
	read, nodes := chain.New(r.Manifest().Log), map[events.Key]bool{}
	for e, err := range r.Read(ctx, 0) {
		if err == nil {
			err = w.Append(e)
		}
		if err != nil {
			return end, errors.Join(err, w.Close())
		}
		read.Take(e.Seq, e.Raw)
		if ref := events.RefOf(e); ref.Kind == events.Node {
			if _, is := e.Body.(events.Object); is {
				nodes[ref.Key] = true
			} else {
				delete(nodes, ref.Key)
			}
		}
		progress(e.Seq)
	}
	if err := w.Close(); err != nil {
		return end, err
	}
	if err := datadir.SaveFounding(dir, datadir.Founding{Cluster: subjects.Cluster(), Nodes: len(nodes), Added: true}); err != nil {
		return end, err
	}
	l, err := datadir.Open(ctx, dir, subjects, datadir.Reading{Begun: func(func() string) func() { return func() {} }})
	if err != nil {
		return end, err
	}
	if end = l.End(); end.Seq != read.Seq || end.Chain != read.Chain {
		return end, fmt.Errorf("restored up to position %d with another chain than the recording has at %d", end.Seq, read.Seq)
	}
	return end, nil
}

// makeStream has a server make the stream of a log, with nothing in it: it alone
// knows how one is described.
func makeStream(ctx context.Context, dir string, subjects events.Subjects) error {
	s, err := natsd.Start(ctx, natsd.Options{Dir: dir, Cluster: subjects.Cluster()})
	if err != nil {
		return err
	}
	nc, err := s.Connect()
	if err == nil {
		_, err = stream.Open(ctx, nc, subjects, stream.Options{Create: true})
		nc.Close()
	}
	return errors.Join(err, s.Close())
}
