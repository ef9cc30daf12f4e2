package apiserver

import "rollcall/events"

// Kinds returns the kinds whose objects a log can hold through this API.
func Kinds() []events.Kind {
	var kinds []events.Kind
	for _, r := range served {
		if r.bucket == "" {
			kinds = append(kinds, r.kind())
		}
	}
	return kinds
}
