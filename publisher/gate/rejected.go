package gate

import (
	"context"
	"fmt"

	"rollcall/events"
	"rollcall/publisher"
	"rollcall/publisher/envelope"
)

// What can be asked about rejects.
const (
	ListRejects  = "ls"
	ShowRejects  = "show"
	RetryRejects = "retry"
	DropRejects  = "drop"
)

// RejectsRequest asks about rejects, or has something done with them.
type RejectsRequest struct {
	Do      string   `json:"do"`
	Numbers []uint64 `json:"numbers,omitempty"`
	Source  string   `json:"source,omitempty"` // of which; empty: of all
	All     bool     `json:"all,omitempty"`    // do it with all of the source
}

// RejectsAnswer has what was asked for.
type RejectsAnswer struct {
	Rejects []Reject  `json:"rejects"` // oldest first; of a list without what was sent
	More    int       `json:"more"`    // older ones that are not in the list
	Done    []Retried `json:"done,omitempty"`
}

// Retried is what became of a reject that was sent again, or dropped.
type Retried struct {
	Number uint64 `json:"number"`
	Seq    uint64 `json:"seq,omitempty"`    // it was taken, and this is its position
	Reject uint64 `json:"reject,omitempty"` // it was refused again, and this is its number now
	Why    string `json:"why,omitempty"`    // of the refusal
}

// maxListed bounds one answer.
const maxListed = 500

// ShelfReader is what of a Shelf a list and a show need.
type ShelfReader interface {
	// Get returns a message; ok is false if there is none of the number any more.
	Get(ctx context.Context, number uint64) (data []byte, ok bool, err error)
	// Each calls f with what there is, oldest first, until f returns false.
	Each(ctx context.Context, f func(number uint64, data []byte) bool) error
}

// ReadRejects answers a list or a show of what is on a shelf.
func ReadRejects(ctx context.Context, shelf ShelfReader, q RejectsRequest) (a RejectsAnswer, err error) {
	if q.Do == ListRejects {
		a.Rejects, a.More, err = listed(ctx, shelf, q.Source)
		return a, err
	}
	for _, n := range q.Numbers {
		r, err := rejectOf(ctx, shelf, n)
		if err != nil {
			return a, err
		}
		a.Rejects = append(a.Rejects, r)
	}
	return a, nil
}

// rejectOf returns the reject of a number, which has to be there.
func rejectOf(ctx context.Context, shelf ShelfReader, n uint64) (Reject, error) {
	data, ok, err := shelf.Get(ctx, n)
	if err != nil {
		return Reject{}, err
	}
	r, sound := read(n, data)
	if !ok || !sound {
		return r, &events.Error{Code: "E-TOLD-REJECT", What: fmt.Sprintf("there is no reject %d", n), Why: "it was refused again and has another number, was taken or dropped, or had to make room",
			Do: "list them with rollcall rejects ls", Exit: events.ExitInput}
	}
	return r, nil
}

// Rejects answers a request about what was refused. What is sent again goes the way
// of every event, as from the source that has sent it.
func (g *Gate) Rejects(ctx context.Context, q RejectsRequest) (a RejectsAnswer, err error) {
	if g.rejects.shelf == nil {
		return a, &events.Error{Code: "E-TOLD-REJECT", What: "what is refused is not kept", Why: "the NATS server does not let this instance make a stream for it",
			Do: "see docs/OPERATIONS.md for the permissions", Exit: events.ExitInput}
	}
	if q.Do == ListRejects || q.Do == ShowRejects {
		return ReadRejects(ctx, g.rejects.shelf, q)
	}
	if q.All {
		all, _, err := listed(ctx, g.rejects.shelf, q.Source)
		if err != nil {
			return a, err
		}
		for _, r := range all {
			q.Numbers = append(q.Numbers, r.Number)
		}
	}
	for _, n := range q.Numbers {
		r, err := rejectOf(ctx, g.rejects.shelf, n)
		if err != nil {
			return a, err
		}
		done := Retried{Number: n}
		if q.Do == RetryRejects {
			done = g.again(ctx, r)
		}
		if done.Why == "" {
			if _, err := g.rejects.shelf.Drop(ctx, n); err != nil {
				return a, err
			}
		}
		a.Done = append(a.Done, done)
	}
	return a, nil
}

// listed returns the newest rejects of a source, or of all, and how many older there
// are.
func listed(ctx context.Context, shelf ShelfReader, source string) (found []Reject, more int, err error) {
	err = each(ctx, shelf, func(r Reject) bool {
		if source == "" || r.Source == source {
			r.Raw = nil
			found = append(found, r)
		}
		return true
	})
	if over := len(found) - maxListed; over > 0 {
		found, more = found[over:], over
	}
	return found, more, err
}

// again sends a reject again.
func (g *Gate) again(ctx context.Context, r Reject) Retried {
	d := Retried{Number: r.Number}
	by, ok := g.source(r.Source)
	switch {
	case !ok:
		d.Why = "there is no source " + r.Source + " any more"
		return d
	case r.Cut > 0:
		d.Why = fmt.Sprintf("%d bytes of it were not kept", r.Cut)
		return d
	}
	switch b := g.Deliver(ctx, Sender{Source: by, Door: r.Door, Type: r.Type}, envelope.Message{Header: r.Headers, Body: r.Raw, Type: r.Type}, false).Body.(type) {
	case *publisher.Problem:
		d.Why, d.Reject = b.Error(), b.Reject
	case *publisher.Answer:
		d.Seq = b.Seq
	case publisher.Results: // a message of several that could not be read before
		for _, one := range b.Results {
			if one.Answer != nil {
				d.Seq = one.Answer.Seq
			}
		}
	}
	return d
}
