package instance

import (
	"net"
	"path/filepath"
	"strconv"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events/files"
)

// addressFile of a data directory holds the port of its API, so that a
// kubeconfig which was handed out leads to it after a restart.
const addressFile = "api.json"

// savedAddress is what the file holds.
type savedAddress struct {
	Port int `json:"port"`
}

// listener opens the address: without --listen on the port of the run before,
// if nobody else has taken it meanwhile.
func (o API) listener(dir string) (net.Listener, error) {
	path := filepath.Join(dir, addressFile)
	if o.Sticks {
		var was savedAddress
		// A file that cannot be read is no reason not to start on another port.
		if found, err := datadir.LoadJSON(path, &was); found && err == nil && was.Port > 0 && was.Port <= 65535 {
			again := o.Address
			again.port = strconv.Itoa(was.Port)
			if l, err := again.listen(); err == nil {
				return l, nil
			}
		}
	}
	l, err := o.Address.listen()
	if err != nil {
		return nil, err
	}
	if err := files.ReplaceJSON(path, savedAddress{l.Addr().(*net.TCPAddr).Port}); err != nil {
		_ = l.Close() // nothing came through it
		return nil, err
	}
	return l, nil
}
