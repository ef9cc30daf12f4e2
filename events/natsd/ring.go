package natsd

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// ringSize is how many lines of a server are kept.
const ringSize = 100

// ring keeps the last warnings and errors of a server and passes them on. It
// is the server's logger; what is less than a warning is dropped.
type ring struct {
	to   *slog.Logger
	also func(line string) // told of each line; must not wait for the server

	mu   sync.Mutex
	kept []string
}

func newRing(to *slog.Logger, also func(string)) *ring { return &ring{to: to, also: also} }

func (r *ring) keep(level slog.Level, format string, v ...any) {
	line := fmt.Sprintf(format, v...)
	if r.to != nil {
		r.to.Log(context.Background(), level, line, "from", "nats-server")
	}
	if r.also != nil {
		r.also(line)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) == ringSize {
		r.kept = slices.Delete(r.kept, 0, 1)
	}
	r.kept = append(r.kept, line)
}

func (r *ring) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.kept)
}

// last returns the newest line.
func (r *ring) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) == 0 {
		return "it gave no reason"
	}
	return r.kept[len(r.kept)-1]
}

func (r *ring) Noticef(string, ...any)         {}
func (r *ring) Debugf(string, ...any)          {}
func (r *ring) Tracef(string, ...any)          {}
func (r *ring) Warnf(format string, v ...any)  { r.keep(slog.LevelWarn, format, v...) }
func (r *ring) Errorf(format string, v ...any) { r.keep(slog.LevelError, format, v...) }
func (r *ring) Fatalf(format string, v ...any) { r.keep(slog.LevelError, format, v...) }
