package story

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"rollcall/events"
)

var now = time.Date(2026, 11, 21, 10, 43, 0, 0, time.UTC)

// show prints objects that are in no log.
func (w *told) show(d *datadriven.TestData) string {
	switch d.Cmd {
	case "object":
		var e events.Event
		w.put(&e, d.CmdArgs[0].Key, d.Input)
		return ""
	case "get":
		return w.get(d)
	case "look":
		w.objects = map[string]map[string]any{}
		w.put(new(events.Event), "pod/ns/x", d.Input)
		l := lookAt(decode[corev1.Pod](w, "pod/")[0])
		return fmt.Sprintf("%d/%d %s %s\n", l.ready, l.all, l.status, l.restartText(now))
	case "status":
		text, done, err := RolloutStatus(w.daemonSet(d))
		return fmt.Sprintf("%s\ndone=%v err=%v\n", text, done, err)
	case "history":
		return w.history(d)
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

func (w *told) get(d *datadriven.TestData) string {
	c, bare := Columns{Now: now}, false
	for _, arg := range d.CmdArgs[1:] {
		switch arg.Key {
		case "wide":
			c.Wide = true
		case "namespace":
			c.Namespace = true
		case "bare":
			bare = true
		case "labels":
			c.Labels = true
		default:
			w.t.Fatalf("%s: unknown argument %s", d.Pos, arg.Key)
		}
	}
	var t Table
	switch kind := d.CmdArgs[0].Key; kind {
	case "nodes":
		t = Nodes(decode[corev1.Node](w, "node/"), c)
	case "pods":
		t = Pods(decode[corev1.Pod](w, "pod/"), c)
	case "ds":
		t = DaemonSets(decode[appsv1.DaemonSet](w, "ds/"), c)
	case "revisions":
		t = Revisions(decode[appsv1.ControllerRevision](w, "revision/"), c)
	default:
		w.t.Fatalf("%s: unknown kind %s", d.Pos, kind)
	}
	for _, r := range t.Rows {
		if len(r) != len(t.Header) {
			w.t.Errorf("%d cells under %d headers", len(r), len(t.Header))
		}
	}
	text := t.String()
	if bare {
		text = t.Body()
	}
	// Blanks at the ends of lines are to be seen.
	return strings.ReplaceAll(text, "\n", "|\n")
}

func (w *told) history(d *datadriven.TestData) string {
	name := keyOf(d.CmdArgs[0].Key).Name
	owned := decode[appsv1.ControllerRevision](w, "revision/")
	if len(d.CmdArgs) == 1 {
		return strings.ReplaceAll(RolloutHistory(name, owned), "\n", "|\n")
	}
	n, err := strconv.ParseInt(d.CmdArgs[1].Vals[0], 10, 64)
	w.must(err)
	text, err := RolloutRevision(name, owned, n)
	if err != nil {
		return err.Error() + "\n"
	}
	return text
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
