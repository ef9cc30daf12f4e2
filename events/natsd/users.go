package natsd

import (
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/nats-server/v2/server"

	"rollcall/events"
	"rollcall/events/keyframes"
)

// The users of a server, and where rollcall itself takes answers: nobody
// outside may listen there.
const (
	insideUser  = "rollcall"
	insideInbox = "_ROLLCALL"
	// DefaultUser is who is outside if Options name nobody.
	DefaultUser = "cli"

	outsideAccount = "OUTSIDE"
)

// inProcess is the server's name for connections that come through no socket.
const inProcess = "IN_PROCESS"

// Inbox returns the prefix of the subjects on which a user outside gets answers,
// which no other one may listen to.
func Inbox(user string) string { return "_INBOX_" + user }

// users returns who may connect: rollcall itself, in the process only, and
// whoever has generated credentials, from an account of its own. There the
// answer to a request goes to a subject of that account: in one account with
// the log, an answer could be directed into the log.
//
// A consumer can be made durable, be told to deliver anywhere, and be named like
// that of somebody else, and no subject tells. So those outside make none: they
// read by direct gets.
func users(s events.Subjects, inside string, outside map[string]string) ([]*server.User, *server.Account) {
	in := &server.User{Username: insideUser, Password: inside,
		AllowedConnectionTypes: map[string]struct{}{inProcess: {}}}
	acc := server.NewAccount(outsideAccount)
	all := []*server.User{in}
	for _, name := range slices.Sorted(maps.Keys(outside)) {
		all = append(all, &server.User{Username: name, Password: outside[name], Account: acc, Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: append(askGate(s, name), readLog(s)...)},
			Subscribe: &server.SubjectPermission{Allow: []string{Inbox(name) + ".>"}},
		}})
	}
	return all, acc
}

// openAccounts lets the outside account make its requests of the log's account.
// It comes before the start of the server, which else gives every account a
// JetStream API of its own.
func openAccounts(ns *server.Server, s events.Subjects) error {
	log := ns.GlobalAccount()
	out, err := ns.LookupAccount(outsideAccount)
	if err != nil {
		return err
	}
	for _, subject := range append(askGate(s, "*"), readLog(s)...) {
		// One request of a reader or of a search for services has many answers.
		if err := log.AddServiceExportWithResponse(subject, server.Streamed, nil); err != nil {
			return fmt.Errorf("export %s: %w", subject, err)
		}
		if err := out.AddServiceImport(log, subject, subject); err != nil {
			return fmt.Errorf("import %s: %w", subject, err)
		}
	}
	return nil
}

// askGate returns the subjects of a user's requests to the gate and of looking
// for it. The subject says who asks, and nobody else may use it.
func askGate(s events.Subjects, user string) []string {
	return []string{s.Gate(user, "*"), "$SRV.>"}
}

// readLog returns the subjects of the JetStream requests that read the log and its
// keyframes, which hold nothing else than the log, and leave nothing behind.
func readLog(s events.Subjects) []string {
	n := s.Stream()
	return []string{
		"$JS.API.INFO",
		"$JS.API.STREAM.NAMES",
		"$JS.API.STREAM.LIST",
		"$JS.API.STREAM.INFO." + n,
		"$JS.API.STREAM.MSG.GET." + n,
		"$JS.API.DIRECT.GET." + n,
		"$JS.API.DIRECT.GET." + n + ".>",
		"$JS.API.DIRECT.GET.OBJ_" + s.Bucket(keyframes.Bucket),
	}
}
