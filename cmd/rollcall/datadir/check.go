package datadir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/chain"
)

// Checked is a log of a stopped instance that was read whole and compared
// with all that its data directory knows of it.
type Checked struct {
	store   *blocks.Store
	report  blocks.Report
	blocks  []sealedBlock // of the report, with the running hash at the end of each
	witness witness
	end     chain.Position // of the log
	lost    events.Seq     // last position that a power cut took, as the mode allows; 0: none
}

// checker reads and compares the log of a data directory.
type checker struct {
	dir      string
	subjects events.Subjects
	whole    bool          // every record is read, also of blocks that have not changed since they were
	nameless bool          // a log without a description is taken, if nothing is known of it
	at       atomic.Uint64 // how far it is
}

func (c *checker) far() string { return fmt.Sprintf("%d events", c.at.Load()) }

// check reads every block of the log and compares it with the witnesses. The
// records of a block are not proved again that is, byte for byte, the one of which
// the witnesses say that they were. It returns nil if there is no stream and no witness of one, which is for the caller
// to refuse.
func (c *checker) check(ctx context.Context) (*Checked, error) {
	w, err := loadWitness(c.dir)
	if err != nil {
		return nil, err
	}
	store, err := c.open(w)
	if err != nil || store == nil {
		return nil, err
	}
	store.Relaxed = w.relaxed
	l := &Checked{store: store, witness: w}
	if id := store.ID(); w.position.Seq > 0 && id != w.position.Log && id != "" {
		return nil, events.Rewritten(w.position.Seq, fmt.Sprintf("the log was created again: it is %s and was %s", id, w.position.Log))
	}
	var b beginning
	if b.frames, err = c.pinned(ctx); err != nil {
		return nil, err
	}
	store.Archived = b.last()
	var known []blocks.Known
	if !c.whole && len(b.frames) == 0 {
		known = w.known(store.ID())
	}
	l.report, err = store.CheckKnown(ctx, known, blocks.Visit{
		Record: func(seq events.Seq, raw []byte) error {
			c.at.Store(uint64(seq))
			if b.take(store.ID(), seq, raw); b.read == nil {
				return nil
			}
			return w.meet(b.read.Position)
		},
		Block: func(x blocks.Block, skipped bool) error {
			if skipped {
				p, _ := w.sealed[len(l.blocks)].end(store.ID()) // it is known
				b.read = chain.From(p)
				c.at.Store(uint64(p.Seq))
			}
			l.blocks = append(l.blocks, seal(x, b.read))
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	if err := b.check(l.report.Before, c.dir); err != nil {
		return nil, err
	}
	if l.end.Log = store.ID(); b.read != nil {
		l.end = b.read.Position
	}
	if err := l.compareEnd(); err != nil {
		return nil, err
	}
	return l, l.compareSealed()
}

// meet compares the running hash at a position with the one that an earlier run
// had there.
func (w witness) meet(p chain.Position) error {
	for _, known := range []chain.Position{w.synced, w.position} {
		if p.Seq == known.Seq && p.Chain != known.Chain {
			return events.Rewritten(p.Seq, "the running hash over the events up to there is another than "+PositionFile+" has")
		}
	}
	return nil
}

// compareEnd refuses a log that ends before a position which it has had, but
// for what a power cut may take in relaxed mode.
func (l *Checked) compareEnd() error {
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
func (l *Checked) lostText() string {
	what := fmt.Sprintf("position %d was lost", l.lost)
	if from := l.report.Last + 1; from < l.lost {
		what = fmt.Sprintf("positions %d to %d were lost", from, l.lost)
	}
	return fmt.Sprintf("the log ends at #%d: %s with the power, as --durability relaxed allows", l.report.Last, what)
}

// open opens the files of the stream. If they are gone, or have lost their
// description, it says what the witnesses know of the log; nil: nothing.
func (c *checker) open(w witness) (*blocks.Store, error) {
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
		// The server was killed while it made the stream, or the user has
		// followed the advice of namelessError.
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

// begun reports whether the cluster was given its nodes, so that there has been a
// log.
func (c *checker) begun() bool {
	f, found, err := LoadFounding(c.dir)
	return err == nil && found && f.Added && f.Nodes > 0 && f.Cluster == c.subjects.Cluster()
}

func (c *checker) remembers(w witness) string {
	if last, _ := w.last(); w.of(c.subjects.Stream()) {
		return fmt.Sprintf("the data directory knows position %d", last)
	}
	return clusterFile + " knows the nodes"
}

// namelessError refuses a log that has lost its description, and says how many of
// its events are left.
func (c *checker) namelessError(e *events.Error) error {
	store, err := blocks.OpenNameless(c.dir, c.subjects)
	if err != nil {
		return err
	}
	rep, err := store.Check(context.Background(), nil)
	if err != nil {
		return err
	}
	e.Exit = events.ExitHalt
	e.Why += fmt.Sprintf("; its %d events are whole", rep.Last)
	e.Do += fmt.Sprintf(", or remove meta.inf, meta.sum, %s, %s and %s: up then gives the log a new identity and goes on", PositionFile, ackedFile, sealedFile)
	return e
}

// Reading says how a log is opened that nobody writes.
type Reading struct {
	Begun func(far func() string) (done func()) // is called when the check begins, with how far it is
	Whole bool                                  // every record is proved again
}

// Open reads the log of a directory on which no instance runs, straight from its
// files. It starts nothing and writes nothing, and has read and compared the
// whole log when it returns.
func Open(ctx context.Context, dir string, subjects events.Subjects, r Reading) (*Checked, error) {
	c := &checker{dir: dir, subjects: subjects, whole: r.Whole}
	defer r.Begun(c.far)()
	l, err := c.check(ctx)
	if err == nil && l == nil {
		err = &events.Error{Code: "E-STREAM-NONE", What: "there is no stream " + subjects.Stream(), Where: dir,
			Do: "name the cluster that the log was made for, or make one with rollcall up", Exit: events.ExitInput}
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// End returns the end of the log.
func (l *Checked) End() chain.Position { return l.end }

// Store returns the log.
func (l *Checked) Store() *blocks.Store { return l.store }

// Warnings say what the log has lost, or what at its end was never part of it.
func (l *Checked) Warnings() (all []string) {
	if l.lost > 0 {
		all = append(all, l.lostText())
	}
	if l.report.Torn != nil {
		all = append(all, fmt.Sprintf("left out %s, which was never acknowledged", l.report.Torn))
	}
	return all
}

// Text says what the log was compared with.
func (l *Checked) Text() string {
	w := l.witness
	if w.position.Seq == 0 && w.acked == 0 {
		return fmt.Sprintf("every record is whole; the data directory has no %s, so that nothing tells whether the log had more", PositionFile)
	}
	mode := modeSync
	if w.relaxed {
		mode = modeRelaxed
	}
	upTo := w.position.Seq
	if l.lost > 0 {
		upTo = w.synced.Seq
	}
	text := fmt.Sprintf("every record is whole, up to #%d the log is the one that was read before (%s, %s)", upTo, PositionFile, mode)
	if w.acked > w.position.Seq && l.lost == 0 {
		text += fmt.Sprintf(", and it holds what was acknowledged up to #%d", w.acked)
	}
	return text
}
