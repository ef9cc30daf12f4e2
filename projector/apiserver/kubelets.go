package apiserver

import (
	"crypto/tls"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/sets"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	"k8s.io/kubernetes/pkg/kubelet/client"
	nodestore "k8s.io/kubernetes/pkg/registry/core/node/storage"
	podstore "k8s.io/kubernetes/pkg/registry/core/pod/storage"

	"rollcall/events"
	"rollcall/projector/apiserver/access"
	"rollcall/projector/apiserver/streams"
)

// longRunning tells requests that take as long as they take from those that
// have to be answered in time: watches, and what talks with a container.
var longRunning = genericfilters.BasicLongRunningRequestCheck(sets.NewString("watch", "proxy"), sets.NewString("attach", "exec", "log", "portforward", "proxy"))

// The defaults of kube-apiserver: where a kubelet listens that does not say so
// in the status of its node, and how long it may take to answer.
const (
	kubeletPort    = 10250
	kubeletTimeout = 5 * time.Second
)

// KubeletClients is the group of who asks kubelets for logs, exec and the like in the
// name of the API. It may do that and nothing else: kubelets ask the API what it may.
const KubeletClients = access.KubeletClients

// kubeletClient says how kubelets of real nodes are asked: with a client
// certificate, at the addresses and in the order that kubeadm names. Their own
// serving certificates are self-signed unless somebody changes that, and not
// checked, as kubeadm has it.
func kubeletClient(file string) client.KubeletClientConfig {
	return client.KubeletClientConfig{
		Port: kubeletPort, HTTPTimeout: kubeletTimeout,
		PreferredAddressTypes: []string{string(corev1.NodeInternalIP), string(corev1.NodeExternalIP), string(corev1.NodeHostName)},
		TLSClientConfig:       client.KubeletTLSConfig{CertFile: file, KeyFile: file},
	}
}

// proxyTransport reaches what listens on nodes, whose certificates nobody here
// knows.
func proxyTransport() http.RoundTripper {
	return utilnet.SetTransportDefaults(&http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}})
}

// nodesAndPods puts nodes and pods into a group, and the ways to them.
func (i *installer) nodesAndPods(g group) *podstore.REST {
	proxy := proxyTransport()
	nodes, err := nodestore.NewStorage(i.options, kubeletClient(i.kubelets), proxy)
	i.keep(err)
	if i.err != nil {
		return nil
	}
	at := streams.Places{Nodes: i.objects.Of(events.Node), Past: i.past != ""}
	i.connections = streams.New(streams.Options{Objects: i.objects, Client: i.client, Places: at, Logs: i.logs, Real: nodes.KubeletConnectionInfo, Start: i.start, Now: time.Now, Past: i.past})
	pods, err := podstore.NewStorage(i.options, i.connections, i.connections.PodTransport(), i.client.PolicyV1(), i.auth)
	i.keep(err)
	if i.err != nil {
		return nil
	}
	at.Pods = pods.Pod
	g["nodes"], g["nodes/status"], g["nodes/proxy"] = nodes.Node, nodes.Status, streams.ToNode(at, nodes.Proxy)
	g["pods"], g["pods/status"], g["pods/binding"], g["bindings"] = pods.Pod, pods.Status, pods.Binding, pods.LegacyBinding
	g["pods/eviction"], g["pods/ephemeralcontainers"], g["pods/resize"] = pods.Eviction, pods.EphemeralContainers, pods.Resize
	g["pods/attach"], g["pods/exec"], g["pods/portforward"], g["pods/proxy"] = pods.Attach, pods.Exec, pods.PortForward, pods.Proxy
	g["pods/log"] = &logREST{pods.Log, i.logs, at, i.connections}
	return pods.Pod
}
