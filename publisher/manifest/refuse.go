package manifest

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"rollcall/events"
)

// refuse completes e with code, place and exit code. n is the value that is
// wrong, path its field; either may be unknown.
func (p *parser) refuse(n *yaml.Node, code, path string, e *events.Error) error {
	line := 0
	if n != nil {
		line = n.Line
	}
	e.Code, e.Exit, e.Where = code, events.ExitInput, place{p.file, p.index, p.count, line}.at(path)
	return e
}

// place is a spot in a file, as refusals name it.
type place struct {
	file               string
	index, count, line int
}

// at returns "file: document 2 of 3: line 7: field".
func (p place) at(path string) string {
	parts := []string{p.file}
	if p.count > 1 && p.index > 0 {
		parts = append(parts, fmt.Sprintf("document %d of %d", p.index, p.count))
	}
	if p.line > 0 {
		parts = append(parts, fmt.Sprintf("line %d", p.line))
	}
	if path != "" {
		parts = append(parts, path)
	}
	return strings.Join(parts, ": ")
}

// at returns where a field of the document is: file, document, line and path.
func (d Document) at(path string) string {
	return place{d.File, d.Index, d.Count, d.line(path)}.at(path)
}

// line returns the line of a field, or of the nearest field around it that is
// written in the document; 0 if the document was not parsed.
func (d Document) line(path string) int {
	n := d.root
	if n == nil {
		return 0
	}
	line := n.Line
	for _, step := range steps(path) {
		n = deref(n)
		switch {
		case n == nil:
			return line
		case n.Kind == yaml.SequenceNode:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(n.Content) {
				return line
			}
			n = n.Content[i]
		default:
			if n = find(n, step); n == nil {
				return line
			}
		}
		line = n.Line
	}
	return line
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

// Refusal returns the first of errs as one *events.Error that says how many
// more there are, or nil if there is none.
func (d Document) Refusal(errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	first := errs[0]
	e := &events.Error{Code: codeOf(first), What: what(first), Where: d.at(first.Field),
		Why: strings.Join(strings.Fields(first.Detail), " "), Do: advice(first), Exit: events.ExitInput}
	if n := len(errs) - 1; n > 0 {
		e.Why = strings.TrimSpace(e.Why + fmt.Sprintf(" (and %d more)", n))
	}
	return e
}

// maxShown bounds the length of a value in a refusal.
const maxShown = 60

// what says what is wrong with the value, without its place.
func what(e *field.Error) string {
	switch e.Type {
	case field.ErrorTypeRequired:
		return "a value is required"
	case field.ErrorTypeForbidden:
		return "the field may not be set"
	case field.ErrorTypeInternal:
		return "the value cannot be checked"
	}
	value := ""
	switch v := e.BadValue.(type) {
	case string:
		value = strconv.Quote(v)
	case fmt.Stringer:
		value = strconv.Quote(v.String())
	case bool, int, int32, int64:
		value = fmt.Sprint(v)
	case *int32:
		value = fmt.Sprint(*v)
	case *int64:
		value = fmt.Sprint(*v)
	}
	if r := []rune(value); len(r) > maxShown {
		value = string(r[:maxShown]) + "..."
	}
	kind := map[field.ErrorType]string{
		field.ErrorTypeInvalid: "invalid value", field.ErrorTypeNotSupported: "unsupported value",
		field.ErrorTypeDuplicate: "duplicate value", field.ErrorTypeTooLong: "too long a value",
		field.ErrorTypeTooMany: "too many values", field.ErrorTypeNotFound: "unknown value",
		field.ErrorTypeTypeInvalid: "a value of another type",
	}[e.Type]
	if kind == "" {
		kind = "invalid value"
	}
	return strings.TrimSpace(kind + " " + value)
}

// class gives a refused field its code and what to do about it.
type class struct {
	prefix string // of the field path
	suffix string // of the field path, or ""
	code   string
	do     string
}

const podPath = "spec.template.spec."

// classes are tried in order; the last always fits.
var classes = []class{
	{"metadata.namespace", "", "E-MAN-NAMESPACE", "use lower-case letters, digits and dashes"},
	{"metadata.name", "", "E-MAN-NAME", "use lower-case letters, digits, dashes and dots"},
	{"metadata.generateName", "", "E-MAN-NAME", "give the object a name"},
	{"metadata", "", "E-MAN-META", "correct the labels or annotations of the object"},
	{"spec.selector", "", "E-MAN-SELECTOR", "select labels that the template has"},
	{"spec.template.metadata.labels", "", "E-MAN-SELECTOR", "give the template every label that the selector names"},
	{"spec.template.metadata", "", "E-MAN-META", "correct the labels or annotations of the template"},
	{"spec.updateStrategy.rollingUpdate", "", "E-MAN-BUDGET", "use an integer of 0 or more, or 0% to 100%"},
	{"spec.updateStrategy", "", "E-MAN-STRATEGY", "set type to RollingUpdate or OnDelete"},
	{"spec.minReadySeconds", "", "E-MAN-NUMBER", "use 0 or more seconds"},
	{"spec.revisionHistoryLimit", "", "E-MAN-NUMBER", "use 0 or more revisions"},
	{podPath + "restartPolicy", "", "E-MAN-RESTART", "must be Always: remove the line"},
	{podPath + "terminationGracePeriodSeconds", "", "E-MAN-NUMBER", "use 0 or more seconds"},
	{podPath + "tolerations", "", "E-MAN-TOLERATION", "write operator Equal with key and value, or Exists without value"},
	{podPath + "affinity", "", "E-MAN-AFFINITY", "use In, NotIn, Exists, DoesNotExist, Gt or Lt with fitting values"},
	{podPath + "nodeSelector", "", "E-MAN-AFFINITY", "use label keys and values"},
	{podPath + "topologySpreadConstraints", "", "E-MAN-AFFINITY", "correct the constraint"},
	{podPath + "volumes", "", "E-MAN-VOLUME", "give each volume a name of its own and one source"},
	{podPath, ".volumeMounts", "E-MAN-VOLUME", "mount a volume of the template at a path of its own"},
	{podPath, ".volumeDevices", "E-MAN-VOLUME", "use a volume of the template"},
	{podPath, ".resources", "E-MAN-RESOURCE", "write quantities such as 100m or 200Mi, requests up to the limits"},
	{podPath + "ephemeralContainers", "", "E-MAN-CONTAINER", "remove them: they are added to running pods only"},
	{podPath + "containers", "", "E-MAN-CONTAINER", "correct the container"},
	{podPath + "initContainers", "", "E-MAN-CONTAINER", "correct the init container"},
	{"spec.taints", "", "E-MAN-TAINT", "write key, value and effect NoSchedule, PreferNoSchedule or NoExecute"},
	{"value", "", "E-MAN-NUMBER", "use a number up to 1000000000"},
	{"", "", "E-MAN-FIELD", "correct or remove the field"},
}

func classOf(path string) class {
	for _, c := range classes {
		if strings.HasPrefix(path, c.prefix) && (c.suffix == "" || strings.Contains(path, c.suffix)) {
			return c
		}
	}
	return class{code: "E-MAN-FIELD"}
}

func codeOf(e *field.Error) string {
	switch {
	case e.Detail == immutable:
		return "E-MAN-IMMUTABLE"
	case strings.HasSuffix(e.Field, ".hostPort") && e.Type == field.ErrorTypeForbidden:
		return "E-MAN-SURGE"
	case strings.HasPrefix(e.Field, "spec.template.metadata.labels") && e.Detail != selectsNothing:
		return "E-MAN-META"
	}
	return classOf(e.Field).code
}

// advice says what to do about e.
func advice(e *field.Error) string {
	switch {
	case e.Detail == immutable && e.Field == "spec.selector":
		return "restore the selector, or delete the DaemonSet with --cascade=orphan and create it again"
	case e.Detail == immutable:
		return "restore the old value, or create an object of another name"
	case e.Detail == surgeNeedsZero:
		return "set maxUnavailable: 0 to surge (it is 1 if it is not set)"
	case e.Detail == bothZero:
		return "only one may be 0: set maxUnavailable or maxSurge to 1 or more"
	case codeOf(e) == "E-MAN-SURGE":
		return "remove the host port, or use maxUnavailable instead of maxSurge"
	case codeOf(e) == "E-MAN-META":
		return "use label syntax: up to 63 letters, digits, '-', '_' and '.', with an optional prefix and '/'"
	case e.Type == field.ErrorTypeRequired && e.Field == "metadata.name":
		return "give the object a name"
	case e.Type == field.ErrorTypeRequired && strings.HasSuffix(e.Field, ".image"):
		return "name an image, such as nginx:1.27"
	case e.Type == field.ErrorTypeNotFound && strings.Contains(e.Field, ".volumeMounts"):
		return "add a volume of this name under " + podPath + "volumes"
	}
	return classOf(e.Field).do
}
