package apiserver

import (
	"net"
	"net/url"
	"os"
	"strconv"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/client-go/informers"
	"k8s.io/utils/ptr"

	"rollcall/events"
)

// serviceResolver says where a Service can be reached, as a kube-apiserver's resolver
// does for webhooks and for APIs of others. Nothing routes the cluster's addresses here, so that one of
// a Service stands for an endpoint of it that is ready and not simulated. If
// there is none, the connection is refused, as by a node that has no endpoints.
type serviceResolver struct {
	shared informers.SharedInformerFactory
	self   net.Addr // of Service default/kubernetes
}

func (s *Server) resolver() serviceResolver { return serviceResolver{s.shared, s.door.Addr()} }

// ResolveEndpoint implements webhook.ServiceResolver.
func (s serviceResolver) ResolveEndpoint(namespace, name string, port int32) (*url.URL, error) {
	if namespace == corev1.NamespaceDefault && name == "kubernetes" && port == 443 {
		return &url.URL{Scheme: "https", Host: s.self.String()}, nil
	}
	lister := s.shared.Core().V1().Services().Lister()
	at, err := proxy.ResolveCluster(lister, namespace, name, port)
	if err != nil {
		return nil, err
	}
	svc, err := lister.Services(namespace).Get(name)
	if err != nil || svc.Spec.Type == corev1.ServiceTypeExternalName {
		return at, err
	}
	if at.Host, err = s.endpoint(svc, port); err == nil && at.Host == "" {
		err = refusedAt(svc.Spec.ClusterIP, port)
	}
	return at, err
}

// refusedAt is the error of a connection that nobody takes.
func refusedAt(ip string, port int32) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: int(port)}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// endpoint returns where a port of a Service can be reached; empty: nowhere.
func (s serviceResolver) endpoint(svc *corev1.Service, port int32) (string, error) {
	var name string
	for _, p := range svc.Spec.Ports {
		if p.Port == port {
			name = p.Name
		}
	}
	of := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: svc.Name})
	slices, err := s.shared.Discovery().V1().EndpointSlices().Lister().EndpointSlices(svc.Namespace).List(of)
	if err != nil {
		return "", err
	}
	for _, slice := range slices {
		for _, p := range slice.Ports {
			if p.Port == nil || ptr.Deref(p.Name, "") != name {
				continue
			}
			for _, e := range slice.Endpoints {
				if ptr.Deref(e.Conditions.Ready, true) && len(e.Addresses) > 0 && !s.simulated(svc.Namespace, e.NodeName, e.TargetRef) {
					return net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(*p.Port))), nil
				}
			}
		}
	}
	return "", nil
}

// simulated reports whether an endpoint is a pod whose node is played: nothing
// listens at its address, which may be that of another machine.
func (s serviceResolver) simulated(namespace string, node *string, of *corev1.ObjectReference) bool {
	if node == nil && of != nil && of.Kind == string(events.Pod) {
		if pod, err := s.shared.Core().V1().Pods().Lister().Pods(namespace).Get(of.Name); err == nil {
			node = &pod.Spec.NodeName
		}
	}
	if node == nil {
		return false
	}
	n, err := s.shared.Core().V1().Nodes().Lister().Get(*node)
	return err == nil && n.Labels[events.LabelSimulated] == "true"
}
