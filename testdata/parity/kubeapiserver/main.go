// Command kubeapiserver is a whole kube-apiserver 1.36.3 with its etcd in one
// process, on loopback ports chosen by the system, with the flags that kubeadm
// gives it: what rollcall is measured against.
//
//	kubeapiserver DIR
//
// It keeps everything in DIR, writes DIR/kubeconfig, prints a line "export
// KUBECONFIG=..." as soon as it is ready, and ends on SIGTERM.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: kubeapiserver DIR")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "kubeapiserver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string) error {
	etcd, err := startEtcd(filepath.Join(dir, "etcd"))
	if err != nil {
		return err
	}
	defer etcd.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s, err := serverOptions(dir, listener, "http://"+etcd.Clients[0].Addr().String())
	if err != nil {
		return err
	}
	completed, err := s.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return utilerrors.NewAggregate(errs)
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	go announce(ctx, dir, listener.Addr().String())
	return app.Run(ctx, completed)
}

func startEtcd(dir string) (*embed.Etcd, error) {
	anyPort := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	c := embed.NewConfig()
	c.Dir, c.LogLevel, c.UnsafeNoFsync = dir, "error", true
	c.ListenClientUrls, c.AdvertiseClientUrls = anyPort, anyPort
	c.ListenPeerUrls, c.AdvertisePeerUrls = anyPort, anyPort
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	e, err := embed.StartEtcd(c)
	if err != nil {
		return nil, err
	}
	select {
	case <-e.Server.ReadyNotify():
		return e, nil
	case err := <-e.Err():
		return nil, err
	}
}

const token = "parity"

// serverOptions are the flags that kubeadm writes, but for addresses and for
// the certificates of its users: who asks is in a file of tokens.
func serverOptions(dir string, listener net.Listener, etcd string) (*options.ServerRunOptions, error) {
	tokens, key := filepath.Join(dir, "tokens"), filepath.Join(dir, "serviceaccount.key")
	if err := os.WriteFile(tokens, []byte(token+",admin,,system:masters\n"), 0o600); err != nil {
		return nil, err
	}
	pem, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		return nil, err
	}
	if err := keyutil.WriteKey(key, pem); err != nil {
		return nil, err
	}
	s := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	sets := s.Flags()
	for _, name := range sets.Order {
		flags.AddFlagSet(sets.FlagSets[name])
	}
	err = flags.Parse([]string{
		"--etcd-servers=" + etcd,
		"--cert-dir=" + dir,
		"--bind-address=127.0.0.1",
		"--token-auth-file=" + tokens,
		"--allow-privileged=true",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--enable-bootstrap-token-auth=true",
		"--service-cluster-ip-range=10.96.0.0/12",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + key,
		"--service-account-signing-key-file=" + key,
	})
	if err != nil {
		return nil, err
	}
	s.SecureServing.Listener = listener
	s.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	s.SecureServing.ExternalAddress = net.IPv4(127, 0, 0, 1)
	return s, s.GenericServerRunOptions.ComponentGlobalsRegistry.Set()
}

// announce writes the kubeconfig and says so, once the server calls itself
// ready: its own post-start hooks create namespaces and priority classes.
func announce(ctx context.Context, dir, address string) {
	config := &rest.Config{
		Host: "https://" + address, BearerToken: token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(dir, "apiserver.crt")},
	}
	client, err := rest.HTTPClientFor(config)
	for ; ctx.Err() == nil; client, err = rest.HTTPClientFor(config) {
		if err == nil && ready(ctx, client, config.Host) {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	c := clientcmdapi.NewConfig()
	c.Clusters["parity"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthority: config.CAFile}
	c.AuthInfos["admin"] = &clientcmdapi.AuthInfo{Token: token}
	c.Contexts["parity"] = &clientcmdapi.Context{Cluster: "parity", AuthInfo: "admin"}
	c.CurrentContext = "parity"
	if err := clientcmd.WriteToFile(*c, kubeconfig); err != nil {
		fmt.Fprintln(os.Stderr, "kubeapiserver:", err)
		return
	}
	fmt.Printf("export KUBECONFIG=%s\n", kubeconfig)
}

func ready(ctx context.Context, client *http.Client, host string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, host+"/readyz", nil)
	if err != nil {
		return false
	}
	answer, err := client.Do(request)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
