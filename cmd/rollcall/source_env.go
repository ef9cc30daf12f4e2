package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/events"
	"rollcall/events/natsd"
	"rollcall/publisher"
)

func (s *session) sourceEnv() *cobra.Command {
	c := &cobra.Command{Use: "env", Short: "Print the variables by which clients find an instance, for a shell", Args: takes(0, 0),
		Long: `env prints what a program needs to tell events: ROLLCALL_URL, ROLLCALL_TOKEN and
ROLLCALL_CA, and for the nats command NATS_URL, NATS_USER and NATS_PASSWORD. The token is that of who holds the data
directory, who may tell everything; give a program the one that rollcall source add has
printed.`,
		Example: `  eval "$(rollcall source env)"`}
	t := addTarget(c)
	c.RunE = func(*cobra.Command, []string) error {
		if err := t.resolve(); err != nil {
			return err
		}
		if t.dir == "" {
			return &events.Error{Code: "E-CLI-API", What: "the token of the instance is in its data directory, which is not known here",
				Do: "give it with --data, on the machine of the instance", Exit: events.ExitInput}
		}
		o, err := publisher.FromData(t.dir)
		if err != nil {
			return &events.Error{Code: "E-CLI-API", What: "it is not known how the instance is reached", Where: t.dir, Why: err.Error(),
				Do: "start one with rollcall up --data " + t.dir, Exit: events.ExitInput}
		}
		dir, err := filepath.Abs(t.dir)
		if err != nil {
			return err
		}
		vars := [][2]string{{"ROLLCALL_URL", o.URL}, {"ROLLCALL_TOKEN", o.Token}, {"ROLLCALL_CA", filepath.Join(dir, "ca.pem")}}
		if n, err := natsd.Attach(t.dir); err == nil { // else none runs, or it does not listen
			vars = append(vars, [][2]string{{"NATS_URL", n.URL}, {"NATS_USER", n.User}, {"NATS_PASSWORD", n.Password}}...)
		}
		for _, v := range vars {
			s.out.printf("export %s=%s\n", v[0], quoted(v[1]))
		}
		return nil
	}
	return c
}

// quoted is a text that a shell reads as it is.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
