package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/manifest"
	"rollcall/events"
	"rollcall/testdata/manifests"
)

// helpCommand is cobra's, but it knows codes and examples too, and refuses what
// it does not know.
func (s *session) helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "help [COMMAND|TOPIC|CODE]", Short: "Help about a command, a topic or the code of an error",
		Example: "  rollcall help up\n  rollcall help exit-codes\n  rollcall help E-CLI-INSTANCE",
		ValidArgsFunction: func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			return helpNames(root, args, begun), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && strings.HasPrefix(strings.ToUpper(args[0]), codePrefix) {
				return s.explainCode(strings.ToUpper(args[0]))
			}
			if len(args) == 1 && strings.HasPrefix(args[0], manifest.ExamplePrefix) && args[0] != manifest.ExamplePrefix {
				data, err := manifest.Example(strings.TrimPrefix(args[0], manifest.ExamplePrefix))
				s.out.printf("%s", data)
				return err
			}
			c, rest, err := root.Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return unknownCommand(c, rest[0])
			}
			c.InitDefaultHelpFlag()
			return c.Help()
		}}
}

// helpNames completes what help is asked about.
func helpNames(root *cobra.Command, args []string, begun string) (names []string) {
	c, rest, err := root.Find(args)
	if err != nil || len(rest) > 0 {
		return nil
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
		}
	}
	if len(args) == 0 {
		for _, k := range codes() {
			names = append(names, cobra.CompletionWithDesc(k.code, k.means))
		}
	}
	return slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, begun) })
}

// topic is a command that only help knows.
func topic(name, short, long string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Long: strings.TrimSpace(long)}
}

func (s *session) exitCodesTopic() *cobra.Command {
	return topic("exit-codes", "What the exit codes mean", `
0    done; up: it was stopped, or with --once every DaemonSet is rolled out
1    it was tried and did not work; the output could not be written; the answer is that something
     differs or was found: diff, check, bisect, verify, regress, rollout compare, plan --exit-code,
     or that search found nothing
2    bad input: a flag, an argument, a manifest, a name that does not exist; nothing was done
3    the log or a recording is damaged or not readable, or a rollout is stalled (up --once, rollout status)
4    another process holds the data directory, or somebody has changed what a plan depends on
124  it did not end in the time that it had: --timeout, or no answer
130  Ctrl-C stopped it before it was done; 143: SIGTERM, 129: SIGHUP

Those of rollcall kubectl: kubectl's own, but for 2 without a cluster to ask.
Commands that only follow (log -f, open, up without --once) end with 0
when they are stopped.

Every error is one line on standard error, and rollcall help CODE says more of it:

  error: CODE: what is wrong (where): why; what to do`)
}

func (s *session) codesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("Every error has a code. rollcall help CODE says what causes it and what to do.\n")
	part := ""
	for _, k := range codes() {
		if k.part != part {
			part = k.part
			fmt.Fprintf(&b, "\n%s\n", part)
		}
		fmt.Fprintf(&b, "  %-22s %s\n", k.code, k.means)
	}
	return topic("codes", "The codes of errors", b.String())
}

func (s *session) examplesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString(`
Manifests that are in the program, to be applied with -f from anywhere:

`)
	for _, name := range manifests.Names() {
		fmt.Fprintf(&b, "  -f %-32s %s\n", manifest.ExamplePrefix+name, manifests.About(name))
	}
	b.WriteString(`
To read one, or to give it to any kubectl:

  rollcall help example:fluentd
  rollcall help example:fluentd | kubectl apply -f -`)
	return topic("examples", "Manifests to begin with", b.String())
}

// explainCode prints what is to be said of a code.
func (s *session) explainCode(code string) error {
	all := codes()
	i, ok := slices.BinarySearchFunc(all, code, func(k codeText, code string) int { return cmp.Compare(k.code, code) })
	if !ok {
		names := make([]string, len(all))
		for i, k := range all {
			names[i] = k.code
		}
		return usageError("E-CLI-COMMAND", fmt.Sprintf("there is no code %q", code), events.Suggest(code, names, "see rollcall help codes"))
	}
	k := all[i]
	s.out.printf("%s: %s.\n\n  Cause  %s.\n  Do     %s.\n", k.code, k.means, k.cause, k.do)
	return nil
}
