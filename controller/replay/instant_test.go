package replay

import (
	"strings"
	"testing"
	"time"

	"rollcall/events"
)

// TestInstant holds what --at understands, and the line for what it does not.
func TestInstant(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 2*60*60))
	for _, c := range []struct {
		at   string
		want Instant
		err  string
	}{
		{at: "48210", want: Instant{seq: 48210}},
		{at: "#48210", want: Instant{seq: 48210}},
		{at: " 1 ", want: Instant{seq: 1}},
		{at: "-5m", want: Instant{before: 5 * time.Minute}},
		{at: "-0s", want: Instant{time: now}},
		{at: "now-1.5h", want: Instant{before: 90 * time.Minute}},
		{at: "-1h30m", want: Instant{before: 90 * time.Minute}},
		{at: "2026-02-28T23:00:00Z", want: Instant{time: time.Date(2026, 2, 28, 23, 0, 0, 0, time.UTC)}},
		{at: "2026-03-01T11:59:59.5+02:00", want: Instant{time: now.Add(-500 * time.Millisecond)}},
		{at: "2026-03-01", want: Instant{time: now.Add(-12 * time.Hour)}},
		{at: "0", err: "nothing is before the first event"},
		{at: "#0", err: "nothing is before"},
		{at: "2026-03-02", err: "in the future"},
		{at: "2026-03-01T10:00:01Z", err: "in the future"},
		{at: "5m", err: "it is no point in time"},
		{at: "now+5m", err: "no point in time"},
		{at: "+5m", err: "such as 2026-03-01T10:00:00Z"},
		{at: "-5", err: "no point in time"},
		{at: "--5m", err: "no point in time"},
		{at: "18446744073709551616", err: "no point in time"},
		{at: "2026-02-30", err: "no point in time"},
		{at: "yesterday", err: `"yesterday" cannot be shown: it is no point in time`},
		{at: "", err: "no point in time"},
	} {
		got, err := ParseInstant(c.at, now)
		if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: error %v, want %q", c.at, err, c.err)
		}
		if got.seq != c.want.seq || !got.time.Equal(c.want.time) || got.before != c.want.before {
			t.Errorf("%q is %v, want %v", c.at, got, c.want)
		}
	}
}

// TestHolds: an instant is after the event at its position, and after those
// stored at its very time, or in its millisecond if it has no more than that.
func TestHolds(t *testing.T) {
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		at   Instant
		e    events.Event
		want bool
	}{
		{Instant{seq: 7}, events.Event{Seq: 7}, true},
		{Instant{seq: 7}, events.Event{Seq: 8}, false},
		{Instant{time: at}, events.Event{Seq: 1, Stored: at}, true},
		{Instant{time: at}, events.Event{Seq: 1, Stored: at.Add(time.Millisecond - 1)}, true},
		{Instant{time: at}, events.Event{Seq: 1, Stored: at.Add(time.Millisecond)}, false},
		{Instant{time: at.Add(1)}, events.Event{Seq: 1, Stored: at.Add(1)}, true},
		{Instant{time: at.Add(1)}, events.Event{Seq: 1, Stored: at.Add(2)}, false},
		{Instant{}, events.Event{Seq: 1 << 40, Stored: at}, true},
	} {
		if got := c.at.holds(c.e); got != c.want {
			t.Errorf("%v holds #%d of %v: %v", c.at, c.e.Seq, c.e.Stored, got)
		}
	}
}

// TestInstantForms: what the program prints, what people type at night, and
// what they do not mean.
//
// finding U9
func TestInstantForms(t *testing.T) {
	zone := time.FixedZone("", 2*60*60)
	now := time.Date(2026, 3, 1, 3, 30, 0, 0, zone)
	day := func(d, h, m, s int) time.Time { return time.Date(2026, 3, d, h, m, s, 0, zone) }
	for at, want := range map[string]time.Time{
		"now":                            now,
		"03:12":                          day(1, 3, 12, 0),
		"03:30":                          now,
		"3:12":                           day(1, 3, 12, 0),
		"23:50":                          day(0, 23, 50, 0), // yesterday
		"03:12:05.5":                     day(1, 3, 12, 5).Add(500 * time.Millisecond),
		"2026-03-01 01:12:00.250 UTC":    day(1, 3, 12, 0).Add(250 * time.Millisecond),
		"2026-03-01 01:12 UTC":           day(1, 3, 12, 0),
		"2026-03-01 01:12:00 GMT":        day(1, 3, 12, 0),
		"2026-03-01 01:12:00Z":           day(1, 3, 12, 0),
		"2026-03-01 03:12:00+02:00":      day(1, 3, 12, 0),
		"2026-03-01T01:12:00.123456789Z": day(1, 3, 12, 0).Add(123456789),
		"2026-03-01T03:12:00":            day(1, 3, 12, 0),
		"2026-03-01T03:12":               day(1, 3, 12, 0),
		"2026-03-01 03:12:00.5":          day(1, 3, 12, 0).Add(500 * time.Millisecond),
		" 2026-03-01 03:12 ":             day(1, 3, 12, 0),
		Moment{Point: Point{Time: now}}.String()[len("#0 ("):len("#0 (2026-03-01 01:30:00.000 UTC")]: now,
	} {
		got, err := ParseInstant(at, now)
		if err != nil || !got.time.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", at, got.time, err, want)
		}
	}
	for at, want := range map[string]string{
		"2026-03-01 03:31":         "in the future",
		"24:00":                    "no point in time",
		"03:60":                    "no point in time",
		"2026-03-01 01:12:00 WXYZ": "no point in time",
		"Now":                      "no point in time",
		"@x":                       "it is no id of an event",
		"@":                        "it is no id of an event",
	} {
		if got, err := ParseInstant(at, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %v, %v; want %q", at, got, err, want)
		}
	}
}
