package instance

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
	"rollcall/events/chain"
	"rollcall/events/natsd"
	"rollcall/events/stream"
	"rollcall/projector"
)

// MaxReplicas is the most that JetStream keeps.
const MaxReplicas = 5

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
func (o Options) natsNames() []string { return append([]string{natsName(o.User)}, o.NATSUsers...) }

// NATSUser is who a client of a server is at the gate: the user of the URL, else
// who runs it. Only a server with permissions can hold it to that.
func NATSUser(urls, me string) string {
	if name := urlUser(urls); name != "" {
		return natsName(name)
	}
	return natsName(me)
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

// Dial connects to NATS servers that are somebody else's. A user of the URL
// takes answers where no other one need be able to listen.
func Dial(urls, creds string) (*nats.Conn, error) {
	opts := []nats.Option{nats.Name("rollcall")}
	if creds != "" {
		opts = append(opts, nats.UserCredentials(creds))
	}
	if urlUser(urls) != "" {
		opts = append(opts, nats.CustomInboxPrefix(natsd.Inbox(natsName(urlUser(urls)))))
	}
	nc, err := stream.Dial(urls, opts...)
	if err == nil {
		return nc, nil
	}
	return nil, &events.Error{Code: "E-CLI-NATS", What: "the NATS server cannot be reached", Where: WithoutUser(urls), Why: err.Error(),
		Do: "check the address and the credentials", Exit: events.ExitFailure, Err: err}
}

// streamOptions are those of the log of an instance.
func (in *Instance) streamOptions() stream.Options {
	o := stream.Options{Create: true, Own: in.Server != nil, MemoryStorage: in.Memory, Replicas: in.Replicas, Wait: electionWait,
		Waiting: func(why error) {
			in.Console.Warn(fmt.Sprintf("waiting up to %s for the NATS servers of the log: %v", electionWait, why))
		}}
	if in.Server != nil && !o.MemoryStorage {
		o.Room = in.Server.Room
	}
	if in.Server != nil && in.Durability == natsd.Relaxed {
		o.BatchFrom = stream.BatchFromRelaxed
	}
	return o
}

// warnOfNATS says what is wrong with a server that is somebody else's.
func (in *Instance) warnOfNATS(ctx context.Context) {
	if in.Server != nil {
		return
	}
	warn := func(e *events.Error) { in.Console.Warn(e.Error()) }
	where := in.NC.ConnectedUrlRedacted()
	if asked, have := in.Replicas, in.Log.Replicas(); asked > 0 && asked < have {
		in.Console.Warn(fmt.Sprintf("the log has %d replicas and keeps them: --replicas only raises", have))
	}
	if most := in.NC.MaxPayload(); most < events.MaxMessage {
		warn(&events.Error{Code: "E-LOG-PAYLOAD", What: fmt.Sprintf("the NATS server takes messages of at most %d bytes", most), Where: where,
			Why: "objects that Kubernetes takes will be refused", Do: fmt.Sprintf("set max_payload: %d in its configuration", events.MaxMessage)})
	}
	if stream.AnybodyWrites(ctx, WithoutUser(in.NATSURL), in.Subjects) {
		warn(&events.Error{Code: "E-LOG-OPEN", What: "anybody who reaches the NATS server can write the log of this cluster", Where: where,
			Why: "a connection without credentials may publish on its subjects", Do: "give the server users with permissions: docs/OPERATIONS.md has them"})
	}
}

// SourcesDir returns the directory of the table of sources of a cluster whose log
// is on somebody else's server, and makes it.
func SourcesDir(urls, cluster string) (string, error) {
	path, err := farPath(urls, cluster)
	if err != nil {
		return "", err
	}
	dir := strings.TrimSuffix(path, ".json")
	return dir, os.MkdirAll(dir, 0o700)
}

// farPath returns where it is kept how far a log on somebody else's server was
// read from here: by the servers and the cluster, not by the stream, so that one
// that was made anew is noticed.
func farPath(urls, cluster string) (string, error) {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(home, ".local", "state")
	}
	list := strings.Split(WithoutUser(urls), ",")
	slices.Sort(list)
	sum := sha256.Sum256([]byte(strings.Join(list, ",")))
	return filepath.Join(dir, "rollcall", "positions", cluster+"-"+hex.EncodeToString(sum[:6])+".json"), nil
}

// witnessFar has the position of a log on somebody else's server compared and
// kept. A user without a home has none.
func (in *Instance) witnessFar(o *projector.Options) error {
	if in.NATSURL == "" {
		return nil
	}
	path, err := farPath(in.NATSURL, in.Cluster)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err != nil {
		in.Console.Warn(fmt.Sprintf("how far the log was read is not kept: %v", err))
		return nil
	}
	in.farPath = path
	if o.Known, err = datadir.LoadPosition(path); err != nil {
		return err
	}
	told := false
	o.Save = func(p chain.Position) error {
		err := datadir.SavePosition(path, p)
		if err != nil && !told {
			in.Console.Warn(fmt.Sprintf("how far the log was read is not kept: %v", err))
		}
		told = err != nil
		return nil
	}
	return nil
}

// farHint tells of a log elsewhere that is not the one that was read what its
// owner can do who has made it anew.
func (in *Instance) farHint(err error) error {
	var e *events.Error
	if in.farPath == "" || !errors.As(err, &e) || !errors.Is(err, events.ErrRewritten) && !errors.Is(err, events.ErrTruncated) {
		return err
	}
	h := *e
	h.Do = "put the stream back as it was; if it was made anew on purpose, remove " + in.farPath
	return &h
}
