package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/instance"
	"rollcall/events"
	"rollcall/events/files"
	"rollcall/projector/apiserver/access"
)

// masters is the group that may do everything, whatever roles say.
const masters = "system:masters"

func (s *session) kubeconfigCommand() *cobra.Command {
	var u instance.User
	var file string
	c := &cobra.Command{Use: "kubeconfig", Short: "Make a kubeconfig for another user of a cluster's Kubernetes API", Args: takes(0, 0),
		Long: `kubeconfig makes a client certificate for a user, signed by the CA of the data directory,
and prints a kubeconfig with it, or writes it to a file that only its owner can read. It
works while an instance runs on the directory and while none does.

The user may do nothing until a role is bound to it, or to one of its groups:

  kubectl create clusterrolebinding deployers --clusterrole=edit --group=deployers

Whoever has the file is that user until the certificate ends: it cannot be called back,
but what it may can be taken away with the binding. Each event of the log says who it was.`,
		Example: `  rollcall kubeconfig --user ci --group deployers -o ci.kubeconfig
  rollcall kubeconfig --user jane --expires 24h`}
	t := addLogTarget(c)
	f := c.Flags()
	f.StringVar(&u.Name, "user", "", "name of the user")
	f.StringArrayVar(&u.Groups, "group", nil, "group that the user is in; may be given several times")
	f.DurationVar(&u.For, "expires", 365*24*time.Hour, "how long the certificate is good")
	f.StringVarP(&file, "output", "o", "", "file to write it to, which is not there yet (default: standard output)")
	c.RunE = func(*cobra.Command, []string) error {
		if err := checkUser(u); err != nil {
			return err
		}
		if err := t.resolve(); err != nil {
			return err
		}
		if t.dir == "" {
			return &events.Error{Code: "E-CLI-API", What: "the CA of the instance is in its data directory, which is not known here",
				Do: "give it with --data, on the machine of the instance", Exit: events.ExitInput}
		}
		kubeconfig, until, err := instance.UserKubeconfig(t.dir, u, time.Now())
		if err != nil {
			return err
		}
		if file == "" {
			s.out.printf("%s", kubeconfig)
			fmt.Fprint(s.err, userText(u, "printed", until))
			return s.out.failure()
		}
		if err := files.Create(file, kubeconfig); err != nil {
			why := files.Reason(err)
			if errors.Is(err, fs.ErrExist) {
				why = "it is there already"
			}
			return &events.Error{Code: "E-CLI-KUBECONFIG", What: "the kubeconfig cannot be written", Where: file, Why: why, Do: "name another file", Exit: events.ExitInput}
		}
		s.out.printf("%s", userText(u, "written to "+file, until))
		return s.out.failure()
	}
	return c
}

// checkUser refuses users that are something else to Kubernetes, or to the log.
func checkUser(u instance.User) error {
	plain := func(flag, name string) error {
		if name == "" || strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return usageError("E-CLI-FLAG", fmt.Sprintf("%s %q is no name", flag, name), "write "+flag+" NAME")
		}
		return nil
	}
	if err := plain("--user", u.Name); err != nil {
		return err
	}
	switch {
	case u.Name == access.Admin:
		return usageError("E-CLI-FLAG", "the user "+access.Admin+" is there: its kubeconfig is in the data directory", "give another name")
	case strings.HasPrefix(u.Name, "system:"):
		return usageError("E-CLI-FLAG", "users that begin with system: are parts of Kubernetes", "give another name; accounts have tokens (kubectl create token)")
	case u.For <= 0:
		return usageError("E-CLI-FLAG", "--expires "+u.For.String()+" is over already", "give how long it is to be good, such as 24h")
	}
	for _, g := range u.Groups {
		if err := plain("--group", g); err != nil {
			return err
		}
		if strings.HasPrefix(g, "system:") && g != masters {
			return usageError("E-CLI-FLAG", fmt.Sprintf("users are not put into the group %s: its members are parts of Kubernetes", g), "give another group")
		}
	}
	return nil
}

// userText says what the bearer of a kubeconfig is and may.
func userText(u instance.User, done string, until time.Time) string {
	who := "user " + u.Name
	if len(u.Groups) > 0 {
		who += ", group " + strings.Join(u.Groups, ", ")
	}
	text := fmt.Sprintf("kubeconfig of %s %s, good until %s\n", who, done, until.UTC().Format(time.DateTime+" UTC"))
	switch {
	case slices.Contains(u.Groups, masters):
		return text + "  It may do everything: " + masters + " needs no role, and it cannot be taken away before the certificate ends.\n"
	case len(u.Groups) > 0:
		g := u.Groups[0]
		return text + fmt.Sprintf("  It may do nothing until a role is bound to it, such as\n    kubectl create clusterrolebinding %s --clusterrole=edit --group=%s\n", instance.QuoteShell(g), instance.QuoteShell(g))
	}
	return text + fmt.Sprintf("  It may do nothing until a role is bound to it, such as\n    kubectl create clusterrolebinding %s --clusterrole=edit --user=%s\n", instance.QuoteShell(u.Name), instance.QuoteShell(u.Name))
}
