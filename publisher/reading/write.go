package reading

import (
	"encoding/json"
	"fmt"
	"time"

	"rollcall/events/wire"
)

// send writes a part of the answer. A reader that does not take it in time has gone.
func (s *stream) send(part string) error {
	if len(part) > s.w.Available() {
		s.soon()
	}
	if _, err := s.w.WriteString(part); err != nil {
		return errWrite
	}
	return nil
}

// flush sends what is written.
func (s *stream) flush() error {
	s.soon()
	if s.w.Flush() != nil || s.rc.Flush() != nil {
		return errWrite
	}
	return nil
}

// soon bounds the next write. A writer without deadlines is that of a test.
func (s *stream) soon() { _ = s.rc.SetWriteDeadline(time.Now().Add(writeTime)) }

// here is what a stream says when there is nothing to say; in an event stream it
// keeps the place of a reader to whom nothing was sent since.
func (s *stream) here() string {
	if s.form == eventStream {
		return fmt.Sprintf(": %s\nid: %d\n\n", time.Now().UTC().Format(time.RFC3339), s.after)
	}
	return ""
}

// noticed is what a reader is told first.
func (s *stream) noticed() string {
	if s.notice == "" {
		return ""
	}
	return s.told("notice", s.notice)
}

// told says something that is no event of the log: an event of this name in an
// event stream, and an object with it in the other forms.
func (s *stream) told(name, why string) string {
	said := map[string]any{"why": why, "seq": s.after}
	if s.form != eventStream {
		said = map[string]any{name: said}
	}
	if s.form == maps {
		b, _ := wire.Marshal(said) // texts and a number
		return string(b)
	}
	b, _ := json.Marshal(said) // texts and a number
	if s.form == eventStream {
		return fmt.Sprintf("event: %s\ndata: %s\n\n", name, b)
	}
	return string(b) + "\n"
}
