package replay

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rollcall/events"
)

// Instant is a point of a log: after the event at a position, or after all that
// were stored up to a time. The zero Instant is the end of the log. One that
// names an event or a rollout, or counts back, is found by Locate.
type Instant struct {
	text    string // as it was written
	seq     events.Seq
	time    time.Time
	before  time.Duration // the end, or now
	id      ulid.ULID     // of an event
	rollout stage
}

// stage is the start, the end or a wave of a rollout. The zero one is none.
type stage struct {
	of       events.Key
	revision int64
	end      bool
	wave     int // 0: none
}

// InstantForms is what help says of the forms of an instant.
const InstantForms = `An instant is a position (48210, or '#48210' as rollcall log prints it), the id of
an event (@01J...), the start, the end or a wave of a rollout with its revision
(rollout/logging/agent#9:start, in namespace default also rollout/agent#9:end or
rollout/agent#9:wave:3), a time (2026-01-31T03:12:00Z, or '2026-01-31 03:12:00.250 UTC' as rollcall
prints it), how long before now or, in a stopped data directory or a recording, before
its last event (-5m), or now. A time without a zone is of this machine's, a date is its
midnight, and 03:12 is the last time that it was so late: today, or yesterday if
that is still to come. rollcall rollout list shows the rollouts.`

// The layouts of times with a zone and of those without, and of what is only a
// time of the day. Fractions of a second are read by all that have seconds.
var (
	zonedTimes = []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 MST", "2006-01-02 15:04 MST"}
	localTimes = []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly}
	dayTimes   = []string{"15:04:05", "15:04"}
)

// ParseInstant reads an instant, as InstantForms has it.
func ParseInstant(text string, now time.Time) (Instant, error) {
	at := Instant{text: strings.TrimSpace(text)}
	if n, err := strconv.ParseUint(strings.TrimPrefix(at.text, "#"), 10, 64); err == nil {
		if at.seq = events.Seq(n); n == 0 {
			return Instant{}, at.refuse("nothing is before the first event", "give 1 or more")
		}
		return at, nil
	}
	if id, ok := strings.CutPrefix(at.text, "@"); ok {
		parsed, err := ulid.ParseStrict(id)
		if at.id = parsed; err != nil || parsed == (ulid.ULID{}) {
			return Instant{}, at.refuse("it is no id of an event", "copy one from rollcall log -o jsonl")
		}
		return at, nil
	}
	if rollout, ok := strings.CutPrefix(at.text, "rollout/"); ok {
		if at.rollout, ok = parseStage(rollout); !ok {
			return Instant{}, at.refuse("it is no rollout", "write rollout/NAMESPACE/NAME#REVISION:start, :end or :wave:N")
		}
		return at, nil
	}
	back := strings.TrimPrefix(at.text, "now")
	if d, err := time.ParseDuration(back); err == nil && strings.HasPrefix(back, "-") {
		if at.before = -d; d == 0 {
			at.time = now
		}
		return at, nil
	}
	var ok bool
	if at.time, ok = parseTime(at.text, now); !ok {
		return Instant{}, at.refuse("it is no point in time", "give a position such as 48210, a time such as "+
			now.UTC().Truncate(time.Second).Format(time.RFC3339)+" or 03:12, -5m for five minutes ago, or now")
	}
	if at.time.After(now) {
		return Instant{}, at.refuse("it is in the future", "give a time that has passed")
	}
	return at, nil
}

// parseStage reads [NAMESPACE/]NAME#REVISION:start, :end or :wave:N.
func parseStage(text string) (r stage, ok bool) {
	name, which, _ := strings.Cut(text, ":")
	if r.of, r.revision, ok = ParseRollout(name, metav1.NamespaceDefault); !ok || r.revision == 0 {
		return r, false
	}
	if n, isWave := strings.CutPrefix(which, "wave:"); isWave {
		var err error
		r.wave, err = strconv.Atoi(n)
		return r, err == nil && r.wave > 0
	}
	r.end = which == "end"
	return r, r.end || which == "start"
}

// ParseRollout reads [NAMESPACE/]NAME[#REVISION], which names a rollout; without a
// revision, the last of the DaemonSet.
func ParseRollout(text, namespace string) (of events.Key, revision int64, ok bool) {
	name, rest, one := strings.Cut(text, "#")
	own := name
	if before, after, inNamespace := strings.Cut(name, "/"); inNamespace {
		namespace, own = before, after
	}
	of = events.Key{Namespace: namespace, Name: own}
	if one {
		var err error
		if revision, err = strconv.ParseInt(rest, 10, 64); err != nil || revision < 1 {
			return of, 0, false
		}
	}
	return of, revision, events.CheckName(events.Namespace, namespace) == "" && events.CheckName(events.DaemonSet, own) == ""
}

// parseTime reads a time, and now.
func parseTime(text string, now time.Time) (time.Time, bool) {
	if text == "now" {
		return now, true
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

// String returns the instant as it was written.
func (at Instant) String() string { return at.text }

func (at Instant) refuse(why, do string) error {
	return &events.Error{Code: "E-CLI-INSTANT", What: fmt.Sprintf("%q cannot be shown", at.text), Why: why, Do: do, Exit: events.ExitInput}
}

// Locate makes the instant a position or a time, whichever it is. Instants that
// count back do so from end. It reads the log where that has to tell of an event
// or a rollout.
func (at Instant) Locate(ctx context.Context, log events.Reader, end time.Time) (Instant, error) {
	switch {
	case at.before > 0:
		at.time, at.before = end.Add(-at.before), 0
		return at, nil
	case at.id != ulid.ULID{}:
		return at.locateEvent(ctx, log)
	case at.rollout != stage{}:
		all, err := rolloutsOf(ctx, log)
		if err != nil {
			return at, err
		}
		return at.among(slices.Concat(all.earlier, all.all))
	}
	return at, nil
}

func (at Instant) locateEvent(ctx context.Context, log events.Reader) (Instant, error) {
	for e, err := range log.Read(ctx, 0) {
		if err != nil {
			return at, err
		}
		if e.ID == at.id {
			return Instant{text: at.text, seq: e.Seq}, nil
		}
	}
	return at, at.refuse("the log has no event of that id", "copy one from rollcall log -o jsonl")
}

// Locate makes an instant that names a rollout a position, for who has opened the
// history: it reads a log that has keyframes on several legs. Others it leaves as they
// are.
func (h *History) Locate(ctx context.Context, at Instant) (Instant, error) {
	if (at.rollout == stage{}) {
		return at, nil
	}
	all, err := h.AllRollouts(ctx, h.span.Last)
	if err != nil {
		return at, err
	}
	return at.among(all)
}

// among returns where an instant that names a rollout is.
func (at Instant) among(all []*Rollout) (Instant, error) {
	r, do := FindRollout(all, at.rollout.of, at.rollout.revision)
	switch {
	case r == nil:
		return at, at.refuse("the log has no such rollout", do)
	case r.Start.Seq == 0 && !at.rollout.end:
		return at, at.refuse("the rollout began before the log does", WithArchive)
	}
	p := r.Start
	switch n := at.rollout.wave; {
	case n > len(r.Waves):
		return at, at.refuse("the rollout has "+waveCount(len(r.Waves)), "give one of them, its start, or now")
	case n > 0:
		p = r.Waves[n-1].Point
	case at.rollout.end:
		p = r.End
	}
	if p.Seq == 0 {
		return at, at.refuse("the rollout has not ended", "give its start, one of its waves, or now")
	}
	return Instant{text: at.text, seq: p.Seq}, nil
}

// WithArchive is what to do for what was before the log begins.
const WithArchive = "give what was archived with --rec, together with --data or --nats-url"

func waveCount(n int) string {
	switch n {
	case 0:
		return "no wave"
	case 1:
		return "one wave, wave:1"
	}
	return fmt.Sprintf("%d waves, wave:1 to wave:%d", n, n)
}

// FindRollout returns the rollout of a DaemonSet with a revision, or 0 for its
// last. Of a DaemonSet that was made again, the last with that revision is meant.
// If there is none, do says which there are.
func FindRollout(all []*Rollout, of events.Key, revision int64) (found *Rollout, do string) {
	var own, names []string
	for _, r := range slices.Backward(all) {
		if r.DaemonSet != of {
			names = append(names, r.String())
			continue
		}
		if r.Revision == revision || revision == 0 {
			return r, ""
		}
		if r.Revision > 0 {
			own = append(own, fmt.Sprintf("#%d", r.Revision))
		}
	}
	if len(own) == 0 {
		return nil, events.Suggest(fmt.Sprintf("rollout/%s#%d", of, max(revision, 1)), names, "see rollcall rollout list")
	}
	slices.Reverse(own)
	if own = slices.Compact(own); len(own) > maxNamed {
		own = append([]string{"…"}, own[len(own)-maxNamed:]...)
	}
	return nil, fmt.Sprintf("ds/%s has %s: see rollcall rollout list", of, strings.Join(own, ", "))
}

// maxNamed is how many revisions an error names.
const maxNamed = 10

// Moment is where an instant was found.
type Moment struct {
	Point           // the last event that belongs to it
	Now   time.Time // the instant itself: the time that was asked for, else that of the event
}

// String prints a moment as people copy it, and how far it is from the time that
// was asked for.
func (m Moment) String() string {
	text := fmt.Sprintf("#%d (%s", m.Seq, m.Time.UTC().Format("2006-01-02 15:04:05.000 UTC"))
	if before := m.Now.Sub(m.Time).Truncate(time.Millisecond); before > 0 {
		text += fmt.Sprintf(", %s before the time that was asked for", before)
	}
	return text + ")"
}

// Find returns where an instant that Locate has returned is in a log that ends at
// last. An empty log has no instants.
func (at Instant) Find(ctx context.Context, log events.Reader, last events.Seq) (m Moment, err error) {
	after := events.Seq(0)
	switch {
	case at.seq > last:
		return m, at.refuse("it is after the end of the log", fmt.Sprintf("the log ends at %d", last))
	case at.seq > 0:
		after = at.seq - 1
	case at.time.IsZero() && last > 0:
		after = last - 1
	}
	for e, err := range log.Read(ctx, after) {
		if err != nil {
			return m, err
		}
		if e.Seq > last { // it came while the question is answered
			break
		}
		if !at.holds(e) {
			if m.Seq == 0 {
				return m, at.refuse("it is before the first event", "the log begins at "+e.Stored.Format(time.RFC3339Nano))
			}
			break
		}
		m = Moment{Point{e.Seq, e.Stored}, e.Stored}
		if e.Seq == at.seq {
			break
		}
	}
	if !at.time.IsZero() {
		m.Now = at.time
	}
	return m, nil
}

// holds reports whether an event belongs to what was at the instant.
func (at Instant) holds(e events.Event) bool {
	switch {
	case at.seq != 0:
		return e.Seq <= at.seq
	case !at.time.IsZero():
		return !e.Stored.After(at.until())
	}
	return true
}

// until returns the last moment of an instant that is a time. People copy times
// from what is printed, which has milliseconds: such a one is all of its
// millisecond, or an event would not be at its own time.
func (at Instant) until() time.Time {
	if at.time.Nanosecond()%int(time.Millisecond) != 0 {
		return at.time
	}
	return at.time.Add(time.Millisecond - 1)
}

// IsTime reports whether the instant is a time, or counts back from one.
func (at Instant) IsTime() bool { return !at.time.IsZero() || at.before > 0 }

// After reports whether the instant is after another of the same kind: positions
// and times are not compared with each other.
func (at Instant) After(other Instant) bool {
	return other.seq != 0 && at.seq > other.seq || !other.time.IsZero() && at.time.After(other.time)
}

// Bounds are what a range of events begins or ends with: a position, or else a
// time with its first and its last moment. All of them are zero for the zero
// Instant.
func (at Instant) Bounds() (seq events.Seq, from, until time.Time) {
	if at.time.IsZero() {
		return at.seq, time.Time{}, time.Time{}
	}
	return 0, at.time, at.until()
}
