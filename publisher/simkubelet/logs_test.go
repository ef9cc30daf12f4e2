package simkubelet

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

func (st *stand) logs(name string, d *datadriven.TestData) string {
	st.t.Helper()
	container := st.pod(name).Spec.Containers[0].Name
	d.MaybeScanArgs(st.t, "c", &container)
	log, err := Logs(st.pod(name), container, d.HasArg("previous"), st.now)
	lines := log.Lines
	if err != nil {
		if !apierrors.IsBadRequest(err) {
			st.t.Errorf("not a bad request: %v", err)
		}
		return err.Error()
	}
	text := []string{fmt.Sprintf("%d lines", len(lines))}
	for i, l := range lines {
		if i > 0 && l.At.Before(lines[i-1].At) || l.At.After(st.now) {
			st.t.Errorf("line at %v out of order", l.At)
		}
		if i < 3 || i > len(lines)-4 {
			text = append(text, fmt.Sprintf("%.0fs %s", l.At.Sub(epoch).Seconds(), l.Text))
		}
	}
	return strings.Join(text, "\n")
}

// notices are those of all that the log tells of a pod.
func (st *stand) notices(name string) string {
	st.t.Helper()
	var old *corev1.Pod
	var lines []string
	for e, err := range st.log.Read(context.Background(), 0) {
		if err != nil {
			st.t.Fatal(err)
		}
		r := events.RefOf(e)
		if r.Kind != events.Pod || r.Key.Name != name {
			continue
		}
		var is *corev1.Pod
		if o, ok := e.Body.(events.Object); ok {
			is = new(corev1.Pod)
			if err := o.Decode(is); err != nil {
				st.t.Fatal(err)
			}
		}
		simulated := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{events.LabelSimulated: "true"}}}
		for _, n := range Notices(old, is, simulated) {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%.2fs %s %s %s %s %s: %s",
				e.Stored.Sub(epoch).Seconds(), n.Type, n.Reason, n.Component, n.Host, n.FieldPath, n.Message)))
		}
		old = is
	}
	return strings.Join(lines, "\n")
}

// Lines do not change when they are asked for again, and later come more.
func TestLogsGrow(t *testing.T) {
	st := newStand(t, Options{})
	st.nodesNamed(1)
	st.put(events.Pod, events.VerbCreated, st.newPod("p", "n00", "i:1"))
	st.run(time.Minute)
	p := st.pod("p")
	early, err := Logs(p, "c", false, st.now)
	late, lateErr := Logs(p, "c", false, st.now.Add(10*time.Minute))
	if err := errors.Join(err, lateErr); err != nil {
		t.Fatal(err)
	}
	if len(early.Lines) != 3 || len(late.Lines) != 13 || !reflect.DeepEqual(early.Lines, late.Lines[:3]) || early.Life != late.Life || early.Ended {
		t.Errorf("first %v\nthen %v", early, late)
	}
	if !early.Next.After(st.now) || early.Next.After(st.now.Add(time.Minute)) {
		t.Errorf("the next line is said to come at %v", early.Next)
	}
	if none, err := Logs(p, "c", false, p.Status.StartTime.Add(-time.Second)); len(none.Lines) > 0 || err != nil {
		t.Errorf("before it started: %v, %v", none, err)
	}
}

// A container has no lines before it was started.
func TestLogsOfNoContainer(t *testing.T) {
	p := &corev1.Pod{}
	p.Name, p.Spec.NodeName = "p", "n"
	p.Spec.Containers = []corev1.Container{{Name: "a"}, {Name: "b"}}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "b"}}
	for container, want := range map[string]string{
		"a": `container "a" in pod "p" is not available`,
		"b": `container "b" in pod "p" is waiting to start - no logs yet`,
	} {
		if _, err := Logs(p, container, false, epoch); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", container, err, want)
		}
	}
}
