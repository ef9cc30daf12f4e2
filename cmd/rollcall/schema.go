package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/publisher"
	"rollcall/publisher/envelope"
	"rollcall/publisher/schema"
)

// errInvalid ends a command whose answer is that an event is not one that can be
// told. It has been printed.
var errInvalid = errors.New("an event is not valid")

func (s *session) schemaCommand() *cobra.Command {
	return s.group("schema", "Tell which events programs can tell, and check them",
		`schema knows what a program outside can tell a cluster: the types of events, the JSON
Schema of the data of each, and an example. It needs no cluster.`,
		s.schemaList(), s.schemaShow(), s.schemaExample(), s.schemaValidate(), s.schemaAsyncAPI())
}

// documented gives a command --output with answerFormats.
func documented(c *cobra.Command, format *string) {
	c.Flags().StringVarP(format, "output", "o", "text", strings.Join(answerFormats, ", "))
}

// document prints a value as JSON or YAML, or the text.
func (s *session) document(format string, v any, text func() string) error {
	if err := checkFormat(format, answerFormats); err != nil {
		return err
	}
	if format == "text" {
		s.out.printf("%s", text())
		return nil
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false) // > is in subjects of NATS
	e.SetIndent("", "  ")
	err := e.Encode(v)
	b := out.Bytes()
	if err == nil && format == "yaml" {
		b, err = yaml.JSONToYAML(b)
	}
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	s.out.printf("%s\n", bytes.TrimSuffix(b, []byte("\n")))
	return nil
}

// told is the document that a question about events from outside is answered with.
type told struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	Items      any    `json:"items"`
}

func (s *session) schemaList() *cobra.Command {
	var format string
	c := &cobra.Command{Use: "ls", Short: "List the types of events that can be told", Args: takes(0, 0),
		Long: "ls lists the types of events that can be told, what the subject of each is, and what it does.", Example: "  rollcall schema ls"}
	documented(c, &format)
	c.RunE = func(*cobra.Command, []string) error {
		types := schema.Types()
		return s.document(format, told{"Schemas", replay.AnswersVersion, types}, func() string {
			var b strings.Builder
			w := tabwriter.NewWriter(&b, 0, 8, 3, ' ', 0)
			fmt.Fprintln(w, "TYPE\tSUBJECT\tWHAT IT TELLS")
			for _, t := range types {
				fmt.Fprintf(w, "%s\t%s\t%s\n", t.Name, strings.SplitN(t.Subject, " ", 2)[0], t.Summary)
			}
			_ = w.Flush() // into memory
			return b.String()
		})
	}
	return c
}

// schemaType returns the row of a type that somebody has named.
func schemaType(name string) (schema.Type, error) {
	t, p := schema.Find(name)
	if p == nil {
		return t, nil
	}
	e := &events.Error{Code: p.Code, What: fmt.Sprintf("there is no type %q", name), Do: "rollcall schema ls lists them", Exit: events.ExitInput}
	if len(p.Errors) > 0 && p.Errors[0].Hint != "" {
		e.Do = p.Errors[0].Hint
	} else if p.Code == "E-TOLD-OBJECT" {
		e.Why, e.Do = "objects are the Kubernetes API's", "use kubectl"
	}
	return t, e
}

// completeTypes completes the first argument of c with the types of events.
func completeTypes(c *cobra.Command) {
	c.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
		for _, t := range schema.Types() {
			if len(args) == 0 {
				names = append(names, cobra.CompletionWithDesc(t.Name, t.Summary))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func (s *session) schemaShow() *cobra.Command {
	var format string
	c := &cobra.Command{Use: "show TYPE", Short: "Print the JSON Schema of a type's data", Args: takes(1, 1),
		Long: `show prints the JSON Schema (2020-12) of the data of a type of events, as the gate
serves it. For a reverse-DNS type of your own that is what a note's data may have.`,
		Example: "  rollcall schema show node.observed\n  rollcall schema show com.example.deploy.started -o yaml"}
	documented(c, &format)
	completeTypes(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		t, err := schemaType(args[0])
		if err != nil {
			return err
		}
		return s.document(format, json.RawMessage(t.Document()), func() string { return string(t.Document()) })
	}
	return c
}

func (s *session) schemaExample() *cobra.Command {
	var format string
	c := &cobra.Command{Use: "example TYPE", Short: "Print an event of a type", Args: takes(1, 1),
		Long: "example prints an event of a type, as it can be sent.", Example: "  rollcall schema example hold.placed"}
	documented(c, &format)
	completeTypes(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		t, err := schemaType(args[0])
		if err != nil {
			return err
		}
		return s.document(format, t.Example, func() string { return string(t.Example) + "\n" })
	}
	return c
}

func (s *session) schemaAsyncAPI() *cobra.Command {
	var format string
	c := &cobra.Command{Use: "asyncapi", Short: "Print the AsyncAPI document of the gate", Args: takes(0, 0),
		Long: "asyncapi prints what can be sent over HTTP and NATS, and what is answered, as AsyncAPI 3.0.", Example: "  rollcall schema asyncapi -o yaml"}
	documented(c, &format)
	c.RunE = func(*cobra.Command, []string) error {
		return s.document(format, json.RawMessage(schema.AsyncAPI()), func() string { return string(schema.AsyncAPI()) })
	}
	return c
}

func (s *session) schemaValidate() *cobra.Command {
	var format, media string
	c := &cobra.Command{Use: "validate FILE|-", Short: "Check events as the gate would", Args: takes(1, 1),
		Long: `validate reads a file, or standard input, as the gate reads the body of a request, and
says of each event whether it can be told and what is wrong with it. It exits 1 if one
cannot. Who may tell what, and what of it is there already, only a cluster knows.

The content type is that of the file's ending: .json, .ndjson or .jsonl, .msgpack.`,
		Example: "  rollcall schema validate event.json\n  rollcall schema validate - --content-type application/x-ndjson"}
	documented(c, &format)
	c.Flags().StringVar(&media, "content-type", "", "content type of what is read (default: by the ending of FILE, or application/json)")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if err := checkFormat(format, answerFormats); err != nil {
			return err
		}
		body, err := s.body(args[0])
		if err != nil {
			return err
		}
		if media == "" {
			media = mediaOf(args[0])
		}
		return s.validate(body, media, format)
	}
	return c
}

// body reads what is to be sent, as far as the gate would.
func (s *session) body(path string) ([]byte, error) {
	in := s.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, &events.Error{Code: "E-CLI-FILE", What: "the file cannot be read", Where: path, Why: err.Error(), Do: "name a file with events", Exit: events.ExitInput}
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, int64(envelope.Default.Bytes)+1))
	if err != nil {
		return nil, &events.Error{Code: "E-CLI-FILE", What: "the file cannot be read", Where: path, Why: err.Error(), Do: "name a file with events", Exit: events.ExitInput}
	}
	return b, nil
}

// mediaOf returns the content type of a file's ending.
func mediaOf(path string) string {
	switch filepath.Ext(path) {
	case ".ndjson", ".jsonl":
		return "application/x-ndjson"
	case ".msgpack":
		return "application/msgpack"
	}
	return "application/json"
}

// validated is what validate says of one event.
type validated struct {
	Type     string             `json:"type,omitempty"`
	Subject  string             `json:"subject,omitempty"`
	Valid    bool               `json:"valid"`
	Warnings []string           `json:"warnings,omitempty"`
	Problem  *publisher.Problem `json:"problem,omitempty"`
}

func (s *session) validate(body []byte, media, format string) error {
	batch, whole := envelope.Parse(envelope.Message{Header: map[string][]string{"Content-Type": {media}}, Body: body}, envelope.Limits{})
	var all []validated
	if whole != nil {
		all = []validated{{Problem: whole}}
	}
	bad := whole != nil
	for _, item := range batch.Items {
		v := validated{Type: item.Event.Type, Subject: item.Event.Subject, Problem: item.Problem}
		if v.Problem == nil {
			v.Warnings, v.Problem = schema.Validate(item.Event)
		}
		v.Valid = v.Problem == nil
		bad = bad || !v.Valid
		all = append(all, v)
	}
	err := s.document(format, told{"Validation", replay.AnswersVersion, all}, func() string { return validationText(all) })
	if err == nil && bad {
		return errInvalid
	}
	return err
}

// validationText tells of each event on lines of its own.
func validationText(all []validated) string {
	var b strings.Builder
	for i, v := range all {
		what := strings.TrimSpace(v.Type + " " + v.Subject)
		switch {
		case v.Valid:
			fmt.Fprintf(&b, "%d: valid: %s\n", i+1, what)
		default:
			fmt.Fprintf(&b, "%d: %s\n", i+1, v.Problem)
		}
		if v.Problem != nil {
			for _, e := range v.Problem.Errors {
				fmt.Fprintf(&b, "   %s\n", e)
			}
		}
		for _, w := range v.Warnings {
			fmt.Fprintf(&b, "   warning: %s\n", w)
		}
	}
	return b.String()
}
