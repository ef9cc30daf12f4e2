package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/projector"
)

// TestDivergencesOfSilence: what is missing in a cluster is counted also if nothing has
// happened there any more since the log has what it has.
func TestDivergencesOfSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		subjects, err := events.NewSubjects("test")
		if err != nil {
			t.Fatal(err)
		}
		log := memlog.New(subjects, time.Now)
		labels := map[string]string{"app": "waits"}
		ds, err := events.NewObject(events.DaemonSet, &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "waits", UID: "ds-1", Generation: 1},
			Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}}})
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range []events.Event{
			{Type: events.Chartered, Body: events.Charter{Cluster: "ks", Version: "v1.36.3", Mode: events.Shadow, Budget: events.BudgetUpstream}},
			{Type: events.ObjectType(events.DaemonSet, events.VerbCreated), Body: ds},
		} {
			e.ID[15], e.Source, e.At = byte(i+1), "test", time.Now()
			if _, err := log.Append(ctx, events.Entry{Event: e}); err != nil {
				t.Fatal(err)
			}
		}
		complete := make(chan struct{})
		d := &divergences{complete: complete, heard: func() (time.Duration, bool) { return 0, true }, warn: func(text string) { t.Error(text) }}
		state := projector.Open(log, projector.Options{Follow: []func(events.Event){d.follow}})
		d.of(state)
		go func() { _ = state.Run(ctx) }()
		synctest.Wait()
		missing := func() (n float64) {
			d.tell(func(v float64, labels ...string) {
				if labels[0] == string(replay.Undone) {
					n += v
				}
			})
			return n
		}
		if n := missing(); n != 0 {
			t.Errorf("%v are missing before the log has what the cluster has", n)
		}
		close(complete)
		for range 20 {
			time.Sleep(5 * time.Second)
			missing()
		}
		if n := missing(); n != 1 {
			t.Errorf("%v are missing, want 1: the revision", n)
		}
	})
}

// TestWarner: a trouble is told once a minute, and that somebody has been told to end is none.
func TestWarner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		w := &warner{warn: func(string) { told++ }}
		w.report(fmt.Errorf("append: %w", context.Canceled))
		if told != 0 {
			t.Error("who ends is told to try again")
		}
		w.report(errors.New("refused"))
		w.report(errors.New("refused"))
		time.Sleep(time.Minute)
		w.report(errors.New("refused"))
		if told != 2 {
			t.Errorf("told %d times, want 2", told)
		}
	})
}
