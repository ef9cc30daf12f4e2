package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/files"
	"rollcall/events/recording"
	"rollcall/events/redact"
)

func (s *session) recordCommand() *cobra.Command {
	return s.group("record", "Keep a log, or a part of it, in one file", `A recording is one file that holds a log, or a part of it, and describes itself:
commands that read a log read it with --rec FILE, with no server and no directory.
docs/RECORDING.md has its format.`,
		s.recordExport(), s.recordImport(), s.recordInfo(), s.recordVerify())
}

// exportOptions are the flags of record export.
type exportOptions struct {
	from, to    string
	since       replay.Instant
	until       replay.Instant
	compression string
	redact      bool
	html        bool
	annotations []string
}

func (s *session) recordExport() *cobra.Command {
	var o exportOptions
	c := &cobra.Command{Use: "export FILE", Short: "Make a recording of a log", Args: takes(1, 1),
		Long: `export makes a recording of the log of a running instance, of a data directory, of
a NATS server or of another recording. FILE is made whole or not at all, and must
not be there; - is the output. What is at --from and --to belongs to the recording.

With --redact the values of Secrets, environment variables and headers of probes, and
the manifests that kubectl keeps in annotations, are not in the file, and it says so.
Positions, ids and causes are the same. Command lines, ConfigMaps and what others have
told are not redacted.

With --html FILE is a page that any browser opens from disk, with no program and no
network: the views of rollcall ui, with the answers that they ask for, and the recording,
which can be saved out of it. It has views at some instants, and nodes and events at all.

` + replay.InstantForms,
		Example: `  rollcall record export incident.rollcall --from -1h
  rollcall record export --html incident.html --data ./cluster --redact
  rollcall record export all.rollcall --data ./cluster --redact --redact-annotation 'example.com/*'
  rollcall record export - --data ./cluster`}
	t := addTarget(c)
	t.addRecording(c)
	f := c.Flags()
	f.StringVar(&o.from, "from", "", "first instant (default: the beginning)")
	f.StringVar(&o.to, "to", "", "last instant (default: the end)")
	f.BoolVar(&o.redact, "redact", false, "leave out what not everybody is to see")
	f.BoolVar(&o.html, "html", false, "make a page with the recording in it, for whoever has a browser only")
	f.StringArrayVar(&o.annotations, "redact-annotation", nil, "leave out the values of these annotations as well, a pattern; may be given several times")
	f.StringVar(&o.compression, "compression", "zstd", strings.Join(slices.Sorted(maps.Keys(recording.Compressions)), " or "))
	export := func(ctx context.Context, path string) error {
		if err := o.check(path); err != nil {
			return err
		}
		a, err := t.open(ctx, s)
		if err != nil {
			return err
		}
		defer a.close()
		if o.html {
			return s.exportPage(ctx, a, t.cluster, path, o)
		}
		return s.export(ctx, a, t.cluster, path, o)
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if args[0] == toOutput {
			return s.exportOut(c.Context(), export, o.html)
		}
		if err := export(c.Context(), args[0]); err != nil || o.html {
			return err
		}
		return s.tellRecording(args[0], "text")
	}
	return c
}

func (o *exportOptions) check(path string) error {
	if _, ok := recording.Compressions[o.compression]; !ok {
		return &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("unknown compression %q", o.compression), Where: "--compression",
			Do: "choose from " + strings.Join(slices.Sorted(maps.Keys(recording.Compressions)), ", "), Exit: events.ExitInput}
	}
	if len(o.annotations) > 0 && !o.redact {
		return usageError("E-CLI-FLAG", "--redact-annotation is for --redact", "give both, or neither")
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return &events.Error{Code: "E-REC-EXISTS", What: "there is a file of that name", Where: path, Do: "give another name, or remove it", Exit: events.ExitInput}
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return &events.Error{Code: "E-CLI-FILE", What: "the recording cannot be written", Where: path, Why: files.Reason(err), Do: "make the directory, or give another", Exit: events.ExitInput}
	}
	if _, err := redact.New(nil, o.annotations...); err != nil {
		return usageError("E-CLI-FLAG", err.Error(), "write a name with * for any letters")
	}
	l := logOptions{from: o.from, to: o.to}
	if err := l.checkRange(time.Now()); err != nil {
		return err
	}
	o.since, o.until = l.since, l.until
	return nil
}

// export makes the recording.
func (s *session) export(ctx context.Context, a *archive, cluster, path string, o exportOptions) (err error) {
	info, err := a.Info(ctx)
	if err != nil {
		return err
	}
	l := logOptions{from: o.from, to: o.to, since: o.since, until: o.until}
	if err := cmp.Or(l.locate(ctx, a), l.within(info)); err != nil {
		return err
	}
	o.since, o.until = l.since, l.until
	version, _ := built()
	out := recording.Options{Cluster: cluster, Build: "rollcall " + version, Compression: recording.Compressions[o.compression], Filter: o.filter()}
	if o.redact {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // it never fails
		r, err := redact.New(key, o.annotations...)
		if err != nil {
			return err
		}
		out.Redact, out.Redacted = r.Event, r.String()
	}
	if a.rec != nil {
		if was := a.rec.redacted(); was != "" && out.Redacted == "" {
			out.Redacted = was
		}
	}
	var kept recording.Frames // none of what is redacted: they would show it
	if !o.redact {
		if kept, err = a.frames(ctx); err != nil {
			return err
		}
	}
	begin := a.begin()
	begin.Log = info.ID
	p := a.counting("recording", info.Last)
	defer p.done()
	n, err := recording.Export(ctx, path, out, p, begin, o.part(), kept)
	p.done()
	switch {
	case err != nil:
		return a.lost(err)
	case n == 0:
		return usageError("E-CLI-RANGE", "the log has no event there", fmt.Sprintf("it ends at %d", info.Last))
	}
	return nil
}

// toOutput is the name of a file that is the output.
const toOutput = "-"

// exportOut has a recording made, and writes it to the output when it is whole: that is
// the way out of a pod in which nothing is but this program.
func (s *session) exportOut(ctx context.Context, export func(context.Context, string) error, html bool) error {
	switch _, _, shown := terminal(s.out); {
	case html:
		return usageError("E-CLI-FLAG", "--html makes a file, and FILE is the output", "name the file")
	case shown:
		return usageError("E-CLI-ARGS", "a recording is no text, and the output is a terminal", "name a file")
	}
	dir, err := os.MkdirTemp("", "rollcall-export-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "log"+recordingSuffix)
	if err := export(ctx, path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(s.out, f)
	return cmp.Or(s.out.failure(), err)
}

// filter says which part of a log is asked for.
func (o *exportOptions) filter() string {
	var parts []string
	if o.from != "" {
		parts = append(parts, "from "+o.from)
	}
	if o.to != "" {
		parts = append(parts, "to "+o.to)
	}
	return strings.Join(parts, " ")
}

// part says which events are in the range.
func (o *exportOptions) part() recording.Range {
	first, from, _ := o.since.Bounds()
	last, _, until := o.until.Bounds()
	return recording.Range{
		From: func(e events.Event) bool { return e.Seq >= first && !e.Stored.Before(from) },
		Until: func(e events.Event) bool {
			return (last == 0 || e.Seq <= last) && (until.IsZero() || !e.Stored.After(until))
		},
	}
}
