package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/cmd/rollcall/instance"
	"rollcall/cmd/rollcall/manifest"
	"rollcall/events"
	"rollcall/events/natsd"
	"rollcall/publisher/envelope"
	"rollcall/publisher/simkubelet"
)

// maxNodes bounds the nodes of one simulated cluster.
const maxNodes = 100_000

// Bounds and defaults of the deadline after which a rollout counts as stalled.
const (
	deadline     = 10 * time.Minute
	deadlineOnce = 30 * time.Second
	longestWait  = 365 * 24 * time.Hour
)

// upOptions are the flags of up.
type upOptions struct {
	instance.Options
	manifests  manifest.Sources
	durability string
	once       bool
	deadline   time.Duration
	rate       int
	api        apiOptions
	dns        string
	ranges     rangeFlags
	uiFlag     string
	ui         instance.Address // of the page
	scene      *scene           // that a demo has played; nil: it is none
	speed      float64          // of the scene

	annotations map[string]string // for DaemonSets of the manifests that do not have them
}

// upRun is an up that has started.
type upRun struct {
	*instance.Instance
	up   upOptions
	kept bool // the temporary log outlives it
}

// upCommand makes the command; with sets what it has no flags for.
func (s *session) upCommand(with func(*upOptions)) *cobra.Command {
	o := upOptions{Options: instance.Options{Delays: simkubelet.DefaultOptions()}}
	with(&o)
	c := &cobra.Command{Use: "up", Short: "Run a cluster: NATS, nodes, controller, and what the manifests say", Args: takes(0, 0),
		Long: `up runs everything in one process: an embedded NATS JetStream with the log,
simulated nodes, the controller and the executor. It applies the manifests, shows
the rollout, and stays until it is stopped; with --once until every DaemonSet is
rolled out (exit 0) or stalled (exit 3).

It serves the Kubernetes API to any kubectl, on a loopback address chosen by the
system or on that of --listen, and prints the line that points kubectl at it
when the nodes and what the manifests say are there.
With --once it has a port only if --listen or --kubeconfig is given; what is in
the same process does not need one.

With --data the log is kept, and the next up on the same directory goes on from
it. Without, it is deleted at the end, unless up has failed: then it says where
the log is, and how to read it.`,
		Example: `  rollcall up --nodes 50 -f example:fluentd
  rollcall up --data ./cluster -f example:nginx --once`,
		RunE: func(c *cobra.Command, _ []string) error {
			o.NodesGiven = c.Flags().Changed("nodes")
			if err := o.check(c); err != nil {
				return err
			}
			if err := logKubernetes(o.api.verbosity); err != nil {
				return err
			}
			return s.up(c.Context(), o)
		}}
	f := c.Flags()
	f.IntVar(&o.Nodes, "nodes", 3, "simulated nodes of a new cluster")
	f.StringArrayVarP(&o.manifests.Files, "filename", "f", nil, "manifest to apply: a file, a directory, a URL, - for standard input, or an example such as "+manifest.ExamplePrefix+"fluentd; may be given several times")
	f.StringVarP(&o.manifests.Kustomize, "kustomize", "k", "", "directory with a kustomization to apply")
	f.BoolVarP(&o.manifests.Recursive, "recursive", "R", false, "read the directories below those of --filename too")
	f.StringVarP(&o.manifests.Namespace, "namespace", "n", "", "namespace of objects that name none (default \"default\")")
	f.StringVar(&o.Data, "data", "", "directory that keeps the log (default: a temporary one, deleted at the end if nothing fails)")
	f.BoolVar(&o.Memory, "memory", false, "keep the log in memory only")
	f.StringVar(&o.durability, "durability", "", "sync: every write survives a power cut; relaxed: the last two minutes may be lost (default sync with --data, else relaxed)")
	f.BoolVar(&o.once, "once", false, "end when every DaemonSet is rolled out or stalled")
	f.StringVar(&o.NATSListen, "nats-listen", "127.0.0.1:0", "loopback address of the embedded NATS server, or none")
	f.StringSliceVar(&o.NATSUsers, "nats-user", nil, "who else than you gets credentials of the embedded NATS server, in connection-NAME.json")
	f.StringVar(&o.NATSURL, "nats-url", "", "use this NATS server instead of the embedded one; several of a cluster with commas between them")
	f.IntVar(&o.Replicas, "replicas", 0, "servers of --nats-url that keep the log, 1 to 5; what exists is raised, never lowered (default 3 where there are three, else 1)")
	f.StringVar(&o.NATSCreds, "nats-creds", "", "credentials file for --nats-url")
	f.StringVar(&o.KeyFile, "key-file", "", "file with the keys of the cluster's Secrets (default: secret.key of the data directory, which is made)")
	f.BoolVar(&o.NewKey, "new-key", false, "seal Secrets with a new key from now on; what is sealed with one that is gone stays unreadable")
	f.StringVar(&o.Cluster, "cluster", "", "name of the cluster (default that of the data directory, else "+datadir.DefaultCluster+")")
	f.Int64Var(&o.Seed, "seed", 1, "of what is simulated: the same seed gives the same nodes and delays")
	addDelays(f, &o.Delays)
	f.DurationVar(&o.deadline, "progress-deadline", deadline, "a rollout without progress for so long is stalled; with --once 30s if not given")
	f.StringSliceVar(&o.Controllers, "controllers", []string{"*"}, instance.ControllersUsage())
	f.IntVar(&o.rate, "max-creates-per-second", 0, "limit on the pods that a DaemonSet creates (default: none)")
	f.IntVar(&o.EventBytes, "max-event-bytes", envelope.Default.Bytes, "bytes that one message to the gate may have")
	o.addNetwork(f)
	f.StringVar(&o.uiFlag, "ui", uiListen, "loopback address of the page over the log, or none (with --once none if not given)")
	addAPIFlags(c, &o.api)
	return c
}

// check refuses what cannot be, and completes what depends on other flags.
func (o *upOptions) check(c *cobra.Command) error {
	given := c.Flags().Changed
	o.Delays.Seed = o.Seed
	if err := within("nodes", int64(o.Nodes), 0, maxNodes); err != nil {
		return err
	}
	if err := within("max-event-bytes", int64(o.EventBytes), 1<<10, events.MaxMessage); err != nil {
		return err
	}
	for _, image := range o.Delays.Pulled {
		if err := simkubelet.CheckImage(image); err != nil {
			return usageError("E-CLI-FLAG", fmt.Sprintf("--pulled cannot be %q: %v", image, err), "name an image as the manifests do")
		}
	}
	if err := o.nameCluster(); err != nil {
		return err
	}
	for _, pair := range [][2]string{{"kustomize", "filename"}, {"memory", "data"}, {"memory", "nats-url"}, {"data", "nats-url"}, {"nats-listen", "nats-url"}, {"nats-user", "nats-url"}, {"durability", "nats-url"}, {"new-key", "key-file"}} {
		if given(pair[0]) && given(pair[1]) {
			return usageError("E-CLI-FLAG", fmt.Sprintf("--%s and --%s exclude each other", pair[0], pair[1]), "give one of them")
		}
	}
	if given("data") && strings.TrimSpace(o.Data) == "" {
		return &events.Error{Code: "E-CLI-STORE", What: "the data directory has no name", Where: "--data", Do: "name a directory", Exit: events.ExitInput}
	}
	if given("nats-creds") && !given("nats-url") {
		return usageError("E-CLI-FLAG", "--nats-creds is for --nats-url", "give both, or neither")
	}
	if given("replicas") {
		if !given("nats-url") {
			return usageError("E-CLI-FLAG", "--replicas is for --nats-url", "give both, or neither: the embedded server is one")
		}
		if err := within("replicas", int64(o.Replicas), 1, instance.MaxReplicas); err != nil {
			return err
		}
	}
	if err := o.checkDurability(); err != nil {
		return err
	}
	if err := cmp.Or(o.checkLimits(given), o.checkUI(given)); err != nil {
		return err
	}
	return o.checkAPI(given)
}

// nameCluster names the cluster as every command does: that of the data directory,
// if none is given.
func (o *upOptions) nameCluster() error {
	of := ""
	if o.Data != "" && o.Cluster == "" {
		var err error
		if of, err = datadir.ClusterOf(o.Data); err != nil {
			return err
		}
	}
	o.Cluster = cmp.Or(o.Cluster, of, datadir.DefaultCluster)
	_, err := events.NewSubjects(o.Cluster)
	return err
}

// checkAPI decides whether the API has a port. With --once there is hardly time
// to use it from outside, so it has to be asked for.
func (o *upOptions) checkAPI(given func(string) bool) (err error) {
	if o.Controllers, err = instance.ResolveControllers(o.Controllers); err != nil {
		return err
	}
	if o.Services, err = o.ranges.parse(); err != nil {
		return err
	}
	if o.DNS, err = instance.ParseDNS(o.dns); err == nil {
		err = o.DNS.Probe()
	}
	if err != nil {
		return err
	}
	if o.once && !given("listen") && !given("kubeconfig") && !given("merge-kubeconfig") {
		o.api.listen = instance.NoListen
	}
	return o.api.check(given)
}

func (o *upOptions) checkDurability() error {
	if o.durability == "" {
		o.durability = "relaxed"
		if o.Data != "" {
			o.durability = "sync"
		}
	}
	switch o.durability {
	case "sync":
		o.Durability = natsd.Sync
	case "relaxed":
		o.Durability = natsd.Relaxed
	default:
		return &events.Error{Code: "E-CLI-FLAG", What: fmt.Sprintf("unknown durability %q", o.durability), Where: "--durability",
			Do: "give sync or relaxed", Exit: events.ExitInput}
	}
	return nil
}

// checkLimits turns the limits of rollouts into annotations of DaemonSets,
// where the controller reads them.
func (o *upOptions) checkLimits(given func(string) bool) error {
	o.annotations = map[string]string{}
	if o.once && !given("progress-deadline") {
		o.deadline = deadlineOnce
	}
	if o.deadline < time.Second || o.deadline > longestWait || o.deadline%time.Second != 0 {
		return &events.Error{Code: "E-CLI-DURATION", What: fmt.Sprintf("%s cannot be a deadline", o.deadline), Where: "--progress-deadline",
			Do: "give whole seconds, 1s to 8760h", Exit: events.ExitInput}
	}
	if o.once || given("progress-deadline") {
		o.annotations[events.AnnotationDeadline] = fmt.Sprint(int(o.deadline / time.Second))
	}
	if given("max-creates-per-second") {
		if err := within("max-creates-per-second", int64(o.rate), 1, maxNodes); err != nil {
			return err
		}
		o.annotations[events.AnnotationRate] = fmt.Sprint(o.rate)
	}
	return nil
}

// up runs an instance until ctx is done, something in it fails, or with --once
// the rollouts have ended. What can be refused without the cluster is refused
// before anything is started; what the cluster refuses, before anything is made.
func (s *session) up(ctx context.Context, o upOptions) error {
	began := time.Now()
	instance.Reached("begun")
	o.manifests.Stdin = s.in
	docs, err := manifest.Read(ctx, o.manifests)
	if err != nil {
		return err
	}
	manifest.Annotate(docs, o.annotations)
	v := newViewer(s.out)
	signalled := ctx
	s.lines = true // somebody may look after a service in its journal
	o.Console, o.Follow, o.Begun = s, v.follow, func(last events.Seq) { v.from = last }
	o.User, o.API, o.Patience, o.KeepAtEnd = actor(), o.api.API, o.deadline, o.once
	fresh := o.Data != "" && !exists(o.Data)
	started, err := instance.Start(ctx, o.Options)
	if err != nil {
		return stopped(o, interrupted(signalled, err))
	}
	in := &upRun{Instance: started, up: o}
	ctx, failed := whole(ctx, started)
	defer failed(nil)
	apply, err := in.rehearse(ctx, s, docs)
	if isRefusal(err) && (fresh || o.Data == "" && in.Server != nil) {
		return s.unmake(in, fresh, err)
	}
	if err == nil {
		err = s.work(ctx, in, o, apply, v)
	}
	if part := (partError{}); errors.As(context.Cause(ctx), &part) {
		err = part.error
	}
	if err == nil {
		s.printSummary(in, v, began)
	}
	err = in.keep(stopped(o, interrupted(signalled, err)))
	return errors.Join(err, in.Stop(), s.farewell(in))
}

// isRefusal reports whether the cluster has refused a manifest.
func isRefusal(err error) bool {
	var e *events.Error
	return errors.As(err, &e) && e.Exit == events.ExitInput
}

// unmake leaves nothing of an instance whose manifests are refused and that has
// made its log itself.
func (s *session) unmake(in *upRun, fresh bool, refusal error) error {
	stopped := in.Stop()
	if fresh && stopped == nil {
		stopped = os.RemoveAll(in.Data)
	}
	return errors.Join(refusal, stopped)
}

// partError is why a part of an instance has ended by itself.
type partError struct{ error }

// stopped takes the end that up has without --once for none: it was stopped.
func stopped(o upOptions, err error) error {
	if errors.Is(err, context.Canceled) && !o.once {
		return nil
	}
	return err
}

// rehearse asks the cluster what it says to the manifests.
func (in *upRun) rehearse(ctx context.Context, s *session, docs []*manifest.Document) (*manifest.Applier, error) {
	if len(docs) == 0 {
		return &manifest.Applier{}, nil
	}
	a, err := manifest.NewApplier(in.LoopbackAs(actor()), in.up.manifests.Namespace, docs, s.Warn)
	if err != nil {
		return nil, err
	}
	return a, a.Rehearse(ctx)
}

// work founds the cluster, applies the manifests and watches.
func (s *session) work(ctx context.Context, in *upRun, o upOptions, todo *manifest.Applier, v *viewer) error {
	link, closePage, err := in.page(ctx, s)
	if err != nil {
		return err
	}
	defer closePage()
	s.banner(in, link)
	instance.Reached("banner")
	if err := in.Found(ctx); err != nil {
		return err
	}
	if err := todo.Apply(ctx, s.Print); err != nil {
		return err
	}
	if err := in.AwaitEnd(ctx); err != nil {
		return err
	}
	if in.Served.Kubeconfig != "" {
		s.out.printf("%s\n", instance.ExportLine(in.Served.Kubeconfig))
	}
	instance.Reached("working")
	watching, stop := context.WithCancel(ctx)
	defer stop()
	defer in.stage(watching, s)()
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		v.run(watching, in.Instance)
	}()
	if o.once {
		err = in.Settled(ctx, v.changed)
	} else {
		<-ctx.Done()
		err = ctx.Err()
	}
	stop()
	<-shown
	return err
}

// actor returns the name of the user, to be told with what was done.
func actor() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// interrupted returns the end of ctx in place of what it has brought about: a
// start that is stopped fails in as many ways as it has steps. A refusal stays
// what it is, whenever somebody lost patience.
func interrupted(ctx context.Context, err error) error {
	var e *events.Error
	if err == nil || ctx.Err() == nil || errors.As(err, &e) && e.Exit != events.ExitFailure {
		return err
	}
	return ctx.Err()
}

// whole returns a context that ends when a part of an instance fails, with why.
func whole(ctx context.Context, in *instance.Instance) (context.Context, context.CancelCauseFunc) {
	ctx, failed := context.WithCancelCause(ctx)
	go func() {
		select {
		case err := <-in.Failed():
			failed(partError{err})
		case <-ctx.Done():
		}
	}()
	return ctx, failed
}
