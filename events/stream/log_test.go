package stream

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
	"rollcall/events/logtest"
	"rollcall/events/natsd"
)

func mustSubjects(tb testing.TB) events.Subjects {
	tb.Helper()
	s, err := events.NewSubjects("test")
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func mustServer(tb testing.TB, o natsd.Options) *natsd.Server {
	tb.Helper()
	o.Cluster = "test"
	s, err := natsd.Start(context.Background(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func mustConnect(tb testing.TB, s *natsd.Server) *nats.Conn {
	tb.Helper()
	nc, err := s.Connect()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

// weakLog makes the stream of a log from which messages can be deleted, which
// Open would refuse.
func weakLog(t *testing.T, nc *nats.Conn, o Options) *Log {
	t.Helper()
	l, err := attach(nc, mustSubjects(t), o)
	if err != nil {
		t.Fatal(err)
	}
	c := config(l.subjects, o)
	c.DenyDelete = false
	if _, err := l.js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLog(t *testing.T) {
	for name, o := range map[string]Options{"memory": {MemoryStorage: true}, "file": {}, "direct": {Direct: true},
		"own": {Own: true, BatchFrom: BatchFromRelaxed}} {
		t.Run(name, func(t *testing.T) {
			logtest.Run(t, func(t *testing.T) logtest.Harness {
				return harness(t, mustServer(t, natsd.Options{Durability: natsd.Relaxed}), o)
			})
		})
	}
}

func harness(t *testing.T, server *natsd.Server, o Options) logtest.Harness {
	l := weakLog(t, mustConnect(t, server), o)
	st, err := l.js.Stream(t.Context(), l.subjects.Stream())
	if err != nil {
		t.Fatal(err)
	}
	return logtest.Harness{
		Log: l,
		Other: func(t *testing.T) events.Log {
			o, err := attach(mustConnect(t, server), l.subjects, o)
			if err != nil {
				t.Fatal(err)
			}
			return o
		},
		LoseAck: func(*testing.T) { loseAck(l) },
		AppendRaw: func(t *testing.T, subject string, raw []byte) {
			if _, err := l.js.Publish(t.Context(), subject, raw); err != nil {
				t.Fatal(err)
			}
		},
		Remove: func(t *testing.T, seq events.Seq) {
			if err := st.DeleteMsg(t.Context(), uint64(seq)); err != nil {
				t.Fatal(err)
			}
		},
		Recreate: func(t *testing.T) {
			// A server that has deleted an account's last stream removes the
			// account's directory a moment later, under whatever is being made there.
			beside := st.CachedInfo().Config
			beside.Name, beside.Subjects = "BESIDE", []string{"beside"}
			if _, err := l.js.CreateStream(t.Context(), beside); err != nil {
				t.Fatal(err)
			}
			if err := l.js.DeleteStream(t.Context(), l.subjects.Stream()); err != nil {
				t.Fatal(err)
			}
			waitRemoved(t, filepath.Join(server.Dir(), "jetstream"), l.subjects.Stream())
			if _, err := l.js.CreateStream(t.Context(), st.CachedInfo().Config); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// waitRemoved waits until a server that has deleted a stream has removed its
// files, which it first sets aside under the name with a dot before it.
func waitRemoved(t *testing.T, dir, stream string) {
	t.Helper()
	for left := true; left; {
		left = false
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			name := filepath.Base(path)
			left = left || err == nil && (name == stream || name == "."+stream)
			return nil
		})
		if err != nil || t.Context().Err() != nil {
			t.Fatalf("wait for the removal of %s: %v, %v", stream, err, t.Context().Err())
		}
	}
}

// loseAck makes the next request of l lose its answer after the server gave it.
func loseAck(l *Log) {
	real := l.request
	l.request = func(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
		l.request = real
		if _, err := real(ctx, m); err != nil {
			return nil, err
		}
		return nil, nats.ErrTimeout
	}
}

func TestOpen(t *testing.T) {
	nc := mustConnect(t, mustServer(t, natsd.Options{Durability: natsd.Relaxed}))
	s := mustSubjects(t)
	_, err := Open(t.Context(), nc, s, Options{})
	var e *events.Error
	if !errors.As(err, &e) || e.Code != "E-STREAM-NONE" {
		t.Fatalf("open of nothing: %v, want E-STREAM-NONE", err)
	}
	l, err := Open(t.Context(), nc, s, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	before, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err = Open(t.Context(), nc, s, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if after, err := l.Info(t.Context()); err != nil || after != before {
		t.Errorf("opened again it is %+v (%v), was %+v", after, err, before)
	}
	st, err := l.js.Stream(t.Context(), s.Stream())
	if err != nil {
		t.Fatal(err)
	}
	if err := st.DeleteMsg(t.Context(), 1); err == nil {
		t.Error("the stream lets messages be deleted")
	}
}

// Each setting that the safety of a log rests on is found when it is changed.
func TestConfigDrift(t *testing.T) {
	want := config(mustSubjects(t), Options{})
	if err := checkConfig(want, want); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*jetstream.StreamConfig){
		"subjects":             func(c *jetstream.StreamConfig) { c.Subjects = []string{"rollcall.test.>"} },
		"retention":            func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy },
		"storage":              func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"max_msgs":             func(c *jetstream.StreamConfig) { c.MaxMsgs = 100 },
		"max_bytes":            func(c *jetstream.StreamConfig) { c.MaxBytes = 100 },
		"max_age":              func(c *jetstream.StreamConfig) { c.MaxAge = 100 },
		"max_msgs_per_subject": func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 },
		"discard":              func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"duplicate_window":     func(c *jetstream.StreamConfig) { c.Duplicates /= 2 },
		"no_ack":               func(c *jetstream.StreamConfig) { c.NoAck = true },
		"sealed":               func(c *jetstream.StreamConfig) { c.Sealed = true },
		"deny_delete":          func(c *jetstream.StreamConfig) { c.DenyDelete = false },
		"allow_direct":         func(c *jetstream.StreamConfig) { c.AllowDirect = false },
		"allow_atomic":         func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false },
		"allow_rollup_hdrs":    func(c *jetstream.StreamConfig) { c.AllowRollup = true },
		"allow_msg_ttl":        func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true },
		"allow_msg_counter":    func(c *jetstream.StreamConfig) { c.AllowMsgCounter = true },
		"allow_msg_schedules":  func(c *jetstream.StreamConfig) { c.AllowMsgSchedules = true },
		"persist_mode":         func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode },
		"mirror":               func(c *jetstream.StreamConfig) { c.Mirror = &jetstream.StreamSource{} },
		"sources":              func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{}} },
		"subject_transform":    func(c *jetstream.StreamConfig) { c.SubjectTransform = &jetstream.SubjectTransformConfig{} },
		"republish":            func(c *jetstream.StreamConfig) { c.RePublish = &jetstream.RePublish{} },
	} {
		have := want
		change(&have)
		var e *events.Error
		if err := checkConfig(want, have); !errors.As(err, &e) || e.Code != "E-STREAM-CONFIG" ||
			len(e.Why) < len(name) || e.Why[:len(name)+1] != name+" " {
			t.Errorf("%s: %v, want E-STREAM-CONFIG that names it alone", name, err)
		}
	}
	have := want
	have.Duplicates *= 2
	if err := checkConfig(want, have); err != nil {
		t.Errorf("a longer duplicate window: %v", err)
	}
}
