package instance

import (
	"fmt"

	"rollcall/events"
	"rollcall/events/natsd"
	"rollcall/publisher/sources"
)

// table returns who may tell what, as it is now.
func (in *Instance) table() *sources.Table {
	if l := in.sources.Load(); l != nil {
		return l.Table()
	}
	return &sources.Table{}
}

// source returns a source as the NATS server is to know it.
func (in *Instance) source(name string) (natsd.Source, bool) {
	e, ok := in.table().ByName(name)
	return natsd.Source{Name: e.Name, Token: e.Token, May: e.May, Read: e.Read}, ok
}

// openSources reads the table of a directory, and follows it.
func (in *Instance) openSources(dir string) error {
	l, err := sources.Open(dir, func(err error) { in.Console.Warn(err.Error()) })
	if err == nil {
		in.sources.Store(l)
	}
	return err
}

// beforeServer reads the table of a data directory, so that a mistake in it ends the
// start before anything else, and returns the users of the server beside sources:
// none has the name of one.
func (in *Instance) beforeServer() (users []string, err error) {
	if in.Data != "" {
		if err := in.openSources(in.Data); err != nil {
			return nil, err
		}
	}
	users = in.natsNames()
	for i, name := range users {
		_, taken := in.table().ByName(name)
		switch {
		case taken && i == 0: // who has started it has not chosen the name
			users[0] = natsd.DefaultUser
		case taken:
			return nil, &events.Error{Code: "E-CLI-USER", What: fmt.Sprintf("%.64q is the name of a source", name), Where: "--nats-user",
				Do: "give another name, or remove the source", Exit: events.ExitInput}
		}
	}
	return users, nil
}

// afterServer follows the table once the server runs: who is no longer in it is cut
// off.
func (in *Instance) afterServer() error {
	if in.sources.Load() == nil {
		if err := in.openSources(in.Server.Dir()); err != nil {
			return err
		}
	}
	in.launch(in.sources.Load().Follow(in.Server.Recheck))
	return nil
}

// farSources reads the table of a cluster whose log is on somebody else's server. A
// user without a home has none.
func (in *Instance) farSources() error {
	dir, err := SourcesDir(in.NATSURL, in.Cluster)
	if err != nil {
		in.Console.Warn(fmt.Sprintf("there are no sources: %v", err))
		return nil
	}
	return in.openSources(dir)
}
