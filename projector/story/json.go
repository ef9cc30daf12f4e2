package story

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"k8s.io/apimachinery/pkg/types"

	"rollcall/events"
	"rollcall/events/wire"
)

// JSON returns a whole event as one line of JSON: objects with their JSON
// fields, times in RFC 3339. What is not an event, and an object that has no
// JSON form, comes as its bytes in base64 with the reason. It returns an error
// only for a body that no log holds.
func JSON(e events.Event) ([]byte, error) {
	j := eventJSON{Seq: e.Seq, Stored: stamp(e.Stored), Type: e.Type, Source: e.Source, Actor: e.Actor,
		Verb: e.Verb, Manager: e.Manager, Change: e.Change, At: stamp(e.At)}
	if e.ID != (ulid.ULID{}) {
		j.ID = e.ID.String()
	}
	if !e.Cause.IsZero() {
		j.Cause = &causeJSON{e.Cause.Seq, e.Cause.Index}
	}
	r := events.RefOf(e)
	if o, ok := e.Body.(events.Outcome); ok {
		r = o.Owner
	}
	if r != (events.Ref{}) {
		ref := refOf(r)
		j.Ref = &ref
	}
	switch b := e.Body.(type) {
	case events.Object:
		j.object(&j.Object, b.Data)
	case events.Gone:
		j.Gone = json.RawMessage("null")
		if b.Data != nil {
			j.object(&j.Gone, b.Data)
		}
	case *events.Plan:
		j.Plan = planOf(b)
	case events.Outcome:
		j.Outcome = &outcomeJSON{commandOf(b.Command), b.Reason, b.Message}
	case events.Unreadable:
		j.Unreadable = &unreadableJSON{b.Code, b.Why, e.Raw}
	default:
		return nil, fmt.Errorf("write event %d as JSON: body %T", e.Seq, e.Body)
	}
	out, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("write event %d as JSON: %w", e.Seq, err)
	}
	return out, nil
}

func (j *eventJSON) object(into *json.RawMessage, data []byte) {
	out, err := wire.ToJSON(data)
	if err != nil {
		j.Unreadable = &unreadableJSON{"E-EVT-OBJECT", err.Error(), data}
		return
	}
	*into = out
}

// The fields are those of the envelope in the log, but for seq, stored and
// unreadable, which the log adds.
type eventJSON struct {
	Seq        events.Seq      `json:"seq"`
	Stored     string          `json:"stored,omitempty"`
	ID         string          `json:"id,omitempty"`
	Type       events.Type     `json:"type,omitempty"`
	Source     string          `json:"source,omitempty"`
	Actor      string          `json:"actor,omitempty"`
	Verb       string          `json:"verb,omitempty"`
	Manager    string          `json:"manager,omitempty"`
	Change     string          `json:"change,omitempty"`
	At         string          `json:"at,omitempty"`
	Cause      *causeJSON      `json:"cause,omitempty"`
	Ref        *refJSON        `json:"ref,omitempty"`
	Object     json.RawMessage `json:"object,omitempty"`
	Gone       json.RawMessage `json:"gone,omitempty"`
	Plan       *planJSON       `json:"plan,omitempty"`
	Outcome    *outcomeJSON    `json:"outcome,omitempty"`
	Unreadable *unreadableJSON `json:"unreadable,omitempty"`
}

type causeJSON struct {
	Seq   events.Seq `json:"seq"`
	Index int        `json:"index"`
}

type refJSON struct {
	Kind      events.Kind `json:"kind"`
	Namespace string      `json:"namespace,omitempty"`
	Name      string      `json:"name"`
	UID       string      `json:"uid,omitempty"`
}

type unreadableJSON struct {
	Code string `json:"code"`
	Why  string `json:"why"`
	Raw  []byte `json:"raw"`
}

type planJSON struct {
	Basis    basisJSON       `json:"basis"`
	Revision string          `json:"revision,omitempty"`
	Rollout  *budgetJSON     `json:"rollout,omitempty"`
	Commands []commandJSON   `json:"commands,omitempty"`
	Waiting  []waitJSON      `json:"waiting,omitempty"`
	Held     []waitCountJSON `json:"held,omitempty"`
}

type basisJSON struct {
	Seq events.Seq `json:"seq"`
	Now string     `json:"now,omitempty"`
}

type budgetJSON struct {
	Desired        int `json:"desired"`
	Updated        int `json:"updated"`
	Unavailable    int `json:"unavailable"`
	Surging        int `json:"surging"`
	MaxUnavailable int `json:"maxUnavailable"`
	MaxSurge       int `json:"maxSurge"`
	Taken          int `json:"taken"`
	Added          int `json:"added"`
}

type commandJSON struct {
	Do        events.Verb   `json:"do"`
	Ref       refJSON       `json:"ref"`
	Node      string        `json:"node,omitempty"`
	NodeUID   string        `json:"nodeUID,omitempty"`
	Revision  string        `json:"revision,omitempty"`
	Attempt   int           `json:"attempt,omitempty"`
	Owners    []types.UID   `json:"owners,omitempty"`
	Finalizer string        `json:"finalizer,omitempty"`
	Reason    events.Reason `json:"reason"`
}

type waitJSON struct {
	Node  string      `json:"node"`
	For   events.Held `json:"for"`
	Until string      `json:"until,omitempty"`
}

type waitCountJSON struct {
	For   events.Held `json:"for"`
	Nodes int         `json:"nodes"`
}

type outcomeJSON struct {
	Command commandJSON `json:"command"`
	Reason  string      `json:"reason,omitempty"`
	Message string      `json:"message,omitempty"`
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func planOf(p *events.Plan) *planJSON {
	j := &planJSON{Basis: basisJSON{p.Basis.Seq, stamp(p.Basis.Now)}, Revision: p.Revision}
	if p.Rollout != (events.Budget{}) {
		b := budgetJSON(p.Rollout)
		j.Rollout = &b
	}
	for _, c := range p.Commands {
		j.Commands = append(j.Commands, commandOf(c))
	}
	for _, w := range p.Waiting {
		j.Waiting = append(j.Waiting, waitJSON{w.Node, w.For, stamp(w.Until)})
	}
	for _, h := range p.Held {
		j.Held = append(j.Held, waitCountJSON(h))
	}
	return j
}

func commandOf(c events.Command) commandJSON {
	return commandJSON{c.Do, refOf(c.Ref), c.Node, string(c.NodeUID), c.Revision, c.Attempt, c.Owners, c.Finalizer, c.Reason}
}

func refOf(r events.Ref) refJSON {
	return refJSON{r.Kind, r.Key.Namespace, r.Key.Name, string(r.UID)}
}
