// Package sources says who may tell a cluster what: the table of sources that the
// gate asks for each event, and the file that keeps it.
//
// Nothing is allowed that is not written down: a source without patterns may tell
// nothing, a token that is not known is nobody's. Tokens are kept as their
// SHA-256; a token has as much chance in it as a key, so no slower hash is needed.
//
// The table is a value and does not change; file.go is the shell that reads it
// again when its file changes.
package sources

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"rollcall/events"
)

// Admin is the source of who holds the credentials of the data directory, and may
// tell everything. It stands in no table.
var Admin = Source{Name: events.AdminSource, May: []string{"*"}, Nodes: []string{"*"}, Read: true}

// Source is somebody who tells events, and what they may tell.
type Source struct {
	Name string `json:"name"` // a DNS-1123 label
	// May are the types that the source may tell: a type, all below a prefix
	// ("node.*"), or all ("*").
	May []string `json:"may,omitempty"`
	// Nodes are the nodes that the source may tell of, as patterns of path.Match.
	Nodes []string `json:"nodes,omitempty"`
	Read  bool     `json:"read,omitempty"` // it may read the log
}

// MayTell reports whether the source may tell events of a type.
func (s Source) MayTell(eventType string) bool {
	return slices.ContainsFunc(s.May, func(pattern string) bool {
		below, open := strings.CutSuffix(pattern, "*")
		return eventType == pattern || open && strings.HasPrefix(eventType, below)
	})
}

// MayNode reports whether the source may tell of a node, and of the pods on it.
func (s Source) MayNode(name string) bool {
	return slices.ContainsFunc(s.Nodes, func(pattern string) bool {
		ok, _ := path.Match(pattern, name) // Check has seen the pattern
		return ok
	})
}

// reserved are names that mean somebody else: the holder of the credentials, and
// NATS users of rollcall's own.
var reserved = []string{events.AdminSource, "rollcall", "cli"}

// OfAllNodes reports whether the source is not limited to some nodes. One without
// patterns tells of none, and what else it tells is about the cluster.
func (s Source) OfAllNodes() bool { return len(s.Nodes) == 0 || slices.Contains(s.Nodes, "*") }

// Check returns what is wrong with a source, field by field, or nothing.
func (s Source) Check() []Mistake {
	var all []Mistake
	wrong := func(field, what, do string) { all = append(all, Mistake{field, what, do}) }
	switch why := validation.IsDNS1123Label(s.Name); {
	case s.Name == "":
		wrong("name", "the source has no name", "give it one")
	case len(why) > 0:
		wrong("name", fmt.Sprintf("%.80q is no name of a source", s.Name), "use lower-case letters, digits and dashes, at most 63")
	case slices.Contains(reserved, s.Name):
		wrong("name", s.Name+" is the name of somebody else", "give another name")
	}
	if len(s.May) == 0 && !s.Read {
		wrong("may", "the source may neither tell nor read anything", "name types, such as node.*, or let it read")
	}
	for _, p := range s.May {
		if !typePattern(p) {
			wrong("may", fmt.Sprintf("%.80q is no pattern of types", p), "write a type, a prefix that ends in .*, or *")
		}
	}
	for _, p := range s.Nodes {
		if _, err := path.Match(p, ""); err != nil || p == "" || len(p) > validation.DNS1123SubdomainMaxLength || strings.ContainsAny(p, "/ \t\n") {
			wrong("nodes", fmt.Sprintf("%.80q is no pattern of node names", p), "write a name with *, ? or [a-z] in it")
		}
	}
	if i := slices.IndexFunc(s.May, ofNodes); i >= 0 && len(s.Nodes) == 0 {
		wrong("nodes", fmt.Sprintf("the source may tell %.80s, and of no node", s.May[i]), "name the nodes, such as edge-*, or * for all")
	}
	return all
}

// ofNodes reports whether all types of a pattern are about a node.
func ofNodes(pattern string) bool {
	return strings.HasPrefix(pattern, "node.") || strings.HasPrefix(pattern, "pod.")
}

// typePattern reports whether p is a pattern of types: parts of letters, digits, -
// and _ with dots between them, of which the last may be *.
func typePattern(p string) bool {
	if p == "*" {
		return true
	}
	p = strings.TrimSuffix(p, ".*")
	if len(p) > 255 {
		return false
	}
	for part := range strings.SplitSeq(p, ".") {
		if part == "" || strings.ContainsFunc(part, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return false
		}
	}
	return true
}

// Mistake is one thing that is wrong with a source.
type Mistake struct{ Field, What, Do string }

// Hash is the SHA-256 of a token.
type Hash [sha256.Size]byte

// HashOf returns the hash of a token.
func HashOf(token string) Hash { return sha256.Sum256([]byte(token)) }

// Entry is a source and the hash of its token.
type Entry struct {
	Source
	Token Hash
}

// Table is the sources of a cluster by name. It is never changed.
type Table struct{ entries []Entry }

// All returns the sources in order of their names.
func (t *Table) All() []Entry { return slices.Clone(t.entries) }

// ByToken returns the source whose token it is. It takes as long for a token that
// is nobody's as for the last of the table.
func (t *Table) ByToken(token string) (Source, bool) {
	of, found := HashOf(token), -1
	for i := range t.entries {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(t.entries[i].Token[:], of[:]), i, found)
	}
	if found < 0 {
		return Source{}, false
	}
	return t.entries[found].Source, true
}

// ByName returns the entry of a source.
func (t *Table) ByName(name string) (Entry, bool) {
	i, ok := t.find(name)
	if !ok {
		return Entry{}, false
	}
	return t.entries[i], true
}

func (t *Table) find(name string) (int, bool) {
	return slices.BinarySearchFunc(t.entries, name, func(e Entry, name string) int { return cmp.Compare(e.Name, name) })
}

// With returns the table with a source that is new, or in the place of the one of
// its name.
func (t *Table) With(e Entry) *Table {
	entries := t.All()
	if i, ok := t.find(e.Name); ok {
		entries[i] = e
	} else {
		entries = slices.Insert(entries, i, e)
	}
	return &Table{entries}
}

// Without returns the table without a source.
func (t *Table) Without(name string) *Table {
	return &Table{slices.DeleteFunc(t.All(), func(e Entry) bool { return e.Name == name })}
}

func (t *Table) names() (names []string) {
	for _, e := range t.entries {
		names = append(names, e.Name)
	}
	return names
}

// Unknown says that a table has no source of a name.
func (t *Table) Unknown(name string) error {
	return &events.Error{Code: "E-SOURCE-UNKNOWN", What: fmt.Sprintf("there is no source %.80q", name),
		Do: events.Suggest(name, t.names(), "list those that there are with rollcall source ls"), Exit: events.ExitInput}
}
