package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"rollcall/events"
)

// instant is a point of a log: after the event at a position, or after all that
// were stored up to a time. The zero instant is the end of the log.
type instant struct {
	seq  events.Seq
	time time.Time
}

// parseInstant reads an --at: 48210 or #48210, a time of RFC 3339, a date,
// which is its first moment where now is, or -5m, which is so long before now.
func parseInstant(s string, now time.Time) (instant, error) {
	text := strings.TrimSpace(s)
	if n, err := strconv.ParseUint(strings.TrimPrefix(text, "#"), 10, 64); err == nil {
		if n == 0 {
			return instant{}, instantError(s, "nothing is before the first event", "give 1 or more")
		}
		return instant{seq: events.Seq(n)}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return past(s, t, now)
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		return past(s, t, now)
	}
	if d, err := time.ParseDuration(text); err == nil && strings.HasPrefix(text, "-") {
		return past(s, now.Add(d), now)
	}
	return instant{}, instantError(s, "it is no point in time", "give a position such as 48210, a time such as "+
		now.UTC().Truncate(time.Second).Format(time.RFC3339)+", or -5m for five minutes ago")
}

func past(s string, t, now time.Time) (instant, error) {
	if t.After(now) {
		return instant{}, instantError(s, "it is in the future", "give a time that has passed")
	}
	return instant{time: t}, nil
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
		return !e.Stored.After(at.time)
	}
	return true
}
