package story

import (
	"slices"
	"strconv"
	"strings"

	"rollcall/events"
	"rollcall/events/wire"
)

// pathsIn returns how a path that people write is called in changes of an object
// from old to new: containers[0] and containers[name=main] are the element of the
// list that has this place, or this field, in one of the two.
func pathsIn(old, new events.Object, path string) []string {
	if !strings.Contains(path, "[") {
		return []string{path}
	}
	keys := splitPath(path)
	paths := []string{called(new.Data, keys)}
	if p := called(old.Data, keys); p != paths[0] {
		paths = append(paths, p)
	}
	return paths
}

// splitPath splits a path into its keys. What is in brackets is one.
func splitPath(path string) (keys []string) {
	for path != "" {
		end := strings.IndexAny(path, ".[")
		if path[0] == '[' {
			path = path[1:]
			end = strings.IndexByte(path, ']')
		}
		if end < 0 {
			end = len(path)
		}
		if end > 0 {
			keys = append(keys, path[:end])
		}
		if path = path[end:]; path != "" && path[0] != '[' {
			path = path[1:]
		}
	}
	return keys
}

// called returns the path that keys are in an object, as Fields writes it without
// brackets. A key that is not there is called as it is written.
func called(data []byte, keys []string) string {
	names := make([]string, 0, len(keys))
	for _, k := range keys {
		if wire.IsArray(data) {
			k, data = elementOf(elements(data), k)
		} else {
			data = fields(data)[k]
		}
		names = append(names, k)
	}
	return strings.Join(names, ".")
}

// elementOf returns what an element of a list is called, and the element: the one of
// that name, else the one with that field, or at that place.
func elementOf(list [][]byte, key string) (name string, v []byte) {
	byName, names := named(list, nil, identities...)
	if byName != nil && byName[0][key] != nil {
		return key, byName[0][key]
	}
	i, err := strconv.Atoi(key)
	if field, is, ok := strings.Cut(key, "="); ok {
		i = slices.IndexFunc(list, func(v []byte) bool { return text(wire.Field(v, field)) == is })
	} else if err != nil {
		i = -1
	}
	if i < 0 || i >= len(list) {
		return key, nil
	}
	for _, n := range names {
		if string(byName[0][n]) == string(list[i]) {
			return n, list[i]
		}
	}
	return strconv.Itoa(i), list[i]
}
