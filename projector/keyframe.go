package projector

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/events/keyframes"
	"rollcall/events/wire"
	"rollcall/projector/sets"
	"rollcall/projector/table"
)

// KeyframeFormat is the version of what Keyframe writes. A program reads its own
// version alone, and folds the log where it finds another.
const KeyframeFormat = 3

// ErrKeyframeFormat is the error of ReadKeyframe for another version.
var ErrKeyframeFormat = errors.New("the keyframe has a format that this program does not read")

// keyframe is a state as bytes: its objects, and what the log told of before
// that the objects do not say. Everything else is made anew of those, as
// State.Check does. All lists are in an order of their own and the wire writes
// equal values alike, so equal states are equal bytes. The ID of the log is not
// among them: it is another for a copy of the same events.
type keyframe struct {
	KeyframeHead
	Stored     time.Time         `json:"stored,omitzero"`
	Clock      keptClock         `json:"clock"`
	Screen     events.KeptScreen `json:"screen"`
	Tables     []table.Kept      `json:"tables,omitempty"`
	Sets       sets.Kept         `json:"sets"`
	Quarantine keptQuarantine    `json:"quarantine,omitzero"`
}

// KeyframeHead says of which event a keyframe is the state, and is to be held
// against the log before the keyframe is used.
type KeyframeHead struct {
	Format int        `json:"format"`
	Seq    events.Seq `json:"seq"`
	ID     string     `json:"id,omitempty"` // of the event at Seq; empty: it has none
	Chain  []byte     `json:"chain"`
}

type keptClock struct {
	Now     time.Time       `json:"now,omitzero"`
	Last    time.Time       `json:"last,omitzero"`
	Steps   []time.Duration `json:"steps,omitempty"`
	Back    time.Duration   `json:"back,omitempty"`
	Sources []keptSource    `json:"sources,omitempty"`
}

type keptSource struct {
	Name  string        `json:"name"`
	Ahead time.Duration `json:"ahead"`
}

type keptQuarantine struct {
	N    int           `json:"n"`
	Last []Quarantined `json:"last,omitempty"`
}

// Kept is a state that was taken out of a fold, which goes on.
type Kept struct {
	keyframe keyframe
	before   chain.Sum
}

// Keep takes the state out of its fold. It costs less than a tenth of what the
// bytes do, which can be made of it meanwhile.
func (s *State) Keep() *Kept {
	k := keyframe{
		KeyframeHead: KeyframeHead{Format: KeyframeFormat, Seq: s.chain.Seq, Chain: s.chain.Chain[:]},
		Stored:       s.objects.Time(),
		Clock:        s.clock.keep(),
		Screen:       s.screen.Keep(),
		Tables:       s.objects.Keep(),
		Sets:         s.Sets.Keep(),
		Quarantine:   keptQuarantine{s.quarantine.n, slices.Clone(s.quarantine.last)},
	}
	k.Chain = slices.Clone(k.Chain)
	if s.last != (ulid.ULID{}) {
		k.ID = s.last.String()
	}
	return &Kept{k, s.chain.Before()}
}

// Keyframe returns the state as bytes, the same for the same state, whoever
// folded it. Their SHA-256 is the hash of the state.
func (s *State) Keyframe() ([]byte, error) {
	if s.unchained {
		return nil, errors.New("a state without a chain has no keyframe")
	}
	return s.Keep().bytes()
}

// Same reports whether a keyframe is that of the state, or would be if the state had
// not lost its chain.
func (s *State) Same(keyframe []byte) bool {
	k := s.Keep()
	if s.unchained {
		head, err := ReadKeyframeHead(keyframe)
		if err != nil {
			return false
		}
		k.keyframe.Chain = head.Chain
	}
	raw, err := k.bytes()
	return err == nil && bytes.Equal(raw, keyframe)
}

func (k *Kept) bytes() ([]byte, error) {
	raw, err := wire.MarshalSized(&k.keyframe, k.size())
	if err != nil {
		return nil, fmt.Errorf("write the state at position %d: %w", k.keyframe.Seq, err)
	}
	return raw, nil
}

// besides is what a keyframe has of an object besides its bytes, at most in a usual
// state: its name, and what the fold keeps of a pod and its cell.
const besides = 512

// size returns about how large the bytes are: rather more, since too little has to
// be moved to twice the room.
func (k *Kept) size() (n int) {
	for _, t := range k.keyframe.Tables {
		for i := range t.Rows {
			n += len(t.Rows[i].Object) + besides
		}
	}
	return n
}

// Frame returns the bytes of the state, made at a time, and what they are. At least
// one event was folded into the state since it was read from a keyframe.
func (k *Kept) Frame(made time.Time) (keyframes.Frame, []byte, error) {
	raw, err := k.bytes()
	if err != nil {
		return keyframes.Frame{}, nil, err
	}
	f := keyframes.Frame{Seq: k.keyframe.Seq, ID: k.keyframe.ID, Chain: chain.Sum(k.keyframe.Chain), Before: k.before, Format: KeyframeFormat, Hash: keyframes.Hash(raw), Made: made}
	return f, raw, nil
}

// ReadFrame is ReadKeyframe of a kept keyframe, which has to be what it is said to
// be. The state is one that lives long: its objects have bytes of their own, so that
// those of the keyframe are not held for the last of them.
func ReadFrame(f keyframes.Frame, kept keyframes.Kept, log string, objects *table.Tables) (*State, error) {
	s, err := readKeyframe(kept.State, log, objects, wire.Unmarshal)
	if err == nil && (s.Seq() != f.Seq || s.chain.Chain != f.Chain) {
		err = fmt.Errorf("it is the state at #%d", s.Seq())
	}
	return s, err
}

// UnderWay returns the commands that are not answered.
func (s *State) UnderWay() []events.Cause { return s.screen.Keep().Under }

// Hash returns the hash of a state from the bytes of its keyframe.
func Hash(keyframe []byte) string { return keyframes.Hash(keyframe) }

// ReadKeyframeHead reads of which event a keyframe is the state.
func ReadKeyframeHead(data []byte) (KeyframeHead, error) {
	h := KeyframeHead{Format: KeyframeFormat}
	if err := checkFormat(data); err != nil {
		return h, err
	}
	// Field does not read what comes behind a field: the objects, which are most of it.
	for _, f := range []struct {
		name string
		into any
	}{{"seq", &h.Seq}, {"id", &h.ID}, {"chain", &h.Chain}} {
		if b := wire.Field(data, f.name); len(b) > 0 {
			if err := wire.Unmarshal(b, f.into); err != nil {
				return h, fmt.Errorf("read a keyframe: %w", err)
			}
		}
	}
	return h, nil
}

// checkFormat looks at the format before anything else, which may be strange in
// another one.
func checkFormat(data []byte) error {
	c := wire.NewCursor(wire.Field(data, "format"))
	if format := c.Int(); c.Err() != nil || format != KeyframeFormat {
		return fmt.Errorf("format %d: %w", format, ErrKeyframeFormat)
	}
	return nil
}

// ReadKeyframe returns the state that was written, of the log with this ID, with
// its objects in tables, which are empty. Every DaemonSet is touched. Folding
// goes on from it as if everything before had been folded. Its objects are parts of
// data, which nobody may change afterwards.
func ReadKeyframe(data []byte, log string, objects *table.Tables) (*State, error) {
	return readKeyframe(data, log, objects, wire.UnmarshalShared)
}

func readKeyframe(data []byte, log string, objects *table.Tables, unmarshal func([]byte, any) error) (*State, error) {
	if err := checkFormat(data); err != nil {
		return nil, err
	}
	var k keyframe
	if err := unmarshal(data, &k); err != nil {
		return nil, fmt.Errorf("read a keyframe: %w", err)
	}
	s := NewOver(log, objects)
	if err := s.restore(&k); err != nil {
		return nil, fmt.Errorf("read the keyframe of position %d: %w", k.Seq, err)
	}
	return s, nil
}

func (s *State) restore(k *keyframe) (err error) {
	if len(k.Chain) != len(s.chain.Chain) {
		return fmt.Errorf("a chain of %d bytes", len(k.Chain))
	}
	if k.ID != "" {
		if s.last, err = ulid.ParseStrict(k.ID); err != nil {
			return err
		}
	}
	s.chain.Seq = k.Seq
	copy(s.chain.Chain[:], k.Chain)
	s.clock = k.Clock.clock()
	s.quarantine = quarantine{k.Quarantine.N, k.Quarantine.Last}
	if s.screen, err = k.Screen.Screen(); err != nil {
		return err
	}
	s.objects.Restore(k.Tables, k.Seq, k.Stored)
	s.Sets, s.fold, err = sets.Restore(s.objects, k.Sets, sets.At{Seq: k.Seq, Now: k.Clock.Now, Charter: s.screen.Charter()})
	return err
}

func (c *clock) keep() keptClock {
	k := keptClock{Now: c.now, Last: c.last, Steps: slices.Clone(c.steps), Back: c.back}
	for _, name := range slices.Sorted(maps.Keys(c.sources)) {
		k.Sources = append(k.Sources, keptSource{name, c.sources[name]})
	}
	return k
}

func (k *keptClock) clock() clock {
	c := clock{now: k.Now, last: k.Last, steps: k.Steps, back: k.Back, sources: map[string]time.Duration{}}
	for _, s := range k.Sources {
		c.sources[s.Name] = s.Ahead
	}
	return c
}
