package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/wire"
	"rollcall/projector/story"
	"rollcall/publisher"
	"rollcall/publisher/schema"
)

// told is an event on its way through the gate.
type told struct {
	by    Sender
	event publisher.Event
	now   time.Time // by the gate's clock
	from  string    // the source of the event, completed
	sent  string    // its id as it is known by: as sent, or derived
	id    ulid.ULID // in the log
	known bool      // its id says what it is: it was sent, or the event is a note
	bytes []byte    // its data as a msgpack value
	late  bool
	warns []string
	turn  *turn
}

func (t *told) warn(text string) { t.warns = append(t.warns, text) }

// name is what the subject of the event names, behind the kind.
func (t *told) name() string {
	_, name, _ := strings.Cut(t.event.Subject, "/")
	return name
}

// data reads the data of the event, which its schema has been held against.
func (t *told) data(into any) *publisher.Problem {
	if len(t.event.Data) == 0 {
		return nil
	}
	if err := json.Unmarshal(t.event.Data, into); err != nil {
		return dataProblem([]publisher.ProblemError{{Pointer: "/data", Expected: t.event.Type, Hint: oneLine(err.Error())}})
	}
	return nil
}

// stamp is when something became so, as Kubernetes writes it: as told, else by the
// time of the event if that is not yet to come, else by the gate's clock.
func (t *told) stamp(at *time.Time) metav1.Time {
	when := t.now
	switch {
	case at != nil:
		when = *at
	case !t.event.Time.IsZero() && t.event.Time.Before(t.now):
		when = t.event.Time
	}
	return metav1.NewTime(when.UTC().Truncate(time.Second))
}

// state reports whether an event says how something is: telling it
// again changes nothing, so that one without an id needs none.
func state(typ string) bool {
	switch typ {
	case publisher.TypeNodeObserved, publisher.TypeNodeGone, publisher.TypeNodeCondition, publisher.TypePodStatus, publisher.TypeHoldPlaced, publisher.TypeHoldLifted:
		return true
	}
	return false
}

// admit authorises an event, validates it and finds its identity.
func (g *Gate) admit(by Sender, e publisher.Event) (*told, *publisher.Problem) {
	if !by.MayTell(e.Type) {
		return nil, refusal(http.StatusForbidden, "E-TOLD-SOURCE", "not a type of this source",
			"source %s may not tell %s; let it with rollcall source add %s --may %s", by.Name, quote(e.Type), by.Name, quote(e.Type))
	}
	warns, p := schema.Validate(e)
	if p != nil {
		return nil, p
	}
	t := &told{by: by, event: e, now: g.config.Now(), from: e.Source, sent: e.ID, known: e.ID != "" || !state(e.Type), warns: warns}
	if len(e.Data) > 0 {
		var err error
		if t.bytes, err = wire.Marshal(e.Data); err != nil {
			return nil, dataProblem([]publisher.ProblemError{{Pointer: "/data", Hint: oneLine(err.Error())}})
		}
	}
	if t.from == "" {
		t.from = by.Name
	}
	if e.ID == "" {
		t.derive("")
		t.warn("the event has no id: one was derived of its content")
	}
	t.id = events.ToldID(by.Name, t.from, t.sent)
	return t, nil
}

// derive gives an event without an id one that follows from its content. What says
// how something is may become so again later: then more tells the times apart.
func (t *told) derive(more string) {
	h := t.print(t.event.Time.UTC().Format(time.RFC3339Nano), more)
	t.sent = "derived-" + hex.EncodeToString(h[:16])
	t.id = events.ToldID(t.by.Name, t.from, t.sent)
}

// print is the fingerprint of what an event tells.
func (t *told) print(more ...string) fingerprint {
	return printed(append([]string{t.event.Type, t.event.Subject, string(t.bytes)}, more...))
}

// printOf is the fingerprint of what an event of the log told.
func printOf(t *events.Told) fingerprint { return printed([]string{t.Type, t.Subject, string(t.Data)}) }

func printed(texts []string) fingerprint {
	h := sha256.New()
	for _, s := range texts {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return fingerprint(h.Sum(nil))
}

// lanes returns what the event may not overtake: events about the same thing, and
// the same event. The holds of a source are one thing: they are counted.
func (t *told) lanes() []string {
	keys := []string{"about " + t.event.Subject}
	switch {
	case !state(t.event.Type):
		keys[0] = "about " + t.by.Name + " " + t.event.Subject
	case strings.HasPrefix(t.event.Subject, "hold/"):
		keys[0] = "holds of " + t.by.Name
	}
	if t.known {
		keys = append(keys, "id "+t.id.String())
	}
	return keys
}

// draft is what an event comes to in the log.
type draft struct {
	ref  events.Ref
	body events.Body
	kind events.Type
	same bool       // it changes nothing
	at   events.Seq // of the last fact about ref; 0: there is none
	// fenced says that body may follow only on the fact at this position.
	fenced bool
	change string
}

// overlay is what events of the same batch have made before, and of which times
// those were, by subject.
type overlay struct {
	drafts map[events.Ref]draft
	times  map[string]time.Time
}

func newOverlay() *overlay {
	return &overlay{drafts: map[events.Ref]draft{}, times: map[string]time.Time{}}
}

// latest returns an object as it is, or as events of the same batch will have it.
func (g *Gate) latest(now *overlay, kind events.Kind, key events.Key) (o events.Object, seq events.Seq) {
	if d, told := now.drafts[events.Ref{Kind: kind, Key: key}]; told {
		o, _ = d.body.(events.Object)
		return o, d.at
	}
	if i := g.config.State.Objects().Get(kind, key); i != nil {
		return i.Object, events.Seq(i.Rev)
	}
	return o, 0
}

// draft decides what an event comes to.
func (g *Gate) draft(ctx context.Context, t *told, now *overlay) (draft, *publisher.Problem) {
	switch t.event.Type {
	case publisher.TypeNodeObserved, publisher.TypeNodeCondition, publisher.TypeNodeGone:
		return g.draftNode(ctx, t, now)
	case publisher.TypePodStatus:
		return g.draftPod(t, now)
	case publisher.TypeHoldPlaced, publisher.TypeHoldLifted:
		return g.draftHold(ctx, t, now)
	}
	return g.draftNote(t)
}

func (g *Gate) draftNode(ctx context.Context, t *told, now *overlay) (draft, *publisher.Problem) {
	name := t.name()
	if !t.by.MayNode(name) {
		return draft{}, notYours(t, name)
	}
	was, seq := g.latest(now, events.Node, events.Key{Name: name})
	d := draft{ref: events.Ref{Kind: events.Node, Key: events.Key{Name: name}}, at: seq, fenced: true}
	if t.event.Type == publisher.TypeNodeGone {
		d.kind, d.body = events.ObjectType(events.Node, events.VerbDeleted), events.Gone(was)
		if was.Data != nil {
			return d, nil
		}
		return g.ended(ctx, d, now, g.config.Subjects.Object(events.Node, d.ref.Key))
	}
	n := new(corev1.Node)
	switch {
	case was.Data != nil:
		if err := was.Decode(n); err != nil {
			return d, invalid(err, nodeFields)
		}
	case t.event.Type == publisher.TypeNodeCondition:
		return d, absent("node "+name, "tell node.observed of it first")
	default:
		n = newNode(t, name)
	}
	if simulated(n.Labels) {
		t.warn("node " + name + " is simulated: its kubelet is rollcall's, and says itself how it is")
	}
	if p := t.become(n); p != nil {
		return d, p
	}
	return d, g.fact(&d, was, n, g.config.Rules.Node, nodeFields)
}

// become makes a node what the event tells of it.
func (t *told) become(n *corev1.Node) *publisher.Problem {
	if t.event.Type == publisher.TypeNodeCondition {
		var c publisher.NodeCondition
		if p := t.data(&c); p != nil {
			return p
		}
		t.condition(n, publisher.Condition(c))
		t.mark(n)
		return nil
	}
	var o publisher.NodeObserved
	if p := t.data(&o); p != nil {
		return p
	}
	return observe(n, t, o)
}

// fact makes d the fact that an object is now so, if the rules have it.
func (g *Gate) fact(d *draft, was events.Object, now metav1.Object, rule func(was, now events.Object) (events.Object, error), fields map[string]string) *publisher.Problem {
	o, err := events.NewObject(d.ref.Kind, now)
	if err == nil {
		o, err = rule(was, o)
	}
	if err != nil {
		return invalid(err, fields)
	}
	d.body, d.kind = o, events.ObjectType(d.ref.Kind, events.VerbUpdated)
	if was.Data == nil {
		d.kind = events.ObjectType(d.ref.Kind, events.VerbCreated)
		return nil
	}
	if d.same = !events.Worth(was, o); !d.same {
		d.change = story.Change(was, o)
	}
	return nil
}

// ended makes d what changes nothing, since what is to end is not there: it has ended
// where the log has last said something of it. What never was cannot end.
func (g *Gate) ended(ctx context.Context, d draft, now *overlay, subject string) (draft, *publisher.Problem) {
	d.same = true
	if _, here := now.drafts[d.ref]; here {
		return d, nil
	}
	last, ok, err := g.config.Log.Latest(ctx, subject)
	switch {
	case err != nil:
		return d, unavailable(err)
	case !ok:
		return d, absent(strings.ToLower(string(d.ref.Kind))+" "+d.ref.Key.String(), "nothing of that name was ever told of, as far as the log goes back: look at the name")
	}
	d.at = last.Seq
	return d, nil
}

func (g *Gate) draftPod(t *told, now *overlay) (draft, *publisher.Problem) {
	namespace, name, _ := strings.Cut(t.name(), "/")
	key := events.Key{Namespace: namespace, Name: name}
	was, seq := g.latest(now, events.Pod, key)
	d := draft{ref: events.Ref{Kind: events.Pod, Key: key}, at: seq, fenced: true}
	var o publisher.PodStatus
	if p := t.data(&o); p != nil {
		return d, p
	}
	pod := new(corev1.Pod)
	if was.Data == nil || o.UID != "" && o.UID != string(was.UID) {
		return d, absent("pod "+key.String()+uidText(o.UID), "it may be gone already: see what is there with kubectl get pods")
	}
	if err := was.Decode(pod); err != nil {
		return d, invalid(err, podFields)
	}
	node, ok := daemonpod.TargetNode(&pod.Spec)
	if p := g.mayRun(t, now, node, ok); p != nil {
		return d, p
	}
	t.bind(pod, node)
	bound, err := events.NewObject(events.Pod, pod)
	if err != nil {
		return d, invalid(err, podFields)
	}
	if p := t.run(pod, o); p != nil {
		return d, p
	}
	if pod.DeletionTimestamp != nil && len(pod.Finalizers) == 0 && ended(pod) {
		d.kind, d.body = events.ObjectType(events.Pod, events.VerbDeleted), events.Gone(was)
		return d, nil
	}
	rule := func(_, now events.Object) (events.Object, error) { return g.config.Rules.PodStatus(bound, now) }
	return d, g.fact(&d, was, pod, rule, podFields)
}

func uidText(uid string) string {
	if uid == "" {
		return ""
	}
	return " with the uid " + quote(uid)
}

// mayRun says why the sender does not run the pods of a node.
func (g *Gate) mayRun(t *told, now *overlay, node string, ok bool) *publisher.Problem {
	if !ok {
		return absent("node that the pod is for", "it has to get one first")
	}
	if !t.by.MayNode(node) {
		return notYours(t, node)
	}
	n, _ := g.latest(now, events.Node, events.Key{Name: node})
	var labels map[string]string
	_ = wire.Unmarshal(wire.Field(wire.Field(n.Data, "metadata"), "labels"), &labels) // a node that is not there has none
	if simulated(labels) {
		return refusal(http.StatusUnprocessableEntity, "E-TOLD-SIMULATED", "a simulated node",
			"node %s is simulated: its kubelet is rollcall's; tell of pods on nodes that were told", node)
	}
	return nil
}

// entry returns an event as it is appended.
func (g *Gate) entry(t *told, d draft) events.Entry {
	e := events.Event{ID: t.id, Type: d.kind, Source: eventSource, Actor: t.by.Name, At: t.now, Change: d.change, Body: d.body,
		Told: &events.Told{Source: t.by.Name, From: t.from, ID: t.sent, Derived: t.event.ID == "", Type: t.event.Type, Subject: t.event.Subject,
			Time: t.event.Time, Late: t.late, Data: t.bytes, Extensions: t.event.Extensions}}
	entry := events.Entry{Event: e}
	switch {
	case d.same:
		entry.Type, entry.Body = events.ToldUnchanged, events.Unchanged{Ref: d.ref}
	case d.fenced:
		entry.Expect = events.Expect{Subject: g.config.Subjects.Object(d.ref.Kind, d.ref.Key), Last: d.at}
	}
	return entry
}

// doubt says why an event would not be believed by who reads the log.
func doubt(e *events.Event) *publisher.Problem {
	if _, why := events.Doubt(e); why != "" {
		return refusal(http.StatusUnprocessableEntity, "E-TOLD-INVALID", "it cannot be in the log", "%s; correct it", oneLine(why))
	}
	return nil
}

// content tells whether the event at a position is the one that was sent now.
func (g *Gate) content(ctx context.Context, t *told, seq events.Seq) (same, found bool, err error) {
	if was, ok := g.config.Prints.get(t.id); ok {
		return was == t.print(), true, nil
	}
	for e, err := range g.config.Log.Read(ctx, seq-1) {
		if err != nil || e.Told == nil || e.ID != t.id {
			return false, false, err
		}
		was := printOf(e.Told)
		g.config.Prints.put(t.id, was)
		return was == t.print(), true, nil
	}
	return false, false, nil
}
