package recording

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"rollcall/events"
	"rollcall/events/chain"
)

// manifestSize is the size of the manifest, which is filled up with blanks: it
// is the first part of a file, and what it tells of the end is known last.
const manifestSize = 4096

// Manifest is what a recording says of itself.
type Manifest struct {
	Rollcall string `json:"rollcall"` // "recording"
	Format   int    `json:"format"`
	Build    string `json:"build,omitempty"` // the program that made it

	Cluster string `json:"cluster"`
	Log     string `json:"log"` // events.Info.ID of the log

	// Before is the position before the first event, with the chain there.
	Before Mark `json:"before"`
	// First and Last are the positions of the first and the last event.
	First     Mark   `json:"first"`
	Last      Mark   `json:"last"`
	Events    uint64 `json:"events"`
	Blocks    int    `json:"blocks"`
	Keyframes int    `json:"keyframes"`
	// Filter says which part of the log was asked for; empty: all of it.
	Filter string `json:"filter,omitempty"`
	// Redacted says what was taken out. The chain is then that of the events as
	// they are here, and Original that of the log's.
	Redacted string `json:"redacted,omitempty"`
	Original *Mark  `json:"original,omitempty"`
	// Complete is set when the last event is in the file: a file without it was
	// never finished, and Last is not known.
	Complete bool `json:"complete"`
}

// Mark is a position with its time and the chain after it.
type Mark struct {
	Seq   events.Seq
	Time  time.Time
	Chain chain.Sum
}

type markJSON struct {
	Seq   events.Seq `json:"seq"`
	Time  time.Time  `json:"time,omitzero"`
	Chain string     `json:"chain,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (m Mark) MarshalJSON() ([]byte, error) {
	j := markJSON{Seq: m.Seq, Time: m.Time}
	if m.Chain != (chain.Sum{}) {
		j.Chain = hex.EncodeToString(m.Chain[:])
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Mark) UnmarshalJSON(b []byte) error {
	var j markJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	sum, err := hex.DecodeString(j.Chain)
	if err != nil || len(sum) != 0 && len(sum) != len(m.Chain) {
		return fmt.Errorf("%.80q is no chain", j.Chain)
	}
	*m = Mark{Seq: j.Seq, Time: j.Time}
	copy(m.Chain[:], sum)
	return nil
}

// encode returns the manifest in its fixed size.
func (m Manifest) encode() ([]byte, error) {
	m.Rollcall, m.Format = "recording", format
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the manifest of a recording: %w", err)
	}
	if len(b) >= manifestSize {
		return nil, fmt.Errorf("the manifest of a recording has %d bytes, and has room for %d", len(b), manifestSize)
	}
	b = append(b, bytes.Repeat([]byte{' '}, manifestSize-len(b))...)
	b[len(b)-1] = '\n'
	return b, nil
}
