package page

import (
	"fmt"
	"time"

	"rollcall/events"
)

// foldCheck is the check that says how far the fold of an instance is behind.
const foldCheck = "fold"

// instanceSaid is what an instance and the servers that keep its log say of
// themselves.
type instanceSaid struct {
	Checks  []Check     `json:"checks"`           // of the instance; none: none runs
	Members []Check     `json:"members"`          // servers that keep the log; none: it is read from files
	Behind  *events.Seq `json:"behind,omitempty"` // events that the fold of the instance has not taken yet
}

// seen is what an instance has said of itself, and when. Many pages that look ask
// it once a second between them.
type seen struct {
	said *instanceSaid
	at   time.Time
}

func instance(q *query) (string, any, error) {
	s := &q.page.seen
	if s.said != nil && time.Since(s.at) < freshFor {
		return "Instance", []*instanceSaid{s.said}, nil
	}
	x := &instanceSaid{Checks: []Check{}, Members: []Check{}}
	if q.page.Health != nil {
		x.Checks = append(x.Checks, q.page.Health(q.Context())...)
	}
	x.Behind = behind(x.Checks)
	if q.past.Members != nil {
		all, err := q.past.Members(q.Context())
		if err != nil {
			return "", nil, err
		}
		x.Members = append(x.Members, all...)
	}
	s.said, s.at = x, time.Now()
	return "Instance", []*instanceSaid{x}, nil
}

// behind reads how far the fold is behind from what it says of itself: "ok: 3 events
// behind"; nil: it says no such thing.
func behind(all []Check) *events.Seq {
	for _, c := range all {
		var n events.Seq
		if c.Name != foldCheck {
			continue
		}
		if _, err := fmt.Sscanf(c.State, "ok: %d events behind", &n); err == nil {
			return &n
		}
	}
	return nil
}
