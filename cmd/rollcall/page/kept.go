package page

import (
	"net/http"
	"strings"
	"time"

	"rollcall/events"
)

// Bounds of what is kept of answers: how many bytes of them, and how long one about
// the end of a log stays good while that goes on. Many pages that look at the same
// ask for one answer a second between them.
const (
	maxKept  = 16 << 20
	freshFor = time.Second
)

// kept are answers that were given, by what was asked.
type kept struct {
	docs  map[string]document
	bytes int
}

// document is an answer as it was sent.
type document struct {
	head http.Header
	body []byte
	last events.Seq // end of the log then
	made time.Time
}

// lasting reports whether a question has the same answer as long as the log has the
// same end: it names positions, or no instant. Only such answers are kept.
func lasting(r *http.Request) bool {
	for _, name := range []string{"at", "from", "to"} {
		if strings.Trim(r.FormValue(name), "0123456789") != "" {
			return false
		}
	}
	return true
}

// find returns an answer that was given, and is good yet; one without bytes: none is.
func (k *kept) find(r *http.Request, last events.Seq, now time.Time) (d document) {
	d, there := k.docs[r.URL.RequestURI()]
	if !there || d.last != last && now.Sub(d.made) > freshFor {
		return document{}
	}
	return d
}

// keep keeps an answer. Where there is too much, all goes.
func (k *kept) keep(r *http.Request, d document) {
	if k.bytes += len(d.body); k.bytes > maxKept {
		k.forget()
		k.bytes = len(d.body)
	}
	k.docs[r.URL.RequestURI()] = d
}

// forget lets go of all answers: something was written.
func (k *kept) forget() {
	clear(k.docs)
	k.bytes = 0
}
