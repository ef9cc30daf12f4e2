package daemonpod

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hashLength is how many characters a revision's hash has.
const hashLength = 10

// Digest returns the digest of what t means: equal for two templates that make
// equal pods. Defaults are applied first, so that a default that is spelled
// out, or that a later version adds to all templates, does not change it; nor
// do the order of keys, nulls, empty maps and lists, nor how a quantity is
// written. t is not changed.
func Digest(t *corev1.PodTemplateSpec) string {
	// Pods take nothing else from the metadata of their template.
	c := &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: t.Labels, Annotations: t.Annotations, Finalizers: t.Finalizers},
		Spec:       t.Spec,
	}
	c = c.DeepCopy()
	SetDefaults(c)
	setPodDefaults(&c.Spec)
	tree, err := treeOf(c)
	if err != nil {
		panic(fmt.Sprintf("daemonpod: a pod template has no JSON form: %v", err))
	}
	data, err := json.Marshal(rewritten(tree, "", "", canonical))
	if err != nil {
		panic(fmt.Sprintf("daemonpod: a tree of JSON has no JSON form: %v", err))
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Hash returns the name part of the revision with this digest: ten letters and
// digits. Another number of collisions gives another hash.
func Hash(digest string, collisions int32) string {
	b := binary.BigEndian.AppendUint32([]byte(digest), uint32(collisions))
	sum := sha256.Sum256(b)
	return letters(binary.BigEndian.Uint64(sum[:8]), hashLength)
}

// RevisionName returns the name of a revision's object: <ds>-<hash>. Where
// that is longer than a name can be, ds is cut and a digest of it put in
// between, so that no two DaemonSets share a name.
func RevisionName(ds, hash string) string {
	if len(ds)+1+len(hash) <= maxName {
		return ds + "-" + hash
	}
	sum := sha256.Sum256([]byte(ds))
	mark := letters(binary.BigEndian.Uint64(sum[:8]), podNameSuffix)
	return cutName(ds, maxName-len(hash)-len(mark)-2) + "-" + mark + "-" + hash
}

// RevisionData returns the data of a ControllerRevision of t: the patch that
// puts t in the place of a DaemonSet's template, with sorted keys and no nulls.
func RevisionData(t *corev1.PodTemplateSpec) ([]byte, error) {
	tree, err := treeOf(t)
	if err != nil {
		return nil, fmt.Errorf("write revision data: %w", err)
	}
	template, ok := rewritten(tree, "", "", asIs).(map[string]any)
	if !ok {
		return nil, fmt.Errorf("write revision data: a pod template is %T in JSON", tree)
	}
	template["$patch"] = "replace"
	data, err := json.Marshal(map[string]any{"spec": map[string]any{"template": template}})
	if err != nil {
		return nil, fmt.Errorf("write revision data: %w", err)
	}
	return data, nil
}

// Template returns the template that is in the data of a ControllerRevision,
// as it was stored: defaults that are newer than it are not in it.
func Template(data []byte) (*corev1.PodTemplateSpec, error) {
	var patch struct {
		Spec struct {
			Template *corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(data, &patch); err != nil {
		return nil, fmt.Errorf("read revision data: %w", err)
	}
	if patch.Spec.Template == nil {
		return nil, fmt.Errorf("read revision data: no spec.template in it")
	}
	return patch.Spec.Template, nil
}

// treeOf returns v as JSON maps, lists, strings, booleans and numbers, the
// numbers as they are written.
func treeOf(v any) (any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	return tree, nil
}

// rewritten replaces every value of a tree by what rule makes of it, the inner
// ones first: v is the value of the field key of an object that is itself the
// value of the field parent. A field whose value becomes nil goes; elements of
// lists stay, since their place means something.
func rewritten(v any, parent, key string, rule func(v any, parent, key string) any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if v[k] = rewritten(v[k], key, k, rule); v[k] == nil {
				delete(v, k)
			}
		}
	case []any:
		for i := range v {
			v[i] = rewritten(v[i], "", "", rule)
		}
	}
	return rule(v, parent, key)
}

// asIs is the rule that takes off nothing but nulls.
func asIs(v any, _, _ string) any { return v }

// The fields in which an empty object is not the same as none: an empty label
// selector selects everything, none selects nothing.
var emptyMeans = []string{"labelSelector", "namespaceSelector", "selector", "emptyDir"}

// The fields of a template that hold quantities: all fields of some objects, and
// one field of others.
var (
	quantityLists = []string{"limits", "requests", "overhead"}
	quantities    = []string{"resourceFieldRef.divisor", "emptyDir.sizeLimit"}
)

// canonical drops what says nothing: empty maps and empty lists. It writes equal
// quantities equally: 1Gi as 1073741824.
func canonical(v any, parent, key string) any {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 && !slices.Contains(emptyMeans, key) {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
	case string:
		if slices.Contains(quantityLists, parent) || slices.Contains(quantities, parent+"."+key) {
			return plainQuantity(v)
		}
	}
	return v
}

// plainQuantity writes a quantity without the suffixes of powers of two.
func plainQuantity(text string) string {
	q := resource.MustParse(text) // a quantity has written it
	q.Format = resource.DecimalSI
	q.Add(resource.Quantity{}) // forgets how it was written
	return q.String()
}
