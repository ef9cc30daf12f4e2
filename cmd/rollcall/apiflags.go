package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"rollcall/cmd/rollcall/instance"
)

// apiOptions are the flags of a command that serves the Kubernetes API.
type apiOptions struct {
	listen     string
	kubeconfig string
	merge      bool
	verbosity  int

	instance.API
}

func addAPIFlags(c *cobra.Command, o *apiOptions) {
	f := c.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the Kubernetes API, with TLS and a token; none: it is not served")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "file that tells kubectl how to reach it (default: one beside the data)")
	f.BoolVar(&o.merge, "merge-kubeconfig", false, "add it to --kubeconfig, $KUBECONFIG or ~/.kube/config instead, as the current context")
	f.IntVar(&o.MaxWatches, "max-watches", 0, "watches and followed logs that may be open at once (default: an eighth of memory, at 512 KiB each)")
	f.IntVar(&o.verbosity, "v", -1, "show the log of Kubernetes' libraries on standard error, at this level (default: not)")
}

// check refuses an address that cannot be served, and files that should not be
// written.
func (o *apiOptions) check(given func(string) bool) (err error) {
	if o.Address, err = instance.ParseListen("--listen", o.listen); err != nil {
		return err
	}
	if given("v") {
		if err := within("v", int64(o.verbosity), 0, 10); err != nil {
			return err
		}
	}
	if given("max-watches") {
		if err := within("max-watches", int64(o.MaxWatches), 1, maxWatches); err != nil {
			return err
		}
	}
	o.Sticks = !given("listen")
	if o.Address.None() {
		for _, f := range []string{"kubeconfig", "merge-kubeconfig"} {
			if given(f) {
				return usageError("E-CLI-FLAG", "--listen none and --"+f+" exclude each other", "give one of them")
			}
		}
		return nil
	}
	home, err := os.UserHomeDir()
	if err != nil && o.merge && o.kubeconfig == "" && os.Getenv(clientcmd.RecommendedConfigPathEnvVar) == "" {
		return usageError("E-CLI-KUBECONFIG", "there is no home directory with a kubeconfig", "name the file with --kubeconfig")
	}
	o.Kubeconfigs = instance.KubeconfigTargets(o.kubeconfig, o.merge, os.Getenv(clientcmd.RecommendedConfigPathEnvVar), home)
	if err := o.Kubeconfigs.Check(); err != nil {
		return err
	}
	return o.Address.Probe()
}

// addMetricsFlag adds the flag of where figures are told.
func addMetricsFlag(f *pflag.FlagSet, at *instance.Address) {
	f.Var(&metricsFlag{at: at}, "metrics", "address of /metrics, /livez and /readyz over plain HTTP, and to this machine of /debug/pprof, all without a token (default: none)")
}

// metricsFlag is the flag of where figures are told.
type metricsFlag struct {
	at   *instance.Address
	text string // that was given
}

func (f *metricsFlag) String() string { return f.text }
func (f *metricsFlag) Type() string   { return "string" }
func (f *metricsFlag) Set(text string) (err error) {
	if *f.at, err = instance.ParseListen("--metrics", text); err != nil {
		return err
	}
	f.text = text
	return f.at.Probe()
}

// maxWatches is the greatest bound that --max-watches takes.
const maxWatches = 1_000_000

// logKubernetes keeps the log of Kubernetes' libraries off standard error, but
// for why one of them ends the process; from level 0 on all of it is shown.
func logKubernetes(level int) error {
	threshold := "FATAL"
	if level >= 0 {
		threshold = "INFO"
	}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	klog.InitFlags(flags)
	for _, f := range [][2]string{{"legacy_stderr_threshold_behavior", "false"}, {"stderrthreshold", threshold}, {"v", strconv.Itoa(max(level, 0))}} {
		if err := flags.Set(f[0], f[1]); err != nil {
			return fmt.Errorf("set the log of Kubernetes' libraries: %w", err)
		}
	}
	return nil
}
