package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/publisher"
	"rollcall/publisher/envelope"
	"rollcall/publisher/schema"
)

// emission is what the command emit was asked for.
type emission struct {
	file, at    string
	event       publisher.Event // what flags say of the one that arguments tell
	dry, atomic bool
	format      string
}

func (s *session) emitCommand() *cobra.Command {
	var m emission
	c := &cobra.Command{Use: "emit TYPE [SUBJECT] [KEY=VALUE | KEY:=JSON]...", Short: "Tell the gate an event, and print its answer", Args: takes(0, -1),
		Long: `emit tells one event: its type (rollcall schema ls has them, and any reverse-DNS name is a
note), what it is about, and its data. KEY=VALUE gives a field a text, KEY:=JSON anything
else; labels.zone=a gives the field labels an object with zone in it, and what is after
the first dot may hold dots. With -f it tells the events of a file: one in JSON, a list,
or one a line.

--dry-run holds them against their schemas and sends nothing; no instance is needed for
that. What was refused stands in rollcall rejects ls.`,
		Example: `  rollcall emit node.observed node/edge-1 labels.site=harbour capacity.cpu=4
  rollcall emit node.condition node/edge-1 type=Ready status=True
  rollcall emit hold.placed hold/freeze reason='change freeze' select:='{"namespaces":["shop"]}'
  rollcall emit com.example.deploy.started ds/shop/agent change:=4711 --dry-run
  rollcall emit -f events.ndjson --atomic`}
	t := addTarget(c)
	f := c.Flags()
	f.StringVarP(&m.file, "file", "f", "", "file of the events; - is standard input")
	f.StringVar(&m.event.ID, "id", "", "id of the event; the same again is the same event (default: a new one)")
	f.StringVar(&m.at, "time", "", "when it was so, RFC 3339")
	f.StringVar(&m.event.Source, "source", "", "who says so, a URI (default: the name of the source)")
	f.BoolVar(&m.dry, "dry-run", false, "hold the events against their schemas, and send nothing")
	f.BoolVar(&m.atomic, "atomic", false, "all events are taken, or none")
	documented(c, &m.format)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkFormat(m.format, answerFormats); err != nil {
			return err
		}
		evs, results, err := s.toEmit(&m, args)
		if err != nil {
			return err
		}
		if refusedOf(results) == nil && !m.dry {
			if results, err = t.tell(c.Context(), evs, m.atomic); err != nil {
				return err
			}
		}
		if err := s.document(m.format, told{"Emission", replay.AnswersVersion, items(evs, results)}, func() string { return emitted(evs, results, m.dry) }); err != nil {
			return err
		}
		return refusedOf(results)
	}
	return c
}

// toEmit returns the events of a command line or a file, held against their
// schemas: a result is zero, or says what is wrong with its event.
func (s *session) toEmit(m *emission, args []string) ([]publisher.Event, []publisher.Result, error) {
	if (m.file == "") == (len(args) == 0) {
		return nil, nil, usageError("E-CLI-ARGS", "an event is told by its type, or a file of events by -f", "see rollcall emit --help")
	}
	var items []envelope.Item
	if m.file != "" {
		body, err := s.body(m.file)
		if err != nil {
			return nil, nil, err
		}
		batch, p := envelope.Parse(envelope.Message{Header: map[string][]string{"Content-Type": {mediaOf(m.file)}}, Body: body}, envelope.Limits{})
		if p != nil {
			return nil, nil, problemError(p, m.file)
		}
		items = batch.Items
	} else {
		ev, err := m.one(args)
		if err != nil {
			return nil, nil, err
		}
		items = []envelope.Item{{Event: ev}}
	}
	evs, results := make([]publisher.Event, len(items)), make([]publisher.Result, len(items))
	for i, it := range items {
		evs[i], results[i].Problem = it.Event, it.Problem
		if it.Problem == nil {
			_, results[i].Problem = schema.Validate(it.Event)
		}
	}
	return evs, results, nil
}

// one returns the event that arguments tell.
func (m *emission) one(args []string) (publisher.Event, error) {
	ev := m.event
	ev.Type, args = args[0], args[1:]
	if len(args) > 0 && !strings.Contains(args[0], "=") {
		ev.Subject, args = args[0], args[1:]
	}
	if m.at != "" {
		at, err := time.Parse(time.RFC3339Nano, m.at)
		if err != nil {
			return ev, usageError("E-CLI-ARGS", fmt.Sprintf("--time %q is no time", m.at), "write it as 2026-11-21T10:43:00Z")
		}
		ev.Time = at
	}
	data := map[string]any{}
	for _, arg := range args {
		if err := putField(data, arg); err != nil {
			return ev, err
		}
	}
	var err error
	ev.Data, err = json.Marshal(data)
	return ev, err
}

// putField puts KEY=VALUE or KEY:=JSON into data. What is before the first dot of KEY
// is a field, what is after it a key of the object there.
func putField(data map[string]any, arg string) error {
	key, text, ok := strings.Cut(arg, "=")
	var value any = text
	if raw, is := strings.CutSuffix(key, ":"); is && ok {
		key = raw
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			return usageError("E-CLI-ARGS", fmt.Sprintf("%q is no JSON: %v", text, err), "write KEY:=JSON, or KEY=VALUE for a text")
		}
	}
	field, inner, nested := strings.Cut(key, ".")
	into := data
	if nested {
		o, is := data[field].(map[string]any)
		if _, there := data[field]; there && !is {
			return usageError("E-CLI-ARGS", fmt.Sprintf("%s is given as an object and as something else", field), "give it once")
		}
		if o == nil {
			o = map[string]any{}
			data[field] = o
		}
		into, field = o, inner
	}
	if _, twice := into[field]; twice || field == "" || !ok {
		return usageError("E-CLI-ARGS", fmt.Sprintf("%q does not give one field a value", arg), "write KEY=VALUE or KEY:=JSON, each key once")
	}
	into[field] = value
	return nil
}

// tell sends events to the instance of a target. A result of an event whose fate
// is not known is zero.
func (t *target) tell(ctx context.Context, evs []publisher.Event, atomic bool) ([]publisher.Result, error) {
	c, err := t.config(ctx)
	if err != nil {
		return nil, err
	}
	return tellBy(ctx, c, evs, atomic)
}

// tellBy sends events to the gate of an API.
func tellBy(ctx context.Context, c *rest.Config, evs []publisher.Event, atomic bool) ([]publisher.Result, error) {
	h, err := rest.HTTPClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("reach the instance: %w", err)
	}
	client, err := publisher.NewClient(publisher.Options{URL: c.Host, HTTP: h})
	if err != nil {
		return nil, err
	}
	send := client.Send
	if atomic {
		send = client.SendAll
	}
	results, err := send(ctx, evs...)
	var p *publisher.Problem
	if errors.As(err, &p) && len(results) == len(evs) {
		return results, nil
	}
	if errors.As(err, &p) {
		return nil, problemError(p, c.Host)
	}
	return results, err
}

// emittedEvent is what became of an event that was to be told.
type emittedEvent struct {
	Type    string             `json:"type"`
	Subject string             `json:"subject,omitempty"`
	Valid   bool               `json:"valid"`
	Answer  *publisher.Answer  `json:"answer,omitempty"` // nil: it was not sent, or refused
	Problem *publisher.Problem `json:"problem,omitempty"`
}

func items(evs []publisher.Event, results []publisher.Result) []emittedEvent {
	all := make([]emittedEvent, len(evs))
	for i, r := range results {
		all[i] = emittedEvent{evs[i].Type, evs[i].Subject, r.Problem == nil, r.Answer, r.Problem}
	}
	return all
}

// emitted is a line for each event.
func emitted(evs []publisher.Event, results []publisher.Result, dry bool) string {
	var b strings.Builder
	for i, r := range results {
		name := strings.TrimSpace(evs[i].Type + " " + evs[i].Subject)
		switch {
		case r.Problem != nil:
			fmt.Fprintf(&b, "%s: refused\n", name)
		case r.Answer == nil && dry:
			fmt.Fprintf(&b, "%s: valid, not sent\n", name)
		case r.Answer == nil:
			fmt.Fprintf(&b, "%s: not sent\n", name)
		case r.Answer.Duplicate:
			fmt.Fprintf(&b, "#%d %s: told before, id %s\n", r.Answer.Seq, name, r.Answer.ID)
		default:
			fmt.Fprintf(&b, "#%d %s: accepted, id %s\n", r.Answer.Seq, name, r.Answer.ID)
		}
		if r.Answer != nil {
			for _, w := range r.Answer.Warnings {
				fmt.Fprintf(&b, "  warning: %s\n", w)
			}
		}
	}
	return b.String()
}

// refusedOf returns the refusal of the first event that was refused, or nil.
func refusedOf(results []publisher.Result) error {
	for i, r := range results {
		if r.Problem != nil {
			where := ""
			if len(results) > 1 {
				where = fmt.Sprintf("event %d of %d", i+1, len(results))
			}
			return problemError(r.Problem, where)
		}
	}
	return nil
}

// problemError is a refusal of the gate as an error of a command.
func problemError(p *publisher.Problem, where string) error {
	exit := events.ExitInput
	if p.Status >= 500 || p.Status == 429 {
		exit = events.ExitFailure
	}
	what := p.Detail
	for _, e := range p.Errors {
		what += "; " + e.String()
	}
	if p.Reject != 0 {
		what += fmt.Sprintf("; kept as reject %d", p.Reject)
	}
	return &events.Error{Code: p.Code, What: what, Where: where, Exit: exit, Err: p}
}
