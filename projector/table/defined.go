package table

import (
	"rollcall/events"
	"rollcall/events/wire"
)

// Defined returns the kind that the CustomResourceDefinition of a name defines,
// and whether its objects are in namespaces; ok is false if there is none.
func (t *Tables) Defined(name string) (kind events.Kind, namespaced, ok bool) {
	i := t.Get(events.CustomResourceDefinition, events.Key{Name: name})
	if i == nil {
		return "", false, false
	}
	return DefinedBy(i.Data)
}

// DefinedBy is Defined of a CustomResourceDefinition as the log has it.
func DefinedBy(data []byte) (kind events.Kind, namespaced, ok bool) {
	spec := wire.Field(data, "spec")
	kind = events.CustomKind(string(wire.Text(spec, "group")), string(wire.Text(wire.Field(spec, "names"), "kind")))
	return kind, string(wire.Text(spec, "scope")) == "Namespaced", kind.Name() != "" && kind.Group() != ""
}
