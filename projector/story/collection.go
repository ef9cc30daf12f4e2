package story

import (
	"fmt"

	"rollcall/events"
)

// collectionText says what was planned about what others left behind, and from what.
func collectionText(c *events.Collection) string {
	return fmt.Sprintf("%s; basis #%d", countText(len(c.Commands), func(i int) (events.Verb, events.Reason) {
		return c.Commands[i].Do, c.Commands[i].Reason
	}), c.Basis.Seq)
}

// collectionEntries returns a line for each command.
func collectionEntries(head Entry, c *events.Collection) []Entry {
	head.Indent = 1
	es := make([]Entry, len(c.Commands))
	for i, x := range c.Commands {
		es[i] = head
		es[i].What = oneLine(fmt.Sprintf("[%d] %s: %s", i, collectText(x), x.Reason))
		if x.Ref.Kind == events.DaemonSet {
			es[i].DaemonSet = x.Ref.Key
		}
	}
	return es
}

// collectText says what one command does to which object.
func collectText(c events.CollectCommand) string {
	s := verbText(c.Do) + " " + Name(c.Ref)
	switch {
	case c.Do == events.DisownObject && len(c.Owners) == 1:
		s += " from " + string(c.Owners[0])
	case c.Do == events.DisownObject:
		s += fmt.Sprintf(" from %d owners", len(c.Owners))
	case c.Do == events.FinalizeObject:
		s += inBrackets(c.Finalizer)
	case c.Finalizer != "":
		s += inBrackets(c.Finalizer)
	}
	return s
}

func uncollectedText(typ events.Type, u events.Uncollected) string {
	return howEnded(collectText(u.Command), typ, u.Reason, u.Message)
}

type collectionJSON struct {
	Basis    basisJSON     `json:"basis"`
	Commands []collectJSON `json:"commands,omitempty"`
}

type collectJSON struct {
	Do        events.Verb   `json:"do"`
	Ref       refJSON       `json:"ref"`
	Owners    []string      `json:"owners,omitempty"`
	Finalizer string        `json:"finalizer,omitempty"`
	Reason    events.Reason `json:"reason"`
}

type uncollectedJSON struct {
	Command collectJSON `json:"command"`
	Reason  string      `json:"reason,omitempty"`
	Message string      `json:"message,omitempty"`
}

func collectionOf(c *events.Collection) *collectionJSON {
	j := &collectionJSON{Basis: basisJSON{c.Basis.Seq, stamp(c.Basis.Now)}}
	for _, x := range c.Commands {
		j.Commands = append(j.Commands, collectOf(x))
	}
	return j
}

func collectOf(c events.CollectCommand) collectJSON {
	j := collectJSON{Do: c.Do, Ref: refOf(c.Ref), Finalizer: c.Finalizer, Reason: c.Reason}
	for _, uid := range c.Owners {
		j.Owners = append(j.Owners, string(uid))
	}
	return j
}

func refOf(r events.Ref) refJSON {
	return refJSON{r.Kind, r.Key.Namespace, r.Key.Name, string(r.UID)}
}
