package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/cmd/rollcall/instance"
	"rollcall/events"
	"rollcall/publisher/kube"
)

// connectLong is what connect says of itself.
const connectLong = `connect reads a real Kubernetes cluster and keeps a log of it: nodes, DaemonSets,
their pods and revisions, namespaces and priority classes, each change with who has
made it.

With --shadow it writes nothing to the cluster, and needs to read alone
(deploy/rbac-shadow.yaml).

With --rollouts it also replaces old pods of DaemonSets that ask for it: their
updateStrategy is OnDelete, and they have an annotation such as

  rollcall/rollout: '{"maxUnavailable":"10%"}'

The cluster's own controller makes the pods, and rollcall ends the old ones in its
order and within that budget; rollcall/paused, rollcall/partition,
rollcall/canary-selector, rollcall/budget and holds count as ever. It evicts, so that
PodDisruptionBudgets have their say (deploy/rbac-rollouts.yaml); a user that may delete
pods and not evict them has them deleted. Nothing is ended while a watch of the cluster
is down, or while the log takes nothing.

With --control it is the controller of DaemonSets, instead of that of
kube-controller-manager, which has to run with
--controllers=*,-daemonset-controller (deploy/rbac-control.yaml). It makes sure that
nobody else is, and that taking over would delete no pod and make no revision; if
somebody else turns up later it stops at once (E-KUBE-RIVAL) and the log is a record
from there on. rollcall release hands back. All DaemonSets of -n and -l are its: what
is not in that scope has no controller, unless somebody else is one for it.

Every command that reads a log reads this one, while it is recorded and later: log,
why, state, diff, open --at, kubectl --at. Started again on the same directory
it goes on where it stopped; what the cluster has forgotten by then is listed again.

The record is served as a Kubernetes API too, to be read only. Without --kubeconfig
the cluster is that in one of whose pods it runs.`

// addCluster adds the flags that say which cluster it is.
func (o *connectOptions) addCluster(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster (default: the account of the pod it runs in)")
	f.IntVar(&o.reach.CallsPerSecond, "kube-qps", kube.CallsPerSecond, "requests a second that the cluster gets at most")
	f.StringVar(&o.context, "context", "", "context of --kubeconfig (default: the current one)")
	f.BoolVar(&o.reach.AnyVersion, "any-version", false, "record a cluster of a version that is not known: fields that are not known are left out")
}

// addProbe adds the flag that says how long a probe waits.
func (o *connectOptions) addProbe(f *pflag.FlagSet) {
	f.DurationVar(&o.probeWait, "probe-wait", kube.ProbeTime, "how long somebody else has to show that he is the controller of DaemonSets")
}

// checkReach refuses a cluster that would be asked without end or never, and a probe that
// would find nobody.
func (o *connectOptions) checkReach() error {
	if o.probeWait <= 0 {
		return usageError("E-CLI-FLAG", "--probe-wait is a time in which somebody can answer", fmt.Sprintf("give one, such as %s", kube.ProbeTime))
	}
	return within("kube-qps", int64(o.reach.CallsPerSecond), 1, maxCalls)
}

// maxCalls is the greatest bound that --kube-qps takes.
const maxCalls = 10_000

// addLog adds the flags that say where its log is.
func (o *connectOptions) addLog(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.Data, "data", "", "directory that keeps the log (default: a temporary one, deleted at the end)")
	f.StringVar(&o.NATSURL, "nats-url", "", "keep the log on this NATS server instead of an embedded one")
	f.StringVar(&o.NATSCreds, "nats-creds", "", "credentials file for --nats-url")
	f.StringVar(&o.Cluster, "cluster", "", "name of the log (default that of the data directory, else "+datadir.DefaultCluster+")")
}

// restConfig says how the cluster is reached.
func (o *connectOptions) restConfig() (*rest.Config, error) {
	bad := func(err error, do string) error {
		return &events.Error{Code: "E-KUBE-CONFIG", What: "the cluster is not named", Where: cmp.Or(o.kubeconfig, "--kubeconfig"), Why: err.Error(), Do: do, Exit: events.ExitInput, Err: err}
	}
	if o.kubeconfig == "" {
		c, err := rest.InClusterConfig()
		switch {
		case errors.Is(err, rest.ErrNotInCluster):
			return nil, bad(errors.New("it is not given, and this is no pod of a cluster"), "give the kubeconfig of the cluster with --kubeconfig")
		case err != nil:
			return nil, bad(fmt.Errorf("this is a pod whose account cannot be used: %w", err), "give it a serviceAccountName, and automountServiceAccountToken if that is off")
		}
		return c, nil
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: o.kubeconfig}
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.context}).ClientConfig()
	if err == nil {
		return c, nil
	}
	if given, readable := rules.Load(); readable == nil && len(given.Contexts) > 0 {
		names := slices.Sorted(maps.Keys(given.Contexts))
		is := cmp.Or(o.context, given.CurrentContext)
		switch do := "give --context as one of " + strings.Join(names[:min(len(names), maxTold)], ", "); {
		case is == "":
			return nil, bad(errors.New("it has no current-context"), do)
		case given.Contexts[is] == nil:
			return nil, bad(fmt.Errorf("it has no context %q", is), do)
		}
	}
	why := instance.Unreadable(err)
	switch of := new(fs.PathError); {
	case clientcmd.IsEmptyConfig(err):
		return nil, bad(errors.New("it names no cluster"), "give the kubeconfig of a cluster")
	case errors.As(err, &of) && of.Path != o.kubeconfig: // a file that it names
		why = err.Error()
	}
	return nil, bad(errors.New(strings.TrimPrefix(why, fmt.Sprintf("error loading config file %q: ", o.kubeconfig))), "see whether kubectl takes the file")
}

// warner tells a trouble that is tried again once a minute.
type warner struct {
	warn func(string)
	mu   sync.Mutex
	last time.Time
}

func (w *warner) report(err error) {
	if errors.Is(err, context.Canceled) {
		return // who ends tries nothing again
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.last) < time.Minute {
		return
	}
	w.last = time.Now()
	w.warn(err.Error() + "; it is tried again")
}

// well has the next trouble told at once.
func (w *warner) well() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = time.Time{}
}
