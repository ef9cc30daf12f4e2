package instance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"rollcall/events/natsd"
	"rollcall/projector/apiserver/workloads"
)

// A kubelet that nobody knows joins with a token: it asks for a certificate, which
// is approved and signed, and is its node from then on and no other. The same
// token does not ask for the certificate of a user.
func TestNodesJoinWithTokens(t *testing.T) {
	sandbox(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	in, admin := start(t, Options{Data: t.TempDir(), Durability: natsd.Relaxed, Controllers: workloads.Names(), API: API{Address: Address{flag: "--listen", host: "127.0.0.1", port: "0"}}})
	defer func() {
		if err := in.Stop(); err != nil {
			t.Error(err)
		}
	}()
	const group = "system:bootstrappers:kubeadm:default-node-token"
	for name, role := range map[string]string{"ask": "system:node-bootstrapper", "approve": "system:certificates.k8s.io:certificatesigningrequests:nodeclient"} {
		b := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: group}}}
		if _, err := admin.RbacV1().ClusterRoleBindings().Create(ctx, b, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	token := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-abcdef"}, Type: "bootstrap.kubernetes.io/token", StringData: map[string]string{
		"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true", "auth-extra-groups": group}}
	if _, err := admin.CoreV1().Secrets("kube-system").Create(ctx, token, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	known, err := clientcmd.BuildConfigFromFlags("", filepath.Join(in.dir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	as := func(change func(*rest.Config)) kubernetes.Interface {
		c := rest.AnonymousClientConfig(known)
		change(c)
		client, err := kubernetes.NewForConfig(c)
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	joining := as(func(c *rest.Config) { c.BearerToken = "abcdef.0123456789abcdef" })
	signed, key := signedFor(ctx, t, joining, "node", pkix.Name{CommonName: "system:node:host-1", Organization: []string{"system:nodes"}}, certificatesv1.KubeAPIServerClientKubeletSignerName)
	node := as(func(c *rest.Config) { c.CertData, c.KeyData = signed, key })
	if _, err := node.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "host-1"}}, metav1.CreateOptions{}); err != nil {
		t.Errorf("host-1 does not register itself: %v", err)
	}
	if _, err := node.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "host-2"}}, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("host-1 registers host-2: %v", err)
	}
	if _, err := node.CoreV1().Secrets("kube-system").Get(ctx, token.Name, metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("host-1 reads the token: %v", err)
	}
	// Approved by the admin or not, nobody gets into the group that may do everything.
	if _, err := admin.CertificatesV1().CertificateSigningRequests().Create(ctx, requestFor(t, "masters", pkix.Name{CommonName: "eve", Organization: []string{"system:masters"}},
		certificatesv1.KubeAPIServerClientSignerName, nil), metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a certificate of system:masters can be asked for: %v", err)
	}
	anonymous := as(func(*rest.Config) {})
	await(ctx, t, in, "signature of where the cluster is", func() bool {
		info, err := anonymous.CoreV1().ConfigMaps("kube-public").Get(ctx, "cluster-info", metav1.GetOptions{})
		return err == nil && info.Data["jws-kubeconfig-abcdef"] != ""
	})
	for e, err := range in.Log.Read(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == "certificatesigningrequest.created" && e.Actor != "system:bootstrap:abcdef" {
			t.Errorf("the request was of %q", e.Actor)
		}
	}
	ca, err := os.ReadFile(filepath.Join(in.dir, caFile))
	if err != nil || slices.Equal(ca, known.CAData) {
		t.Errorf("the kubeconfig has the key of the CA: %v", err)
	}
}

// Users of the Kubernetes API, by a token or a certificate, are nobody where events
// are told and read: who may tell what stands in the table of sources.
func TestUsersAreNoSources(t *testing.T) {
	sandbox(t)
	in, admin := start(t, Options{Data: t.TempDir(), Durability: natsd.Relaxed, Controllers: workloads.Names(), API: API{Address: Address{flag: "--listen", host: "127.0.0.1", port: "0"}}})
	account, err := admin.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "tool"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := admin.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), account.Name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	known, err := clientcmd.BuildConfigFromFlags("", filepath.Join(in.dir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	by := func(c *rest.Config, path string) int {
		client, err := rest.HTTPClientFor(c)
		if err != nil {
			t.Fatal(err)
		}
		defer client.CloseIdleConnections()
		answer, err := client.Get(known.Host + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	tool, certified := rest.AnonymousClientConfig(known), rest.AnonymousClientConfig(known)
	tool.BearerToken = issued.Status.Token
	certified.CertFile, certified.KeyFile = filepath.Join(in.dir, kubeletClientFile), filepath.Join(in.dir, kubeletClientFile)
	const reviews, read = "/apis/authorization.k8s.io/v1", "/v1/events?follow=false"
	for _, x := range []struct {
		who  string
		as   *rest.Config
		path string
		want int
	}{
		{"the admin", known, reviews, http.StatusOK}, {"the admin", known, read, http.StatusOK},
		{"an account", tool, reviews, http.StatusOK}, {"an account", tool, read, http.StatusUnauthorized},
		{"a certificate", certified, reviews, http.StatusOK}, {"a certificate", certified, read, http.StatusUnauthorized},
	} {
		if got := by(x.as, x.path); got != x.want {
			t.Errorf("%s at %s: %d, not %d", x.who, x.path, got, x.want)
		}
	}
}

// requestFor is a request for a certificate of a name; key is set to its key.
func requestFor(t *testing.T, name string, of pkix.Name, signer string, key *[]byte) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: of}, private)
	if err != nil {
		t.Fatal(err)
	}
	if key != nil {
		if *key, err = keyPEM(private); err != nil {
			t.Fatal(err)
		}
	}
	return &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: signer,
		Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth}}}
}

// signedFor asks for a certificate, and waits for it.
func signedFor(ctx context.Context, t *testing.T, client kubernetes.Interface, name string, of pkix.Name, signer string) (cert, key []byte) {
	t.Helper()
	requests := client.CertificatesV1().CertificateSigningRequests()
	if _, err := requests.Create(ctx, requestFor(t, name, of, signer, &key), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w, err := requests.Watch(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if r, ok := e.Object.(*certificatesv1.CertificateSigningRequest); ok && len(r.Status.Certificate) > 0 {
			return r.Status.Certificate, key
		}
	}
	t.Fatalf("%s is not signed", name)
	return nil, nil
}
