package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/projector/story"
)

func planEvent(seq events.Seq, ds string, commands int) events.Event {
	p := &events.Plan{Owner: events.Ref{Kind: events.DaemonSet, Key: events.Key{Namespace: "default", Name: ds}, UID: "u"}}
	p.Basis.Seq = seq - 1
	for i := range commands {
		p.Commands = append(p.Commands, events.Command{Do: events.CreatePod, Ref: events.Ref{Kind: events.Pod, Key: events.Key{Namespace: "default", Name: fmt.Sprintf("%s-%d-%d", ds, seq, i)}}, Node: "n1", Reason: events.Missing})
	}
	return events.Event{Seq: seq, Type: events.Planned, Source: "controller", Body: p}
}

func setEvent(t *testing.T, seq events.Seq, ready int32) events.Event {
	t.Helper()
	o, err := events.NewObject(events.DaemonSet, &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a", UID: "u"},
		Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 9, NumberReady: ready}})
	if err != nil {
		t.Fatal(err)
	}
	return events.Event{Seq: seq, Type: "daemonset.updated", Source: "controller", Body: o}
}

func view(es ...events.Event) (*viewer, string) {
	var out bytes.Buffer
	v := newViewer(newOutput(&out, func(error) {}))
	v.from = 2
	for _, e := range es {
		v.follow(e)
	}
	v.print()
	return v, out.String()
}

// TestViewLines: history is not shown but known, plans that follow each other
// are one line, pods are none.
func TestViewLines(t *testing.T) {
	pod := events.Event{Seq: 6, Type: "pod.created", Body: events.Object{Ref: events.Ref{Kind: events.Pod, Key: events.Key{Namespace: "default", Name: "a-1"}}}}
	v, text := view(planEvent(1, "a", 1), setEvent(t, 2, 1), planEvent(3, "a", 2), planEvent(4, "a", 3), setEvent(t, 5, 4), pod, planEvent(7, "a", 1))
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	wants := []string{"#4 .* 5 create (Missing); basis #3 (in 2 plans)", "#5 .* ready 4/9", "#7 .* 1 create (Missing); basis #6"}
	if len(lines) != len(wants) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(wants), text)
	}
	for i, want := range wants {
		begin, end, _ := strings.Cut(want, " .* ")
		if !strings.HasPrefix(lines[i], begin+" ") || !strings.Contains(lines[i], end+"  by controller") {
			t.Errorf("line %d is %q, want %q", i, lines[i], want)
		}
	}
	if facts, plans := v.counts(); facts != 2 || plans != 3 {
		t.Errorf("%d facts and %d plans, want 2 and 3", facts, plans)
	}
}

// TestViewSlowReader: an output that is not read loses the oldest changes, and
// says so.
func TestViewSlowReader(t *testing.T) {
	var out bytes.Buffer
	v := newViewer(newOutput(&out, func(error) {}))
	for i := range events.Seq(maxQueue + 1) {
		v.follow(setEvent(t, i+1, int32(i%9)))
	}
	if len(v.queue) > maxQueue {
		t.Errorf("%d changes wait, at most %d may", len(v.queue), maxQueue)
	}
	v.print()
	first, _, _ := strings.Cut(out.String(), "\n")
	if want := fmt.Sprintf("(%d changes are not shown", maxQueue/4); !strings.HasPrefix(first, want) {
		t.Errorf("it begins with %q, want %q", first, want)
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		line  string
		width int
		want  string
	}{{"short", 10, "short"}, {"exactly", 7, "exactly"}, {"länger als das", 6, "länge…"}, {"any", 0, ""}} {
		if got := fit(c.line, c.width); got != c.want {
			t.Errorf("fit(%q, %d) = %q, want %q", c.line, c.width, got, c.want)
		}
	}
}

// TestShortLine keeps the time and the object, which a terminal has room for.
func TestShortLine(t *testing.T) {
	e := story.Entry{Seq: 12, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local), Object: "ds/default/a", What: "ready 4/9"}
	if got, want := shortLine(e), "#12     03:04:05  ds/default/a  ready 4/9"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestProgress: nothing is told of what is quick, and how far it is of what is
// not.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var errs stopWriter
		s := &session{err: &errs, lines: true}
		(&session{err: &errs}).Progress("asking", nil) // who asks reads what is answered, and no more
		done := s.Progress("working", func() string { return "1 of 2" })
		<-time.After(progressEvery - 1)
		synctest.Wait()
		if text := errs.text(); text != "" {
			t.Errorf("it told %q too early", text)
		}
		<-time.After(progressEvery)
		synctest.Wait()
		done()
		done()
		if text := errs.text(); text != "working: 1 of 2\n" {
			t.Errorf("it told %q", text)
		}
	})
}

// finding U12: the rows that the last picture takes after the terminal was made
// narrower, so that nothing of it stays above the next.
func TestRowsOfAfterResize(t *testing.T) {
	lines := []string{strings.Repeat("x", 79), "", "agent"}
	for width, want := range map[int]int{200: 3, 80: 3, 79: 3, 40: 4, 20: 6} {
		if got := rowsOf(lines, width); got != want {
			t.Errorf("at %d columns: %d rows, want %d", width, got, want)
		}
	}
}
