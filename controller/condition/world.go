package condition

import (
	"context"
	"encoding/json"
	"fmt"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector"
	"rollcall/projector/story"
)

// World is what a condition can name, kept from event to event: only what an
// event changes is made anew.
type World struct {
	of       *Condition
	values   map[string]any // by name
	state    map[string]any
	objects  map[events.Kind]map[string]any // of state, by key
	variable map[events.Kind]string         // under which the object of the event is
	counts   map[string]any
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

// Begin returns the world of a condition in a state, before the next event.
func (c *Condition) Begin(s *projector.State) (*World, error) {
	w := &World{of: c, values: map[string]any{}, state: map[string]any{}, objects: map[events.Kind]map[string]any{}, variable: map[events.Kind]string{}, counts: map[string]any{}}
	w.values["state"], w.state["counts"] = w.state, w.counts
	for _, l := range listed {
		all := map[string]any{}
		w.objects[l.kind], w.state[l.all], w.variable[l.kind] = all, all, l.event
		if !c.uses["state"] {
			continue
		}
		for _, o := range s.List(l.kind, "") {
			v, err := value(o)
			if err != nil {
				return nil, err
			}
			all[o.Key.String()] = v
		}
	}
	for _, ds := range s.AllSets() {
		if err := w.count(s, ds.Key); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// value returns an object as JSON has it.
func value(o events.Object) (map[string]any, error) {
	j, err := wire.ToJSON(o.Data)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", o.Kind, o.Key, err)
	}
	return decoded(j)
}

func decoded(j []byte) (v map[string]any, err error) {
	if err := utiljson.Unmarshal(j, &v); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	return v, nil
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

func asJSON(x any) (map[string]any, error) {
	j, err := json.Marshal(x)
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return decoded(j)
}

// Take takes an event as it was folded, with the state after it, and tells
// whether the condition holds there. known is false if it has no value, because
// something that it names is not there.
func (w *World) Take(ctx context.Context, s *projector.State, e events.Event) (holds, known bool, err error) {
	if err := w.take(s, e); err != nil {
		return false, false, err
	}
	return w.of.evaluate(ctx, w.values)
}

func (w *World) take(s *projector.State, e events.Event) error {
	for _, l := range listed {
		w.values[l.event] = map[string]any{}
	}
	if err := w.takeBody(s, e); err != nil {
		return err
	}
	if w.of.uses["state"] {
		for _, k := range s.Touched() {
			if err := w.count(s, k); err != nil {
				return err
			}
		}
		w.state["seq"], w.state["time"] = int64(e.Seq), s.Time()
	}
	return w.tell(e)
}

func (w *World) takeBody(s *projector.State, e events.Event) error {
	switch b := e.Body.(type) {
	case events.Object:
		name := w.variable[b.Kind]
		if name == "" || !w.of.uses["state"] && !w.of.uses[name] {
			return nil
		}
		v, err := value(b)
		if err != nil {
			return err
		}
		w.values[name] = v
		w.objects[b.Kind][b.Key.String()] = v
	case events.Gone:
		delete(w.objects[b.Kind], b.Key.String())
	case *events.Plan:
		if !w.of.uses["ds"] {
			return nil
		}
		if o, _, ok := s.Object(events.DaemonSet, b.Owner.Key); ok {
			v, err := value(o)
			w.values["ds"] = v
			return err
		}
	}
	return nil
}

// tell describes the event.
func (w *World) tell(e events.Event) error {
	if !w.of.uses["event"] {
		return nil
	}
	v := map[string]any{"seq": int64(e.Seq), "time": e.Stored, "type": string(e.Type), "source": e.Source, "actor": e.Actor, "verb": e.Verb,
		"manager": e.Manager, "change": e.Change, "object": story.Name(events.RefOf(e)), "commands": []any{}}
	w.values["event"] = v
	p, ok := e.Body.(*events.Plan)
	if !ok {
		return nil
	}
	var commands []any
	for _, c := range p.Commands {
		commands = append(commands, map[string]any{"do": string(c.Do), "object": story.Name(c.Ref), "node": c.Node, "reason": string(c.Reason), "revision": c.Revision})
	}
	if commands != nil {
		v["commands"] = commands
	}
	return nil
}
