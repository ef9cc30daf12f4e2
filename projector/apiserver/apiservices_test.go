package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	v1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	registration "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/typed/apiregistration/v1"
	"k8s.io/utils/ptr"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/apiserver/access"
	"rollcall/projector/apiserver/hooktest"
)

// others is an API server of somebody else on loopback, which serves rocks.
type others struct {
	*hooktest.Server
	mu    sync.Mutex
	users []string // who asked for rocks
}

func newOthers(t testing.TB) *others {
	t.Helper()
	o := &others{}
	o.Server = hooktest.Serve(t, o)
	return o
}

// ServeHTTP implements http.Handler.
func (o *others) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/apis/geo.example.com/v1":
		_ = json.NewEncoder(w).Encode(metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "geo.example.com/v1",
			APIResources: []metav1.APIResource{{Name: "rocks", SingularName: "rock", Kind: "Rock", Namespaced: true, Verbs: metav1.Verbs{"get", "list"}}}})
	case "/apis/geo.example.com/v1/rocks":
		o.mu.Lock()
		defer o.mu.Unlock()
		o.users = append(o.users, r.Header.Get("X-Remote-User")+" of "+strings.Join(r.Header.Values("X-Remote-Group"), ","))
		fmt.Fprintln(w, `{"kind":"RockList","apiVersion":"geo.example.com/v1","items":[{"metadata":{"name":"granite"}}]}`)
	default:
		http.NotFound(w, r)
	}
}

// apiServices is a cluster with a client of its APIServices.
type apiServices struct {
	*cluster
	registration.APIServiceInterface
}

func newAPIServices(t testing.TB) apiServices {
	t.Helper()
	c := newCluster(t)
	client, err := registration.NewForConfig(c.server.LoopbackAs(access.Admin))
	if err != nil {
		t.Fatal(err)
	}
	return apiServices{c, client.APIServices()}
}

// geo returns the APIService of an API server that others serve at a port.
func geo(port int32) *v1.APIService {
	return &v1.APIService{ObjectMeta: metav1.ObjectMeta{Name: "v1.geo.example.com"}, Spec: v1.APIServiceSpec{Group: "geo.example.com", Version: "v1", InsecureSkipTLSVerify: true,
		GroupPriorityMinimum: 100, VersionPriority: 10, Service: &v1.ServiceReference{Namespace: "default", Name: "geo", Port: &port}}}
}

// available waits until an APIService is said to be available or not, for a reason.
func (c apiServices) available(t testing.TB, name string, status v1.ConditionStatus, reason string) (message string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is %s: %s", name, status, reason), func(ctx context.Context) bool {
		s, err := c.Get(ctx, name, metav1.GetOptions{})
		if err != nil || len(s.Status.Conditions) == 0 {
			return false
		}
		message = s.Status.Conditions[0].Message
		return s.Status.Conditions[0].Status == status && s.Status.Conditions[0].Reason == reason
	})
	return message
}

func (c apiServices) rocks(t testing.TB) (string, error) {
	t.Helper()
	b, err := c.as(t, "geologist").CoreV1().RESTClient().Get().AbsPath("/apis/geo.example.com/v1/rocks").DoRaw(t.Context())
	return string(b), err
}

// What is served here has APIServices as with a kube-apiserver, from the first
// question about them on: the log of a cluster that nobody asks has none.
func TestLocalAPIServices(t *testing.T) {
	c := newAPIServices(t)
	if _, err := c.client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if n, _ := c.objects.Of(events.APIService).Size(); n != 0 {
		t.Errorf("%d APIServices that nobody asked for", n)
	}
	all, err := c.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, s := range all.Items {
		there[s.Name] = s.Spec.Service == nil && len(s.Status.Conditions) == 1 && s.Status.Conditions[0].Status == v1.ConditionTrue && s.Status.Conditions[0].Reason == "Local"
	}
	groups, err := c.client.Discovery().ServerGroups()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups.Groups {
		for _, v := range g.Versions {
			if name := v.Version + "." + g.Name; g.Name != v1.GroupName && !there[name] {
				t.Errorf("no APIService %s that is available", name)
			}
		}
	}
	if len(groups.Groups) < 20 {
		t.Errorf("%d groups", len(groups.Groups))
	}
}

// An API of others that cannot be reached is in discovery and unavailable, as
// with a kube-apiserver, and pods that are simulated are not asked for it.
func TestUnavailableAPIs(t *testing.T) {
	c := newAPIServices(t)
	if _, err := c.Create(t.Context(), geo(443), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if why := c.available(t, "v1.geo.example.com", v1.ConditionFalse, "ServiceNotFound"); why != `service/geo in "default" is not present` {
		t.Errorf("it is not available: %s", why)
	}
	eventually(t, "its group is unavailable", func(context.Context) bool {
		_, err := c.rocks(t)
		return apierrors.IsServiceUnavailable(err)
	})
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "geo"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}}}
	svc, err := c.client.CoreV1().Services("default").Create(t.Context(), svc, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.available(t, "v1.geo.example.com", v1.ConditionFalse, "EndpointsNotFound")
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "played", Labels: map[string]string{events.LabelSimulated: "true"}}}
	if _, err := c.client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "geo-1", Labels: map[string]string{discoveryv1.LabelServiceName: "geo"}}, AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.244.0.7"}, NodeName: ptr.To("played")}}, Ports: []discoveryv1.EndpointPort{{Name: ptr.To(""), Port: ptr.To(int32(443))}}}
	if _, err := c.client.DiscoveryV1().EndpointSlices("default").Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if why := c.available(t, "v1.geo.example.com", v1.ConditionFalse, "FailedDiscoveryCheck"); why != "dial tcp "+svc.Spec.ClusterIP+":443: connect: connection refused" {
		t.Errorf("it is not available: %s", why)
	}
	if err := c.Delete(t.Context(), "v1.geo.example.com", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its group is gone", func(context.Context) bool {
		_, err := c.rocks(t)
		return apierrors.IsNotFound(err)
	})
}

// An API of others that can be reached is asked in the name of who asks.
func TestAPIsOfOthers(t *testing.T) {
	c, o := newAPIServices(t), newOthers(t)
	at, err := url.Parse(o.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		t.Fatal(err)
	}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "geo"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "127.0.0.1"}}
	if _, err := c.client.CoreV1().Services("default").Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(t.Context(), geo(int32(port)), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.available(t, "v1.geo.example.com", v1.ConditionTrue, "Passed")
	eventually(t, "it answers", func(context.Context) bool {
		said, err := c.rocks(t)
		return err == nil && strings.Contains(said, "granite")
	})
	o.mu.Lock()
	if want := "admin of system:masters,system:authenticated"; o.users[0] != want {
		t.Errorf("asked by %s, want %s", o.users[0], want)
	}
	o.mu.Unlock()
	eventually(t, "it is discovered", func(context.Context) bool {
		_, lists, err := c.client.Discovery().ServerGroupsAndResources()
		for _, l := range lists {
			if l.GroupVersion == "geo.example.com/v1" {
				return err == nil && len(l.APIResources) == 1 && l.APIResources[0].Kind == "Rock"
			}
		}
		return false
	})
	var kept v1.APIService
	if err := wire.Unmarshal(c.objects.Of(events.APIService).At("v1.geo.example.com").Data, &kept); err != nil || kept.Spec.Service.Name != "geo" {
		t.Errorf("the log has %+v, %v", kept.Spec, err)
	}
}

// A definition of custom resources has an APIService as long as it is there.
func TestAPIServicesOfDefinitions(t *testing.T) {
	c := newCustom(t)
	client, err := registration.NewForConfig(c.server.LoopbackAs(access.Admin))
	if err != nil {
		t.Fatal(err)
	}
	c.define(t, probes)
	s := apiServices{c.cluster, client.APIServices()}
	s.available(t, "v1.net.example.com", v1.ConditionTrue, "Local")
	if _, err := c.objects.Resource(probesV1).Namespace("default").Create(t.Context(), c.probe(t, "{target: nine}"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.definitions.ApiextensionsV1().CustomResourceDefinitions().Delete(t.Context(), "probes.net.example.com", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func(ctx context.Context) bool {
		_, err := s.Get(ctx, "v1.net.example.com", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}
