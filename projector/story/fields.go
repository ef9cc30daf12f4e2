package story

import (
	"slices"
	"strings"

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

// Fields returns in which fields an object has changed, by path; old or new may
// be without data, for an object that came or went. Values of Secrets are
// what of them everybody may see.
func Fields(old, new events.Object) []Field {
	var fs []Field
	secret := new.Kind == events.Secret || old.Kind == events.Secret
	for _, c := range diff(old.Data, new.Data) {
		f := Field{Path: OneLine(pathText(c.path)), Old: OneLine(text(c.old)), New: OneLine(text(c.new))}
		if secret && holdsValue(&c) {
			f.Old, f.New = shown(c.old), shown(c.new)
		}
		fs = append(fs, f)
	}
	return fs
}

// Differ reports whether two states of an object differ at a path.
func Differ(old, new events.Object, path string) bool {
	paths := PathsIn(old, new, path)
	return slices.ContainsFunc(diff(old.Data, new.Data), func(c change) bool { return (Field{Path: pathText(c.path)}).InAny(paths) })
}

// InAny reports whether the field is at one of some paths, or below it.
func (f Field) InAny(paths []string) bool { return slices.ContainsFunc(paths, f.In) }
