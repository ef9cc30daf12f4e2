package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/projector/apiserver"
)

// apiOptions are the flags of a command that serves the Kubernetes API.
type apiOptions struct {
	listen     string
	kubeconfig string
	merge      bool
	verbosity  int
	watches    int // that may be open at once; 0: as memory allows

	address apiAddress
	sticks  bool // the port is that of the run before, if it is free
	targets kubeconfigs
}

func addAPIFlags(c *cobra.Command, o *apiOptions) {
	f := c.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the Kubernetes API, with TLS and a token; none: it is not served")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "file that tells kubectl how to reach it (default: one beside the data)")
	f.BoolVar(&o.merge, "merge-kubeconfig", false, "add it to --kubeconfig, $KUBECONFIG or ~/.kube/config instead, as the current context")
	f.IntVar(&o.watches, "max-watches", 0, "watches and followed logs that may be open at once (default: an eighth of memory, at 512 KiB each)")
	f.IntVar(&o.verbosity, "v", -1, "show the log of Kubernetes' libraries on standard error, at this level (default: not)")
}

// check refuses an address that cannot be served, and files that should not be
// written.
func (o *apiOptions) check(given func(string) bool) (err error) {
	if o.address, err = parseListen(o.listen); err != nil {
		return err
	}
	if given("v") {
		if err := within("v", int64(o.verbosity), 0, 10); err != nil {
			return err
		}
	}
	if given("max-watches") {
		if err := within("max-watches", int64(o.watches), 1, maxWatches); err != nil {
			return err
		}
	} else {
		o.watches = watchLimit(memoryThere())
	}
	o.sticks = !given("listen")
	if o.address.none() {
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
	o.targets = kubeconfigTargets(o.kubeconfig, o.merge, os.Getenv(clientcmd.RecommendedConfigPathEnvVar), home)
	if err := o.targets.check(); err != nil {
		return err
	}
	return o.address.probe()
}

// maxWatches is the greatest bound that --max-watches takes.
const maxWatches = 1_000_000

// served is a Kubernetes API that answers.
type served struct {
	url        string // empty: it has no port
	also       string // where else
	exposed    string // the token that keeps other machines off; empty: they cannot reach it
	context    string
	kubeconfig string // empty: it has no port
	merged     string // the kubeconfig that has got the context, if one has
	server     *apiserver.Server
}

// open takes the address, makes the credentials in dir and writes the
// kubeconfigs. The server that c becomes has yet to run. Without an address only
// clients in this process reach it.
func (o apiOptions) open(dir, name string, c apiserver.Config) (_ *served, err error) {
	a := &served{context: contextPrefix + name, merged: o.targets.merge}
	if !o.address.none() {
		if err := o.expose(dir, a, &c); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				_ = c.Listener.Close() // nothing came through it
			}
		}()
	}
	c.MaxWatches = o.watches
	if a.server, err = apiserver.New(c); err != nil {
		return nil, fmt.Errorf("prepare the Kubernetes API: %w", err)
	}
	return a, nil
}

// expose gives a server an address, credentials in dir and kubeconfigs.
func (o apiOptions) expose(dir string, a *served, c *apiserver.Config) (err error) {
	hosts, err := o.address.hosts()
	if err != nil {
		return err
	}
	cred, err := ensureCredentials(dir, hosts, time.Now())
	if err != nil {
		return err
	}
	l, err := o.listener(dir)
	if err != nil {
		return err
	}
	a.url = o.address.serverURL(l.Addr().(*net.TCPAddr))
	if o.address.everywhere() {
		a.also = " and every other address of this machine"
	}
	if !o.address.loopback() {
		a.exposed = filepath.Join(dir, tokenFile)
	}
	a.kubeconfig, err = o.targets.write(dir, access{name: a.context, url: a.url, ca: cred.ca, token: cred.token})
	if err != nil {
		return firstError(err, l.Close())
	}
	c.Listener, c.Cert, c.Key, c.CA, c.Token, c.Connections = l, cred.cert, cred.key, cred.ca, cred.token, connectionLimits()
	return nil
}

// lines are what a banner says of the API.
func (a *served) lines() string {
	if a.url == "" {
		return ""
	}
	text := fmt.Sprintf("  API      %s%s  kubeconfig in %s\n", a.url, a.also, a.kubeconfig)
	if a.exposed != "" {
		text += fmt.Sprintf("  Warning  other machines can reach the API: whoever has the token in %s may do everything\n", a.exposed)
	}
	if a.merged != "" {
		text += fmt.Sprintf("  Context  %s, merged into %s as the current one\n", a.context, a.merged)
	}
	return text
}

// serve starts the Kubernetes API of an instance and waits until it answers.
func (in *instance) serve(ctx context.Context, s *session) (err error) {
	o := in.options
	if !o.api.address.none() {
		if in.dir, err = in.apiDir(); err != nil {
			return err
		}
	}
	o.api.targets.origin = in.origin()
	done := s.progress("starting the Kubernetes API", nil)
	defer done()
	c, err := in.apiConfig(ctx)
	if err != nil {
		return err
	}
	if in.api, err = o.api.open(in.dir, o.cluster, c); err != nil {
		return err
	}
	reached("API made")
	in.launch(in.api.server.Run)
	select {
	case <-in.api.server.Ready():
		return nil
	case err := <-in.failure:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// apiDir is the directory of the credentials: that of the data, if there is one.
func (in *instance) apiDir() (string, error) {
	if in.server != nil {
		return in.server.Dir(), nil
	}
	dir, err := makeTemp()
	if err != nil {
		return "", fmt.Errorf("make a directory for the kubeconfig: %w", err)
	}
	in.stops = append(in.stops, func() error { return os.RemoveAll(dir) })
	return dir, nil
}

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

// forgetAPI removes the kubeconfig of a run that had the API.
func forgetAPI(dir string) { _ = os.Remove(filepath.Join(dir, datadir.KubeconfigFile)) }
