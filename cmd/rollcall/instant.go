package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
)

// instant is a point of a log: after the event at a position, or after all that
// were stored up to a time. The zero instant is the end of the log.
type instant struct {
	seq  events.Seq
	time time.Time
	id   ulid.ULID // of an event; locate makes it a position
}

// instantForms is what help says of the forms of an instant.
const instantForms = `An instant is a position (48210, or '#48210' as rollcall log prints it), the id of
an event (@01J...), a time (2026-01-31T03:12:00Z, or '2026-01-31 03:12:00.250 UTC'
as rollcall prints it), how long before now (-5m), or now. A time without a zone
is of this machine's, a date is its midnight, and 03:12 is the last time that it
was so late: today, or yesterday if that is still to come.`

// The layouts of times with a zone and of those without, and of what is only a
// time of the day. Fractions of a second are read by all that have seconds.
var (
	zonedTimes = []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 MST", "2006-01-02 15:04 MST"}
	localTimes = []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly}
	dayTimes   = []string{"15:04:05", "15:04"}
)

// parseInstant reads an instant, as instantForms has it.
func parseInstant(s string, now time.Time) (instant, error) {
	text := strings.TrimSpace(s)
	if n, err := strconv.ParseUint(strings.TrimPrefix(text, "#"), 10, 64); err == nil {
		if n == 0 {
			return instant{}, instantError(s, "nothing is before the first event", "give 1 or more")
		}
		return instant{seq: events.Seq(n)}, nil
	}
	if text == "now" {
		return instant{time: now}, nil
	}
	if id, ok := strings.CutPrefix(text, "@"); ok {
		parsed, err := ulid.ParseStrict(id)
		if err != nil {
			return instant{}, instantError(s, "it is no id of an event", "copy one from rollcall log -o jsonl")
		}
		return instant{id: parsed}, nil
	}
	t, ok := parseTime(text, now)
	if !ok {
		return instant{}, instantError(s, "it is no point in time", "give a position such as 48210, a time such as "+
			now.UTC().Truncate(time.Second).Format(time.RFC3339)+" or 03:12, -5m for five minutes ago, or now")
	}
	if t.After(now) {
		return instant{}, instantError(s, "it is in the future", "give a time that has passed")
	}
	return instant{time: t}, nil
}

// parseTime reads a time that is no position.
func parseTime(text string, now time.Time) (time.Time, bool) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d), strings.HasPrefix(text, "-")
	}
	for _, layout := range zonedTimes {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			// The offset of a name that is not of this machine's zone is unknown.
			name, _ := t.Zone()
			return t, !strings.HasSuffix(layout, "MST") || name == "UTC" || name == "GMT" || t.Location() == now.Location()
		}
	}
	for _, layout := range localTimes {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, true
		}
	}
	for _, layout := range dayTimes {
		if t, err := time.Parse(layout, text); err == nil {
			y, m, d := now.Date()
			at := func(d int) time.Time {
				return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), now.Location())
			}
			if today := at(d); !today.After(now) {
				return today, true
			}
			return at(d - 1), true
		}
	}
	return time.Time{}, false
}

func instantError(s, why, do string) error {
	return &events.Error{Code: "E-CLI-INSTANT", What: fmt.Sprintf("%q cannot be shown", s), Where: "--at", Why: why, Do: do, Exit: events.ExitInput}
}

// holds reports whether an event belongs to what was at the instant.
func (at instant) holds(e events.Event) bool {
	switch {
	case at.seq != 0:
		return e.Seq <= at.seq
	case !at.time.IsZero():
		return !e.Stored.After(at.end())
	}
	return true
}

// end returns the last moment of an instant that is a time. People copy times
// from what is printed, which has milliseconds: such a one is all of its
// millisecond, or an event would not be at its own time.
func (at instant) end() time.Time {
	if at.time.Nanosecond()%int(time.Millisecond) != 0 {
		return at.time
	}
	return at.time.Add(time.Millisecond - 1)
}

// locate makes the id of an event the position of it.
func (at instant) locate(ctx context.Context, log *archive) (instant, error) {
	if at.id == (ulid.ULID{}) {
		return at, nil
	}
	for e, err := range log.Read(ctx, log.begin().Seq) {
		if err != nil {
			return at, err
		}
		if e.ID == at.id {
			return instant{seq: e.Seq}, nil
		}
	}
	return at, instantError("@"+at.id.String(), "the log has no event of that id", "copy one from rollcall log -o jsonl")
}
