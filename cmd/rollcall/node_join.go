package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"rollcall/cmd/rollcall/instance"
	"rollcall/events"
	"rollcall/events/files"
	"rollcall/projector/apiserver"
	"rollcall/projector/dns"
)

// Files of a directory by which a kubelet joins.
const (
	joinKubeconfig = "kubeconfig"           // with a certificate of the node
	joinBootstrap  = "bootstrap-kubeconfig" // with a token, for which a certificate is given
	joinAuthority  = "ca.crt"
	joinConfig     = "kubelet.yaml"
)

// joinHome is where the directory is on the host, in the commands that are printed.
const joinHome = "/etc/rollcall"

// kubeletConfig returns the configuration of a kubelet that joins, as kubeadm writes it
// but for what follows from certificates of the data directory. Paths in it
// are relative to it.
func kubeletConfig(nameServer string) string {
	return `# Written by rollcall node join. What this host needs besides goes into
# *.conf files of a directory that kubelet is given with --config-dir.
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous:
    enabled: false
  webhook:
    enabled: true
  x509:
    clientCAFile: ` + joinAuthority + `
authorization:
  mode: Webhook
cgroupDriver: systemd
clusterDNS:
- ` + nameServer + `
clusterDomain: cluster.local
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
rotateCertificates: true
`
}

// joining is a kubelet that is to join.
type joining struct {
	name, dir string
	server    string // URL of the API as the host reaches it; empty: as it is reached here
	token     string // by which the kubelet asks for its certificate; empty: it is given one
	expires   time.Duration

	nameServer string // of its pods
}

func (s *session) nodeJoin() *cobra.Command {
	var j joining
	c := &cobra.Command{Use: "join NAME [DIR]", Short: "Let a kubelet join: write what it needs into a directory", Args: takes(1, 2),
		Long: `join makes a directory (NAME, if DIR is not given) with which the stock kubelet of Kubernetes
joins the cluster as the node NAME, and prints the commands to type: ca.crt, kubelet.yaml and
a kubeconfig with a client certificate of the node, which the kubelet renews by itself. With
--token there is a bootstrap-kubeconfig instead, and the kubelet asks for its certificate.

The host needs a container runtime, such as containerd, and has to reach the API: up
--listen names an address that other machines reach. Whoever has the directory is the node.`,
		Example: `  rollcall node join host-1
  rollcall node join host-2 ./host-2 --server https://192.0.2.10:6443`}
	t := addTarget(c)
	f := c.Flags()
	f.StringVar(&j.server, "server", "", "URL at which the host reaches the API (default: that of the data directory's kubeconfig)")
	f.StringVar(&j.token, "token", "", "token of rollcall token create by which the kubelet asks for its certificate")
	f.DurationVar(&j.expires, "expires", 365*24*time.Hour, "how long the first certificate is good")
	c.RunE = func(c *cobra.Command, args []string) error {
		names, err := nodeNames(args[:1])
		if err != nil {
			return err
		}
		j.name, j.dir = names[0], names[0]
		if len(args) > 1 {
			j.dir = args[1]
		}
		return s.join(c.Context(), t, &j)
	}
	return c
}

// join makes the directory of a node of a cluster, and prints what to type.
func (s *session) join(ctx context.Context, t *target, j *joining) error {
	if err := j.check(); err != nil {
		return err
	}
	client, err := t.client(ctx)
	if err != nil {
		return err
	}
	if err := t.resolve(); err != nil {
		return err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, j.name, metav1.GetOptions{})
	if err == nil && (node.Labels[events.LabelSimulated] == "true" || node.Labels[events.LabelSource] != "") {
		return alreadyExists(j.name)
	}
	if t.dir == "" {
		return &events.Error{Code: "E-CLI-API", What: "the CA of the instance is in its data directory, which is not known here",
			Do: "give it with --data, on the machine of the instance", Exit: events.ExitInput}
	}
	if err := letNodesJoin(ctx, client); err != nil {
		return refused(err, "", nil)
	}
	j.nameServer = dns.DefaultNameServer
	if s, err := client.CoreV1().Services(metav1.NamespaceSystem).Get(ctx, "kube-dns", metav1.GetOptions{}); err == nil {
		j.nameServer = s.Spec.ClusterIP
	}
	kubeconfig, _, err := instance.UserKubeconfig(t.dir, instance.User{Name: "system:node:" + j.name, Groups: []string{"system:nodes"}, For: j.expires}, time.Now())
	if err != nil {
		return err
	}
	reached, err := j.write(kubeconfig)
	if err != nil {
		return err
	}
	if local(reached) {
		s.Warn(reached + " is reached from this machine only: for other hosts start up with --listen, and give --server")
	}
	s.out.printf("%s", j.commands(reached))
	return s.out.failure()
}

// check refuses what cannot be.
func (j *joining) check() error {
	if why := events.CheckName(events.Node, j.name); why != "" {
		return usageError("E-CLI-ARGS", fmt.Sprintf("no node is called %q: %s", j.name, why), "write small letters, digits, - and .")
	}
	if j.server != "" {
		if u, err := url.Parse(j.server); err != nil || u.Scheme != "https" || u.Hostname() == "" {
			return usageError("E-CLI-FLAG", fmt.Sprintf("--server %q is no URL of an API", j.server), "write https://HOST:PORT")
		}
	}
	if j.token != "" {
		if _, err := tokenGiven([]string{j.token}); err != nil {
			return err
		}
	}
	if j.expires <= 0 {
		return usageError("E-CLI-FLAG", "--expires "+j.expires.String()+" is over already", "give how long it is to be good, such as 24h")
	}
	return nil
}

// write makes the directory, and returns the URL at which the kubelet asks for
// the API.
func (j *joining) write(kubeconfig []byte) (string, error) {
	c, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return "", fmt.Errorf("read the kubeconfig of the node: %w", err)
	}
	at := c.Contexts[c.CurrentContext]
	cluster, name := c.Clusters[at.Cluster], joinKubeconfig
	if j.server != "" {
		cluster.Server = j.server
	}
	if j.token != "" {
		c.AuthInfos[at.AuthInfo], name = &clientcmdapi.AuthInfo{Token: j.token}, joinBootstrap
	}
	if kubeconfig, err = clientcmd.Write(*c); err != nil {
		return "", fmt.Errorf("write the kubeconfig of the node: %w", err)
	}
	if err := os.Mkdir(j.dir, 0o700); err != nil {
		why := files.Reason(err)
		if errors.Is(err, fs.ErrExist) {
			why = "it is there already"
		}
		return "", &events.Error{Code: "E-CLI-JOIN", What: "the directory of the node cannot be made", Where: j.dir, Why: why, Do: "name another one", Exit: events.ExitInput}
	}
	for file, content := range map[string][]byte{name: kubeconfig, joinAuthority: cluster.CertificateAuthorityData, joinConfig: []byte(kubeletConfig(j.nameServer))} {
		if err := files.Create(filepath.Join(j.dir, file), content); err != nil {
			return "", fmt.Errorf("write %s: %w", file, err)
		}
	}
	return cluster.Server, nil
}

// commands are what is typed for the kubelet to join.
func (j *joining) commands(server string) string {
	kubelet := []string{"kubelet", "--config", joinHome + "/" + joinConfig, "--hostname-override", j.name}
	if j.token == "" {
		kubelet = append(kubelet, "--kubeconfig", joinHome+"/"+joinKubeconfig)
	} else {
		kubelet = append(kubelet, "--bootstrap-kubeconfig", joinHome+"/"+joinBootstrap, "--kubeconfig", "/var/lib/kubelet/"+joinKubeconfig)
	}
	dir := instance.QuoteShell(j.dir)
	return fmt.Sprintf("node/%s may join at %s with what is in %s. Its host needs the kubelet of Kubernetes %s, or one that is up to three versions older:\n", j.name, server, j.dir, apiserver.Version) +
		fmt.Sprintf("  scp -r %s root@%s:%s\n", dir, j.name, joinHome) +
		fmt.Sprintf("  ssh root@%s apt-get install -y containerd\n", j.name) +
		fmt.Sprintf("  ssh root@%s %s\n", j.name, strings.Join(kubelet, " "))
}

// joinCommand is what is typed for a node that joins with a token.
func joinCommand(t *target, token string) string {
	where := ""
	if t.dir != "" {
		where = " --data " + instance.QuoteShell(t.dir)
	}
	return "rollcall node join NAME --token " + token + where + "\n"
}

// local reports whether a URL is one of this machine alone.
func local(server string) bool {
	u, err := url.Parse(server)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
