package apiserver

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"rollcall/events"
)

// may reports what became of a request, as the code of its answer.
func may(t testing.TB, client kubernetes.Interface, method, path string) int {
	t.Helper()
	r := client.CoreV1().RESTClient().Verb(method).AbsPath(path)
	if method == http.MethodPost {
		r = r.SetHeader("Content-Type", "application/json").Body([]byte(`{"metadata":{"generateName":"x-"},"data":{}}`)).Param("dryRun", "All")
	}
	code := 0
	r.Do(t.Context()).StatusCode(&code)
	return code
}

// Each user may what it may, and nothing else (the table of users, verbs and
// resources).
func TestWhatUsersMay(t *testing.T) {
	c := newUsersCluster(t)
	later := time.Now().Add(time.Hour)
	for _, ns := range []string{"mine", "yours"} {
		if _, err := c.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	robot := c.accountToken(t, "mine", "robot", authenticationv1.TokenRequestSpec{})
	c.bind(t, "mine", "edit", rbacv1.Subject{Kind: "Group", Name: "deployers", APIGroup: rbacv1.GroupName})
	c.bind(t, "mine", "view", rbacv1.Subject{Kind: "ServiceAccount", Name: "robot", Namespace: "mine"})
	if _, err := c.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "real"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ name, node string }{{"here", "real"}, {"there", "elsewhere"}} {
		if _, err := c.client.CoreV1().Secrets("mine").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: x.name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: x.name}, Spec: corev1.PodSpec{NodeName: x.node, Containers: []corev1.Container{{Name: "c", Image: "i"}},
			Volumes: []corev1.Volume{{Name: "s", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: x.name}}}}}}
		if _, err := c.client.CoreV1().Pods("mine").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	users := map[string]kubernetes.Interface{
		"admin": c.withToken(t, "secret"), "ci": c.withCert(t, c.ca, userOf("ci", later, "deployers")), "nobody": c.withCert(t, c.ca, userOf("nobody", later)),
		"robot": c.withToken(t, robot), "node": c.withCert(t, c.ca, userOf("system:node:real", later, "system:nodes")),
		"join": c.withToken(t, c.joinToken(t, "abcdef", nil)), "anonymous": c.withToken(t, ""),
	}
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	order := []string{"admin", "ci", "nobody", "robot", "node", "join", "anonymous"}
	for _, x := range []struct {
		method, path string
		want         string // of the users in that order: y, n (403), u (401), or - (404, and allowed)
	}{
		{get, "/version", "yyyyyyy"},
		{get, "/readyz", "yyyyyyy"},
		{get, "/api", "yyyyyyu"},
		{get, "/metrics", "ynnnnnu"},
		{get, "/api/v1/namespaces/mine/configmaps", "yynynnu"},
		{get, "/api/v1/namespaces/yours/configmaps", "ynnnnnu"},
		{get, "/api/v1/configmaps", "ynnnnnu"},
		{post, "/api/v1/namespaces/mine/configmaps", "yynnnnu"},
		{post, "/api/v1/namespaces/yours/configmaps", "ynnnnnu"},
		{get, "/api/v1/namespaces/mine/secrets", "yynnnnu"},
		{get, "/api/v1/namespaces/mine/secrets/here", "yynnynu"},
		{get, "/api/v1/namespaces/mine/secrets/there", "yynnnnu"},
		{get, "/api/v1/nodes", "ynnnnnu"},
		{get, "/api/v1/nodes/real", "ynnnynu"},
		{del, "/api/v1/namespaces/mine/configmaps/none", "--nnnnu"},
		{get, "/apis/rbac.authorization.k8s.io/v1/clusterroles", "ynnnnnu"},
		{get, "/apis/certificates.k8s.io/v1/certificatesigningrequests", "ynnnynu"},
		{get, "/api/v1/namespaces/kube-public/configmaps/cluster-info", "-nnnnnn"},
		{get, "/.well-known/openid-configuration", "ynnynnu"},
		{get, "/openid/v1/jwks", "ynnynnu"},
	} {
		for i, name := range order {
			got, want := may(t, users[name], x.method, x.path), map[byte]int{'y': 200, 'n': 403, 'u': 401, '-': 404}[x.want[i]]
			if got == http.StatusCreated {
				got = http.StatusOK
			}
			if got != want {
				t.Errorf("%s: %s %s is answered with %d, want %d", name, x.method, x.path, got, want)
			}
		}
	}
}

// A refusal has the words of kube-apiserver.
func TestForbiddenInKubernetesWords(t *testing.T) {
	c := newUsersCluster(t)
	ci := c.withCert(t, c.ca, userOf("ci", time.Now().Add(time.Hour)))
	_, err := ci.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	const want = `pods is forbidden: User "ci" cannot list resource "pods" in API group "" in the namespace "default"`
	if err == nil || err.Error() != want {
		t.Errorf("the refusal is %v, want %s", err, want)
	}
}

// The roles of Kubernetes are in the log from the first request on that needs them,
// once each, whoever asks at the same time; a cluster that only the admin uses has
// none.
func TestRolesComeWithTheirFirstUser(t *testing.T) {
	c := newUsersCluster(t)
	admin := c.withToken(t, "secret")
	if _, err := admin.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if may(t, c.withToken(t, ""), http.MethodGet, "/api/v1/pods") != http.StatusUnauthorized {
		t.Error("an anonymous request is not refused")
	}
	if n := c.roles(); n != 0 {
		t.Fatalf("%d roles are there before anybody needs them", n)
	}
	var all sync.WaitGroup
	for i := range 8 {
		client := c.withCert(t, c.ca, userOf(fmt.Sprintf("user-%d", i), time.Now().Add(time.Hour)))
		all.Go(func() { _, _ = client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{}) })
	}
	all.Wait()
	made := map[events.Ref]int{}
	for e, err := range c.log.Read(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if ref := events.RefOf(e); ref.Kind == "ClusterRole" || ref.Kind == "ClusterRoleBinding" || ref.Kind == "Role" || ref.Kind == "RoleBinding" {
			if made[ref]++; e.Actor != "system:apiserver" {
				t.Errorf("%v is made by %q", ref, e.Actor)
			}
		}
	}
	for ref, n := range made {
		if n != 1 {
			t.Errorf("%v was written %d times", ref, n)
		}
	}
	if len(made) < 100 {
		t.Errorf("%d roles and bindings were made", len(made))
	}
	view, err := c.client.RbacV1().ClusterRoles().Get(t.Context(), "view", metav1.GetOptions{})
	if err != nil || len(view.Rules) == 0 {
		t.Errorf("view has no rules: %v", err)
	}
}

// roles counts the cluster's roles.
func (c *usersCluster) roles() int {
	rows, _ := c.objects.Of("ClusterRole").Snapshot()
	return rows.Len()
}

// A server that is started again makes what is missing, and leaves what a user
// keeps.
func TestRolesAreMadeWhole(t *testing.T) {
	c := newUsersCluster(t)
	roles := c.client.RbacV1().ClusterRoles()
	ask := func(s *Server) {
		config := s.LoopbackAs("somebody")
		config.Impersonate.UserName = "somebody"
		if _, err := clientOf(t, config).CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Fatalf("somebody is answered %v", err)
		}
	}
	ask(c.server)
	whole := c.roles()
	for _, name := range []string{"view", "system:node", "edit"} {
		if err := roles.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := roles.Get(t.Context(), "system:basic-user", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	kept.Annotations["rbac.authorization.kubernetes.io/autoupdate"], kept.Rules = "false", nil
	if _, err := roles.Update(t.Context(), kept, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	again := serve(t, Config{Log: c.log, Subjects: c.subjects, Objects: c.objects})
	ask(again)
	if n := c.roles(); n != whole {
		t.Errorf("%d roles are there again, want %d", n, whole)
	}
	if kept, err = roles.Get(t.Context(), "system:basic-user", metav1.GetOptions{}); err != nil || len(kept.Rules) != 0 {
		t.Errorf("what a user has changed did not stay: %v, %v", kept.Rules, err)
	}
}

// Nobody grants what he has not, but who may bind and escalate.
func TestNobodyGrantsWhatHeHasNot(t *testing.T) {
	c := newUsersCluster(t)
	ci := c.withCert(t, c.ca, userOf("ci", time.Now().Add(time.Hour), "deployers"))
	c.bind(t, "default", "admin", rbacv1.Subject{Kind: "User", Name: "ci", APIGroup: rbacv1.GroupName})
	role := func(name, verb, resource string) *rbacv1.Role {
		return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{resource}, Verbs: []string{verb}}}}
	}
	own := ci.RbacV1().Roles("default")
	if _, err := own.Create(t.Context(), role("less", "get", "pods"), metav1.CreateOptions{}); err != nil {
		t.Errorf("ci cannot grant what it has: %v", err)
	}
	if _, err := own.Create(t.Context(), role("more", "delete", "nodes"), metav1.CreateOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "attempting to grant RBAC permissions not currently held") {
		t.Errorf("ci grants what it has not: %v", err)
	}
	bind := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "up"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "ci", APIGroup: rbacv1.GroupName}}}
	if _, err := ci.RbacV1().RoleBindings("default").Create(t.Context(), bind, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("ci binds itself to cluster-admin: %v", err)
	}
	for _, as := range []rest.ImpersonationConfig{{UserName: "admin"}, {UserName: "ci", Groups: []string{"system:masters"}}, {UserName: "system:apiserver"}} {
		config := byPort(c.server, "")
		config.CertData, config.KeyData = c.ca.sign(t, userOf("ci", time.Now().Add(time.Hour)))
		config.Impersonate = as
		if _, err := clientOf(t, config).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "cannot impersonate") {
			t.Errorf("ci acts as %v: %v", as, err)
		}
	}
}

// An impersonator may act as whom a role names, with groups and extras, and no one
// else.
func TestImpersonationWithRights(t *testing.T) {
	c := newUsersCluster(t)
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "as-jane"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"users"}, ResourceNames: []string{"jane"}, Verbs: []string{"impersonate"}},
		{APIGroups: []string{""}, Resources: []string{"groups"}, ResourceNames: []string{"dev"}, Verbs: []string{"impersonate"}},
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"userextras/scopes"}, ResourceNames: []string{"view"}, Verbs: []string{"impersonate"}},
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"uids"}, ResourceNames: []string{"42"}, Verbs: []string{"impersonate"}}}}
	if _, err := c.client.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	b := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "as-jane"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "as-jane"},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "ci", APIGroup: rbacv1.GroupName}}}
	if _, err := c.client.RbacV1().ClusterRoleBindings().Create(t.Context(), b, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	as := func(i rest.ImpersonationConfig) (string, error) {
		config := byPort(c.server, "")
		config.CertData, config.KeyData = c.ca.sign(t, userOf("ci", time.Now().Add(time.Hour)))
		config.Impersonate = i
		r, err := clientOf(t, config).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil {
			return "", err
		}
		return fmt.Sprint(r.Status.UserInfo.Username, r.Status.UserInfo.UID, r.Status.UserInfo.Groups, r.Status.UserInfo.Extra), nil
	}
	whole := rest.ImpersonationConfig{UserName: "jane", UID: "42", Groups: []string{"dev"}, Extra: map[string][]string{"scopes": {"view"}}}
	if got, err := as(whole); err != nil || got != "jane42[dev system:authenticated] map[scopes:[view]]" {
		t.Errorf("ci as jane is %q, %v", got, err)
	}
	for _, i := range []rest.ImpersonationConfig{{UserName: "joe"}, {UserName: "jane", Groups: []string{"ops"}}, {UserName: "jane", UID: "43"}, {UserName: "jane", Extra: map[string][]string{"scopes": {"edit"}}}} {
		if got, err := as(i); !apierrors.IsForbidden(err) {
			t.Errorf("ci acts as %+v: it is %q, %v", i, got, err)
		}
	}
}

// Reviews say of others what they may, and what a token is.
func TestReviews(t *testing.T) {
	c := newUsersCluster(t)
	c.bind(t, "default", "view", rbacv1.Subject{Kind: "User", Name: "jane", APIGroup: rbacv1.GroupName})
	for verb, want := range map[string]bool{"list": true, "delete": false} {
		r, err := c.client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "jane", ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: verb, Resource: "pods"}}}, metav1.CreateOptions{})
		if err != nil || r.Status.Allowed != want {
			t.Errorf("jane may %s pods: %v, %v", verb, r.Status.Allowed, err)
		}
		l, err := c.client.AuthorizationV1().LocalSubjectAccessReviews("default").Create(t.Context(), &authorizationv1.LocalSubjectAccessReview{ObjectMeta: metav1.ObjectMeta{Namespace: "default"},
			Spec: authorizationv1.SubjectAccessReviewSpec{User: "jane", ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: verb, Resource: "pods"}}}, metav1.CreateOptions{})
		if err != nil || l.Status.Allowed != want {
			t.Errorf("jane may %s pods there: %v, %v", verb, l.Status.Allowed, err)
		}
	}
	token := c.accountToken(t, "default", "robot", authenticationv1.TokenRequestSpec{})
	for token, want := range map[string]string{token: "system:serviceaccount:default:robot", "secret": "admin", "secret2": ""} {
		r, err := c.client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
		if err != nil || r.Status.User.Username != want || r.Status.Authenticated != (want != "") {
			t.Errorf("a token is of %q, want %q: %v %v", r.Status.User.Username, want, r.Status.Error, err)
		}
	}
	config := byPort(c.server, "")
	config.CertData, config.KeyData = c.ca.sign(t, userOf("jane", time.Now().Add(time.Hour)))
	rules, err := clientOf(t, config).AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "default"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var pods []string
	for _, r := range rules.Status.ResourceRules {
		for _, of := range r.Resources {
			if of == "pods" {
				pods = append(pods, r.Verbs...)
			}
		}
	}
	if fmt.Sprint(pods) != "[get list watch]" {
		t.Errorf("jane's rules of pods are %v", pods)
	}
}

// A kubelet changes its own node and nothing of others, and takes no label that
// says where sensitive pods go.
func TestNodesChangeTheirOwn(t *testing.T) {
	c := newUsersCluster(t)
	for _, name := range []string{"real", "other"} {
		if _, err := c.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	node := c.withCert(t, c.ca, userOf("system:node:real", time.Now().Add(time.Hour), "system:nodes"))
	for _, x := range []struct {
		name, label string
		ok          bool
	}{{"real", "rack", true}, {"other", "rack", false}, {"real", "node-restriction.kubernetes.io/secure", false}} {
		patch := fmt.Sprintf(`{"metadata":{"labels":{%q:"x"}}}`, x.label)
		_, err := node.CoreV1().Nodes().Patch(t.Context(), x.name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
		if (err == nil) != x.ok || err != nil && !apierrors.IsForbidden(err) {
			t.Errorf("node real sets label %s of %s: %v", x.label, x.name, err)
		}
	}
}
