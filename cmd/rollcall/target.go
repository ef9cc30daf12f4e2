package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/cmd/rollcall/instance"
	"rollcall/controller/replay"
	"rollcall/events"
	"rollcall/events/chain"
	"rollcall/events/keyframes"
	"rollcall/events/natsd"
	"rollcall/events/seal"
	"rollcall/events/stream"
	"rollcall/projector"
	"rollcall/publisher/gate"
)

// dataVariable names the data directory of commands that are not told another.
const dataVariable = "ROLLCALL_DATA"

// target says which cluster a command is about.
type target struct {
	data       string
	recs       []string // files of recordings
	natsURL    string
	natsCreds  string
	kubeconfig string
	context    string // of the kubeconfig; empty: the current one
	cluster    string
	keyFile    string // keys of the Secrets; empty: those that are kept with the cluster

	whole bool                                // a log in files is proved record by record, also where that was done
	dir   string                              // of the instance, if it is known
	user  string                              // of the NATS server, once it is reached
	rules *clientcmd.ClientConfigLoadingRules // of the kubeconfig that has named the cluster; nil: no kubeconfig has
	past  bool                                // that kubeconfig was written by rollcall open
}

// addTarget gives a command the flags that choose a cluster.
func addTarget(c *cobra.Command) *target {
	t := addLogTarget(c)
	c.Flags().StringVar(&t.kubeconfig, "kubeconfig", "", "kubeconfig that rollcall wrote for the cluster (default $KUBECONFIG)")
	return t
}

// addLogTarget is addTarget for a command that writes a kubeconfig.
func addLogTarget(c *cobra.Command) *target {
	t := &target{}
	f := c.Flags()
	f.StringVar(&t.data, "data", "", "data directory of the cluster (default $"+dataVariable+", else that of $KUBECONFIG, else of the only instance that runs)")
	f.StringVar(&t.natsURL, "nats-url", "", "NATS server of the cluster")
	f.StringVar(&t.natsCreds, "nats-creds", "", "credentials file for --nats-url")
	f.StringVar(&t.cluster, "cluster", "", "name of the cluster (default that of the data directory, else "+datadir.DefaultCluster+")")
	return t
}

// addRecording gives a command that reads a log the flag by which it reads that
// of a recording.
func (t *target) addRecording(c *cobra.Command) {
	c.Flags().StringArrayVar(&t.recs, "rec", nil, "recording to read instead of a cluster, as rollcall record export has made it; several, also with --data or --nats-url, are read as one log if they go on from each other")
}

// addKeyFile gives a command that opens Secrets the flag that names their keys.
func (t *target) addKeyFile(c *cobra.Command) {
	c.Flags().StringVar(&t.keyFile, "key-file", "", "file with the keys of the cluster's Secrets (default: secret.key of the data directory); without, hashes are shown for their values")
}

// keys returns the keys of the Secrets; nil: there are none.
func (t *target) keys() (*seal.Ring, error) {
	if t.keyFile == "" && t.data == "" && t.natsURL == "" {
		return nil, nil
	}
	kept, err := instance.KeyPath(t.data, t.natsURL, t.cluster)
	if err != nil && t.keyFile == "" {
		return nil, nil // a user without a home keeps none
	}
	return instance.KeysFor(t.keyFile, kept)
}

// named reports whether flags name a cluster or a recording.
func (t *target) named() bool {
	return t.data != "" || len(t.recs) > 0 || t.natsURL != "" || t.kubeconfig != ""
}

// resolve finds the cluster where it is not given: by $ROLLCALL_DATA, by
// $KUBECONFIG, or because only one instance runs.
func (t *target) resolve() error {
	given := [][2]string{{"--data", t.data}, {"--rec", strings.Join(t.recs, ", ")}, {"--nats-url", t.natsURL}, {"--kubeconfig", t.kubeconfig}}
	if len(t.recs) > 0 && (t.data != "" || t.natsURL != "") { // the log goes on from the recording
		given[1][1] = ""
	}
	given = slices.DeleteFunc(given, func(f [2]string) bool { return f[1] == "" })
	if len(given) > 1 {
		return usageError("E-CLI-FLAG", given[0][0]+" and "+given[1][0]+" exclude each other", "give one of them")
	}
	if len(given) == 0 {
		t.data = os.Getenv(dataVariable)
	}
	switch {
	case t.data != "" || t.natsURL != "" || len(t.recs) > 0:
	case t.kubeconfig != "" || os.Getenv(clientcmd.RecommendedConfigPathEnvVar) != "":
		if err := t.follow(t.kubeconfig); err != nil {
			return err
		}
		t.kubeconfig = "" // it has said all that it knows
	default:
		r, err := instance.Only()
		if err != nil {
			return err
		}
		t.take(r.Origin)
	}
	return t.identify()
}

// identify completes the name of the cluster, and refuses one that the data
// directory does not have.
func (t *target) identify() (err error) {
	of := ""
	if t.data != "" {
		t.dir = cmp.Or(t.dir, t.data)
		if of, err = datadir.ClusterOf(t.data); err != nil {
			return err
		}
	}
	t.cluster = cmp.Or(t.cluster, of, datadir.DefaultCluster)
	return datadir.CheckCluster(t.data, t.cluster)
}

// reach connects to the instance, or to the server that is named.
func (t *target) reach() (*nats.Conn, error) {
	if t.natsURL != "" {
		t.user = instance.NATSUser(t.natsURL, actor())
		return instance.Dial(t.natsURL, t.natsCreds)
	}
	c, err := natsd.Attach(t.data)
	if err != nil {
		return nil, err
	}
	t.user = c.User
	// An instance that has gone is not waited for: it may never come again, and
	// if it does, on another port.
	return c.Connect(nats.NoReconnect())
}

// serving returns the kubeconfig of the instance that runs on a target; it is
// empty if the target was named by a kubeconfig, which leads to the API already.
// runs is false if no instance runs: then there is a log to be read, and nothing
// more.
func (t *target) serving(ctx context.Context) (kubeconfig string, runs bool, err error) {
	kubeconfig, runs, err = t.found(ctx)
	if t.rules != nil && (runs || err != nil) { // the log may be on another machine
		return "", true, nil
	}
	return kubeconfig, runs, err
}

// found is serving for a target of which no more is known than where its log is.
func (t *target) found(ctx context.Context) (kubeconfig string, runs bool, err error) {
	if len(t.recs) > 0 {
		return "", false, nil
	}
	if t.data == "" {
		return t.askGate(ctx)
	}
	stopped, err := idle(t.data)
	if err != nil || stopped {
		return "", false, err
	}
	kubeconfig = filepath.Join(t.dir, datadir.KubeconfigFile)
	if !exists(kubeconfig) {
		return "", true, noPort(t.dir)
	}
	return kubeconfig, true, nil
}

// askGate is found for a log on a NATS server, where the gate knows it.
func (t *target) askGate(ctx context.Context) (kubeconfig string, runs bool, err error) {
	subjects, err := events.NewSubjects(t.cluster)
	if err != nil {
		return "", false, err
	}
	nc, err := t.reach()
	if err != nil {
		return "", false, err
	}
	defer nc.Close()
	info, err := gate.Ask(ctx, nc, subjects, t.user)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return "", false, nil
	case err != nil:
		return "", false, err
	case info.Kubeconfig == "":
		return "", true, noPort(instance.WithoutUser(t.natsURL))
	case !exists(info.Kubeconfig):
		return "", true, &events.Error{Code: "E-CLI-API", What: "the Kubernetes API is that of an instance on another machine", Where: info.API,
			Why: "its kubeconfig is " + info.Kubeconfig + " there", Do: "copy that file and give it with --kubeconfig, or read the log with rollcall kubectl --at now", Exit: events.ExitInput}
	}
	return info.Kubeconfig, true, nil
}

// noPort refuses to use an API that only the process of its instance can reach.
func noPort(where string) error {
	return &events.Error{Code: "E-CLI-API", What: "the Kubernetes API is not served", Where: where, Why: "the instance runs with --listen none",
		Do: "start rollcall up without it, or read the log with rollcall kubectl --at now", Exit: events.ExitInput}
}

// archive is the log of a cluster, opened to be read.
type archive struct {
	history
	checked *datadir.Checked // nil: an instance runs, which has checked its log, or it is a recording's
	rec     recordedLog      // those that it is read from; nil: none
	nc      *nats.Conn       // nil: nothing runs
	session *session
	dir     string
	close   func()

	subjects   events.Subjects // of the cluster; not set of a recording
	from       chain.Position  // before the first event of which the state is known; zero: there are all
	beginsWith keyframes.Frame // of that position, if it is kept beside the log
}

// open opens the log: a recording, over NATS if an instance runs, else straight
// from the data directory. The caller closes it.
func (t *target) open(ctx context.Context, s *session) (*archive, error) {
	if err := t.resolve(); err != nil {
		return nil, err
	}
	if len(t.recs) > 0 && t.data == "" && t.natsURL == "" {
		return t.openRecording(ctx, s)
	}
	a, err := t.openLog(ctx, s)
	if err != nil || len(t.recs) == 0 {
		return a, err
	}
	r, err := t.openRecording(ctx, s)
	if err == nil {
		closeLog := a.close
		a.close = func() {
			closeLog()
			r.close()
		}
		err = a.join(ctx, r.rec, r.dir)
	}
	if err != nil {
		a.close()
	}
	return a, err
}

// openLog is open but for recordings.
func (t *target) openLog(ctx context.Context, s *session) (*archive, error) {
	subjects, err := events.NewSubjects(t.cluster)
	if err != nil {
		return nil, err
	}
	a := &archive{session: s, dir: t.data, subjects: subjects}
	nc, err := t.reach()
	if err != nil && t.natsURL == "" {
		unreached := err
		err = a.openStopped(ctx, t, subjects)
		if errors.Is(err, natsd.ErrLocked) {
			err = unreached // an instance that does not listen, or not yet
		}
		return a, err
	}
	if err != nil {
		return nil, err
	}
	a.nc, a.close = nc, nc.Close
	if a.history, err = stream.Open(ctx, nc, subjects, stream.Options{Direct: true}); err == nil {
		err = a.findBegin(ctx)
	}
	if err != nil {
		a.close()
	}
	return a, err
}

// wait refuses to wait for what nobody will append.
func (a *archive) wait(flag string) error {
	if a.rec != nil {
		return usageError("E-CLI-FLAG", flag+" waits for what comes, and a recording has ended", "leave it out")
	}
	if a.checked == nil {
		return nil
	}
	return &events.Error{Code: "E-CLI-OFFLINE", What: "no instance is running on the data directory", Where: a.dir,
		Why: "nothing will be appended to its log", Do: "start it with rollcall up --data " + a.dir + ", or leave " + flag + " out", Exit: events.ExitInput}
}

// ended tells what the end of a tail means: nothing if the user has stopped it.
func (a *archive) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return a.lost(err)
}

// lost tells an error that comes of an instance that has gone from others.
func (a *archive) lost(err error) error {
	if err == nil || a.nc == nil || !a.nc.IsClosed() {
		return err
	}
	return &events.Error{Code: "E-CLI-GONE", What: "the instance has stopped", Where: a.dir, Do: "start it again with rollcall up",
		Exit: events.ExitFailure, Err: err}
}

// fold returns the state at an instant, and where that is.
func (a *archive) fold(ctx context.Context, at replay.Instant) (*projector.State, replay.Moment, error) {
	st, err := a.Begin(ctx)
	if err != nil {
		return nil, replay.Moment{}, err
	}
	m, err := a.foldUntil(ctx, at, st.Seq(), func(e events.Event) { projector.Fold(st, e) })
	return st, m, err
}
