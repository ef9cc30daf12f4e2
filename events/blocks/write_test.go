package blocks_test

import (
	"testing"

	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/blocks/blockstest"
	"rollcall/events/natsd"
	"rollcall/events/stream"
)

// TestWrite fills the stream of a server with the events of another log: the
// reader of this package and the server say that they are the same, at the same
// positions and times, and the server goes on after them.
func TestWrite(t *testing.T) {
	for _, sh := range []blockstest.Shape{{Events: 1}, {Events: 130}} {
		from := blockstest.Write(t, sh)
		dir, subjects := t.TempDir(), blockstest.Subjects()
		serve(t, dir, nil)
		w, err := blocks.NewWriter(dir, subjects)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range from.Events {
			if err := w.Append(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		wantRead(t, mustOpen(t, dir), 0, from.Events)
		serve(t, dir, func(log *stream.Log) {
			n := 0
			for e, err := range log.Read(t.Context(), 0) {
				if err != nil || !same(e, from.Events[n]) {
					t.Fatalf("the server has #%d, %v", e.Seq, err)
				}
				n++
			}
			if n != sh.Events {
				t.Errorf("the server has %d events, want %d", n, sh.Events)
			}
			again, more := from.Events[0], from.Events[0]
			more.ID[0]++
			if seq, err := log.Append(t.Context(), events.Entry{Event: more}); err != nil || int(seq) != sh.Events+1 {
				t.Errorf("the next is #%d, %v", seq, err)
			}
			if last, ok, err := log.Latest(t.Context(), again.Subject); err != nil || !ok || int(last.Seq) != sh.Events+1 {
				t.Errorf("the latest of %s is #%d, %v", again.Subject, last.Seq, err)
			}
		})
		if _, err := blocks.NewWriter(dir, subjects); err == nil {
			t.Error("a stream that holds something is filled")
		}
	}
}

// serve starts a server on a data directory, opens the log, and stops it.
func serve(t *testing.T, dir string, use func(*stream.Log)) {
	t.Helper()
	s, err := natsd.Start(t.Context(), natsd.Options{Dir: dir, Cluster: blockstest.Cluster})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	log, err := stream.Open(t.Context(), nc, blockstest.Subjects(), stream.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if use != nil {
		use(log)
	}
	nc.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
