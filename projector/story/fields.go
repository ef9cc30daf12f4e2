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
	return fieldsOf(old, new, diff(old.Data, new.Data))
}

// FieldsIn is Fields for what is at a path, or below it, as people write paths.
// An element of a list that came or went is one field of Fields; here the path
// may lead into it.
func FieldsIn(old, new events.Object, path string) []Field {
	paths := pathsIn(old, new, path)
	d := differ{into: paths}
	d.value(nil, old.Data, new.Data)
	return slices.DeleteFunc(fieldsOf(old, new, d.changes), func(f Field) bool { return !slices.ContainsFunc(paths, f.In) })
}

func fieldsOf(old, new events.Object, changes []change) []Field {
	var fs []Field
	secret := new.Kind == events.Secret || old.Kind == events.Secret
	for _, c := range changes {
		f := Field{Path: OneLine(pathText(c.path)), Old: OneLine(text(c.old)), New: OneLine(text(c.new))}
		if secret && holdsValue(&c) {
			f.Old, f.New = shown(c.old), shown(c.new)
		}
		fs = append(fs, f)
	}
	return fs
}
