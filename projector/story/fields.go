package story

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
)

// Field is one field in which two states of an object differ, as text that is
// not cut. A field that is not there is empty.
type Field struct {
	Path string `json:"path"` // "spec.template.spec.containers.agent.image"
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

// In reports whether the field is at a path, or below it. An element of a list
// may be in brackets: containers[agent].image is containers.agent.image.
func (f Field) In(path string) bool {
	rest, ok := strings.CutPrefix(plainPath(f.Path), plainPath(path))
	return ok && (rest == "" || rest[0] == '.')
}

// plainPath writes a path without brackets.
func plainPath(path string) string { return strings.TrimPrefix(plain.Replace(path), ".") }

var plain = strings.NewReplacer("[", ".", "]", "")

// hidden stands for a value of a Secret.
const hidden = "(not shown)"

// Fields returns in which fields an object has changed, by path; old or new may
// be without data, for an object that came or went. Values of Secrets are not
// told.
func Fields(old, new events.Object) []Field {
	var fs []Field
	for _, c := range diff(old.Data, new.Data) {
		f := Field{Path: OneLine(pathText(c.path)), Old: OneLine(text(c.old)), New: OneLine(text(c.new))}
		if new.Kind == events.Secret || old.Kind == events.Secret {
			f.hide(&c)
		}
		fs = append(fs, f)
	}
	return fs
}

// hide leaves out what a Secret holds.
func (f *Field) hide(c *change) {
	if !c.in("data") && !c.in("stringData") && !c.is("metadata", "annotations", corev1.LastAppliedConfigAnnotation) {
		return
	}
	for _, v := range [...]*string{&f.Old, &f.New} {
		if *v != "" {
			*v = hidden
		}
	}
}

// Differ reports whether two states of an object differ at a path.
func Differ(old, new events.Object, path string) bool {
	for _, c := range diff(old.Data, new.Data) {
		if (Field{Path: pathText(c.path)}).In(path) {
			return true
		}
	}
	return false
}
