package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/instance"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/keyframes"
	"rollcall/events/recording"
	"rollcall/publisher/gate"
)

// archiveFlags are the flags of archive.
type archiveFlags struct {
	before, to string
	yes        bool
}

func (s *session) archiveCommand() *cobra.Command {
	var o archiveFlags
	c := &cobra.Command{Use: "archive --before INSTANT --to FILE", Short: "Move the beginning of a log into a recording", Args: takes(0, 0),
		Long: `archive makes a recording of the log up to an instant, reads it back and compares it
with all that it says, and then purges from the log what is in it. The log begins
with a keyframe of that instant from then on, so that the state is known from there.
What runs on the log goes on; what was archived is read with --rec FILE, and together
with the log with --rec FILE --data DIR.

Killed at any point it has lost nothing. Events of the last ten minutes stay while an
instance may run. What was purged is nowhere but in FILE: keep it.

` + replay.InstantForms}
	t := addTarget(c)
	f := c.Flags()
	f.StringVar(&o.before, "before", "", "instant up to which the log is archived")
	f.StringVar(&o.to, "to", "", "recording to make")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if o.before == "" || o.to == "" {
			return usageError("E-CLI-FLAG", "archive does not know what, or where to", "give --before INSTANT and --to FILE")
		}
		at, err := replay.ParseInstant(o.before, time.Now())
		if err != nil {
			return of("--before", err)
		}
		if err := (&exportOptions{compression: "zstd"}).check(o.to); err != nil {
			return err
		}
		a, err := t.open(c.Context(), s)
		if err != nil {
			return err
		}
		closed := false
		done := func() {
			if !closed {
				a.close()
			}
			closed = true
		}
		defer done()
		frame, err := s.archiveTo(c.Context(), a, t.cluster, at, o)
		if err != nil {
			return a.lost(err)
		}
		return s.begin(c.Context(), a, t, frame, o.to, done)
	}
	return c
}

// archiveTo makes the recording, compares it, and returns the keyframe with which
// the log is to begin.
func (s *session) archiveTo(ctx context.Context, a *archive, cluster string, at replay.Instant, o archiveFlags) (f keyframes.Frame, err error) {
	info, err := a.Info(ctx)
	if err != nil {
		return f, err
	}
	if at, err = a.locate(ctx, at); err != nil {
		return f, of("--before", err)
	}
	m, err := at.Find(ctx, beginning{a}, info.Last)
	if err != nil {
		return f, of("--before", err)
	}
	m.Seq = min(m.Seq, max(info.Last, 1)-1) // a log that goes on from its keyframe has an event to say when it is
	if err := a.archivable(ctx, m); err != nil {
		return f, err
	}
	if err := s.confirm(fmt.Sprintf("Move %s, #%d to #%d, to %s and purge them from the log?", plural(int(m.Seq-a.from.Seq-1), "event"), a.from.Seq+1, m.Seq-1, o.to), o.yes); err != nil {
		return f, err
	}
	st, err := a.Begin(ctx)
	if err != nil {
		return f, err
	}
	version, _ := built()
	out := recording.Options{Cluster: cluster, Build: "rollcall " + version, Filter: "archived before " + o.before}
	begin := a.begin()
	begin.Log = info.ID
	p := a.counting("archiving", m.Seq)
	defer p.done()
	if _, err = recording.Export(ctx, o.to, out, p, begin, recording.Range{Until: func(e events.Event) bool { return e.Seq <= m.Seq }}, frames{st}); err != nil {
		return f, err
	}
	instance.Reached("archive written")
	if f, _, err = st.Keep().Frame(time.Now()); err == nil {
		err = compareArchive(ctx, o.to, f)
	}
	if err != nil {
		return f, cmp.Or(os.Remove(o.to), err)
	}
	instance.Reached("archive compared")
	p.done()
	return f, s.tellRecording(o.to, "text")
}

// archivable refuses a moment before which nothing is left to archive, and one that
// is too near.
func (a *archive) archivable(ctx context.Context, m replay.Moment) error {
	if m.Seq <= a.from.Seq+1 {
		return &events.Error{Code: "E-ARCHIVE-RANGE", What: fmt.Sprintf("there is nothing to archive before %s", m), Why: fmt.Sprintf("the log begins at #%d", a.from.Seq+1),
			Do: "give a later instant", Exit: events.ExitInput}
	}
	if a.checked != nil { // nothing runs on it
		return nil
	}
	e, err := a.eventAt(ctx, m.Seq)
	if err != nil {
		return err
	}
	return instance.CheckYoung(e, time.Now())
}

// compareArchive reads an archive back: all of it is what was written, and it ends
// with the event of the keyframe.
func compareArchive(ctx context.Context, path string, f keyframes.Frame) error {
	r, err := recording.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.Verify(ctx, nil); err != nil {
		return err
	}
	if m := r.Manifest(); !m.Complete || m.Last.Seq != f.Seq || m.Last.Chain != f.Chain {
		return fmt.Errorf("the archive ends with #%d, or another running hash than the log has at #%d", m.Last.Seq, f.Seq)
	}
	return nil
}

// begin has the log begin with a keyframe: by the instance that runs, on a server
// that is somebody else's, or in a directory on which nothing runs.
func (s *session) begin(ctx context.Context, a *archive, t *target, f keyframes.Frame, to string, closed func()) (err error) {
	done := s.Progress("purging", nil)
	defer done()
	switch {
	case t.natsURL != "":
		err = instance.ArchiveFar(ctx, a.nc, a.subjects, f, s.Warn)
	case a.nc != nil:
		err = gate.AskArchive(ctx, a.nc, a.subjects, t.user, gate.Archive{Seq: f.Seq, Chain: f.Chain[:], Hash: f.Hash})
	default:
		closed() // the server takes the directory
		err = instance.ArchiveStopped(ctx, t.data, a.subjects, f, s.Warn)
	}
	done()
	if err != nil {
		s.Warn(fmt.Sprintf("%s is whole; of the log nothing was purged, or not all", to))
		return err
	}
	s.out.printf("the log begins with #%d now: read what was before with --rec %s\n", f.Seq, to)
	return nil
}

// confirm asks a person. Who is none has to say yes beforehand.
func (s *session) confirm(question string, yes bool) error {
	if yes {
		return nil
	}
	if _, _, ok := terminal(s.out); !ok {
		return usageError("E-CLI-FLAG", "archive purges from the log what it has archived, and nobody can be asked", "give --yes")
	}
	fmt.Fprintf(s.err, "%s [y/N] ", question)
	line, err := bufio.NewReader(s.in).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); err != nil || answer != "y" && answer != "yes" {
		return usageError("E-CLI-FLAG", "nothing was archived", "answer y, or give --yes")
	}
	return nil
}
