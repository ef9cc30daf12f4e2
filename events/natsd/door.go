package natsd

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/nats-io/nats-server/v2/server"

	"rollcall/events"
)

// door says who may connect: rollcall itself, in the process only; those who have
// generated credentials; and the sources, as their table is at that moment.
//
// Each user outside has an account of its own, into which what it may ask for is
// imported. So answers are heard by who has asked alone, also where a client takes
// them as it always does; and an answer that is directed to a subject of somebody
// else, at which permissions do not look, comes to nobody.
type door struct {
	ns       *server.Server
	subjects events.Subjects
	inside   [sha256.Size]byte
	admins   map[string][sha256.Size]byte
	sources  func(name string) (Source, bool)

	mu       sync.Mutex
	accounts map[string]*server.Account
	granted  map[uint64]Source // to whom connections of sources were granted, by their numbers
}

func newDoor(s events.Subjects, inside string, admins map[string]string, sources func(string) (Source, bool)) *door {
	d := &door{subjects: s, inside: sha256.Sum256([]byte(inside)), admins: map[string][sha256.Size]byte{}, sources: sources,
		accounts: map[string]*server.Account{}, granted: map[uint64]Source{}}
	for name, password := range admins {
		d.admins[name] = sha256.Sum256([]byte(password))
	}
	if d.sources == nil {
		d.sources = func(string) (Source, bool) { return Source{}, false }
	}
	return d
}

// Check implements server.Authentication.
func (d *door) Check(c server.ClientAuthentication) bool {
	user, password := c.GetOpts().Username, sha256.Sum256([]byte(c.GetOpts().Password))
	right := func(want [sha256.Size]byte) bool { return subtle.ConstantTimeCompare(want[:], password[:]) == 1 }
	if c.Kind() != server.CLIENT {
		return false
	}
	if user == insideUser {
		// Only a connection in the process is a pipe.
		if !right(d.inside) || c.RemoteAddress().Network() != "pipe" {
			return false
		}
		c.RegisterUser(&server.User{Username: user})
		return true
	}
	if want, ok := d.admins[user]; ok {
		publish := adminPermissions(d.subjects, user)
		return right(want) && d.let(c, user, entry{"admin_" + user, events.AdminSource, publish, publish})
	}
	// A source that is changed after this look is found among those granted.
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.sources(user)
	if !ok || !right(s.Token) {
		return false
	}
	publish, asks := s.inOwnAccount(d.subjects, inbox)
	account := "source_" + user
	if s.Read {
		account = "reader_" + user
	}
	if !d.letLocked(c, user, entry{account, user, publish, asks}) {
		return false
	}
	maps.DeleteFunc(d.granted, func(id uint64, _ Source) bool { return d.ns.GetClient(id) == nil })
	d.granted[c.GetID()] = s
	return true
}

// inbox is where users outside take answers: where every client does. Commands
// that are given a URL with a user take them at Inbox, as on servers where others
// share the account.
const inbox = "_INBOX"

// entry is how a user is let in: an account, the source that speaks there, what the
// user may publish, and what can be asked from the account by whoever is in it.
type entry struct {
	account, source string
	publish, asks   []string
}

func (d *door) let(c server.ClientAuthentication, user string, e entry) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.letLocked(c, user, e)
}

func (d *door) letLocked(c server.ClientAuthentication, user string, e entry) bool {
	acc, err := d.account(e)
	if err != nil {
		return false // the server is closing
	}
	if len(e.publish) == 0 {
		e.publish = []string{inbox} // none would be all
	}
	c.RegisterUser(&server.User{Username: user, Account: acc, Permissions: &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: e.publish},
		Subscribe: &server.SubjectPermission{Allow: []string{inbox + ".>", Inbox(user) + ".>"}},
	}})
	return true
}

// account returns an account with imports for all that may be asked of it; which
// types a source may tell is a matter of its permissions. Accounts stay as long as
// the server: it cannot take one away.
func (d *door) account(e entry) (*server.Account, error) {
	if acc := d.accounts[e.account]; acc != nil {
		return acc, nil
	}
	acc, err := d.ns.RegisterAccount(e.account)
	if err != nil {
		return nil, err
	}
	for from, to := range imports(d.subjects, e) {
		if err := acc.AddServiceImport(d.ns.GlobalAccount(), from, to); err != nil {
			return nil, fmt.Errorf("import %s as %s: %w", to, from, err)
		}
	}
	d.accounts[e.account] = acc
	return acc, nil
}

// open exports what accounts outside may ask for. It comes before the start of the
// server.
func (d *door) open(ns *server.Server) error {
	d.ns = ns
	for _, e := range exports(d.subjects) {
		if err := ns.GlobalAccount().AddServiceExportWithResponse(e.subject, e.response, nil); err != nil {
			return fmt.Errorf("export %s: %w", e.subject, err)
		}
	}
	return nil
}

// recheck cuts the connections of sources that are no longer what they were when
// they were let in.
func (d *door) recheck() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(d.granted)) {
		was := d.granted[id]
		if now, ok := d.sources(was.Name); ok && reflect.DeepEqual(now, was) {
			continue
		}
		delete(d.granted, id)
		_ = d.ns.DisconnectClientByID(id) // it may have gone
	}
}
