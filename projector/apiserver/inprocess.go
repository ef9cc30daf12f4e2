package apiserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"
)

// Loopback returns a configuration for clients in this process that act for the
// server itself.
func (s *Server) Loopback() *rest.Config { return s.LoopbackAs(user.APIServerUser) }

// LoopbackAs returns a configuration for clients in this process that act for
// the named user, who may do everything. A request of such a client is handed to
// the server as a value: it needs no port, no certificate and no token.
func (s *Server) LoopbackAs(name string) *rest.Config {
	u := &user.DefaultInfo{Name: name, Groups: []string{user.SystemPrivilegedGroup, user.AllAuthenticated}}
	return &rest.Config{Host: "http://rollcall", Transport: localTransport{s.local, u}, UserAgent: "rollcall", QPS: -1}
}

// localUser is the key under which a request that has come through a
// localTransport carries its user. Nothing that comes in by a connection can set it.
type localUser struct{}

// whoIsLocal knows the user of a request that was made in this process.
func whoIsLocal(r *http.Request) (*authenticator.Response, bool, error) {
	u, ok := r.Context().Value(localUser{}).(user.Info)
	return &authenticator.Response{User: u}, ok, nil
}

// local hands requests of this process to a server's handler.
type local struct {
	handler http.Handler
	life    context.Context // of the server

	mu    sync.Mutex
	ended bool
	open  sync.WaitGroup // requests that the handler has not returned from
}

// begin reports whether the server takes another request.
func (l *local) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.open.Add(1)
	}
	return !l.ended
}

// wait takes no more requests and returns when the handler has returned from
// all. The life of the server has to be over.
func (l *local) wait() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.open.Wait()
}

// localTransport is the http.RoundTripper of one user's clients in this process.
type localTransport struct {
	*local
	user user.Info
}

// RoundTrip implements http.RoundTripper. It returns when the answer has begun;
// the body comes as the handler writes it, so that a watch can be followed.
func (t localTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.begin() {
		return nil, http.ErrServerClosed
	}
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), localUser{}, t.user))
	unlink := context.AfterFunc(t.life, cancel)
	out, in := io.Pipe()
	a := &localAnswer{header: http.Header{}, begun: make(chan struct{}), body: in}
	broken := context.AfterFunc(ctx, func() { _ = in.CloseWithError(ctx.Err()) }) // a Write that nobody reads ends with it
	go func() {
		defer t.open.Done()
		defer func() {
			unlink()
			broken()
			a.end(recover())
			cancel()
		}()
		t.handler.ServeHTTP(a, received(ctx, r))
	}()
	select {
	case <-a.begun:
		if a.err != nil {
			return nil, a.err
		}
		return &http.Response{StatusCode: a.code, Status: http.StatusText(a.code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: a.sent, Body: localBody{out, cancel}, ContentLength: -1, Request: r}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// received returns a client's request as a handler expects it.
func received(ctx context.Context, r *http.Request) *http.Request {
	in := r.Clone(ctx)
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = net.JoinHostPort(net.IPv4(127, 0, 0, 1).String(), "0")
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	return in
}

// localBody is the body of an answer. Who closes it is no longer interested.
type localBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (b localBody) Close() error {
	b.cancel()
	return b.ReadCloser.Close()
}

// localAnswer is the http.ResponseWriter of a request of this process.
type localAnswer struct {
	header http.Header
	once   sync.Once
	begun  chan struct{} // closed when code and sent are there, or err
	err    error
	code   int
	sent   http.Header
	body   *io.PipeWriter
}

// Header implements http.ResponseWriter.
func (a *localAnswer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *localAnswer) WriteHeader(code int) {
	if code < http.StatusOK {
		return // more than a hint is to come
	}
	a.once.Do(func() {
		a.code, a.sent = code, a.header.Clone()
		close(a.begun)
	})
}

// Write implements http.ResponseWriter.
func (a *localAnswer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// Flush implements http.Flusher.
func (a *localAnswer) Flush() { a.WriteHeader(http.StatusOK) }

// CloseNotify is there because Kubernetes' filters take a writer without it for
// one that cannot be flushed. Nobody calls it: the context says the same.
func (a *localAnswer) CloseNotify() <-chan bool { return nil }

// errAborted ends an answer that the handler has given up by a panic, which
// Kubernetes' filters have logged.
var errAborted = errors.New("the server has given up the request")

// end closes the answer of a handler that has returned, or has panicked.
func (a *localAnswer) end(panicked any) {
	if panicked == nil {
		a.WriteHeader(http.StatusOK)
		_ = a.body.Close() // it never fails
		return
	}
	a.once.Do(func() {
		a.err = errAborted
		close(a.begun)
	})
	_ = a.body.CloseWithError(errAborted) // it never fails
}

// noListener accepts nobody: it is that of a server without a port.
type noListener struct {
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener.
func (l *noListener) Accept() (net.Conn, error) {
	<-l.closed
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (l *noListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *noListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
