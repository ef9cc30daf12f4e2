package play_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/controller/play"
	"rollcall/controller/replay"
	"rollcall/controller/simtest"
	"rollcall/events"
	"rollcall/events/recording"
	"rollcall/projector"
	"rollcall/projector/table"
)

func open(t *testing.T, name string) *recording.Recording {
	t.Helper()
	r, err := recording.Open(filepath.Join("..", "..", "testdata", "recordings", name+".rollcall"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func ask(t *testing.T, r *recording.Recording, q play.Question) (*play.WhatIf, play.Played) {
	t.Helper()
	s, err := events.NewSubjects(r.Manifest().Cluster)
	if err != nil {
		t.Fatal(err)
	}
	w, err := play.NewWhatIf(t.Context(), r, s, q)
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.Play(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return w, p
}

// TestPlayed: who asks is told how far each run is, to its last event.
func TestPlayed(t *testing.T) {
	r := open(t, "stuck-node")
	s, err := events.NewSubjects(r.Manifest().Cluster)
	if err != nil {
		t.Fatal(err)
	}
	var last [2]events.Seq
	played := func(run int, e events.Event) {
		if e.Seq != last[run]+1 || run == 0 && last[1] > 0 {
			t.Fatalf("run %d is at #%d after #%d", run, e.Seq, last[run])
		}
		last[run] = e.Seq
	}
	q := play.Question{From: 150, Longer: time.Hour}
	if _, err := play.Ask(t.Context(), r, s, q, nil, play.Runs{N: 2, Seed: 1, Played: played}); err != nil {
		t.Fatal(err)
	}
	if end := r.Manifest().Last.Seq; last[0] < end/2 || last[1] < end/2 {
		t.Errorf("the runs ended at %v, the record at #%d", last, end)
	}
}

var names = []string{"clean-roll", "bad-image", "stuck-node", "zone-outage", "second-update", "flapping-nodes"}

// TestNothingChanged: a question that changes nothing gives the record, byte for
// byte, of recordings and of histories in which much goes wrong.
func TestNothingChanged(t *testing.T) {
	logs := map[string]replay.Log{}
	for _, name := range names {
		logs[name] = open(t, name)
	}
	for seed := range uint64(12) {
		logs[fmt.Sprint("seed ", seed)] = simtest.Run(seed, simtest.Options{}).Log()
	}
	s, err := events.NewSubjects("demo")
	if err != nil {
		t.Fatal(err)
	}
	for name, log := range logs {
		w, err := play.NewWhatIf(t.Context(), log, s, play.Question{})
		if err != nil {
			t.Fatal(name, err)
		}
		p, err := w.Play(t.Context(), 1)
		if err != nil {
			t.Fatal(name, err)
		}
		next, stop := iter.Pull2(p.Log.Read(t.Context(), 0))
		n := events.Seq(0)
		for e, err := range log.Read(t.Context(), 0) {
			if err != nil {
				t.Fatal(name, err)
			}
			m, err, ok := next()
			if n = e.Seq; !ok || err != nil || !bytes.Equal(e.Raw, m.Raw) || !e.Stored.Equal(m.Stored) || e.Seq != m.Seq {
				t.Fatalf("%s: #%d is another event", name, e.Seq)
			}
		}
		stop()
		if w.Fork != n+1 || p.Applied+p.Skipped > 0 {
			t.Errorf("%s: fork #%d of %d, %d and %d from outside", name, w.Fork, n, p.Applied, p.Skipped)
		}
	}
}

// TestHistoriesGoOn: from the middle of histories in which much goes wrong the
// model runs to an end that is sound.
func TestHistoriesGoOn(t *testing.T) {
	s, err := events.NewSubjects("demo")
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(12) {
		log := simtest.Run(seed, simtest.Options{}).Log()
		info, err := log.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w, err := play.NewWhatIf(t.Context(), log, s, play.Question{From: info.Last / 2, Longer: time.Minute})
		if err != nil {
			t.Fatal(seed, err)
		}
		p, err := w.Play(t.Context(), 1)
		if err != nil {
			t.Fatal(seed, err)
		}
		st := projector.New("")
		for e, err := range p.Log.Read(t.Context(), 0) {
			if err != nil {
				t.Fatal(seed, err)
			}
			projector.Fold(st, e)
		}
		if err := st.Check(); err != nil || st.Seq() <= info.Last/2 {
			t.Errorf("seed %d: #%d of #%d, %v", seed, st.Seq(), info.Last, err)
		}
	}
}

// TestModel: from the first event on, with nothing changed, the model decides what
// was recorded, though nothing of the controller, the executor and the kubelets is
// copied: the same commands in the same order where no node fails. Of nodes that
// fail the record shows no delays, so that there only the rollouts are alike.
func TestModel(t *testing.T) {
	for _, name := range names {
		r := open(t, name)
		w, p := ask(t, r, play.Question{From: 1, Longer: time.Hour})
		d, err := w.FirstDifference(t.Context(), p.Log)
		if err != nil {
			t.Fatal(err)
		}
		if failing := name == "zone-outage" || name == "flapping-nodes"; !failing && d != nil || p.Applied < 25 || p.Skipped > 0 {
			t.Errorf("%s: %d applied, %d skipped, %+v", name, p.Applied, p.Skipped, d)
		}
		pairs, err := w.Pairs(t.Context(), p.Log)
		if err != nil || len(pairs) < 2 {
			t.Fatal(pairs, err)
		}
		for _, x := range pairs {
			if x.Recorded == nil || x.Model == nil {
				t.Errorf("%s: alone: %+v", name, x)
				continue
			}
			took, would := x.Recorded.End.Time.Sub(x.Recorded.Start.Time), x.Model.End.Time.Sub(x.Model.Start.Time)
			if (took-would).Abs() > 2*time.Second || x.Recorded.Restarted != x.Model.Restarted || x.Recorded.Ending != x.Model.Ending {
				t.Errorf("%s: %s took %s and %s, restarted %d and %d", name, x.Recorded, took, would, x.Recorded.Restarted, x.Model.Restarted)
			}
		}
	}
}

// set reads one --set.
func set(t *testing.T, text string) []play.Set {
	t.Helper()
	x, err := play.ParseSet(text, "kube-system")
	if err != nil {
		t.Fatal(err)
	}
	return []play.Set{x}
}

// second returns the second rollout of the DaemonSet of a recording, in record and
// model.
func second(t *testing.T, w *play.WhatIf, p play.Played) play.Pair {
	t.Helper()
	pairs, err := w.Pairs(t.Context(), p.Log)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range pairs {
		if x.Recorded != nil && x.Recorded.Revision == 2 {
			return x
		}
	}
	t.Fatalf("no second rollout in %+v", pairs)
	return play.Pair{}
}

// TestSet: a rollout that goes one node after the other goes faster with a larger
// budget, and takes more nodes at once; the failed node still holds it up.
func TestSet(t *testing.T) {
	r := open(t, "stuck-node")
	w, p := ask(t, r, play.Question{Sets: set(t, "node-agent.maxUnavailable=20%"), Longer: time.Hour})
	x := second(t, w, p)
	if w.Fork > 60 || x.Model == nil || x.Model.PeakUnavailable != 5 || x.Recorded.PeakUnavailable != 2 || len(x.Model.Waves) >= len(x.Recorded.Waves) {
		t.Errorf("fork #%d: %+v, was %+v", w.Fork, *x.Model, *x.Recorded)
	}
	d, err := w.FirstDifference(t.Context(), p.Log)
	if err != nil || d == nil || d.Recorded.Seq < w.Fork {
		t.Errorf("first difference %+v, %v", d, err)
	}
	if w, _ := ask(t, r, play.Question{Sets: set(t, "kube-system/node-agent.maxUnavailable=1")}); w.Fork != 439 {
		t.Errorf("a value that it has touches #%d", w.Fork)
	}
	w, p = ask(t, r, play.Question{Sets: set(t, "node-agent.maxUnavailable=5"), From: 150, Longer: time.Hour})
	if x := second(t, w, p); w.Fork != 150 || x.Model == nil || x.Model.PeakUnavailable != 5 || x.Model.Ending != "RolledOut" {
		t.Errorf("from #150 on: fork #%d, %+v", w.Fork, x.Model)
	}
}

// hasty is a log in which all happens a thousand times as fast.
type hasty struct{ replay.Log }

func (h hasty) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		for e, err := range h.Log.Read(ctx, after) {
			e.Stored = time.UnixMilli(0).Add(time.Duration(e.Stored.UnixNano()/1000) % time.Hour)
			if !yield(e, err) {
				return
			}
		}
	}
}

// TestPairs: a rollout is held against the one of the model that began when it did,
// also where others began within the same second, and none that was over.
func TestPairs(t *testing.T) {
	log := hasty{open(t, "second-update")}
	all, err := replay.RolloutsOf(t.Context(), log)
	if err != nil || len(all) != 3 || all[2].Start.Time.Sub(all[0].Start.Time) > time.Second {
		t.Fatal(all, err)
	}
	for i := range all {
		w := &play.WhatIf{Recorded: log, Fork: all[i].Start.Seq}
		pairs, err := w.Pairs(t.Context(), log)
		if err != nil || len(pairs) < len(all)-i {
			t.Fatal(pairs, err)
		}
		for _, p := range pairs {
			if p.Recorded == nil || p.Model == nil || p.Recorded.Start.Seq != p.Model.Start.Seq {
				t.Errorf("from #%d on %+v is held against %+v", w.Fork, p.Recorded, p.Model)
			}
		}
	}
}

// TestWithout: the second update of a rollout does not happen, so the first comes
// to its end; what others made cannot be left out.
func TestWithout(t *testing.T) {
	r := open(t, "second-update")
	w, _ := ask(t, r, play.Question{From: 1})
	pairs, err := w.Pairs(t.Context(), r)
	if err != nil || len(pairs) != 3 {
		t.Fatal(pairs, err)
	}
	last := pairs[2].Recorded.Start.Seq
	w, p := ask(t, r, play.Question{Without: []events.Seq{last}, Longer: time.Hour})
	x := second(t, w, p)
	if w.Fork != last || x.Recorded.Ending != "Superseded" || x.Model == nil || x.Model.Ending != "RolledOut" {
		t.Errorf("fork #%d: %+v, was %+v", w.Fork, x.Model, x.Recorded)
	}
	s, _ := events.NewSubjects("demo")
	if _, err := play.NewWhatIf(t.Context(), r, s, play.Question{Without: []events.Seq{last + 1}}); err == nil {
		t.Error("an event of the controller is left out")
	}
	for _, beyond := range []events.Seq{0, 1 << 40} {
		if _, err := play.NewWhatIf(t.Context(), r, s, play.Question{Without: []events.Seq{beyond}}); err == nil || !strings.Contains(err.Error(), "the log goes from #1") {
			t.Errorf("#%d is left out: %v", beyond, err)
		}
	}
}

// TestInsert: a rollout is paused by somebody who was not there, in the middle of
// it and before another change; and a DaemonSet comes that was never made.
func TestInsert(t *testing.T) {
	c := rolled(t, 10)
	pairs, err := replay.RolloutsOf(t.Context(), c.Log)
	if err != nil || len(pairs) != 2 {
		t.Fatal(pairs, err)
	}
	at := pairs[1].Waves[3].Point
	st, err := history(t, c).At(t.Context(), at.Seq)
	if err != nil {
		t.Fatal(err)
	}
	var ds appsv1.DaemonSet
	o, _, _ := st.Object(events.DaemonSet, agent)
	if err := o.Decode(&ds); err != nil {
		t.Fatal(err)
	}
	before := tree(t, &ds)
	metav1.SetMetaDataAnnotation(&ds.ObjectMeta, events.AnnotationPaused, "true")
	pause, err := play.NewIntent(events.DaemonSet, before, tree(t, &ds))
	if err != nil || !pause.Changes() || pause.New() {
		t.Fatal(err)
	}
	other := ds.DeepCopy()
	other.Name, other.UID, other.Generation, other.Annotations = "b", "", 1, nil
	other.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "b"}}
	other.Spec.Template.Labels = other.Spec.Selector.MatchLabels
	made, err := play.NewIntent(events.DaemonSet, nil, tree(t, other))
	if err != nil || !made.New() {
		t.Fatal(err)
	}
	m := replay.Moment{Point: at, Now: at.Time}
	w, err := play.NewWhatIf(t.Context(), c.Log, c.Subjects, play.Question{Inserts: []play.Insert{{Intent: pause, At: m}, {Intent: made, At: m}}, Longer: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.Play(t.Context(), 1)
	if err != nil || w.Fork != at.Seq+1 || p.Inserted != 2 || p.Skipped != 0 {
		t.Fatalf("fork #%d after #%d, %+v, %v", w.Fork, at.Seq, p, err)
	}
	all, err := w.Pairs(t.Context(), p.Log)
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	if x := all[0]; x.Model == nil || x.Model.Ending != "" || x.Model.Restarted >= x.Recorded.Restarted || len(x.Model.Waves) != 4 {
		t.Errorf("paused: %+v, was %+v", x.Model, x.Recorded)
	}
	if x := all[1]; x.Recorded != nil || x.Model.DaemonSet.Name != "b" || x.Model.Ending != "RolledOut" || x.Model.Nodes != 10 {
		t.Errorf("another: %+v", x.Model)
	}
}

// purged is a log of which only a part is left, and the state before it.
type purged struct {
	replay.Log
	keyframe []byte
	before   events.Seq
}

func (l purged) Info(ctx context.Context) (events.Info, error) {
	i, err := l.Log.Info(ctx)
	i.Before = l.before
	return i, err
}

func (l purged) Begin(context.Context) (*projector.State, error) {
	return projector.ReadKeyframe(l.keyframe, "", table.New(table.History{}))
}

func (l purged) Read(ctx context.Context, after events.Seq) iter.Seq2[events.Event, error] {
	if after < l.before {
		return func(yield func(events.Event, error) bool) { yield(events.Event{}, events.ErrGap) }
	}
	return l.Log.Read(ctx, after)
}

// TestPurged: a question to a log whose beginning is archived has the answer that
// the whole log gives.
func TestPurged(t *testing.T) {
	c := rolled(t, 20)
	all, err := replay.RolloutsOf(t.Context(), c.Log)
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	part := purged{Log: c.Log, before: all[1].Start.Seq - 2}
	st, err := history(t, c).At(t.Context(), part.before)
	if err != nil {
		t.Fatal(err)
	}
	if part.keyframe, err = st.Keyframe(); err != nil {
		t.Fatal(err)
	}
	q := play.Question{Sets: set(t, "x/a.maxUnavailable=5"), From: all[1].Start.Seq + 1, Longer: time.Hour}
	var models []*replay.Rollout
	for _, log := range []replay.Log{c.Log, part} {
		w, err := play.NewWhatIf(t.Context(), log, c.Subjects, q)
		if err != nil {
			t.Fatal(err)
		}
		p, err := w.Play(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		pairs, err := w.Pairs(t.Context(), p.Log)
		if err != nil || len(pairs) != 1 || pairs[0].Recorded == nil || pairs[0].Model == nil {
			t.Fatal(pairs, err)
		}
		if slow, err := w.Slowest(t.Context(), p.Log); err != nil || len(slow) != 3 {
			t.Error(slow, err)
		}
		if d, err := w.FirstDifference(t.Context(), p.Log); err != nil || d == nil {
			t.Error(d, err)
		}
		models = append(models, pairs[0].Model)
	}
	a, b := models[0], models[1]
	if a.Restarted != 20 || b.Restarted != 20 || a.PeakUnavailable != 5 || b.PeakUnavailable != 5 || a.Ending != b.Ending || a.Start != b.Start || a.Hash != b.Hash {
		t.Errorf("%+v and %+v", a, b)
	}
}

func TestParseSet(t *testing.T) {
	for _, text := range []string{"", "a", "a=1", "a.b=1", "x/a.maxUnavailable", ".maxUnavailable=1", "a.spec.x=", "a.metadata.name=b",
		"a.maxUnavailable=many", "a.maxUnavailable=-1", "a.maxUnavailable=101%", "a.maxUnavailable=1.5", "a.spec.updateStrategy.rollingUpdate.maxSurge=x",
		"a.minReadySeconds=-1", "a.minReadySeconds=1m", "a.updateStrategy=Recreate"} {
		if x, err := play.ParseSet(text, "x"); err == nil {
			t.Errorf("%q: %+v", text, x)
		}
	}
	for text, want := range map[string]string{"a.maxSurge=2": "ds/x/a.maxSurge=2", "a.maxUnavailable=100%": "ds/x/a.maxUnavailable=100%", "a.maxUnavailable=0": "ds/x/a.maxUnavailable=0",
		"a.updateStrategy=OnDelete": "ds/x/a.updateStrategy=OnDelete", "y/a.annotations.rollcall/partition=3": "ds/y/a.annotations.rollcall/partition=3"} {
		if x, err := play.ParseSet(text, "x"); err != nil || x.String() != want {
			t.Errorf("%q: %s, %v", text, x, err)
		}
	}
}

// TestLogGoesOn: what is appended after a history was first read is not of it.
func TestLogGoesOn(t *testing.T) {
	c := rolled(t, 3)
	w, err := play.NewWhatIf(t.Context(), c.Log, c.Subjects, play.Question{})
	if err != nil {
		t.Fatal(err)
	}
	last := c.State.Seq()
	now, _, _ := c.State.Object(events.DaemonSet, events.Key{Namespace: "x", Name: "a"})
	if _, err := c.Log.Append(t.Context(), events.Entry{Event: events.Event{ID: c.ID(), Type: "daemonset.deleted", Source: "api", At: c.Now(), Body: events.Gone{Ref: now.Ref}}}); err != nil {
		t.Fatal(err)
	}
	p, err := w.Play(t.Context(), 1)
	if err != nil || w.Fork != last+1 || p.Applied+p.Skipped > 0 {
		t.Errorf("fork #%d of %d, %d and %d from outside, %v", w.Fork, last, p.Applied, p.Skipped, err)
	}
}
