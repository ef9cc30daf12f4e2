package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector"
	"rollcall/projector/story"
	"rollcall/publisher/manifest"
)

// getOptions are the flags and arguments of get.
type getOptions struct {
	resource  resource
	names     []string
	namespace string
	all       bool
	format    string
	labels    bool
	noHeaders bool
	watch     bool
}

var getFormats = []string{"table", "wide", "json", "yaml", "name"}

func (s *session) getCommand() *cobra.Command {
	var o getOptions
	c := &cobra.Command{Use: "get nodes|pods|daemonsets|revisions [NAME...]", Short: "Show objects as the log has them", Args: takes(1, -1),
		Example: "  rollcall get ds -A\n  rollcall get pods -n kube-system -o wide -w"}
	t := addTarget(c)
	addNamespace(c, &o.namespace)
	f := c.Flags()
	f.BoolVarP(&o.all, "all-namespaces", "A", false, "objects of all namespaces")
	f.StringVarP(&o.format, "output", "o", "table", strings.Join(getFormats, ", "))
	f.BoolVar(&o.labels, "show-labels", false, "show labels in the last column")
	f.BoolVar(&o.noHeaders, "no-headers", false, "no line above the columns")
	f.BoolVarP(&o.watch, "watch", "w", false, "go on showing what changes")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.parse(args); err != nil {
			return err
		}
		a, err := t.open(c.Context(), s)
		if err != nil {
			return err
		}
		defer a.close()
		if o.watch {
			if err := a.wait("-w"); err != nil {
				return err
			}
		}
		return s.get(c.Context(), a, o)
	}
	return c
}

// parse reads KIND NAME... or KIND/NAME.
func (o *getOptions) parse(args []string) error {
	if !slices.Contains(getFormats, o.format) {
		return &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("unknown format %q", o.format), Where: "--output",
			Do: suggestion(o.format, getFormats, "choose from "+strings.Join(getFormats, ", ")), Exit: events.ExitInput}
	}
	kind, name, ok := cutKind(args[0])
	if ok {
		args = append([]string{kind, name}, args[1:]...)
	}
	if o.resource, ok = resourceOf(args[0]); !ok {
		return unknownResource(args[0])
	}
	for _, a := range args[1:] {
		if kind, name, ok := cutKind(a); ok {
			if r, known := resourceOf(kind); !known || r.kind != o.resource.kind {
				return usageError("E-CLI-ARGS", fmt.Sprintf("%q is of another kind than %s", a, args[0]), "ask for one kind at a time")
			}
			a = name
		}
		o.names = append(o.names, a)
	}
	if o.all && len(o.names) > 0 {
		return usageError("E-CLI-ARGS", "a resource cannot be retrieved by name across all namespaces", "give -n NAMESPACE instead of -A")
	}
	if !o.resource.namespaced || o.all {
		o.namespace = ""
	}
	return nil
}

// wants reports whether get shows an object.
func (o getOptions) wants(r events.Ref) bool {
	return r.Kind == o.resource.kind && (o.namespace == "" || r.Key.Namespace == o.namespace) &&
		(len(o.names) == 0 || slices.Contains(o.names, r.Key.Name))
}

func (s *session) get(ctx context.Context, a *archive, o getOptions) error {
	st, err := a.fold(ctx)
	if err != nil {
		return err
	}
	objects, err := o.find(st)
	if err != nil {
		return err
	}
	if err := s.show(objects, st, o); err != nil || !o.watch {
		return err
	}
	for e, err := range a.Tail(ctx, st.Seq()) {
		if err != nil {
			return a.ended(ctx, err)
		}
		if err := s.showChange(e, o); err != nil {
			return err
		}
	}
	return nil
}

// find returns the objects that are asked for, by key or in the order of their
// names.
func (o getOptions) find(st *projector.State) ([]events.Object, error) {
	all := st.List(o.resource.kind, o.namespace)
	if len(o.names) == 0 {
		return all, nil
	}
	var found []events.Object
	for _, name := range o.names {
		object, _, ok := st.Object(o.resource.kind, events.Key{Namespace: o.namespace, Name: name})
		if !ok {
			return nil, notFound(o.resource.kind, events.Key{Namespace: o.namespace, Name: name}, all)
		}
		found = append(found, object)
	}
	return found, nil
}

// notFound says that there is no such object, and which name may be meant.
func notFound(kind events.Kind, key events.Key, others []events.Object) error {
	e := &events.Error{Code: "E-CLI-NOTFOUND", What: fmt.Sprintf("%s %q not found", manifest.Resource(kind), key.Name), Exit: events.ExitInput}
	if key.Namespace != "" {
		e.Where = "namespace " + key.Namespace
	}
	var names []string
	for _, o := range others {
		names = append(names, o.Key.Name)
	}
	e.Do = suggestion(key.Name, names, "list what there is with rollcall get "+strings.ToLower(string(kind))+" -A")
	return e
}

// show prints objects in the format asked for.
func (s *session) show(objects []events.Object, st *projector.State, o getOptions) error {
	switch o.format {
	case "name":
		for _, object := range objects {
			s.out.printf("%s/%s\n", o.resource.names[0], object.Key.Name)
		}
		return nil
	case "json", "yaml":
		return s.showWhole(objects, st, o)
	}
	if len(objects) == 0 && !o.watch {
		fmt.Fprintln(s.err, story.NoResources(o.namespace))
		return nil
	}
	t, err := o.resource.table(objects, o.columns())
	if err != nil {
		return err
	}
	if o.noHeaders {
		s.out.printf("%s", t.Body())
	} else if len(objects) > 0 {
		s.out.printf("%s", t.String())
	}
	return nil
}

func (o getOptions) columns() story.Columns {
	return story.Columns{Now: time.Now(), Wide: o.format == "wide", Namespace: o.all && o.resource.namespaced, Labels: o.labels}
}

// showChange prints an object that a fact is about, as it then is.
func (s *session) showChange(e events.Event, o getOptions) error {
	var object events.Object
	switch b := e.Body.(type) {
	case events.Object:
		object = b
	case events.Gone:
		object = events.Object(b)
	}
	if !o.wants(object.Ref) || len(object.Data) == 0 {
		return nil
	}
	switch o.format {
	case "name":
		s.out.printf("%s/%s\n", o.resource.names[0], object.Key.Name)
		return nil
	case "json", "yaml":
		whole, err := o.resource.whole(object, e.Seq)
		if err != nil {
			return err
		}
		return s.printWhole(whole, o.format)
	}
	t, err := o.resource.table([]events.Object{object}, o.columns())
	if err != nil {
		return err
	}
	// Cut from a table with its header, the columns are as wide as above.
	_, row, _ := strings.Cut(t.String(), "\n")
	s.out.printf("%s", row)
	return nil
}

// showWhole prints one object that was named, or a list.
func (s *session) showWhole(objects []events.Object, st *projector.State, o getOptions) error {
	items := make([]any, 0, len(objects))
	for _, object := range objects {
		_, last, _ := st.Object(object.Kind, object.Key)
		whole, err := o.resource.whole(object, last)
		if err != nil {
			return err
		}
		items = append(items, whole)
	}
	if len(o.names) == 1 {
		return s.printWhole(items[0], o.format)
	}
	return s.printWhole(map[string]any{"apiVersion": "v1", "kind": "List", "items": items,
		"metadata": map[string]any{"resourceVersion": ""}}, o.format)
}

// whole returns an object with the fields that an API adds to it.
func (r resource) whole(object events.Object, last events.Seq) (map[string]any, error) {
	data, err := wire.ToJSON(object.Data)
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", r.kind, object.Key, err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var whole map[string]any
	if err := d.Decode(&whole); err != nil {
		return nil, fmt.Errorf("read %s %s: %w", r.kind, object.Key, err)
	}
	whole["apiVersion"], whole["kind"] = r.apiVersion, string(r.kind)
	if m, ok := whole["metadata"].(map[string]any); ok {
		m["resourceVersion"] = strconv.FormatUint(uint64(last), 10)
	}
	return whole, nil
}

func (s *session) printWhole(v any, format string) error {
	data, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		return err
	}
	if format == "yaml" {
		if data, err = yaml.JSONToYAML(data); err != nil {
			return err
		}
		data = bytes.TrimSuffix(data, []byte("\n"))
	}
	s.out.printf("%s\n", data)
	return nil
}
