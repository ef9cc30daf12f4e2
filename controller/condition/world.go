package condition

import (
	"context"
	"encoding/json"
	"fmt"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"rollcall/events"
	"rollcall/events/seal"
	"rollcall/projector"
	"rollcall/projector/story"
)

// World is what a condition can name, kept from event to event: only what an
// event changes is made anew.
type World struct {
	of       *Condition
	values   map[string]any // by name
	state    map[string]any
	event    map[string]any
	objects  map[events.Kind]map[string]any // of state, by key
	variable map[events.Kind]string         // under which the object of the event is
	counts   map[string]any
	fault    error // what the objects cannot be decoded for
}

// listed are the kinds that state lists, and the name of the object of an event.
var listed = []struct {
	kind       events.Kind
	all, event string
}{
	{events.DaemonSet, "daemonsets", "ds"},
	{events.Node, "nodes", "node"},
	{events.Pod, "pods", "pod"},
}

// nothing is the value of a name that an event says nothing of.
var nothing = map[string]any{}

// Begin returns the world of a condition in a state, before the next event.
func (c *Condition) Begin(s *projector.State) (*World, error) {
	w := &World{of: c, values: map[string]any{}, state: map[string]any{}, event: map[string]any{}, objects: map[events.Kind]map[string]any{}, variable: map[events.Kind]string{}, counts: map[string]any{}}
	w.values["state"], w.values["event"], w.state["counts"] = w.state, w.event, w.counts
	for _, l := range listed {
		all := map[string]any{}
		w.objects[l.kind], w.state[l.all], w.variable[l.kind] = all, all, l.event
		if !w.keeps(l.kind) {
			continue
		}
		for _, o := range s.List(l.kind, "") {
			all[o.Key.String()] = w.value(o)
		}
	}
	for _, ds := range s.AllSets() {
		if err := w.count(s, ds.Key); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// keeps reports whether objects of a kind may be named by later events.
func (w *World) keeps(k events.Kind) bool {
	return w.of.uses["state"] || k == events.DaemonSet && w.of.uses["ds"]
}

// value returns an object as an expression has it.
func (w *World) value(o events.Object) any {
	return &object{data: seal.Hidden(o).Data, fault: &w.fault}
}

// count notes the counters of a DaemonSet.
func (w *World) count(s *projector.State, k events.Key) error {
	ds := s.DaemonSet(k)
	if ds == nil {
		delete(w.counts, k.String())
		return nil
	}
	v, err := asJSON(ds.Counts)
	w.counts[k.String()] = v
	return err
}

func asJSON(x any) (v map[string]any, err error) {
	j, err := json.Marshal(x)
	if err == nil {
		err = utiljson.Unmarshal(j, &v)
	}
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return v, nil
}

// Take takes an event as it was folded, with the state after it, and tells
// whether the condition holds there. known is false if it has no value, because
// something that it names is not there. s may be nil if the condition does not
// name the state.
func (w *World) Take(ctx context.Context, s *projector.State, e events.Event) (holds, known bool, err error) {
	for _, l := range listed {
		w.values[l.event] = nothing
	}
	w.takeBody(e)
	w.tell(e)
	if w.of.UsesState() {
		for _, k := range s.Touched() {
			if err := w.count(s, k); err != nil {
				return false, false, err
			}
		}
		w.state["seq"], w.state["time"] = int64(e.Seq), s.Time()
	}
	holds, known, err = w.of.evaluate(ctx, w.values)
	if w.fault != nil {
		return false, false, w.fault
	}
	return holds, known, err
}

func (w *World) takeBody(e events.Event) {
	switch b := e.Body.(type) {
	case events.Object:
		name := w.variable[b.Kind]
		if name == "" {
			return
		}
		v := w.value(b)
		w.values[name] = v
		if w.keeps(b.Kind) {
			w.objects[b.Kind][b.Key.String()] = v
		}
	case events.Gone:
		delete(w.objects[b.Kind], b.Key.String())
	case *events.Plan:
		if ds, ok := w.objects[events.DaemonSet][b.Owner.Key.String()]; ok {
			w.values["ds"] = ds
		}
	}
}

// tell describes the event.
func (w *World) tell(e events.Event) {
	if !w.of.uses["event"] {
		return
	}
	commands := []any{}
	if p, ok := e.Body.(*events.Plan); ok {
		for _, c := range p.Commands {
			commands = append(commands, map[string]any{"do": string(c.Do), "object": story.Name(c.Ref), "node": c.Node, "reason": string(c.Reason), "revision": c.Revision})
		}
	}
	v := w.event
	v["seq"], v["time"], v["type"], v["object"], v["commands"] = int64(e.Seq), e.Stored, string(e.Type), story.Name(events.RefOf(e)), commands
	v["source"], v["actor"], v["verb"], v["manager"], v["change"] = e.Source, e.Actor, e.Verb, e.Manager, e.Change
	v["told"], v["toldType"] = "", ""
	if t := e.Told; t != nil {
		v["told"], v["toldType"] = t.Source, t.Type
	}
}
