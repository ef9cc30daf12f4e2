package datadir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/chain"
	"rollcall/events/files"
	"rollcall/events/stream"
)

// Options say whose log is kept, and who is told of it.
type Options struct {
	Dir      string
	Subjects events.Subjects
	Relaxed  bool                                                // a power cut may take what the server has not synced
	Warn     func(text string)                                   // of what is not well and no reason to stop
	Progress func(doing string, far func() string) (done func()) // nil: nobody is told
}

// Keeper is what an instance does for the log in its data directory besides
// writing it: it has checked it before the server could touch it, and keeps the
// witnesses that the next one checks it with. Its methods may be called from any
// goroutine once Begin has returned.
type Keeper struct {
	Options

	known  chain.Position // the end of the log when it was checked; Seq 0: there was none
	sealed sealing
	lost   bool // a power cut took the end of the log

	rescued []rescued // keyframes of a store that was damaged and is gone

	mu      sync.Mutex
	saved   chain.Position // that position.json has
	synced  chain.Position // the last that no power cut takes from the log
	marks   []mark         // positions that the server has not synced yet, oldest first
	unsaved chain.Position // that could not be saved, and is tried again; Seq 0: none
	stopped bool

	ackedMu sync.Mutex
	acked   *os.File   // the acknowledged file; nil: not open
	log     string     // the ID of the log whose positions the acknowledged file has
	last    events.Seq // the position that the acknowledged file has
	unnoted bool       // the user was told that a position could not be noted
}

// mark is how far the log had been read at a time.
type mark struct {
	time     time.Time
	position chain.Position
}

// syncedAfter is the age at which an event is on the disk for sure in relaxed
// mode: the server syncs every two minutes.
const syncedAfter = 150 * time.Second

// NewKeeper returns the keeper of a log that nobody has opened yet.
func NewKeeper(o Options) *Keeper {
	if o.Progress == nil {
		o.Progress = func(string, func() string) func() { return func() {} }
	}
	return &Keeper{Options: o}
}

func (k *Keeper) warn(format string, args ...any) { k.Warn(fmt.Sprintf(format, args...)) }

// Known returns the end of the log when it was checked; its Seq is 0 if there was
// no log.
func (k *Keeper) Known() chain.Position { return k.known }

// Lost reports whether a power cut has taken the end of the log.
func (k *Keeper) Lost() bool { return k.lost }

// Check is the Check of the embedded server: it reads the whole log and holds it
// against the witnesses. A log that is refused is left as it is. The half record
// that a power cut or a kill may leave at the end is taken away, and told, so
// that the server has nothing to mend.
func (k *Keeper) Check(ctx context.Context, dir string) error {
	k.Dir = dir
	c := &checker{dir: dir, subjects: k.Subjects, nameless: true}
	done := k.Progress("checking the log", c.far)
	defer done()
	l, err := c.check(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(blocks.CheckOthers(dir, k.Subjects), k.saveKeyframes(ctx, dir)); err != nil || l == nil {
		return err
	}
	done()
	if l.store.ID() == "" && l.end.Seq > 0 {
		k.warn("the log has lost its description; it is given another, and goes on from #%d", l.end.Seq)
	}
	if l.lost > 0 {
		k.warn("%s; it goes on from there", l.lostText())
	}
	if err := k.mend(l); err != nil {
		return fmt.Errorf("make the log ready: %w", err)
	}
	k.known, k.sealed.known, k.sealed.archived, k.lost = l.end, l.sealed(), l.report.Before > 0, l.lost > 0
	k.saved, k.synced = l.end, l.end
	return nil
}

// mend cuts what was never part of the log, takes away an index that knows what
// was lost, and syncs all files, since the run before may not have.
func (k *Keeper) mend(l *Checked) error {
	if t := l.report.Torn; t != nil {
		k.warn("cut off %s; it was never acknowledged", t)
		if err := os.Truncate(t.Path, t.Offset); err != nil {
			return err
		}
	}
	if l.store.ID() == "" { // the server would keep what is left of it
		for _, path := range []string{metaPath(k.Dir, k.Subjects), filepath.Join(blocks.StreamDir(k.Dir, k.Subjects), "meta.sum")} {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	if l.report.Known > l.report.Last {
		if err := os.Remove(l.store.IndexPath()); err != nil {
			return err
		}
	}
	if err := syncFiles(filepath.Dir(l.store.IndexPath())); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// syncFiles syncs the files of a directory and their names.
func syncFiles(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		f, openErr := os.Open(filepath.Join(dir, e.Name()))
		if openErr != nil {
			return openErr
		}
		err = errors.Join(err, f.Sync(), f.Close())
	}
	return errors.Join(err, files.SyncDir(dir))
}

// Begin holds the log that the server has opened against the one that was
// checked, and begins to note what is acknowledged.
func (k *Keeper) Begin(info events.Info) error {
	if info.Last != k.known.Seq {
		return &events.Error{Code: "E-LOG-REWRITTEN", What: fmt.Sprintf("the server has opened a log that ends at position %d", info.Last), Where: k.Dir,
			Why: fmt.Sprintf("position %d was read from its files before", k.known.Seq), Do: events.Repair, Exit: events.ExitHalt, Err: events.ErrRewritten}
	}
	k.known.Log, k.saved.Log, k.synced.Log, k.log, k.last = info.ID, info.ID, info.ID, info.ID, info.Last
	path := filepath.Join(k.Dir, ackedFile)
	err := files.Replace(path, ackedLine(k.log, k.last))
	if err == nil && (k.known.Seq > 0 || k.Relaxed) { // else a power cut could not be told from a loss
		err = errors.Join(savePosition(k.Dir, k.saved, k.synced, k.Relaxed), saveSealed(k.Dir, k.log, k.sealed.known))
	}
	if err == nil {
		k.acked, err = os.OpenFile(path, os.O_WRONLY, 0)
	}
	if err != nil {
		return fmt.Errorf("note the position in the data directory: %w", err)
	}
	return nil
}

// Watch reads the blocks that the server writes no more again and again, and ends
// with the error of one that is damaged.
func (k *Keeper) Watch(ctx context.Context) error {
	return k.sealed.watch(ctx, k.Dir, k.log, k.Subjects)
}

// Purge has the beginning of the log purged: the blocks of it are no witnesses any
// more.
func (k *Keeper) Purge(purge func() error) error { return k.sealed.purge(k.Dir, k.log, purge) }

// Save is the Save of the projector. A position that cannot be saved now is saved
// later: it is a witness, and no reason to stop an instance.
func (k *Keeper) Save(p chain.Position) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p.Seq < k.saved.Seq || k.stopped {
		return nil
	}
	k.advance(time.Now(), p)
	err := savePosition(k.Dir, p, k.synced, k.Relaxed)
	if err == nil {
		k.saved, k.unsaved = p, chain.Position{}
		return nil
	}
	if k.unsaved.Seq == 0 {
		k.warn("position %d could not be saved: %v; it is tried again", p.Seq, files.Reason(err))
		time.AfterFunc(time.Second, k.saveAgain)
	}
	k.unsaved = p
	return nil
}

// saveAgain tries to save the position that could not be saved, every second until
// it is.
func (k *Keeper) saveAgain() {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.unsaved
	if p.Seq == 0 || k.stopped {
		return
	}
	if err := savePosition(k.Dir, p, k.synced, k.Relaxed); err != nil {
		time.AfterFunc(time.Second, k.saveAgain)
		return
	}
	k.saved, k.unsaved = p, chain.Position{}
}

// advance notes a position that was read now, and takes for synced what was
// read so long ago that the server has synced it since.
func (k *Keeper) advance(now time.Time, p chain.Position) {
	if !k.Relaxed {
		k.synced = p
		return
	}
	k.marks = append(k.marks, mark{now, p})
	for len(k.marks) > 0 && now.Sub(k.marks[0].time) >= syncedAfter {
		k.synced, k.marks = k.marks[0].position, k.marks[1:]
	}
}

// End is called when the server has closed its files: they are synced, so that
// no power cut takes anything.
func (k *Keeper) End() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	k.ackedMu.Lock()
	defer k.ackedMu.Unlock()
	if k.acked == nil {
		return nil
	}
	err := k.acked.Close()
	k.acked = nil
	if k.Relaxed && k.saved.Seq > k.synced.Seq {
		if err = errors.Join(err, syncFiles(filepath.Join(blocks.StreamDir(k.Dir, k.Subjects), "msgs"))); err == nil {
			err = savePosition(k.Dir, k.saved, k.saved, true)
		}
	}
	return err
}

// acknowledge notes that an append was told a position.
func (k *Keeper) acknowledge(seq events.Seq) {
	k.ackedMu.Lock()
	defer k.ackedMu.Unlock()
	if seq <= k.last || k.acked == nil {
		return
	}
	_, err := k.acked.WriteAt(ackedLine(k.log, seq), 0)
	if err == nil {
		k.last, k.unnoted = seq, false
	} else if !k.unnoted {
		k.unnoted = true
		k.warn("acknowledged position %d could not be noted: %v", seq, files.Reason(err))
	}
}

// Log is a log whose appends are noted in the data directory before anybody is
// told of them: if the end of the log is lost later, that is noticed, however
// short it is.
type Log struct {
	*stream.Log
	Keeper *Keeper // nil: the log is in no data directory of ours
}

// Append implements events.Appender.
func (l Log) Append(ctx context.Context, es ...events.Entry) (events.Seq, error) {
	seq, err := l.Log.Append(ctx, es...)
	if err == nil && l.Keeper != nil {
		l.Keeper.acknowledge(seq)
	}
	return seq, err
}
