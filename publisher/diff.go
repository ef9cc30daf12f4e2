package publisher

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Worth reports whether the change from old to new is worth a fact. That a
// kubelet is still there, that an object was written or who wrote which field
// of it, and which images a node has pulled are not; everything else is. A nil
// is an object that is not there. Neither is changed.
func Worth[T corev1.Node | corev1.Pod](old, new *T) bool {
	if old == nil || new == nil {
		return old != new
	}
	switch o := any(old).(type) {
	case *corev1.Node:
		return !equality.Semantic.DeepEqual(quietNode(o), quietNode(any(new).(*corev1.Node)))
	case *corev1.Pod:
		return !equality.Semantic.DeepEqual(quietPod(o), quietPod(any(new).(*corev1.Pod)))
	}
	return true
}

// quietMeta drops what an API server counts.
func quietMeta(m metav1.ObjectMeta) metav1.ObjectMeta {
	m.ManagedFields, m.ResourceVersion = nil, ""
	return m
}

// quietNode returns n without what is not worth a fact; it shares the rest.
func quietNode(n *corev1.Node) *corev1.Node {
	q := *n
	q.TypeMeta = metav1.TypeMeta{}
	q.ObjectMeta = quietMeta(n.ObjectMeta)
	q.Status.Images = nil
	q.Status.Conditions = slices.Clone(n.Status.Conditions)
	for i := range q.Status.Conditions {
		q.Status.Conditions[i].LastHeartbeatTime = metav1.Time{}
	}
	return &q
}

// quietPod returns p without what is not worth a fact; it shares the rest.
func quietPod(p *corev1.Pod) *corev1.Pod {
	q := *p
	q.TypeMeta = metav1.TypeMeta{}
	q.ObjectMeta = quietMeta(p.ObjectMeta)
	q.Status.Conditions = slices.Clone(p.Status.Conditions)
	for i := range q.Status.Conditions {
		q.Status.Conditions[i].LastProbeTime = metav1.Time{}
	}
	return &q
}

// Changes returns the paths of the fields that differ between two objects of
// one kind and are worth a fact, sorted: "spec.taints[0].key",
// "status.conditions[Ready].status". Elements of a list are told apart by
// type, name or place; a list of which elements came, went or moved is one
// path. A nil has no fields. Unlike Worth it tells 1Gi from 1073741824.
func Changes(old, new any) ([]string, error) {
	a, err := quietTree(old)
	if err != nil {
		return nil, err
	}
	b, err := quietTree(new)
	if err != nil {
		return nil, err
	}
	var c changes
	c.value("", a, b)
	slices.Sort(c)
	return c, nil
}

// quiet are the fields that are not worth a fact, by path without the keys of
// lists.
var quiet = []string{
	"apiVersion", "kind",
	"metadata.managedFields", "metadata.resourceVersion", "metadata.selfLink",
	"status.images",
	"status.conditions[].lastHeartbeatTime", "status.conditions[].lastProbeTime",
}

// quietTree returns v as JSON values, the numbers as they are written.
func quietTree(v any) (any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("compare objects: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("compare objects: %w", err)
	}
	return tree, nil
}

// changes gathers paths.
type changes []string

func (c *changes) value(path string, a, b any) {
	if slices.Contains(quiet, unkeyed(path)) || empty(a) && empty(b) {
		return
	}
	am, aMap := a.(map[string]any)
	bm, bMap := b.(map[string]any)
	al, aList := a.([]any)
	bl, bList := b.([]any)
	switch {
	case aMap && bMap, aMap && b == nil, bMap && a == nil:
		c.object(path, am, bm)
	case aList && bList:
		c.list(path, al, bl)
	case aMap || bMap || aList || bList || a != b:
		*c = append(*c, path)
	}
}

// empty reports whether a value says no more than its absence.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case []any:
		return len(v) == 0
	}
	return false
}

func (c *changes) object(path string, a, b map[string]any) {
	before := len(*c)
	keys := slices.Sorted(maps.Keys(a))
	for _, k := range slices.Sorted(maps.Keys(b)) {
		if _, both := a[k]; !both {
			keys = append(keys, k)
		}
	}
	for _, k := range keys {
		c.value(join(path, k), a[k], b[k])
	}
	// An object without fields came or went: hostPath, emptyDir.
	if path != "" && (a == nil) != (b == nil) && len(*c) == before && len(keys) == 0 {
		*c = append(*c, path)
	}
}

func (c *changes) list(path string, a, b []any) {
	if len(a) != len(b) {
		*c = append(*c, path)
		return
	}
	for i := range a {
		if keyOf(a[i], i) != keyOf(b[i], i) {
			*c = append(*c, path)
			return
		}
	}
	for i := range a {
		c.value(path+"["+keyOf(a[i], i)+"]", a[i], b[i])
	}
}

// keyOf names the i-th element of a list.
func keyOf(v any, i int) string {
	if m, ok := v.(map[string]any); ok {
		for _, k := range []string{"type", "name"} {
			if s, ok := m[k].(string); ok && s != "" {
				return s
			}
		}
	}
	return strconv.Itoa(i)
}

func join(path, key string) string {
	if strings.ContainsAny(key, "./[") {
		return path + "[" + key + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// unkeyed returns a path without what is in its brackets.
func unkeyed(path string) string {
	var b strings.Builder
	depth := 0
	for _, r := range path {
		switch {
		case r == '[':
			if depth++; depth == 1 {
				b.WriteString("[]")
			}
		case r == ']':
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}
