package play_test

import (
	"testing"
	"time"

	"rollcall/controller/play"
	"rollcall/events"
)

// hold places a hold for so long.
func hold(t testing.TB, c *play.Cluster, name string, of events.Select, lasts time.Duration) events.Hold {
	t.Helper()
	told := &events.Told{Source: "calendar", ID: name, Type: string(events.HoldPlaced)}
	h := events.Hold{Owner: told.Source, Name: name, Reason: "release day", Select: of, Until: c.Now().Add(lasts)}
	_, err := c.Log.Append(t.Context(), events.Entry{Event: events.Event{ID: events.ToldID(told.Source, "", told.ID), Type: events.HoldPlaced, Source: "gate", At: c.Now(), Told: told, Body: h}})
	if err == nil {
		err = c.Observe(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestForesightOfHolds: a rollout begins when the hold ends that stands when it is
// written; nodes that are held for longer than is played are blocked; and what is
// foreseen happens.
func TestForesightOfHolds(t *testing.T) {
	c := steady(t)
	node := c.State.DaemonSet(agent).AllCells()[0].Node
	set := hold(t, c, "freeze", events.Select{DaemonSets: []events.Key{agent}}, 10*time.Minute)
	hold(t, c, "disk", events.Select{Nodes: []string{node}}, 24*time.Hour)
	hold(t, c, "elsewhere", events.Select{Namespaces: []string{"another"}}, 24*time.Hour)
	i, ds := newImage(t, c)
	o := foresee(t, c, i, play.Terms{Longer: time.Hour})
	if len(o.Holds) != 2 || o.Holds[0].ID != "calendar/disk" || len(o.Holds[0].Nodes) != 1 || o.Holds[1].ID != "calendar/freeze" || o.Holds[1].Nodes != nil {
		t.Errorf("holds %+v", o.Holds)
	}
	if left := set.Until.Sub(c.Now()); len(o.Waves) == 0 || (o.Waves[0].After-left).Abs() > time.Second {
		t.Errorf("waves %+v, want the first after %s", o.Waves, left)
	}
	if len(o.Blocked) != 1 || o.Blocked[0].Says != "calendar/disk: release day" || len(o.Updated) != o.Nodes-1 || o.Took != nil {
		t.Errorf("blocked %+v, %d of %d updated", o.Blocked, len(o.Updated), o.Nodes)
	}
	write(t, c, events.DaemonSet, events.VerbUpdated, ds)
	run(t, c, 20*time.Minute)
	if n := c.State.DaemonSet(agent).Counts; n.Updated != o.Nodes-1 {
		t.Errorf("it came otherwise: %+v", n)
	}
}

// TestWhatIfWithHolds: a hold holds in a model as it did in the record, and one that
// is left out does not.
func TestWhatIfWithHolds(t *testing.T) {
	c := steady(t)
	set := hold(t, c, "freeze", events.Select{DaemonSets: []events.Key{agent}}, 10*time.Minute)
	at := c.State.Seq()
	_, ds := newImage(t, c)
	write(t, c, events.DaemonSet, events.VerbUpdated, ds)
	run(t, c, 20*time.Minute)
	for without, held := range map[events.Seq]bool{0: true, at: false} {
		q := play.Question{From: at}
		if without > 0 {
			q.Without = []events.Seq{without}
		}
		w, err := play.NewWhatIf(t.Context(), c.Log, c.Subjects, q)
		if err != nil {
			t.Fatal(err)
		}
		p, err := w.Play(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		steps := 0
		for e, err := range p.Log.Read(t.Context(), at) {
			if err != nil {
				t.Fatal(err)
			}
			plan, ok := e.Body.(*events.Plan)
			if !ok || len(plan.Commands) == 0 {
				continue
			}
			steps++
			if got := !e.Stored.Before(set.Until); got != held {
				t.Errorf("without %d: the first step is at %s", without, e.Stored)
			}
			break
		}
		if steps == 0 {
			t.Errorf("without %d: no step", without)
		}
	}
}
