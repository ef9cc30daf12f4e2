package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"rollcall/events"
	"rollcall/publisher"
)

// base is what the ids of schemas are relative to in this process.
const base = "rollcall://"

// compiled has the schemas of the table, by type.
var compiled = sync.OnceValue(func() map[string]*jsonschema.Schema {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, name := range slices.Sorted(maps.Keys(formats)) {
		register(c, name, formats[name])
	}
	all := map[string]*jsonschema.Schema{}
	for _, t := range table {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(t.Document()))
		if err == nil {
			err = c.AddResource(base+t.ID(), doc)
		}
		if err == nil {
			all[t.Name], err = c.Compile(base + t.ID())
		}
		if err != nil {
			panic(fmt.Sprintf("the schema of %s: %v", t.Name, err)) // it is made of constants
		}
	}
	return all
})

// Validate says what is wrong with an event that package envelope has read; nil:
// it is one that can be told, and its data can be decoded into the Go type of
// its type. Warnings are sentences about what is kept and does nothing.
func Validate(ev publisher.Event) (warnings []string, p *publisher.Problem) {
	t, p := Find(ev.Type)
	if p != nil {
		return nil, p
	}
	if p := schemaVersion(ev, t); p != nil {
		return nil, p
	}
	if p := subject(ev.Subject, t); p != nil {
		return nil, p
	}
	data := ev.Data
	if len(data) == 0 {
		data = json.RawMessage("{}")
	}
	if t.Name == anyType && !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return nil, nil // a note may be any text: there is nothing in it to read
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil { // the envelope has been read as JSON
		return nil, publisher.NewProblem(400, "E-TOLD-JSON", "no JSON", err.Error())
	}
	if object, ok := v.(map[string]any); ok {
		warnings = unknown(object, t)
	}
	err = compiled()[t.Name].Validate(v)
	var bad *jsonschema.ValidationError
	if errors.As(err, &bad) {
		return nil, refuse(t, problems(bad, v))
	}
	into := reflect.New(reflect.TypeOf(t.data))
	if err := json.Unmarshal(data, into.Interface()); err != nil {
		return nil, refuse(t, []publisher.ProblemError{{Pointer: "/data", Expected: t.Name, Hint: err.Error()}})
	}
	if errs := impossible(into.Elem().Interface()); len(errs) > 0 {
		return nil, refuse(t, errs)
	}
	return warnings, nil
}

func refuse(t Type, errs []publisher.ProblemError) *publisher.Problem {
	first := errs[0]
	detail := fmt.Sprintf("the data is not that of %s: %s; correct it, or see rollcall schema show %s", t.Name, first.String(), t.Name)
	p := publisher.NewProblem(422, "E-TOLD-DATA", "wrong data", detail)
	p.Errors = errs
	return p
}

// schemaVersion refuses an event that says that a newer schema of ours is the
// one of its data.
func schemaVersion(ev publisher.Event, t Type) *publisher.Problem {
	m := versioned.FindStringSubmatch(ev.DataSchema)
	if m == nil {
		return nil
	}
	version, err := strconv.Atoi(m[2])
	if m[1] == t.Name && err == nil && version >= 1 && version <= t.Version {
		return nil
	}
	p := publisher.NewProblem(422, "E-TOLD-VERSION", "other version",
		fmt.Sprintf("dataschema %s is not known: this program has %s; send that, or take a newer rollcall", short(ev.DataSchema), t.ID()))
	p.Errors = []publisher.ProblemError{{Pointer: "/dataschema", Expected: t.ID(), Got: short(ev.DataSchema)}}
	return p
}

var versioned = regexp.MustCompile(`(?:^|/)v1/schemas/([^/]+)/([0-9]+)\.json$`)

// subject refuses an event about something else than its type is about.
func subject(s string, t Type) *publisher.Problem {
	var err error // of the name; what is told is what is expected
	kind, rest, _ := strings.Cut(s, "/")
	want, _, _ := strings.Cut(t.Subject, "/")
	hint := ""
	switch {
	case t.Name == anyType && s == "":
		return nil
	case t.Name == anyType:
		for one := range strings.SplitSeq(s, ",") {
			if !strings.Contains(one, "/") || namespacedKind(one) == "" {
				continue // what is not an object of ours is kept as it is
			}
			if err = checkObject(strings.TrimSpace(one)); err != nil {
				hint = did("object", one)
				break
			}
		}
	case kind != want || rest == "":
		err = errors.New("it names something else")
		if s != "" && !strings.Contains(s, "/") && want != "pod" && formats["dns-1123-subdomain"].check(s) == nil {
			hint = fmt.Sprintf("did you mean %q?", want+"/"+s)
		}
	case want == "pod":
		err, hint = checkDaemonSet(rest), did("object", s)
	case want == "hold":
		err = formats["dns-1123-label"].check(rest)
		if h := first("dns-1123-label", rest); h != "" {
			hint = fmt.Sprintf("did you mean %q?", "hold/"+h)
		}
	default:
		err, hint = formats["dns-1123-subdomain"].check(rest), did("object", s)
	}
	if err == nil {
		return nil
	}
	p := publisher.NewProblem(422, "E-TOLD-SUBJECT", "wrong subject",
		fmt.Sprintf("the subject %s of %s is not %s, with names as Kubernetes has them; correct it and send it again", short(s), t.Name, t.Subject))
	p.Errors = []publisher.ProblemError{{Pointer: "/subject", Expected: t.Subject, Got: short(s), Hint: hint}}
	return p
}

// namespacedKind returns the kind of an object that a subject names, or "".
func namespacedKind(s string) string {
	kind, _, _ := strings.Cut(strings.TrimSpace(s), "/")
	if _, ok := namespaced[kind]; ok {
		return kind
	}
	return ""
}

// reverseDNS is what a type of somebody else looks like.
var reverseDNS = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)+$`)

// ours are the beginnings of types that are nobody else's.
var ours = []string{"node.", "pod.", "hold.", "told.", "note.", "io.rollcall."}

// object is a type that says what became of a Kubernetes object.
var object = regexp.MustCompile(`^(?i)(node|pod|daemonset|ds|deployment|replicaset|statefulset|job|cronjob|configmap|secret|service|namespace|controllerrevision|serviceaccount|lease|event)s?\.(created?|updated?|deleted?|added|modified|changed|removed|patched|applied|apply)$`)

// foreign refuses a type that is neither ours nor anybody else's.
func foreign(name string) *publisher.Problem {
	if object.MatchString(name) {
		return publisher.NewProblem(422, "E-TOLD-OBJECT", "an object", fmt.Sprintf("%s is about an object: objects are the Kubernetes API's: use kubectl", short(name)))
	}
	var names []string
	for _, t := range table[:len(table)-1] {
		names = append(names, t.Name)
	}
	near := events.Nearest(name, names, 3)
	mine := slices.ContainsFunc(ours, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	if !mine && len(near) == 0 && len(name) <= 253 && reverseDNS.MatchString(name) {
		return nil
	}
	p := publisher.NewProblem(422, "E-TOLD-TYPE", "unknown type", fmt.Sprintf("there is no type %s; rollcall schema ls names those of rollcall, and a note's is a reverse-DNS name of your own, such as com.example.deploy.started", short(name)))
	e := publisher.ProblemError{Pointer: "/type", Expected: "a type of rollcall, or a reverse-DNS name", Got: short(name)}
	if mine && len(near) < 3 {
		near = closest(name, names, near)
	}
	if len(near) > 0 {
		e.Hint = "did you mean " + strings.Join(near, ", ") + "?"
	}
	p.Errors = []publisher.ProblemError{e}
	return p
}

// closest fills near up to three names: first those that begin as name does.
func closest(name string, names, near []string) []string {
	kind, _, _ := strings.Cut(name, ".")
	for _, n := range names {
		if strings.HasPrefix(n, kind+".") && !slices.Contains(near, n) {
			near = append(near, n)
		}
	}
	for _, n := range names {
		if !slices.Contains(near, n) {
			near = append(near, n)
		}
	}
	return near[:min(3, len(near))]
}
