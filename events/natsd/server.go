// Package natsd runs a nats-server with JetStream inside the process.
//
// It holds its data directory with a lock from before the server opens the
// store until after the server has closed it: the server itself does not lock,
// and two processes on one store both acknowledge and one loses. rollcall
// connects in process with all rights; everybody else connects to a loopback
// port, each in an account of its own: who has generated credentials may ask the
// gate, tell events and read the log, a source what its table says; nobody may
// write the log nor leave anything in the server. Port and credentials are the
// same after a restart on the same directory.
//
// It installs no signal handler and writes nothing to the standard streams.
package natsd

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"rollcall/events"
	"rollcall/events/files"
)

// Durability is what an acknowledged append survives.
type Durability int

// The durabilities.
const (
	Sync    Durability = iota // a power cut: every write is synced before it is acknowledged
	Relaxed                   // a crash of the process; a power cut may lose the last two minutes
)

// readyTimeout bounds how long a server may take to accept connections once its
// store is recovered, which has no bound.
const readyTimeout = time.Minute

// Options say how a server runs. The zero Options are a temporary, synced
// server that only this process can reach.
type Options struct {
	Dir        string // data directory; empty: a temporary one that Close removes
	Durability Durability
	Listen     *net.TCPAddr // port 0: any, which the next run takes again; nil: nowhere
	Users      []string     // who gets credentials; nobody: DefaultUser
	Cluster    string       // whose log and gate the credentials are for
	// Sources returns a source as it is now. It is asked whenever one connects, and
	// for those that are connected by Recheck. It may be nil: there are none.
	Sources func(name string) (Source, bool)
	// Check looks at the data directory under its lock, before the server reads
	// the store, which it may mend without a word. An error ends the start. It
	// may be nil.
	Check func(ctx context.Context, dir string) error
}

// Server is a running nats-server.
type Server struct {
	ns         *server.Server
	dir        string
	temp       bool
	lock       *os.File
	password   string // of the user inside
	door       *door
	readers    *nats.Conn // on which requests for consumers are looked at
	log        *logger
	broken     atomic.Bool   // the store could not be written, and is not open again yet
	rescue     chan struct{} // receives when it breaks
	endRescues func()
	closing    sync.Once

	syncAlways bool
}

// Start starts a server and waits until it takes connections. The server runs
// until Close; ctx bounds the start only.
//
// The errors of bad input come before anything is written: E-CLI-STORE,
// E-CLI-CLUSTER, E-CLI-USER. ErrLocked says that another process holds the
// directory, E-STORE-VERSION that it has another format.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	subjects, err := events.NewSubjects(o.Cluster)
	if err != nil {
		return nil, err
	}
	if len(o.Users) == 0 {
		o.Users = []string{DefaultUser}
	}
	if err := checkUsers(o.Users); err != nil {
		return nil, err
	}
	s := &Server{dir: o.Dir, password: rand.Text(), syncAlways: o.Durability == Sync,
		rescue: make(chan struct{}, 1)}
	s.log = &logger{heard: s.heard}
	if err := s.hold(ctx, o.Check); err != nil {
		return nil, err
	}
	s.endRescues = s.rescues()
	id, err := loadIdentity(s.dir, o.Users)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	opts := serverOptions(o, s.dir, again(o.Listen, id.Port))
	s.door = newDoor(subjects, s.password, id.Passwords, o.Sources)
	opts.CustomClientAuthentication = s.door
	if err := s.run(ctx, opts, subjects); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if opts.DontListen {
		return s, nil
	}
	if err := s.publish(o.Users, id); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// publish writes how the users outside reach the server, now and after a restart.
func (s *Server) publish(users []string, id identity) error {
	id.Port = s.ns.Addr().(*net.TCPAddr).Port
	if err := s.write(identityFile, id); err != nil {
		return err
	}
	for i, u := range users {
		c := Connection{URL: s.ns.ClientURL(), User: u, Password: id.Passwords[u], PID: os.Getpid(), Started: time.Now().UTC()}
		name := connectionFile
		if i > 0 {
			name = fmt.Sprintf(connectionOther, u)
		}
		if err := s.write(name, c); err != nil {
			return err
		}
	}
	return nil
}

// write replaces a file of the data directory.
func (s *Server) write(name string, v any) error {
	if err := files.ReplaceJSON(filepath.Join(s.dir, name), v); err != nil {
		return storeError(s.dir, err)
	}
	return nil
}

// retract removes what publish has written of this run, or one that was killed.
func retract(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, fmt.Sprintf(connectionOther, "*")))
	for _, f := range append(files, filepath.Join(dir, connectionFile)) {
		if rm := os.Remove(f); !errors.Is(rm, os.ErrNotExist) {
			err = errors.Join(err, rm)
		}
	}
	return err
}

// hold makes the data directory, takes its lock and lets it be checked.
func (s *Server) hold(ctx context.Context, check func(context.Context, string) error) error {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "rollcall-")
		if err != nil {
			return storeError(os.TempDir(), err)
		}
		s.dir, s.temp = dir, true
	} else if err := prepare(s.dir); err != nil {
		return err
	}
	lock, err := takeLock(ctx, s.dir)
	if err != nil {
		return err
	}
	if err := s.ready(ctx, check); err != nil {
		return errors.Join(err, lock.Close())
	}
	s.lock = lock
	return nil
}

// ready makes the data directory, whose lock is held, one that the server may
// read.
func (s *Server) ready(ctx context.Context, check func(context.Context, string) error) error {
	err := checkVersion(s.dir)
	if errors.Is(err, os.ErrNotExist) { // it is new
		err = files.Replace(filepath.Join(s.dir, versionFile), []byte(format+"\n"))
	}
	if own := new(events.Error); err != nil && !errors.As(err, &own) {
		return storeError(s.dir, err)
	}
	if err == nil && check != nil {
		err = check(ctx, s.dir)
	}
	if err != nil {
		return err
	}
	// Of an instance that was killed; it must not be taken for this one.
	_ = retract(s.dir)
	return files.Sweep(s.dir)
}

// serverOptions translates o. The ports of other protocols stay shut: each is a
// surface that nothing here needs.
func serverOptions(o Options, dir string, at *net.TCPAddr) *server.Options {
	opts := &server.Options{
		ServerName:             "rollcall",
		DontListen:             at == nil,
		NoSigs:                 true,
		NoLog:                  true,
		JetStream:              true,
		StoreDir:               dir,
		SyncAlways:             o.Durability == Sync,
		JetStreamMaxStore:      maxStore,
		MaxPayload:             events.MaxMessage,
		DisableJetStreamBanner: true,
	}
	if at != nil {
		opts.Host, opts.Port = at.IP.String(), cmp.Or(at.Port, server.RANDOM_PORT)
	}
	return opts
}

// run starts the server and waits until it takes connections.
func (s *Server) run(ctx context.Context, opts *server.Options, subjects events.Subjects) error {
	ns, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("start the NATS server: %w", err)
	}
	s.ns = ns
	ns.SetLoggerV2(s.log, false, false, false)
	if err := s.door.open(ns); err != nil {
		return fmt.Errorf("start the NATS server: %w", err)
	}
	ns.Start()
	wait := readyTimeout
	if d, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(d))
	}
	if !ns.ReadyForConnections(wait) || !ns.JetStreamEnabled() {
		return &events.Error{Code: "E-STORE-START", What: "the NATS server does not start", Where: s.dir, Why: s.log.last(),
			Do: "keep the directory as it is, and start on a copy of it from before", Exit: events.ExitHalt}
	}
	if err := s.openStore(); err != nil {
		return err
	}
	if s.readers, err = s.Connect(); err != nil {
		return err
	}
	if err := checkConsumers(s.readers, s.ns.GlobalAccount(), subjects); err != nil {
		return err
	}
	return ctx.Err()
}

// Recheck cuts the connections of sources that are gone, have another token or may
// do something else than when they connected.
func (s *Server) Recheck() { s.door.recheck() }

// openStore gives the account of the log its store: a server with other accounts
// leaves it without one.
func (s *Server) openStore() error {
	log := s.ns.GlobalAccount()
	if log.JetStreamEnabled() {
		return nil
	}
	if err := log.EnableJetStream(nil, nil); err != nil {
		return fmt.Errorf("open the store of the NATS server: %w", err)
	}
	return nil
}

// Dir returns the data directory.
func (s *Server) Dir() string { return s.dir }

// Keep makes Close leave a temporary data directory where it is.
func (s *Server) Keep() { s.temp = false }

// URL returns the address for other processes, or "" if there is none.
func (s *Server) URL() string {
	if s.ns.Addr() == nil {
		return ""
	}
	return s.ns.ClientURL()
}

// InProcessConn returns the client's end of a new connection in the process; it
// makes a Server a nats.InProcessConnProvider.
func (s *Server) InProcessConn() (net.Conn, error) { return s.ns.InProcessConn() }

// Connect returns a connection in the process, with all rights. The caller
// closes it.
func (s *Server) Connect(opts ...nats.Option) (*nats.Conn, error) {
	all := append([]nats.Option{
		nats.InProcessServer(s),
		nats.UserInfo(insideUser, s.password),
		nats.CustomInboxPrefix(insideInbox),
		nats.Name("rollcall"),
		nats.MaxReconnects(-1),
	}, opts...)
	nc, err := nats.Connect(nats.DefaultURL, all...)
	if err != nil {
		return nil, fmt.Errorf("connect to the NATS server in this process: %w", err)
	}
	return nc, nil
}

// Close stops the server and waits until its store is closed and its goroutines
// are gone, then gives the data directory free. Later calls do nothing.
func (s *Server) Close() (err error) {
	s.closing.Do(func() {
		s.endRescues()
		if s.readers != nil {
			s.readers.Close()
		}
		if s.ns != nil {
			s.ns.Shutdown()
			s.ns.WaitForShutdown()
		}
		err = errors.Join(retract(s.dir), s.lock.Close())
		if s.temp {
			err = errors.Join(err, os.RemoveAll(s.dir))
		}
	})
	return err
}
