package apiserver

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"

	"rollcall/events"
	"rollcall/events/memlog"
	"rollcall/events/seal"
	"rollcall/events/waittest"
	"rollcall/projector/apiserver/access"
	"rollcall/projector/apiserver/netlimit"
	"rollcall/projector/table"
)

// patience bounds a wait for what comes by itself.
var patience = waittest.Patience

// cluster is a server over a log in memory.
type cluster struct {
	log      events.Log
	subjects events.Subjects
	objects  *table.Tables
	held     *sync.Mutex // who holds it keeps the tables from going on
	server   *Server
	client   kubernetes.Interface
}

// newTables returns tables that follow a log until the test ends, while held is
// free, and feed follow.
func newTables(t testing.TB, log events.Log, held *sync.Mutex, follow ...func(events.Event)) *table.Tables {
	t.Helper()
	objects := table.New(table.Recent)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e, err := range log.Tail(ctx, 0) {
			if err != nil {
				return
			}
			held.Lock()
			for _, f := range follow {
				f(e)
			}
			objects.Take(e)
			held.Unlock()
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return objects
}

func testSubjects(t testing.TB) events.Subjects {
	t.Helper()
	s, err := events.NewSubjects("test")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// withPort gives a server a port and the admin a token.
func withPort(t testing.TB, c Config) Config {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Listener, c.Token, c.Connections = l, "secret", netlimit.ForFiles(1024)
	if c.Cert, c.Key, err = cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil); err != nil {
		t.Fatal(err)
	}
	c.CA = c.Cert
	return c
}

// testKey returns the key of a test's Secrets.
func testKey(t testing.TB) *seal.Key {
	t.Helper()
	k, err := seal.NewKey(bytes.Repeat([]byte{'t'}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// serve starts a server that ends with the test, and waits until it answers.
func serve(t testing.TB, c Config) *Server {
	t.Helper()
	c.Leases, c.Events = memlog.NewKV(), memlog.NewKV()
	if c.Secrets == nil {
		c.Secrets = seal.NewRing(testKey(t))
	}
	if c.Tally == nil {
		c.Tally = NewTally()
	}
	if c.Logs == nil {
		c.Logs = func(*corev1.Pod, string, bool) (events.ContainerLog, error) { return events.ContainerLog{}, nil }
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatalf("the server ended: %v", err)
	}
	return s
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	return newClusterWith(t, withPort(t, Config{}))
}

// newClusterWith is newCluster with a server of that configuration.
func newClusterWith(t testing.TB, config Config) *cluster {
	t.Helper()
	c := &cluster{subjects: testSubjects(t), held: &sync.Mutex{}}
	c.log = memlog.New(c.subjects, time.Now)
	config.Tally = NewTally()
	c.objects = newTables(t, c.log, c.held, config.Tally.Follow)
	config.Log, config.Subjects, config.Objects = c.log, c.subjects, c.objects
	c.server = serve(t, config)
	c.client = c.server.client
	return c
}

// as returns a client of the admin with a user agent.
func (c *cluster) as(t testing.TB, agent string) kubernetes.Interface {
	t.Helper()
	config := c.server.LoopbackAs(access.Admin)
	config.UserAgent = agent
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// byPort returns a configuration for clients that come to a server by its port.
func byPort(s *Server, token string) *rest.Config {
	return &rest.Config{Host: "https://" + s.config.Listener.Addr().String(), BearerToken: token,
		TLSClientConfig: rest.TLSClientConfig{CAData: s.config.CA}, QPS: -1}
}

// append appends an event beside the API.
func (c *cluster) append(t testing.TB, typ events.Type, body events.Body) events.Seq {
	t.Helper()
	seq, err := c.log.Append(t.Context(), events.Entry{Event: events.Event{ID: ulid.Make(), Type: typ, At: time.Now(), Body: body}})
	if err != nil {
		t.Fatal(err)
	}
	return seq
}
