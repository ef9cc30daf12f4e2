package apiserver

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"rollcall/events"
)

func service(name string, change func(*corev1.ServiceSpec)) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}}
	s.Spec.Ports = []corev1.ServicePort{{Port: 80}}
	if change != nil {
		change(&s.Spec)
	}
	return s
}

// Services get addresses and ports of Kubernetes' allocators, which refuse what
// another has, as long as it is there.
func TestServicesAreAllocated(t *testing.T) {
	c := newCluster(t)
	ctx, services := t.Context(), c.client.CoreV1().Services("default")
	made := func(name string, change func(*corev1.ServiceSpec)) *corev1.Service {
		t.Helper()
		s, err := services.Create(ctx, service(name, change), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	refused := func(why string, change func(*corev1.ServiceSpec)) {
		t.Helper()
		if _, err := services.Create(ctx, service("refused", change), metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("refused with %v, not %q", err, why)
		}
	}
	nodePort := func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeNodePort }
	a := made("a", nodePort)
	ip, port := a.Spec.ClusterIP, a.Spec.Ports[0].NodePort
	if r := c.server.config.Ranges; !strings.HasPrefix(ip, "10.") || !r.NodePorts.Contains(int(port)) || len(a.Spec.ClusterIPs) != 1 ||
		a.Spec.IPFamilies[0] != corev1.IPv4Protocol || *a.Spec.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack {
		t.Errorf("a is %+v", a.Spec)
	}
	sameIP := func(s *corev1.ServiceSpec) { s.ClusterIP = ip }
	samePort := func(s *corev1.ServiceSpec) { nodePort(s); s.Ports[0].NodePort = port }
	refused("provided IP is already allocated", sameIP)
	refused("provided port is already allocated", samePort)
	refused("provided port is not in the valid range", func(s *corev1.ServiceSpec) { nodePort(s); s.Ports[0].NodePort = 80 })
	if h := made("headless", func(s *corev1.ServiceSpec) { s.ClusterIP = corev1.ClusterIPNone }); h.Spec.ClusterIP != corev1.ClusterIPNone {
		t.Errorf("headless is %+v", h.Spec)
	}
	if l := made("pending", func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeLoadBalancer }); l.Spec.Ports[0].NodePort == 0 || len(l.Status.LoadBalancer.Ingress) > 0 {
		t.Errorf("a load balancer is %+v", l)
	}

	again := serve(t, withPort(t, Config{Log: c.log, Subjects: c.subjects, Objects: c.objects})) // as after a restart
	if _, err := again.client.CoreV1().Services("default").Create(ctx, service("refused", sameIP), metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), "already allocated") {
		t.Errorf("after a restart: %v", err)
	}

	// The collector takes objects out of the log without their registry.
	c.append(t, events.ObjectType(events.Service, events.VerbDeleted), events.Gone{Ref: events.RefFor(events.Service, a)})
	if _, err := services.Get(ctx, "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a is %v", err)
	}
	b := made("b", func(s *corev1.ServiceSpec) { sameIP(s); samePort(s) })
	refused("already allocated", sameIP)
	if _, err := services.Update(ctx, toExternal(b), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	made("c", func(s *corev1.ServiceSpec) { sameIP(s); samePort(s) })
	if err := services.Delete(ctx, "c", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	made("d", func(s *corev1.ServiceSpec) { sameIP(s); samePort(s) })
}

func toExternal(s *corev1.Service) *corev1.Service {
	s = s.DeepCopy()
	s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com", Ports: []corev1.ServicePort{{Port: 80}}}
	return s
}

// Services that are made at once never get the same address or port.
func TestServicesMadeAtOnce(t *testing.T) {
	c := newCluster(t)
	const n = 40
	var all sync.WaitGroup
	made := make([]*corev1.Service, n)
	for i := range n {
		all.Go(func() {
			var err error
			made[i], err = c.client.CoreV1().Services("default").Create(t.Context(), service(fmt.Sprintf("s%d", i), func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeNodePort }), metav1.CreateOptions{})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	seen := map[string]bool{}
	for _, s := range made {
		for _, what := range []string{s.Spec.ClusterIP, fmt.Sprint(s.Spec.Ports[0].NodePort)} {
			if seen[what] {
				t.Errorf("%s is there twice", what)
			}
			seen[what] = true
		}
	}
}

// Every kind that a log holds is in discovery, in the version in which the log
// holds it, and can be listed and watched.
func TestKindsAreServed(t *testing.T) {
	c := newCluster(t)
	groups, lists, err := c.client.Discovery().ServerGroupsAndResources()
	if err != nil || len(groups) == 0 {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, l := range lists {
		for _, r := range l.APIResources {
			if !strings.Contains(r.Name, "/") {
				found[l.GroupVersion+" "+r.Kind] = r.Verbs
			}
		}
	}
	for _, k := range events.Kinds() {
		of := resourceFor(k.Group(), k, "").gvk()
		if !legacyscheme.Scheme.Recognizes(of) {
			t.Errorf("%s is unknown", of)
		}
		if verbs := strings.Join(found[of.GroupVersion().String()+" "+string(k)], " "); !strings.Contains(verbs, "create") || !strings.Contains(verbs, "watch") {
			t.Errorf("%s can be %q", of, verbs)
		}
	}
}

// `Service kubernetes` is there for who looks for Services, and comes back; a
// cluster that nobody asks about Services has no event of it.
func TestOwnService(t *testing.T) {
	c := newCluster(t)
	admin, ctx := c.as(t, "kubectl"), t.Context()
	if _, err := admin.CoreV1().Pods("default").List(ctx, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if c.objects.Of(events.Service).Get(ownKey) != nil {
		t.Error("it is there, and nobody has asked for it")
	}
	before := c.objects.Position()
	for range 2 {
		l, err := admin.CoreV1().Services("default").List(ctx, metav1.ListOptions{})
		if err != nil || len(l.Items) != 1 || l.Items[0].Spec.ClusterIP != "10.96.0.1" || l.Items[0].Spec.Ports[0].Port != 443 {
			t.Errorf("services are %+v, %v", l, err)
		}
	}
	if now := c.objects.Position(); now != before+1 {
		t.Errorf("two lists took the log from %d to %d", before, now)
	}
	if err := admin.CoreV1().Services("default").Delete(ctx, "kubernetes", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CoreV1().Services("default").Get(ctx, "kubernetes", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

// Where other machines reach the API, its endpoints say so.
func TestOwnEndpoints(t *testing.T) {
	c := newCluster(t)
	own, err := c.server.newOwnService(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 6443}, c.server.config.Ranges)
	if err != nil {
		t.Fatal(err)
	}
	own.keep()
	e, err := c.client.DiscoveryV1().EndpointSlices("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || e.Endpoints[0].Addresses[0] != "192.0.2.7" || *e.Ports[0].Port != 6443 {
		t.Errorf("the slice is %+v, %v", e, err)
	}
	if _, err := c.client.CoreV1().Endpoints("default").Get(t.Context(), "kubernetes", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

// docs/API.md has every resource of a kube-apiserver that is not here, and no other.
func TestMissingResources(t *testing.T) {
	c := newCluster(t)
	_, lists, err := c.client.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	here := map[string]bool{}
	for _, l := range lists {
		group := schema.FromAPIVersionAndKind(l.GroupVersion, "").Group
		for _, r := range l.APIResources {
			here[schema.GroupResource{Group: group, Resource: r.Name}.String()] = true
		}
	}
	const asked = "$ kubectl api-resources -o name\n"
	_, golden, _ := strings.Cut(readFile(t, "../../testdata/parity/golden.txt"), asked)
	golden, _, _ = strings.Cut(golden, "$ ")
	_, table, _ := strings.Cut(readFile(t, "../../docs/API.md"), "| resource | why it is not here |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	told := map[string]bool{}
	for row := range strings.Lines(table) {
		for name := range strings.SplitSeq(strings.Split(row, "|")[1], ",") {
			told[strings.TrimSpace(name)] = true
		}
	}
	for name := range strings.FieldsSeq(golden) {
		short, _, _ := strings.Cut(name, ".")
		if is := told[name] || told[short]; is == here[name] {
			t.Errorf("%s: here %v, told to be missing %v", name, here[name], is)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Services get what the ranges say, and the name server the tenth address, as by
// kubeadm.
func TestServiceRanges(t *testing.T) {
	for _, bad := range []string{"", "10.0.0.0", "fd00::/108", "10.0.0.0/11", "10.0.0.0/30"} {
		if _, err := ParseClusterIPs(bad); err == nil {
			t.Errorf("%q is a range of addresses", bad)
		}
	}
	for _, bad := range []string{"", "80-", "9-8", "0", "70000-70001"} {
		if _, err := ParseNodePorts(bad); err == nil {
			t.Errorf("%q is a range of ports", bad)
		}
	}
	addresses, err := ParseClusterIPs("192.0.2.0/28")
	if err != nil {
		t.Fatal(err)
	}
	ports, err := ParseNodePorts("31000-31001")
	if err != nil {
		t.Fatal(err)
	}
	c := newClusterWith(t, withPort(t, Config{Ranges: ServiceRanges{addresses, ports}}))
	ctx := t.Context()
	if err := c.server.KeepNamedServices(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.server.KeepNamedServices(ctx); err != nil {
		t.Fatalf("once more: %v", err)
	}
	names, err := c.client.CoreV1().Services("kube-system").Get(ctx, "kube-dns", metav1.GetOptions{})
	if err != nil || names.Spec.ClusterIP != "192.0.2.10" {
		t.Errorf("the name server: %v, %v", names.Spec.ClusterIP, err)
	}
	own, err := c.client.CoreV1().Services("default").Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil || own.Spec.ClusterIP != "192.0.2.1" {
		t.Errorf("the API: %v, %v", own.Spec.ClusterIP, err)
	}
	for i := range 2 {
		s, err := c.client.CoreV1().Services("default").Create(ctx, service(fmt.Sprint("s", i), func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeNodePort }), metav1.CreateOptions{})
		if err != nil || !addresses.Contains(net.ParseIP(s.Spec.ClusterIP)) || !ports.Contains(int(s.Spec.Ports[0].NodePort)) {
			t.Errorf("%+v, %v", s.Spec, err)
		}
	}
	if _, err := c.client.CoreV1().Services("default").Create(ctx, service("more", func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeNodePort }), metav1.CreateOptions{}); err == nil {
		t.Error("a third port of two")
	}
}
