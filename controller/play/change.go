package play

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"rollcall/events"
	"rollcall/events/wire"
)

// Set is a field of a DaemonSet that has another value than was recorded.
type Set struct {
	DaemonSet events.Key
	Field     string
	Value     any
	path      []string
}

// shortFields are the fields that people know without their paths.
var shortFields = map[string]string{
	"maxUnavailable":  "spec.updateStrategy.rollingUpdate.maxUnavailable",
	"maxSurge":        "spec.updateStrategy.rollingUpdate.maxSurge",
	"minReadySeconds": "spec.minReadySeconds",
	"updateStrategy":  "spec.updateStrategy.type",
}

// ParseSet reads NAMESPACE/NAME.FIELD=VALUE, the namespace may be left out. FIELD
// is maxUnavailable, maxSurge, minReadySeconds, updateStrategy, annotations.KEY, or
// a path that begins with spec.
func ParseSet(text, namespace string) (Set, error) {
	left, value, ok := strings.Cut(text, "=")
	name, own, inNamespace := strings.Cut(left, "/")
	if !inNamespace {
		name, own = namespace, left
	}
	own, field, has := strings.Cut(own, ".")
	if !ok || !has || own == "" || field == "" {
		return Set{}, errors.New("it is not written as ds/NAMESPACE/NAME.FIELD=VALUE")
	}
	x := Set{DaemonSet: events.Key{Namespace: name, Name: own}, Field: field}
	if err := yaml.Unmarshal([]byte(value), &x.Value); err != nil || x.Value == nil {
		return Set{}, fmt.Errorf("%q is no value", value)
	}
	if f, ok := x.Value.(float64); ok && f == float64(int64(f)) {
		x.Value = int64(f)
	}
	if key, ok := strings.CutPrefix(field, "annotations."); ok {
		x.path, x.Value = []string{"metadata", "annotations", key}, value
		return x, nil
	}
	if long, ok := shortFields[field]; ok {
		field = long
	}
	if !strings.HasPrefix(field, "spec.") {
		return Set{}, fmt.Errorf("there is no field %q to set: write %s, annotations.KEY or a path that begins with spec", field, strings.Join(slices.Sorted(maps.Keys(shortFields)), ", "))
	}
	x.path = strings.Split(field, ".")
	return x, x.check(field)
}

// share is a percentage of the nodes.
var share = regexp.MustCompile(`^(100|[1-9]?[0-9])%$`)

// check refuses a value that the API would refuse for a field that a rollout is
// decided by: what cannot be written cannot be asked about.
func (x Set) check(field string) error {
	n, number := x.Value.(int64)
	text, _ := x.Value.(string)
	switch field {
	case shortFields["maxUnavailable"], shortFields["maxSurge"]:
		if number && n >= 0 || share.MatchString(text) {
			return nil
		}
		return fmt.Errorf("%v is no number of nodes: write 3, or 10%%", x.Value)
	case shortFields["minReadySeconds"]:
		if number && n >= 0 {
			return nil
		}
		return fmt.Errorf("%v is no number of seconds", x.Value)
	case shortFields["updateStrategy"]:
		if text == string(appsv1.RollingUpdateDaemonSetStrategyType) || text == string(appsv1.OnDeleteDaemonSetStrategyType) {
			return nil
		}
		return fmt.Errorf("%v is no strategy: write RollingUpdate or OnDelete", x.Value)
	}
	return nil
}

// contradicts returns an error if two of some sets give one field different values.
func contradicts(sets []Set) error {
	for i, x := range sets {
		for _, y := range sets[:i] {
			if x.DaemonSet == y.DaemonSet && slices.Equal(x.path, y.path) && !reflect.DeepEqual(x.Value, y.Value) {
				return fmt.Errorf("%s and %s contradict each other", y, x)
			}
		}
	}
	return nil
}

// String returns the set as it is written.
func (x Set) String() string { return fmt.Sprintf("ds/%s.%s=%v", x.DaemonSet, x.Field, x.Value) }

// Into writes the field into a tree of fields.
func (x Set) Into(tree map[string]any) error {
	return unstructured.SetNestedField(tree, x.Value, x.path...)
}

// apply gives a DaemonSet the field, and reports whether it had another value.
func (x Set) apply(o events.Object) (events.Object, bool, error) {
	tree, err := treeOf(o)
	if err != nil {
		return o, false, err
	}
	was, _, _ := unstructured.NestedFieldNoCopy(tree, x.path...)
	if reflect.DeepEqual(was, x.Value) {
		return o, false, nil
	}
	if err := x.Into(tree); err != nil {
		return o, false, fmt.Errorf("%s: %w", x, err)
	}
	o, err = objectOf(o.Ref, tree)
	if err == nil {
		err = o.Decode(&appsv1.DaemonSet{})
	}
	if err != nil {
		return o, false, fmt.Errorf("%s: %w", x, err)
	}
	return o, true, nil
}

func treeOf(o events.Object) (tree map[string]any, err error) {
	if err := o.Decode(&tree); err != nil {
		return nil, err
	}
	return tree, nil
}

func objectOf(r events.Ref, tree map[string]any) (events.Object, error) {
	data, err := wire.Marshal(tree)
	return events.Object{Ref: r, Data: data}, err
}

// rebase makes of an object what a write has made of another version of it: what
// differs between before and after is so in it as well.
func rebase(now, before, after events.Object) (events.Object, error) {
	var trees [3]map[string]any
	for i, o := range []events.Object{now, before, after} {
		var err error
		if trees[i], err = treeOf(o); err != nil {
			return now, err
		}
	}
	spec := trees[0]["spec"]
	merged := merge(trees[0], trees[1], trees[2])
	if now.Kind == events.DaemonSet {
		renumber(merged, trees[0], spec)
	}
	return objectOf(now.Ref, merged)
}

// renumber counts the generation on if the spec has changed, as the API does.
func renumber(merged, now map[string]any, spec any) {
	n, _, _ := unstructured.NestedInt64(now, "metadata", "generation")
	if !reflect.DeepEqual(merged["spec"], spec) {
		n++
	}
	_ = unstructured.SetNestedField(merged, n, "metadata", "generation") // metadata is a map
}

// merge returns a tree with the differences of two others. Lists are whole values.
func merge(now, before, after map[string]any) map[string]any {
	out := maps.Clone(now)
	if out == nil {
		out = map[string]any{}
	}
	both := maps.Clone(before)
	if both == nil {
		both = map[string]any{}
	}
	maps.Copy(both, after)
	for _, k := range slices.Sorted(maps.Keys(both)) {
		was, is := before[k], after[k]
		if reflect.DeepEqual(was, is) {
			continue
		}
		a, okA := was.(map[string]any)
		b, okB := is.(map[string]any)
		n, okN := out[k].(map[string]any)
		switch {
		case is == nil:
			delete(out, k)
		case okA && okB && okN:
			out[k] = merge(n, a, b)
		default:
			out[k] = is
		}
	}
	return out
}

// within refuses events that a log does not have.
func within(all []events.Seq, first, last events.Seq) error {
	for _, seq := range all {
		if seq < first || seq > last {
			return &events.Error{Code: "E-WHATIF-EVENT", What: fmt.Sprintf("#%d cannot be left out", seq), Why: fmt.Sprintf("the log goes from #%d to #%d", first, last),
				Do: "name an event from outside that rollcall log lists", Exit: events.ExitInput}
		}
	}
	return nil
}
