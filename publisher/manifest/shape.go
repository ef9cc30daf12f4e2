package manifest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
)

// bounds refuses tags, deep nesting and aliases that multiply, before anything
// follows an alias.
func (p *parser) bounds(root *yaml.Node) error {
	seen := map[*yaml.Node]extent{}
	var walk func(n *yaml.Node) (extent, error)
	walk = func(n *yaml.Node) (extent, error) {
		if e, ok := seen[n]; ok {
			return e, nil
		}
		seen[n] = extent{maxExpanded + 1, maxDepth + 1, 0} // what a node that holds itself finds
		if n.Style&yaml.TaggedStyle != 0 {
			return extent{}, p.refuse(n, "E-MAN-TAG", "", &events.Error{What: "the tag " + n.Tag + " is not read",
				Why: "a manifest holds plain values", Do: "remove the tag"})
		}
		sum := extent{added: 0, depth: 1, size: 1}
		parts := n.Content
		if n.Kind == yaml.AliasNode {
			parts = []*yaml.Node{n.Alias}
		}
		for _, c := range parts {
			e, err := walk(c)
			if err != nil {
				return extent{}, err
			}
			sum.size = min(sum.size+e.size, MaxBytes)
			sum.added = min(sum.added+e.added, maxExpanded+1)
			sum.depth = max(sum.depth, min(e.depth+1, maxDepth+1))
		}
		if n.Kind == yaml.AliasNode {
			sum.added = min(sum.added+sum.size, maxExpanded+1)
		}
		seen[n] = sum
		return sum, nil
	}
	all, err := walk(root)
	switch {
	case err != nil:
		return err
	case all.added > maxExpanded:
		return p.refuse(root, "E-MAN-YAML", "", &events.Error{What: "too many aliases",
			Why: fmt.Sprintf("aliases may add %d values to a document", maxExpanded), Do: "write the values out"})
	case all.depth > maxDepth:
		return p.refuse(root, "E-MAN-YAML", "", &events.Error{What: "the document is nested too deep",
			Why: fmt.Sprintf("at most %d levels are read", maxDepth), Do: "flatten it"})
	}
	return nil
}

// extent is how large a tree is once its aliases are written out: the values
// that aliases add, the levels, and all values.
type extent struct{ added, depth, size int }

// shapeField is one field of a struct by its JSON name.
type shapeField struct {
	name string
	typ  reflect.Type
}

// fields returns the fields of a struct type, those of inlined structs among
// them, in the order of the type.
func (p *parser) fields(t reflect.Type) []shapeField {
	if fs, ok := p.shapes[t]; ok {
		return fs
	}
	var fs []shapeField
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case f.Anonymous && (name == "" || strings.Contains(options, "inline")):
			fs = append(fs, p.fields(f.Type)...)
		case name != "":
			fs = append(fs, shapeField{name, f.Type})
		}
	}
	p.shapes[t] = fs
	return fs
}

// shape checks that root has the shape of o and writes it to p.json as JSON.
func (p *parser) shape(root *yaml.Node, o Object) error {
	return p.value(root, reflect.TypeOf(o).Elem(), "")
}

// Types whose JSON form is not their Go form.
var (
	quantityType     = reflect.TypeFor[resource.Quantity]()
	intOrStringType  = reflect.TypeFor[intstr.IntOrString]()
	timeType         = reflect.TypeFor[metav1.Time]()
	microTimeType    = reflect.TypeFor[metav1.MicroTime]()
	fieldsType       = reflect.TypeFor[metav1.FieldsV1]()
	rawExtensionType = reflect.TypeFor[runtime.RawExtension]()
)

// value writes one value of type t.
func (p *parser) value(n *yaml.Node, t reflect.Type, path string) error {
	n = deref(n)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind == yaml.ScalarNode && scalarOf(n) == scalarNull {
		if strings.HasSuffix(path, ".name") {
			return p.wrong(n, path, "a string")
		}
		p.json = append(p.json, "null"...)
		return nil
	}
	switch t {
	case quantityType:
		return p.quantity(n, path)
	case intOrStringType:
		return p.intOrString(n, path)
	case timeType, microTimeType:
		return p.time(n, path)
	case fieldsType, rawExtensionType:
		return p.any(n, path)
	}
	switch t.Kind() {
	case reflect.Struct:
		return p.object(n, t, path)
	case reflect.Map:
		return p.dictionary(n, t.Elem(), path)
	case reflect.Slice:
		return p.list(n, t.Elem(), path)
	case reflect.String:
		return p.string(n, path)
	case reflect.Bool:
		return p.bool(n, path)
	case reflect.Int32, reflect.Int64, reflect.Int:
		return p.int(n, t.Bits(), path)
	}
	return p.any(n, path)
}

// entry is one key of a mapping with its value.
type entry struct {
	name       string
	key, value *yaml.Node
}

// entries returns the keys of a mapping in the order written, then those that
// merge keys add. A key given twice is refused.
func (p *parser) entries(n *yaml.Node, path string) ([]entry, error) {
	var es []entry
	var merges []*yaml.Node
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := deref(n.Content[i]), n.Content[i+1]
		if k.Tag == "!!merge" {
			merges = append(merges, mergeSources(v)...)
			continue
		}
		if k.Kind != yaml.ScalarNode || scalarOf(k) != scalarString && scalarOf(k) != scalarDate {
			return nil, p.refuse(n.Content[i], "E-MAN-TYPE", path, &events.Error{
				What: "a key is " + describe(k) + ", not a string", Do: "quote it"})
		}
		if at, twice := lines[k.Value]; twice {
			return nil, p.refuse(n.Content[i], "E-MAN-DUPKEY", join(path, k.Value), &events.Error{
				What: fmt.Sprintf("%q is set twice", k.Value), Why: fmt.Sprintf("it is already set on line %d", at), Do: "keep one"})
		}
		lines[k.Value] = n.Content[i].Line
		es = append(es, entry{k.Value, n.Content[i], v})
	}
	for _, from := range merges {
		m := deref(from)
		if m.Kind != yaml.MappingNode {
			return nil, p.refuse(from, "E-MAN-TYPE", path, &events.Error{
				What: "a merge key names " + describe(m) + ", not an object", Do: "name an anchor of an object"})
		}
		more, err := p.entries(m, path)
		if err != nil {
			return nil, err
		}
		for _, e := range more {
			if _, set := lines[e.name]; !set {
				lines[e.name] = e.key.Line
				es = append(es, e)
			}
		}
	}
	return es, nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (p *parser) object(n *yaml.Node, t reflect.Type, path string) error {
	if n.Kind != yaml.MappingNode {
		return p.wrong(n, path, "an object")
	}
	es, err := p.entries(n, path)
	if err != nil {
		return err
	}
	known := p.fields(t)
	return p.braces(len(es), '{', '}', func(i int) error {
		e := es[i]
		for _, f := range known {
			if f.name == e.name {
				p.quote(e.name)
				p.json = append(p.json, ':')
				return p.value(e.value, f.typ, join(path, e.name))
			}
		}
		return p.unknown(e, known, path)
	})
}

func (p *parser) dictionary(n *yaml.Node, t reflect.Type, path string) error {
	if n.Kind != yaml.MappingNode {
		return p.wrong(n, path, "an object")
	}
	es, err := p.entries(n, path)
	if err != nil {
		return err
	}
	return p.braces(len(es), '{', '}', func(i int) error {
		p.quote(es[i].name)
		p.json = append(p.json, ':')
		return p.value(es[i].value, t, path+"["+es[i].name+"]")
	})
}

func (p *parser) list(n *yaml.Node, t reflect.Type, path string) error {
	if n.Kind != yaml.SequenceNode {
		return p.wrong(n, path, "a list")
	}
	return p.braces(len(n.Content), '[', ']', func(i int) error {
		return p.value(n.Content[i], t, fmt.Sprintf("%s[%d]", path, i))
	})
}

// any writes a value as it is.
func (p *parser) any(n *yaml.Node, path string) error {
	switch n = deref(n); n.Kind {
	case yaml.MappingNode:
		return p.dictionary(n, reflect.TypeFor[any](), path)
	case yaml.SequenceNode:
		return p.list(n, reflect.TypeFor[any](), path)
	}
	switch scalarOf(n) {
	case scalarNull:
		p.json = append(p.json, "null"...)
	case scalarBool:
		return p.bool(n, path)
	case scalarInt:
		return p.int(n, 64, path)
	default:
		p.quote(n.Value)
	}
	return nil
}

// braces writes n parts with commas between them.
func (p *parser) braces(n int, open, end byte, part func(i int) error) error {
	p.json = append(p.json, open)
	for i := range n {
		if i > 0 {
			p.json = append(p.json, ',')
		}
		if err := part(i); err != nil {
			return err
		}
	}
	p.json = append(p.json, end)
	return nil
}

func (p *parser) quote(s string) {
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("a string of UTF-8 is not JSON: %q: %v", s, err))
	}
	p.json = append(p.json, b...)
}

// misplaced are fields that other kinds have where a DaemonSet has none.
var misplaced = map[string]events.Error{
	"spec.replicas": {Why: "a DaemonSet runs one pod on each node it selects", Do: "remove it; choose nodes with nodeSelector or affinity"},
	"spec.strategy": {Why: "that is the field of a Deployment", Do: "use updateStrategy"},
}

// unknown refuses a key that the type does not have.
func (p *parser) unknown(e entry, known []shapeField, path string) error {
	names := make([]string, len(known))
	for i, f := range known {
		names[i] = f.name
	}
	at := join(path, e.name)
	err := &events.Error{What: fmt.Sprintf("unknown field %q", e.name), Do: "remove it"}
	if near := events.Nearest(e.name, names, 1); len(near) > 0 {
		err.Do = "did you mean " + near[0] + "?"
	} else if m, ok := misplaced[at]; ok {
		err.Why, err.Do = m.Why, m.Do
	} else if path == "spec" {
		for _, f := range p.fields(reflect.TypeFor[corev1.PodSpec]()) {
			if f.name == e.name {
				err.Why, err.Do = "it is a field of the pod", "move it under spec.template.spec"
			}
		}
	}
	return p.refuse(e.key, "E-MAN-FIELD", at, err)
}
