package stream

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"rollcall/events"
	"rollcall/events/waittest"
)

// patience bounds a wait for what comes by itself.
var patience = waittest.Patience

// servers are NATS servers of one cluster, without accounts.
type servers []*server.Server

func startCluster(t *testing.T, n int) servers {
	t.Helper()
	var routes []string
	for range n {
		routes = append(routes, "nats://"+freeAddress(t))
	}
	dir := t.TempDir()
	var all servers
	for i, route := range routes {
		o := &server.Options{ServerName: fmt.Sprintf("s%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: filepath.Join(dir, fmt.Sprint(i)), MaxPayload: events.MaxMessage, DisableJetStreamBanner: true}
		if n > 1 {
			o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
			o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port(t, route)}
		}
		all = append(all, startServer(t, o))
	}
	for _, s := range all {
		if !s.ReadyForConnections(patience) {
			t.Fatal("a server of the cluster does not start")
		}
	}
	return all
}

func startServer(t *testing.T, o *server.Options) *server.Server {
	t.Helper()
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { stop(s) })
	return s
}

// freeAddress returns a loopback address that the system has chosen: servers of
// a cluster must know each other's before they start.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func port(t *testing.T, address string) int {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// urls returns the addresses of all servers, as --nats-url takes them.
func (ss servers) urls() string {
	var us []string
	for _, s := range ss {
		us = append(us, s.ClientURL())
	}
	return strings.Join(us, ",")
}

func (ss servers) connect(t *testing.T, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(ss.urls(), append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(10 * time.Millisecond)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// leader returns which server leads the stream of l.
func (ss servers) leader(t *testing.T, l *Log) *server.Server {
	t.Helper()
	i, err := l.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range ss {
		if s.Name() == i.Cluster.Leader {
			return s
		}
	}
	t.Fatalf("nobody leads: %+v", i.Cluster)
	return nil
}

func stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	give := time.NewTimer(patience)
	defer give.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-give.C:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e *events.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("error %v, want %s", err, code)
	}
}

// Where there are three servers a log has three replicas by itself, also while
// they have yet to choose who leads; its buckets get as many; and it goes on when
// the leader goes. Without a majority everything is refused at once, and works
// again when a majority is back.
//
// finding M1, finding M3
func TestReplicatedLog(t *testing.T) {
	t.Parallel() // it mostly waits
	ss := startCluster(t, 3)
	nc := ss.connect(t)
	// Nobody has waited for the election of the cluster's leader.
	l, err := Open(t.Context(), nc, mustSubjects(t), Options{Create: true, Wait: patience, AckTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if l.Replicas() != 3 {
		t.Fatalf("the log has %d replicas, want 3", l.Replicas())
	}
	eventually(t, "three members, one of which leads", func() bool {
		all, err := l.Members(t.Context())
		return err == nil && len(all) == 3 && all[0].Leads && !all[1].Leads && !all[2].Leads && all[0].Name != all[1].Name && all[1].Name < all[2].Name
	})
	b, err := OpenKV(t.Context(), nc, l.subjects, KVOptions{Name: "leases", Replicas: l.Replicas(), Health: l.Health})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "a", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	if n := replicasOf(t, l, "KV_rollcall_test_leases"); n != 3 {
		t.Errorf("the bucket has %d replicas, want 3", n)
	}
	raised(t, nc)
	acked := appendUntilTaken(t, l, 1)
	leader := ss.leader(t, l)
	store := filepath.Dir(leader.JetStreamConfig().StoreDir)
	stop(leader)
	acked = appendUntilTaken(t, l, acked+1)
	rest := slices.DeleteFunc(slices.Clone(ss), func(s *server.Server) bool { return s == leader })
	stop(rest[0])
	// Until the leader itself knows that it is alone, it may seem well again. From
	// then on nobody waits.
	eventually(t, "E-LOG-QUORUM for everything", func() bool { return refusesAll(t, l, b) })
	// A leader that was cut off a moment ago still describes its stream.
	eventually(t, "E-LOG-QUORUM for who opens the log", func() bool {
		told := 0
		_, err := Open(t.Context(), nc, mustSubjects(t), Options{Create: true, Wait: time.Millisecond, Waiting: func(error) { told++ }})
		if told > 1 {
			t.Errorf("told %d times that servers are waited for", told)
		}
		var e *events.Error
		return errors.As(err, &e) && e.Code == "E-LOG-QUORUM"
	})
	restart(t, leader, store, rest[1])
	eventually(t, "health with two of three", func() bool { return l.Health() == nil })
	appendUntilTaken(t, l, acked+1)
	read := 0
	for e, err := range l.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.ID == node("", read+1).ID {
			read++
		}
	}
	if read != acked+1 {
		t.Errorf("%d of %d acknowledged events are there, in order", read, acked+1)
	}
}

// refusesAll reports whether whatever is asked of a log and its bucket is refused for
// want of a majority.
func refusesAll(t *testing.T, l *Log, b *KV) bool {
	_, appended := l.Append(t.Context(), events.Entry{Event: node("b", 1000)})
	_, asked := l.Info(t.Context())
	_, _, looked := l.Latest(t.Context(), l.subjects.Object(events.Node, events.Key{Name: "a"}))
	_, put := b.Put(t.Context(), "a", []byte("2"), 0)
	for _, err := range []error{appended, l.Health(), asked, looked, put} {
		var e *events.Error
		if !errors.As(err, &e) || e.Code != "E-LOG-QUORUM" || !errors.Is(err, events.ErrUnavailable) {
			return false
		}
	}
	return true
}

// raised checks that replicas are added to what exists when they are asked for,
// and that none are taken away.
func raised(t *testing.T, nc *nats.Conn) {
	t.Helper()
	s, err := events.NewSubjects("raised")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ asked, want int }{{1, 1}, {0, 1}, {3, 3}, {0, 3}, {1, 3}} {
		l, err := Open(t.Context(), nc, s, Options{Create: true, Replicas: tc.asked, Wait: patience})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKV(t.Context(), nc, s, KVOptions{Name: "b", Replicas: tc.asked}); err != nil {
			t.Fatal(err)
		}
		if l.Replicas() != tc.want || replicasOf(t, l, "KV_rollcall_raised_b") != tc.want {
			t.Errorf("asked for %d the log has %d replicas and its bucket %d, want %d", tc.asked, l.Replicas(),
				replicasOf(t, l, "KV_rollcall_raised_b"), tc.want)
		}
	}
	_, err = Open(t.Context(), nc, s, Options{Create: true, Replicas: 5})
	wantCode(t, err, "E-STREAM-REPLICAS")
}

// frozen is a way to a server that stops to carry anything, and stays open.
type frozen struct {
	l    net.Listener
	stop chan struct{}
}

func freezable(t *testing.T, to string) *frozen {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &frozen{l, make(chan struct{})}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				a.Close()
				continue
			}
			t.Cleanup(func() {
				a.Close()
				b.Close()
			})
			wg.Go(func() { f.carry(a, b) })
			wg.Go(func() { f.carry(b, a) })
		}
	})
	return f
}

// carry copies until the way is frozen, and then holds both ends.
func (f *frozen) carry(from, to net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-f.stop:
			continue
		default:
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// A connection that carries nothing any more is noticed, and another server of
// those that were named is used. The client's own default takes six minutes.
//
// finding M2
func TestHalfOpenConnection(t *testing.T) {
	t.Parallel() // it mostly waits
	ss := startCluster(t, 2)
	way := freezable(t, ss[0].Addr().String())
	nc, err := Dial("nats://"+way.l.Addr().String()+", "+ss[1].ClientURL(), nats.DontRandomize(), nats.IgnoreDiscoveredServers())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	l, err := Open(t.Context(), nc, mustSubjects(t), Options{Create: true, Wait: patience})
	if err != nil {
		t.Fatal(err)
	}
	if l.Replicas() != 1 {
		t.Errorf("%d replicas on two servers, want 1", l.Replicas())
	}
	appendUntilTaken(t, l, 1)
	if nc.ConnectedUrl() == ss[1].ClientURL() {
		t.Fatal("connected past the way that freezes")
	}
	close(way.stop)
	appendUntilTaken(t, l, 2)
	if nc.ConnectedUrl() != ss[1].ClientURL() {
		t.Errorf("connected to %s, want the other server", nc.ConnectedUrl())
	}
	eventually(t, "health", func() bool { return l.Health() == nil })
}

// restart starts a server again that was stopped, on its store, and joins it to
// another one.
func restart(t *testing.T, s *server.Server, store string, other *server.Server) {
	t.Helper()
	startServer(t, &server.Options{ServerName: s.Name(), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: store, MaxPayload: events.MaxMessage, DisableJetStreamBanner: true,
		Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: server.RANDOM_PORT},
		Routes:  server.RoutesFromStr("nats://" + other.ClusterAddr().String())})
}

// appendUntilTaken appends the event of a number until it is acknowledged, and
// returns the number.
func appendUntilTaken(t *testing.T, l *Log, id int) int {
	t.Helper()
	eventually(t, fmt.Sprintf("append %d", id), func() bool {
		_, err := l.Append(t.Context(), events.Entry{Event: node("a", id)})
		if err != nil && !errors.Is(err, events.ErrUnknown) && !errors.Is(err, events.ErrUnavailable) {
			t.Fatal(err)
		}
		return err == nil
	})
	return id
}

func replicasOf(t *testing.T, l *Log, stream string) int {
	t.Helper()
	st, err := l.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return st.CachedInfo().Config.Replicas
}
