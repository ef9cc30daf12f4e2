package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/projector"
	"rollcall/projector/story"
	readers "rollcall/publisher/reading"
)

// logOptions are the flags of log.
type logOptions struct {
	follow    bool
	from, to  string
	since     replay.Instant // --from
	until     replay.Instant // --to
	types     []string
	daemonSet string
	format    string
	filter    story.Filter
	cluster   string // that CloudEvents say they are of
}

var logFormats = []string{"text", "json", "jsonl", "cloudevents"}

func (s *session) logCommand() *cobra.Command {
	var o logOptions
	c := &cobra.Command{Use: "log", Short: "Tell the one ordered story: every fact, plan and outcome", Args: takes(0, 0),
		Long: `log tells what is in the log, one line an event and one a command of a plan. With
-f it goes on until it is stopped.

-o jsonl is the log as it is. -o cloudevents are the events as GET /v1/events has them:
what was told has the type, source, id and data of who told it. In both the values of
Secrets are hashes.

--from and --to take instants, and what is there belongs to the range.

` + replay.InstantForms,
		Example: "  rollcall log -f --daemonset kube-system/fluentd\n  rollcall log --from 3 --to 20 --type 'node.*' -o jsonl\n  rollcall log --from -5m\n  rollcall log -o cloudevents --type 'node.*'"}
	t := addTarget(c)
	t.addRecording(c)
	f := c.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with what is appended")
	f.StringVar(&o.from, "from", "", "first instant (default: the beginning)")
	f.StringVar(&o.to, "to", "", "last instant (default: the end)")
	f.StringArrayVar(&o.types, "type", nil, "only this type, such as pod.created or 'node.*'; may be given several times")
	f.StringVar(&o.daemonSet, "daemonset", "", "only NAMESPACE/NAME, its plans, pods and revisions")
	f.StringVarP(&o.format, "output", "o", "text", strings.Join(logFormats, ", "))
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.check(); err != nil {
			return err
		}
		a, err := t.open(c.Context(), s)
		if err != nil {
			return err
		}
		defer a.close()
		if o.follow {
			if err := a.wait("-f"); err != nil {
				return err
			}
		}
		o.cluster = t.cluster
		return s.tell(c.Context(), a, o)
	}
	return c
}

func (o *logOptions) check() error {
	if err := checkFormat(o.format, logFormats); err != nil {
		return err
	}
	if o.follow && o.format == "json" {
		return usageError("E-CLI-FLAG", "-f cannot write one JSON document", "use -o jsonl")
	}
	if err := checkTypes(o.types); err != nil {
		return err
	}
	if err := o.checkRange(time.Now()); err != nil {
		return err
	}
	o.filter.Types = o.types
	if o.daemonSet == "" {
		return nil
	}
	namespace, name, ok := strings.Cut(strings.TrimPrefix(o.daemonSet, "ds/"), "/")
	if !ok {
		namespace, name = metav1.NamespaceDefault, namespace
	}
	for _, n := range []string{namespace, name} {
		if why := events.CheckName(events.DaemonSet, n); why != "" {
			return &events.Error{Code: "E-CLI-NAME", What: fmt.Sprintf("%q names no DaemonSet", o.daemonSet), Where: "--daemonset", Do: "give NAMESPACE/NAME", Exit: events.ExitInput}
		}
	}
	o.filter.DaemonSet = events.Key{Namespace: namespace, Name: name}
	return nil
}

// checkRange reads --from and --to; a 0 is the beginning.
func (o *logOptions) checkRange(now time.Time) (err error) {
	for _, f := range []struct {
		name, text string
		into       *replay.Instant
	}{{"--from", o.from, &o.since}, {"--to", o.to, &o.until}} {
		if f.text == "" || f.text == "0" && f.name == "--from" {
			continue
		}
		if *f.into, err = replay.ParseInstant(f.text, now); err != nil {
			return of(f.name, err)
		}
	}
	if o.follow && o.until.IsTime() {
		return usageError("E-CLI-FLAG", "-f follows what is to come, and --to "+o.to+" has passed", "leave one of them out, or give a position")
	}
	return o.goesForward()
}

// goesForward refuses a range that ends before it begins.
func (o *logOptions) goesForward() error {
	if o.since.After(o.until) {
		return usageError("E-CLI-RANGE", fmt.Sprintf("--from %s is after --to %s", o.from, o.to), "give a range that goes forward")
	}
	return nil
}

// tell prints the log. It is read from where it begins, because a change can only
// be told by who knows what was before.
func (s *session) tell(ctx context.Context, a *archive, o logOptions) error {
	info, err := a.Info(ctx)
	if err != nil {
		return err
	}
	if err := o.locate(ctx, a); err != nil {
		return err
	}
	if err := o.within(info); err != nil {
		return err
	}
	p := a.counting("reading the log", info.Last)
	defer p.done()
	read := p.Read
	if o.follow {
		read = p.Tail
	}
	w, err := s.newLogWriter(ctx, a, o, info.Last)
	if err != nil {
		return err
	}
	for e, err := range read(ctx, a.begin().Seq) {
		if err != nil {
			if o.follow {
				err = a.ended(ctx, err)
			}
			return cmp.Or(w.end(), err)
		}
		if err := w.event(e); err != nil {
			return err
		}
		if w.n > 0 || e.Seq >= info.Last {
			p.done() // what is printed tells how far it is
		}
		if e.Seq >= info.Last {
			if err := w.buf.Flush(); err != nil {
				return err
			}
		}
		if o.follow && e.Seq == info.Last {
			_ = s.missing(w, o) // it may yet come
		}
		if o.filter.To != 0 && e.Seq >= o.filter.To && (w.settled() || e.Seq >= info.Last) {
			break
		}
	}
	if !o.follow {
		p.done()
		if err := s.missing(w, o); err != nil {
			return err
		}
	}
	return w.end()
}

// within refuses a range that begins or ends before the log does, or that goes on
// after the end of one that is not followed.
func (o *logOptions) within(log events.Info) error {
	last := log.Last
	for _, f := range []struct {
		flag, text string
		at         events.Seq
	}{{"--from", o.from, o.filter.From}, {"--to", o.to, o.filter.To}} {
		if f.at > 0 && f.at <= log.Before {
			return usageError("E-CLI-RANGE", fmt.Sprintf("%s %s is before the first event", f.flag, f.text), fmt.Sprintf("the log begins at %d; %s", log.Before+1, replay.WithArchive))
		}
	}
	switch {
	case o.follow:
		return nil
	case o.filter.From > last:
		return usageError("E-CLI-RANGE", fmt.Sprintf("--from %s is after the end of the log", o.from), fmt.Sprintf("it ends at %d", last))
	case o.filter.To > last:
		return usageError("E-CLI-RANGE", fmt.Sprintf("--to %s is after the end of the log", o.to), fmt.Sprintf("it ends at %d; leave --to out", last))
	}
	return nil
}

// logWriter writes the events that pass a filter.
type logWriter struct {
	buf    *bufio.Writer
	format string
	filter story.Filter
	teller *story.Teller
	screen *events.Screen
	n      int
	sets   map[events.Key]bool // the DaemonSets that the log tells of

	encoder readers.Encoder
	began   events.Seq // the end of the log when it was asked for
}

// newLogWriter returns a writer that knows what was before the log begins.
func (s *session) newLogWriter(ctx context.Context, a *archive, o logOptions, end events.Seq) (*logWriter, error) {
	begin, err := a.Begin(ctx)
	if err != nil {
		return nil, err
	}
	w := &logWriter{buf: bufio.NewWriterSize(s.out, 1<<16), format: o.format, filter: o.filter, teller: story.New(), sets: map[events.Key]bool{},
		encoder: readers.NewEncoder(o.cluster), began: end}
	return w, w.begin(begin)
}

// begin tells what was before the log begins.
func (w *logWriter) begin(s *projector.State) (err error) {
	for _, kind := range s.Kinds() {
		for _, o := range s.List(kind, "") {
			w.teller.Observe(events.Event{Body: o})
			if kind == events.DaemonSet {
				w.sets[o.Key] = true
			}
		}
	}
	w.screen, err = s.Screen()
	return err
}

func (w *logWriter) event(e events.Event) error {
	e = w.screen.Take(e)
	if r := events.RefOf(e); r.Kind == events.DaemonSet {
		w.sets[r.Key] = true
	}
	if !w.filter.Wants(e) {
		w.teller.Observe(e)
		return nil
	}
	entries := w.teller.Tell(e)
	if !w.filter.Match(e, entries[0]) {
		return nil
	}
	w.n++
	if w.format == "text" {
		for _, entry := range entries {
			w.buf.WriteString(story.Line(entry))
			w.buf.WriteByte('\n')
		}
		return nil
	}
	return w.machine(e)
}

// machine writes an event for programs.
func (w *logWriter) machine(e events.Event) (err error) {
	var line []byte
	if w.format == "cloudevents" {
		if line, err = w.encoder.JSON(e, e.Seq <= w.began); err != nil {
			return err
		}
	} else {
		line = story.JSON(e)
	}
	switch {
	case w.format != "json":
		w.buf.Write(line)
		return w.buf.WriteByte('\n')
	case w.n == 1:
		w.buf.WriteString("[\n")
	default:
		w.buf.WriteString(",\n")
	}
	_, err = w.buf.Write(line)
	return err
}

// end completes the document and writes what is left.
func (w *logWriter) end() error {
	switch {
	case w.format != "json":
	case w.n == 0:
		w.buf.WriteString("[]\n")
	default:
		w.buf.WriteString("\n]\n")
	}
	return w.buf.Flush()
}
