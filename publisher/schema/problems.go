package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"rollcall/events"
	"rollcall/publisher"
)

// maxErrors bounds what a refusal lists of one event.
const maxErrors = 20

// problems returns what is wrong, by pointer, one thing for each place.
func problems(bad *jsonschema.ValidationError, data any) []publisher.ProblemError {
	found, ranks := map[string]publisher.ProblemError{}, map[string]int{}
	var collect func(e *jsonschema.ValidationError)
	collect = func(e *jsonschema.ValidationError) {
		switch e.ErrorKind.(type) {
		case *kind.PropertyNames, *kind.AnyOf:
			// What is wrong is the name, or that none is there: the causes say it of
			// another place, or of each alternative.
		default:
			for _, cause := range e.Causes {
				collect(cause)
			}
			if len(e.Causes) > 0 {
				return
			}
		}
		for _, one := range describe(e, data) {
			if rank := rank(e); rank > ranks[one.Pointer] {
				found[one.Pointer], ranks[one.Pointer] = one, rank
			}
		}
	}
	collect(bad)
	var all []publisher.ProblemError
	for _, at := range slices.Sorted(maps.Keys(found)) {
		all = append(all, found[at])
	}
	return all[:min(len(all), maxErrors)]
}

// rank says which of several things that are wrong in one place is told: the
// name of a value, then its format or what it is one of.
func rank(e *jsonschema.ValidationError) int {
	switch e.ErrorKind.(type) {
	case *kind.PropertyNames:
		return 3
	case *kind.Format, *kind.Enum:
		return 2
	}
	return 1
}

// describe puts one thing that is wrong into words.
func describe(e *jsonschema.ValidationError, data any) []publisher.ProblemError {
	got, _ := at(data, e.InstanceLocation)
	one := publisher.ProblemError{Pointer: pointer(e.InstanceLocation), Got: shortJSON(got)}
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		object, _ := got.(map[string]any)
		var all []publisher.ProblemError
		for _, name := range k.Missing {
			all = append(all, publisher.ProblemError{Pointer: pointer(append(slices.Clone(e.InstanceLocation), name)), Expected: "a value", Got: "nothing",
				Hint: meant(name, slices.Sorted(maps.Keys(object)))})
		}
		return all
	case *kind.Enum:
		var names []string
		for _, w := range k.Want {
			names = append(names, fmt.Sprint(w))
		}
		chosen(&one, got, names)
	case *kind.Format:
		one.Expected, one.Hint = formats[k.Want].expected, did(k.Want, fmt.Sprint(got))
	case *kind.PropertyNames:
		one.Pointer = pointer(append(slices.Clone(e.InstanceLocation), k.Property))
		one.Expected, one.Got, one.Hint = formats["label-name"].expected, short(k.Property), did("label-name", k.Property)
	case *kind.Type:
		one.Expected, one.Hint = typeNames(k.Want), otherType(k.Want, got)
		if names := allowed(e.SchemaURL); len(names) > 0 {
			chosen(&one, got, names)
		}
	case *kind.AnyOf:
		one.Expected = "one or more of daemonSets, namespaces, labels, nodes, nodeLabels"
		object, _ := got.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if near := events.Nearest(name, []string{"daemonSets", "namespaces", "labels", "nodes", "nodeLabels"}, 1); one.Hint == "" {
				one.Hint = quoted(near)
			}
		}
	default:
		one.Expected = e.ErrorKind.LocalizedString(english)
	}
	return []publisher.ProblemError{one}
}

var english = message.NewPrinter(language.English)

// chosen says that a value is none of those that it may be.
func chosen(one *publisher.ProblemError, got any, names []string) {
	one.Expected = "one of " + strings.Join(names, ", ")
	one.Hint = quoted(events.Nearest(fmt.Sprint(got), names, 1))
	for _, n := range names {
		if strings.EqualFold(n, fmt.Sprint(got)) {
			one.Hint = quoted([]string{n})
		}
	}
}

// allowed returns the texts that the schema at a URL allows, if it names them: a
// value of another type is not held against them.
func allowed(schemaURL string) (names []string) {
	id, place, _ := strings.Cut(strings.TrimPrefix(schemaURL, base), "#/")
	for _, t := range table {
		var doc any
		if t.ID() != id || json.Unmarshal(t.Document(), &doc) != nil {
			continue
		}
		v, _ := at(doc, strings.Split(place, "/"))
		if s, ok := v.(map[string]any); ok {
			list, _ := s["enum"].([]any)
			for _, x := range list {
				names = append(names, fmt.Sprint(x))
			}
		}
	}
	return names
}

// typeNames returns JSON types for people. That null takes away what is there is
// for those who look for it.
func typeNames(types []string) string {
	var names []string
	for _, t := range []string{"string", "number", "integer", "boolean", "array", "object"} {
		if slices.Contains(types, t) {
			names = append(names, t)
		}
	}
	text := strings.Join(names, " or ")
	if strings.ContainsAny(text[:1], "aio") {
		return "an " + text
	}
	return "a " + text
}

// otherType says how a value of the wrong JSON type is written as the right one.
func otherType(want []string, got any) string {
	text := fmt.Sprint(got)
	switch {
	case slices.Contains(want, "string") && (reflect.TypeOf(got) == reflect.TypeFor[json.Number]() || reflect.TypeOf(got) == reflect.TypeFor[bool]()):
		return fmt.Sprintf("did you mean %s?", strconv.Quote(text))
	case slices.Contains(want, "boolean") && (strings.EqualFold(text, "true") || strings.EqualFold(text, "false")):
		return "did you mean " + strings.ToLower(text) + "?"
	case slices.Contains(want, "integer") && checkInt32(text) == nil:
		return "did you mean " + text + "?"
	case slices.Contains(want, "array") && got != nil:
		return "put it into [ ]"
	}
	return ""
}

// meant says which of the names that are there may be a misspelt one.
func meant(name string, there []string) string {
	if near := events.Nearest(name, there, 1); len(near) > 0 {
		return fmt.Sprintf("did you mean %q by %q?", name, near[0])
	}
	return ""
}

// did asks whether a text was meant that has the format.
func did(format, got string) string {
	if m := first(format, got); m != "" {
		return fmt.Sprintf("did you mean %q?", m)
	}
	return ""
}

// first returns the first text that may have been meant and has the format.
func first(format, got string) string {
	f := formats[format]
	if f.mean == nil || len(got) > 1000 {
		return ""
	}
	for _, m := range f.mean(got) {
		if m != got && m != "" && f.check(m) == nil {
			return m
		}
	}
	return ""
}

func quoted(near []string) string {
	if len(near) == 0 {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", near[0])
}

// unknown warns of fields that the schema does not name, at the top of the data.
func unknown(data map[string]any, t Type) (warnings []string) {
	if t.Name == anyType {
		return nil
	}
	known := fields(t)
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if slices.Contains(known, name) || len(warnings) == maxErrors {
			continue
		}
		w := fmt.Sprintf("/data%s is kept and does nothing: %s has no such field", pointerOf(name), t.Name)
		if near := events.Nearest(name, known, 1); len(near) > 0 {
			w += "; " + quoted(near)
		}
		warnings = append(warnings, w)
	}
	return warnings
}

// fields returns the JSON names of the fields of a type's data.
func fields(t Type) (names []string) {
	s := reflect.TypeOf(t.data)
	for i := range s.NumField() {
		name, _, _ := strings.Cut(s.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// at returns the value at a place in data.
func at(v any, path []string) (any, bool) {
	for _, p := range path {
		switch x := v.(type) {
		case map[string]any:
			v = x[p]
		case []any:
			i, err := strconv.Atoi(p)
			if err != nil || i >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// pointer returns a place in the data as a JSON pointer into the event.
func pointer(path []string) string {
	s := "/data"
	for _, p := range path {
		s += pointerOf(p)
	}
	return s
}

func pointerOf(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// maxGot bounds what a refusal repeats of its input.
const maxGot = 80

func short(s string) string { return shortJSON(s) }

func shortJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T", v)
	}
	if r := []rune(string(b)); len(r) > maxGot {
		return string(r[:maxGot]) + "..."
	}
	return string(b)
}
