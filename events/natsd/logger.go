package natsd

import (
	"fmt"
	"sync"
)

// logger is the server's logger: it keeps the last warning or error, and tells of
// each; what is less is dropped.
type logger struct {
	heard func(line string) // must not wait for the server

	mu   sync.Mutex
	line string
}

func (l *logger) keep(format string, v ...any) {
	line := fmt.Sprintf(format, v...)
	l.heard(line)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = line
}

// last returns the newest line.
func (l *logger) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.line == "" {
		return "it gave no reason"
	}
	return l.line
}

func (l *logger) Noticef(string, ...any)         {}
func (l *logger) Debugf(string, ...any)          {}
func (l *logger) Tracef(string, ...any)          {}
func (l *logger) Warnf(format string, v ...any)  { l.keep(format, v...) }
func (l *logger) Errorf(format string, v ...any) { l.keep(format, v...) }
func (l *logger) Fatalf(format string, v ...any) { l.keep(format, v...) }
