package stream

import (
	"bytes"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/events"
	"rollcall/events/blocks"
	"rollcall/events/keyframes"
	"rollcall/events/natsd"
)

// frameAt is a keyframe of an event that no log has, and what it holds.
func frameAt(seq events.Seq, size int) (keyframes.Frame, keyframes.Kept) {
	state := make([]byte, size)
	random := rand.NewChaCha8([32]byte{byte(seq)})
	_, _ = random.Read(state)
	k := keyframes.Kept{State: state, Parties: []byte("parties")}
	return keyframes.Frame{Seq: seq, ID: "id", Format: 1, Hash: keyframes.Hash(state), Made: time.Unix(int64(seq), 0).UTC()}, k
}

// wantFrames holds what is kept against what was put.
func wantFrames(t *testing.T, s *keyframes.Store, want ...events.Seq) {
	t.Helper()
	fs, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []events.Seq
	for _, f := range fs {
		got = append(got, f.Seq)
		k, err := s.Get(t.Context(), f)
		if err != nil {
			t.Fatalf("#%d: %v", f.Seq, err)
		}
		if f, put := frameAt(f.Seq, len(k.State)); !bytes.Equal(k.State, put.State) || !bytes.Equal(k.Parties, put.Parties) {
			t.Errorf("#%d: other bytes", f.Seq)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("keyframes of %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("keyframes of %v, want %v", got, want)
		}
	}
}

// TestObjects puts keyframes into the object store of a server and reads them
// from there, as users outside may, and from the files once it has stopped.
func TestObjects(t *testing.T) {
	dir := t.TempDir()
	at, err := natsd.Start(t.Context(), natsd.Options{Dir: dir, Cluster: "test", Durability: natsd.Relaxed, Listen: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	inside := mustConnect(t, at)
	c, err := natsd.Attach(dir)
	if err != nil {
		t.Fatal(err)
	}
	user, err := c.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	read := mustObjects(t, user, ObjectsOptions{Name: keyframes.Bucket})
	wantFrames(t, keyframes.Open(read))

	s := keyframes.Open(mustObjects(t, inside, ObjectsOptions{Name: keyframes.Bucket, Create: true}))
	for _, seq := range []events.Seq{3, 1, 2, 3} {
		f, k := frameAt(seq, 1<<20)
		if err := s.Put(t.Context(), f, k); err != nil {
			t.Fatal(err)
		}
	}
	wantFrames(t, s, 1, 2, 3)
	wantFrames(t, keyframes.Open(read), 1, 2, 3)
	gone, _ := frameAt(2, 0)
	for range 2 { // of two instances, the second finds nothing to delete
		if err := s.Delete(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
	}
	wantFrames(t, keyframes.Open(read), 1, 3)
	f, k := frameAt(4, 10)
	if err := keyframes.Open(read).Put(t.Context(), f, k); err == nil {
		t.Error("a user outside has put a keyframe")
	}
	inside.Close()
	if err := at.Close(); err != nil {
		t.Fatal(err)
	}
	stopped, err := blocks.OpenObjects(t.Context(), dir, mustSubjects(t), keyframes.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	wantFrames(t, keyframes.Open(stopped), 1, 3)
}

func mustObjects(t *testing.T, nc *nats.Conn, o ObjectsOptions) *Objects {
	t.Helper()
	b, err := OpenObjects(t.Context(), nc, mustSubjects(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
