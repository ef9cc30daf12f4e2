package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/instance"
	"rollcall/events"
	"rollcall/events/natsd"
	"rollcall/publisher/sources"
)

func (s *session) sourceCommand() *cobra.Command {
	return s.group("source", "Say who may tell the cluster what, and who may read it",
		`A source is a program that tells events, or reads them. It has a token, with which it
speaks HTTPS, and a NATS user of its name with the token as password, and may do no more
than what is written in sources.yaml of the data directory. A running instance knows of
a change at once: a token that is taken away is refused, and its connections are cut.

Whoever holds the credentials in the data directory may do everything, as source admin.`,
		s.sourceAdd(), s.sourceList(), s.sourceToken(), s.sourceRemove(), s.sourcePermissions(), s.sourceEnv())
}

// sourceTarget is the table of sources that a command is about.
type sourceTarget struct {
	*target
	format string
}

func addSourceTarget(c *cobra.Command) *sourceTarget {
	t := &sourceTarget{target: addTarget(c)}
	c.Flags().StringVarP(&t.format, "output", "o", "text", strings.Join(answerFormats, ", "))
	return t
}

// table reads the table of sources.
func (t *sourceTarget) table() (*sources.Table, error) {
	dir, err := t.place()
	if err != nil {
		return nil, err
	}
	return sources.Load(dir)
}

// place returns the directory of the table.
func (t *sourceTarget) place() (string, error) {
	if err := checkFormat(t.format, answerFormats); err != nil {
		return "", err
	}
	if err := t.resolve(); err != nil {
		return "", err
	}
	if t.natsURL != "" {
		return instance.SourcesDir(t.natsURL, t.cluster)
	}
	release, err := natsd.Share(t.data)
	switch {
	case err == nil:
		release()
	case !errors.Is(err, natsd.ErrLocked): // an instance runs, as it should
		return "", err
	}
	return t.data, nil
}

// sourceGiven is a source as commands print it.
type sourceGiven struct {
	sources.Source
	Token string `json:"token,omitempty"` // only when it was made
	// Subjects are where it may tell over NATS.
	Subjects []string `json:"subjects,omitempty"`
}

// text tells of a source whose token was just made.
func (g sourceGiven) text(done string) string {
	may := "nothing"
	if len(g.May) > 0 {
		may = strings.Join(g.May, ", ")
	}
	if len(g.Nodes) > 0 {
		may += "   of nodes " + strings.Join(g.Nodes, ", ")
	}
	if g.Read {
		may += "   and read the log"
	}
	text := fmt.Sprintf("source/%s %s\n  may tell   %s\n  token      %s   it is not shown again\n  HTTPS      Authorization: Bearer TOKEN\n  NATS       user %s, the token is the password\n",
		g.Name, done, may, g.Token, g.Name)
	for _, subject := range g.Subjects {
		text += "             " + subject + "\n"
	}
	return text
}

// subjects are the NATS subjects on which a source may tell events: on rollcall's own
// server those without its name, as the account says who speaks.
func (t *sourceTarget) subjects(of sources.Source) (all []string, err error) {
	s, err := events.NewSubjects(t.cluster)
	if err != nil {
		return nil, err
	}
	for _, p := range of.May {
		below, open := strings.CutSuffix(p, "*")
		if open {
			below += ">"
		}
		if t.natsURL == "" {
			all = append(all, s.IngestOwn(below))
		} else {
			all = append(all, s.Ingest(of.Name, below))
		}
	}
	return all, nil
}

func (s *session) sourceAdd() *cobra.Command {
	var of sources.Source
	c := &cobra.Command{Use: "add NAME", Short: "Let a program tell events, and print its token once", Args: takes(1, 1),
		Long: `add writes down what a source may tell, and makes its token. --may takes types: one type,
all below a prefix ('node.*'), or all ('*'). A source that tells of nodes, or of pods on
them, may only name those that --nodes has, by name or with * ? [a-z] in it; a hold that
such a source places has to name nodes of its own. With --read it may read the log,
without the values of Secrets.

Nothing else is allowed: no objects of Kubernetes, and nothing in another's name.`,
		Example: `  rollcall source add inventory --may 'node.*' --nodes 'edge-*'
  rollcall source add alerts --may hold.placed --may hold.lifted --may 'com.example.*'
  rollcall source add dashboard --read`}
	t := addSourceTarget(c)
	f := c.Flags()
	f.StringArrayVar(&of.May, "may", nil, "type that it may tell, such as 'node.*'; may be given several times")
	f.StringArrayVar(&of.Nodes, "nodes", nil, "nodes that it may tell of, such as 'edge-*'; may be given several times")
	f.BoolVar(&of.Read, "read", false, "it may read the log")
	c.RunE = func(_ *cobra.Command, args []string) error {
		of.Name = args[0]
		dir, err := t.place()
		if err != nil {
			return err
		}
		if err := refuseSource(dir, of); err != nil {
			return err
		}
		g := sourceGiven{Source: of, Token: rand.Text()}
		if g.Subjects, err = t.subjects(of); err != nil {
			return err
		}
		err = sources.Change(dir, func(table *sources.Table) (*sources.Table, error) {
			if _, there := table.ByName(of.Name); there {
				return nil, &events.Error{Code: "E-SOURCE-NEW", What: fmt.Sprintf("the source %s is there", of.Name),
					Do: "remove it first, or give it another token with rollcall source token " + of.Name, Exit: events.ExitInput}
			}
			return table.With(sources.Entry{Source: of, Token: sources.HashOf(g.Token)}), nil
		})
		if err != nil {
			return err
		}
		return s.document(t.format, g, func() string { return g.text("added") })
	}
	return c
}

// refuseSource refuses what cannot be a source.
func refuseSource(dir string, of sources.Source) error {
	var all []error
	users, err := natsd.Users(dir)
	if err != nil {
		return err
	}
	if slices.Contains(users, of.Name) {
		return &events.Error{Code: "E-SOURCE-NEW", What: of.Name + " is a NATS user of the data directory", Do: "give another name", Exit: events.ExitInput}
	}
	for _, m := range of.Check() {
		where := "--" + m.Field
		if m.Field == "name" {
			where = ""
		}
		all = append(all, &events.Error{Code: "E-SOURCE-NEW", What: m.What, Where: where, Do: m.Do, Exit: events.ExitInput})
	}
	return errors.Join(all...)
}

func (s *session) sourceList() *cobra.Command {
	c := &cobra.Command{Use: "ls", Aliases: []string{"list"}, Short: "List the sources, and what they may do", Args: takes(0, 0),
		Example: "  rollcall source ls\n  rollcall source ls -o json"}
	t := addSourceTarget(c)
	c.RunE = func(*cobra.Command, []string) error {
		table, err := t.table()
		if err != nil {
			return err
		}
		all := []sources.Source{sources.Admin}
		for _, e := range table.All() {
			all = append(all, e.Source)
		}
		return s.document(t.format, all, func() string { return sourcesText(all) })
	}
	return c
}

// sourcesText is a line a source.
func sourcesText(all []sources.Source) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tMAY TELL\tOF NODES\tREADS")
	or := func(list []string) string {
		if len(list) == 0 {
			return "-"
		}
		return strings.Join(list, ",")
	}
	for _, of := range all {
		reads := "no"
		if of.Read {
			reads = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", of.Name, or(of.May), or(of.Nodes), reads)
	}
	_ = w.Flush() // into memory
	return b.String()
}

func (s *session) sourceToken() *cobra.Command {
	c := &cobra.Command{Use: "token NAME", Short: "Make a new token for a source; the one that it had is refused from then on", Args: takes(1, 1),
		Example: "  rollcall source token inventory"}
	t := addSourceTarget(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		dir, err := t.place()
		if err != nil {
			return err
		}
		g := sourceGiven{Token: rand.Text()}
		err = sources.Change(dir, func(table *sources.Table) (*sources.Table, error) {
			e, there := table.ByName(args[0])
			if !there {
				return nil, table.Unknown(args[0])
			}
			g.Source, e.Token = e.Source, sources.HashOf(g.Token)
			return table.With(e), nil
		})
		if err != nil {
			return err
		}
		if g.Subjects, err = t.subjects(g.Source); err != nil {
			return err
		}
		return s.document(t.format, g, func() string { return g.text("has a new token") })
	}
	return c
}

func (s *session) sourceRemove() *cobra.Command {
	c := &cobra.Command{Use: "remove NAME", Aliases: []string{"rm"}, Short: "Take a source away: its token is refused, its connections are cut", Args: takes(1, 1),
		Long: `remove takes a source away. What it has told stays in the log; a hold that it has placed
ends when it was to end.`,
		Example: "  rollcall source remove inventory"}
	t := addSourceTarget(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		dir, err := t.place()
		if err != nil {
			return err
		}
		var gone sources.Source
		err = sources.Change(dir, func(table *sources.Table) (*sources.Table, error) {
			e, there := table.ByName(args[0])
			if !there {
				return nil, table.Unknown(args[0])
			}
			gone = e.Source
			return table.Without(args[0]), nil
		})
		if err != nil {
			return err
		}
		return s.document(t.format, gone, func() string { return fmt.Sprintf("source/%s removed\n", gone.Name) })
	}
	return c
}
