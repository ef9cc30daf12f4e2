package redact_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/daemonpod"
	"rollcall/events/redact"
	"rollcall/events/seal"
	"rollcall/events/wire"
)

func redactor(t *testing.T, key string, annotations ...string) *redact.Redactor {
	t.Helper()
	r, err := redact.New([]byte(key), annotations...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// encoded returns the bytes of a fact.
func encoded(t *testing.T, k events.Kind, o metav1.Object, gone bool) []byte {
	t.Helper()
	body, err := events.NewObject(k, o)
	if err != nil {
		t.Fatal(err)
	}
	e := events.Event{ID: ulid.ULID{1}, Type: events.ObjectType(k, events.VerbUpdated), Source: "api", Actor: "me", Verb: "patch", Manager: "m",
		At: time.Unix(1700000000, 5).UTC(), Cause: events.Cause{Seq: 7, Index: 2}, Body: body}
	if k != events.Node {
		e.Change = "env A hidden→hidden2"
	}
	if gone {
		e.Type, e.Body = events.ObjectType(k, events.VerbDeleted), events.Gone(body)
	}
	raw, err := events.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func set(value string) *appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent", Namespace: "default", UID: "u", Annotations: map[string]string{
		"kubectl.kubernetes.io/last-applied-configuration": "{hidden}", "example.com/token": "hidden", "example.com/team": "seen"}}}
	ds.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "i", Image: "seen", Env: []corev1.EnvVar{{Name: "A", Value: "hidden"}}}}
	ds.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "seen", Env: []corev1.EnvVar{{Name: "SEEN", Value: "hidden" + value},
		{Name: "B", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "seen"}}}},
		LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/seen", HTTPHeaders: []corev1.HTTPHeader{{Name: "Authorization", Value: "Bearer hidden"}}}}}}}
	return ds
}

// TestHidden: what is to be hidden is in no event, and the rest is.
func TestHidden(t *testing.T) {
	revision, err := daemonpod.RevisionData(&set("x").Spec.Template)
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "seen"}, Data: map[string][]byte{"seen": []byte("hidden")}, StringData: map[string]string{"k": "hidden"}}
	rev := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: "seen"}}
	rev.Data.Raw = revision
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "seen"}, Spec: set("x").Spec.Template.Spec}
	r := redactor(t, "k", "example.com/tok*")
	for k, o := range map[events.Kind]metav1.Object{events.DaemonSet: set("x"), events.Secret: secret, events.ControllerRevision: rev, events.Pod: pod} {
		for _, gone := range []bool{false, true} {
			raw := encoded(t, k, o, gone)
			out := r.Event(raw)
			if bytes.Contains(out, []byte("hidden")) || !bytes.Contains(out, []byte("seen")) || !bytes.Contains(raw, []byte("hidden")) {
				t.Errorf("%s, gone %v: %q", k, gone, out)
			}
			was, is := events.Decode(raw), events.Decode(out)
			if is.ID != was.ID || is.Cause != was.Cause || is.Type != was.Type || events.RefOf(is) != events.RefOf(was) || !is.At.Equal(was.At) || is.Actor != was.Actor {
				t.Errorf("%+v became %+v", was, is)
			}
		}
	}
}

// TestSealed: of a sealed value is left what everybody may see of it, and of one in
// clear what looks the same; nothing is left to be opened.
func TestSealed(t *testing.T) {
	k, err := seal.NewKey(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	clear := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s", UID: "u", Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "hidden"}}, Data: map[string][]byte{"a": []byte("hidden")}}
	sealed, err := seal.NewRing(k).Seal(clear)
	if err != nil {
		t.Fatal(err)
	}
	r := redactor(t, "k")
	var left [2]*corev1.Secret
	for i, s := range []*corev1.Secret{clear, sealed} {
		e := events.Decode(r.Event(encoded(t, events.Secret, s, false)))
		left[i] = &corev1.Secret{}
		if err := e.Body.(events.Object).Decode(left[i]); err != nil {
			t.Fatal(err)
		}
		for _, v := range []string{string(left[i].Data["a"]), left[i].Annotations[corev1.LastAppliedConfigAnnotation]} {
			if shown, ok := seal.Shown([]byte(v)); !ok || shown != v {
				t.Errorf("%q is left", v)
			}
		}
	}
	if shown, _ := seal.Shown(sealed.Data["a"]); string(left[1].Data["a"]) != shown || string(left[0].Data["a"]) == shown {
		t.Errorf("%q is left, and %q of one in clear; the log shows %q", left[1].Data["a"], left[0].Data["a"], shown)
	}
}

// TestHiddenInWhatWasTold: what somebody told is redacted like an object, and is
// the same event as before.
func TestHiddenInWhatWasTold(t *testing.T) {
	data, err := wire.Marshal(map[string]any{"version": "seen", "manifest": set("x")})
	if err != nil {
		t.Fatal(err)
	}
	told := &events.Told{Source: "ci", ID: "1", Type: "com.example.deploy.started", Data: data}
	raw, err := events.Encode(events.Event{ID: events.ToldID("ci", "", "1"), Told: told, Type: events.NoteTold, Body: events.Note{}})
	if err != nil {
		t.Fatal(err)
	}
	out := redactor(t, "k", "example.com/tok*").Event(raw)
	if bytes.Contains(out, []byte("hidden")) || !bytes.Contains(out, []byte("seen")) {
		t.Errorf("%q", out)
	}
	e := events.Decode(out)
	if code, why := events.Doubt(&e); code != "" {
		t.Error(code, why)
	}
}

// TestSame: values that are the same stay the same, those that differ differ, and
// another key gives others. So the digest of a template still tells its revisions.
func TestSame(t *testing.T) {
	digest := func(r *redact.Redactor, value string) string {
		e := events.Decode(r.Event(encoded(t, events.DaemonSet, set(value), false)))
		ds := &appsv1.DaemonSet{}
		if err := e.Body.(events.Object).Decode(ds); err != nil {
			t.Fatal(err)
		}
		return daemonpod.Digest(&ds.Spec.Template)
	}
	r := redactor(t, "k")
	again := digest(r, "x")
	if digest(r, "x") != again || again == digest(r, "y") || again == digest(redactor(t, "other"), "x") {
		t.Error("what is the same is not told from what is not")
	}
}

// TestNothing: an event without anything to hide keeps its bytes.
func TestNothing(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u", Generation: 3, Annotations: map[string]string{"a": "b"}}}
	raw := encoded(t, events.Node, node, false)
	r := redactor(t, "k", "x*")
	if out := r.Event(raw); !bytes.Equal(out, raw) {
		t.Errorf("%q became %q", raw, out)
	}
	plan, err := events.Encode(events.Event{ID: ulid.ULID{2}, Type: events.Planned, At: time.Unix(5, 0), Body: &events.Plan{Owner: events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "a", Name: "b"}}, Basis: events.Basis{Seq: 3, Now: time.Unix(4, 0)}}})
	if err != nil {
		t.Fatal(err)
	}
	if out := r.Event(plan); !bytes.Equal(out, plan) {
		t.Errorf("%q became %q", plan, out)
	}
}

// TestStrange: bytes that cannot be read are left out, and patterns that are none
// are refused.
func TestStrange(t *testing.T) {
	for _, raw := range []string{"", "hidden", "\x81", "\x01hidden", "\xdf\xff\xff\xff\xff"} {
		if out := redactor(t, "k").Event([]byte(raw)); len(out) != 0 {
			t.Errorf("%q became %q", raw, out)
		}
	}
	if _, err := redact.New(nil, "[a"); err == nil {
		t.Error("[a is a pattern")
	}
	if s := redactor(t, "k", "a/*").String(); !strings.Contains(s, "a/*") {
		t.Error(s)
	}
}
