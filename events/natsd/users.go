package natsd

import (
	"github.com/nats-io/nats-server/v2/server"

	"rollcall/events"
)

// The users of a server, and where rollcall itself takes answers: nobody
// outside may listen there.
const (
	insideUser  = "rollcall"
	outsideUser = "cli"
	insideInbox = "_ROLLCALL"
)

// inProcess is the server's name for connections that come through no socket.
const inProcess = "IN_PROCESS"

// users returns who may connect: rollcall itself, in the process only, and
// whoever has the generated credentials.
func users(s events.Subjects, inside, outside string, readOnly bool) []*server.User {
	in := &server.User{Username: insideUser, Password: inside,
		AllowedConnectionTypes: map[string]struct{}{inProcess: {}}}
	if readOnly {
		in.Permissions = &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: readLog(s)},
			Subscribe: &server.SubjectPermission{Allow: []string{insideInbox + ".>"}},
		}
	}
	out := &server.User{Username: outsideUser, Password: outside, Permissions: &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: append(askGate(s), readLog(s)...)},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}}
	return []*server.User{in, out}
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
