package story

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/events/wire"
)

// TestStory tells logs that are written down in testdata/story:
//
//	put KIND/[NS/]NAME [cause=(seq,index)] [actor=a] [source=s]
//	    a merge patch of the object in YAML: created if it is not there
//	gone KIND/[NS/]NAME [cause=...]
//	plan NS/NAME, outcome NS/NAME TYPE [cause=...]
//	    the fields of events.Plan, events.Outcome in YAML; of the garbage collector: collector
//	raw
//	    bytes that are no event, in hexadecimal
//	forget
//	    a new teller and a new noticer go on from here
//	filter [from=] [to=] [since=] [until=] [types=(...)] [ds=NS/NAME]
//	    the lines of the whole log that pass
//	json SEQ
//
//	object KIND/[NS/]NAME
//	    a merge patch of an object that is in no log
//	line NS/NAME
//	    the text of its rollout, with a plan in YAML
//
// Every event prints its lines, and its notices behind "!".
func TestStory(t *testing.T) {
	datadriven.Walk(t, "../../testdata/story", func(t *testing.T, path string) {
		w := newTold(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			w.t = t
			return w.run(d)
		})
	})
}

// told is a log under construction and who listens to it.
type told struct {
	t       *testing.T
	log     *memlog.Log
	clock   time.Time
	objects map[string]map[string]any
	teller  *Teller
	noticer *Noticer
	seen    events.Seq
}

func newTold(t *testing.T) *told {
	subjects, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	w := &told{t: t, clock: time.Date(2026, 11, 21, 10, 42, 59, 104e6, time.UTC), objects: map[string]map[string]any{},
		teller: New(), noticer: NewNoticer()}
	w.log = memlog.New(subjects, func() time.Time { w.clock = w.clock.Add(time.Second); return w.clock })
	return w
}

func (w *told) run(d *datadriven.TestData) string {
	switch d.Cmd {
	case "put", "gone", "plan", "outcome":
		w.append(d)
	case "raw":
		var raw []byte
		if _, err := fmt.Sscanf(strings.TrimSpace(d.Input), "%x", &raw); err != nil && d.Input != "" {
			w.t.Fatal(err)
		}
		w.log.AppendRaw("rollcall.test.pod._.x", raw)
	case "forget":
		w.teller, w.noticer = New(), NewNoticer()
		return ""
	case "filter":
		return w.filter(d)
	case "json":
		n, err := strconv.ParseUint(d.CmdArgs[0].Key, 10, 64)
		w.must(err)
		for e, err := range w.log.Read(context.Background(), events.Seq(n-1)) {
			w.must(err)
			return string(JSON(e)) + "\n"
		}
	default:
		return w.show(d)
	}
	return w.tell()
}

func (w *told) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// tell tells what was appended since it was last called.
func (w *told) tell() string {
	var b strings.Builder
	for e, err := range w.log.Read(context.Background(), w.seen) {
		w.must(err)
		w.seen = e.Seq
		for _, entry := range w.teller.Tell(e) {
			b.WriteString(Line(entry) + "\n")
		}
		for _, n := range w.noticer.Observe(e) {
			fmt.Fprintf(&b, "! %s %s %s %s: %s\n", Name(n.Object), n.Object.UID, n.Type, n.Reason, n.Message)
		}
	}
	return b.String()
}

func (w *told) filter(d *datadriven.TestData) string {
	var f Filter
	seq := func(arg datadriven.CmdArg) events.Seq {
		n, err := strconv.ParseUint(arg.Vals[0], 10, 64)
		w.must(err)
		return events.Seq(n)
	}
	clock := func(arg datadriven.CmdArg) time.Time {
		at, err := time.Parse("15:04:05", arg.Vals[0])
		w.must(err)
		return time.Date(2026, 11, 21, at.Hour(), at.Minute(), at.Second(), 104e6, time.UTC)
	}
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "from":
			f.From = seq(arg)
		case "to":
			f.To = seq(arg)
		case "since":
			f.Since = clock(arg)
		case "until":
			f.Until = clock(arg)
		case "types":
			f.Types = arg.Vals
		case "ds":
			f.DaemonSet = keyOf(arg.Vals[0])
		default:
			w.t.Fatalf("%s: unknown argument %s", d.Pos, arg.Key)
		}
	}
	var b strings.Builder
	teller := New()
	for e, err := range w.log.Read(context.Background(), 0) {
		w.must(err)
		if !f.Wants(e) {
			teller.Observe(e)
			continue
		}
		for _, entry := range teller.Tell(e) {
			if f.Match(e, entry) {
				b.WriteString(Line(entry) + "\n")
			}
		}
	}
	return b.String()
}

func keyOf(s string) events.Key {
	if ns, name, ok := strings.Cut(s, "/"); ok {
		return events.Key{Namespace: ns, Name: name}
	}
	return events.Key{Name: s}
}

var kinds = map[string]events.Kind{"node": events.Node, "pod": events.Pod, "ds": events.DaemonSet,
	"revision": events.ControllerRevision, "pc": events.PriorityClass, "widget": "Widget"}

func (w *told) append(d *datadriven.TestData) {
	info, err := w.log.Info(context.Background())
	w.must(err)
	e := events.Event{At: w.clock}
	e.ID[0], e.ID[1] = 1, byte(info.Last+1)
	name, args := "", d.CmdArgs
	if !strings.Contains(d.Cmd, "collect") {
		name, args = args[0].Key, args[1:]
	}
	for _, arg := range args {
		switch arg.Key {
		case "cause":
			var n int
			_, err := fmt.Sscan(arg.Vals[0], &e.Cause.Seq)
			w.must(err)
			_, err = fmt.Sscan(arg.Vals[1], &n)
			w.must(err)
			e.Cause.Index = n
		case "actor":
			e.Actor = arg.Vals[0]
		case "source":
			e.Source = arg.Vals[0]
		default:
			e.Type = events.Type(arg.Key)
		}
	}
	switch d.Cmd {
	case "put":
		w.put(&e, name, d.Input)
	case "gone":
		ref := w.ref(name)
		e.Type, e.Body = events.ObjectType(ref.Kind, events.VerbDeleted), events.Gone{Ref: ref}
		delete(w.objects, name)
	case "plan":
		var in struct {
			events.Plan
			Waiting []events.Wait `json:"waiting"`
		}
		w.must(yaml.Unmarshal([]byte(d.Input), &in))
		p := &in.Plan
		p.Owner, p.Waiting = ownerOf(name), events.PackWaits(in.Waiting)
		e.Type, e.Body = p.Type(), p
	case "outcome":
		var o events.Outcome
		w.must(yaml.Unmarshal([]byte(d.Input), &o))
		o.Owner = ownerOf(name)
		e.Body = o
	}
	_, err = w.log.Append(context.Background(), events.Entry{Event: e})
	w.must(err)
}

// ownerOf returns the owner of plans: a DaemonSet, or the collector.
func ownerOf(name string) events.Ref {
	if name == "collector" {
		return events.Ref{}
	}
	return events.Ref{Kind: events.DaemonSet, Key: keyOf(name), UID: "uid-" + types.UID(keyOf(name).Name)}
}

func (w *told) ref(name string) events.Ref {
	kind, key, _ := strings.Cut(name, "/")
	if kinds[kind] == "" {
		w.t.Fatalf("unknown kind %q", kind)
	}
	return events.Ref{Kind: kinds[kind], Key: keyOf(key), UID: "uid-" + types.UID(keyOf(key).Name)}
}

func (w *told) put(e *events.Event, name, patch string) {
	ref := w.ref(name)
	var p map[string]any
	w.must(yaml.Unmarshal([]byte(patch), &p))
	verb := events.VerbUpdated
	if w.objects[name] == nil {
		verb = events.VerbCreated
		w.objects[name] = map[string]any{"metadata": map[string]any{"name": ref.Key.Name, "uid": string(ref.UID)}}
	}
	if e.Type == "" {
		e.Type = events.ObjectType(ref.Kind, verb)
	}
	w.objects[name] = merge(w.objects[name], p)
	if m, ok := w.objects[name]["metadata"].(map[string]any); ok {
		ref.UID = types.UID(fmt.Sprint(m["uid"]))
	}
	j, err := json.Marshal(w.objects[name])
	w.must(err)
	data, err := wire.Marshal(json.RawMessage(j))
	w.must(err)
	e.Body = events.Object{Ref: ref, Data: data}
}

// merge merges a patch into a copy of an object; null takes a field away.
func merge(o, patch map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range o {
		out[k] = v
	}
	for k, v := range patch {
		sub, ok := v.(map[string]any)
		was, _ := out[k].(map[string]any)
		switch {
		case v == nil:
			delete(out, k)
		case ok:
			out[k] = merge(was, sub)
		default:
			out[k] = v
		}
	}
	return out
}
