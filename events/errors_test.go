package events_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"rollcall/events"
)

// TestErrorLine: an error is one line that a person reads, whatever the input
// was that is refused.
//
// finding U12
func TestErrorLine(t *testing.T) {
	long := strings.Repeat("é ", 300_000)
	e := &events.Error{Code: "E-X-Y", What: long, Where: long, Why: "a\n\tb\x1b[2J\x00c", Do: long}
	line := e.Error()
	if len(line) > 4000 || strings.ContainsAny(line, "\n\t\x1b\x00") || !utf8.ValidString(line) {
		t.Errorf("the line has %d bytes: %.300q", len(line), line)
	}
	if strings.Count(line, "bytes more)") != 3 || !strings.Contains(line, "a b�[2J�c") {
		t.Errorf("it does not tell what is left out: %.300q", line)
	}
	short := &events.Error{Code: "E-X-Y", What: strings.Repeat("x", 1000)}
	if line := short.Error(); line != "E-X-Y: "+short.What {
		t.Errorf("what fits is cut: %q", line)
	}
}
