// Package story renders a log for people: the one ordered story that `rollcall
// log` tells, core events as a view of plans and facts, and the line on how a
// rollout stands.
//
// The package is pure: equal events in equal order give equal text.
package story

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode"

	"rollcall/events"
)

// Entry is one line of the story. An event gives one, a plan one more for each
// of its commands and one for what it holds back.
type Entry struct {
	Seq       events.Seq
	Time      time.Time // the log's clock at the append
	Type      events.Type
	Object    string     // "node/n1", "pod/logging/x", "ds/logging/fluentd"; empty: the event is about none
	DaemonSet events.Key // the DaemonSet it belongs to; zero: none is known
	What      string     // what happened in a few words, on one line
	Cause     string     // the command that caused it: "#48212[3]"; empty: none
	Actor     string
	Manager   string // field manager of a request to the Kubernetes API
	Source    string
	Told      string // by whom outside, and as what; empty: nobody told it
	Indent    int    // 1: belongs to the plan above
}

// Teller tells the story of a log. It takes the events in their order, from
// the beginning or from any position: the first event of an object that it has
// not seen is told by its state, later ones by what they change. It keeps the
// last bytes of every object that is there.
type Teller struct {
	objects map[objectKey]events.Object
}

type objectKey struct {
	kind events.Kind
	key  events.Key
}

// New returns a teller that has seen nothing.
func New() *Teller { return &Teller{objects: map[objectKey]events.Object{}} }

// Observe takes e in without telling it: for events that a reader passes over.
func (t *Teller) Observe(e events.Event) {
	switch b := e.Body.(type) {
	case events.Object:
		t.objects[objectKey{b.Kind, b.Key}] = b
	case events.Gone:
		delete(t.objects, objectKey{b.Kind, b.Key})
	}
}

// Tell takes e in and returns what there is to say about it: at least one entry.
func (t *Teller) Tell(e events.Event) []Entry {
	ref := events.RefOf(e)
	head := Entry{Seq: e.Seq, Time: e.Stored, Type: e.Type, Object: Name(ref),
		Cause: causeText(e.Cause), Actor: OneLine(e.Actor), Manager: OneLine(e.Manager), Source: OneLine(e.Source), Told: OneLine(toldBy(e))}
	var entries []Entry
	switch b := e.Body.(type) {
	case events.Object:
		head.What, head.DaemonSet = t.object(e, b)
		head.What += unreadableText(b)
	case events.Gone:
		head.What, head.DaemonSet = t.gone(b)
	case *events.Plan:
		head.DaemonSet, head.What = b.Owner.Key, planText(b)
		entries = planEntries(head, b)
	case events.Outcome:
		head.DaemonSet, head.What = b.Owner.Key, outcomeText(e.Type, b)
	case events.Unreadable:
		head.What = quarantineText(b.Code, b.Why)
	case events.Charter:
		head.What = CharterText(b)
	case events.Unchanged, events.Hold, events.Lifted, events.Note:
		head.What = toldText(e)
	default:
		head.What = quarantineText("E-EVT-KIND", fmt.Sprintf("body %T", e.Body))
	}
	head.What = OneLine(head.What)
	t.Observe(e)
	return append([]Entry{head}, entries...)
}

// quarantineText says why an event is not believed, or not read.
func quarantineText(code, why string) string { return "quarantined: " + code + ": " + why }

// Quarantined returns one line on an event that is quarantined: what it claims
// to be, and why nobody believes it.
func Quarantined(seq events.Seq, t events.Type, about events.Ref, code, why string) string {
	parts := []string{fmt.Sprintf("#%d", seq)}
	for _, s := range []string{string(t), Name(about)} {
		if s != "" {
			parts = append(parts, cut(OneLine(s), maxValue))
		}
	}
	return strings.Join(parts, " ") + " is " + OneLine(quarantineText(code, why))
}

// before returns the last known state of the incarnation that r names.
func (t *Teller) before(r events.Ref) (events.Object, bool) {
	o, ok := t.objects[objectKey{r.Kind, r.Key}]
	if ok && r.UID != "" && o.UID != "" && o.UID != r.UID {
		return events.Object{}, false
	}
	return o, ok
}

func (t *Teller) object(e events.Event, o events.Object) (what string, ds events.Key) {
	old, known := t.before(o.Ref)
	ds = daemonSetOf(o.Ref, o.Data, old.Data)
	switch {
	case known:
		return changeText(o.Kind, old.Data, o.Data), ds
	case strings.HasSuffix(string(e.Type), "."+events.VerbCreated):
		return createdText(o), ds
	case e.Change != "":
		return e.Change, ds
	}
	return firstText(o), ds
}

func (t *Teller) gone(g events.Gone) (what string, ds events.Key) {
	old, _ := t.before(g.Ref)
	data := g.Data
	if data == nil {
		data = old.Data
	}
	what = "deleted"
	if g.Kind == events.Pod {
		if node := podNode(data); node != "" {
			what = "deleted from " + node
		}
	}
	return what, daemonSetOf(g.Ref, data, old.Data)
}

// shortKind returns the short name that kubectl knows a kind by; other kinds
// are written in lower case.
func shortKind(k events.Kind) string {
	switch k {
	case events.DaemonSet:
		return "ds"
	case events.Namespace:
		return "ns"
	case events.PriorityClass:
		return "pc"
	}
	return strings.ToLower(string(k))
}

// Name returns the name of an object as commands take it: "node/n1",
// "pod/logging/x", "ds/logging/fluentd"; empty for the zero Ref.
func Name(r events.Ref) string {
	if r.Kind == "" && r.Key == (events.Key{}) {
		return ""
	}
	return OneLine(shortKind(r.Kind) + "/" + r.Key.String())
}

func causeText(c events.Cause) string {
	if c.IsZero() {
		return ""
	}
	return fmt.Sprintf("#%d[%d]", c.Seq, c.Index)
}

// timeFormat is UTC to the millisecond, all of the same width, so that lines
// sort and cut.
const timeFormat = "2006-01-02T15:04:05.000Z"

// Line returns an entry as one line: position, time, type, object and what
// happened, in columns separated by blanks; then the command that caused it
// and who said or told so, if they are known.
func Line(e Entry) string {
	at := "-"
	if !e.Time.IsZero() {
		at = e.Time.UTC().Format(timeFormat)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s %-24s %-18s %-30s %s%s", fmt.Sprintf("#%d", e.Seq), at, OneLine(cmp.Or(string(e.Type), "-")), cmp.Or(e.Object, "-"),
		strings.Repeat("  ", e.Indent), e.What)
	if e.Cause != "" {
		b.WriteString("  ← " + e.Cause)
	}
	who := cmp.Or(e.Actor, e.Source)
	if e.Told != "" && e.Indent == 0 {
		b.WriteString("  " + e.Told)
	} else if who != "" && e.Indent == 0 {
		b.WriteString("  by " + who)
		if e.Manager != "" && e.Manager != who {
			b.WriteString(" via " + e.Manager)
		}
	}
	return b.String()
}

// OneLine makes s printable on one line: what comes out of a log was written
// by others and may hold line breaks and terminal codes.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r == ' ' || unicode.IsPrint(r):
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// cut bounds s to limit characters.
func cut(s string, limit int) string {
	r := []rune(s)
	if len(r) <= limit {
		return s
	}
	return string(r[:limit-1]) + "…"
}
