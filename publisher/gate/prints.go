package gate

import (
	"context"
	"crypto/sha256"
	"sync"

	"github.com/oklog/ulid/v2"

	"rollcall/events"
)

type fingerprint = [sha256.Size]byte

// maxPrints bounds how many events are remembered for what they said; the log has
// what others said.
const maxPrints = 1 << 15

// Prints remember what the last events said that came through a gate. They follow
// the log: another instance may be first with an id, and what its event said is what
// counts.
type Prints struct {
	mu         sync.Mutex
	known, old map[ulid.ULID]fingerprint
	under      map[ulid.ULID]*pending
}

// pending is an event that is being appended.
type pending struct {
	by  int           // by how many
	met chan struct{} // closed when the log has it
}

// NewPrints returns prints of nothing.
func NewPrints() *Prints {
	return &Prints{known: map[ulid.ULID]fingerprint{}, under: map[ulid.ULID]*pending{}}
}

// Follow takes the next event of the log.
func (p *Prints) Follow(e events.Event) {
	if e.Told == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.under[e.ID]
	if x == nil || isClosed(x.met) {
		return
	}
	close(x.met)
	if _, not := e.Body.(events.Unreadable); !not {
		p.remember(e.ID, printOf(e.Told))
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// expect says that events with ids of their own may be appended until over is called.
// Whether they are in the log already is asked after it.
func (p *Prints) expect(ts ...*told) (over func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range ts {
		if p.under[t.id] == nil {
			p.under[t.id] = &pending{met: make(chan struct{})}
		}
		p.under[t.id].by++
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, t := range ts {
			if p.under[t.id].by--; p.under[t.id].by == 0 {
				delete(p.under, t.id)
			}
		}
	}
}

// await returns when an event that is expected was followed.
func (p *Prints) await(ctx context.Context, id ulid.ULID) error {
	p.mu.Lock()
	x := p.under[id]
	p.mu.Unlock()
	if x == nil {
		return nil
	}
	select {
	case <-x.met:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Prints) get(id ulid.ULID) (fingerprint, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f, ok := p.known[id]; ok {
		return f, true
	}
	f, ok := p.old[id]
	return f, ok
}

func (p *Prints) put(id ulid.ULID, f fingerprint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remember(id, f)
}

func (p *Prints) remember(id ulid.ULID, f fingerprint) {
	if len(p.known) >= maxPrints {
		p.old, p.known = p.known, map[ulid.ULID]fingerprint{}
	}
	p.known[id] = f
}
