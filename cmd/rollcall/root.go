package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"rollcall/events"
)

// run is the program: it returns the exit code. ctx ends long commands cleanly.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := newOutput(stdout, cancel)
	s := &session{in: stdin, out: out, err: stderr}
	err := s.execute(inner, args)
	if failed := out.failure(); failed != nil {
		err = failed
	}
	return report(ctx, stderr, err)
}

// session is what every command works with.
type session struct {
	in  io.Reader
	out *output
	err io.Writer
	// lines: progress is told of where standard error is no terminal, too.
	lines bool
}

// execute runs the command that args name.
func (s *session) execute(ctx context.Context, args []string) error {
	for _, a := range args {
		if !utf8.ValidString(a) {
			return &events.Error{Code: "E-CLI-UTF8", What: fmt.Sprintf("argument %q is not UTF-8", a), Do: "write it in UTF-8", Exit: events.ExitInput}
		}
	}
	started := false
	root := s.root()
	root.PersistentPreRunE = func(c *cobra.Command, args []string) error {
		started = true
		return refuseEmpty(c, args)
	}
	root.SetArgs(instantArguments(args))
	root.SetIn(s.in)
	root.SetErr(s.err)
	err := root.ExecuteContext(ctx)
	if err == nil || started || errors.As(err, new(*events.Error)) {
		return err
	}
	return usageError("E-CLI-ARGS", err.Error(), "see rollcall --help")
}

// backwards is an instant that counts back, as an argument.
var backwards = regexp.MustCompile(`^-\d+(\.\d+)?[a-zµ]`)

// instantArguments makes arguments such as -5m be no flags: now-5m is the same
// instant. What follows a flag is its value, and stays.
func instantArguments(args []string) []string {
	args = slices.Clone(args)
	for i, a := range args {
		if backwards.MatchString(a) && (i == 0 || !strings.HasPrefix(args[i-1], "-")) {
			args[i] = "now" + a
		}
	}
	return args
}

func usageError(code, what, do string) error {
	return &events.Error{Code: code, What: what, Do: do, Exit: events.ExitInput}
}

// root makes the tree of commands.
func (s *session) root() *cobra.Command {
	root := s.group("rollcall", "Run DaemonSets on an event log",
		`rollcall is the DaemonSet controller on an event log: every fact and every
decision is in one order in NATS JetStream, to be read, followed and decided again.

Begin with

  rollcall up --nodes 50 -f example:fluentd

and, while it runs, in another terminal

  rollcall kubectl get pods -A
  rollcall log -f

or point any kubectl at it with the line that up prints. Whatever has happened can be
asked afterwards, too: docs/DEBUGGING.md begins with questions and the command for each.`,
		s.versionCommand(), s.examplesTopic(), s.codesTopic(), s.exitCodesTopic(), s.simulationTopic())
	under(root, "Run a cluster:", s.upCommand(func(*upOptions) {}), s.demoCommand(), s.connectCommand(), s.probeCommand(), s.releaseCommand(), s.kubectlCommand(), s.planCommand(), s.rolloutCommand(), s.nodeCommand(), s.kubeconfigCommand(), s.tokenCommand(), s.sourceCommand(), s.rejectsCommand())
	under(root, "Ask the log:", s.topCommand(), s.logCommand(), s.stateCommand(), s.diffCommand(), s.whyCommand(), s.whyNotCommand(), s.effectsCommand(),
		s.checkCommand(), s.bisectCommand(), s.searchCommand(), s.replayCommand(), s.whatIfCommand(), s.divergeCommand(), s.openCommand(), s.uiCommand())
	under(root, "Keep the log, and test against it:", s.recordCommand(), s.archiveCommand(), s.verifyCommand(), s.regressCommand())
	under(root, "Tell a cluster what programs know:", s.emitCommand(), s.schemaCommand())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(s.helpCommand(root))
	root.Version = versionText()
	root.SetVersionTemplate("{{.Version}}")
	root.SetOut(s.out) // what cobra makes for completion keeps it
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args, c.RunE = cobra.ArbitraryArgs, runGroup // cobra's answers everything with help
		}
	}
	forbidRepeats(root)
	completed(root)
	completedFromLog(root)
	return root
}

// under adds commands under a title of their own in the help of c.
func under(c *cobra.Command, title string, commands ...*cobra.Command) {
	c.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, sub := range commands {
		sub.GroupID = title
	}
	c.AddCommand(commands...)
}

// group is a command that only has commands under it.
func (s *session) group(use, short, long string, under ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ArbitraryArgs, RunE: runGroup}
	c.AddCommand(under...)
	return c
}

// runGroup is what a command does that only has commands under it.
func runGroup(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(c, args[0])
	}
	return c.Help()
}

// unknownCommand refuses a command that c does not have. What kubectl does is
// told so: it is the one way to read and write objects.
func unknownCommand(c *cobra.Command, name string) error {
	what := fmt.Sprintf("%s has no command %q", c.CommandPath(), name)
	if instead, ok := kubectlInstead(c, name); ok {
		return usageError("E-CLI-COMMAND", what, "use rollcall kubectl "+instead)
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			names = append(append(names, sub.Name()), sub.Aliases...)
		}
	}
	return usageError("E-CLI-COMMAND", what, events.Suggest(name, names, "see "+c.CommandPath()+" --help"))
}

// takes refuses another number of arguments than those named in the command's
// use; at most -1 is any number.
func takes(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		what := fmt.Sprintf("%s has %d arguments", c.CommandPath(), len(args))
		if most >= 0 && len(args) > most {
			what = fmt.Sprintf("%s does not take %q", c.CommandPath(), args[most])
		}
		return usageError("E-CLI-ARGS", what, "write "+c.UseLine())
	}
}
