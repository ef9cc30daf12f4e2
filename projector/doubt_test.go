package projector_test

import (
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector"
)

// Who asks before an append is told what the fold would say after it: what one
// refuses the other sets aside, with one reason.
func TestDoubtIsTheFolds(t *testing.T) {
	object := func(k events.Kind, name string, data any) events.Object {
		b, err := wire.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		return events.Object{Ref: events.Ref{Kind: k, Key: events.Key{Namespace: "default", Name: name}, UID: "u-1"}, Data: b}
	}
	meta := map[string]any{"name": "x", "namespace": "default", "uid": "u-1"}
	for _, c := range []struct {
		what string
		body events.Object
		code string
	}{
		{"a ConfigMap", object(events.ConfigMap, "x", map[string]any{"metadata": meta}), ""},
		{"a pod", object(events.Pod, "x", map[string]any{"metadata": meta}), ""},
		{"a kind with a dash", object(events.CustomKind("example.com", "Work-Shop"), "x", map[string]any{"metadata": meta}), ""},
		{"a kind that cannot be one", object(events.CustomKind("example.com", "Work_Shop"), "x", map[string]any{"metadata": meta}), "E-EVT-NAME"},
		{"no name", object(events.ConfigMap, "", map[string]any{"metadata": meta}), "E-EVT-NAME"},
		{"a pod with a text for its spec", object(events.Pod, "x", map[string]any{"metadata": meta, "spec": "x"}), "E-EVT-OBJECT"},
		{"a DaemonSet with a text for its spec", object(events.DaemonSet, "x", map[string]any{"metadata": meta, "spec": "x"}), "E-EVT-OBJECT"},
		{"a revision with a text for its number", object(events.ControllerRevision, "x", map[string]any{"metadata": meta, "revision": "x"}), "E-EVT-OBJECT"},
	} {
		e := events.Event{Seq: 1, ID: ulid.Make(), Type: events.ObjectType(c.body.Kind, events.VerbCreated), At: time.Now(), Source: "test", Body: c.body}
		code, why := projector.Doubt(e)
		if code != c.code || (code == "") != (why == "") {
			t.Errorf("%s: doubted with %q %q, want %q", c.what, code, why, c.code)
		}
		folded := projector.Fold(projector.New("log"), e)
		if b, bad := folded.Body.(events.Unreadable); bad != (code != "") || bad && (b.Code != code || b.Why != why) {
			t.Errorf("%s: the fold says %+v, and before it was said %q %q", c.what, folded.Body, code, why)
		}
	}
}
