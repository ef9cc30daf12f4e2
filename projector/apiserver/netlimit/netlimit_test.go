package netlimit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a net.Listener whose clients dial in the process.
type pipes struct {
	conns chan net.Conn
	n     int
}

type addr string

func (a addr) Network() string { return "pipe" }
func (a addr) String() string  { return string(a) }

type end struct {
	net.Conn
	remote addr
}

func (e end) LocalAddr() net.Addr  { return addr("server") }
func (e end) RemoteAddr() net.Addr { return e.remote }

func (p *pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p *pipes) Close() error   { close(p.conns); return nil }
func (p *pipes) Addr() net.Addr { return addr("server") }

// dial connects a client that l accepts; its name is its number.
func (p *pipes) dial(t *testing.T, l *Listener) (client net.Conn, served net.Conn) {
	t.Helper()
	here, there := net.Pipe()
	p.n++
	p.conns <- end{there, addr(fmt.Sprint(p.n))}
	served, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return here, served
}

func newPipes(limits Limits) (*pipes, *Listener) {
	p := &pipes{conns: make(chan net.Conn, 1)}
	return p, New(p, limits)
}

// ended reports whether the server has closed the connection of a client.
func ended(client net.Conn) bool {
	_ = client.SetReadDeadline(time.Now()) // a pipe has deadlines
	_, err := client.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// request is one that came over the n-th connection.
func request(n int) *http.Request {
	ctx := context.WithValue(context.Background(), http.LocalAddrContextKey, addr("server"))
	return (&http.Request{RemoteAddr: fmt.Sprint(n)}).WithContext(ctx)
}

// finding H6
//
// TestStrangersGoFirst: however many strangers come, a known client keeps its
// connection, and one that comes among them becomes known.
func TestStrangersGoFirst(t *testing.T) {
	p, l := newPipes(Limits{Known: 2, Strangers: 3, Patience: time.Hour})
	known, _ := p.dial(t, l)
	if !l.Know(request(1)) {
		t.Fatal("there is no place for the first client")
	}
	var strangers []net.Conn
	for range 50 {
		s, _ := p.dial(t, l)
		strangers = append(strangers, s)
	}
	late, _ := p.dial(t, l)
	if !l.Know(request(52)) {
		t.Error("there is no place for a client that comes after strangers")
	}
	for range 10 {
		p.dial(t, l)
	}
	if ended(known) || ended(late) {
		t.Error("strangers have closed the connection of a known client")
	}
	for i, s := range strangers {
		if !ended(s) {
			t.Errorf("stranger %d of %d still has its connection", i, len(strangers))
		}
	}
	if got, want := l.Counts(), (Counts{Known: 2, Strangers: 3, Displaced: 57}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// finding H6
//
// TestPatience: a connection that stays a stranger's is closed, a known one is not.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := newPipes(Limits{Known: 2, Strangers: 3, Patience: patience})
		silent, _ := p.dial(t, l)
		known, _ := p.dial(t, l)
		l.Know(request(2))
		time.Sleep(patience - 1)
		synctest.Wait()
		if n := l.Counts(); n.Strangers != 1 || n.Late != 0 {
			t.Errorf("before its time is over: %+v", n)
		}
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		if got, want := l.Counts(), (Counts{Known: 1, Late: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if !ended(silent) || ended(known) {
			t.Errorf("the silent one is ended: %v, the known one: %v", ended(silent), ended(known))
		}
	})
}

// TestFull: known clients have a bound too, and a place that one leaves is free.
func TestFull(t *testing.T) {
	p, l := newPipes(Limits{Known: 1, Strangers: 2, Patience: time.Hour})
	_, first := p.dial(t, l)
	p.dial(t, l)
	once, again := l.Know(request(1)), l.Know(request(1))
	if !once || !again || l.Know(request(2)) {
		t.Errorf("one place is not one: %+v", l.Counts())
	}
	for range 2 {
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !l.Know(request(2)) {
		t.Error("the place of a client that went is not free")
	}
	if got, want := l.Counts(), (Counts{Known: 1, Refused: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestSamePort: a client that comes again from the port of a connection that the
// server has not closed yet takes nothing from the books.
func TestSamePort(t *testing.T) {
	p, l := newPipes(Limits{Known: 1, Strangers: 2, Patience: time.Hour})
	_, old := p.dial(t, l)
	l.Know(request(1))
	p.n = 0
	_, again := p.dial(t, l)
	for range 2 {
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !l.Know(request(1)) || l.Counts().Known != 1 {
		t.Errorf("after a connection from the same port: %+v", l.Counts())
	}
	if err := again.Close(); err != nil || l.Counts() != (Counts{}) {
		t.Errorf("%+v, %v", l.Counts(), err)
	}
}

// TestForFiles: whatever the limit, something is left for the log, and for both
// kinds of clients.
func TestForFiles(t *testing.T) {
	for _, files := range []uint64{0, 1, 40, 64, 256, 1024, 4096, 1 << 20, 1 << 62} {
		l := ForFiles(files)
		if l.Known < 1 || l.Strangers < 1 || files >= 64 && uint64(l.Known+l.Strangers) > files-files/8 {
			t.Errorf("%d files: %+v", files, l)
		}
	}
	if got, want := ForFiles(1024), (Limits{Known: 576, Strangers: 192, Patience: patience}); got != want {
		t.Errorf("1024 files: %+v, want %+v", got, want)
	}
}
