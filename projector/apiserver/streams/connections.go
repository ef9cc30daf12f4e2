package streams

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/kubelet/client"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/table"
)

// Options say what the containers of a cluster are.
type Options struct {
	Objects *table.Tables
	Client  kubernetes.Interface // that may read everything
	Places  Places
	Logs    func(pod *corev1.Pod, container string, previous bool) (events.ContainerLog, error)
	Real    client.ConnectionInfoGetter         // of nodes that have a kubelet of their own
	Start   func(run func(ctx context.Context)) // runs something until the server ends
	Now     func() time.Time
	Past    string // why nothing runs in what is served, as a sentence; empty: it is the present
}

// Connections tells how the kubelets of nodes are reached.
type Connections struct {
	options Options
	disk    disk
	places  chan struct{} // of sessions
	turn    turns

	begin sync.Once
	pipes *pipes
}

// mostSessions is how many sessions there are at once, and sessionTime how long
// one lasts, as by a kubelet.
const (
	mostSessions = 64
	sessionTime  = 4 * time.Hour
)

// New returns the connections to the nodes of a cluster.
func New(o Options) *Connections {
	return &Connections{options: o, disk: disk{trees: map[string]*kept{}}, places: make(chan struct{}, mostSessions), pipes: newPipes()}
}

// GetConnectionInfo implements client.ConnectionInfoGetter: it is the one place
// where simulated and real nodes part.
func (c *Connections) GetConnectionInfo(ctx context.Context, node types.NodeName) (*client.ConnectionInfo, error) {
	switch {
	case c.options.Past != "":
		return nil, refused(c.options.Past)
	case c.simulated(string(node)):
		t := &http.Transport{DialContext: c.dial, DisableKeepAlives: true}
		return &client.ConnectionInfo{Scheme: "http", Hostname: string(node), Port: "10250", Transport: t, InsecureSkipTLSVerifyTransport: t}, nil
	case !c.options.Places.RealNode(string(node)):
		return nil, refused(fmt.Sprintf("node %s has no kubelet of its own here that could be asked", node))
	}
	return c.options.Real.GetConnectionInfo(ctx, node)
}

// simulated reports whether a node is one of ours.
func (c *Connections) simulated(node string) bool {
	i := c.options.Objects.Get(events.Node, events.Key{Name: node})
	return i != nil && string(wire.Text(wire.Field(wire.Field(i.Data, "metadata"), "labels"), events.LabelSimulated)) == "true"
}

// PodTransport is how the addresses of pods are reached. Those of simulated ones
// are on no network, and answer with a page; nothing else than a pod of a real node
// is dialled.
func (c *Connections) PodTransport() http.RoundTripper {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil, err
		}
		if pod := c.podAt(at); pod == nil || !c.options.Places.RealNode(pod.Spec.NodeName) {
			return nil, fmt.Errorf("no pod of a real node is at %s", at)
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return pages{c, utilnet.SetTransportDefaults(&http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}})} // nobody here knows their certificates
}

// dial connects to the small kubelet, which begins with the first connection.
func (c *Connections) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	c.begin.Do(func() { c.options.Start(c.serve) })
	return c.pipes.dial(ctx)
}

// serve answers connections until ctx is done.
func (c *Connections) serve(ctx context.Context) {
	s := &http.Server{Handler: c.handler(), BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			ctx, gone := context.WithCancel(ctx)
			conn.(*pipe).gone = gone
			return ctx
		}, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = s.Close()       // what is open is over
		_ = c.pipes.Close() // it cannot fail
	}()
	_ = s.Serve(c.pipes) // it ends with ctx
}

// pipes is a listener of connections within the process.
type pipes struct {
	come   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{come: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.come <- &pipe{Conn: far}:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.come:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "simulated kubelet", Net: "pipe"} }

// pipe is one connection: whatever runs for it ends when the other end is gone.
type pipe struct {
	net.Conn
	gone context.CancelFunc
}

// Read implements net.Conn.
func (p *pipe) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if ne, ok := err.(net.Error); err != nil && !(ok && ne.Timeout()) {
		p.gone()
	}
	return n, err
}

// Close implements net.Conn.
func (p *pipe) Close() error {
	p.gone()
	return p.Conn.Close()
}
