// Package manifest reads what people write: bytes of YAML or JSON become
// checked, defaulted Kubernetes objects, or one refusal that names the file,
// the document, the line and the field, says why, and says what to do.
//
// It is stricter than a YAML library: unknown fields, keys given twice, tags,
// values of another type and numbers out of range are refused, never guessed.
// Rules and wording are those of Kubernetes 1.36 for apps/v1 DaemonSets, with
// three deliberate differences: a surge with a host port is refused, since two
// pods cannot hold one port of a node; a plain date is no name; only the kinds
// that rollcall acts on are taken.
//
// The package is pure: time and new uids are arguments, nothing is read but
// the bytes given, and the same input gives the same answer.
package manifest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"go.yaml.in/yaml/v3"

	"rollcall/events"
)

// Bounds of one manifest.
const (
	MaxBytes     = 3 << 20 // of one file: the size that the Kubernetes API takes in a request
	maxDepth     = 64      // of nesting; the deepest field of a pod template is at 15
	maxExpanded  = 20_000  // values that aliases add to one document
	maxDocuments = 5_000
)

// Object is a Kubernetes object that a manifest can hold: *appsv1.DaemonSet,
// *corev1.Node, *corev1.Namespace or *schedulingv1.PriorityClass.
type Object interface{ metav1.Object }

// Document is one object of a manifest as it was written, with no default set.
type Document struct {
	File   string
	Index  int // from 1
	Count  int // documents in the file
	Kind   events.Kind
	Object Object

	// Warnings are about what was taken and will have no effect, one line each.
	Warnings []string

	root *yaml.Node // for line numbers; nil for an object that was not parsed
}

// kind is one kind that a manifest may hold.
type kind struct {
	kind       events.Kind
	apiVersion string
	resource   string // as kubectl prints it before a slash
	namespaced bool
	make       func() Object
}

// kinds lists the kinds in the order that refusals name them.
var kinds = []kind{
	{events.DaemonSet, "apps/v1", "daemonset.apps", true, func() Object { return &appsv1.DaemonSet{} }},
	{events.PriorityClass, "scheduling.k8s.io/v1", "priorityclass.scheduling.k8s.io", false, func() Object { return &schedulingv1.PriorityClass{} }},
	{events.Namespace, "v1", "namespace", false, func() Object { return &corev1.Namespace{} }},
	{events.Node, "v1", "node", false, func() Object { return &corev1.Node{} }},
}

func kindOf(k events.Kind) (kind, bool) {
	for _, c := range kinds {
		if c.kind == k {
			return c, true
		}
	}
	return kind{}, false
}

// Resource returns the name that kubectl prints for an object of kind k, such
// as "daemonset.apps".
func Resource(k events.Kind) string {
	if c, ok := kindOf(k); ok {
		return c.resource
	}
	if k == events.ControllerRevision {
		return "controllerrevision.apps"
	}
	return strings.ToLower(string(k))
}

// Namespaced reports whether objects of kind k live in a namespace.
func Namespaced(k events.Kind) bool {
	c, ok := kindOf(k)
	return k == events.Pod || k == events.ControllerRevision || ok && c.namespaced
}

// New returns an empty object of kind k, or nil if a manifest cannot hold one.
func New(k events.Kind) Object {
	if c, ok := kindOf(k); ok {
		return c.make()
	}
	return nil
}

// Parse reads every document of a manifest, in order, or returns the first
// refusal as an *events.Error and no document. file names the source in
// refusals. The values are checked for shape only: types, fields, ranges of
// numbers. Check does the rest, after defaults are set.
func Parse(file string, data []byte) ([]Document, error) {
	if file == "" {
		file = "manifest"
	}
	p := &parser{file: file, shapes: map[reflect.Type][]shapeField{}}
	if err := p.text(data); err != nil {
		return nil, err
	}
	roots, err := p.roots(data)
	if err != nil {
		return nil, err
	}
	p.count = len(roots)
	docs := make([]Document, 0, len(roots))
	for i, root := range roots {
		p.index = i + 1
		d, err := p.document(root)
		if err != nil {
			return nil, err
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// parser holds what refusals and bounds need while a file is read.
type parser struct {
	file   string
	index  int // of the document, from 1
	count  int // 0: not known yet
	shapes map[reflect.Type][]shapeField
	json   []byte // what shape has written of the document
}

// document turns the tree of one document into an object of its kind.
func (p *parser) document(root *yaml.Node) (Document, error) {
	d := Document{File: p.file, Index: p.index, Count: p.count, root: root}
	if err := p.bounds(root); err != nil {
		return d, err
	}
	if root.Kind != yaml.MappingNode {
		return d, p.refuse(root, "E-MAN-TYPE", "", &events.Error{
			What: "the document is " + describe(root) + ", not an object",
			Do:   "start it with apiVersion, kind and metadata, one field a line"})
	}
	c, err := p.kind(root)
	if err != nil {
		return d, err
	}
	d.Kind, d.Object = c.kind, c.make()
	if err := p.decode(root, d.Object); err != nil {
		return d, err
	}
	if d.Kind != events.Node && find(root, "status") != nil {
		d.Warnings = append(d.Warnings, d.at("status")+": status is ignored: only the system writes it")
	}
	return d, nil
}

// decode fills o from root, after the shape of every value was checked.
func (p *parser) decode(root *yaml.Node, o Object) error {
	p.json = p.json[:0]
	if err := p.shape(root, o); err != nil {
		return err
	}
	if err := json.Unmarshal(p.json, o); err != nil {
		// The walk refuses by name what it knows; this is what it does not know.
		return p.refuse(root, "E-MAN-TYPE", "", &events.Error{What: "the document cannot be read", Why: err.Error()})
	}
	return nil
}

// kind returns the kind that the document names.
func (p *parser) kind(root *yaml.Node) (kind, error) {
	name, nameNode := text(root, "kind")
	version, versionNode := text(root, "apiVersion")
	want := make([]string, 0, len(kinds))
	for _, c := range kinds {
		want = append(want, string(c.kind))
	}
	var found kind
	for _, c := range kinds {
		if string(c.kind) == name {
			found = c
		}
	}
	list := strings.Join(want, ", ")
	switch {
	case name == "":
		return kind{}, p.refuse(or(nameNode, root), "E-MAN-KIND", "kind", &events.Error{
			What: "kind is missing", Do: "set kind to one of " + list})
	case found.make != nil && found.apiVersion == version:
		return found, nil
	case found.make != nil:
		e := &events.Error{What: fmt.Sprintf("apiVersion %q is not served for %s", version, name), Do: "use apiVersion: " + found.apiVersion}
		if version == "" {
			e.What = "apiVersion is missing"
		}
		return kind{}, p.refuse(or(versionNode, root), "E-MAN-API", "apiVersion", e)
	}
	e := &events.Error{What: fmt.Sprintf("kind %q cannot be applied", name), Why: "want one of " + list, Do: "remove this document"}
	if near := events.Nearest(name, want, 1); len(near) > 0 {
		e.Do = "did you mean " + near[0] + "?"
	}
	switch name {
	case "ControllerRevision":
		e.Why, e.Do = "the controller writes revisions from DaemonSets", "apply the DaemonSet, or use rollcall rollout undo"
	case "List":
		e.Do = "write its items as documents with --- between them"
	}
	return kind{}, p.refuse(nameNode, "E-MAN-KIND", "kind", e)
}

// text returns the text of a scalar field of a mapping, and its node.
func text(m *yaml.Node, key string) (string, *yaml.Node) {
	n := deref(find(m, key))
	if n == nil || n.Kind != yaml.ScalarNode {
		return "", n
	}
	return n.Value, n
}

func or(n, other *yaml.Node) *yaml.Node {
	if n == nil {
		return other
	}
	return n
}
