package schema

import (
	"reflect"
	"sync"

	"github.com/invopop/jsonschema"

	"rollcall/publisher"
)

// quantityPattern is what Kubernetes takes as an amount that is not negative, for
// validators that do not know the format.
const quantityPattern = `^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$`

// mapped returns the schema of a type that does not say enough by reflection, or nil.
func mapped(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[publisher.Patch]():
		return keyed(&jsonschema.Schema{})
	case reflect.TypeFor[publisher.Quantities]():
		s := keyed(&jsonschema.Schema{Format: "quantity", Pattern: quantityPattern})
		s.AdditionalProperties.Extras["type"] = []string{"string", "number", "null"}
		s.PropertyNames = &jsonschema.Schema{Format: "label-name"}
		return s
	case reflect.TypeFor[int32]():
		return &jsonschema.Schema{Type: "integer", Format: "int32"}
	}
	return nil
}

// keyed returns the schema of a map whose values can be null.
func keyed(value *jsonschema.Schema) *jsonschema.Schema {
	most := uint64(maxKeys)
	return &jsonschema.Schema{Type: "object", MaxProperties: &most, AdditionalProperties: orNull(value)}
}

func orNull(s *jsonschema.Schema) *jsonschema.Schema {
	s.Extras = map[string]any{"type": []string{"string", "null"}}
	return s
}

// documents has the schemas of the table as text, by type.
var documents = sync.OnceValue(func() map[string][]byte {
	all := map[string][]byte{}
	for _, t := range table {
		all[t.Name] = generate(t)
	}
	return all
})

// Document returns the JSON Schema of the data of a type.
func (t Type) Document() []byte { return documents()[t.Name] }
