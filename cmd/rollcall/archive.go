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
	"rollcall/events/chain"
	"rollcall/events/keyframes"
	"rollcall/events/recording"
	"rollcall/projector"
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
with a keyframe from then on: the last one at or before the instant is taken, since
from there on the state is known. What runs on the log goes on; what was archived is
read with --rec FILE, and together with the log with --rec FILE --data DIR.

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
	if f, err = a.frameBefore(ctx, m); err != nil {
		return f, err
	}
	if err := s.confirm(fmt.Sprintf("Move %s, #%d to #%d, to %s and purge them from the log?", plural(int(f.Seq-a.from.Seq-1), "event"), a.from.Seq+1, f.Seq-1, o.to), o.yes); err != nil {
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
	p := a.counting("archiving", f.Seq)
	defer p.done()
	if _, err = recording.Export(ctx, o.to, out, p, begin, recording.Range{Until: func(e events.Event) bool { return e.Seq <= f.Seq }}, frames{st}); err != nil {
		return f, err
	}
	instance.Reached("archive written")
	if err := compareArchive(ctx, o.to, f, st); err != nil {
		return f, cmp.Or(os.Remove(o.to), err)
	}
	instance.Reached("archive compared")
	p.done()
	return f, s.tellRecording(o.to, "text")
}

// frameBefore returns the last good keyframe at or before a moment.
func (a *archive) frameBefore(ctx context.Context, m replay.Moment) (f keyframes.Frame, err error) {
	store, err := a.store(ctx)
	if err != nil {
		return f, err
	}
	all, err := store.List(ctx)
	if err != nil {
		a.session.Warn(err.Error())
	}
	next := ""
	for _, x := range all {
		switch {
		case x.Seq <= a.from.Seq || x.Format != projector.KeyframeFormat:
		case x.Seq > m.Seq:
			if next == "" {
				next = fmt.Sprintf("the next one is of #%d", x.Seq)
			}
		default:
			f = x
		}
	}
	if f.Seq == 0 {
		return f, &events.Error{Code: "E-ARCHIVE-KEYFRAME", What: fmt.Sprintf("there is no keyframe after #%d and up to %s", a.from.Seq, m), Why: cmp.Or(next, "there is none after it either"),
			Do: "give a later instant; an instance writes one when it stops, and every 25,000 events", Exit: events.ExitInput}
	}
	e, err := a.eventAt(ctx, f.Seq)
	if err == nil {
		err = f.Check(e)
	}
	if err == nil && a.checked == nil {
		err = instance.CheckYoung(e, time.Now())
	}
	return f, err
}

// compareArchive reads an archive back: all of it is what was written, it ends with
// the event of the keyframe, and the keyframe is the state that comes of it.
func compareArchive(ctx context.Context, path string, f keyframes.Frame, st *projector.State) error {
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
	raw, err := st.Keyframe()
	if err != nil {
		return err
	}
	if keyframes.Hash(raw) != f.Hash || st.Position().Chain != f.Chain {
		return &events.Error{Code: "E-ARCHIVE-KEYFRAME", What: fmt.Sprintf("the keyframe of position %d is not the state that comes of the log", f.Seq),
			Do: "give another instant, and report a bug", Exit: events.ExitHalt}
	}
	return nil
}

// begin has the log begin with a keyframe: by the instance that runs, on a server
// that is somebody else's, or in a directory on which nothing runs.
func (s *session) begin(ctx context.Context, a *archive, t *target, f keyframes.Frame, to string, closed func()) (err error) {
	at := chain.Position{Log: a.from.Log, Seq: f.Seq, Chain: f.Chain}
	done := s.Progress("purging", nil)
	defer done()
	switch {
	case t.natsURL != "":
		err = instance.ArchiveFar(ctx, a.nc, a.subjects, at)
	case a.nc != nil:
		err = gate.AskArchive(ctx, a.nc, a.subjects, t.user, gate.Archive{Seq: f.Seq, Chain: f.Chain[:]})
	default:
		closed() // the server takes the directory
		err = instance.ArchiveStopped(ctx, t.data, a.subjects, at, s.Warn)
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
