package kube

import (
	"encoding/json"

	"rollcall/events"
)

// Cursors say how far a cluster was heard. They are kept beside the log and hold
// only for a log that has what they speak of: without them everything is listed again.
type Cursors struct {
	Log   string            `json:"log"` // ID of the log
	Seq   events.Seq        `json:"seq"` // the log had at least so much
	Epoch int               `json:"epoch"`
	Since events.Seq        `json:"since"` // where the epoch began
	Scope events.Scope      `json:"scope"`
	Pods  bool              `json:"pods"` // all of them
	Heard map[string]uint64 `json:"heard"`
}

// cursorKey is where cursors are kept.
const cursorKey = "cursors"

// encode returns the bytes of c.
func (c Cursors) encode() []byte {
	raw, _ := json.Marshal(c) // strings and numbers always have a form
	return raw
}

// readCursors reads what was kept; ok is false if it is none of this log and scope.
func readCursors(raw []byte, of Cursors) (c Cursors, ok bool) {
	if json.Unmarshal(raw, &c) != nil || c.Log != of.Log || c.Seq > of.Seq || c.Epoch != of.Epoch || c.Since != of.Since || c.Pods != of.Pods {
		return Cursors{}, false
	}
	return c, sameScope(c.Scope, of.Scope)
}

func sameScope(a, b events.Scope) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}
