package apiserver

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"rollcall/events"
	"rollcall/events/seal"
)

// stands reports whether a value stands in bytes, in clear or in base64.
func stands(b []byte, value string) bool {
	return bytes.Contains(b, []byte(value)) || bytes.Contains(b, []byte(base64.StdEncoding.EncodeToString([]byte(value))))
}

// length returns the position of the last event of the log.
func (c *cluster) length(t *testing.T) events.Seq {
	t.Helper()
	info, err := c.log.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.Last
}

// last returns the object of the last event about a Secret.
func (c *cluster) last(t *testing.T, name string) (o events.Object, secret *corev1.Secret) {
	t.Helper()
	e, ok, err := c.log.Latest(t.Context(), c.subjects.Object(events.Secret, events.Key{Namespace: "default", Name: name}))
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	o, secret = e.Body.(events.Object), &corev1.Secret{}
	if err := o.Decode(secret); err != nil {
		t.Fatal(err)
	}
	return o, secret
}

// unlike returns a server of the same log with other keys.
func (c *cluster) unlike(t *testing.T, r *seal.Ring, readOnly string) (kubernetes.Interface, *warned) {
	t.Helper()
	s := serve(t, Config{Log: c.log, Subjects: c.subjects, Objects: c.objects, Secrets: r, ReadOnly: readOnly})
	config, warnings := s.Loopback(), &warned{}
	config.WarningHandler = warnings
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client, warnings
}

// What the API is told of a Secret, also in the annotation in which kubectl repeats
// it, is in no event in clear, and the API gives it back; what changes nothing is no
// event, and what changes one value leaves the bytes of the others.
//
// finding M5
func TestSecretsAreSealed(t *testing.T) {
	c := newCluster(t)
	secrets := c.client.CoreV1().Secrets("default")
	w, err := secrets.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	const password, token = "correct horse", "battery staple"
	manifest := `{"kind":"Secret","stringData":{"token":"` + token + `"},"data":{"password":"` + base64.StdEncoding.EncodeToString([]byte(password)) + `"}}`
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s", Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: manifest, "team": "a"}},
		Data: map[string][]byte{"password": []byte(password), "empty": {}}, StringData: map[string]string{"token": token}}
	want := map[string][]byte{"password": []byte(password), "empty": {}, "token": []byte(token)}
	check := func(how string, s *corev1.Secret, err error) {
		t.Helper()
		if err != nil || !maps.EqualFunc(s.Data, want, bytes.Equal) || s.Annotations[corev1.LastAppliedConfigAnnotation] != manifest {
			t.Errorf("%s: %q, annotations %q, %v", how, s.Data, s.Annotations, err)
		}
	}
	s, err = secrets.Create(t.Context(), s, metav1.CreateOptions{})
	check("create", s, err)
	got, err := secrets.Get(t.Context(), "s", metav1.GetOptions{})
	check("get", got, err)
	list, err := secrets.List(t.Context(), metav1.ListOptions{})
	check("list", &list.Items[0], err)
	check("watch", (<-w.ResultChan()).Object.(*corev1.Secret), nil)

	first, before := c.last(t, "s")
	at := c.length(t)
	if s, err = secrets.Update(t.Context(), s, metav1.UpdateOptions{}); err != nil || c.length(t) != at {
		t.Errorf("an update that changes nothing: %v, the log is at #%d after #%d", err, c.length(t), at)
	}
	want["token"] = []byte("purple monkey")
	s.Data["token"] = want["token"]
	s, err = secrets.Update(t.Context(), s, metav1.UpdateOptions{})
	check("update", s, err)
	_, after := c.last(t, "s")
	if !bytes.Equal(before.Data["password"], after.Data["password"]) || bytes.Equal(before.Data["token"], after.Data["token"]) {
		t.Errorf("one value was changed: %q became %q", before.Data, after.Data)
	}
	if before.Annotations["team"] != "a" {
		t.Errorf("annotations %q", before.Annotations)
	}
	if err := secrets.Delete(t.Context(), "s", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	n := 0
	for e, err := range c.log.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		raw, err := events.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{password, token, "purple monkey"} {
			if stands(raw, value) {
				t.Errorf("#%d %s has %q in clear: %q", e.Seq, e.Type, value, raw)
			}
		}
		if events.RefOf(e).Kind == events.Secret {
			n++
		}
	}
	if n != 3 || stands(first.Data, password) {
		t.Errorf("%d events of the Secret", n)
	}
}

// What is sealed for one key, Secret or uid opens nowhere else, nor with another
// hash before it: who moves it is refused, and the others go on.
func TestSealsAreBoundToTheirPlace(t *testing.T) {
	c := newCluster(t)
	secrets := c.client.CoreV1().Secrets("default")
	for _, name := range []string{"a", "b", "good"} {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{"x": []byte("value of " + name), "y": []byte("other")}}
		if _, err := secrets.Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	_, a := c.last(t, "a")
	for what, change := range map[string]func(b *corev1.Secret){
		"another key":    func(b *corev1.Secret) { b.Data["x"] = b.Data["y"] },
		"another Secret": func(b *corev1.Secret) { b.Data["x"] = a.Data["x"] },
		"another uid":    func(b *corev1.Secret) { b.UID = "made-again" },
		"another hash":   func(b *corev1.Secret) { b.Data["x"] = bytes.Replace(b.Data["x"], b.Data["x"][7:10], []byte("fab"), 1) },
		"cut":            func(b *corev1.Secret) { b.Data["x"] = b.Data["x"][:40] },
		"an annotation": func(b *corev1.Secret) {
			b.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: string(b.Data["x"][:33])}
		},
	} {
		_, b := c.last(t, "b")
		good := b.DeepCopy()
		change(b)
		for i, s := range []*corev1.Secret{b, good} {
			o, err := events.NewObject(events.Secret, s)
			if err != nil {
				t.Fatal(err)
			}
			seq := c.append(t, events.ObjectType(events.Secret, events.VerbUpdated), o)
			if err := c.objects.Await(t.Context(), seq); err != nil {
				t.Fatal(err)
			}
			_, err = secrets.Get(t.Context(), "b", metav1.GetOptions{})
			if i == 0 && (!apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "E-KEY-ALTERED")) || i == 1 && err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if l, err := secrets.List(t.Context(), metav1.ListOptions{}); err != nil || len(l.Items) != 2+i {
				t.Errorf("%s: the others: %v, %v", what, len(l.Items), err)
			}
		}
	}
}

// Without the key a Secret cannot be read, and nothing else is the worse for it; it
// can be deleted, and replaced as a whole. The past is shown with what everybody may
// see. With both keys all can be read, and what is written is sealed with the first.
func TestLostKey(t *testing.T) {
	c := newCluster(t)
	ctx := t.Context()
	mine := c.client.CoreV1().Secrets("default")
	for _, name := range []string{"a", "b"} {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "hidden"}}, Data: map[string][]byte{"x": []byte("hidden")}}
		if _, err := mine.Create(ctx, s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	key, err := seal.NewKey(bytes.Repeat([]byte{7}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	client, warnings := c.unlike(t, seal.NewRing(key), "")
	theirs := client.CoreV1().Secrets("default")
	if _, err := theirs.Get(ctx, "a", metav1.GetOptions{}); !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "E-KEY-GONE") || !strings.Contains(err.Error(), "kubectl delete secret a -n default") {
		t.Errorf("get: %v", err)
	}
	if l, err := theirs.List(ctx, metav1.ListOptions{}); err != nil || len(l.Items) != 0 || len(*warnings) != 2 {
		t.Errorf("list: %v, %v, warnings %q", l.Items, err, *warnings)
	}
	if _, err := theirs.Patch(ctx, "a", types.MergePatchType, []byte(`{"metadata":{"labels":{"l":"v"}}}`), metav1.PatchOptions{}); !apierrors.IsInternalError(err) {
		t.Errorf("patch: %v", err)
	}
	if _, err := theirs.Update(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string][]byte{"x": []byte("new")}}, metav1.UpdateOptions{}); err != nil {
		t.Errorf("replace: %v", err)
	}
	if s, err := theirs.Get(ctx, "a", metav1.GetOptions{}); err != nil || string(s.Data["x"]) != "new" || len(s.Annotations) > 0 {
		t.Errorf("get after it was replaced: %v, %v", s, err)
	}
	past, _ := c.unlike(t, seal.NewRing(key), "the past")
	for name, want := range map[string]string{"a": "new", "b": "sealed:"} {
		s, err := past.CoreV1().Secrets("default").Get(ctx, name, metav1.GetOptions{})
		if err != nil || !strings.HasPrefix(string(s.Data["x"]), want) || strings.Contains(fmt.Sprint(s), "hidden") || stands(s.Data["x"], "hidden") {
			t.Errorf("the past of %s: %v, %v", name, s, err)
		}
	}
	both, _ := c.unlike(t, seal.NewRing(key, testKey(t)), "")
	if l, err := both.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{}); err != nil || len(l.Items) != 2 || string(l.Items[1].Data["x"]) != "hidden" {
		t.Errorf("with both keys: %v, %v", l, err)
	}
	if err := theirs.Delete(ctx, "b", metav1.DeleteOptions{}); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := mine.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Data: map[string][]byte{"x": []byte("hidden")}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := theirs.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Errorf("delete all: %v", err)
	}
	if _, err := mine.Get(ctx, "c", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("get after all were deleted: %v", err)
	}
	none, _ := c.unlike(t, seal.NewRing(), "")
	if _, err := none.CoreV1().Secrets("default").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Data: map[string][]byte{"x": {1}}}, metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), "E-KEY-NONE") {
		t.Errorf("without a key: %v", err)
	}
}

// Values that stand in clear in an old log, and what is left of them in a redacted
// recording, are served as they are.
func TestClearValuesAreRead(t *testing.T) {
	c := newCluster(t)
	c.bad(t, events.Secret, events.Key{Namespace: "default", Name: "s"}, `{"metadata":{"namespace":"default","name":"s","uid":"bad"},"data":{"old":"b2xk","left":"c2VhbGVkOjAxMjM0NTY3ODlhYmNkZWY="}}`)
	s, err := c.client.CoreV1().Secrets("default").Get(t.Context(), "s", metav1.GetOptions{})
	if err != nil || string(s.Data["old"]) != "old" || string(s.Data["left"]) != "sealed:0123456789abcdef" {
		t.Errorf("%v, %v", s, err)
	}
	if s, err = c.client.CoreV1().Secrets("default").Update(t.Context(), s, metav1.UpdateOptions{}); err != nil || string(s.Data["old"]) != "old" {
		t.Errorf("%v, %v", s, err)
	}
	if o, _ := c.last(t, "s"); seal.Find(o).Clear != 0 {
		t.Errorf("the next write leaves it in clear: %q", o.Data)
	}
}

// Random Secrets go through the API and come back.
func TestRandomSecrets(t *testing.T) {
	c := newCluster(t)
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	value := func() []byte {
		b := make([]byte, r.IntN(40))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if r.IntN(8) == 0 { // what looks like a sealed one
			b = append([]byte("sealed:0123456789abcdef:01234567:"), b...)
		}
		return b
	}
	secrets := c.client.CoreV1().Secrets("default")
	for i := range 100 {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("s", i)}, Data: map[string][]byte{}, Type: corev1.SecretTypeOpaque}
		for range r.IntN(5) {
			s.Data[fmt.Sprint("k.", r.IntN(9))] = value()
		}
		if r.IntN(2) == 0 {
			b, _ := json.Marshal(s.Data)
			s.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: string(b)}
		}
		made, err := secrets.Create(t.Context(), s, metav1.CreateOptions{})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got, err := secrets.Get(t.Context(), s.Name, metav1.GetOptions{})
		if err != nil || !reflect.DeepEqual(got, made) || !maps.EqualFunc(got.Data, s.Data, bytes.Equal) || !reflect.DeepEqual(got.Annotations, s.Annotations) {
			t.Fatalf("seed %d: %v became %v, then %v: %v", seed, s, made, got, err)
		}
		o, _ := c.last(t, s.Name)
		if f := seal.Find(o); f.Clear != 0 || len(s.Data) > 0 && len(f.Keys) != 1 {
			t.Fatalf("seed %d: %+v of %q", seed, f, o.Data)
		}
	}
}
