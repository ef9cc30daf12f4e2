package streams

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"

	miekg "github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"

	"rollcall/events"
	"rollcall/events/wire"
	"rollcall/projector/dns"
	"rollcall/projector/table"
	"rollcall/publisher/simkubelet/shell"
)

// network is what a container of a pod can reach.
type network struct {
	*Connections
	from *corev1.Pod
}

// Resolve implements shell.Network.
func (n network) Resolve(q miekg.Question) (int, []miekg.RR) {
	a := dns.Resolve(n.options.Objects, q)
	return a.Code, a.Records
}

// Get implements shell.Network: a Service passes requests to its endpoints in turn.
func (n network) Get(ctx context.Context, r shell.Request) (shell.Page, error) {
	if r.To.Addr().IsLoopback() {
		return n.page(ctx, n.from, r.To.Port(), r.Method, r.Path)
	}
	to := r.To
	if ready, ok := dns.Backends(n.options.Objects, to); ok {
		if len(ready) == 0 {
			return shell.Page{}, shell.ErrRefused
		}
		to = ready[n.turn.of(len(ready))]
	}
	pod := n.podAt(to)
	if pod == nil || !n.simulated(pod.Spec.NodeName) {
		return shell.Page{}, shell.ErrNoRoute
	}
	return n.page(ctx, pod, to.Port(), r.Method, r.Path)
}

// podAt returns the pod at an address that runs, or nil: on the network of a node it
// is the one that has the port.
func (c *Connections) podAt(at netip.AddrPort) (found *corev1.Pod) {
	text := at.Addr().String()
	rows, _ := c.options.Objects.Of(events.Pod).Snapshot()
	rows.Scan(func(i *table.Item) bool {
		if !bytes.Contains(i.Data, []byte(text)) {
			return true
		}
		p := &corev1.Pod{}
		if wire.Unmarshal(i.Data, p) == nil && p.Status.PodIP == text && p.Status.Phase == corev1.PodRunning && (!p.Spec.HostNetwork || listens(p, at.Port()) != "") {
			found = p
		}
		return found == nil
	})
	return found
}

// listens returns the container of a pod that would answer at a port: one that
// names it, or the first if none of them names any.
func listens(pod *corev1.Pod, port uint16) string {
	named := false
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			named = true
			if p.ContainerPort == int32(port) {
				return c.Name
			}
		}
	}
	if named || len(pod.Spec.Containers) == 0 || pod.Spec.HostNetwork {
		return ""
	}
	return pod.Spec.Containers[0].Name
}

// roots are where servers of web pages have them.
var roots = []string{"/usr/share/nginx/html", "/usr/local/apache2/htdocs", "/var/www/html"}

// page is what a pod answers: a file that was written where servers have their
// pages, or a sentence that says which pod it is.
func (c *Connections) page(ctx context.Context, pod *corev1.Pod, port uint16, method, path string) (shell.Page, error) {
	name := listens(pod, port)
	if name == "" || statusOf(pod, name).State.Running == nil {
		return shell.Page{}, shell.ErrRefused
	}
	path, _, _ = strings.Cut(path, "?")
	in := c.container(ctx, pod, name)
	for _, root := range roots {
		for _, file := range []string{root + path, root + strings.TrimSuffix(path, "/") + "/index.html"} {
			if body, err := in.Files.Read(file); err == nil {
				return shell.Page{Code: http.StatusOK, Kind: "text/html", Body: body}, nil
			}
		}
	}
	text := fmt.Sprintf("%s %s is answered by pod %s in namespace %s: %s:%d on node %s, image %s. The pod is simulated by rollcall, and nothing runs in it.\n",
		method, path, pod.Name, pod.Namespace, pod.Status.PodIP, port, pod.Spec.NodeName, in.Image)
	if path == "/hostname" {
		text = in.Pod + "\n"
	}
	return shell.Page{Code: http.StatusOK, Kind: "text/plain; charset=utf-8", Body: []byte(text)}, nil
}

// pages are the pods as a transport of HTTP.
type pages struct {
	*Connections
	real http.RoundTripper // of those on real nodes
}

// WrappedRoundTripper implements net.RoundTripperWrapper, for what is upgraded.
func (p pages) WrappedRoundTripper() http.RoundTripper { return p.real }

// RoundTrip implements http.RoundTripper.
func (p pages) RoundTrip(r *http.Request) (*http.Response, error) {
	at, err := netip.ParseAddrPort(r.URL.Host)
	if err != nil {
		ip, bad := netip.ParseAddr(r.URL.Hostname())
		if bad != nil {
			return nil, fmt.Errorf("%s is no address of a pod", r.URL.Host)
		}
		at = netip.AddrPortFrom(ip, 80)
	}
	pod := p.podAt(at)
	if pod == nil || !p.simulated(pod.Spec.NodeName) {
		return p.real.RoundTrip(r)
	}
	if r.Body != nil {
		_ = r.Body.Close() // nobody reads it
	}
	page, err := p.page(r.Context(), pod, at.Port(), r.Method, r.URL.Path)
	if err != nil {
		return nil, err
	}
	return respond(r, page), nil
}

func respond(r *http.Request, page shell.Page) *http.Response {
	return &http.Response{Status: http.StatusText(page.Code), StatusCode: page.Code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {page.Kind}}, ContentLength: int64(len(page.Body)), Body: io.NopCloser(bytes.NewReader(page.Body))}
}

// PortForward implements portforward.PortForwarder: what is sent has to be HTTP.
func (r runner) PortForward(ctx context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	defer func() { _ = stream.Close() }() // what was written is sent
	in := bufio.NewReader(stream)
	for ctx.Err() == nil {
		asked, err := http.ReadRequest(in)
		if err != nil {
			return nil // it is over, or no HTTP
		}
		if _, err := io.Copy(io.Discard, io.LimitReader(asked.Body, 1<<20)); err != nil {
			return nil
		}
		page, err := r.page(ctx, r.pod, uint16(port), asked.Method, asked.URL.Path)
		if err != nil {
			return fmt.Errorf("port %d of pod %s: %w", port, r.pod.Name, err)
		}
		answer := respond(asked, page)
		answer.Close = asked.Close
		if err := answer.Write(stream); err != nil || asked.Close {
			return nil
		}
	}
	return nil
}
