package kube

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// ledger stands between rollcall and the API server, and writes down what is asked for.
type ledger struct {
	up      *httputil.ReverseProxy
	mu      sync.Mutex
	used    map[string]bool // rights, in the words of rightOf
	refused []string
	lose    map[string]bool // rights of which the next answer is lost
}

// newLedger returns a ledger, and the kubeconfig of an account that goes through it.
func (c *cluster) newLedger(account string) (*ledger, string) {
	c.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", account)
	if err != nil {
		c.Fatal(err)
	}
	to, err := url.Parse(config.Host)
	if err != nil {
		c.Fatal(err)
	}
	l := &ledger{up: httputil.NewSingleHostReverseProxy(to), used: map[string]bool{}, lose: map[string]bool{}}
	l.up.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 100}
	l.up.FlushInterval = -1
	l.up.ModifyResponse = l.note
	l.up.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	s := httptest.NewTLSServer(l.up)
	c.Cleanup(s.Close)
	return l, c.kubeconfig("through", &rest.Config{Host: s.URL, BearerToken: config.BearerToken, TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
}

// note writes a request down that was answered.
func (l *ledger) note(r *http.Response) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	right := rightOf(r.Request)
	if r.StatusCode == http.StatusForbidden {
		l.refused = append(l.refused, right)
	}
	if right == "" {
		return nil
	}
	l.used[right] = true
	if l.lose[right] {
		delete(l.lose, right)
		return fmt.Errorf("the answer is lost")
	}
	return nil
}

// loses has the answer lost to the next request that needs a right.
func (l *ledger) loses(right string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lose[right] = true
}

// rightOf says which right a request needs: the verb, the resource and its group; "":
// everybody has it.
func rightOf(r *http.Request) string {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	group := ""
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = parts[1], parts[3:]
	default:
		return ""
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	if group == "authorization.k8s.io" { // who asks what it may do
		return ""
	}
	verb := map[string]string{http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete", http.MethodGet: "get"}[r.Method]
	if watches := r.URL.Query().Get("watch"); verb == "get" && len(parts) == 1 {
		verb = "list"
		if watches == "true" || watches == "1" {
			verb = "watch"
		}
	}
	resource := parts[0]
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	return strings.TrimSpace(verb + " " + resource + " " + group)
}

// given are the rights of a mode, as the cluster has them of deploy.
func (c *cluster) given(mode string) (rights []string) {
	c.Helper()
	role, err := c.client.RbacV1().ClusterRoles().Get(c.Context(), "rollcall-"+mode, metav1.GetOptions{})
	if err != nil {
		c.Fatal(err)
	}
	rules := role.Rules
	here, err := c.client.RbacV1().Roles(metav1.NamespaceSystem).List(c.Context(), metav1.ListOptions{})
	if err != nil {
		c.Fatal(err)
	}
	for _, r := range here.Items {
		if r.Name == role.Name {
			rules = append(rules, r.Rules...)
		}
	}
	each := func(r rbacv1.PolicyRule) {
		for _, resource := range r.Resources {
			for _, verb := range r.Verbs {
				rights = append(rights, strings.TrimSpace(verb+" "+resource+" "+r.APIGroups[0]))
			}
		}
	}
	for _, r := range rules {
		each(r)
	}
	slices.Sort(rights)
	return slices.Compact(rights)
}

// exact sees that what was asked for is what a mode is given, and that nothing was refused.
// A right that nobody asks for is one that admission asks about.
func (c *cluster) exact(mode string, l *ledger, unasked ...string) {
	c.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	used := unasked
	for right := range l.used {
		used = append(used, right)
	}
	slices.Sort(used)
	if given := c.given(mode); !slices.Equal(used, given) || len(l.refused) > 0 {
		c.Errorf("%s has used\n%s\nand is given\n%s\nrefused was %v", mode, strings.Join(used, "\n"), strings.Join(given, "\n"), l.refused)
	}
}

// TestRights: of the rights that deploy gives a mode each is used, and it needs no others.
func TestRights(t *testing.T) {
	c := newCluster(t)
	kcm := c.controllers(all)
	c.kubelets()
	for i := range 4 {
		c.node(fmt.Sprint("n", i))
	}
	none := int32(0)
	c.daemonSet("agent", func(ds *appsv1.DaemonSet) { ds.Spec.RevisionHistoryLimit = &none })
	c.daemonSet("asks", onDelete, func(ds *appsv1.DaemonSet) {
		ds.Annotations = map[string]string{"rollcall/rollout": `{"maxUnavailable":4}`}
	})
	c.rolledOut("agent", 4)
	c.rolledOut("asks", 4)
	dir := t.TempDir()

	l, path := c.newLedger(c.granted("shadow"))
	c.record(path, filepath.Join(dir, "shadow")).end()
	c.exact("shadow", l)
	c.kubectl("delete", "-f", "../../deploy/rbac-shadow.yaml")

	l, path = c.newLedger(c.granted("rollouts"))
	p := start(t, *rollcall, "connect", "--rollouts", "--kubeconfig", path, "--data", filepath.Join(dir, "rollouts"))
	p.sees("the log has what the cluster has")
	c.image("asks", "main:2")
	c.updated("asks", "main:2", 4)
	p.end()
	c.exact("rollouts", l)
	c.kubectl("delete", "-f", "../../deploy/rbac-rollouts.yaml")

	kcm.end()
	c.controllers(others)
	l, path = c.newLedger(c.granted("control"))
	us := c.control(path, filepath.Join(dir, "control"), soon)
	l.loses("create controllerrevisions apps") // it is asked again, and looks at what is there
	l.loses("create pods")
	for _, image := range []string{"main:2", "main:3", "main:2", "main:4"} { // more Events than are told one by one
		c.image("agent", image)
		c.rolledOut("agent", 4)
	}
	c.daemonSet("back")
	c.rolledOut("back", 4)
	c.image("back", "main:2")
	c.rolledOut("back", 4)
	c.image("back", "main:1") // the revision that was is the last again
	c.rolledOut("back", 4)
	orphan := c.live("back")[0]
	c.patchPod(orphan.Name, `{"metadata":{"ownerReferences":null}}`)
	c.until("it is adopted", func(context.Context) (bool, error) {
		for _, p := range c.live("back") {
			if p.UID == orphan.UID && metav1.GetControllerOf(&p) != nil {
				return true, nil
			}
		}
		return false, nil
	})
	us.end()
	if code, said := runs(t, "release", "--kubeconfig", path, "--data", filepath.Join(dir, "control")); code != 0 {
		t.Errorf("release, exit code %d:\n%s", code, said)
	}
	c.exact("control", l, "update daemonsets/finalizers apps") // of who makes what is owned (OwnerReferencesPermissionEnforcement)
}
