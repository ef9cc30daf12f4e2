package gate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rollcall/publisher"
	"rollcall/publisher/envelope"
	"rollcall/publisher/sources"
)

// EventsPath is where events are told over HTTP.
const EventsPath = "/v1/events"

// sourceKey is the key of the context of a request under which its source is.
type sourceKey struct{}

// SourceOf returns who has sent a request that came through a Doorkeeper.
func SourceOf(ctx context.Context) sources.Source {
	s, _ := ctx.Value(sourceKey{}).(sources.Source)
	return s
}

// Doorkeeper finds who sends a request before it is answered.
type Doorkeeper struct {
	Admin func(r *http.Request, token string) bool // it is the admin's; token may be empty
	Table func() *sources.Table
	Know  func(*http.Request) bool // gives the connection of a known client a place
}

// Before answers requests of strangers, and has next answer those of sources.
func (d Doorkeeper) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "bearer") {
			token = ""
		}
		token = strings.TrimSpace(token)
		by, known := sources.Admin, d.Admin(r, token)
		if !known && token != "" {
			by, known = d.Table().ByToken(token)
		}
		switch {
		case !known:
			w.Header().Set("WWW-Authenticate", "Bearer")
			turnAway(w, r, refusal(http.StatusUnauthorized, "E-TOLD-TOKEN", "who are you?", "the request has no token that is known; send Authorization: Bearer TOKEN, as rollcall up or rollcall source names it"))
		case !d.Know(r):
			turnAway(w, r, busy("the server has no file left for another connection"))
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), sourceKey{}, by)))
		}
	})
}

// ServeHTTP answers POST of events, by the source that a Doorkeeper has found.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	by := Sender{Source: SourceOf(r.Context()), Door: "http"}
	atomic := false
	if v := r.URL.Query().Get("atomic"); v != "" {
		var err error
		if atomic, err = strconv.ParseBool(v); err != nil {
			writeProblem(w, refusal(http.StatusBadRequest, "E-TOLD-QUERY", "bad query", "atomic is true or false, and not %s", quote(v)))
			return
		}
	}
	body, give, p := g.body(w, r, by)
	if p != nil {
		writeProblem(w, p)
		return
	}
	defer give()
	reply := g.Deliver(r.Context(), by, envelope.Message{Header: r.Header, Body: body}, atomic)
	write(w, reply)
}

// body reads the body of a request, for which its source has to have room.
func (g *Gate) body(w http.ResponseWriter, r *http.Request, by Sender) (body []byte, give func(), p *publisher.Problem) {
	most := int64(g.config.Limits.Bytes)
	if most == 0 {
		most = int64(envelope.Default.Bytes)
	}
	size := r.ContentLength
	if size < 0 || size > most {
		size = most
	}
	q := g.queue(by.Name)
	if !q.takeBytes(int(size)) {
		g.counts.add(by.Name, "busy", 1)
		return nil, nil, busy("source " + by.Name + " has too much under way")
	}
	give = func() { q.give(0, int(size)) }
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		p = refusal(http.StatusRequestEntityTooLarge, "E-TOLD-SIZE", "too large", "the body has more than %d bytes; send less at a time", most)
		g.refuse(r.Context(), by, body, r.Header, p)
	case err != nil:
		p = refusal(http.StatusBadRequest, "E-TOLD-BODY", "the body did not come", "%s; send it again", oneLine(err.Error()))
	}
	if p != nil {
		give()
		return nil, nil, p
	}
	return body, give, nil
}

// drained is how much of a body is read that nobody wants: a client of HTTP/2 that is
// told to stop in the middle of a small one takes that for the answer.
const drained = 64 << 10

// turnAway refuses a request of which the body was not read, and ends the connection.
func turnAway(w http.ResponseWriter, r *http.Request, p *publisher.Problem) {
	_, _ = io.CopyN(io.Discard, r.Body, drained) // whoever is refused may send no more
	w.Header().Set("Connection", "close")
	writeProblem(w, p)
}

// writeProblem answers with a refusal.
func writeProblem(w http.ResponseWriter, p *publisher.Problem) { write(w, replyOf(p)) }

func write(w http.ResponseWriter, r Reply) {
	media := "application/json"
	if p, ok := r.Body.(*publisher.Problem); ok {
		media = "application/problem+json"
		if p.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((p.RetryAfter+time.Second-1)/time.Second)))
		}
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(r.Status)
	body, _ := json.Marshal(r.Body) // it has strings and numbers only
	_, _ = w.Write(append(body, '\n'))
}

// NotFound answers requests for paths where nothing is.
func NotFound(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, refusal(http.StatusNotFound, "E-TOLD-PATH", "nothing is there", "%s is no path here; events are told with POST %s", quote(r.URL.Path), EventsPath))
}

// NotAllowed answers requests that do with a path what cannot be done with it.
func NotAllowed(allow ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", strings.Join(allow, ", "))
		writeProblem(w, refusal(http.StatusMethodNotAllowed, "E-TOLD-METHOD", "not that way", "%s takes %s, and not %s", r.URL.Path, strings.Join(allow, " and "), quote(r.Method)))
	}
}
