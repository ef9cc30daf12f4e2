package events

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"
)

// Screen says which events of a log are believed. Whoever acts upon a log asks
// it about every event, in order and from the first: the fold and those who
// carry commands out must believe the same, or one would do what the other has
// never heard of.
//
// Not believed is what cannot be so, whoever wrote it:
//   - a fact that Kubernetes would refuse for its name or uid, whose type does
//     not fit its body, or that stands under the subject of another object;
//   - a plan that was decided before the last one of its owner was known, or
//     from what comes later. Its fence made sure that no controller wrote it so:
//     it is a copy, or forged;
//   - an answer to a command that is not under way: it was answered before, or
//     never planned;
//   - an event whose id was there already among the last RecentEvents;
//   - an event that says somebody told it who cannot have, or whose id was there
//     already among the last maxTold told events;
//   - a charter of another cluster than the log is about, or of an epoch that is
//     over.
//
// The first three and the last are exact for ever and need no more memory than there
// are DaemonSets and commands under way. The others are for what has no fence and
// answers nothing: a source of ours that did not learn that its append worked
// tries again for minutes, and somebody outside perhaps for days.
type Screen struct {
	under      map[Cause]struct{} // commands without an answer
	plans      map[Key]Seq        // the last believed plan of each DaemonSet, and under the zero Key of the garbage collector
	young, old *tails             // where events were that are believed, by id
	told       toldIDs            // and those that were told
	times      toldTimes          // and of which times that was
	charter    *Charter           // the last; nil: there was none
}

// RecentEvents is among how many of the last events a repeated id is found at
// least; at most twice as many are remembered.
const RecentEvents = 1 << 14

// NewScreen returns the screen before the first event of a log.
func NewScreen() *Screen {
	return &Screen{under: map[Cause]struct{}{}, plans: map[Key]Seq{}, young: newTails(0), old: newTails(0)}
}

// Take takes the next event and returns it as it is to be read: one that is not
// believed has an Unreadable body that says why. It ends its command all the
// same, which has nothing else to wait for.
func (s *Screen) Take(e Event) Event {
	if _, ok := e.Body.(Unreadable); !ok {
		if code, why := s.doubt(&e); code != "" {
			e.Body = Unreadable{Code: code, Why: why, Ref: RefOf(e)}
		} else {
			s.believe(&e)
		}
	}
	if !e.Cause.IsZero() {
		delete(s.under, e.Cause)
	}
	return e
}

// believe remembers what later events are compared with.
func (s *Screen) believe(e *Event) {
	if e.Told != nil {
		s.told.add(e.ID, e.Seq)
		s.times.add(e)
		return
	}
	if s.young.len() >= RecentEvents {
		s.old, s.young = s.young, newTails(RecentEvents)
	}
	if e.ID != (ulid.ULID{}) { // which no log takes
		s.young.add(tailOf(e), e.Seq)
	}
	switch b := e.Body.(type) {
	case *Plan:
		s.plans[b.Owner.Key] = e.Seq
		for i := range b.Commands {
			s.under[Cause{e.Seq, i}] = struct{}{}
		}
	case Charter:
		s.charter = &b
	}
}

// doubt says why an event is not believed; the code is empty if it is.
func (s *Screen) doubt(e *Event) (code, why string) {
	if at, ok := s.seen(e); ok {
		return "E-EVT-REPEATED", fmt.Sprintf("the event of id %s is at #%d already", e.ID, at)
	}
	if code, why = Doubt(e); code != "" {
		return code, why
	}
	switch b := e.Body.(type) {
	case *Plan:
		return stale(e.Seq, b.Basis.Seq, s.plans[b.Owner.Key])
	case Charter:
		if why := b.follows(s.charter); why != "" {
			return "E-EVT-CHARTER", why
		}
	}
	if !e.Cause.IsZero() {
		if _, ok := s.under[e.Cause]; !ok {
			return "E-EVT-ANSWER", fmt.Sprintf("it answers command #%d[%d], which is not under way", e.Cause.Seq, e.Cause.Index)
		}
	}
	return "", ""
}

// Told returns where the told event of an id is, among the last maxTold of them.
func (s *Screen) Told(id ulid.ULID) (Seq, bool) { return s.told.get(id) }

// ToldLast returns the latest time, by its clock but not yet to come, that a source
// has told of a subject; zero: none, or that is long ago.
func (s *Screen) ToldLast(source, subject string) time.Time { return s.times.get(source, subject) }

// Charter returns what the log is about; nil: it is the whole of its cluster.
func (s *Screen) Charter() *Charter { return s.charter }

// Check says what is wrong with how told events are found; nil: nothing is.
func (s *Screen) Check() error { return s.told.check() }

func (s *Screen) seen(e *Event) (Seq, bool) {
	if e.Told != nil {
		return s.told.get(e.ID)
	}
	if e.ID == (ulid.ULID{}) {
		return 0, false
	}
	t := tailOf(e)
	if at, ok := s.young.get(t); ok {
		return at, true
	}
	return s.old.get(t)
}

// stale compares the basis of a plan with its own position and with that of
// the last one.
func stale(at, basis, last Seq) (code, why string) {
	switch {
	case basis >= at:
		return "E-EVT-STALE", fmt.Sprintf("it was decided from #%d, which comes later", basis)
	case basis < last:
		return "E-EVT-STALE", fmt.Sprintf("it was decided from #%d, before the plan at #%d", basis, last)
	}
	return "", ""
}

// Doubt says why an event cannot be so, whatever else is in the log; the code
// is empty if nothing speaks against it.
func Doubt(e *Event) (code, why string) {
	if !e.sound {
		code, why = doubtBody(e)
	}
	if code == "" && e.Subject != "" && !stands(e) {
		return "E-EVT-SUBJECT", "it stands under " + quote(e.Subject) + ", which names something else"
	}
	return code, why
}

// doubtBody is Doubt but for the subject, which the log says and not the event.
func doubtBody(e *Event) (code, why string) {
	switch b := e.Body.(type) {
	case Object:
		if !e.Type.tells(b.Kind, VerbCreated) && !e.Type.tells(b.Kind, VerbUpdated) {
			return misfit(e.Type, "an object of kind "+quote(string(b.Kind)))
		}
		if code, why = doubtRef(b.Ref); code == "" {
			code, why = doubtData(b.Ref, b.Data)
		}
	case Gone:
		if !e.Type.tells(b.Kind, VerbDeleted) {
			return misfit(e.Type, "the end of an object of kind "+quote(string(b.Kind)))
		}
		code, why = doubtRef(b.Ref)
	case *Plan:
		if e.Type != b.Type() {
			return misfit(e.Type, "a plan")
		}
		if code, why = doubtOwner(b.Owner); code == "" {
			code, why = doubtCommands(b)
		}
	case Outcome:
		if e.Type != Failed && e.Type != Overtaken {
			return misfit(e.Type, "an outcome")
		}
		code, why = doubtOwner(b.Owner)
	case Unchanged, Hold, Lifted, Note:
		code, why = doubtUnlike(e)
	case Charter:
		code, why = doubtCharter(e, b)
	}
	if code == "" {
		code, why = doubtTold(e)
	}
	return code, why
}

func misfit(t Type, what string) (code, why string) {
	return "E-EVT-TYPE", fmt.Sprintf("type %s does not tell of %s", quote(string(t)), what)
}

// tells reports whether t is ObjectType(k, verb).
func (t Type) tells(k Kind, verb string) bool {
	n := len(k)
	return len(t) == n+1+len(verb) && t[n] == '.' && string(t[n+1:]) == verb && lowered(string(t[:n]), string(k), '.')
}

// lowered reports whether low is kind in lower case, of ASCII letters as kinds
// are, with dot for each of its dots.
func lowered(low, kind string, dot byte) bool {
	if len(low) != len(kind) {
		return false
	}
	for i := range len(kind) {
		c := kind[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == '.':
			c = dot
		}
		if low[i] != c {
			return false
		}
	}
	return true
}

// doubtOwner doubts the owner of a plan; the garbage collector's have none.
func doubtOwner(r Ref) (code, why string) {
	switch {
	case r == Ref{}:
		return "", ""
	case r.Kind != DaemonSet:
		return "E-EVT-TYPE", fmt.Sprintf("it is of a %s, and only a DaemonSet has plans", quote(string(r.Kind)))
	}
	return doubtRef(r)
}

// doubtCommands doubts a plan for a DaemonSet whose commands are not all about
// pods of its namespace: who carries them out relies on that.
func doubtCommands(p *Plan) (code, why string) {
	if p.Owner == (Ref{}) {
		return "", ""
	}
	for i := range p.Commands {
		if c := &p.Commands[i]; c.Kind != Pod || c.Namespace != p.Owner.Namespace {
			return "E-EVT-TYPE", fmt.Sprintf("command %d of a plan for %s is about %s", i, p.Owner.Key, quote(c.Ref.String()))
		}
	}
	return "", ""
}

func doubtRef(r Ref) (code, why string) {
	if why := CheckObjectName(r.Kind, r.Key); why != "" {
		return "E-EVT-NAME", why
	}
	switch {
	case r.UID == "":
		return "E-EVT-UID", fmt.Sprintf("the %s has no uid", r.Kind)
	case !printable(string(r.UID)):
		return "E-EVT-UID", fmt.Sprintf("uid %s of the %s cannot be printed", quote(string(r.UID)), r.Kind)
	}
	return "", ""
}

// printable reports whether s is UTF-8 without control characters.
func printable(s string) bool {
	plain := true
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f {
			plain = false
		}
	}
	return plain || utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 })
}

// quote makes a short text that may be anything fit for a message.
func quote(s string) string {
	if r := []rune(s); len(r) > maxQuoted {
		s = string(r[:maxQuoted]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

// maxQuoted bounds what a reason repeats of an event.
const maxQuoted = 80
