package instance

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/projector/apiserver"
	"rollcall/projector/apiserver/netlimit"
	"rollcall/publisher/gate"
)

// API says where the Kubernetes API is served, and who is told of it.
type API struct {
	Address     Address // the zero one: only clients in the process reach it
	Sticks      bool    // the port is that of the run before, if it is free
	Kubeconfigs Kubeconfigs
	MaxWatches  int // that may be open at once; 0: as memory allows
}

// Served is a Kubernetes API that answers.
type Served struct {
	URL         string // empty: the API has no port
	also        string // the other addresses, for the banner
	token       string // the file of the admin's token
	exposed     string // the file of the token that keeps other machines off; empty: they cannot reach the API
	context     string // in kubeconfigs
	Kubeconfig  string // the file to use; empty: the API has no port
	merged      string // the kubeconfig that the context was merged into; empty: none
	ca          string // the file of the CA with its key; empty: the API has no port
	rootCA      []byte // its certificate
	clusterInfo string // kubeconfig without a user, for nodes that join
	Server      *apiserver.Server
	metrics     string // where they are told without a token; empty: nowhere
	reads       bool   // its events can be read and not be told
}

// Open takes the address, makes the credentials in dir and writes the
// kubeconfigs. The server that c becomes has yet to run. Without an address only
// clients in this process reach it.
func (o API) Open(dir, name string, c apiserver.Config) (_ *Served, err error) {
	a := &Served{context: contextPrefix + name, merged: o.Kubeconfigs.merge}
	if !o.Address.None() {
		if err := o.expose(dir, a, &c); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				_ = c.Listener.Close() // nothing came through it
			}
		}()
	}
	if c.MaxWatches = o.MaxWatches; c.MaxWatches == 0 {
		c.MaxWatches = watchLimit(memoryThere())
	}
	if a.Server, err = apiserver.New(c); err != nil {
		return nil, fmt.Errorf("prepare the Kubernetes API: %w", err)
	}
	return a, nil
}

// expose gives a server an address, credentials in dir and kubeconfigs.
func (o API) expose(dir string, a *Served, c *apiserver.Config) (err error) {
	hosts, err := o.Address.hosts()
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
	a.URL = o.Address.serverURL(l.Addr().(*net.TCPAddr))
	if o.Address.everywhere() {
		a.also = " and every other address of this machine"
	}
	if a.token, err = filepath.Abs(filepath.Join(dir, tokenFile)); err != nil {
		return err
	}
	a.ca, a.rootCA = filepath.Join(dir, caFile), cred.ca
	if a.clusterInfo, err = clusterInfo(o.Address.outsideURL(l.Addr().(*net.TCPAddr)), cred.ca); err != nil {
		return err
	}
	if !o.Address.loopback() {
		a.exposed = filepath.Join(dir, tokenFile)
	}
	a.Kubeconfig, err = o.Kubeconfigs.write(dir, access{name: a.context, url: a.URL, ca: cred.ca, token: cred.token})
	if err != nil {
		_ = l.Close() // nothing came through it
		return err
	}
	c.KubeletClient, c.Accounts = cred.kubelet, cred.account
	c.Listener, c.Cert, c.Key, c.CA, c.Token, c.Connections = l, cred.serving, cred.serving, cred.ca, cred.token, netlimit.ForFiles(openFiles())
	return nil
}

// Lines are what a banner says of the API.
func (a *Served) Lines() string {
	metrics := ""
	if a.metrics != "" {
		metrics = fmt.Sprintf("  Metrics  %s\n", a.metrics)
	}
	if a.URL == "" {
		return metrics
	}
	text := fmt.Sprintf("  API      %s%s  kubeconfig in %s\n", a.URL, a.also, a.Kubeconfig)
	method := http.MethodPost
	if a.reads {
		method = http.MethodGet
	}
	text += fmt.Sprintf("  Events   %s %s%s  token in %s\n", method, a.URL, gate.EventsPath, a.token)
	if a.exposed != "" {
		text += fmt.Sprintf("  Warning  other machines can reach the API: whoever has the token in %s may do everything\n", a.exposed)
	}
	if a.merged != "" {
		text += fmt.Sprintf("  Context  %s, merged into %s as the current one\n", a.context, a.merged)
	}
	return text + metrics
}

// serve starts the Kubernetes API of an instance and waits until it answers.
func (in *Instance) serve(ctx context.Context) (err error) {
	o := in.Options
	if !o.API.Address.None() {
		if in.dir, err = in.apiDir(); err != nil {
			return err
		}
	}
	o.API.Kubeconfigs.Origin = in.origin()
	done := o.Console.Progress("starting the Kubernetes API", nil)
	defer done()
	c, err := in.apiConfig(ctx)
	if err != nil {
		return err
	}
	if in.Served, err = o.API.Open(in.dir, o.Cluster, c); err != nil {
		return err
	}
	in.Served.reads = in.Record != nil
	close(in.opened)
	Reached("API made")
	in.launch(in.Served.Server.Run)
	select {
	case <-in.Served.Server.Ready():
		return nil
	case err := <-in.failure:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// apiDir returns the directory of the API's credentials: the data directory, or a
// temporary one if the log is on somebody else's server.
func (in *Instance) apiDir() (string, error) {
	if in.Server != nil {
		return in.Server.Dir(), nil
	}
	dir, err := MakeTemp()
	if err != nil {
		return "", fmt.Errorf("make a directory for the kubeconfig: %w", err)
	}
	in.stops = append(in.stops, func() error { return os.RemoveAll(dir) })
	return dir, nil
}

// forgetAPI removes the kubeconfig of a run that had the API.
func forgetAPI(dir string) { _ = os.Remove(filepath.Join(dir, datadir.KubeconfigFile)) }
