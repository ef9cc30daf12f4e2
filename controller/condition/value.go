package condition

import (
	"fmt"
	"reflect"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"rollcall/events/wire"
)

// object is a map in the bytes of the log as CEL knows maps. Most expressions ask
// an object for one field: a field is looked up in the bytes, and the whole is
// decoded when something else is asked.
type object struct {
	data    []byte
	decoded traits.Mapper // nil: it is not yet
	fault   *error        // what could not be decoded is noted there, and empty
}

var _ traits.Mapper = (*object)(nil)

// Find implements traits.Mapper.
func (o *object) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if o.decoded != nil || !ok {
		return o.whole().Find(key)
	}
	switch field := wire.Field(o.data, string(name)); {
	case field == nil:
		return nil, false
	case wire.IsMap(field):
		return &object{data: field, fault: o.fault}, true
	default:
		return o.decode(field), true
	}
}

// decode returns a value as JSON has it.
func (o *object) decode(data []byte) ref.Val {
	j, err := wire.ToJSON(data)
	var v any
	if err == nil {
		err = utiljson.Unmarshal(j, &v)
	}
	if err != nil && *o.fault == nil {
		*o.fault = fmt.Errorf("read the object that an expression names: %w", err)
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}

func (o *object) whole() traits.Mapper {
	if o.decoded == nil {
		var ok bool
		if o.decoded, ok = o.decode(o.data).(traits.Mapper); !ok {
			o.decoded = types.NewStringInterfaceMap(types.DefaultTypeAdapter, nil)
		}
	}
	return o.decoded
}

// Get implements traits.Indexer.
func (o *object) Get(key ref.Val) ref.Val {
	if v, ok := o.Find(key); ok {
		return v
	}
	return o.whole().Get(key) // which says what is wrong with the key
}

// Contains implements traits.Container.
func (o *object) Contains(key ref.Val) ref.Val { return o.whole().Contains(key) }

// Iterator implements traits.Iterable.
func (o *object) Iterator() traits.Iterator { return o.whole().Iterator() }

// Size implements traits.Sizer.
func (o *object) Size() ref.Val { return o.whole().Size() }

// ConvertToNative implements ref.Val.
func (o *object) ConvertToNative(t reflect.Type) (any, error) { return o.whole().ConvertToNative(t) }

// ConvertToType implements ref.Val.
func (o *object) ConvertToType(t ref.Type) ref.Val { return o.whole().ConvertToType(t) }

// Equal implements ref.Val.
func (o *object) Equal(other ref.Val) ref.Val { return o.whole().Equal(other) }

// Type implements ref.Val.
func (o *object) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (o *object) Value() any { return o.whole().Value() }
