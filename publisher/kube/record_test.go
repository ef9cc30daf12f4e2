package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/projector/table"
)

// folded is a log whose objects are in tables as soon as they are appended, and which
// takes no object that is larger than a number of bytes.
type folded struct {
	*memlog.Log
	objects *table.Tables
	state   *projector.State // which knows what it did not take
	most    int
}

func (l *folded) Append(ctx context.Context, es ...events.Entry) (events.Seq, error) {
	for _, e := range es {
		if o, ok := e.Body.(events.Object); ok && len(o.Data) > l.most {
			return 0, fmt.Errorf("%s: %w", o.Ref, events.ErrTooLarge)
		}
	}
	seq, err := l.Log.Append(ctx, es...)
	if err == nil {
		for e := range l.Log.Read(ctx, l.state.Seq()) {
			l.objects.Take(e)
			projector.Fold(l.state, e)
		}
	}
	return seq, err
}

// recorderOf returns a recorder that a test tells of a cluster by hand, and what it warns of.
func recorderOf(t *testing.T, w *World) (r *Recorder, log *folded, warnings *[]string) {
	subjects, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	log = &folded{memlog.New(subjects, time.Now), table.New(table.History{}), projector.New("test"), 1 << 20}
	warnings = new([]string)
	w.begin(log, "log-1")
	r = New(Config{World: w, Log: log, Subjects: subjects, Objects: log.objects, Report: func(err error) { t.Log(err) },
		Warn:     func(text string) { *warnings = append(*warnings, text) },
		UnderWay: func() []events.Cause { return []events.Cause{{Seq: 1, Index: 0}} }, Missed: log.state.Missed})
	r.mark = "log-1"
	return r, log, warnings
}

// hear tells a recorder of an object, and has it appended.
func (r *Recorder) hear(t *testing.T, kind events.Kind, o metav1.Object) {
	t.Helper()
	s, err := read(kind, o, false)
	if err == nil {
		if err = r.tellSeen(t.Context(), s, false); err == nil {
			err = r.flush(t.Context())
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// types returns the types of the events of a log.
func (l *folded) types(t *testing.T) (types []events.Type) {
	for e, err := range l.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, e.Type)
	}
	return types
}

// A watch tells of the end of a pod before the call has its answer: the log says all the
// same that the command has ended it, and nothing twice.
func TestCallsAreTheirs(t *testing.T) {
	w := NewWorld(&Cluster{}, Rights{Evict: true})
	r, log, _ := recorderOf(t, w)
	r.hear(t, events.Pod, daemonPod("agent-1", "a", "7"))
	w.calls[agentKey] = make(call) // it is under way
	ending := daemonPod("agent-1", "a", "9")
	ending.DeletionTimestamp = &metav1.Time{Time: time.Unix(2e9, 0)}
	told := make(chan struct{})
	go func() {
		r.hear(t, events.Pod, ending.DeepCopy())
		close(told)
	}()
	select {
	case <-told:
		t.Fatal("the watch was faster than the call")
	case <-time.After(20 * time.Millisecond):
	}
	o, err := events.NewObject(events.Pod, ending)
	if err != nil {
		t.Fatal(err)
	}
	answer := events.Event{ID: ulid.Make(), Type: "pod.updated", Source: "executor", Cause: events.Cause{Seq: 1, Index: 0}, Body: o}
	if _, err := log.Append(t.Context(), events.Entry{Event: answer, Expect: events.Expect{Subject: r.Subjects.Object(events.Pod, o.Key), Last: 1}}); err != nil {
		t.Fatal(err)
	}
	w.Settled(agentKey)
	<-told
	if got := log.types(t); !slices.Equal(got, []events.Type{"pod.created", "pod.updated"}) {
		t.Errorf("the log has %v", got)
	}
}

// An object that the log does not take is told by its name, and a note is in the log; what
// comes after it is recorded, whether it is appended together or one after the other.
func TestTooLarge(t *testing.T) {
	for _, others := range []int{1, togetherFrom} {
		r, log, warnings := recorderOf(t, NewWorld(&Cluster{}, Rights{}))
		log.most = 1000
		pods := []*corev1.Pod{daemonPod("agent-1", "a", "7")}
		pods[0].Annotations = map[string]string{"text": strings.Repeat("x", 2000)}
		want := []events.Type{"note.told"}
		for i := range others {
			pods, want = append(pods, daemonPod(fmt.Sprintf("agent-1%d", i), fmt.Sprint("b", i), "8")), append(want, "pod.created")
		}
		for _, p := range pods {
			s, err := read(events.Pod, p, false)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.tellSeen(t.Context(), s, false); err != nil { // all are in one batch
				t.Fatal(err)
			}
		}
		if err := r.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := log.types(t); !slices.Equal(got, want) {
			t.Errorf("the log has %v", got)
		}
		if len(*warnings) != 1 || !strings.Contains((*warnings)[0], "E-KUBE-LARGE") || !strings.Contains((*warnings)[0], "agent-1 ") {
			t.Errorf("warnings: %v", *warnings)
		}
	}
}

// Of a DaemonSet, or one of its pods, that the log does not take the log knows that it has
// not: until it has been told as it is, also as it was told before, or is gone.
func TestUnrecorded(t *testing.T) {
	r, log, warnings := recorderOf(t, NewWorld(&Cluster{}, Rights{}))
	if _, err := log.Append(t.Context(), Charter(r.Subjects, ulid.Make(), events.Charter{Cluster: "c", Mode: events.Control}, 0)); err != nil {
		t.Fatal(err)
	}
	log.most = 1000
	large := map[string]string{"text": strings.Repeat("x", 2000)}
	hear := func(kind events.Kind, o metav1.Object, gone bool) string {
		s, err := read(kind, o, gone)
		if err == nil {
			err = r.tell(t.Context(), heard{what: s})
		}
		if err == nil {
			err = r.flush(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(r.Missed())
	}
	set, pod := daemonSet("ds", "6"), daemonPod("agent-1", "a", "7")
	wide, stout := set.DeepCopy(), pod.DeepCopy()
	wide.Annotations, wide.ResourceVersion = large, "8"
	stout.Annotations = large
	later := stout.DeepCopy()
	later.ResourceVersion = "9"
	again := set.DeepCopy()
	again.ResourceVersion = "9"
	for _, c := range []struct {
		name   string
		kind   events.Kind
		o      metav1.Object
		gone   bool
		missed string
	}{
		{"told", events.DaemonSet, set, false, "[]"},
		{"too large", events.DaemonSet, wide, false, "[DaemonSet default/agent]"},
		{"as it was", events.DaemonSet, again, false, "[]"},
		{"a pod", events.Pod, stout.DeepCopy(), false, "[Pod default/agent-1]"},
		{"it is gone", events.Pod, stout.DeepCopy(), true, "[]"},
		{"once more", events.Pod, later, false, "[Pod default/agent-1]"},
	} {
		if got := hear(c.kind, c.o, c.gone); got != c.missed {
			t.Errorf("%s: not in the log is %s, want %s", c.name, got, c.missed)
		}
	}
	if err := r.tell(t.Context(), heard{plural: "pods", rv: 20, what: listed{keys: map[events.Key]bool{}}}); err != nil {
		t.Fatal(err)
	}
	if len(r.Missed()) > 0 {
		t.Errorf("a list does not have it, and not in the log is %v", r.Missed())
	}
	if len(*warnings) != 3 || !strings.Contains((*warnings)[1], "Pod default/agent-1 is not recorded") || !strings.HasSuffix((*warnings)[1], "nothing is done for DaemonSet default/agent until it is") {
		t.Errorf("warnings: %v", *warnings)
	}
}

// However much is heard at once, all of it is told of: a bound on what is taken before the
// rest is looked at loses nothing.
func TestMuchIsHeardAtOnce(t *testing.T) {
	r, log, _ := recorderOf(t, NewWorld(&Cluster{}, Rights{}))
	of := func(i int) heard {
		s, err := read(events.Node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i), UID: types.UID(fmt.Sprint("u", i)), ResourceVersion: "5"}}, false)
		if err != nil {
			t.Fatal(err)
		}
		s.Listed, s.First = true, true
		return heard{plural: "nodes", at: time.Now(), what: s}
	}
	for i := range heardBuffer {
		r.in <- of(i)
	}
	err := r.drain(t.Context(), of(heardBuffer))
	for err == nil && len(r.in) > 0 {
		err = r.drain(t.Context(), <-r.in)
	}
	if err == nil {
		err = r.flush(t.Context())
	}
	if info, infoErr := log.Info(t.Context()); err != nil || infoErr != nil || info.Last != heardBuffer+1 {
		t.Errorf("%d facts of %d, %v, %v", info.Last, heardBuffer+1, err, infoErr)
	}
}
