package natsd

import (
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"rollcall/events"
	"rollcall/events/keyframes"
)

// The users of a server, and where rollcall itself takes answers.
const (
	insideUser  = "rollcall"
	insideInbox = "_ROLLCALL"
	// DefaultUser is who is outside if Options name nobody.
	DefaultUser = "cli"
)

// Source is a user outside who may tell events in its own name and, with Read,
// read the log.
type Source struct {
	Name  string
	Token [32]byte // the SHA-256 of the password
	May   []string // types of events: one, or all below a prefix ("node.*", "*")
	Read  bool
}

// Inbox returns the prefix of the subjects on which a user gets answers that shares
// an account with others.
func Inbox(user string) string { return "_INBOX_" + user }

// Permissions returns what a source may publish and subscribe to on a server that is
// somebody else's, where it takes answers on inbox. On such a server it makes no
// consumers: nobody looks at what they are.
func (f Source) Permissions(s events.Subjects, inbox string) (publish, subscribe []string) {
	for _, types := range f.types() {
		publish = append(publish, s.Ingest(f.Name, types))
	}
	if f.Read {
		publish = append(publish, readLog(s)...)
	}
	return publish, []string{inbox + ".>"}
}

// types returns what the source may tell, as ends of subjects.
func (f Source) types() (all []string) {
	for _, pattern := range f.May {
		if below, open := strings.CutSuffix(pattern, "*"); open {
			pattern = below + ">"
		}
		all = append(all, pattern)
	}
	return all
}

// inOwnAccount returns what a source may publish in the account that it has on our
// server, where it may leave its name out, and what can be asked from that account.
// The account outlives a change of what the source may do: it can be asked for all.
func (f Source) inOwnAccount(s events.Subjects, inbox string) (publish, asks []string) {
	publish, _ = f.Permissions(s, inbox)
	for _, types := range f.types() {
		publish = append(publish, s.IngestOwn(types))
	}
	asks = []string{s.Ingest(f.Name, ">"), s.IngestOwn(">")}
	if f.Read {
		publish = append(publish, aboutConsumers(s)...)
		asks = slices.Concat(asks, readLog(s), aboutConsumers(s))
	}
	return publish, asks
}

// adminPermissions are those of a user that Options name.
func adminPermissions(s events.Subjects, user string) (publish []string) {
	publish = append(askGate(s, user), s.Ingest(events.AdminSource, ">"), s.IngestOwn(">"))
	return slices.Concat(publish, readLog(s), aboutConsumers(s))
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
		accountInfo,
		"$JS.API.STREAM.NAMES",
		"$JS.API.STREAM.LIST",
		"$JS.API.STREAM.INFO." + n,
		"$JS.API.STREAM.MSG.GET." + n,
		"$JS.API.DIRECT.GET." + n,
		"$JS.API.DIRECT.GET." + n + ".>",
		"$JS.API.DIRECT.GET.OBJ_" + s.Bucket(keyframes.Bucket),
	}
}

// aboutConsumers returns the subjects of the requests that an ordered consumer of
// the log makes.
func aboutConsumers(s events.Subjects) (all []string) {
	for _, verb := range consumerVerbs {
		all = append(all, consumerAPI+verb+"."+s.Stream()+".>")
	}
	return append(all, nameless(s.Stream()))
}

// accountInfo is a request that every account outside has an import for: the
// server gives one that has none a JetStream API of its own.
const accountInfo = "$JS.API.INFO"

// export is what an account outside may ask of the account of the log.
type export struct {
	subject  string
	response server.ServiceRespType
}

// exports returns all of it. One request of a reader, or of a search for services,
// has many answers; what is told has one.
func exports(s events.Subjects) []export {
	all := []export{{s.Ingest("*", ">"), server.Singleton}, {checkedConsumers + ".>", server.Singleton}, {grantedConsumers + ".>", server.Streamed}}
	for _, subject := range append(askGate(s, "*"), readLog(s)...) {
		all = append(all, export{subject, server.Streamed})
	}
	return all
}

// imports returns the requests of an account outside, by what they are in the
// account of the log.
func imports(s events.Subjects, e entry) map[string]string {
	all := map[string]string{accountInfo: accountInfo}
	for _, subject := range e.asks {
		all[subject] = subject
		verb, consumer := strings.CutPrefix(strings.TrimSuffix(subject, "."+s.Stream()+".>"), consumerAPI)
		switch {
		case subject == nameless(s.Stream()):
			all[subject] = checkedConsumers + "." + e.account + ".CREATE"
		case consumer && verb == nextVerb:
			all[subject] = grantedConsumers + "." + e.account + ".>"
		case consumer:
			all[subject] = checkedConsumers + "." + e.account + "." + verb + ".>"
		case subject == s.IngestOwn(">"):
			all[subject] = s.Ingest(e.source, ">")
		}
	}
	return all
}
