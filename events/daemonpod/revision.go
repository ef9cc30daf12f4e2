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
	eachQuantity(&c.Spec, plainQuantity)
	tree, err := treeOf(c)
	if err != nil {
		panic(fmt.Sprintf("daemonpod: a pod template has no JSON form: %v", err))
	}
	data, err := json.Marshal(canonical(tree, ""))
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
	template, ok := withoutNulls(tree).(map[string]any)
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

func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if v[k] == nil {
				delete(v, k)
				continue
			}
			v[k] = withoutNulls(v[k])
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return v
}

// emptyMeans are the fields in which an empty object is not the same as none:
// an empty label selector selects everything, none selects nothing.
var emptyMeans = []string{"labelSelector", "namespaceSelector", "selector", "emptyDir"}

// canonical drops from v, the value of a field named key, what says nothing:
// nulls, empty maps and empty lists. Elements of lists stay, since their place
// means something.
func canonical(v any, key string) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if v[k] = canonical(v[k], k); v[k] == nil {
				delete(v, k)
			}
		}
		if len(v) == 0 && !slices.Contains(emptyMeans, key) {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = canonical(v[i], "")
		}
		if len(v) == 0 {
			return nil
		}
	}
	return v
}

// plainQuantity writes equal quantities equally: 1Gi as 1073741824.
func plainQuantity(q *resource.Quantity) {
	q.Format = resource.DecimalSI
	q.Add(resource.Quantity{}) // forgets how it was written
}

// eachQuantity calls f on every quantity of spec.
func eachQuantity(spec *corev1.PodSpec, f func(*resource.Quantity)) {
	list := func(l corev1.ResourceList) {
		for _, name := range slices.Sorted(maps.Keys(l)) {
			q := l[name]
			f(&q)
			l[name] = q
		}
	}
	list(spec.Overhead)
	if spec.Resources != nil {
		list(spec.Resources.Limits)
		list(spec.Resources.Requests)
	}
	eachContainer(spec, func(c *corev1.Container) {
		list(c.Resources.Limits)
		list(c.Resources.Requests)
		for i := range c.Env {
			if from := c.Env[i].ValueFrom; from != nil && from.ResourceFieldRef != nil {
				f(&from.ResourceFieldRef.Divisor)
			}
		}
	})
	for i := range spec.Volumes {
		eachVolumeQuantity(&spec.Volumes[i], list, f)
	}
}

func eachVolumeQuantity(v *corev1.Volume, list func(corev1.ResourceList), f func(*resource.Quantity)) {
	files := func(items []corev1.DownwardAPIVolumeFile) {
		for i := range items {
			if r := items[i].ResourceFieldRef; r != nil {
				f(&r.Divisor)
			}
		}
	}
	if v.EmptyDir != nil && v.EmptyDir.SizeLimit != nil {
		f(v.EmptyDir.SizeLimit)
	}
	if v.DownwardAPI != nil {
		files(v.DownwardAPI.Items)
	}
	if v.Projected != nil {
		for _, s := range v.Projected.Sources {
			if s.DownwardAPI != nil {
				files(s.DownwardAPI.Items)
			}
		}
	}
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		list(v.Ephemeral.VolumeClaimTemplate.Spec.Resources.Limits)
		list(v.Ephemeral.VolumeClaimTemplate.Spec.Resources.Requests)
	}
}
