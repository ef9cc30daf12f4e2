package datadir

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/blocks/blockstest"
	"rollcall/events/chain"
)

// damages is how many times a store is damaged; everyBit flips all bits of a
// small one instead (task damage).
var (
	damages  = flag.Int("damages", 2000, "how many times TestRandomDamage damages a store")
	everyBit = flag.Bool("every-bit", false, "flip every bit of a small store in TestEveryBit")
)

// storeWithWitnesses writes a store with all that an instance keeps beside it.
func storeWithWitnesses(t *testing.T, sh blockstest.Shape) blockstest.Log {
	t.Helper()
	l := blockstest.Write(t, sh)
	c := &checker{dir: l.Data, subjects: blockstest.Subjects()}
	checked, err := c.check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	known := checked.end
	if sh.Killed { // the position was not saved for a second
		read := chain.New(l.ID)
		for _, e := range l.Events[:len(l.Events)/2] {
			read.Take(e.Seq, e.Raw)
		}
		known = read.Position
	}
	err = errors.Join(savePosition(l.Data, known, known, false), saveSealed(l.Data, l.ID, checked.sealed()),
		os.WriteFile(filepath.Join(l.Data, ackedFile), ackedLine(l.ID, checked.end.Seq), 0o600),
		SaveFounding(l.Data, Founding{Cluster: blockstest.Cluster, Nodes: 3, Seed: 1, Added: true}),
		os.WriteFile(filepath.Join(l.Data, "lock"), nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var errSilent = errors.New("another log was taken, silently")

// look does what every command that reads a stopped directory does, and then
// what up does before its server begins. It returns their refusal, and
// errSilent if what is read then is not what was written.
func look(dir string, l blockstest.Log) error {
	if _, _, err := LoadFounding(dir); err != nil {
		return err
	}
	subjects := blockstest.Subjects()
	a, err := Open(context.Background(), dir, subjects, Reading{Begun: func(func() string) func() { return func() {} }})
	if err != nil {
		return err
	}
	n := 0
	for e, err := range a.Store().Read(context.Background(), 0) {
		if err != nil {
			return err
		}
		if n == len(l.Events) || e.Seq != l.Events[n].Seq || !e.Stored.Equal(l.Events[n].Stored) || !bytes.Equal(e.Raw, l.Events[n].Raw) {
			return errSilent
		}
		n++
	}
	if n != len(l.Events) {
		return errSilent
	}
	k := keeper(dir, io.Discard)
	if err := errors.Join(CheckCluster(dir, blockstest.Cluster), k.Check(context.Background(), dir)); err != nil {
		return err
	}
	if int(k.known.Seq) != len(l.Events) {
		return errSilent
	}
	return nil
}

// refusedOrSame holds the property: a refusal with a code and the exit code of
// bad input or of a halt, or no difference.
func refusedOrSame(t *testing.T, what, dir string, l blockstest.Log) (refused bool) {
	t.Helper()
	err := look(dir, l)
	var e *events.Error
	switch {
	case err == nil:
		return false
	case errors.As(err, &e) && (e.Exit == events.ExitHalt || e.Exit == events.ExitInput) && e.Do != "":
		return true
	}
	t.Errorf("%s: %v", what, err)
	return true
}

// TestRandomDamage flips, cuts, zeroes, removes and swaps, in stores of every
// shape with their witnesses: every command and up refuse the store, or read
// byte for byte what was written.
//
// finding C1, finding C2, finding H9, finding M6, finding D1
func TestRandomDamage(t *testing.T) {
	var shapes []blockstest.Shape
	for _, sh := range blockstest.Shapes() {
		if sh.Events > 0 {
			shapes = append(shapes, sh)
		}
	}
	foreign := blockstest.Write(t, blockstest.Shape{Events: 60, Many: true, Other: true})
	for i, sh := range shapes {
		t.Run(sh.Name, func(t *testing.T) {
			l := storeWithWitnesses(t, sh)
			if err := look(clone(t, l.Data), l); err != nil {
				t.Fatalf("undamaged: %v", err)
			}
			d := &damager{t: t, l: l, dir: clone(t, l.Data), foreign: foreign.Data, rand: rand.New(rand.NewPCG(uint64(i), 11))}
			refused := 0
			n := *damages / len(shapes)
			for range n {
				what := d.damage()
				if refusedOrSame(t, what, d.dir, l) {
					refused++
				}
				d.restore()
			}
			if refused < n/2 {
				t.Errorf("only %d of %d were refused: the damage is none", refused, n)
			}
		})
	}
}

// damager damages a copy of a store, and puts it back.
type damager struct {
	t       *testing.T
	l       blockstest.Log
	dir     string
	foreign string
	rand    *rand.Rand
	changed string // the file that is damaged; "": more than one
}

func clone(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// files returns the files of the store that hold something.
func (d *damager) files() (files []string) {
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil && info.Size() > 0 {
				files = append(files, path)
			}
		}
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return files
}

func (d *damager) damage() string {
	files := d.files()
	path := files[d.rand.IntN(len(files))]
	b, err := os.ReadFile(path)
	if err != nil {
		d.t.Fatal(err)
	}
	rel, _ := filepath.Rel(d.dir, path)
	what := ""
	d.changed = rel
	switch d.rand.IntN(10) {
	default:
		at, bit := d.rand.IntN(len(b)), d.rand.IntN(8)
		b[at] ^= 1 << bit
		what = fmt.Sprintf("bit %d of byte %d of %s", bit, at, rel)
	case 0:
		n := d.rand.IntN(len(b))
		b = b[:n]
		what = fmt.Sprintf("%s cut to %d", rel, n)
	case 1:
		n := d.rand.IntN(len(b))
		clear(b[n:])
		what = fmt.Sprintf("%s zeroed from %d", rel, n)
	case 2:
		d.check(os.Remove(path))
		return rel + " removed"
	case 3:
		b = append(b, make([]byte, 1+d.rand.IntN(600))...)
		what = rel + " with zeros after it"
	case 4:
		other := files[d.rand.IntN(len(files))]
		if b, err = os.ReadFile(other); err != nil {
			d.t.Fatal(err)
		}
		what = fmt.Sprintf("%s in the place of %s", filepath.Base(other), rel)
	case 5:
		return d.swapDirectories()
	}
	d.check(os.WriteFile(path, b, 0o600))
	return what
}

// swapDirectories puts the stream of another log, or its messages, in place, or
// takes them away.
func (d *damager) swapDirectories() string {
	d.changed = ""
	stream := blocks.StreamDir(d.dir, blockstest.Subjects())
	from := blocks.StreamDir(d.foreign, blockstest.Subjects())
	if d.rand.IntN(2) == 0 {
		stream, from = filepath.Join(stream, "msgs"), filepath.Join(from, "msgs")
	}
	d.check(os.RemoveAll(stream))
	if d.rand.IntN(2) == 0 {
		return filepath.Base(stream) + " removed"
	}
	d.check(os.CopyFS(stream, os.DirFS(from)))
	return filepath.Base(stream) + " of another log"
}

func (d *damager) restore() {
	if d.changed != "" {
		b, err := os.ReadFile(filepath.Join(d.l.Data, d.changed))
		d.check(err)
		d.check(os.WriteFile(filepath.Join(d.dir, d.changed), b, 0o600))
		return
	}
	d.check(os.RemoveAll(d.dir))
	d.check(os.CopyFS(d.dir, os.DirFS(d.l.Data)))
}

func (d *damager) check(err error) {
	if err != nil {
		d.t.Fatal(err)
	}
}

// TestEveryBit flips bits of every file of a small store one after another: all
// of them with -every-bit, else one of 40.
func TestEveryBit(t *testing.T) {
	step := 40
	if *everyBit {
		step = 1
	}
	l := storeWithWitnesses(t, blockstest.Shape{Events: 12, Killed: true})
	d := &damager{t: t, l: l, dir: clone(t, l.Data)}
	flipped, refused := 0, 0
	for _, path := range d.files() {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for bit := 0; bit < 8*len(whole); bit += step {
			b := slices.Clone(whole)
			b[bit/8] ^= 1 << (bit % 8)
			d.check(os.WriteFile(path, b, 0o600))
			flipped++
			if refusedOrSame(t, fmt.Sprintf("bit %d of byte %d of %s", bit%8, bit/8, filepath.Base(path)), d.dir, l) {
				refused++
			}
		}
		d.check(os.WriteFile(path, whole, 0o600))
	}
	t.Logf("%d bits flipped, %d refused", flipped, refused)
}

// TestRelaxed: in relaxed mode a log may end before the last position that was
// read, but not before the one that was synced; what was lost is said.
//
// finding H1
func TestRelaxed(t *testing.T) {
	l := blockstest.Write(t, blockstest.Shape{Events: 40, Killed: true})
	read := chain.New(l.ID)
	at := map[events.Seq]chain.Position{0: read.Position}
	for _, e := range l.Events {
		read.Take(e.Seq, e.Raw)
		at[e.Seq] = read.Position
	}
	ahead := at[40]
	ahead.Seq = 42
	for name, c := range map[string]struct {
		synced  events.Seq
		relaxed bool
		code    string
	}{
		"within what may be lost": {synced: 40, relaxed: true},
		"long before":             {synced: 0, relaxed: true},
		"more than that":          {synced: 41, relaxed: true, code: "E-LOG-TRUNCATED"},
		"in sync mode":            {synced: 42, code: "E-LOG-TRUNCATED"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := clone(t, l.Data)
			synced, ok := at[c.synced]
			if !ok {
				synced = ahead
				synced.Seq = c.synced
			}
			if err := savePosition(dir, ahead, synced, c.relaxed); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			k := keeper(dir, &said)
			err := k.Check(t.Context(), dir)
			var e *events.Error
			if c.code != "" {
				if !errors.As(err, &e) || e.Code != c.code {
					t.Fatalf("%v, want %s", err, c.code)
				}
				return
			}
			if err != nil || !strings.Contains(said.String(), "positions 41 to 42 were lost") {
				t.Fatalf("%v; said %q", err, said.String())
			}
			if err := k.Begin(events.Info{ID: l.ID, Last: 40}); err != nil {
				t.Fatal(err)
			}
			defer k.End()
			if w, err := loadWitness(dir); err != nil || w.position != at[40] || w.acked != 40 {
				t.Errorf("the position is now %+v, %v", w, err)
			}
		})
	}
}
