package page

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"rollcall/events"
)

// Action is what somebody does from a page. It is done as kubectl and rollcall emit
// do it, by the user whose page it is, and refused as they are.
type Action struct {
	Do        string     `json:"do"`             // pause, resume, undo, hold or lift
	DaemonSet events.Key `json:"-"`              // not of lift
	Of        string     `json:"ds,omitempty"`   // NAMESPACE/NAME of that
	Hold      string     `json:"hold,omitempty"` // the name of a hold, of lift with its owner before it: OWNER/NAME
	Reason    string     `json:"reason"`
}

// actPath is where a page sends what somebody does.
const actPath = "/v1/act"

// actions are what can be done.
var actions = []string{"pause", "resume", "undo", "hold", "lift"}

// Actions are what can be done where a log has a charter. What a record tells of is
// changed in its own cluster, and holds matter only where something is done there.
func Actions(c *events.Charter) []string {
	switch {
	case c == nil:
		return actions
	case c.Mode == events.Shadow:
		return []string{}
	}
	return []string{"hold", "lift"}
}

// maxReason and maxAction bound what a page sends.
const (
	maxReason = 1000
	maxAction = 16 << 10
)

// act does what a page asks for, where an instance runs.
func (p *Page) act(w http.ResponseWriter, r *http.Request) {
	x, err := p.readAction(w, r)
	if err == nil {
		err = p.Act(r.Context(), x)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	p.ending.again(r.Context())
	for _, l := range p.lanes {
		if l.take(r.Context(), func() error { l.kept.forget(); return nil }) != nil {
			break // the one who asked has gone
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (p *Page) readAction(w http.ResponseWriter, r *http.Request) (x Action, err error) {
	refuse := func(what, do string) error {
		return &events.Error{Code: "E-UI-ACTION", What: what, Do: do, Exit: events.ExitInput}
	}
	if p.Act == nil {
		return x, refuse("nothing can be changed on this page: no instance runs on its log", "start one with rollcall up, and use its page")
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAction)).Decode(&x); err != nil {
		return x, refuse("the request cannot be read: "+err.Error(), "send the JSON that docs/HTTP.md describes")
	}
	x.Reason = strings.TrimSpace(x.Reason)
	namespace, name, ok := strings.Cut(x.Of, "/")
	x.DaemonSet = events.Key{Namespace: namespace, Name: name}
	switch {
	case !slices.Contains(actions, x.Do):
		return x, refuse(fmt.Sprintf("there is no action %q", x.Do), "choose from "+strings.Join(actions, ", "))
	case x.Reason == "" || len(x.Reason) > maxReason:
		return x, refuse("there is no reason, or a very long one", fmt.Sprintf("say why, in 1 to %d bytes: it stands in the log", maxReason))
	case x.Do != "lift" && (!ok || name == ""):
		return x, refuse(fmt.Sprintf("%q is no DaemonSet", x.Of), "write NAMESPACE/NAME")
	case (x.Do == "hold" || x.Do == "lift") && x.Hold == "":
		return x, refuse("the hold has no name", "give it one")
	}
	return x, nil
}
