package simkubelet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"rollcall/events"
)

// Delays are the same for the same object, and spread between objects.
func TestDelay(t *testing.T) {
	st := newStand(t, DefaultOptions())
	lo, hi := time.Hour, time.Duration(0)
	for i := range 200 {
		it := st.w.newItem(events.Ref{Key: events.Key{Name: fmt.Sprint("p", i)}})
		d := st.w.delay(st.options.Start, &it, "start")
		if d != st.w.delay(st.options.Start, &it, "start") {
			t.Fatal("a delay changes between calls")
		}
		lo, hi = min(lo, d), max(hi, d)
	}
	if lo < 200*time.Millisecond || lo > 250*time.Millisecond || hi > 600*time.Millisecond || hi < 550*time.Millisecond {
		t.Errorf("start delays from %v to %v", lo, hi)
	}
}

// A pod whose images are on every node starts at once, one that pulls an image takes
// its time.
func TestPulledImages(t *testing.T) {
	o := Options{Start: Exactly(5 * time.Second), Pulled: []string{"i:1"}}
	for image, want := range map[string]time.Duration{"i:1": 0, "i:2": 5 * time.Second} {
		st := newStand(t, o)
		st.nodesNamed(1)
		made := st.now
		st.put(events.Pod, events.VerbCreated, st.newPod("agent", "n00", image))
		st.run(time.Minute)
		p := st.w.pods[events.Key{Namespace: "x", Name: "agent"}].object()
		if r := p.Status.ContainerStatuses[0].State.Running; r == nil || r.StartedAt.Sub(made) != want {
			t.Errorf("%s: %s, want it to run %s after it was made", image, stateText(p.Status.ContainerStatuses[0].State), want)
		}
	}
}

// A cluster that is made once more with the same seed takes the same times,
// though the uids and the names of its daemon pods are others.
func TestDelaysOfASeed(t *testing.T) {
	times := func(seed int64, run string) string {
		o := DefaultOptions()
		o.Seed = seed
		st := newStand(t, o)
		st.nodesNamed(5)
		for i := range 5 {
			p := st.newPod("agent-"+run+fmt.Sprint(i), fmt.Sprintf("n%02d", i), "i:1")
			p.UID = types.UID(run + fmt.Sprint(i))
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: "agent", UID: types.UID(run), Controller: ptr.To(true)}}
			st.put(events.Pod, events.VerbCreated, p)
		}
		var out []string
		for _, e := range st.run(time.Minute) {
			if e.Type == "pod.updated" {
				out = append(out, st.now.Sub(epoch).String(), e.At.Sub(epoch).String())
			}
		}
		return strings.Join(out, " ")
	}
	first := times(1, "a")
	if again := times(1, "b"); again != first {
		t.Errorf("the same seed takes\n%s\nand then\n%s", first, again)
	}
	if times(2, "a") == first {
		t.Error("another seed takes the same times")
	}
}

func TestParseDelay(t *testing.T) {
	for text, want := range map[string]Delay{"2s": Exactly(2 * time.Second), "0s..6s": {0, 6 * time.Second}, "100ms..1m": {100 * time.Millisecond, time.Minute}, "0": {}} {
		if got, err := ParseDelay(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		} else if again, err := ParseDelay(got.String()); err != nil || again != want {
			t.Errorf("%s, written as %s: %v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "..", "2", "2s..", "..2s", "6s..1s", "-1s", "-1s..1s", "1s...2s", "1s..2s..3s", "25h", "banana"} {
		if got, err := ParseDelay(text); err == nil || !strings.Contains(err.Error(), "is no delay") {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
