package instance

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"rollcall/events"
	"rollcall/events/keyframes"
	"rollcall/events/natsd"
	"rollcall/projector"
)

// heard is a Console that remembers what it was told.
type heard struct {
	silence
	warned []string
}

func (h *heard) Warn(text string) { h.warned = append(h.warned, text) }

// TestGoesOnFromKeyframe starts an instance from a keyframe: it has the state and
// the API that one has which reads the whole log, and a keyframe that is not good
// is said and never used.
func TestGoesOnFromKeyframe(t *testing.T) {
	sandbox(t)
	before := keyframeIdle
	keyframeIdle = 50 * time.Millisecond
	defer func() { keyframeIdle = before }()
	o := Options{Nodes: 3, Data: t.TempDir(), Durability: natsd.Relaxed, Controllers: []string{ownController}, Patience: patience}
	in, _ := start(t, o)
	populate(t, in)
	first := awaitKeyframe(t, in, 1)
	mustStop(t, in)

	in, _ = start(t, o)
	if in.From < first {
		t.Fatalf("it went on from #%d, and there is a keyframe of #%d", in.From, first)
	}
	wantFold(t, in)
	want := objectsOf(t, in)
	mustStop(t, in)

	store := filepath.Join(o.Data, "jetstream", "$G", "streams", "OBJ_rollcall_local_keyframes")
	blocks, err := filepath.Glob(filepath.Join(store, "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("the store of the keyframes has no blocks: %v", err)
	}
	whole, err := os.ReadFile(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		damage func([]byte) []byte
		said   string
	}{
		{"flipped", func(b []byte) []byte { return flipped(b, 200) }, "is damaged and is made anew"},
		{"cut", func(b []byte) []byte { return b[:len(b)/2] }, ""}, // as a kill leaves it
	} {
		if err := os.WriteFile(blocks[0], c.damage(whole), 0o600); err != nil {
			t.Fatal(err)
		}
		h := &heard{}
		o.Console = h
		in, _ := start(t, o)
		wantFold(t, in)
		if got := objectsOf(t, in); got != want {
			t.Errorf("%s: the API has other objects than before", c.name)
		}
		if said := strings.Join(h.warned, "\n"); !strings.Contains(said, c.said) {
			t.Errorf("%s: it said %q", c.name, said)
		}
		mustStop(t, in)
		if err := os.RemoveAll(store); err != nil { // the next begins with what there was
			t.Fatal(err)
		}
		in, _ = start(t, o)
		if in.From != 0 {
			t.Errorf("%s: it went on from #%d without keyframes", c.name, in.From)
		}
		awaitKeyframe(t, in, 1)
		mustStop(t, in)
		if whole, err = os.ReadFile(blocks[0]); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKeepsAtEnd stops an instance that is to keep a keyframe then: the next goes on
// from where it was, and has none to keep if nothing has happened.
func TestKeepsAtEnd(t *testing.T) {
	sandbox(t)
	every, idle := keyframeEvery, keyframeIdle
	keyframeIdle = time.Hour // none is kept while it runs
	defer func() { keyframeEvery, keyframeIdle = every, idle }()
	o := Options{Nodes: 3, Data: t.TempDir(), Durability: natsd.Relaxed, Controllers: []string{ownController}, Patience: patience, KeepAtEnd: true}
	in, _ := start(t, o)
	populate(t, in)
	mustStop(t, in)
	in, _ = start(t, o)
	if in.From != 0 {
		t.Errorf("a few events were worth a keyframe of #%d", in.From)
	}
	keyframeEvery = 10
	mustStop(t, in)

	in, _ = start(t, o)
	wantFold(t, in)
	if in.From != in.Began.Last {
		t.Errorf("it went on from #%d, and the last event of the run before is #%d", in.From, in.Began.Last)
	}
	mustStop(t, in)
	in, _ = start(t, o)
	if fs, err := in.frames.List(t.Context()); err != nil || len(fs) != 1 {
		t.Errorf("%d keyframes, %v, and nothing has happened since the first", len(fs), err)
	}
	mustStop(t, in)
}

// TestPassesOverWrongKeyframe goes on from an older keyframe where the newest has
// the hash of another log up to its event, which only the events after it tell.
func TestPassesOverWrongKeyframe(t *testing.T) {
	sandbox(t)
	before := keyframeIdle
	keyframeIdle = 50 * time.Millisecond
	defer func() { keyframeIdle = before }()
	h := &heard{}
	o := Options{Nodes: 2, Data: t.TempDir(), Durability: natsd.Relaxed, Controllers: []string{ownController}, Patience: patience, Console: h}
	in, _ := start(t, o)
	populate(t, in)
	awaitKeyframe(t, in, 1)
	forge(t, in)
	mustStop(t, in)

	in, _ = start(t, o)
	wantFold(t, in)
	if in.From != 0 {
		t.Errorf("it went on from #%d", in.From)
	}
	if said := strings.Join(h.warned, "\n"); !strings.Contains(said, "is passed over") {
		t.Errorf("it said %q", said)
	}
	if text, err := in.keyframesText(); err != nil || !strings.Contains(text, "is passed over") {
		t.Errorf("readyz says %q, %v", text, err)
	}
	fs, err := in.frames.List(t.Context())
	if err != nil || len(fs) > 1 {
		t.Errorf("%d keyframes are left, %v", len(fs), err)
	}
	mustStop(t, in)
}

// forge makes the keyframes those of another log that has the same events at their
// positions, and another one before.
func forge(t *testing.T, in *Instance) {
	t.Helper()
	fs, err := in.frames.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fs {
		if err := in.frames.Delete(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	other := projector.New("")
	var last events.Event
	for e, err := range in.Log.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if last = e; e.Seq == 1 {
			e.Raw = append(bytes.Clone(e.Raw), 0)
		}
		projector.Fold(other, e)
	}
	f, state, err := other.Keep().Frame(time.Now())
	if err == nil {
		err = in.frames.Put(t.Context(), f, keyframes.Kept{State: state})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Check(last); err != nil {
		t.Fatalf("the event alone tells it already: %v", err)
	}
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func mustStop(t *testing.T, in *Instance) {
	t.Helper()
	if err := in.Stop(); err != nil {
		t.Fatal(err)
	}
}

// populate fills a cluster with a DaemonSet, and waits for its pods.
func populate(t *testing.T, in *Instance) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := in.Found(ctx); err != nil {
		t.Fatal(err)
	}
	client := mustClient(t, in)
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent"}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "agent"}},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "agent"}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "agent:1"}}}}}}
	if _, err := client.AppsV1().DaemonSets("default").Create(ctx, ds, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := in.AwaitEnd(ctx); err != nil {
		t.Fatal(err)
	}
	if err := in.Settled(ctx, nil); err != nil {
		t.Fatal(err)
	}
}

// awaitKeyframe returns the position of the newest keyframe once there are so many.
func awaitKeyframe(t *testing.T, in *Instance, n int) events.Seq {
	t.Helper()
	var newest events.Seq
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		fs, err := in.frames.List(ctx)
		if len(fs) > 0 {
			newest = fs[len(fs)-1].Seq
		}
		return len(fs) >= n, err
	})
	if err != nil {
		t.Fatalf("%d keyframes: %v", n, err)
	}
	return newest
}

// wantFold holds the state of an instance against a fold of the whole log.
func wantFold(t *testing.T, in *Instance) {
	t.Helper()
	var got []byte
	var at events.Seq
	in.State.Read(func(s *projector.State) {
		at = s.Seq()
		got, _ = s.Keyframe()
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	})
	s := projector.New("")
	for e, err := range in.Log.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if projector.Fold(s, e); e.Seq == at {
			break
		}
	}
	if want, err := s.Keyframe(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("at #%d the state, from #%d on, is another than that of the whole log, %v", at, in.From, err)
	}
}

var eventVersion = regexp.MustCompile(`"resourceVersion":"[0-9]+",`)

// objectsOf lists what the API has of the kinds in the log, with versions.
func objectsOf(t *testing.T, in *Instance) string {
	t.Helper()
	client := mustClient(t, in)
	var b strings.Builder
	for _, path := range []string{"/api/v1/nodes", "/api/v1/pods", "/apis/apps/v1/daemonsets", "/apis/apps/v1/controllerrevisions", "/api/v1/namespaces", "/api/v1/serviceaccounts", "/api/v1/events"} {
		raw, err := client.CoreV1().RESTClient().Get().AbsPath(path).DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, items, _ := strings.Cut(string(raw), `"items":`) // the version of a list goes on
		if path == "/api/v1/events" {                       // each process numbers its own view of the log
			items = eventVersion.ReplaceAllString(items, "")
		}
		fmt.Fprintf(&b, "%s\n%s\n", path, items)
	}
	return b.String()
}

func mustClient(t *testing.T, in *Instance) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(in.LoopbackAs("test"))
	if err != nil {
		t.Fatal(err)
	}
	return client
}
