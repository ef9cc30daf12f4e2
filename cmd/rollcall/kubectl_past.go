package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"rollcall/events"
	"rollcall/events/natsd"
)

// kubectlTarget is what rollcall kubectl looks at: the flags that kubectl does
// not have.
type kubectlTarget struct {
	data string // data directory
	at   string // instant; empty: now, or the end of a stopped log
}

// cutTarget takes the flags of a kubectlTarget out of kubectl's arguments,
// wherever they stand before --.
func cutTarget(args []string) (t kubectlTarget, rest []string, err error) {
	into := map[string]*string{"--data": &t.data, "--at": &t.at}
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return t, append(rest, args[i:]...), nil
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
			return t, nil, usageError("E-CLI-FLAG", name+" has no value", "give one, or leave it out")
		}
		*to = value
	}
	return t, rest, nil
}

// idle reports whether no instance runs on a data directory.
func idle(dir string) (bool, error) {
	release, err := natsd.Share(dir)
	if e := new(events.Error); errors.As(err, &e) && e.Code == "E-STORE-LOCKED" {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	release()
	return true, nil
}

// kubeconfig returns the file by which kubectl reaches the target: that of the
// instance that runs, or else of an API of this process that shows the past. end
// is to be called before the process ends.
func (k kubectlTarget) kubeconfig() (path string, end func(), err error) {
	t := &target{data: k.data}
	if err := t.resolve(); err != nil {
		return "", nil, err
	}
	past := k.at != ""
	if !past && t.data != "" {
		if past, err = idle(t.data); err != nil {
			return "", nil, err
		}
	}
	if past {
		return k.past(t)
	}
	path, err = t.instanceKubeconfig()
	return path, func() {}, err
}

// past serves the cluster as it was, for this process alone.
func (k kubectlTarget) past(t *target) (path string, end func(), err error) {
	o := openOptions{api: apiOptions{listen: "127.0.0.1:0", verbosity: -1}}
	if k.at != "" {
		if o.instant, err = parseInstant(k.at, time.Now()); err != nil {
			return "", nil, err
		}
	}
	if err := firstError(o.api.check(func(string) bool { return false }), logKubernetes(o.api.verbosity)); err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &session{in: os.Stdin, out: newOutput(os.Stderr, func(error) {}), err: os.Stderr}
	was, m, err := s.readPast(ctx, t, o.instant)
	if err != nil {
		cancel()
		return "", nil, err
	}
	p, err := openPast(ctx, reopened{session: s, target: t}, was, m, o)
	if err != nil {
		cancel()
		return "", nil, err
	}
	end = func() {
		cancel()
		_ = p.close() // what stays is swept by the next instance
	}
	select {
	case <-p.api.server.Ready():
		return p.api.kubeconfig, end, nil
	case err := <-p.ended:
		end()
		return "", nil, fmt.Errorf("serve the past: %w", err)
	}
}
