package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
	"rollcall/events/natsd"
	"rollcall/events/stream"
	"rollcall/projector"
)

// maxReplicas is the most that JetStream keeps.
const maxReplicas = 5

// electionWait is longer than servers take to choose a leader, also when some of
// them have to start first.
const electionWait = time.Minute

// natsName returns a name as a NATS user: one token of a subject.
func natsName(name string) string {
	name = strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '-'
	}, name), "-_")
	if name == "" || name == "rollcall" {
		return natsd.DefaultUser
	}
	return name[:min(len(name), 63)]
}

// natsNames are the users outside of the embedded server: who has started it,
// and those that are named.
func (o upOptions) natsNames() []string { return append([]string{natsName(actor())}, o.natsUsers...) }

// natsUser is who a client of a server is at the gate: the user of the URL, else
// who runs it. Only a server with permissions can hold it to that.
func natsUser(urls string) string {
	if name := urlUser(urls); name != "" {
		return natsName(name)
	}
	return natsName(actor())
}

// urlUser returns the user of the first address, or "". One without a password
// is a token.
func urlUser(urls string) string {
	first, _, _ := strings.Cut(urls, ",")
	u, err := url.Parse(strings.TrimSpace(first))
	if err != nil || u.User == nil {
		return ""
	}
	if _, has := u.User.Password(); !has {
		return ""
	}
	return u.User.Username()
}

// dial connects to NATS servers that are somebody else's. A user of the URL
// takes answers where no other one need be able to listen.
func dial(urls, creds string) (*nats.Conn, error) {
	opts := []nats.Option{nats.Name("rollcall")}
	if creds != "" {
		opts = append(opts, nats.UserCredentials(creds))
	}
	if urlUser(urls) != "" {
		opts = append(opts, nats.CustomInboxPrefix(natsd.Inbox(natsUser(urls))))
	}
	nc, err := stream.Dial(urls, opts...)
	if err == nil {
		return nc, nil
	}
	return nil, &events.Error{Code: "E-CLI-NATS", What: "the NATS server cannot be reached", Where: withoutUser(urls), Why: err.Error(),
		Do: "check the address and the credentials", Exit: events.ExitFailure, Err: err}
}

// streamOptions are those of the log of an instance.
func (in *instance) streamOptions(s *session) stream.Options {
	o := stream.Options{Create: true, MemoryStorage: in.options.memory, Replicas: in.options.replicas, Wait: electionWait,
		Waiting: func(why error) {
			fmt.Fprintf(s.err, "waiting up to %s for the NATS servers of the log: %v\n", electionWait, why)
		}}
	if in.server != nil && !o.MemoryStorage {
		o.Room = in.server.Room
	}
	if in.server != nil && in.options.durable == natsd.Relaxed {
		o.Gather = stream.GatherRelaxed
	}
	return o
}

// warnOfNATS says what is wrong with a server that is somebody else's.
func (s *session) warnOfNATS(ctx context.Context, in *instance) {
	if in.server != nil {
		return
	}
	warn := func(e *events.Error) { fmt.Fprintln(s.err, "warning:", e) }
	where := in.nc.ConnectedUrlRedacted()
	if asked, have := in.options.replicas, in.log.Replicas(); asked > 0 && asked < have {
		fmt.Fprintf(s.err, "the log has %d replicas and keeps them: --replicas only raises\n", have)
	}
	if most := in.nc.MaxPayload(); most < events.MaxMessage {
		warn(&events.Error{Code: "E-LOG-PAYLOAD", What: fmt.Sprintf("the NATS server takes messages of at most %d bytes", most), Where: where,
			Why: "objects that Kubernetes takes will be refused", Do: fmt.Sprintf("set max_payload: %d in its configuration", events.MaxMessage)})
	}
	if stream.AnybodyWrites(ctx, withoutUser(in.options.natsURL), in.subjects) {
		warn(&events.Error{Code: "E-LOG-OPEN", What: "anybody who reaches the NATS server can write the log of this cluster", Where: where,
			Why: "a connection without credentials may publish on its subjects", Do: "give the server users with permissions: docs/OPERATIONS.md has them"})
	}
}

// farPosition is how far a log on somebody else's server was read from here.
type farPosition struct {
	Log   string     `json:"log"`
	Seq   events.Seq `json:"seq"`
	Chain string     `json:"chain"`
}

// farPath returns where it is kept: by the servers and the cluster, not by the
// stream, so that one that was made anew is noticed.
func farPath(urls, cluster string) (string, error) {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(home, ".local", "state")
	}
	list := strings.Split(withoutUser(urls), ",")
	slices.Sort(list)
	sum := sha256.Sum256([]byte(strings.Join(list, ",")))
	return filepath.Join(dir, "rollcall", "positions", cluster+"-"+hex.EncodeToString(sum[:6])+".json"), nil
}

// witnessFar has the position of a log on somebody else's server compared and
// kept. A user without a home has none.
func (in *instance) witnessFar(s *session, o *projector.Options) error {
	if in.options.natsURL == "" {
		return nil
	}
	path, err := farPath(in.options.natsURL, in.options.cluster)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err != nil {
		fmt.Fprintf(s.err, "warning: how far the log was read is not kept: %v\n", err)
		return nil
	}
	in.farPath = path
	var p farPosition
	found, err := datadir.LoadJSON(path, &p)
	if err != nil {
		return err
	}
	if found {
		chain, err := hex.DecodeString(p.Chain)
		if err != nil || len(chain) != len(o.Known.Chain) {
			return datadir.Damaged(path, "its chain has not 32 bytes")
		}
		o.Known = projector.Position{Log: p.Log, Seq: p.Seq}
		copy(o.Known.Chain[:], chain)
	}
	told := false
	o.Save = func(p projector.Position) error {
		err := datadir.SaveJSON(path, farPosition{p.Log, p.Seq, hex.EncodeToString(p.Chain[:])})
		if err != nil && !told {
			fmt.Fprintf(s.err, "warning: how far the log was read is not kept: %v\n", err)
		}
		told = err != nil
		return nil
	}
	return nil
}

// farHint tells of a log elsewhere that is not the one that was read what its
// owner can do who has made it anew.
func (in *instance) farHint(err error) error {
	var e *events.Error
	if in.farPath == "" || !errors.As(err, &e) || !errors.Is(err, events.ErrRewritten) && !errors.Is(err, events.ErrTruncated) {
		return err
	}
	h := *e
	h.Do = "put the stream back as it was; if it was made anew on purpose, remove " + in.farPath
	return &h
}
