package manifest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"rollcall/events"
)

// Document is one object of a manifest, and where it stands.
type Document struct {
	source       source
	index, count int    // of its document among those of the manifest, from 1
	text         []byte // of the document, behind an empty line for each line before it
	item         string // the path of an item of a list, such as items[3]; empty: the document is the object
	partial      bool   // it changes the fields that it has, and the object is there
	exact        bool   // the object has to be as Expect says

	*unstructured.Unstructured
}

// Made returns the document of an object that no manifest holds; where says what
// it comes from. A partial one changes some fields of an object that is there, and
// leaves all others to whom they belong.
func Made(where string, object map[string]any, partial bool) (*Document, error) {
	d := &Document{source: source{name: where, built: true}, partial: partial, Unstructured: &unstructured.Unstructured{Object: object}}
	return d, d.check()
}

// Partial reports whether the document is no whole object.
func (d *Document) Partial() bool { return d.partial }

// Expect has the object be applied only if it is still at a resourceVersion or, if
// that is empty, if nobody has other values for its fields. Who comes first is
// answered with a conflict.
func (d *Document) Expect(resourceVersion string) {
	d.exact = true
	d.SetResourceVersion(resourceVersion)
}

// parse returns the object of a document, or those of a list.
func (d *Document) parse() ([]*Document, error) {
	data, err := yaml.YAMLToJSONStrict(d.text)
	if err != nil {
		return nil, d.unreadable(err)
	}
	var fields map[string]any
	if json.Unmarshal(data, &fields) != nil {
		return nil, d.refuse("E-MAN-TYPE", "", "the document is no object", "write apiVersion, kind and metadata")
	}
	d.Unstructured = &unstructured.Unstructured{Object: fields}
	if !d.IsList() {
		return []*Document{d}, d.check()
	}
	list, err := d.ToList()
	if err != nil {
		return nil, d.refuse("E-MAN-TYPE", "items", err.Error(), "write a list of objects")
	}
	var all []*Document
	for i := range list.Items {
		of := *d
		of.item, of.Unstructured = fmt.Sprintf("items[%d]", i), &list.Items[i]
		if err := of.check(); err != nil {
			return nil, err
		}
		all = append(all, &of)
	}
	return all, nil
}

// lineInText finds the line that a reader of YAML complains about.
var lineInText = regexp.MustCompile(`line (\d+): *`)

// unreadable refuses a document that is no YAML, or has a key twice.
func (d *Document) unreadable(err error) error {
	text := err.Error()
	text = text[strings.LastIndex(text, "yaml: ")+len("yaml: "):]
	code, do := "E-MAN-YAML", "look at this line, and the one above it"
	if strings.Contains(text, "already set in map") {
		code, do = "E-MAN-DUPKEY", "keep one"
	}
	e := d.refuse(code, "", "the document cannot be read", do).(*events.Error)
	if at := lineInText.FindStringSubmatch(text); at != nil {
		line, _ := strconv.Atoi(at[1]) // they are digits
		e.Where = d.at(line, "")
		text = strings.Replace(text, at[0], "", 1)
	}
	e.Why = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "unmarshal errors:"))
	return e
}

// check refuses an object that cannot be told from others. What an object has
// that was read from a cluster, and that only a server writes, is no wish.
func (d *Document) check() error {
	d.SetManagedFields(nil)
	d.SetResourceVersion("")
	d.SetUID("")
	_, err := schema.ParseGroupVersion(d.GetAPIVersion())
	switch {
	case d.GetKind() == "":
		return d.refuse("E-MAN-KIND", "kind", "the object has no kind", "name one")
	case d.GetAPIVersion() == "" || err != nil:
		return d.refuse("E-MAN-API", "apiVersion", fmt.Sprintf("%q is no apiVersion", d.GetAPIVersion()), "name that of the kind, such as apps/v1")
	case d.GetName() == "":
		return d.refuse("E-MAN-NAME", "metadata.name", "the object has no name", "give it one")
	}
	return nil
}

// checkAll refuses what contradicts another document, or the namespace that was
// asked for.
func checkAll(docs []*Document, namespace string) error {
	seen := map[string]bool{}
	for _, d := range docs {
		if ns := d.GetNamespace(); ns != "" && namespace != "" && ns != namespace {
			return d.refuse("E-MAN-NAMESPACE", "metadata.namespace", fmt.Sprintf("the namespace is %q, and %q was asked for", ns, namespace), "remove one of the two")
		}
		key := d.GroupVersionKind().GroupKind().String() + " " + d.GetNamespace() + "/" + d.GetName()
		if seen[key] {
			return d.refuse("E-MAN-DOC", "", fmt.Sprintf("%s %q is there twice", d.GetKind(), d.GetName()), "remove one of the two")
		}
		seen[key] = true
	}
	return nil
}

// Annotate gives DaemonSets the annotations that they do not have.
func Annotate(docs []*Document, annotations map[string]string) {
	for _, d := range docs {
		if d.GroupVersionKind() != appsv1.SchemeGroupVersion.WithKind(string(events.DaemonSet)) || len(annotations) == 0 {
			continue
		}
		own, _, err := unstructured.NestedStringMap(d.Object, "metadata", "annotations")
		if v, _, _ := unstructured.NestedFieldNoCopy(d.Object, "metadata", "annotations"); err != nil && v != nil {
			continue // the server refuses it
		}
		all := maps.Clone(annotations)
		maps.Copy(all, own)
		d.SetAnnotations(all)
	}
}

// refuse says what is wrong with a field of the document.
func (d *Document) refuse(code, path, what, do string) error {
	return &events.Error{Code: code, What: what, Where: d.at(d.line(path), path), Do: do, Exit: events.ExitInput}
}

// at returns "file: document 2 of 3: line 7: field", or for what kustomize has
// built "directory: DaemonSet agent: field".
func (d *Document) at(line int, path string) string {
	parts := []string{d.source.name}
	switch {
	case d.source.built && d.Unstructured != nil:
		parts = append(parts, d.GetKind()+" "+d.GetName())
	case d.count > 1 && !d.source.built:
		parts = append(parts, fmt.Sprintf("document %d of %d", d.index, d.count))
	}
	if line > 0 && !d.source.built {
		parts = append(parts, fmt.Sprintf("line %d", line))
	}
	if path != "" {
		parts = append(parts, path)
	}
	return strings.Join(parts, ": ")
}

// line returns the line of a field, or of the nearest field around it that is
// written in the document.
func (d *Document) line(path string) int {
	var root yamlv3.Node
	if yamlv3.Unmarshal(d.text, &root) != nil || len(root.Content) == 0 {
		return 0
	}
	n := root.Content[0]
	line := n.Line
	for _, step := range append(steps(d.item), steps(path)...) {
		var at int
		if n, at = child(n, step); n == nil {
			break
		}
		line = at
	}
	return line
}

// child returns the value of a key of a mapping, or an item of a sequence by its
// index, and the line where that begins; nil: there is none.
func child(n *yamlv3.Node, step string) (*yamlv3.Node, int) {
	if n.Kind == yamlv3.AliasNode {
		n = n.Alias
	}
	if n.Kind == yamlv3.SequenceNode {
		for i, item := range n.Content {
			if strconv.Itoa(i) == step || has(item, step) {
				return item, item.Line
			}
		}
		return nil, 0
	}
	for i := 0; n.Kind == yamlv3.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == step {
			return n.Content[i+1], n.Content[i].Line
		}
	}
	return nil, 0
}

// has reports whether an item of a sequence is the one of a step such as
// name="main" or containerPort=80,protocol="TCP".
func has(item *yamlv3.Node, step string) bool {
	for _, part := range strings.Split(step, ",") {
		key, want, keyed := strings.Cut(part, "=")
		v, _ := child(item, key)
		if !keyed || v == nil || v.Value != strings.Trim(want, `"`) {
			return false
		}
	}
	return true
}

// steps splits a field path such as a.b[0].c[x/y.z] into its steps.
func steps(path string) []string {
	var out []string
	for path != "" {
		switch {
		case path[0] == '.':
			path = path[1:]
		case path[0] == '[':
			end := strings.IndexByte(path, ']')
			if end < 0 {
				return append(out, path[1:])
			}
			out, path = append(out, path[1:end]), path[end+1:]
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			out, path = append(out, path[:end]), path[end:]
		}
	}
	return out
}

// namespaceOf returns the namespace of an object, if its kind has one.
func (d *Document) namespaceOf(namespaced bool, otherwise string) string {
	if !namespaced {
		return ""
	}
	return cmp.Or(d.GetNamespace(), otherwise, metav1.NamespaceDefault)
}
