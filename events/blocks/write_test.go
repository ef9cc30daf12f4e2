package blocks_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	for _, from := range []blockstest.Log{blockstest.Write(t, blockstest.Shape{Events: 1}), blockstest.Write(t, blockstest.Shape{Events: 130}), large(t, 20)} {
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
			if n != len(from.Events) {
				t.Errorf("the server has %d events, want %d", n, len(from.Events))
			}
			again, more := from.Events[0], from.Events[0]
			more.ID[0]++
			if seq, err := log.Append(t.Context(), events.Entry{Event: more}); err != nil || int(seq) != n+1 {
				t.Errorf("the next is #%d, %v", seq, err)
			}
			if last, ok, err := log.Latest(t.Context(), again.Subject); err != nil || !ok || int(last.Seq) != n+1 {
				t.Errorf("the latest of %s is #%d, %v", again.Subject, last.Seq, err)
			}
		})
		if _, err := blocks.NewWriter(dir, subjects); err == nil {
			t.Error("a stream that holds something is filled")
		}
	}
}

// large is a log of events of a megabyte each, which fill more than one block.
func large(t *testing.T, n int) blockstest.Log {
	t.Helper()
	l := blockstest.Log{}
	for i := range n {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "large", Namespace: "default", UID: "u"}, Data: map[string][]byte{"x": bytes.Repeat([]byte{byte(i)}, 1<<20)}}
		body, err := events.NewObject(events.Secret, secret)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1_700_000_000+int64(i), 123456789).UTC()
		s, err := blockstest.Subjects().Encode(events.Entry{Event: events.Event{ID: ulid.ULID{1, 15: byte(i)}, Type: "secret.updated", Source: "test", At: at, Body: body}})
		if err != nil {
			t.Fatal(err)
		}
		e := events.Decode(s[0].Raw)
		e.Seq, e.Stored, e.Subject = events.Seq(i+1), at, s[0].Subject
		l.Events = append(l.Events, e)
	}
	return l
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
