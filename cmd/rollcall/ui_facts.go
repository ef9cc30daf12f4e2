package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"rollcall/cmd/rollcall/page"
	"rollcall/events/stream"
)

// facts say how the log is kept, and what is beside it.
func (a *archive) facts(ctx context.Context) (all []page.Fact, err error) {
	say := func(name, format string, args ...any) {
		all = append(all, page.Fact{Name: name, Says: fmt.Sprintf(format, args...)})
	}
	if a.rec != nil {
		for _, r := range a.rec {
			m := r.Manifest()
			say("recording", "%s in %s, %s", plural(int(m.Events), "event"), plural(m.Blocks, "block"), map[bool]string{true: "complete", false: "not complete"}[m.Complete])
			say("keyframes", "%s in it", plural(m.Keyframes, "keyframe"))
			if m.Filter != "" {
				say("filter", "%s", m.Filter)
			}
		}
	} else {
		info, err := a.Info(ctx)
		if err != nil {
			return nil, err
		}
		say("stream", "%s, #%d to #%d", a.subjects.Stream(), info.Before+1, info.Last)
		store, err := a.store(ctx)
		if err != nil {
			return nil, err
		}
		frames, err := store.List(ctx)
		if err != nil {
			return nil, err
		}
		text := "none yet: the state is folded from the first event"
		if n := len(frames); n > 0 {
			text = fmt.Sprintf("%s beside the log, the newest of #%d, made %s", plural(n, "keyframe"), frames[n-1].Seq, frames[n-1].Made.UTC().Format(time.RFC3339))
		}
		say("keyframes", "%s", text)
	}
	if text := a.checkedText(); text != "" {
		say("checked", "%s", text)
	}
	return all, nil
}

// members are the servers that keep a log, and how they are.
func members(ctx context.Context, log *stream.Log) (all []page.Check, err error) {
	servers, err := log.Members(ctx)
	for _, m := range servers {
		c := page.Check{Name: m.Name, Good: !m.Away, State: fmt.Sprintf("follows, %d operations behind", m.Behind)}
		switch {
		case m.Leads:
			c.State = "leads"
		case m.Away:
			c.State = fmt.Sprintf("away, %d operations behind", m.Behind)
		}
		all = append(all, c)
	}
	return all, err
}

// health is what /readyz of the API says of the instance.
func (d doors) health(ctx context.Context) []page.Check {
	failed := func(err error) []page.Check { return []page.Check{{Name: "API", State: err.Error()}} }
	config, err := d.config(ctx)
	if err != nil {
		return failed(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return failed(err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+"/readyz?verbose", nil)
	if err != nil {
		return failed(err)
	}
	res, err := client.Do(r)
	if err != nil {
		return failed(err)
	}
	defer res.Body.Close()
	return readChecks(bufio.NewScanner(res.Body))
}

// readChecks reads lines such as "[+]log ok".
func readChecks(lines *bufio.Scanner) (all []page.Check) {
	for lines.Scan() {
		sign, rest, ok := strings.Cut(lines.Text(), "]")
		if !ok || sign != "[+" && sign != "[-" {
			continue
		}
		name, state, _ := strings.Cut(rest, " ")
		all = append(all, page.Check{Name: name, State: state, Good: sign == "[+"})
	}
	return all
}
