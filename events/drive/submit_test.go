package drive_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/memlog"
)

// shelf is a log with what is told of one node.
type shelf struct {
	t        *testing.T
	subjects events.Subjects
	log      *memlog.Log
	ids      uint64
	tries    []time.Time // of appends
}

func newShelf(t *testing.T, faults ...memlog.Fault) *shelf {
	s, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	h := &shelf{t: t, subjects: s, log: memlog.New(s, time.Now)}
	h.log.Inject(func([]events.Entry) memlog.Fault {
		h.tries = append(h.tries, time.Now())
		if len(faults) == 0 {
			return memlog.None
		}
		f := faults[0]
		faults = faults[1:]
		return f
	})
	return h
}

func (h *shelf) event(verb string, uid types.UID) events.Event {
	n := &corev1.Node{}
	n.Name, n.UID = "a", uid
	o, err := events.NewObject(events.Node, n)
	if err != nil {
		h.t.Fatal(err)
	}
	h.ids++
	e := events.Event{Type: events.ObjectType(events.Node, verb), Source: "test", Body: o}
	binary.BigEndian.PutUint64(e.ID[8:], h.ids)
	if verb == events.VerbDeleted {
		e.Body = events.Gone(o)
	}
	return e
}

func (h *shelf) expect(last events.Seq) events.Expect {
	return events.Expect{Subject: h.subjects.Object(events.Node, events.Key{Name: "a"}), Last: last}
}

func (h *shelf) put(verb string, uid types.UID) events.Seq {
	seq, err := h.log.Append(h.t.Context(), events.Entry{Event: h.event(verb, uid)})
	if err != nil {
		h.t.Fatal(err)
	}
	return seq
}

// An event whose outcome is unknown is appended again under the same
// expectation, each time after a longer pause, and is in the log once, with the
// time of the try that stored it.
func TestSubmitUntilKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newShelf(t, memlog.LoseAppend, memlog.LoseAppend, memlog.LoseAck, memlog.LoseAck)
		began := time.Now()
		seq, err := drive.Submit(t.Context(), h.log, events.Entry{Event: h.event(events.VerbCreated, "u1"), Expect: h.expect(0)})
		if err != nil || seq != 1 || len(h.tries) != 5 {
			t.Fatalf("position %d, %v, after %d tries", seq, err, len(h.tries))
		}
		pause := time.Duration(0)
		for i, at := range h.tries[1:] {
			if p := at.Sub(h.tries[i]); p <= pause {
				t.Errorf("try %d comes %s after the one before, and that %s after its own", i+2, p, pause)
			} else {
				pause = p
			}
		}
		e, _, err := h.log.Latest(t.Context(), h.expect(0).Subject)
		if want := began.Add(60 * time.Millisecond); err != nil || !e.At.Equal(want) {
			t.Errorf("the event is of %s, %v, want %s: when it was stored", e.At, err, want)
		}
	})
}

// A submission ends with its context, and says that the event may be there.
func TestSubmitOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newShelf(t)
		h.log.Inject(func([]events.Entry) memlog.Fault {
			h.tries = append(h.tries, time.Now())
			return memlog.LoseAppend
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := drive.Submit(ctx, h.log, events.Entry{Event: h.event(events.VerbCreated, "u1"), Expect: h.expect(0)})
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, events.ErrUnknown) {
			t.Errorf("out of time: %v", err)
		}
		if n := len(h.tries); n < 20 || n > 60 {
			t.Errorf("%d tries in a minute", n)
		}
	})
}

// A writer for whom somebody waits says when it gives up.
func TestSubmitGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newShelf(t, memlog.LoseAppend, memlog.LoseAppend)
		enough := errors.New("nobody waits any more")
		log := drive.Log{Log: h.log, GiveUp: func(err error) error {
			if !errors.Is(err, events.ErrUnknown) {
				t.Errorf("asked about %v", err)
			}
			if len(h.tries) < 2 {
				return nil
			}
			return enough
		}}
		if _, err := log.Submit(t.Context(), events.Entry{Event: h.event(events.VerbCreated, "u1"), Expect: h.expect(0)}); !errors.Is(err, enough) || len(h.tries) != 2 {
			t.Errorf("%v after %d tries", err, len(h.tries))
		}
	})
}

// A new object is appended behind the tombstone of an old one, however often
// the name is used and given back meanwhile; over an object that is there it is
// not, whatever else its subject says.
func TestSubmitOverTombstone(t *testing.T) {
	for name, c := range map[string]struct {
		before []string // verbs of what is in the log
		x      events.Seq
		want   events.Seq // 0: a conflict
	}{
		"nothing":            {nil, 0, 1},
		"a tombstone":        {[]string{events.VerbCreated, events.VerbDeleted}, 0, 3},
		"an object":          {[]string{events.VerbCreated}, 0, 0},
		"a new object":       {[]string{events.VerbCreated, events.VerbDeleted, events.VerbCreated}, 0, 0},
		"of an older object": {[]string{events.VerbCreated, events.VerbDeleted}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := newShelf(t)
			for _, verb := range c.before {
				h.put(verb, "u1")
			}
			seq, err := drive.Submit(t.Context(), h.log, events.Entry{Event: h.event(events.VerbCreated, "u2"), Expect: h.expect(c.x)})
			if c.want == 0 && !errors.Is(err, events.ErrConflict) || c.want != 0 && (err != nil || seq != c.want) {
				t.Errorf("position %d, %v, want %d", seq, err, c.want)
			}
		})
	}
}

// A forged tombstone, that of another object, opens no way.
func TestSubmitOverForgedTombstone(t *testing.T) {
	h := newShelf(t)
	h.put(events.VerbCreated, "u1")
	o, err := events.NewObject(events.Node, &corev1.Node{})
	if err != nil {
		t.Fatal(err)
	}
	o.Key.Name, o.UID = "b", "u9"
	raw, err := events.Encode(events.Event{ID: ulid.Make(), Type: "node.deleted", Source: "stranger", At: time.Now(), Body: events.Gone(o)})
	if err != nil {
		t.Fatal(err)
	}
	h.log.AppendRaw(h.expect(0).Subject, raw)
	if _, err := drive.Submit(t.Context(), h.log, events.Entry{Event: h.event(events.VerbCreated, "u2"), Expect: h.expect(0)}); !errors.Is(err, events.ErrConflict) {
		t.Errorf("%v, want a conflict", err)
	}
}
