package apiserver

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/story"
)

// PodNotices returns what there is to tell about a change of a pod: old is nil
// for one that was created, now for one that is gone, node for one that is
// bound to none, or to one that is gone.
type PodNotices func(old, now *corev1.Pod, node *corev1.Node) []events.Notice

// How the view thins out what it shows, as Kubernetes' recorder does: so many
// Events of one source about one object at once, and then one in five minutes.
const (
	noticeBurst  = 25
	noticeRefill = 5 * time.Minute
	noticeTTL    = eventTTL * time.Second
)

// eventView is core Events as a view of the log: nothing of it is stored. It
// has one owner.
type eventView struct {
	pods    PodNotices   // nil: nothing is told about pods
	claims  ClaimNotices // nil: nothing is told about claims
	sources sources
	since   time.Time // events that were stored before are too old to be shown
	noticer *story.Noticer
	last    map[events.Key][]byte // pods as the log last had them
	nodes   map[string]*corev1.Node
	shown   map[tellingID]*corev1.Event
	names   map[string]bool          // keys of the Events that are shown
	ages    []aging                  // tellings, oldest first
	limits  map[string]*rate.Limiter // by source and object
}

// tellingID is what makes two notices one Event that is told twice.
type tellingID [sha256.Size]byte

// aging is when an Event was last told.
type aging struct {
	id tellingID
	at time.Time
}

// viewed is a change of the view; data is nil for an Event that is gone.
type viewed struct {
	key  string
	data []byte
}

func newEventView(pods PodNotices, claims ClaimNotices, since time.Time) *eventView {
	return &eventView{pods: pods, claims: claims, sources: newSources(), since: since, noticer: story.NewNoticer(), last: map[events.Key][]byte{}, nodes: map[string]*corev1.Node{},
		shown: map[tellingID]*corev1.Event{}, names: map[string]bool{}, limits: map[string]*rate.Limiter{}}
}

// observe takes the next event of the log and returns what it changes.
func (v *eventView) observe(e events.Event) []viewed {
	out := v.expire(e.Stored)
	if _, bad := e.Body.(events.Unreadable); bad {
		return out // it tells nothing of what it is about
	}
	old := v.noticer.Observe(e)
	fresh := e.Stored.After(v.since)
	v.sources.observe(e)
	for _, n := range v.aboutPod(e, fresh) {
		out = v.show(out, events.RefOf(e), e.Stored, n)
	}
	if !fresh {
		return out
	}
	for _, n := range v.aboutClaim(e) {
		out = v.show(out, events.RefOf(e), e.Stored, n)
	}
	for _, n := range old {
		out = v.show(out, n.Object, e.Stored, n.Notice)
	}
	if g, ok := e.Body.(events.Gone); ok && g.Kind == events.Namespace {
		out = append(out, v.forget(g.Key.Name)...)
	}
	return out
}

// aboutPod returns what an event tells about a pod.
func (v *eventView) aboutPod(e events.Event, fresh bool) []events.Notice {
	ref := events.RefOf(e)
	if v.pods != nil && ref.Kind == events.Node {
		v.node(e, ref.Key.Name)
	}
	if v.pods == nil || ref.Kind != events.Pod {
		return nil
	}
	before := v.last[ref.Key]
	now, ok := e.Body.(events.Object)
	if ok {
		v.last[ref.Key] = now.Data
	} else {
		delete(v.last, ref.Key)
	}
	if !fresh {
		return nil
	}
	old, pod := decoded[corev1.Pod](before), decoded[corev1.Pod](now.Data)
	name := ""
	for _, p := range []*corev1.Pod{old, pod} {
		if p != nil && p.Spec.NodeName != "" {
			name = p.Spec.NodeName
		}
	}
	return v.pods(old, pod, v.nodes[name])
}

// node keeps a node as it is.
func (v *eventView) node(e events.Event, name string) {
	delete(v.nodes, name)
	if o, ok := e.Body.(events.Object); ok {
		if n := decoded[corev1.Node](o.Data); n != nil {
			v.nodes[name] = n
		}
	}
}

// decoded returns the object that data holds; nil if there is none.
func decoded[T any](data []byte) *T {
	o := new(T)
	if data == nil || wire.Unmarshal(data, o) != nil {
		return nil
	}
	return o
}

// show adds a notice, or counts it if it was told before.
func (v *eventView) show(out []viewed, about events.Ref, at time.Time, n events.Notice) []viewed {
	if !v.admit(about.UID, n.Component, at) {
		return out
	}
	id := tellingID(sha256.Sum256([]byte(strings.Join([]string{string(about.UID), n.Component, n.Type, n.Reason, n.Message, n.FieldPath}, "\x00"))))
	ev := v.shown[id]
	if ev == nil {
		ev = v.newEvent(about, at, n, id)
		v.shown[id] = ev
	}
	ev.Count++
	ev.LastTimestamp = metav1.NewTime(at.UTC().Truncate(time.Second))
	v.ages = append(v.ages, aging{id, at})
	data, err := wire.Marshal(ev)
	if err != nil {
		return out // strings and numbers have a form on the wire
	}
	return append(out, viewed{keyOf(ev), data})
}

func keyOf(ev *corev1.Event) string { return ev.Namespace + "/" + ev.Name }

// newEvent returns the Event of a notice that is told for the first time. Its
// name ends with the time, as those of a recorder do, so that names sort in the
// order of telling.
func (v *eventView) newEvent(about events.Ref, at time.Time, n events.Notice, id tellingID) *corev1.Event {
	stamp := metav1.NewTime(at.UTC().Truncate(time.Second))
	ev := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: about.Key.Namespace, CreationTimestamp: stamp,
			UID: events.DerivedUID(id)},
		InvolvedObject: corev1.ObjectReference{Kind: string(about.Kind), APIVersion: schema.GroupVersion{Group: about.Kind.Group(), Version: about.Kind.Version()}.String(), Namespace: about.Key.Namespace,
			Name: about.Key.Name, UID: about.UID, FieldPath: n.FieldPath},
		Type: n.Type, Reason: n.Reason, Message: n.Message, FirstTimestamp: stamp,
		Source: corev1.EventSource{Component: n.Component, Host: n.Host}, ReportingController: n.Component, ReportingInstance: n.Host,
	}
	if ev.Namespace == "" {
		ev.Namespace = metav1.NamespaceDefault
	}
	for nanos := at.UnixNano(); ev.Name == "" || v.names[keyOf(ev)]; nanos++ {
		ev.Name = fmt.Sprintf("%s.%x", about.Key.Name, nanos)
	}
	v.names[keyOf(ev)] = true
	return ev
}

// admit reports whether one more Event about an object may be shown.
func (v *eventView) admit(uid types.UID, component string, at time.Time) bool {
	k := component + "/" + string(uid)
	if v.limits[k] == nil {
		v.limits[k] = rate.NewLimiter(rate.Every(noticeRefill), noticeBurst)
	}
	return v.limits[k].AllowN(at, 1)
}

// expire takes away what was last told more than an hour before.
func (v *eventView) expire(now time.Time) []viewed {
	var out []viewed
	n := 0
	for ; n < len(v.ages) && now.Sub(v.ages[n].at) >= noticeTTL; n++ {
		ev := v.shown[v.ages[n].id]
		if ev == nil || now.Sub(ev.LastTimestamp.Time) < noticeTTL {
			continue
		}
		delete(v.limits, ev.Source.Component+"/"+string(ev.InvolvedObject.UID))
		out = append(out, v.drop(v.ages[n].id, ev))
	}
	v.ages = v.ages[n:]
	return out
}

func (v *eventView) drop(id tellingID, ev *corev1.Event) viewed {
	delete(v.shown, id)
	delete(v.names, keyOf(ev))
	return viewed{key: keyOf(ev)}
}

// forget takes away what is told in a namespace that is gone.
func (v *eventView) forget(namespace string) []viewed {
	var out []viewed
	for _, a := range v.ages {
		if ev := v.shown[a.id]; ev != nil && ev.Namespace == namespace {
			out = append(out, v.drop(a.id, ev))
		}
	}
	return out
}
