package natsd

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/events"
	"rollcall/events/files"
)

// Connection is how another process reaches a running server: what
// connection.json in the data directory says.
type Connection struct {
	URL      string    `json:"url"`
	User     string    `json:"user"`
	Password string    `json:"password"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
}

// Attach returns how to reach the instance that runs on a data directory, or
// E-CLI-ATTACH if none does or it does not listen.
func Attach(dir string) (Connection, error) {
	release, err := Share(dir)
	if err == nil {
		release()
		return Connection{}, attachError(dir, "no process holds the data directory")
	}
	if !errors.Is(err, ErrLocked) {
		return Connection{}, attachError(dir, err.Error())
	}
	b, err := os.ReadFile(filepath.Join(dir, connectionFile))
	if err != nil {
		return Connection{}, attachError(dir, "it does not listen, or has not started yet: "+files.Reason(err))
	}
	var c Connection
	if err := json.Unmarshal(b, &c); err != nil {
		return Connection{}, attachError(dir, connectionFile+": "+err.Error())
	}
	return c, nil
}

func attachError(dir, why string) error {
	return &events.Error{Code: "E-CLI-ATTACH", What: "no running instance can be reached", Where: dir, Why: why,
		Do: "start one with rollcall up", Exit: events.ExitInput}
}

// Connect connects to the instance. The caller closes the connection.
func (c Connection) Connect(opts ...nats.Option) (*nats.Conn, error) {
	all := []nats.Option{nats.UserInfo(c.User, c.Password), nats.Name("rollcall cli")}
	nc, err := nats.Connect(c.URL, append(all, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to process %d at %s: %w", c.PID, c.URL, err)
	}
	return nc, nil
}
