package gate

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/publisher"
)

// Shelf keeps messages under numbers that rise; the oldest make room for new ones.
type Shelf interface {
	ShelfReader
	Put(ctx context.Context, source string, data []byte) (number uint64, err error)
	// Drop takes a message away, and reports whether there was one.
	Drop(ctx context.Context, number uint64) (bool, error)
	// Held says how many messages there are, of how many bytes, and how many there
	// ever were.
	Held(ctx context.Context) (messages, bytes, ever uint64, err error)
}

// Reject is what the gate has refused: an event, or a message that holds none.
type Reject struct {
	Number  uint64              `json:"number"`
	Source  string              `json:"source"`
	Door    string              `json:"door"`
	Type    string              `json:"type,omitempty"` // of the event, as the door said it
	First   time.Time           `json:"first"`          // the same was refused for the first time
	Last    time.Time           `json:"last"`
	Count   int                 `json:"count"` // how often
	Problem *publisher.Problem  `json:"problem"`
	Headers map[string][]string `json:"headers,omitempty"`
	Raw     []byte              `json:"raw"`           // as it came
	Cut     int                 `json:"cut,omitempty"` // bytes that were left out at its end
}

// maxRaw bounds what is kept of one message: with its base64 and its headers it
// fits what a NATS server takes by default.
const maxRaw = 640 << 10

// keptHeaders begin the headers that say something of an event. No other is kept:
// the token is in one.
var keptHeaders = []string{"content-type", "content-encoding", "user-agent", "ce-", "nats-msg-id", "rollcall-"}

// rejects keep what was refused.
type rejects struct {
	shelf Shelf

	mu    sync.Mutex
	known map[fingerprint]seen // of what is on the shelf; nil: nobody has looked
}

// seen is a reject that is on the shelf.
type seen struct {
	number uint64
	first  time.Time
	count  int
}

// print tells rejects apart.
func (r *Reject) print() fingerprint {
	h := sha256.New()
	for _, s := range []string{r.Source, r.Problem.Code, string(r.Raw)} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return fingerprint(h.Sum(nil))
}

// refuse keeps what was refused, and says under which number. What will be sent
// again, because nothing is wrong with it, is kept only if nobody knows to send it
// again.
func (g *Gate) refuse(ctx context.Context, by Sender, raw []byte, headers map[string][]string, p *publisher.Problem) {
	again := p.Status == http.StatusTooManyRequests || p.Status >= http.StatusInternalServerError
	if g.rejects.shelf == nil || again && !by.Unanswered {
		return
	}
	now := g.config.Now().UTC()
	r := Reject{Source: by.Name, Door: by.Door, Type: by.Type, First: now, Last: now, Count: 1, Problem: p, Raw: raw}
	if len(raw) > maxRaw {
		r.Raw, r.Cut = raw[:maxRaw], len(raw)-maxRaw
	}
	for name, values := range headers {
		if slices.ContainsFunc(keptHeaders, func(k string) bool { return strings.HasPrefix(strings.ToLower(name), k) }) {
			if r.Headers == nil {
				r.Headers = map[string][]string{}
			}
			r.Headers[name] = values
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	var err error
	if p.Reject, err = g.rejects.keep(ctx, r); err != nil {
		g.config.Report(fmt.Errorf("keep what was refused of source %s: %w", by.Name, err))
	}
}

// ofItem returns the headers with which one event of a message can be sent alone.
func ofItem(headers map[string][]string, many bool) map[string][]string {
	if !many {
		return headers
	}
	alone := map[string][]string{}
	for name, values := range headers {
		if strings.EqualFold(name, "content-type") && len(values) > 0 && !strings.Contains(values[0], "msgpack") {
			values = []string{"application/json"}
		}
		alone[name] = values
	}
	return alone
}

// keep puts a reject on the shelf. One that is there already is counted: it goes
// to the end.
func (s *rejects) keep(ctx context.Context, r Reject) (uint64, error) {
	print := r.print()
	s.mu.Lock()
	if err := s.look(ctx); err != nil {
		s.mu.Unlock()
		return 0, err
	}
	before, again := s.known[print]
	delete(s.known, print)
	s.mu.Unlock()
	if again {
		r.First, r.Count = before.first, before.count+1
	}
	data, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	number, err := s.shelf.Put(ctx, r.Source, data)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	if len(s.known) >= maxPrints {
		clear(s.known)
	}
	s.known[print] = seen{number, r.First, r.Count}
	s.mu.Unlock()
	if again {
		_, err = s.shelf.Drop(ctx, before.number)
	}
	return number, err
}

// look reads what is on the shelf from an earlier run. The caller holds mu.
func (s *rejects) look(ctx context.Context) error {
	if s.known != nil {
		return nil
	}
	known := map[fingerprint]seen{}
	if err := each(ctx, s.shelf, func(r Reject) bool {
		known[r.print()] = seen{r.Number, r.First, r.Count}
		return true
	}); err != nil {
		return err
	}
	s.known = known
	return nil
}

// each calls f with the rejects, oldest first, until it returns false.
func each(ctx context.Context, shelf ShelfReader, f func(Reject) bool) error {
	return shelf.Each(ctx, func(number uint64, data []byte) bool {
		r, ok := read(number, data)
		return !ok || f(r)
	})
}

// read reads a reject; what is none, somebody else has put there.
func read(number uint64, data []byte) (r Reject, ok bool) {
	if json.Unmarshal(data, &r) != nil || r.Problem == nil {
		return r, false
	}
	r.Number, r.Problem.Reject = number, number
	return r, true
}
