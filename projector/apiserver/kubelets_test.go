package apiserver

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"

	"rollcall/events"
)

// fakeKubelet is a server that stands for the kubelet of a real node, and keeps
// what it was asked by clients that have shown a certificate.
type fakeKubelet struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newFakeKubelet(t *testing.T) *fakeKubelet {
	k := &fakeKubelet{}
	k.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if len(r.TLS.PeerCertificates) > 0 {
			k.asked = append(k.asked, r.URL.Path)
		}
		_, _ = io.WriteString(w, "from the kubelet\n") // who asks tells
	}))
	k.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	k.StartTLS()
	t.Cleanup(k.Close)
	return k
}

// heard returns what was asked since it was called last.
func (k *fakeKubelet) heard() (asked []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	asked, k.asked = k.asked, nil
	return asked
}

// What is asked of pods of real nodes, and of such nodes, is asked of their
// kubelets, with the certificate by which they know the server; of others it is not.
func TestRealKubeletsAreAsked(t *testing.T) {
	kubelet := newFakeKubelet(t)
	certificate, key, err := cert.GenerateSelfSignedCertKey("server", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "client.pem")
	if err := os.WriteFile(file, slices.Concat(certificate, key), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newClusterWith(t, withPort(t, Config{KubeletClient: file, Logs: func(*corev1.Pod, string, bool) (events.ContainerLog, error) {
		return events.ContainerLog{Lines: lines("played"), Ended: true}, nil
	}}))
	at := kubelet.Listener.Addr().(*net.TCPAddr)
	put := func(kind events.Kind, o metav1.Object) {
		body, err := events.NewObject(kind, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.objects.Await(t.Context(), c.append(t, events.ObjectType(kind, events.VerbCreated), body)); err != nil {
			t.Fatal(err)
		}
	}
	for name, labels := range map[string]map[string]string{"real": nil, "played": {events.LabelSimulated: "true"}, "told": {events.LabelSource: "inventory"}} {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u", Labels: labels}}
		n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: at.IP.String()}}
		n.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(at.Port)
		put(events.Node, n)
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: "p"}}
		p.Spec.NodeName, p.Spec.Containers = name, []corev1.Container{{Name: "c", Image: "i:1"}}
		put(events.Pod, p)
	}
	for name, want := range map[string]struct {
		log   string
		asked []string
		proxy string // what is wrong with asking the node
	}{
		"real":   {"from the kubelet\n", []string{"/containerLogs/default/real/c"}, "address not allowed"}, // Kubernetes proxies to no loopback address
		"played": {"played\n", nil, "has no kubelet of its own"},
		"told":   {"played\n", nil, "has no kubelet of its own"},
	} {
		log, err := c.client.CoreV1().Pods("default").GetLogs(name, &corev1.PodLogOptions{}).DoRaw(t.Context())
		if err != nil || string(log) != want.log {
			t.Errorf("the log of %s: %q, %v, want %q", name, log, err, want.log)
		}
		err = c.client.CoreV1().RESTClient().Get().Resource("nodes").Name(name).SubResource("proxy").Suffix("healthz").Do(t.Context()).Error()
		if err == nil || !strings.Contains(err.Error(), want.proxy) {
			t.Errorf("node %s: %v, want %q", name, err, want.proxy)
		}
		if asked := kubelet.heard(); !slices.Equal(asked, want.asked) {
			t.Errorf("of %s the kubelet was asked %q, want %q", name, asked, want.asked)
		}
	}
}
