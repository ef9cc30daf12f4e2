package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
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

	"rollcall/events"
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
	end := func() {}
	if own {
		end = aimKubectl(flags, k)
	}
	util.BehaviorOnFatal(func(text string, code int) {
		end()
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
	end()
	os.Exit(0)
}

// aimKubectl points kubectl at what k names, or at the running instance if the
// user has not pointed it elsewhere. If there is none, what asks a cluster is
// refused: the cluster of ~/.kube/config is not meant. end is to be called
// before the process ends.
func aimKubectl(flags *genericclioptions.ConfigFlags, k kubectlTarget) (end func()) {
	named := k != kubectlTarget{}
	elsewhere := hasFlag(os.Args, "--kubeconfig")
	if !named && (elsewhere || os.Getenv(dataVariable) == "" && os.Getenv(clientcmd.RecommendedConfigPathEnvVar) != "") {
		return func() {}
	}
	var path string
	err := usageError("E-CLI-FLAG", "--kubeconfig excludes --data and --at", "give one of them")
	if !elsewhere {
		path, end, err = k.kubeconfig()
	}
	if err == nil {
		err = os.Setenv(clientcmd.RecommendedConfigPathEnvVar, path)
	}
	if err != nil && named {
		os.Exit(report(context.Background(), os.Stderr, err))
	}
	if err != nil {
		flags.WithWrapConfigFn(func(*rest.Config) *rest.Config {
			return &rest.Config{Transport: refusing{err}}
		})
		return func() {}
	}
	return end
}

// refusing is the transport of a kubectl that has no cluster: at the first
// request the process ends with the error.
type refusing struct{ error }

// RoundTrip implements http.RoundTripper.
func (r refusing) RoundTrip(*http.Request) (*http.Response, error) {
	os.Exit(report(context.Background(), os.Stderr, r.error))
	return nil, r.error
}

// hasFlag reports whether a flag is among the arguments before --.
func hasFlag(args []string, flag string) bool {
	for _, a := range args {
		if a == "--" {
			return false
		}
		if a == flag || strings.HasPrefix(a, flag+"=") {
			return true
		}
	}
	return false
}

// instanceKubeconfig returns the kubeconfig of the instance that was found.
func (t *target) instanceKubeconfig() (string, error) {
	path := filepath.Join(t.dir, kubeconfigFile)
	if _, err := os.Stat(path); err != nil || t.dir == "" {
		return "", &events.Error{Code: "E-CLI-API", What: "the Kubernetes API is not served", Where: cmp.Or(t.dir, withoutUser(t.natsURL)), Why: "it has no " + kubeconfigFile,
			Do: "start rollcall up without --listen none, or give --kubeconfig", Exit: events.ExitInput}
	}
	return path, nil
}

// kubectlCommand is what help shows; main does not come here.
func (s *session) kubectlCommand() *cobra.Command {
	return &cobra.Command{Use: "kubectl", Short: "Run the kubectl that is inside, on the running instance", DisableFlagParsing: true,
		Long: `kubectl is Kubernetes' own kubectl ` + kubernetesVersion + `, complete and in this program. It takes
--kubeconfig, --data DIR, the instance of $` + dataVariable + `, $KUBECONFIG, or the only
instance that runs, in this order as all of rollcall, and never ~/.kube/config.

On a data directory on which no instance runs it shows the end of the log, to be
read only, and with --at the cluster as it was then, also beside an instance.

` + instantForms + `

A link named kubectl to this program is the same without that exception.`,
		Example: `  rollcall kubectl get pods -A
  rollcall kubectl --data ./cluster --at 10 get ds -A`,
		Run: func(_ *cobra.Command, args []string) { runKubectl(args, true) }}
}
