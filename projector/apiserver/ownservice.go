package apiserver

import (
	"context"
	"net"
	"net/http"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/kubernetes/pkg/controlplane/controller/kubernetesservice"
	"k8s.io/kubernetes/pkg/controlplane/reconcilers"
	netutils "k8s.io/utils/net"

	"rollcall/events"
	"rollcall/projector/table"
)

// ownService is `Service kubernetes` of the namespace default and its endpoints, by
// which pods find the API. Kubernetes' own controller keeps it, at the first
// request for Services or endpoints and whenever it is gone at a later one: a
// cluster that nobody asks about them has no event of it.
type ownService struct {
	objects *table.Tables
	keeper  *kubernetesservice.Controller
	told    bool // its endpoints are: the API can be reached at another address than this machine's own
	mu      sync.Mutex
	kept    bool // since the start, so that the address is that of today
}

var ownKey = events.Key{Namespace: "default", Name: "kubernetes"}

// newOwnService returns the service of a server that is reached at an address.
func (s *Server) newOwnService(at net.Addr, ranges ServiceRanges) (*ownService, error) {
	first, err := netutils.GetIndexedIP(&ranges.ClusterIPs, 1)
	if err != nil {
		return nil, err
	}
	c := kubernetesservice.Config{ServiceIP: first, ServicePort: httpsPort, PublicServicePort: httpsPort, EndpointReconciler: reconcilers.NewNoneEndpointReconciler()}
	own := &ownService{objects: s.config.Objects}
	if a, ok := at.(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		// No Endpoints take the addresses of this machine alone.
		if c.PublicIP, err = utilnet.ResolveBindAddress(a.IP); err != nil {
			return nil, err
		}
		c.PublicServicePort, own.told = a.Port, true
		c.EndpointReconciler = reconcilers.NewMasterCountEndpointReconciler(1, reconcilers.NewEndpointsAdapter(s.client.CoreV1(), s.client.DiscoveryV1()))
	}
	own.keeper = kubernetesservice.New(c, s.client, s.shared.Core().V1().Services())
	return own, nil
}

// httpsPort is that of the Service, and of the API where its own is of no use to
// anybody else.
const httpsPort = 443

// keep makes the service what it has to be. An error is told and costs nothing but
// the service: the next request tries again.
func (o *ownService) keep() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kept && o.objects.Of(events.Service).Get(ownKey) != nil && (!o.told || o.objects.Of(events.Endpoints).Get(ownKey) != nil && o.objects.Of(events.EndpointSlice).Get(ownKey) != nil) {
		return
	}
	if err := o.keeper.UpdateKubernetesService(true); err != nil {
		utilruntime.HandleError(err)
		return
	}
	o.kept = true
}

// before has the service kept before a request that could find it is answered,
// but for those of the server itself and for dry runs, which write nothing.
func (o *ownService) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		who, known := request.UserFrom(r.Context())
		if ok && known && who.GetName() != user.APIServerUser && who.GetName() != user.Anonymous && ofServices(info) && !r.URL.Query().Has("dryRun") {
			o.keep()
		}
		next.ServeHTTP(w, r)
	})
}

// ofServices reports whether a request is about Services or their endpoints.
func ofServices(r *request.RequestInfo) bool {
	return r.APIGroup == "" && (r.Resource == "services" || r.Resource == "endpoints") || r.Resource == "endpointslices"
}

// KeepNamedServices makes `Service kubernetes` of the namespace default, for who finds
// it by another way than by a request, and that of the name server, as kubeadm has it,
// if it is not there. The server has to be Ready. A past is left as it was.
func (s *Server) KeepNamedServices(ctx context.Context) error {
	if s.own == nil {
		return nil
	}
	s.own.keep()
	at, err := netutils.GetIndexedIP(&s.config.Ranges.ClusterIPs, nameServerIndex)
	if err != nil && at == nil {
		return nil // a range that is so small has no place for it
	}
	names := nameService(at.String())
	_, err = s.client.CoreV1().Services(names.Namespace).Create(ctx, names, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) || apierrors.IsInvalid(err) { // somebody else has the address
		return nil
	}
	return err
}

// nameServerIndex is which address of their range Services of name servers have.
const nameServerIndex = 10

// nameService is the Service of the cluster's name server. No pod is behind it: names
// are answered by the process, and in simulated containers without any packet.
func nameService(ip string) *corev1.Service {
	port := func(name string, n int32, p corev1.Protocol) corev1.ServicePort {
		return corev1.ServicePort{Name: name, Port: n, Protocol: p}
	}
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-dns", Namespace: metav1.NamespaceSystem,
			Labels: map[string]string{"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}},
		Spec: corev1.ServiceSpec{ClusterIP: ip, Selector: map[string]string{"k8s-app": "kube-dns"},
			Ports: []corev1.ServicePort{port("dns", 53, corev1.ProtocolUDP), port("dns-tcp", 53, corev1.ProtocolTCP), port("metrics", 9153, corev1.ProtocolTCP)}},
	}
}
