package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/cmd/rollcall/instance"
	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/natsd"
	"rollcall/events/stream"
	"rollcall/projector"
	"rollcall/publisher/kube"
)

// connectOptions are the flags of connect.
type connectOptions struct {
	instance.Options
	kubeconfig string // of the cluster; empty: that of the pod it runs in
	context    string
	shadow     bool
	rollouts   bool
	scope      events.Scope
	pods       string
	listen     string
	once       bool
	rewind     bool
	anyVersion bool
}

func (s *session) connectCommand() *cobra.Command {
	var o connectOptions
	c := &cobra.Command{Use: "connect", Short: "Record a real cluster, or roll out its DaemonSets", Args: takes(0, 0),
		Long: `connect reads a real Kubernetes cluster and keeps a log of it: nodes, DaemonSets,
their pods and revisions, namespaces and priority classes, each change with who has
made it.

With --shadow it writes nothing to the cluster; get, list and watch are all that it
needs (deploy/rbac-shadow.yaml).

With --rollouts it also replaces old pods of DaemonSets that ask for it: their
updateStrategy is OnDelete, and they have an annotation such as

  rollcall/rollout: '{"maxUnavailable":"10%"}'

The cluster's own controller makes the pods, and rollcall ends the old ones in its
order and within that budget; rollcall/paused, rollcall/partition,
rollcall/canary-selector, rollcall/budget and holds count as ever. It evicts, so that
PodDisruptionBudgets have their say (deploy/rbac-rollouts.yaml); a user that may delete
pods and not evict them has them deleted. Nothing is ended while a watch of the cluster
is down, or while the log takes nothing.

Every command that reads a log reads this one, while it is recorded and later: log,
why, state, diff, open --at, kubectl --at. Started again on the same directory
it goes on where it stopped; what the cluster has forgotten by then is listed again.

The record is served as a Kubernetes API too, to be read only. Without --kubeconfig
the cluster is that in one of whose pods it runs.`,
		Example: `  rollcall connect --shadow --kubeconfig admin.conf --data ./record
  rollcall connect --shadow --kubeconfig admin.conf -n kube-system --once
  rollcall connect --rollouts --kubeconfig admin.conf --data ./record`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(c.Flags().Changed); err != nil {
				return err
			}
			if err := logKubernetes(-1); err != nil {
				return err
			}
			return s.connect(c.Context(), o)
		}}
	f := c.Flags()
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster (default: the account of the pod it runs in)")
	f.StringVar(&o.context, "context", "", "context of --kubeconfig (default: the current one)")
	f.BoolVar(&o.shadow, "shadow", false, "record the cluster, and change nothing there")
	f.BoolVar(&o.rollouts, "rollouts", false, "replace old pods of OnDelete DaemonSets that have the annotation "+events.AnnotationRollout)
	f.StringSliceVarP(&o.scope.Namespaces, "namespace", "n", nil, "only DaemonSets of these namespaces (default: all)")
	f.StringVarP(&o.scope.Selector, "selector", "l", "", "only DaemonSets with these labels")
	f.StringVar(&o.pods, "pods", "daemon", "daemon: pods of DaemonSets, and those that one would adopt; all: every pod")
	f.BoolVar(&o.once, "once", false, "record what is there and what has changed, and end")
	f.BoolVar(&o.rewind, "accept-rewind", false, "go on though the cluster's etcd was restored to an earlier time")
	f.BoolVar(&o.anyVersion, "any-version", false, "record a cluster of a version that is not known: fields that are not known are left out")
	f.StringVar(&o.Data, "data", "", "directory that keeps the log (default: a temporary one, deleted at the end)")
	f.StringVar(&o.NATSURL, "nats-url", "", "keep the log on this NATS server instead of an embedded one")
	f.StringVar(&o.NATSCreds, "nats-creds", "", "credentials file for --nats-url")
	f.StringVar(&o.Cluster, "cluster", "", "name of the log (default that of the data directory, else "+datadir.DefaultCluster+")")
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the record's Kubernetes API, to be read only; none: it is not served")
	addMetricsFlag(f, &o.Metrics)
	return c
}

// mode is that of the charter.
func (o *connectOptions) mode() events.Mode {
	if o.rollouts {
		return events.Rollouts
	}
	return events.Shadow
}

// check refuses what cannot be, and completes what depends on other flags.
func (o *connectOptions) check(given func(string) bool) (err error) {
	switch {
	case o.shadow == o.rollouts:
		return usageError("E-CLI-FLAG", "it is not said what may be done in the cluster", "give --shadow to record it, or --rollouts to replace old pods too")
	case o.rollouts && o.once:
		return usageError("E-CLI-FLAG", "--once records what is there, and --rollouts goes on", "give --shadow with --once")
	case given("data") && given("nats-url"):
		return usageError("E-CLI-FLAG", "--data and --nats-url exclude each other", "give one of them")
	case given("nats-creds") && !given("nats-url"):
		return usageError("E-CLI-FLAG", "--nats-creds is for --nats-url", "give both, or neither")
	case o.pods != "daemon" && o.pods != "all":
		return usageError("E-CLI-FLAG", fmt.Sprintf("--pods cannot be %q", o.pods), "give daemon or all")
	}
	for _, ns := range o.scope.Namespaces {
		if why := validation.IsDNS1123Label(ns); why != nil {
			return usageError("E-CLI-NAME", fmt.Sprintf("namespace %q: %s", ns, why[0]), "name a namespace")
		}
	}
	if _, err := labels.Parse(o.scope.Selector); err != nil {
		return usageError("E-CLI-FLAG", "--selector: "+err.Error(), "write it as kubectl takes it, such as app=agent")
	}
	if o.Data != "" && o.Cluster == "" {
		if o.Cluster, err = datadir.ClusterOf(o.Data); err != nil {
			return err
		}
	}
	o.Cluster = cmp.Or(o.Cluster, datadir.DefaultCluster)
	if _, err := events.NewSubjects(o.Cluster); err != nil {
		return err
	}
	o.Durability = natsd.Relaxed
	if o.Data != "" {
		o.Durability = natsd.Sync
	}
	o.NATSListen = "127.0.0.1:0"
	if o.once && !given("listen") {
		o.listen = instance.NoListen
	}
	if o.API.Address, err = instance.ParseListen("--listen", o.listen); err != nil {
		return err
	}
	o.API.Sticks = !given("listen")
	o.API.Kubeconfigs = instance.KubeconfigTargets("", false, "", "")
	return o.API.Address.Probe()
}

// restConfig says how the cluster is reached.
func (o *connectOptions) restConfig() (*rest.Config, error) {
	bad := func(err error, do string) error {
		return &events.Error{Code: "E-KUBE-CONFIG", What: "the cluster is not named", Where: cmp.Or(o.kubeconfig, "--kubeconfig"), Why: err.Error(), Do: do, Exit: events.ExitInput, Err: err}
	}
	if o.kubeconfig == "" {
		c, err := rest.InClusterConfig()
		if err != nil {
			return nil, bad(errors.New("it is not given, and this is no pod of a cluster"), "give the kubeconfig of the cluster with --kubeconfig")
		}
		return c, nil
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: o.kubeconfig}
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.context}).ClientConfig()
	if err != nil {
		return nil, bad(err, "see whether kubectl takes the file, and the context if one is given")
	}
	return c, nil
}

// connect records a cluster until ctx is done. What can be refused by asking the
// cluster is refused before a directory is made.
func (s *session) connect(ctx context.Context, o connectOptions) (err error) {
	config, err := o.restConfig()
	if err != nil {
		return err
	}
	cluster, err := kube.Dial(ctx, config, o.anyVersion)
	if err != nil {
		return interrupted(ctx, err)
	}
	var rights kube.Rights
	if o.rollouts {
		if rights, err = cluster.MayEnd(ctx, o.scope); err != nil {
			return interrupted(ctx, err)
		}
	}
	s.lines = true
	world := kube.NewWorld(cluster, rights)
	o.Console, o.User, o.KeepAtEnd = s, actor(), !o.once
	o.Record = &instance.Record{Cluster: string(cluster.UID), Version: cluster.Version, World: world, Wake: world.Wake(),
		ReadOnly: fmt.Sprintf("this is a record of cluster %s: nothing can be changed here; write to %s", cluster.UID, cluster.Host)}
	if o.rollouts {
		o.Record.Ready = world.Ready
	}
	fresh := o.Data != "" && !exists(o.Data)
	in, err := instance.Start(ctx, o.Options)
	if err != nil {
		return interrupted(ctx, err)
	}
	err = s.record(ctx, in, world, o)
	if errors.Is(err, context.Canceled) && !o.once {
		err = nil
	}
	at := in.LastSeq()
	if stopped := in.Stop(); err != nil || stopped != nil {
		if fresh && at == 0 {
			stopped = errors.Join(stopped, os.RemoveAll(o.Data))
		}
		return errors.Join(err, stopped)
	}
	s.out.printf("stopped at #%d\n", at)
	return s.out.failure()
}

// record appends what the cluster says to the log of an instance.
func (s *session) record(ctx context.Context, in *instance.Instance, world *kube.World, o connectOptions) error {
	cluster := world.Cluster
	ctx, failed := whole(ctx, in)
	defer failed(nil)
	epoch, since, err := s.charter(ctx, in, cluster, o)
	if err != nil {
		return err
	}
	cursors, err := stream.OpenKV(ctx, in.NC, in.Subjects, stream.KVOptions{Name: "cursors", Replicas: in.Log.Replicas(), Health: in.Log.Health})
	if err != nil {
		return err
	}
	w := &warner{warn: s.Warn}
	r := kube.New(kube.Config{World: world, Log: in.Log, Subjects: in.Subjects, Objects: in.State.Objects(), Cursors: cursors, Scope: o.scope, AllPods: o.pods == "all",
		Epoch: epoch, Since: since, Once: o.once, Report: w.report, Warn: s.Warn})
	s.recordBanner(in, world)
	go func() {
		select {
		case <-r.Synced():
			w.well()
			s.out.printf("recording from #%d on: the log has what the cluster has\n", in.LastSeq())
			if in.Served.Kubeconfig != "" {
				s.out.printf("%s\n", instance.ExportLine(in.Served.Kubeconfig))
			}
		case <-ctx.Done():
		}
	}()
	err = r.Run(ctx)
	if part := (partError{}); errors.As(context.Cause(ctx), &part) {
		err = part.error
	}
	return err
}

// charter sees to it that the log says what it is about from here on, and returns the
// epoch of the cluster, and where that began in the log.
func (s *session) charter(ctx context.Context, in *instance.Instance, cluster *kube.Cluster, o connectOptions) (epoch int, since events.Seq, err error) {
	var was *events.Charter
	in.State.Read(func(st *projector.State) { was = st.Charter() })
	c := events.Charter{Cluster: string(cluster.UID), Version: cluster.Version, Mode: o.mode(), Scope: o.scope, Budget: events.BudgetUpstream}
	last, found, err := in.Log.Latest(ctx, in.Subjects.Charter())
	if err != nil {
		return 0, 0, err
	}
	if was != nil {
		if c.Epoch = was.Epoch; o.rewind {
			c.Epoch++
		}
	}
	seq := last.Seq
	if was == nil || !c.Same(*was) {
		entry := kube.Charter(in.Subjects, ulid.Make(), c, 0)
		entry.Actor = o.User
		if found {
			entry.Expect.Last = last.Seq
		}
		if seq, err = drive.Submit(ctx, in.Log, entry); err != nil {
			return 0, 0, err
		}
		if err := in.State.Await(ctx, seq); err != nil {
			return 0, 0, err
		}
	}
	if c.Epoch == 0 {
		seq = 0
	}
	return c.Epoch, seq, nil
}

// recordBanner says what is recorded, and where.
func (s *session) recordBanner(in *instance.Instance, world *kube.World) {
	s.out.printf("rollcall  record of cluster %s, %s at %s\n", world.UID, world.Version, world.Host)
	if text := world.Does(); text != "" {
		s.out.printf("  Does     %s\n", text)
	}
	if in.Server != nil {
		s.out.printf("  Data     %s\n", in.Server.Dir())
	}
	s.out.printf("  Log      stream %s at #%d\n%s  Stop     Ctrl-C\n", in.Subjects.Stream(), in.Began.Last, in.Served.Lines())
}

// warner tells a trouble that is tried again once a minute.
type warner struct {
	warn func(string)
	mu   sync.Mutex
	last time.Time
}

func (w *warner) report(err error) {
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
