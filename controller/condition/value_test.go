package condition

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	"rollcall/events"
	"rollcall/events/recording"
)

// same compares what is found key by key with all that is there.
func same(t *testing.T, where string, whole, found ref.Val) {
	t.Helper()
	m, ok := whole.(traits.Mapper)
	if !ok {
		if found.Equal(whole) != types.True || found.Type() != whole.Type() {
			t.Errorf("%s is %v, want %v", where, found, whole)
		}
		return
	}
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		v, ok := found.(traits.Mapper).Find(key)
		if !ok {
			t.Errorf("%s has no %s", where, key)
			continue
		}
		same(t, where+"."+string(key.(types.String)), m.Get(key), v)
	}
	if found.Equal(whole) != types.True || found.(traits.Mapper).Size() != m.Size() {
		t.Errorf("%s is not what is found in it", where)
	}
	if _, ok := found.(traits.Mapper).Find(types.String("nothing")); ok {
		t.Errorf("%s has a field that is not there", where)
	}
}

// TestObjects: a field that is looked up in the bytes is the one that the whole
// object has.
func TestObjects(t *testing.T) {
	r, err := recording.Open(filepath.Join("..", "..", "testdata", "recordings", "stuck-node.rollcall"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seen := 0
	for e, err := range r.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if o, ok := e.Body.(events.Object); ok {
			var fault error
			whole := &object{data: o.Data, fault: &fault}
			same(t, e.Subject, whole.whole(), &object{data: o.Data, fault: &fault})
			if fault != nil {
				t.Error(fault)
			}
			seen++
		}
	}
	if seen < 100 {
		t.Errorf("%d objects", seen)
	}
}

// TestFault: an object that JSON cannot hold is an error of who asks for it.
func TestFault(t *testing.T) {
	for expr, want := range map[string]string{
		`pod.name == "a"`:      "",
		`pod.other == 1`:       "read the object",
		`size(pod) == 2`:       "read the object",
		`pod == {"name": "a"}`: "read the object",
	} {
		c, err := Compile(expr)
		if err != nil {
			t.Fatal(err)
		}
		w := &World{of: c, values: map[string]any{}, variable: map[events.Kind]string{events.Pod: "pod"}}
		data := slices.Concat([]byte{0x82, 0xa4}, []byte("name"), []byte{0xa1, 'a', 0xa5}, []byte("other"), []byte{0xd4, 1, 1}) // an extension type
		_, _, err = w.Take(t.Context(), nil, events.Event{Body: events.Object{Ref: events.Ref{Kind: events.Pod}, Data: data}})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", expr, err)
		}
	}
}
