package projector_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/events/memlog"
	"rollcall/projector"
	"rollcall/projector/table"
)

func newLog(t *testing.T) *memlog.Log {
	t.Helper()
	s, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	return memlog.New(s, time.Now)
}

func addNodes(t *testing.T, log *memlog.Log, names ...string) events.Seq {
	t.Helper()
	var last events.Seq
	for _, name := range names {
		o, err := events.NewObject(events.Node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}})
		if err != nil {
			t.Fatal(err)
		}
		last, err = log.Append(t.Context(), events.Entry{Event: events.Event{ID: ulid.Make(),
			Type: events.ObjectType(events.Node, events.VerbCreated), At: time.Now(), Body: o}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return last
}

// run reads log until all of it is folded and returns the position, or the
// error that ended the reading.
func run(t *testing.T, log events.Log, known chain.Position) (chain.Position, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var at chain.Position
	p := projector.Open(log, projector.Options{Known: known, Save: func(x chain.Position) error { at = x; return nil }})
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	select {
	case <-p.Ready():
		cancel()
	case err := <-ended:
		return at, err
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		return at, err
	}
	return at, nil
}

func wantHalt(t *testing.T, err error, code string) {
	t.Helper()
	var e *events.Error
	if !errors.As(err, &e) || e.Code != code || e.Exit != events.ExitHalt || e.Do == "" {
		t.Errorf("got %v, want a halt %s that says what to do", err, code)
	}
}

// TestHalts damages a log that was read before in each way that a reader has
// to notice, and one that was only added to.
func TestHalts(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, log *memlog.Log)
		code   string
	}{
		"added to":  {func(t *testing.T, log *memlog.Log) { addNodes(t, log, "n6") }, ""},
		"gap":       {func(t *testing.T, log *memlog.Log) { log.Remove(3) }, "E-LOG-GAP"},
		"truncated": {func(t *testing.T, log *memlog.Log) { log.Truncate(4) }, "E-LOG-TRUNCATED"},
		"cut and used again": {func(t *testing.T, log *memlog.Log) { log.Truncate(4); addNodes(t, log, "other", "another") },
			"E-LOG-REWRITTEN"},
		"made again": {func(t *testing.T, log *memlog.Log) { log.Recreate(); addNodes(t, log, "n1", "n2", "n3", "n4", "n5") },
			"E-LOG-REWRITTEN"},
	} {
		t.Run(name, func(t *testing.T) {
			log := newLog(t)
			addNodes(t, log, "n1", "n2", "n3", "n4", "n5")
			known, err := run(t, log, chain.Position{})
			if err != nil || known.Seq != 5 {
				t.Fatalf("first run: %v at %d", err, known.Seq)
			}
			c.damage(t, log)
			at, err := run(t, log, known)
			if c.code == "" {
				if err != nil || at.Seq != 6 {
					t.Errorf("got %v at %d, want 6", err, at.Seq)
				}
				return
			}
			wantHalt(t, err, c.code)
			if at.Seq > known.Seq {
				t.Errorf("saved position %d of a damaged log", at.Seq)
			}
		})
	}
}

// TestAwait reads own writes, and tells a waiter why there will be none.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		p := projector.Open(log, projector.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		seq := addNodes(t, log, "n1", "n2")
		if err := p.Await(t.Context(), seq); err != nil {
			t.Error(err)
		}
		p.Read(func(s *projector.State) {
			if s.Node("n2") == nil {
				t.Error("the state at the position of n2 has no n2")
			}
		})
		late := make(chan error, 1)
		go func() { late <- p.Await(t.Context(), seq+1) }()
		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := p.Await(short, seq+1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the end of the context", err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
		if err := <-late; !errors.Is(err, context.Canceled) {
			t.Errorf("a waiter got %v, want why the reading ended", err)
		}
		if err := p.Await(t.Context(), seq+1); !errors.Is(err, context.Canceled) {
			t.Errorf("a late waiter got %v, want why the reading ended", err)
		}
	})
}

// TestOneCopy folds a log and looks for the bytes of an object wherever a
// process has them: in the event that was read, in the state, and in the tables
// that the API serves from, now and as they were.
func TestOneCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		var read []byte
		p := projector.Open(log, projector.Options{History: table.Recent, Follow: []func(events.Event){func(e events.Event) {
			read = e.Body.(events.Object).Data
		}}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		seq := addNodes(t, log, "n1")
		synctest.Wait()
		key := events.Key{Name: "n1"}
		was, _ := p.Objects().Of(events.Node).SnapshotAt(uint64(seq))
		p.Read(func(s *projector.State) {
			o, at, _ := s.Object(events.Node, key)
			for where, data := range map[string][]byte{"state": o.Data, "node of the state": s.Node("n1").Object.Data,
				"table": p.Objects().Get(events.Node, key).Data, "table as it was": was.At("n1").Data} {
				if at != seq || &data[0] != &read[0] {
					t.Errorf("the %s has bytes of its own", where)
				}
			}
		})
		cancel()
		<-ended
	})
}

// TestQuarantine keeps what is no event, with its position, and folds on.
func TestQuarantine(t *testing.T) {
	log := newLog(t)
	addNodes(t, log, "n1")
	log.AppendRaw("rollcall.test.node._.n2", []byte("hello"))
	last := addNodes(t, log, "n3")
	s := projector.New("test")
	for e, err := range log.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		projector.Fold(s, e)
	}
	n, q := s.Quarantined()
	if n != 1 || len(q) != 1 || q[0].Seq != 2 || q[0].Code == "" || q[0].Why == "" {
		t.Errorf("quarantine %v of %d, want position 2 with code and reason", q, n)
	}
	if s.Seq() != last || s.Node("n3") == nil {
		t.Errorf("at %d, want %d with n3", s.Seq(), last)
	}
}
