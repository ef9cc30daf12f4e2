package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/controller/condition"
	"rollcall/controller/replay"
	"rollcall/events"
)

// errNothing ends a command that has found nothing. It has been printed.
var errNothing = errors.New("nothing was found")

// searching is what the flags of search say.
type searching struct {
	from, kind, namespace string
	regex, field, expr    string
	limit                 int
	query                 replay.Query
	first                 replay.Instant // --from
}

func (s *session) searchCommand() *cobra.Command {
	var o searching
	c := &cobra.Command{Use: "search TEXT | --regex RE | --field PATH[=VALUE] | --expr CEL", Short: "Find the events that have a text, change a field, or for which something is true", Args: takes(0, 1),
		Long: `search finds events, and tells of each where it is and what happened.

TEXT is looked for in every string that an event holds, as it is written: names of
objects, fields and labels, values, images, messages, reasons, users. So is --regex, in
the syntax of Go, where '(?i)' does not tell upper from lower case. What rollcall log
makes of numbers and of changes ("Ready True→False") is no string of an event: look for
it with --field, or in what rollcall log prints.

--field finds the events that change a field of their object, or one below it, compared
with the fact about it before; with =VALUE, those that change it to that, and with = at
the end those that take it away. PATH is as kubectl get -o yaml has it. In brackets
stand a key with dots, and of an element of a list its name, its place or a field of it:
containers[main], containers[0], containers[name=main].

--expr finds the events at which an expression in CEL is true; if it names nothing but
state, those at which it turns true. docs/DEBUGGING.md tells what it can name. Every
event is folded for it, which takes longer.

search looks at what the log holds, at what is quarantined as well. It exits 0 if it
finds something, and 1 if it does not.

` + replay.InstantForms,
		Example: `  rollcall search node-0003 --kind pod
  rollcall search --regex '(?i)^errimagepull|backoff' --from 5
  rollcall search --field 'status.conditions[Ready].status=False' --kind node
  rollcall search --field metadata.labels.zone=eu-1
  rollcall search --expr 'event.commands.exists(c,c.reason=="Missing")' --limit 5
  rollcall search --expr 'size(state.nodes)>=10'`}
	q := addQuestion(c)
	f := c.Flags()
	f.StringVar(&o.regex, "regex", "", "regular expression to look for in place of TEXT")
	f.StringVar(&o.field, "field", "", "field whose changes are looked for, or PATH=VALUE for those to a value")
	f.StringVar(&o.expr, "expr", "", "expression in CEL that is true after the events that are looked for")
	f.StringVar(&o.from, "from", "", "first instant that is looked at (default: the first event)")
	f.StringVar(&q.at, "to", "", "last instant that is looked at (default: the end of the log)")
	f.StringVar(&o.kind, "kind", "", "only events about objects of a kind; plans are about their DaemonSet")
	f.StringVarP(&o.namespace, "namespace", "n", "", "only events about objects of a namespace (default: all)")
	f.IntVar(&o.limit, "limit", 1000, "how many events are shown; 0: all")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.read(q, c.Flags().Changed("field"), args); err != nil {
			return err
		}
		return s.ask(c.Context(), q, func(x *asked) error { return s.search(c.Context(), x, &o) })
	}
	return c
}

// read reads the flags and the argument.
func (o *searching) read(q *question, field bool, args []string) (err error) {
	given := len(args)
	for _, set := range []bool{o.regex != "", field, o.expr != ""} {
		if set {
			given++
		}
	}
	if given != 1 || len(args) == 1 && args[0] == "" {
		return usageError("E-CLI-ARGS", "search looks for one thing", "give a text, or --regex, --field or --expr")
	}
	o.query = replay.Query{Namespace: o.namespace, Limit: o.limit}
	switch {
	case len(args) == 1:
		o.query.Text = args[0]
	case o.regex != "":
		if o.query.Pattern, err = regexp.Compile(o.regex); err != nil {
			return usageError("E-CLI-FLAG", fmt.Sprintf("%q is no regular expression: %v", o.regex, err), "write it as Go does, or give the text itself without --regex")
		}
	case o.expr != "":
		if o.query.Condition, err = condition.Compile(o.expr); err != nil {
			return err
		}
	default:
		if o.query.Field, err = fieldChange(o.field); err != nil {
			return err
		}
	}
	if o.limit < 0 {
		return usageError("E-CLI-FLAG", "--limit is less than nothing", "give how many events are shown, or 0 for all")
	}
	if o.kind != "" {
		if o.query.Kind, err = replay.ParseKind(o.kind); err != nil {
			return err
		}
	}
	if o.first, err = q.instant(o.from); err != nil {
		return of("--from", err)
	}
	return nil
}

// fieldChange reads PATH or PATH=VALUE.
func fieldChange(text string) (*replay.FieldChange, error) {
	path, value, is := text, "", false
	for i, depth := 0, 0; i < len(text) && !is; i++ {
		switch text[i] {
		case '[':
			depth++
		case ']':
			depth--
		case '=':
			if is = depth == 0; is {
				path, value = text[:i], text[i+1:]
			}
		}
	}
	if strings.Trim(path, ".[]") == "" {
		return nil, usageError("E-CLI-FLAG", fmt.Sprintf("--field: %q names no field", text), "write it as kubectl get -o yaml has it, such as status.phase or status.phase=Failed")
	}
	if !is {
		return replay.NewFieldChange(path, nil), nil
	}
	return replay.NewFieldChange(path, &value), nil
}

func (s *session) search(ctx context.Context, x *asked, o *searching) error {
	from, err := x.beginning(ctx, o.from, o.first)
	if err != nil {
		return err
	}
	if o.query.Kind, err = x.Kind(ctx, x.at.Seq, o.query.Kind); err != nil {
		return err
	}
	found, err := x.Search(ctx, o.query, from, x.at.Seq)
	if err != nil {
		return err
	}
	err = x.give("Search", []*replay.Searched{found}, func() string { return searchedText(found, o) })
	if err == nil && len(found.Hits) == 0 {
		if _, wrong := condition.Compile(o.query.Text); wrong == nil {
			s.Warn("the text was looked for as it is written; an expression is given with --expr")
		}
		return errNothing
	}
	return err
}

// beginning returns the position of --from, which is not after that of --to.
func (x *asked) beginning(ctx context.Context, text string, at replay.Instant) (events.Seq, error) {
	if text == "" {
		return x.Span().First, nil
	}
	m, err := x.find(ctx, at)
	if err != nil {
		return 0, of("--from", err)
	}
	if m.Seq > x.at.Seq {
		return 0, usageError("E-CLI-RANGE", fmt.Sprintf("--from, #%d, is after --to, #%d", m.Seq, x.at.Seq), "give a range that goes forward")
	}
	return m.Seq, nil
}

// maxChanged is how many changes below a field are told of one event.
const maxChanged = 5

func searchedText(x *replay.Searched, o *searching) string {
	var b strings.Builder
	for _, hit := range x.Hits {
		line := stepText(hit.Step)
		b.WriteString(line + "\n")
		if hit.In != "" && !o.shows(line) {
			fmt.Fprintf(&b, "   in %s: %s\n", hit.In, hit.Value)
		}
		for i, f := range hit.Fields {
			if i == maxChanged {
				fmt.Fprintf(&b, "   and %d more\n", len(hit.Fields)-i)
				break
			}
			fmt.Fprintf(&b, "   %s: %s → %s\n", f.Path, valueText(f.Old), valueText(f.New))
		}
	}
	what := plural(len(x.Hits), "event") + " found"
	if x.More {
		what = fmt.Sprintf("the first %s; --limit shows more", plural(len(x.Hits), "event"))
	}
	fmt.Fprintf(&b, "%s, %s looked at, #%d to #%d\n", what, plural(x.Events, "event"), x.From, x.To)
	return b.String()
}

// shows reports whether a line has in it what is looked for.
func (o *searching) shows(line string) bool {
	if o.query.Pattern != nil {
		return o.query.Pattern.MatchString(line)
	}
	return strings.Contains(line, o.query.Text)
}
