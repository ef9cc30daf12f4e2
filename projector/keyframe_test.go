package projector_test

import (
	"errors"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector"
	"rollcall/projector/table"
)

// small is the keyframe of a few objects and a command that is under way.
func small(t *testing.T) []byte {
	t.Helper()
	s := projector.New("x")
	labels := map[string]string{"a": "b"}
	controls := true
	owner := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "d", UID: "u-d", Controller: &controls}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "d", UID: "u-d"},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", UID: "u-p", Labels: labels, OwnerReferences: []metav1.OwnerReference{owner}},
		Spec: corev1.PodSpec{NodeName: "x"}, Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "x", UID: "u-x"}}
	for i, b := range []events.Body{object(t, events.Node, node), object(t, events.DaemonSet, ds), object(t, events.Pod, pod),
		&events.Plan{Owner: events.RefFor(events.DaemonSet, ds), Basis: events.Basis{Seq: 3}, Commands: []events.Command{
			{Do: events.DeletePod, Ref: events.RefFor(events.Pod, pod), Node: "x", NodeUID: "u-x", Reason: events.Rollout}}}} {
		e := events.Event{Seq: events.Seq(i + 1), Type: events.Planned, Body: b}
		if o, ok := b.(events.Object); ok {
			e.Type = events.ObjectType(o.Kind, events.VerbCreated)
		}
		projector.Fold(s, e)
	}
	if n, q := s.Quarantined(); n > 0 || s.PendingCommands() != 1 {
		t.Fatal(n, q)
	}
	data, err := s.Keyframe()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func object(t *testing.T, k events.Kind, o metav1.Object) events.Object {
	t.Helper()
	b, err := events.NewObject(k, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readKeyframe(data []byte) (*projector.State, error) {
	return projector.ReadKeyframe(data, "x", table.New(table.History{}))
}

// Who keeps a keyframe keeps its hash, so that damage is not read. What is read
// all the same is refused or is a state, and never the end of the program.
func TestKeyframeOfAnything(t *testing.T) {
	data := small(t)
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			if s, err := readKeyframe(data); err == nil {
				_ = s.Check()
			}
			data[i] ^= 1 << bit
		}
		if _, err := readKeyframe(data[:i]); err == nil {
			t.Errorf("%d bytes of %d are read", i, len(data))
		}
	}
}

func TestKeyframeOfAnotherFormat(t *testing.T) {
	format, err := wire.Marshal(projector.KeyframeFormat + 1)
	if err != nil {
		t.Fatal(err)
	}
	data, err := wire.With(small(t), "format", format)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readKeyframe(data); !errors.Is(err, projector.ErrKeyframeFormat) {
		t.Error(err)
	}
}

// What a keyframe says of its event is what the state says.
func TestKeyframeHead(t *testing.T) {
	data := small(t)
	h, err := projector.ReadKeyframeHead(data)
	if err != nil {
		t.Fatal(err)
	}
	s, err := readKeyframe(data)
	if err != nil {
		t.Fatal(err)
	}
	at := s.Position()
	if h.Seq != 4 || at.Seq != h.Seq || fmt.Sprintf("%x", at.Chain) != fmt.Sprintf("%x", h.Chain) || at.Log != "x" || len(s.Touched()) == 0 {
		t.Errorf("%+v, %+v", h, at)
	}
	again, err := s.Keyframe()
	if err != nil || projector.Hash(again) != projector.Hash(data) || projector.Hash(again) == projector.Hash(again[1:]) {
		t.Errorf("%v: %s, %s", err, projector.Hash(again), projector.Hash(data))
	}
}

// A command about a pod that did nothing is not tried again at once, after a
// keyframe as before it.
func TestKeyframeKeepsDenials(t *testing.T) {
	s, err := readKeyframe(small(t))
	if err != nil {
		t.Fatal(err)
	}
	key := events.Key{Namespace: "n", Name: "p"}
	ds, pod := s.DaemonSet(events.Key{Namespace: "n", Name: "d"}), s.Pod(key)
	projector.Fold(s, events.Event{Seq: 5, Type: events.Failed, Cause: events.Cause{Seq: 4}, Body: events.Outcome{
		Owner: events.RefFor(events.DaemonSet, ds.Object), Command: events.Command{Do: events.DeletePod, Ref: pod.Ref(), Node: "x", NodeUID: "u-x"}, Reason: "no"}})
	data, err := s.Keyframe()
	if err != nil {
		t.Fatal(err)
	}
	again, err := readKeyframe(data)
	if err != nil {
		t.Fatal(err)
	}
	if was, is := s.Pod(key), again.Pod(key); was.Denials != 1 || is.Denials != 1 || !is.DeniedAt.Equal(was.DeniedAt) {
		t.Errorf("%d times denied, and %d after a keyframe", was.Denials, is.Denials)
	}
}

// What somebody told is not taken again, a keyframe or a restart later: the first
// one counts, whatever the second says.
func TestKeyframeKeepsWhatWasTold(t *testing.T) {
	tell := func(s *projector.State, seq events.Seq, id, cpus string) events.Event {
		told := &events.Told{Source: "inventory", From: "x", ID: id, Type: events.ToldNodeObserved}
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u-n", Labels: map[string]string{"cpus": cpus}}}
		return projector.Fold(s, events.Event{Seq: seq, ID: events.ToldID("inventory", "x", id), Told: told, Type: "node.updated", Body: object(t, events.Node, n)})
	}
	s, err := readKeyframe(small(t))
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"1", "2", "3"} {
		if e := tell(s, events.Seq(5+i), id, id); e.Body.(events.Object).Kind != events.Node {
			t.Fatalf("%+v", e.Body)
		}
	}
	for i := range 3 { // each time from what the last one kept
		data, err := s.Keyframe()
		if err != nil {
			t.Fatal(err)
		}
		if s, err = readKeyframe(data); err != nil {
			t.Fatal(err)
		}
		e := tell(s, events.Seq(8+i), "2", "many")
		if b, bad := e.Body.(events.Unreadable); !bad || b.Code != "E-EVT-REPEATED" {
			t.Errorf("told again, it is %+v", e.Body)
		}
		if at, ok := s.Told(e.ID); !ok || at != 6 {
			t.Errorf("it is at %d, %v", at, ok)
		}
		if n := s.Node("n"); n.Labels().Get("cpus") != "3" {
			t.Errorf("the node is as it was told again: %v", n.Labels())
		}
	}
}
