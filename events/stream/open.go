package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/events"
)

// defaultReplicas is what a stream is made with where there are so many servers.
const defaultReplicas = 3

// openTry bounds one look at a stream that is opened.
const openTry = 5 * time.Second

// Open returns the log of the cluster of s on nc, which must stay open as long
// as the log is used. While the servers choose leaders it waits, up to
// Options.Wait.
//
// E-STREAM-NONE says that there is no stream and Create is false;
// E-STREAM-CONFIG that it is not set as a log must be, with every difference;
// E-LOG-QUORUM and E-LOG-UNREACHABLE that the servers do not answer.
func Open(ctx context.Context, nc *nats.Conn, s events.Subjects, o Options) (*Log, error) {
	l, err := attach(nc, s, o)
	if err != nil {
		return nil, err
	}
	if err := l.wait(ctx, o, func(ctx context.Context) error { return l.open(ctx, o) }); err != nil {
		return nil, err
	}
	return l, nil
}

// wait calls try until it succeeds, fails for good, or o.Wait is over.
func (l *Log) wait(ctx context.Context, o Options, try func(context.Context) error) error {
	end := time.Now().Add(o.Wait)
	told := false
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		once, cancel := context.WithTimeout(ctx, openTry)
		err := try(once)
		cancel()
		if err == nil || ctx.Err() != nil || !passes(err) {
			return err
		}
		if !time.Now().Before(end) {
			return l.away(err)
		}
		if !told && o.Waiting != nil {
			o.Waiting(err)
		}
		told = true
		pause(ctx, wait)
	}
}

// open makes the stream if it may and must, and checks it.
func (l *Log) open(ctx context.Context, o Options) error {
	want := config(l.subjects, o)
	info, err := l.look(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) && o.Create {
		info, err = l.create(ctx, want, o.Replicas)
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return &events.Error{Code: "E-STREAM-NONE", What: "there is no stream " + l.subjects.Stream(),
			Where: l.nc.ConnectedUrlRedacted(), Do: "name the cluster that the log was made for, or make one with rollcall up",
			Exit: events.ExitInput, Err: err}
	}
	if err != nil {
		return err
	}
	if o.Own {
		if info, err = l.wake(ctx, info); err != nil {
			return err
		}
	}
	if err := checkConfig(want, info.Config); err != nil {
		return err
	}
	if o.Create {
		if !agrees(info.Cluster) {
			return errAlone
		}
		if info, err = l.widen(ctx, info, o.Replicas); err != nil {
			return err
		}
	}
	l.replicas.Store(int32(info.Config.Replicas))
	return nil
}

// create makes the stream. Without a wish it has three replicas where there are
// servers for them, else one.
func (l *Log) create(ctx context.Context, want jetstream.StreamConfig, replicas int) (*jetstream.StreamInfo, error) {
	want.Replicas = replicas
	if replicas == 0 {
		want.Replicas = defaultReplicas
	}
	_, err := l.js.CreateStream(ctx, want)
	if replicas == 0 && fewServers(err) {
		want.Replicas = 1
		_, err = l.js.CreateStream(ctx, want)
	}
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil, replicasError(fmt.Errorf("make stream %s: %w", want.Name, err), want.Replicas)
	}
	return l.look(ctx)
}

// widen gives an older stream what this program needs of it more: larger
// messages, and as many replicas as are asked for. It takes nothing away.
func (l *Log) widen(ctx context.Context, have *jetstream.StreamInfo, replicas int) (*jetstream.StreamInfo, error) {
	c := have.Config
	if c.MaxMsgSize >= 0 {
		c.MaxMsgSize = max(c.MaxMsgSize, events.MaxMessage)
	}
	c.Replicas = max(c.Replicas, replicas)
	if c.MaxMsgSize == have.Config.MaxMsgSize && c.Replicas == have.Config.Replicas {
		return have, nil
	}
	if _, err := l.js.UpdateStream(ctx, c); err != nil {
		return nil, replicasError(fmt.Errorf("widen stream %s: %w", c.Name, err), c.Replicas)
	}
	return l.look(ctx)
}

// What a server says that has no cluster, and a cluster that has not enough
// servers, or misses some.
const (
	codeNoReplicas = 10074
	codeNoPeers    = 10005
)

// fewServers reports whether err says that there are not so many servers.
func fewServers(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == codeNoReplicas ||
		api.ErrorCode == codeNoPeers && !waitsForPeers(api))
}

// waitsForPeers reports whether servers that exist are missed: one replica in
// their stead would be for good.
func waitsForPeers(api *jetstream.APIError) bool { return strings.Contains(api.Description, "offline") }

func replicasError(err error, n int) error {
	if !fewServers(err) {
		return err
	}
	return &events.Error{Code: "E-STREAM-REPLICAS", What: fmt.Sprintf("the NATS servers cannot keep %d replicas", n), Why: err.Error(),
		Do: fmt.Sprintf("join %d servers with JetStream in a cluster, or give --replicas 1", n), Exit: events.ExitInput, Err: err}
}

// Replicas returns how many servers keep the log.
func (l *Log) Replicas() int { return max(int(l.replicas.Load()), 1) }

// look asks for the stream as it is.
func (l *Log) look(ctx context.Context) (*jetstream.StreamInfo, error) {
	st, err := l.js.Stream(ctx, l.subjects.Stream())
	if err != nil {
		return nil, fmt.Errorf("look at stream %s: %w", l.subjects.Stream(), err)
	}
	i := st.CachedInfo()
	l.seen(i)
	return i, nil
}
