package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/projector"
)

// checkedLog is a log of a stopped instance that was read whole and compared
// with all that its data directory knows of it.
type checkedLog struct {
	store   *blocks.Store
	report  blocks.Report
	witness witness
	end     projector.Position // of the log
	lost    events.Seq         // last position that a power cut took, as the mode allows; 0: none
}

// logChecker reads and compares the log of a data directory.
type logChecker struct {
	dir      string
	subjects events.Subjects
	nameless bool          // a log without a description is taken, if nothing is known of it
	at       atomic.Uint64 // how far it is
}

func (c *logChecker) far() string { return fmt.Sprintf("%d events", c.at.Load()) }

// check reads every block. It returns nil if there is no stream and nobody
// knows of one, which is for the caller to refuse.
func (c *logChecker) check(ctx context.Context) (*checkedLog, error) {
	w, err := loadWitness(c.dir)
	if err != nil {
		return nil, err
	}
	store, err := c.open(w)
	if err != nil || store == nil {
		return nil, err
	}
	store.Relaxed = w.relaxed
	l := &checkedLog{store: store, witness: w}
	if id := store.ID(); w.position.Seq > 0 && id != w.position.Log && id != "" {
		return nil, events.Rewritten(w.position.Seq, fmt.Sprintf("the log was created again: it is %s and was %s", id, w.position.Log))
	}
	chain := projector.NewChain(store.ID())
	l.report, err = store.Check(ctx, func(seq events.Seq, _ time.Time, raw []byte) error {
		chain.Take(seq, raw)
		c.at.Store(uint64(seq))
		return w.meet(chain.Position())
	})
	if err != nil {
		return nil, err
	}
	l.end = chain.Position()
	return l, firstError(l.compareEnd(), l.compareSealed())
}

// meet compares what was read up to a position with what was read there before.
func (w witness) meet(p projector.Position) error {
	for _, known := range []projector.Position{w.synced, w.position} {
		if p.Seq == known.Seq && p.Chain != known.Chain {
			return events.Rewritten(p.Seq, "the running hash over the events up to there is another than "+positionFile+" has")
		}
	}
	return nil
}

// compareEnd refuses a log that ends before a position which it has had, but
// for what a power cut may take in relaxed mode.
func (l *checkedLog) compareEnd() error {
	last, how := l.witness.last()
	if l.report.Known > last {
		last, how = l.report.Known, fmt.Sprintf("%s has seen position %d", l.store.IndexPath(), l.report.Known)
	}
	switch {
	case last <= l.report.Last:
		return nil
	case l.witness.relaxed && l.report.Last >= l.witness.synced.Seq:
		l.lost = last
		return nil
	}
	err := events.Truncated(last, l.report.Last)
	err.Where = how
	return err
}

// lostText says what a power cut took.
func (l *checkedLog) lostText() string {
	what := fmt.Sprintf("position %d was lost", l.lost)
	if from := l.report.Last + 1; from < l.lost {
		what = fmt.Sprintf("positions %d to %d were lost", from, l.lost)
	}
	return fmt.Sprintf("the log ends at #%d: %s with the power, as --durability relaxed allows", l.report.Last, what)
}

// open opens the stream's files, or says what its loss means.
func (c *logChecker) open(w witness) (*blocks.Store, error) {
	store, err := blocks.Open(c.dir, c.subjects)
	var e *events.Error
	if !errors.As(err, &e) || e.Code != "E-STREAM-NONE" {
		return store, err
	}
	stream := c.subjects.Stream()
	known := w.of(stream)
	if !errors.Is(err, blocks.ErrNameless) {
		if !known && !c.begun() {
			return nil, nil
		}
		e.Why, e.Exit = "its directory is gone, and "+c.remembers(w)+" of its log", events.ExitHalt
		e.Do = events.Repair
		return nil, e
	}
	if c.nameless && !known {
		// It was killed while it made the stream, or its user has followed the
		// advice of namelessError.
		store, bad := blocks.OpenNameless(c.dir, c.subjects)
		if _, missing := os.Stat(metaPath(c.dir, c.subjects)); bad != nil || store.Size() == 0 || errors.Is(missing, os.ErrNotExist) {
			return store, bad
		}
	}
	return nil, c.namelessError(e)
}

func metaPath(dir string, s events.Subjects) string {
	return filepath.Join(blocks.StreamDir(dir, s), "meta.inf")
}

// begun reports whether the cluster was given its nodes.
func (c *logChecker) begun() bool {
	f, found, err := loadFounding(c.dir)
	return err == nil && found && f.Added && f.Nodes > 0 && f.Cluster == c.subjects.Cluster()
}

func (c *logChecker) remembers(w witness) string {
	if last, _ := w.last(); w.of(c.subjects.Stream()) {
		return fmt.Sprintf("the data directory knows position %d", last)
	}
	return clusterFile + " knows the nodes"
}

// namelessError says what is left of a log that has lost its description.
func (c *logChecker) namelessError(e *events.Error) error {
	store, err := blocks.OpenNameless(c.dir, c.subjects)
	if err != nil {
		return err
	}
	rep, err := store.Check(context.Background(), nil)
	if err != nil {
		return err
	}
	e.Exit = events.ExitHalt
	e.Why += fmt.Sprintf("; its %s are whole", plural(int(rep.Last), "event"))
	e.Do += fmt.Sprintf(", or remove meta.inf, meta.sum, %s, %s and %s: up then gives the log a new identity and goes on", positionFile, ackedFile, sealedFile)
	return e
}

// noStream is the refusal of a directory without the log that is asked for.
func noStream(dir string, subjects events.Subjects) error {
	return &events.Error{Code: "E-STREAM-NONE", What: "there is no stream " + subjects.Stream(), Where: dir,
		Do: "name the cluster that the log was made for, or make one with rollcall up", Exit: events.ExitInput}
}
