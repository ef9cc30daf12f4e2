package scenario_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"rollcall/controller"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/drive/drivetest"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/projector/story"
	"rollcall/projector/table"
	"rollcall/publisher/executor"
)

// namespace is where every DaemonSet of a conversation is, unless its name says otherwise.
const namespace = "default"

// smallWorld is up to how many nodes every single event is checked, and
// shortLog up to how many events a log is folded again after every command.
const (
	smallWorld = 30
	shortLog   = 200
)

// world is one conversation: a log, its fold, and a clock that stands still.
type world struct {
	t     *testing.T
	where string // file, line and command, for failures
	out   strings.Builder

	subjects events.Subjects
	log      *memlog.Log
	state    *projector.State
	start    time.Time
	now      time.Time
	ids      uint64
	plans    int
	woken    map[events.Key]bool
	brief    bool // print plans only

	executor *executor.Executor
	cast     *cast

	rivals  map[string]rival
	noticer *story.Noticer
	notices []story.Notice // not printed yet

	podNames  map[types.UID]string
	everyPod  []called       // that has another name than in the log
	letters   map[string]int // pods so far, by node
	revNames  map[string]string
	lifetimes map[string]int // incarnations so far, by kind and name
}

func newWorld(t *testing.T) *world {
	subjects, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := &world{t: t, subjects: subjects, start: start, now: start, woken: map[events.Key]bool{},
		podNames: map[types.UID]string{}, letters: map[string]int{}, revNames: map[string]string{}, lifetimes: map[string]int{}}
	w.log = memlog.New(subjects, func() time.Time { return w.now })
	w.state, w.noticer, w.cast = projector.New("test"), story.NewNoticer(), &cast{}
	w.startExecutor()
	return w
}

func (w *world) fatal(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s: %s", w.where, fmt.Sprintf(format, args...))
}

func (w *world) printf(format string, args ...any) { fmt.Fprintf(&w.out, format+"\n", args...) }

// key reads a name, which may have a namespace before a slash.
func key(name string) events.Key {
	if ns, n, ok := strings.Cut(name, "/"); ok {
		return events.Key{Namespace: ns, Name: n}
	}
	return events.Key{Namespace: namespace, Name: name}
}

// uid returns the uid of the present or, if anew, of the next incarnation.
func (w *world) uid(kind, name string, anew bool) types.UID {
	k := kind + " " + name
	if anew || w.lifetimes[k] == 0 {
		w.lifetimes[k]++
	}
	return types.UID(fmt.Sprintf("%s-%s-%d", kind, strings.ReplaceAll(name, "/", "-"), w.lifetimes[k]))
}

// append appends e, which has no id yet, and folds it.
func (w *world) append(e events.Entry) events.Seq {
	w.t.Helper()
	e.ID = w.nextID()
	if e.At.IsZero() {
		e.At = w.now
	}
	seq, err := drivetest.At(e.At, w.log).Submit(w.t.Context(), e)
	if err != nil {
		w.fatal("append %s: %v", e.Type, err)
	}
	w.follow()
	return seq
}

// follow folds what is in the log, and checks the state, and that whoever has
// something else to do since is woken.
func (w *world) follow() {
	w.t.Helper()
	small := w.state.NodeCount() <= smallWorld
	var before map[events.Key]string
	if small {
		before = w.decisions()
	}
	dirty := w.take()
	if small {
		w.check()
		w.wakes(before, dirty)
		w.timers()
	}
}

// timers fails if a decision changes with time alone and did not ask to be made
// again by then (A12, G05, L03, L04).
func (w *world) timers() {
	w.t.Helper()
	for _, k := range w.names() {
		res := controller.Reconcile(w.state, k, w.now)
		until := w.now.Add(24 * time.Hour)
		if !res.RequeueAt.IsZero() {
			until = res.RequeueAt.Add(-1)
		}
		later := controller.Reconcile(w.state, k, until)
		if is, was := w.describe(later), w.describe(res); is != was {
			w.fatal("after #%d the decision for %s changes by %s, and it asked to be made again at %v, from\n%s\nto\n%s",
				w.state.Seq(), k, until.Sub(w.now), res.RequeueAt, was, is)
		}
	}
}

// check fails if what the state keeps up to date is not what its objects say. At
// one of eight positions it also fails if a keyframe does not say all of it.
func (w *world) check() {
	w.t.Helper()
	if err := w.state.Check(); err != nil {
		w.fatal("after #%d the state is not what its objects give:\n%v", w.state.Seq(), err)
	}
	if w.state.Seq()%8 != 0 {
		return
	}
	data, err := w.state.Keyframe()
	if err != nil {
		w.fatal("%v", err)
	}
	back, err := projector.ReadKeyframe(data, "", table.New(table.History{}))
	if err == nil {
		err = back.Check()
	}
	if err != nil {
		w.fatal("the keyframe after #%d: %v", w.state.Seq(), err)
	}
	if again, err := back.Keyframe(); err != nil || !bytes.Equal(again, data) {
		w.fatal("the keyframe after #%d is another when it is written again: %v", w.state.Seq(), err)
	}
}

// names returns the name of every DaemonSet that there is, or that was deleted
// and is not done with.
func (w *world) names() []events.Key {
	var ks []events.Key
	for _, d := range w.state.DaemonSets() {
		ks = append(ks, d.Key)
	}
	for name := range w.lifetimes {
		if n, ok := strings.CutPrefix(name, "ds "); ok && len(w.state.DeletedSets(key(n))) > 0 {
			ks = append(ks, key(n))
		}
	}
	slices.SortFunc(ks, events.Key.Compare)
	return slices.Compact(ks)
}

// decisions returns what is decided now for every DaemonSet.
func (w *world) decisions() map[events.Key]string {
	m := map[events.Key]string{}
	for _, k := range w.names() {
		m[k] = w.describe(controller.Reconcile(w.state, k, w.now))
	}
	return m
}

// wakes fails if an event changed a decision and woke nobody to make it (A05, S08, T07).
func (w *world) wakes(before map[events.Key]string, dirty []events.Key) {
	w.t.Helper()
	for k, now := range w.decisions() {
		if was, known := before[k]; !slices.Contains(dirty, k) && known && was != now {
			w.fatal("event #%d changed the decision for %s without waking it, from\n%s\nto\n%s", w.state.Seq(), k, was, now)
		}
	}
}

// fold takes one event in.
func (w *world) fold(e events.Event) {
	e = projector.Fold(w.state, e)
	w.notices = append(w.notices, w.noticer.Observe(e)...)
	w.observe(e)
	w.executor.Observe(e, w.now)
}

// observe gives names to what an event brings, and takes over plans and answers.
func (w *world) observe(e events.Event) {
	switch b := e.Body.(type) {
	case *events.Plan:
		w.plans++
	case events.Object:
		switch b.Kind {
		case events.Pod:
			w.nameOfPod(b.Key)
		case events.ControllerRevision:
			if r := w.state.Revision(b.Key); r != nil {
				w.nameRevision(r.Hash)
			}
		}
	}
}

func (w *world) nameRevision(hash string) {
	if w.revNames[hash] == "" {
		w.revNames[hash] = string(rune('A' + len(w.revNames)))
	}
}

// finish decides every plan again, and folds the log from its start.
func (w *world) finish() {
	if w.t.Failed() {
		return
	}
	// The context of the test is done when its clean-up runs.
	ctx := context.WithoutCancel(w.t.Context())
	again, err := replay.Verify(ctx, w.log)
	switch {
	case err != nil:
		w.t.Errorf("%s: verify: %v", w.where, err)
	case len(again.Differences) > 0:
		w.t.Errorf("%s: decided again, a plan is another: %s", w.where, again.First())
	case again.Equal != w.plans:
		w.t.Errorf("%s: %d plans were verified, %d are in the log", w.where, again.Equal, w.plans)
	}
	w.refold(ctx)
}

// refold folds the log from its start, as a controller does that starts again,
// and fails if that gives another picture (N14, U12).
func (w *world) refold(ctx context.Context) {
	w.t.Helper()
	was, folded := w.decisions(), w.state
	w.state = projector.New("test")
	for e, err := range w.log.Read(ctx, 0) {
		if err != nil {
			w.t.Fatalf("%s: read again: %v", w.where, err)
		}
		projector.Fold(w.state, e)
	}
	w.check()
	for _, k := range w.names() {
		if is := w.describe(controller.Reconcile(w.state, k, w.now)); is != was[k] {
			w.t.Errorf("%s: folded again, the decision for %s is\n%s\nand was\n%s", w.where, k, is, was[k])
		}
	}
	if is, was := w.state.Position(), folded.Position(); is != was {
		w.t.Errorf("%s: folded again, the position is %v and was %v", w.where, is, was)
	}
}
