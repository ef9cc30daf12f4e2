package events

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"rollcall/events/wire"
)

// Told is what somebody outside told through the gate, beside what it did: an
// event with it is not from this program. Its ID in the log is ToldID.
type Told struct {
	Source     string            `json:"source"`            // who told, by its name in the gate's table of sources
	From       string            `json:"from,omitempty"`    // the source attribute of CloudEvents, as sent
	ID         string            `json:"id"`                // as sent, or derived
	Derived    bool              `json:"derived,omitempty"` // the sender gave no ID: it was made of the content
	Type       string            `json:"type"`              // what was told: node.condition, com.example.deploy.started
	Subject    string            `json:"subject,omitempty"` // as sent
	Time       time.Time         `json:"time,omitzero"`     // by the sender's clock; zero: it gave none
	Late       bool              `json:"late,omitempty"`    // the source told something later of the same subject before
	Data       wire.Raw          `json:"data,omitempty"`    // a msgpack value: all that was told, also what nothing here reads
	Extensions map[string]string `json:"extensions,omitempty"`
}

// AdminSource is the source that whoever holds the data directory's credentials is.
const AdminSource = "admin"

// What can be told, besides notes.
const (
	ToldNodeObserved  = "node.observed"
	ToldNodeGone      = "node.gone"
	ToldNodeCondition = "node.condition"
	ToldPodStatus     = "pod.status"
)

// Types of events that are told and are no facts. What a hold does has the type
// that was told.
const (
	HoldPlaced    Type = "hold.placed"
	HoldLifted    Type = "hold.lifted"
	NoteTold      Type = "note.told"
	ToldUnchanged Type = "told.unchanged"
)

// HoldKind is the kind of the reference to a hold: its owner stands where an
// object has its namespace. A hold is no object of Kubernetes.
const HoldKind Kind = "Hold"

// ToldID returns the id in the log of what a source told under an id of its own:
// the same told again is the same event.
func ToldID(source, from, id string) ulid.ULID {
	h := sha256.New()
	for _, s := range []string{source, from, id} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	return ulid.ULID(h.Sum(nil)[:16])
}

// Unchanged is what was told and changed nothing, for its id and its position.
type Unchanged struct{ Ref }

// Hold says that no rollout takes a step on what Select matches until Until, or
// until it is lifted. One of the same owner and name takes the place of another.
type Hold struct {
	Owner  string    `json:"owner"` // the name of the source
	Name   string    `json:"name"`
	Reason string    `json:"reason,omitempty"`
	Select Select    `json:"select"`
	Until  time.Time `json:"until"` // by log time
}

// Ref returns the reference to the hold.
func (h Hold) Ref() Ref { return holdRef(h.Owner, h.Name) }

// Lifted ends a hold.
type Lifted struct {
	Owner string `json:"owner"`
	Name  string `json:"name"`
}

// Ref returns the reference to the hold.
func (l Lifted) Ref() Ref { return holdRef(l.Owner, l.Name) }

func holdRef(owner, name string) Ref { return Ref{Kind: HoldKind, Key: Key{owner, name}} }

// Note is something that happened outside, about these objects; what, Told says.
// It decides nothing, but that of a record which says what the record does not have.
type Note struct {
	Objects []Ref `json:"objects,omitempty"` // at most MaxNoteObjects
}

// Bounds of what is told.
const (
	MaxHold        = 30 * 24 * time.Hour // from the event to the end of a hold
	MaxNoteObjects = 100
	maxSelected    = 1000 // names in one list of a Select
	maxToldText    = 1024 // bytes of a text that identifies or explains
	maxExtensions  = 64
)

func (Unchanged) body() {}
func (Hold) body()      {}
func (Lifted) body()    {}
func (Note) body()      {}

// Select says what a hold holds: steps of the DaemonSets on the nodes that every
// part matches which is given. At least one is.
type Select struct {
	DaemonSets []Key    `json:"daemonSets,omitempty"` // one of these
	Namespaces []string `json:"namespaces,omitempty"` // in one of these
	Labels     string   `json:"labels,omitempty"`     // a selector of the DaemonSet's labels
	NodeLabels string   `json:"nodeLabels,omitempty"` // a selector of the node's labels
	Nodes      []string `json:"nodes,omitempty"`      // one of these
}

// Matcher is a Select that was read.
type Matcher struct {
	sel          Select
	labels, node labels.Selector
}

// Compile reads the selectors of s, and says what is wrong with it.
func (s Select) Compile() (m Matcher, err error) {
	lists := [][]string{s.Namespaces, s.Nodes, make([]string, len(s.DaemonSets))}
	given := s.Labels != "" || s.NodeLabels != ""
	for _, l := range lists {
		given = given || len(l) > 0
		if len(l) > maxSelected {
			return m, fmt.Errorf("a list of the selector has %d names, and at most %d go", len(l), maxSelected)
		}
	}
	if !given {
		return m, errors.New("the selector is empty")
	}
	m.sel = s
	if m.labels, err = labels.Parse(s.Labels); err != nil {
		return m, fmt.Errorf("labels: %w", err)
	}
	if m.node, err = labels.Parse(s.NodeLabels); err != nil {
		return m, fmt.Errorf("nodeLabels: %w", err)
	}
	return m, nil
}

// DaemonSet reports whether the parts about DaemonSets match one.
func (m *Matcher) DaemonSet(key Key, has map[string]string) bool {
	return oneOf(m.sel.DaemonSets, key) && oneOf(m.sel.Namespaces, key.Namespace) && m.labels.Matches(labels.Set(has))
}

// Node reports whether the parts about nodes match one.
func (m *Matcher) Node(name string, has map[string]string) bool {
	return oneOf(m.sel.Nodes, name) && m.node.Matches(labels.Set(has))
}

// oneOf reports whether x is in a list; every x is in one that is not given.
func oneOf[T comparable](list []T, x T) bool { return len(list) == 0 || slices.Contains(list, x) }

// CheckNoteType returns why a note cannot be of that type, or "": it is a name in
// reverse DNS form, which is none of ours.
func CheckNoteType(t string) string {
	if why := validation.IsDNS1123Subdomain(strings.ToLower(strings.ReplaceAll(t, "_", "-"))); why != nil || !strings.Contains(t, ".") {
		return "a note has a type like com.example.deploy.started"
	}
	for _, ours := range []string{"node.", "pod.", "hold.", "told.", "note.", "io.rollcall."} {
		if strings.HasPrefix(t, ours) {
			return ours + " begins types of rollcall"
		}
	}
	return ""
}

// doubtUnlike doubts the type and the ref of an event with a body that only
// somebody outside tells.
func doubtUnlike(e *Event) (code, why string) {
	var want Type
	switch b := e.Body.(type) {
	case Unchanged:
		want = ToldUnchanged
		if why := CheckObjectName(b.Kind, b.Key); why != "" {
			return "E-EVT-NAME", why
		}
	case Hold:
		want = HoldPlaced
	case Lifted:
		want = HoldLifted
	case Note:
		want = NoteTold
	}
	if e.Type != want {
		return misfit(e.Type, "what "+string(want)+" does")
	}
	if e.Told == nil {
		return "E-EVT-TOLD", "only somebody outside tells this, and it does not say who"
	}
	return "", ""
}

// doubtTold says why nobody outside can have told an event that it says was
// told. Nothing speaks against one that was not.
func doubtTold(e *Event) (code, why string) {
	t := e.Told
	if t == nil {
		return "", ""
	}
	why = t.doubt()
	switch b := e.Body.(type) {
	case Hold:
		why = cmp.Or(why, b.doubt(e))
	case Lifted:
		why = cmp.Or(why, b.doubt(t))
	case Note:
		why = cmp.Or(why, b.doubt(t))
	default:
		if !t.does(e) {
			why = cmp.Or(why, fmt.Sprintf("%s does not tell of %s", quote(t.Type), quote(RefOf(*e).String())))
		}
	}
	switch {
	case why != "":
	case !e.Cause.IsZero():
		why = "who tells something carries out no command"
	case e.ID != ToldID(t.Source, t.From, t.ID):
		why = "its id is not that of what was told"
	default:
		return "", ""
	}
	return "E-EVT-TOLD", why
}

// doubt says why nobody can have told t so.
func (t *Told) doubt() string {
	if why := validation.IsDNS1123Label(t.Source); why != nil {
		return fmt.Sprintf("source %s: %s", quote(t.Source), why[0])
	}
	if t.ID == "" {
		return "what was told has no id"
	}
	if len(t.Extensions) > maxExtensions {
		return fmt.Sprintf("it has %d extensions", len(t.Extensions))
	}
	texts := []string{t.From, t.ID, t.Type, t.Subject}
	for _, k := range slices.Sorted(maps.Keys(t.Extensions)) {
		texts = append(texts, k, t.Extensions[k])
	}
	for _, s := range texts {
		if !short(s) {
			return "a text of what was told is longer than 1024 bytes, or cannot be printed"
		}
	}
	return ""
}

func short(s string) bool { return len(s) <= maxToldText && printable(s) }

// toldAbout is the kind of what is told of by a type that may lead to a fact, or
// to none.
var toldAbout = map[string]Kind{ToldNodeObserved: Node, ToldNodeGone: Node, ToldNodeCondition: Node, ToldPodStatus: Pod,
	string(HoldPlaced): HoldKind, string(HoldLifted): HoldKind}

// does reports whether t can have been what led to the fact e, or to none.
func (t *Told) does(e *Event) bool {
	kind := RefOf(*e).Kind
	switch e.Body.(type) {
	case Object, Gone:
		return kind != HoldKind && kind == toldAbout[t.Type]
	case Unchanged:
		return kind != "" && kind == toldAbout[t.Type]
	}
	return false
}

func (h Hold) doubt(e *Event) string {
	if _, err := h.Select.Compile(); err != nil {
		return err.Error()
	}
	switch lasts := h.Until.Sub(e.At); {
	case e.Told.Type != string(HoldPlaced) || h.Owner != e.Told.Source:
		return fmt.Sprintf("%s, told by %s, does not place a hold of %s", quote(e.Told.Type), e.Told.Source, quote(h.Owner))
	case !short(h.Reason):
		return "the reason of the hold is longer than 1024 bytes, or cannot be printed"
	case lasts <= 0 || lasts > MaxHold:
		return fmt.Sprintf("the hold is until %s, which is not within 30 days from the event", h.Until.UTC().Format(time.RFC3339))
	}
	return checkSubdomain(h.Name)
}

func (l Lifted) doubt(t *Told) string {
	if t.Type != string(HoldLifted) || l.Owner != t.Source && t.Source != AdminSource {
		return fmt.Sprintf("%s, told by %s, does not lift a hold of %s", quote(t.Type), t.Source, quote(l.Owner))
	}
	if why := validation.IsDNS1123Label(l.Owner); why != nil {
		return fmt.Sprintf("owner %s: %s", quote(l.Owner), why[0])
	}
	return checkSubdomain(l.Name)
}

func (n Note) doubt(t *Told) string {
	if len(n.Objects) > MaxNoteObjects {
		return fmt.Sprintf("the note is about %d objects, and at most %d go", len(n.Objects), MaxNoteObjects)
	}
	for _, r := range n.Objects {
		if why := CheckObjectName(r.Kind, r.Key); why != "" {
			return why
		}
	}
	return CheckNoteType(t.Type)
}
