package play

import (
	"context"
	"time"

	"rollcall/controller/replay"
	"rollcall/events"
)

// Answer is what a history would have become, beside what it was.
type Answer struct {
	Fork            events.Seq         `json:"modelFrom"` // the first position of the model
	Changed         []string           `json:"changed,omitempty"`
	Delays          map[string]int     `json:"delaysSeen"`
	Applied         int                `json:"eventsFromOutside"`
	Skipped         int                `json:"skipped"`
	Inserted        int                `json:"inserted"`
	Rollouts        []Pair             `json:"rollouts"` // of the first run
	Runs            [][]*time.Duration `json:"tookNanoseconds"`
	Slowest         []Slow             `json:"slowestRecorded"`
	ModelSlowest    []Slow             `json:"slowestModel"`
	FirstDifference *Parting           `json:"firstDifference"`
}

// Ask plays a history again so many times, with other delays each time, and tells
// what is otherwise. changed is what was asked for, in words.
func Ask(ctx context.Context, log replay.Log, subjects events.Subjects, q Question, changed []string, runs Runs) (*Answer, error) {
	w, err := NewWhatIf(ctx, log, subjects, q)
	if err != nil {
		return nil, err
	}
	a := &Answer{Fork: w.Fork, Changed: changed, Delays: map[string]int{}}
	for _, what := range []string{"bind", "start", "stop"} {
		a.Delays[what] = w.Delays.Seen(what)
	}
	for run := range runs.N {
		if runs.Played != nil {
			w.played = func(e events.Event) { runs.Played(run, e) }
		}
		p, err := w.Play(ctx, runs.Seed+int64(run))
		if err != nil {
			return nil, err
		}
		pairs, err := w.Pairs(ctx, p.Log)
		if err != nil {
			return nil, err
		}
		if run == 0 {
			a.Rollouts, a.Applied, a.Skipped, a.Inserted = append([]Pair{}, pairs...), p.Applied, p.Skipped, p.Inserted
			if err := a.compare(ctx, w, p); err != nil {
				return nil, err
			}
		}
		a.add(pairs)
	}
	return a, nil
}

// Runs are how often to play, and the seed of the first delays.
type Runs struct {
	N    int
	Seed int64
	// Played, if it is there, is called with every event that a run, counted from 0,
	// comes past: those of the record that it takes as they are, and its own.
	Played func(run int, e events.Event)
}

// compare tells of the nodes and the plans of a run.
func (a *Answer) compare(ctx context.Context, w *WhatIf, p Played) (err error) {
	if a.Slowest, err = w.Slowest(ctx, w.Recorded); err != nil {
		return err
	}
	if a.ModelSlowest, err = w.Slowest(ctx, p.Log); err != nil {
		return err
	}
	a.Slowest, a.ModelSlowest = append([]Slow{}, a.Slowest...), append([]Slow{}, a.ModelSlowest...)
	a.FirstDifference, err = w.FirstDifference(ctx, p.Log)
	return err
}

// add notes how long the rollouts of a run took; nil: it has no end, or none there.
func (a *Answer) add(pairs []Pair) {
	took := []*time.Duration{}
	for i := range a.Rollouts {
		took = append(took, nil)
		if i < len(pairs) && pairs[i].Model != nil && pairs[i].Model.End.Seq > 0 {
			d := pairs[i].Model.End.Time.Sub(pairs[i].Model.Start.Time)
			took[i] = &d
		}
	}
	a.Runs = append(a.Runs, took)
}
