package executor_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/memlog"
	"rollcall/publisher/executor"
)

// mute is a log whose tail brings nothing until it is opened.
type mute struct {
	*memlog.Log
	open chan struct{}
}

func (l mute) Tail(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		select {
		case <-l.open:
			l.Log.Tail(ctx, after)(yield)
		case <-ctx.Done():
			yield(events.Event{}, ctx.Err())
		}
	}
}

// late is a world that cannot be reached before a time.
type late struct {
	executor.LogWorld
	from time.Time
}

func (w late) Create(ctx context.Context, c executor.Creation) (*corev1.Pod, error) {
	if time.Now().Before(w.from) {
		return nil, errors.New("connection refused")
	}
	return w.LogWorld.Create(ctx, c)
}

// An executor that has not heard from the log for longer than a log remembers
// ids does not act before it has read what it missed.
func TestDriveDoesNotActOnOldNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.plan(create("agent-1", "a"), create("agent-2", "b"))
		l := mute{b.log, make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- drive.Drive(ctx, l, drive.Options{}, executor.New(b.s, late{from: time.Now().Add(10 * time.Minute)}))
		}()
		synctest.Wait()
		// Another executor answers; the log has forgotten the id since.
		_, err := b.log.Append(ctx, events.Entry{Event: events.Event{ID: b.id(), Type: events.Failed, Source: "rival",
			Cause: events.Cause{Seq: 5}, Body: events.Outcome{Owner: events.Ref{Kind: events.DaemonSet, Key: dsKey, UID: "ds-1"}, Reason: "Forbidden"}}})
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		b.want("5/0 command.failed Forbidden")
		close(l.open)
		<-time.After(time.Hour)
		b.want("5/0 command.failed Forbidden", "5/1 pod.created")
		cancel()
		<-done
	})
}

// slow is a world that makes no pod before it is let, and tells of what it ends.
type slow struct {
	executor.LogWorld
	let, ended chan struct{}
}

func (w slow) Create(ctx context.Context, c executor.Creation) (*corev1.Pod, error) {
	select {
	case <-w.let:
		return w.LogWorld.Create(ctx, c)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w slow) Delete(ctx context.Context, d executor.Deletion) (*corev1.Pod, bool, error) {
	close(w.ended)
	return w.LogWorld.Delete(ctx, d)
}

// However many pods are to be made, one that is to be ended does not wait for them.
func TestCreatesAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.put(events.Pod, events.VerbCreated, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: dsKey.Namespace, Name: "old", UID: uidOf("old")}, Spec: corev1.PodSpec{NodeName: "b"}})
		const n = 4 * events.MaxCommands
		for i := range n / events.MaxCommands {
			var many []events.Command
			for j := range events.MaxCommands {
				many = append(many, create(fmt.Sprintf("agent-%d-%d", i, j), "a"))
			}
			b.plan(many...)
		}
		b.plan(do(events.DeletePod, "old", "b"))
		w := slow{let: make(chan struct{}), ended: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		x := executor.New(b.s, w)
		go func() { done <- drive.Drive(ctx, b.log, drive.Options{}, x) }()
		synctest.Wait()
		select {
		case <-w.ended:
		default:
			t.Error("a deletion waits behind all creates")
		}
		close(w.let)
		synctest.Wait()
		cancel()
		<-done
		made := 0
		for _, e := range b.all() {
			if e.Type == "pod.created" && e.Source == "executor" {
				made++
			}
		}
		if made != n {
			t.Errorf("%d pods of %d are made", made, n)
		}
	})
}

// unsure is a log that does not know its end for some time.
type unsure struct {
	*memlog.Log
	from, to time.Time
}

func (l unsure) Info(ctx context.Context) (events.Info, error) {
	if now := time.Now(); now.After(l.from) && now.Before(l.to) {
		return events.Info{}, errors.New("no answer")
	}
	return l.Log.Info(ctx)
}

// What is tried again is reported, and goes on when the trouble is over.
func TestDriveReportsTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.plan(create("agent-1", "a"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		reports := map[string]int{}
		go func() {
			done <- drive.Drive(ctx, unsure{b.log, time.Now(), time.Now().Add(5 * time.Minute)},
				drive.Options{Report: func(err error) { reports[err.Error()]++ }},
				executor.New(b.s, late{from: time.Now().Add(2 * time.Minute)}))
		}()
		<-time.After(time.Hour)
		cancel()
		<-done
		b.want("5/0 pod.created")
		asked, refused := 0, 0
		for text, n := range reports {
			if strings.HasPrefix(text, "ask the log for its end") {
				asked += n
			}
			if strings.HasPrefix(text, "CreatePod Pod logging/agent-1") {
				refused += n
			}
		}
		if asked == 0 || refused == 0 || asked > 400 {
			t.Errorf("reports %v", reports)
		}
	})
}
