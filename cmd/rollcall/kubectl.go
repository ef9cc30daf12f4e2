package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // what a kubeconfig may ask for
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/plugin"
	"k8s.io/kubectl/pkg/cmd/util"

	"rollcall/controller/replay"
)

// kubectlName is the name under which the program is kubectl and nothing else.
const kubectlName = "kubectl"

// Limits of a client that asks for everything at once and then for nothing, as
// kubectl's own.
const (
	discoveryBurst = 300
	discoveryQPS   = 50
)

// asKubectl returns the arguments of kubectl if args, with the program's name,
// ask for it. own is true for rollcall kubectl, which finds the instance by
// itself; under the name kubectl it is the same as any other kubectl.
func asKubectl(args []string) (rest []string, own, ok bool) {
	switch {
	case len(args) > 0 && filepath.Base(args[0]) == kubectlName:
		return args[1:], false, true
	case len(args) > 1 && args[1] == kubectlName:
		return args[2:], true, true
	case len(args) > 2 && args[2] == kubectlName && strings.HasPrefix(args[1], cobra.ShellCompRequestCmd):
		return slices.Concat(args[1:2], args[3:]), true, true // what a shell asks to complete
	}
	return nil, false, false
}

// runKubectl is kubectl on the process's own streams: it ends the process as
// kubectl would.
func runKubectl(args []string, own bool) {
	var k kubectlTarget
	if own {
		var err error
		if k, args, err = cutTarget(args); err != nil {
			os.Exit(report(context.Background(), os.Stderr, err))
		}
	}
	// Everything of kubectl looks here, also the name that it gives to servers.
	os.Args = append([]string{kubectlName}, args...)
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args)) // what is no number is refused with the flags
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	flags := genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag().
		WithDiscoveryBurst(discoveryBurst).WithDiscoveryQPS(discoveryQPS).WithWarningPrinter(streams)
	if own {
		k.aim(flags)
	}
	util.BehaviorOnFatal(func(text string, code int) {
		if text != "" {
			fmt.Fprintln(os.Stderr, strings.TrimSuffix(text, "\n"))
		}
		os.Exit(code)
	})
	command := cmd.NewDefaultKubectlCommandWithArgs(cmd.KubectlOptions{
		PluginHandler: cmd.NewDefaultPluginHandler(plugin.ValidPluginFilenamePrefixes),
		Arguments:     os.Args, ConfigFlags: flags, IOStreams: streams,
	})
	if err := cli.RunNoErrOutput(command); err != nil {
		util.CheckErr(err)
	}
	os.Exit(0)
}

// aim points kubectl at the target. What runs is asked through its kubeconfig;
// what is stopped, or past, by an API in this process, which begins with the
// first request. If there is no target, what asks a cluster is refused: that of
// ~/.kube/config is not meant.
func (k kubectlTarget) aim(flags *genericclioptions.ConfigFlags) {
	named := k.data != "" || len(k.recs) > 0 || k.natsURL != "" || k.at != ""
	path, open, err := k.find()
	switch {
	case errors.Is(err, errForeign) && !named:
		return // somebody else's cluster, which the user has named
	case err != nil && named:
		os.Exit(report(context.Background(), os.Stderr, err))
	case err != nil:
		open = func() (*past, error) { return nil, err }
	case path != "":
		_ = os.Setenv(clientcmd.RecommendedConfigPathEnvVar, path) // the name of a variable that can be
	}
	if open == nil {
		return
	}
	t := &pastTransport{open: open}
	flags.WithWrapConfigFn(func(c *rest.Config) *rest.Config {
		return &rest.Config{Host: pastHost(), Transport: t, UserAgent: c.UserAgent, Timeout: c.Timeout, QPS: c.QPS, Burst: c.Burst}
	})
}

// kubectlHas reports whether kubectl has a command of these words.
func kubectlHas(words ...string) bool {
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard}
	c, _, err := cmd.NewKubectlCommand(cmd.KubectlOptions{ConfigFlags: genericclioptions.NewConfigFlags(true), IOStreams: streams}).Find(words)
	return err == nil && c.Name() == words[len(words)-1]
}

// kubectlInstead returns the command of kubectl that does what a command of that
// name under c would do.
func kubectlInstead(c *cobra.Command, name string) (words string, ok bool) {
	switch c.Name() {
	case "rollout":
		return "rollout " + name, kubectlHas("rollout", name)
	case "node":
		if name == "cordon" || name == "uncordon" || name == "drain" {
			return name, true
		}
		return name + " node", kubectlHas(name)
	}
	return name, !c.HasParent() && kubectlHas(name)
}

// kubectlCommand is what help shows; main does not come here.
func (s *session) kubectlCommand() *cobra.Command {
	return &cobra.Command{Use: "kubectl", Short: "Read and write objects: the kubectl that is inside", DisableFlagParsing: true,
		Long: `kubectl is Kubernetes' own kubectl ` + kubernetesVersion + `, complete and in this program: what reads
and writes the objects of a cluster. It takes --kubeconfig, --data DIR,
--rec FILE or --nats-url URL, the instance of $` + dataVariable + `, $KUBECONFIG, or the
only instance that runs, in this order as all of rollcall, and never ~/.kube/config. With
--data or --nats-url, --cluster names the cluster of the log.

Where no instance runs, and of a recording, it shows the end of the log, to be
read only, and with --at the cluster as it was then, also beside an instance. Secrets
of the past are opened with the key in the data directory, or that of --key-file FILE;
without, hashes are shown for their values.

` + replay.InstantForms + `

A link named kubectl to this program is kubectl as anywhere: it has none of these
flags, and reads ~/.kube/config.`,
		Example: `  rollcall kubectl get pods -A
  rollcall kubectl --data ./cluster --at 20 get ds -A`,
		Run: func(_ *cobra.Command, args []string) { runKubectl(args, true) }}
}
