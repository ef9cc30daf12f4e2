package kube

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/wire"
)

// Sources of the events that a record has.
const (
	source        = events.SourceKube
	SourceMissing = events.SourceRelist
)

// recordedKinds are those whose objects are recorded, in the order in which they are listed:
// what says which of the next are looked at comes first.
var recordedKinds = []events.Kind{events.PriorityClass, events.Namespace, events.Node, events.DaemonSet, events.ControllerRevision, events.Pod}

// Seen is what a cluster has said of one object at one revision of its own.
type Seen struct {
	events.Object
	RV      uint64
	Gone    bool
	Missing bool // Gone, because a list at RV does not have the object
	Listed  bool // heard in a list of all
	First   bool // Listed, and the log has nothing of the kind yet

	owner  *metav1.OwnerReference // the controller; nil: it has none
	labels map[string]string
	made   time.Time
	ending bool      // it is being deleted
	hands  [3]hand   // who wrote last: the object, its status, and its spec
	clock  time.Time // of the cluster, as far as the watch has told before; zero: it is not known
}

// newest returns when whoever wrote last did.
func (s *Seen) newest() time.Time {
	if s.hands[wroteStatus].at.After(s.hands[wroteObject].at) {
		return s.hands[wroteStatus].at
	}
	return s.hands[wroteObject].at
}

// longAgo is by how much who wrote last may be behind the cluster's clock, which managedFields
// tell in seconds, and of which each of its API servers has its own.
const longAgo = 2 * time.Second

// hand is who wrote of an object, by its managedFields.
type hand struct {
	manager, verb string
	at            time.Time
}

// Places in Seen.hands.
const (
	wroteObject = iota
	wroteStatus
	wroteSpec
)

// read takes o, which a cluster has said at a revision, apart and encodes it. o is
// changed: what is not recorded is taken out.
func read(kind events.Kind, o metav1.Object, gone bool) (*Seen, error) {
	rv, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s %s: resourceVersion %q is no number", kind, events.Key{Namespace: o.GetNamespace(), Name: o.GetName()}, o.GetResourceVersion())
	}
	s := &Seen{RV: rv, Gone: gone, owner: metav1.GetControllerOf(o), labels: o.GetLabels(), made: o.GetCreationTimestamp().Time,
		ending: o.GetDeletionTimestamp() != nil, hands: handsOf(o.GetManagedFields())}
	o.SetManagedFields(nil)
	switch x := o.(type) {
	case *corev1.Node:
		x.Status.Images = nil
	case *unstructured.Unstructured:
		untyped(x)
	}
	s.Object, err = events.NewObject(kind, o)
	return s, err
}

// untyped takes out of an object what it is, which one of a type does not say.
func untyped(u *unstructured.Unstructured) {
	delete(u.Object, "apiVersion")
	delete(u.Object, "kind")
}

// handsOf returns who wrote an object, its status and its spec last. Of two who wrote the
// object in one second it is the one who wrote no spec, as that is known for itself.
func handsOf(fields []metav1.ManagedFieldsEntry) (hands [3]hand) {
	for _, f := range fields {
		i, verb := wroteObject, strings.ToLower(string(f.Operation))
		if f.Subresource != "" {
			i, verb = wroteStatus, verb+" "+f.Subresource
		}
		h := hand{manager: f.Manager, verb: verb}
		if f.Time != nil {
			h.at = f.Time.Time
		}
		spec := i == wroteObject && f.FieldsV1 != nil && bytes.Contains(f.FieldsV1.GetRawBytes(), []byte(`"f:spec"`))
		if hands[i].manager == "" || h.at.After(hands[i].at) || !spec && h.at.Equal(hands[i].at) && hands[i] == hands[wroteSpec] {
			hands[i] = h
		}
		if spec && !h.at.Before(hands[wroteSpec].at) {
			hands[wroteSpec] = h
		}
	}
	return hands
}

// by says who has made s of what was known before; nothing if nobody can tell: that an object
// is being deleted or a pod bound is in no managedFields, nor is who has only taken something out.
func (s *Seen) by(before []byte) hand {
	if before == nil {
		return s.hands[wroteObject]
	}
	h := s.last(before)
	if !h.at.IsZero() && h.at.Add(longAgo).Before(s.clock) {
		return hand{}
	}
	return h
}

// last returns who wrote last of what is other than before.
func (s *Seen) last(before []byte) hand {
	object, status := s.hands[wroteObject], s.hands[wroteStatus]
	if spec := s.hands[wroteSpec]; spec.manager != "" && spec.at.Equal(object.at) && !bytes.Equal(wire.Field(before, "spec"), wire.Field(s.Data, "spec")) {
		object = spec
	}
	switch {
	case s.ending && !terminating(before), s.Kind == events.Pod && nodeOf(before) != nodeOf(s.Data):
		return hand{}
	case string(wire.Field(before, "status")) == string(wire.Field(s.Data, "status")):
		return object
	case status.manager == "" || object.at.After(status.at):
		return object
	}
	return status
}

// terminating reports whether an object is being deleted.
func terminating(object []byte) bool {
	return len(wire.Text(wire.Field(object, "metadata"), "deletionTimestamp")) > 0
}

// nodeOf returns the node that a pod is bound to; empty: to none.
func nodeOf(pod []byte) string { return string(wire.Text(wire.Field(pod, "spec"), "nodeName")) }

// RVOf returns the revision that a cluster had given an object when it was recorded;
// 0: it has none.
func RVOf(object []byte) uint64 {
	rv, err := strconv.ParseUint(string(wire.Text(wire.Field(object, "metadata"), "resourceVersion")), 10, 64)
	if err != nil {
		return 0
	}
	return rv
}

// stamped returns the bytes of an object as of another revision.
func stamped(object []byte, rv uint64) []byte {
	text, err := wire.Marshal(strconv.FormatUint(rv, 10))
	var of []byte
	if err == nil {
		of, err = wire.With(wire.Field(object, "metadata"), "resourceVersion", text)
	}
	if err == nil {
		of, err = wire.With(object, "metadata", of)
	}
	if err != nil {
		return object // which is no object
	}
	return of
}

// factID is the id of the fact that an object was so at a revision: the same from
// whoever records it, and whenever.
func factID(epoch int, s *Seen, typ events.Type) ulid.ULID {
	h := sha256.New()
	for _, part := range []string{string(s.Kind), string(s.UID), string(typ)} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	var n [16]byte
	binary.BigEndian.PutUint64(n[:8], s.RV)
	binary.BigEndian.PutUint64(n[8:], uint64(epoch))
	h.Write(n[:])
	var id ulid.ULID
	copy(id[6:], h.Sum(nil))
	if ms := s.made.UnixMilli(); ms > 0 {
		_ = id.SetTime(min(uint64(ms), ulid.MaxTime())) // which cannot fail
	}
	return id
}

// Types of the notes that a record has.
const (
	NoteRelisted = events.NoteRelisted
)

// note makes an entry of what a cluster has told besides its objects. id tells it
// from others.
func note(typ, id, subject string, at time.Time, data any, about ...events.Ref) (events.Entry, error) {
	raw, err := wire.Marshal(data)
	if err != nil {
		return events.Entry{}, fmt.Errorf("note %s %s: %w", typ, id, err)
	}
	told := &events.Told{Source: source, ID: id, Type: typ, Subject: subject, Time: at, Data: raw}
	return events.Entry{Event: events.Event{ID: events.ToldID(told.Source, told.From, told.ID), Type: events.NoteTold, Source: source, Told: told,
		Body: events.Note{Objects: about}}}, nil
}

// noted makes the note of a core Event about a DaemonSet. ok is false for one that is
// about something else, or that no log takes.
func noted(e *corev1.Event) (_ events.Entry, ok bool) {
	about := e.InvolvedObject
	ref := events.Ref{Kind: events.Kind(about.Kind), Key: events.Key{Namespace: about.Namespace, Name: about.Name}, UID: about.UID}
	if ref.Kind != events.DaemonSet || events.CheckObjectName(ref.Kind, ref.Key) != "" {
		return events.Entry{}, false
	}
	at := e.LastTimestamp.Time
	if e.EventTime.After(at) {
		at = e.EventTime.Time
	}
	h := events.KubeEvent{Type: e.Type, Reason: e.Reason, Message: e.Message, Component: cmp.Or(e.Source.Component, e.ReportingController), Count: e.Count}
	n, err := note(events.NoteKubeEvent, idOf(e.UID, e.ResourceVersion), ref.Key.String(), at.UTC(), h, ref)
	return n, err == nil
}

func idOf(uid types.UID, rv string) string { return string(uid) + "/" + rv }
