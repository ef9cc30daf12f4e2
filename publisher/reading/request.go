package reading

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/events"
	"rollcall/publisher"
	"rollcall/publisher/sources"
)

// The forms of an answer.
const (
	eventStream = "text/event-stream"
	lines       = "application/x-ndjson"
	maps        = "application/msgpack"
)

// request is what a reader asks for.
type request struct {
	form   string
	after  events.Seq
	follow bool
	types  []string
	notice string // what a reader of an event stream is told first; others are refused
}

// parse reads a request to a log, and says what is wrong with it.
func parse(r *http.Request, info events.Info) (q request, p *publisher.Problem) {
	if q.form = form(r.Header.Values("Accept")); q.form == "" {
		return q, problem(http.StatusNotAcceptable, "E-READ-ACCEPT", "no such form", "events are read as %s, %s or %s", eventStream, lines, maps)
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, badQuery("the query cannot be read: %s", err)
	}
	for name, v := range values {
		if !slices.Contains([]string{"after", "follow", "type"}, name) {
			return q, badQuery("%.80q is none of after, follow, type", name)
		}
		if len(v) > 1 && name != "type" {
			return q, badQuery("%s is there %d times", name, len(v))
		}
	}
	if p := q.position(r, values, info); p != nil {
		return q, p
	}
	q.follow = q.form == eventStream
	if v := values.Get("follow"); values.Has("follow") {
		if q.follow, err = strconv.ParseBool(v); err != nil {
			return q, badQuery("follow is true or false, and not %.80q", v)
		}
	}
	for _, v := range values["type"] {
		for glob := range strings.SplitSeq(v, ",") {
			if i := strings.IndexByte(glob, '*'); glob == "" || len(glob) > 255 || i >= 0 && i < len(glob)-1 {
				return q, badQuery("%.80q is no type; write one, or the beginning of some and a *", glob)
			}
			q.types = append(q.types, glob)
		}
	}
	return q, nil
}

// position reads where to begin: the last event that the reader has, else after. A
// browser that is refused never asks again, so one that comes with a position that
// the log does not have is told and begins where it can.
func (q *request) position(r *http.Request, values url.Values, info events.Info) *publisher.Problem {
	text, name, again := values.Get("after"), "after", false
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		text, name, again = id, "Last-Event-ID", q.form == eventStream
	}
	switch text {
	case "":
		if values.Has(name) {
			return badQuery("%s is empty", name)
		}
		q.after = info.Before
		return nil
	case "now":
		q.after = info.Last
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n > 0 && text[0] == '0' {
		return badQuery("%s is a position, or now, and not %.80q", name, text)
	}
	q.after = events.Seq(n)
	switch {
	case q.after > info.Last && again:
		q.notice, q.after = fmt.Sprintf("the log ends at %d, before the last event that you have: it is another one, or lost its end", info.Last), info.Last
	case q.after > info.Last:
		return problem(http.StatusRequestedRangeNotSatisfiable, "E-READ-RANGE", "after the end", "the log ends at %d, before %d; ask after=now for what comes", info.Last, n)
	case q.after < info.Before && n > 0 && again:
		q.notice, q.after = fmt.Sprintf("the log begins after %d: events between were archived", info.Before), info.Before
	case q.after < info.Before && n > 0:
		return problem(http.StatusGone, "E-READ-RANGE", "before the beginning", "the log begins after %d: what was before is archived; ask after=%d", info.Before, info.Before)
	}
	q.after = max(q.after, info.Before)
	return nil
}

// form returns the first form that a reader accepts; "" if there is none.
func form(accept []string) string {
	given := false
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, _, _ := strings.Cut(part, ";")
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "":
			continue
		case eventStream, lines, maps:
			return name
		case "application/jsonl", "application/ndjson", "application/*", "*/*", "application/json":
			return lines
		case "text/*":
			return eventStream
		case "application/x-msgpack", "application/vnd.msgpack":
			return maps
		}
		given = true
	}
	if given {
		return ""
	}
	return lines
}

// wants reports whether an event is of a type that is asked for: in the log, as it
// was told, or as it is sent.
func (q request) wants(e events.Event) bool {
	if len(q.types) == 0 {
		return true
	}
	asked := sources.Source{May: q.types}
	return asked.MayTell(string(e.Type)) || asked.MayTell(typePrefix+string(e.Type)) || e.Told != nil && asked.MayTell(e.Told.Type)
}

func badQuery(format string, args ...any) *publisher.Problem {
	return problem(http.StatusBadRequest, "E-READ-QUERY", "bad query", format, args...)
}

func problem(status int, code, title, format string, args ...any) *publisher.Problem {
	return publisher.NewProblem(status, code, title, fmt.Sprintf(format, args...))
}

// refuse answers with a problem.
func refuse(w http.ResponseWriter, p *publisher.Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(p.RetryAfter/time.Second)))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // who has asked has gone if it cannot be sent
}
