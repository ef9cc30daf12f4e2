// Package blockstest writes the store of a log in every shape that the
// nats-server of this module gives it, for tests of who reads such a store.
package blockstest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/waittest"
)

// Cluster is the cluster whose log is written.
const Cluster = "test"

// Shape is what a store is like.
type Shape struct {
	Name       string
	Events     int
	Many       bool  // blocks of 32 kB instead of 8 MiB
	Compressed bool  // each block but the last
	Killed     bool  // as kill -9 leaves it, without an index; else stopped
	OldIndex   bool  // killed, with the index of a stop before
	Other      bool  // other events than those of the other shapes
	Purged     []int // positions up to which it was purged, one after the other, after half of the events
}

// patience bounds a wait for what comes by itself.
var patience = waittest.Patience

// Shapes are all of them, small.
func Shapes() []Shape {
	return []Shape{
		{Name: "empty"},
		{Name: "one block, stopped", Events: 40},
		{Name: "one block, killed", Events: 40, Killed: true},
		{Name: "one block, stopped, then killed", Events: 40, Killed: true, OldIndex: true},
		{Name: "many blocks, stopped", Events: 130, Many: true},
		{Name: "many blocks, killed", Events: 130, Many: true, Killed: true},
		{Name: "many blocks, stopped, then killed", Events: 130, Many: true, Killed: true, OldIndex: true},
		{Name: "compressed, stopped", Events: 130, Many: true, Compressed: true},
		{Name: "compressed, killed", Events: 130, Many: true, Compressed: true, Killed: true},
	}
}

// Subjects returns those of the cluster.
func Subjects() events.Subjects {
	s, err := events.NewSubjects(Cluster)
	if err != nil {
		panic(err)
	}
	return s
}

// Log is a log that was written.
type Log struct {
	Data   string         // the data directory
	ID     string         // as the server says
	Events []events.Event // those that were purged, too

	early []events.Event
}

// Write writes a log of the given shape. It returns what the server said that
// it holds.
func Write(tb testing.TB, sh Shape) Log {
	tb.Helper()
	dir := tb.TempDir()
	l := Log{Data: filepath.Join(dir, "stopped")}
	store := filepath.Join(dir, "store")
	w := begin(tb, store, sh)
	for i := range sh.Events {
		if sh.OldIndex && i == sh.Events/2 {
			w.stop()
			w = begin(tb, store, sh)
		}
		w.publish(fact(i, sh.Other))
		if i == sh.Events/2 {
			l.early = w.events(1, i+1)
			for _, to := range sh.Purged {
				w.purge(to)
			}
		}
	}
	l.ID, l.Events = w.read(sh)
	l.Events = append(l.early[:max(sh.Events-len(l.Events), 0)], l.Events...)
	if sh.Compressed {
		w.settled(store)
	}
	if sh.Killed {
		copyDir(tb, store, l.Data)
		w.stop()
	} else {
		w.stop()
		copyDir(tb, store, l.Data)
	}
	if err := os.WriteFile(filepath.Join(l.Data, "version"), []byte("1\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return l
}

// fact returns the i-th event of a log: node after node, each written twice, of
// a few hundred bytes.
func fact(i int, other bool) events.Event {
	r := rand.New(rand.NewPCG(uint64(i), 1))
	if other {
		r = rand.New(rand.NewPCG(uint64(i), 2))
	}
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%04d", i/2), UID: types.UID(fmt.Sprintf("uid-%d", i/2)),
		Annotations: map[string]string{"filling": fmt.Sprintf("%x", r.Uint64()), "more": fmt.Sprintf("%0*d", 100+r.IntN(300), i)}}}
	o, err := events.NewObject(events.Node, n)
	if err != nil {
		panic(err)
	}
	at := time.UnixMilli(1_700_000_000_000 + int64(i)).UTC()
	verb := events.VerbCreated
	if i%2 == 1 {
		verb = events.VerbUpdated
	}
	e := events.Event{Type: events.ObjectType(events.Node, verb), Source: "test", At: at, Body: o}
	if err := e.ID.SetTime(ulid.Timestamp(at)); err != nil {
		panic(err)
	}
	e.ID[15] = byte(i)
	return e
}

// writer is a server with the stream of a log.
type writer struct {
	tb testing.TB
	ns *server.Server
	nc *nats.Conn
}

func begin(tb testing.TB, store string, sh Shape) *writer {
	tb.Helper()
	ns, err := server.NewServer(&server.Options{ServerName: "rollcall", DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: store})
	if err != nil {
		tb.Fatal(err)
	}
	ns.Start()
	if !ns.ReadyForConnections(patience) {
		tb.Fatal("the server does not start")
	}
	tb.Cleanup(ns.Shutdown)
	nc, err := nats.Connect("", nats.InProcessServer(ns))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	s := Subjects()
	c := &nats.StreamConfig{Name: s.Stream(), Subjects: []string{s.All()}, Retention: nats.LimitsPolicy, Storage: nats.FileStorage,
		Replicas: 1, MaxMsgs: -1, MaxBytes: -1, MaxMsgsPerSubject: -1, Discard: nats.DiscardNew, DenyDelete: true}
	if sh.Many {
		c.MaxBytes = 120_000 // the server takes the least size of blocks for it
	}
	if sh.Compressed {
		c.Compression = nats.S2Compression
	}
	js, err := nc.JetStream()
	if err == nil {
		_, err = js.AddStream(c) // or finds it
	}
	if err != nil {
		tb.Fatal(err)
	}
	return &writer{tb, ns, nc}
}

func (w *writer) publish(e events.Event) {
	w.tb.Helper()
	all, err := Subjects().Encode(events.Entry{Event: e})
	if err != nil {
		w.tb.Fatal(err)
	}
	m := nats.NewMsg(all[0].Subject)
	m.Data, m.Header = all[0].Raw, nats.Header{"Nats-Msg-Id": {e.ID.String()}}
	answer, err := w.nc.RequestMsg(m, patience)
	if err != nil {
		w.tb.Fatal(err)
	}
	if a := string(answer.Data); len(a) < 10 || a[:9] != `{"stream"` {
		w.tb.Fatal(a)
	}
}

// read returns what the server says of the stream.
func (w *writer) read(sh Shape) (id string, all []events.Event) {
	w.tb.Helper()
	js, err := w.nc.JetStream()
	if err != nil {
		w.tb.Fatal(err)
	}
	n, first := sh.Events, 1
	if len(sh.Purged) > 0 {
		first = sh.Purged[len(sh.Purged)-1]
	}
	info, err := js.StreamInfo(Subjects().Stream())
	if err != nil || info.State.LastSeq != uint64(n) || info.State.Msgs != uint64(n-first+1) {
		w.tb.Fatalf("the server has %+v, %v; want the messages from %d to %d", info.State, err, first, n)
	}
	return fmt.Sprintf("%s@%d", info.Config.Name, info.Created.UnixNano()), w.events(first, n)
}

// purge purges what is before a position.
func (w *writer) purge(to int) {
	w.tb.Helper()
	js, err := w.nc.JetStream()
	if err == nil {
		err = js.PurgeStream(Subjects().Stream(), &nats.StreamPurgeRequest{Sequence: uint64(to)})
	}
	if err != nil {
		w.tb.Fatal(err)
	}
}

// events returns the events from a position to another.
func (w *writer) events(first, last int) (all []events.Event) {
	w.tb.Helper()
	js, err := w.nc.JetStream()
	if err != nil {
		w.tb.Fatal(err)
	}
	for seq := first; seq <= last; seq++ {
		m, err := js.GetMsg(Subjects().Stream(), uint64(seq))
		if err != nil {
			w.tb.Fatal(err)
		}
		e := events.Decode(m.Data)
		e.Seq, e.Stored, e.Subject = events.Seq(m.Sequence), m.Time.UTC(), m.Subject
		all = append(all, e)
	}
	return all
}

// settled waits until each block but the last is compressed, which the server
// does beside the writing.
func (w *writer) settled(store string) {
	w.tb.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		files, err := filepath.Glob(filepath.Join(store, "jetstream", "$G", "streams", "*", "msgs", "*.blk*"))
		if err != nil {
			w.tb.Fatal(err)
		}
		packed := 0
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil && filepath.Ext(f) == ".blk" && len(b) > 4 && string(b[:4]) == "cmp\x01" {
				packed++
			}
		}
		if packed == len(files)-1 {
			return
		}
	}
	w.tb.Fatal("the blocks are not compressed")
}

func (w *writer) stop() {
	w.nc.Close()
	w.ns.Shutdown()
	w.ns.WaitForShutdown()
}

func copyDir(tb testing.TB, from, to string) {
	tb.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		tb.Fatal(err)
	}
}
