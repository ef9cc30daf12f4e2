package natsd

import (
	"fmt"

	"github.com/nats-io/nats-server/v2/server"

	"rollcall/events"
)

// The users of a server, and where rollcall itself takes answers: nobody
// outside may listen there.
const (
	insideUser  = "rollcall"
	outsideUser = "cli"
	insideInbox = "_ROLLCALL"

	outsideAccount = "OUTSIDE"
)

// inProcess is the server's name for connections that come through no socket.
const inProcess = "IN_PROCESS"

// users returns who may connect: rollcall itself, in the process only, and
// whoever has the generated credentials, from an account of its own. There the
// answer to a request goes to a subject of that account: in one account with
// the log, an answer could be directed into the log.
func users(s events.Subjects, inside, outside string) ([]*server.User, *server.Account) {
	in := &server.User{Username: insideUser, Password: inside,
		AllowedConnectionTypes: map[string]struct{}{inProcess: {}}}
	acc := server.NewAccount(outsideAccount)
	out := &server.User{Username: outsideUser, Password: outside, Account: acc, Permissions: &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: append(askGate(s), readLog(s)...)},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}}
	return []*server.User{in, out}, acc
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
	for _, subject := range append(askGate(s), readLog(s)...) {
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

// askGate returns the subjects of requests to the gate and of looking for it.
// One token is the verb: with two, the subject would be one of the log.
func askGate(s events.Subjects) []string {
	return []string{"rollcall." + s.Cluster() + ".gate.*", "$SRV.>"}
}

// readLog returns the subjects of the JetStream requests that an ordered
// consumer and a direct get of one stream make.
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
		"$JS.API.CONSUMER.CREATE." + n,
		"$JS.API.CONSUMER.CREATE." + n + ".>",
		"$JS.API.CONSUMER.INFO." + n + ".>",
		"$JS.API.CONSUMER.MSG.NEXT." + n + ".>",
		"$JS.API.CONSUMER.DELETE." + n + ".>",
	}
}
