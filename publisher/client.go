package publisher

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// Options say which cluster a Client tells, and who tells it.
type Options struct {
	URL   string // of the instance: "https://127.0.0.1:7443"
	Token string
	CA    []byte // PEM, of whom the instance's certificate is; nil: those that the system knows
	// Source is that of events that have none; empty: the gate puts the name of
	// the token's source there.
	Source string
	// Attempts is how often a request is tried, with growing pauses; 0: eight
	// times, which take about half a minute.
	Attempts int
	// HTTP replaces the client that is made for CA.
	HTTP *http.Client
}

// Client tells a cluster events, over HTTP. It may be used by several goroutines.
type Client struct {
	o    Options
	to   string
	http *http.Client
}

const (
	attempts    = 8
	tryTime     = 30 * time.Second // of one request
	firstPause  = 100 * time.Millisecond
	longPause   = 10 * time.Second
	mostEvents  = 1000     // in one request: what the gate takes
	mostBytes   = 900_000  // in one request: less than the megabyte that it takes
	answerBytes = 16 << 20 // of an answer, which is a line for each event
)

// NewClient returns a client. It sends nothing yet.
func NewClient(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("the URL of rollcall is https://HOST:PORT, and not %q", o.URL)
	}
	c := &Client{o: o, to: u.JoinPath("/v1/events").String(), http: o.HTTP}
	if c.http != nil {
		return c, nil
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	if o.CA != nil {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("the CA of rollcall is no certificate in PEM")
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	// A token goes nowhere else than where it was meant to go.
	c.http = &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// Tell sends one event and returns what the gate says. The error is a *Problem
// if the event was refused.
func (c *Client) Tell(ctx context.Context, ev Event) (Answer, error) {
	results, err := c.Send(ctx, ev)
	if err != nil {
		return Answer{}, err
	}
	return *results[0].Answer, nil
}

// Send sends events, many in one request, and returns what the gate says of each,
// in their order. What was not taken for want of time or room is sent again;
// since each event has an id before it is sent for the first time, it is told
// once. The error is that of the first event that was refused, a *Problem, or
// says why the cluster could not be reached: the results of events whose fate is
// not known are zero.
func (c *Client) Send(ctx context.Context, evs ...Event) ([]Result, error) {
	bodies, err := c.written(evs)
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(evs))
	for from := 0; from < len(evs); {
		to, size := from, 0
		for to < len(evs) && to-from < mostEvents && (to == from || size+len(bodies[to]) <= mostBytes) {
			size += len(bodies[to]) + 1
			to++
		}
		if err := c.persist(ctx, bodies[from:to], results[from:to]); err != nil {
			return results, err
		}
		from = to
	}
	for _, r := range results {
		if r.Problem != nil {
			return results, r.Problem
		}
	}
	return results, nil
}

// SendAll sends events of which all are taken, or none: up to a thousand.
func (c *Client) SendAll(ctx context.Context, evs ...Event) ([]Result, error) {
	bodies, err := c.written(evs)
	if err != nil {
		return nil, err
	}
	var results []Result
	err = c.retry(ctx, func() error {
		results, err = c.post(ctx, "?atomic=true", array(bodies), len(evs))
		return err
	})
	for _, r := range results {
		if err == nil && r.Problem != nil {
			err = r.Problem
		}
	}
	return results, err
}

// Run sends what comes from in, as many at once as have come, and calls told with
// each event and what the gate says of it, until in is closed or ctx ends. in may
// have a buffer: it is the bound on what waits. told gets the error of an event
// that could not be sent, whose fate is not known.
func (c *Client) Run(ctx context.Context, in <-chan Event, told func(Event, Result, error)) error {
	for {
		var evs []Event
		select {
		case ev, more := <-in:
			if !more {
				return nil
			}
			evs = append(evs, ev)
		case <-ctx.Done():
			return ctx.Err()
		}
		for len(evs) < mostEvents && len(in) > 0 {
			evs = append(evs, <-in)
		}
		results, err := c.Send(ctx, evs...)
		for i, ev := range evs {
			switch {
			case results == nil:
				told(ev, Result{}, err)
			case results[i] == Result{}:
				told(ev, Result{}, err)
			default:
				told(ev, results[i], nil)
			}
		}
	}
}

// written returns the events as JSON. Each gets an id and a source if it has none.
func (c *Client) written(evs []Event) ([][]byte, error) {
	bodies := make([][]byte, len(evs))
	for i, ev := range evs {
		if ev.ID == "" {
			id, err := ulid.New(ulid.Now(), rand.Reader)
			if err != nil {
				return nil, fmt.Errorf("make an id: %w", err)
			}
			ev.ID = id.String()
		}
		ev.Source = cmp.Or(ev.Source, c.o.Source)
		b, err := json.Marshal(ev)
		if err != nil {
			return nil, fmt.Errorf("write event %d, %s: %w", i+1, ev.Type, err)
		}
		bodies[i] = b
	}
	return bodies, nil
}

func array(bodies [][]byte) []byte {
	return append(append([]byte("["), bytes.Join(bodies, []byte(","))...), ']')
}

// persist sends events until each has an answer, or a refusal that is final.
func (c *Client) persist(ctx context.Context, bodies [][]byte, results []Result) error {
	open := make([]int, len(bodies)) // events without one
	for i := range open {
		open[i] = i
	}
	return c.retry(ctx, func() error {
		var send [][]byte
		for _, i := range open {
			send = append(send, bodies[i])
		}
		got, err := c.post(ctx, "", array(send), len(send))
		if err != nil {
			return err
		}
		var left []int
		var again *Problem
		for n, i := range open {
			results[i] = got[n]
			if p := got[n].Problem; p != nil && passing(p.Status) {
				left, again = append(left, i), p
			}
		}
		if open = left; again != nil {
			return again
		}
		return nil
	})
}

// retry tries until it is done, refused for good, or was tried often enough.
func (c *Client) retry(ctx context.Context, try func() error) error {
	pause := firstPause
	for n := cmp.Or(c.o.Attempts, attempts); ; n-- {
		err := try()
		var p *Problem
		refused := errors.As(err, &p)
		if err == nil || refused && !passing(p.Status) {
			return err
		}
		if n <= 1 || ctx.Err() != nil {
			return err
		}
		wait := pause
		if refused {
			wait = max(wait, p.RetryAfter)
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(wait):
		}
		pause = min(2*pause, longPause)
	}
}

// passing reports whether a refusal may be none later.
func passing(status int) bool { return status == http.StatusTooManyRequests || status >= 500 }

// post sends n events once.
func (c *Client) post(ctx context.Context, query string, body []byte, n int) ([]Result, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.to+query, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if c.o.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.o.Token)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("tell rollcall: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, answerBytes))
	if err != nil {
		return nil, fmt.Errorf("read the answer of rollcall: %w", err)
	}
	var all Results
	if json.Unmarshal(b, &all) == nil && len(all.Results) == n {
		return all.Results, nil
	}
	p := &Problem{}
	if resp.StatusCode < 400 || json.Unmarshal(b, p) != nil || p.Code == "" {
		p = NewProblem(resp.StatusCode, "E-TOLD-ANSWER", "no answer", fmt.Sprintf("%s answers %s, and not as rollcall does; see whether it is one", c.to, resp.Status))
		if resp.StatusCode < 400 {
			p.Status = http.StatusMisdirectedRequest
		}
	}
	p.RetryAfter = retryAfter(resp.Header.Get("Retry-After"))
	return nil, p
}

// retryAfter reads a header, of seconds or of a time.
func retryAfter(text string) time.Duration {
	if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
		return time.Duration(max(n, 0)) * time.Second
	}
	if t, err := http.ParseTime(text); err == nil {
		return max(time.Until(t), 0)
	}
	return 0
}
