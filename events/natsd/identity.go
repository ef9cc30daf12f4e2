package natsd

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"rollcall/events"
	"rollcall/events/files"
)

// identityFile keeps what others have been told of a server: its port and the
// passwords of its users. It is for its owner only.
const identityFile = "nats.json"

// identity is that file. With it a server is the same one after a restart.
type identity struct {
	Port      int               `json:"port,omitempty"`
	Passwords map[string]string `json:"passwords"`
}

// Users returns the names of those who have credentials of a data directory: no
// source can have one of them.
func Users(dir string) ([]string, error) {
	id, err := readIdentity(dir)
	return slices.Sorted(maps.Keys(id.Passwords)), err
}

// readIdentity returns what dir says; nothing if there is no such file yet.
func readIdentity(dir string) (id identity, err error) {
	path := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &id)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return id, &events.Error{Code: "E-STORE-FILE", What: "a file of the data directory cannot be read", Where: path, Why: files.Reason(err),
			Do: "remove it: clients then need the new connection.json", Exit: events.ExitInput, Err: err}
	}
	return id, nil
}

// loadIdentity returns what dir says, and a password for each of the users.
func loadIdentity(dir string, users []string) (identity, error) {
	id, err := readIdentity(dir)
	if err != nil {
		return id, err
	}
	kept := map[string]string{}
	for _, u := range users {
		if kept[u] = id.Passwords[u]; kept[u] == "" {
			kept[u] = rand.Text()
		}
	}
	id.Passwords = kept
	return id, nil
}

// again returns the port of the last run, if any will do and that one is free.
func again(at *net.TCPAddr, port int) *net.TCPAddr {
	if at == nil || at.Port != 0 || port == 0 {
		return at
	}
	was := &net.TCPAddr{IP: at.IP, Port: port}
	l, err := net.ListenTCP("tcp", was)
	if err != nil || l.Close() != nil {
		return at
	}
	return was
}

// userName is what a user outside may be called: it is a token of a subject.
var userName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

// checkUsers refuses names that are none, and rollcall's own.
func checkUsers(users []string) error {
	seen := map[string]bool{insideUser: true}
	for _, u := range users {
		if !userName.MatchString(u) || seen[u] {
			return &events.Error{Code: "E-CLI-USER", What: fmt.Sprintf("%.64q is no name of a NATS user", u),
				Why: "a name is letters, digits, - and _, is given once, and is not " + insideUser, Do: "give another name", Exit: events.ExitInput}
		}
		seen[u] = true
	}
	return nil
}
