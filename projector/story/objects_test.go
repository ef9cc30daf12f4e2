package story

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/cockroachdb/datadriven"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

	"rollcall/events"
)

// show prints objects that are in no log.
func (w *told) show(d *datadriven.TestData) string {
	switch d.Cmd {
	case "object":
		var e events.Event
		w.put(&e, d.CmdArgs[0].Key, d.Input)
		return ""
	case "line":
		var p *events.Plan
		if d.Input != "" {
			p = &events.Plan{}
			w.must(yaml.Unmarshal([]byte(d.Input), p))
		}
		return RolloutLine(w.daemonSet(d), p) + "\n"
	}
	w.t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	return ""
}

func (w *told) daemonSet(d *datadriven.TestData) *appsv1.DaemonSet {
	return decode[appsv1.DaemonSet](w, "ds/"+d.CmdArgs[0].Key)[0]
}

// decode returns the objects whose names begin with prefix, by name.
func decode[T any](w *told, prefix string) []*T {
	var os []*T
	for _, k := range slices.Sorted(maps.Keys(w.objects)) {
		if !strings.HasPrefix(k, prefix) {
			continue
		}
		j, err := json.Marshal(w.objects[k])
		w.must(err)
		o := new(T)
		w.must(json.Unmarshal(j, o))
		os = append(os, o)
	}
	return os
}
