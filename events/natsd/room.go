package natsd

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sys/unix"

	"rollcall/events"
)

// maxStore is the limit of the store in bytes: none. The server's own default
// is three quarters of what was free when it started, so that a log of more than
// that would be read-only after a restart, and a larger disk would not help.
const maxStore = 1 << 62

// reserve is what appends leave free, for the index that the server writes
// beside the blocks and for what others write between the look and the append;
// of a small disk it is a part.
const (
	reserve     = 16 << 20
	reservePart = 8
)

// rescuePause is how long the server waits before it looks for room again.
const rescuePause = 500 * time.Millisecond

// writeError is in every line that the server logs about a store that it will
// not write to any more.
const writeError = "write error"

// Room returns nil if the store takes n more bytes, else E-LOG-FULL. It asks the
// file system only.
func (s *Server) Room(n int64) error {
	if s.broken.Load() {
		return events.Full(s.dir, "the store could not be written; it is opened again when there is room", makeRoom)
	}
	return room(s.dir, n)
}

const makeRoom = "make room on the disk of the data directory; writing goes on by itself"

func room(dir string, n int64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return events.Full(dir, "the disk cannot be asked for room: "+err.Error(), "see to the disk of the data directory")
	}
	size := uint64(fs.Bsize)
	free, total := fs.Bavail*size, fs.Blocks*size
	keep := min(uint64(reserve), total/reservePart)
	switch {
	case fs.Files > 0 && fs.Ffree == 0:
		return events.Full(dir, "the disk has no room for another file", makeRoom)
	case free < keep+uint64(n):
		return events.Full(dir, fmt.Sprintf("%d MiB are free on the disk, and %d are kept for the server itself",
			free>>20, (keep+uint64(n))>>20), makeRoom)
	}
	return nil
}

// heard takes a line of the server's log.
func (s *Server) heard(line string) {
	if !strings.Contains(strings.ToLower(line), writeError) && !strings.Contains(line, "disabling JetStream") {
		return
	}
	if s.broken.CompareAndSwap(false, true) {
		s.rescue <- struct{}{}
	}
}

// rescues opens the store of the server again whenever it could not be written,
// as soon as there is room: the server itself does so never. Connections stay;
// consumers and streams in memory do not. end ends it.
func (s *Server) rescues() (end func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-s.rescue:
				s.reopen(stop)
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-done
	}
}

func (s *Server) reopen(stop <-chan struct{}) {
	for s.broken.Load() {
		select {
		case <-time.After(rescuePause):
		case <-stop:
			return
		}
		if room(s.dir, 0) != nil {
			continue
		}
		if err := s.restartStore(); err != nil {
			s.log.Errorf("open the store again: %v", err)
			continue
		}
		s.broken.Store(false)
	}
}

func (s *Server) restartStore() error {
	if err := s.ns.ShutdownJetStream(); err != nil {
		return err
	}
	if err := s.ns.EnableJetStream(&server.JetStreamConfig{StoreDir: s.dir, SyncAlways: s.syncAlways, MaxStore: maxStore,
		Strict: true, CompressOK: true}); err != nil {
		return err
	}
	if err := s.openStore(); err != nil {
		return err
	}
	if h := s.ns.Healthz(nil); h.Error != "" {
		return errors.New(h.Error)
	}
	return nil
}
