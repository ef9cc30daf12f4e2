package events

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// What callers of a log act on.
var (
	ErrConflict  = errors.New("the subject has moved past the expected position")
	ErrUnknown   = errors.New("the outcome of the append is unknown")
	ErrGap       = errors.New("a position is missing from the log")
	ErrTruncated = errors.New("the log ends before a position that was read")
	ErrRewritten = errors.New("the log holds other events than those that were read")
	ErrTooLarge  = errors.New("the event is larger than the log takes")
	// ErrUnavailable passes when somebody makes room or a server comes back.
	ErrUnavailable = errors.New("the log takes nothing now")
)

// Exit codes of the program, by class of error.
const (
	ExitFailure = 1 // it was tried and did not work, or verify found a difference
	ExitInput   = 2 // bad input; nothing was done
	ExitHalt    = 3 // the log is damaged, or a rollout is stalled
	ExitBusy    = 4 // another instance holds the data directory, or somebody has changed what a plan depends on

	ExitTimeout = 124 // it did not end in the time that it had, as of timeout(1)
)

// Error is a refusal in one line: a code, what is wrong, where, why, and what
// to do next. Exit is the exit code of a program that ends with it.
type Error struct {
	Code  string `json:"code"` // "E-MAN-FIELD"
	What  string `json:"what"`
	Where string `json:"where,omitempty"` // a file, a field path, a position
	Why   string `json:"why,omitempty"`
	Do    string `json:"do,omitempty"`
	Exit  int    `json:"exit"`
	Err   error  `json:"-"` // wrapped, for errors.Is; not printed
}

// maxPart bounds each part of an error's line: an input of a megabyte that is
// refused must not be printed whole.
const maxPart = 1000

// Error returns "CODE: what (where): why; what to do" on one line, each part
// cut to what a person reads and without what would move a terminal's cursor.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Code, line(e.What))
	if e.Where != "" {
		fmt.Fprintf(&b, " (%s)", line(e.Where))
	}
	if e.Why != "" {
		fmt.Fprintf(&b, ": %s", line(e.Why))
	}
	if e.Do != "" {
		fmt.Fprintf(&b, "; %s", line(e.Do))
	}
	return b.String()
}

// line writes a text on one line of at most maxPart bytes and what tells how
// much is left out.
func line(s string) string {
	more := len(s) - maxPart
	if more > 0 {
		s = strings.ToValidUTF8(s[:maxPart], "")
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
	if more > 0 {
		s += fmt.Sprintf("… (%d bytes more)", more)
	}
	return s
}

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.Err }
