package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/cmd/rollcall/instance"
	"rollcall/events"
	"rollcall/events/drive"
	"rollcall/events/natsd"
	"rollcall/events/stream"
	"rollcall/projector"
	"rollcall/projector/story"
	"rollcall/publisher/kube"
)

// connectOptions are the flags of connect.
type connectOptions struct {
	instance.Options
	kubeconfig string // of the cluster; empty: that of the pod it runs in
	context    string
	shadow     bool
	rollouts   bool
	control    bool
	takeover   string
	scope      events.Scope
	pods       string
	listen     string
	once       bool
	rewind     bool
	rewound    bool // and the log says so
	reach      kube.Options
	probeWait  time.Duration
	// handBack is done when the log says that it is a record: nil, but for release.
	handBack func(context.Context, *instance.Instance, *kube.Cluster) error
}

func (s *session) connectCommand() *cobra.Command {
	var o connectOptions
	c := &cobra.Command{Use: "connect", Short: "Record a real cluster, or roll out its DaemonSets", Args: takes(0, 0),
		Long: connectLong,
		Example: `  rollcall connect --shadow --kubeconfig admin.conf --data ./record
  rollcall connect --shadow --kubeconfig admin.conf -n kube-system --once
  rollcall connect --rollouts --kubeconfig admin.conf --data ./record
  rollcall connect --control --kubeconfig admin.conf --data ./control`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(c.Flags().Changed); err != nil {
				return err
			}
			if err := logKubernetes(-1); err != nil {
				return err
			}
			return s.connect(c.Context(), o)
		}}
	o.addCluster(c)
	o.addLog(c)
	f := c.Flags()
	f.BoolVar(&o.shadow, "shadow", false, "record the cluster, and change nothing there")
	f.BoolVar(&o.rollouts, "rollouts", false, "replace old pods of OnDelete DaemonSets that have the annotation "+events.AnnotationRollout)
	f.BoolVar(&o.control, "control", false, "be the controller of DaemonSets, instead of the cluster's own")
	o.addProbe(f)
	f.StringVar(&o.takeover, "at-takeover", "refuse", "refuse: with --control, if pods would be deleted or revisions made at once; allow: do so")
	f.StringSliceVarP(&o.scope.Namespaces, "namespace", "n", nil, "only DaemonSets of these namespaces (default: all)")
	f.StringVarP(&o.scope.Selector, "selector", "l", "", "only DaemonSets with these labels")
	f.StringVar(&o.pods, "pods", "daemon", "daemon: pods of DaemonSets, and those that one would adopt; all: every pod")
	f.BoolVar(&o.once, "once", false, "record what is there and what has changed, and end")
	f.BoolVar(&o.rewind, "accept-rewind", false, "go on though the cluster's etcd was restored to an earlier time")
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the record's Kubernetes API, to be read only; none: it is not served")
	addMetricsFlag(f, &o.Metrics)
	return c
}

// mode is that of the charter.
func (o *connectOptions) mode() events.Mode {
	switch {
	case o.rollouts:
		return events.Rollouts
	case o.control:
		return events.Control
	}
	return events.Shadow
}

// modes returns how many modes are given.
func (o *connectOptions) modes() (n int) {
	for _, given := range []bool{o.shadow, o.rollouts, o.control} {
		if given {
			n++
		}
	}
	return n
}

// check refuses what cannot be, and completes what depends on other flags.
func (o *connectOptions) check(given func(string) bool) (err error) {
	switch {
	case o.modes() > 1:
		return usageError("E-CLI-FLAG", "--shadow, --rollouts and --control are three ways to be in a cluster, and more than one is given", "give the one whose rights rollcall has there: --rollouts and --control record the cluster as well")
	case o.modes() == 0:
		return usageError("E-CLI-FLAG", "it is not said what may be done in the cluster", "give one of --shadow to record it, --rollouts to replace old pods too, and --control to be its DaemonSet controller")
	case !o.shadow && o.once:
		return usageError("E-CLI-FLAG", "--once records what is there, and the other modes go on", "give --shadow with --once")
	case o.control && o.reach.AnyVersion:
		return usageError("E-CLI-FLAG", "--any-version is to record a cluster, and --control would make pods without fields that are not known here", "give a version of this program that knows the cluster's, or --shadow")
	case o.takeover != "refuse" && o.takeover != "allow":
		return usageError("E-CLI-FLAG", fmt.Sprintf("--at-takeover cannot be %q", o.takeover), "give refuse or allow")
	case given("at-takeover") && !o.control:
		return usageError("E-CLI-FLAG", "--at-takeover is for --control", "give both, or neither")
	case given("probe-wait") && !o.control:
		return usageError("E-CLI-FLAG", "--probe-wait is for --control", "give both, or neither")
	case given("data") && given("nats-url"):
		return usageError("E-CLI-FLAG", "--data and --nats-url exclude each other", "give one of them")
	case given("nats-creds") && !given("nats-url"):
		return usageError("E-CLI-FLAG", "--nats-creds is for --nats-url", "give both, or neither")
	case o.pods != "daemon" && o.pods != "all":
		return usageError("E-CLI-FLAG", fmt.Sprintf("--pods cannot be %q", o.pods), "give daemon or all")
	}
	if err := o.checkReach(); err != nil {
		return err
	}
	for _, ns := range o.scope.Namespaces {
		if err := checkNamespace(ns); err != nil {
			return err
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

// connect records a cluster until ctx is done. What can be refused by asking the
// cluster is refused before a directory is made.
func (s *session) connect(ctx context.Context, o connectOptions) (err error) {
	config, err := o.restConfig()
	if err != nil {
		return err
	}
	cluster, err := kube.Dial(ctx, config, o.reach)
	if err != nil {
		return interrupted(ctx, err)
	}
	var rights kube.Rights
	switch {
	case o.rollouts:
		rights, err = cluster.MayEnd(ctx, o.scope)
	case o.control:
		rights, err = cluster.MayControl(ctx, o.scope)
	}
	if err != nil {
		return interrupted(ctx, err)
	}
	s.lines = true
	world := kube.NewWorld(cluster, rights)
	o.Console, o.User, o.KeepAtEnd = s, actor(), !o.once
	o.Record = &instance.Record{Cluster: string(cluster.UID), Version: cluster.Version, World: world, Writer: world, Heard: world.Heard, Wake: world.Wake(),
		ReadOnly: fmt.Sprintf("this is a record of cluster %s: nothing can be changed here; write to %s", cluster.UID, cluster.Host)}
	if !o.shadow {
		o.Record.Ready, o.Record.Report = world.Ready, (&warner{warn: s.Warn}).report
	}
	if o.control {
		n := &noticer{story.NewNoticer(), cluster.NewNotices(), world}
		defer n.Shutdown()
		o.Follow = n.follow
	}
	d := &divergences{complete: world.Complete(), heard: world.Heard, warn: s.Warn}
	if o.shadow && !o.Metrics.None() {
		o.Follow, o.Record.Diverged = d.follow, d.tell
	}
	fresh := o.Data != "" && !exists(o.Data)
	in, err := instance.Start(ctx, o.Options)
	if err != nil {
		return interrupted(ctx, err)
	}
	d.of(in.State)
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
	ctx, failed := whole(ctx, in)
	defer failed(nil)
	if o.handBack != nil {
		var was *events.Charter
		in.State.Read(func(st *projector.State) { was = st.Charter() })
		if was == nil {
			return &events.Error{Code: "E-KUBE-CLUSTER", What: "the log is no record of a cluster", Where: in.Data, Why: "it is empty", Do: "give --data or --nats-url of the log by which connect --control has controlled it", Exit: events.ExitInput}
		}
		o.scope = was.Scope
	}
	epoch, since, err := s.charter(ctx, in, world.Cluster, o, o.begins(in))
	if err != nil {
		return err
	}
	o.rewound = true
	if o.handBack != nil {
		if err := o.handBack(ctx, in, world.Cluster); err != nil {
			return err
		}
	}
	cursors, err := stream.OpenKV(ctx, in.NC, in.Subjects, stream.KVOptions{Name: "cursors", Replicas: in.Log.Replicas(), Health: in.Log.Health})
	if err != nil {
		return err
	}
	w := &warner{warn: s.Warn}
	r := kube.New(kube.Config{World: world, Log: in.Log, Subjects: in.Subjects, Objects: in.State.Objects(), Cursors: cursors, Scope: o.scope, AllPods: o.pods == "all",
		Epoch: epoch, Since: since, Once: o.once, Report: w.report, Warn: s.Warn, UnderWay: underWay(in), Missed: missed(in)})
	s.recordBanner(in, world)
	told := make(chan struct{})
	go func() {
		defer close(told)
		select {
		case <-r.Synced():
			w.well()
			s.warnOfNamespaces(ctx, in, o.scope.Namespaces)
			s.out.printf("recording from #%d on: the log has what the cluster has\n", in.LastSeq())
			if in.Served.Kubeconfig != "" {
				s.out.printf("%s\n", instance.ExportLine(in.Served.Kubeconfig))
			}
		case <-ctx.Done():
		}
	}()
	if o.control {
		go func() { failed(partError{s.govern(ctx, in, world, o)}) }()
	}
	err = r.Run(ctx)
	select {
	case <-r.Synced(): // with --once it ends then
		<-told
	default:
	}
	if part := (partError{}); errors.As(context.Cause(ctx), &part) {
		err = part.error
	}
	if o.control {
		s.leave(ctx, in, world, o, err)
	}
	return err
}

// warnOfNamespaces names the namespaces of a scope that the cluster has not: one that is
// mistyped is never recorded, and nothing would say so.
func (s *session) warnOfNamespaces(ctx context.Context, in *instance.Instance, names []string) {
	if in.AwaitEnd(ctx) != nil {
		return // which ends the recording, too
	}
	for _, ns := range names {
		if in.State.Objects().Get(events.Namespace, events.Key{Name: ns}) == nil {
			s.Warn(fmt.Sprintf("the cluster has no namespace %s: until it has, nothing is recorded of it", ns))
		}
	}
}

// underWay returns what tells the commands of a log that are not answered.
func underWay(in *instance.Instance) func() []events.Cause {
	return func() (under []events.Cause) {
		in.State.Read(func(st *projector.State) { under = st.UnderWay() })
		return under
	}
}

// missed returns what tells the objects that a log did not take.
func missed(in *instance.Instance) func() []events.Ref {
	return func() (refs []events.Ref) {
		in.State.Read(func(st *projector.State) { refs = st.Missed() })
		return refs
	}
}

// begins is the mode with which a cluster is connected to: it is controlled only when it
// was taken over, which may have been before.
func (o *connectOptions) begins(in *instance.Instance) events.Mode {
	mode := o.mode()
	in.State.Read(func(st *projector.State) {
		if c := st.Charter(); mode == events.Control && (c == nil || c.Mode != events.Control) {
			mode = events.Shadow
		}
	})
	return mode
}

// charter sees to it that the log says what it is about from here on, and returns the
// epoch of the cluster, and where that began in the log.
func (s *session) charter(ctx context.Context, in *instance.Instance, cluster *kube.Cluster, o connectOptions, mode events.Mode) (epoch int, since events.Seq, err error) {
	var was *events.Charter
	in.State.Read(func(st *projector.State) { was = st.Charter() })
	c := events.Charter{Cluster: string(cluster.UID), Version: cluster.Version, Mode: mode, Scope: o.scope, Budget: events.BudgetUpstream}
	last, found, err := in.Log.Latest(ctx, in.Subjects.Charter())
	if err != nil {
		return 0, 0, err
	}
	if was != nil {
		if c.Epoch = was.Epoch; o.rewind && !o.rewound {
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
