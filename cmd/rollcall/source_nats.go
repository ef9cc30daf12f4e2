package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/events"
	"rollcall/events/natsd"
)

// natsPermissions are what a NATS server has to let the user of a source do.
type natsPermissions struct {
	User      string   `json:"user"`
	Inbox     string   `json:"inboxPrefix"`
	Publish   []string `json:"publish"`
	Subscribe []string `json:"subscribe"`
}

func (s *session) sourcePermissions() *cobra.Command {
	c := &cobra.Command{Use: "permissions NAME", Short: "Print what a NATS server elsewhere has to let the user of a source do", Args: takes(1, 1),
		Long: `permissions prints the entry of a source among the users of a NATS server that is not
rollcall's own (rollcall up --nats-url). The embedded server gives sources these
permissions by itself, each in an account of its own, and takes answers on _INBOX.`,
		Example: "  rollcall source permissions inventory"}
	t := addSourceTarget(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		table, err := t.table()
		if err != nil {
			return err
		}
		subjects, err := events.NewSubjects(t.cluster)
		if err != nil {
			return err
		}
		e, there := table.ByName(args[0])
		if !there {
			return table.Unknown(args[0])
		}
		p := natsPermissions{User: e.Name, Inbox: natsd.Inbox(e.Name)}
		p.Publish, p.Subscribe = natsd.Source{Name: e.Name, May: e.May, Read: e.Read}.Permissions(subjects, p.Inbox)
		return s.document(t.format, p, func() string { return p.text() })
	}
	return c
}

// text is an entry of a configuration of nats-server.
func (p natsPermissions) text() string {
	quoted := func(all []string) string {
		var b strings.Builder
		for _, subject := range all {
			fmt.Fprintf(&b, "\n      %q", subject)
		}
		return b.String()
	}
	return fmt.Sprintf("{ user: %s, password: $TOKEN, permissions {\n    publish { allow: [%s ] }\n    subscribe { allow: [%s ] } } }\n", p.User, quoted(p.Publish), quoted(p.Subscribe))
}
