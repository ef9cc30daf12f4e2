package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"rollcall/controller/replay"
	"rollcall/events/natsd"
	"rollcall/projector/apiserver/access"
)

// kubectlTarget is what rollcall kubectl looks at.
type kubectlTarget struct {
	target
	at string // instant; empty: now, or the end of a log on which nothing runs
}

// cutTarget takes the flags that kubectl does not have out of its arguments,
// and looks at those that it has too. Its --cluster names an entry of a
// kubeconfig; where a log is named, there is none, and it names the log's cluster.
func cutTarget(args []string) (k kubectlTarget, rest []string, err error) {
	to := func(p *string) func(string) { return func(value string) { *p = value } }
	if _, err = cutFlags(args, map[string]func(string){"--kubeconfig": to(&k.kubeconfig), "--context": to(&k.context)}); err != nil {
		return k, nil, err
	}
	rest, err = cutFlags(args, map[string]func(string){"--data": to(&k.data), "--rec": func(file string) { k.recs = append(k.recs, file) }, "--at": to(&k.at),
		"--key-file": to(&k.keyFile), "--nats-url": to(&k.natsURL), "--nats-creds": to(&k.natsCreds)})
	if err == nil && (k.data != "" || k.natsURL != "") {
		rest, err = cutFlags(rest, map[string]func(string){"--cluster": to(&k.cluster)})
	}
	return k, rest, err
}

// cutFlags takes flags with a value out of arguments, wherever they stand
// before --.
func cutFlags(args []string, into map[string]func(value string)) (rest []string, err error) {
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(rest, args[i:]...), nil
		}
		name, value, joined := strings.Cut(args[i], "=")
		to, ours := into[name]
		if !ours {
			rest = append(rest, args[i])
			continue
		}
		if !joined {
			if i++; i < len(args) {
				value = args[i]
			}
		}
		if strings.TrimSpace(value) == "" {
			return nil, usageError("E-CLI-FLAG", name+" has no value", "give one, or leave it out")
		}
		to(value)
	}
	return rest, nil
}

// idle reports whether no instance runs on a data directory.
func idle(dir string) (bool, error) {
	release, err := natsd.Share(dir)
	if errors.Is(err, natsd.ErrLocked) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	release()
	return true, nil
}

// find returns the kubeconfig of the instance that runs, empty if kubectl has it
// already, or else what opens the cluster as it was.
func (k kubectlTarget) find() (path string, open func() (*past, error), err error) {
	t := k.target
	if err := t.resolve(); err != nil {
		return "", nil, err
	}
	var at replay.Instant
	if k.at != "" {
		if at, err = replay.ParseInstant(k.at, time.Now()); err != nil {
			return "", nil, of("--at", err)
		}
	} else {
		if t.past {
			return "", nil, nil // rollcall open serves it
		}
		path, runs, err := t.serving(context.Background())
		if err != nil {
			return "", nil, err
		}
		if runs {
			return path, nil, nil
		}
	}
	return "", func() (*past, error) { return t.openPast(at) }, nil
}

// openPast serves the cluster as it was to clients in this process, until it
// ends.
func (t *target) openPast(at replay.Instant) (*past, error) {
	s := &session{in: os.Stdin, out: newOutput(os.Stderr, func(error) {}), err: os.Stderr}
	return s.servePastInside(context.Background(), t, at)
}

// pastHost is where kubectl believes a pastTransport to lead. kubectl remembers
// by this name which kinds are served there: the same for one version of the
// program.
func pastHost() string {
	version, _ := built()
	return "http://" + strings.Trim(version, "()") + ".rollcall.invalid"
}

// pastTransport opens a cluster as it was with the first request, and sends all
// of them there. If it cannot be opened, the process ends with the reason.
type pastTransport struct {
	open func() (*past, error)
	once sync.Once
	http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *pastTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.once.Do(func() {
		p, err := t.open()
		if err == nil {
			t.RoundTripper, err = rest.TransportFor(p.api.Server.LoopbackAs(access.Admin))
		}
		if err != nil {
			os.Exit(report(context.Background(), os.Stderr, err))
		}
	})
	return t.RoundTripper.RoundTrip(r)
}
