package apiserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"rollcall/projector/apiserver/access"
)

// authority signs certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{key: key, cert: &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test-ca"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour)}}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// sign returns a certificate and its key, as PEM.
func (a authority) sign(t testing.TB, c x509.Certificate) (cert, key []byte) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore = big.NewInt(2), time.Now().Add(-time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &c, a.cert, own.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

// userOf returns the certificate of a user that ends at some time.
func userOf(name string, until time.Time, groups ...string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: name, Organization: groups}, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

// usersCluster is a cluster with a port and a CA.
type usersCluster struct {
	*cluster
	ca authority
}

func newUsersCluster(t testing.TB) *usersCluster {
	t.Helper()
	c, a := withPort(t, Config{}), newAuthority(t)
	c.CA = a.pem()
	c.Cert, c.Key = a.sign(t, x509.Certificate{Subject: pkix.Name{CommonName: "server"}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return &usersCluster{newClusterWith(t, c), a}
}

// withToken returns a client that sends a token; empty: none.
func (c *usersCluster) withToken(t testing.TB, token string) kubernetes.Interface {
	t.Helper()
	return clientOf(t, byPort(c.server, token))
}

// withCert returns a client that has a certificate of some CA.
func (c *usersCluster) withCert(t testing.TB, by authority, of x509.Certificate) kubernetes.Interface {
	t.Helper()
	config := byPort(c.server, "")
	config.CertData, config.KeyData = by.sign(t, of)
	return clientOf(t, config)
}

func clientOf(t testing.TB, config *rest.Config) kubernetes.Interface {
	t.Helper()
	config.UserAgent = "test"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// accountToken makes an account and returns a token of it.
func (c *usersCluster) accountToken(t testing.TB, namespace, name string, spec authenticationv1.TokenRequestSpec) string {
	t.Helper()
	accounts := c.client.CoreV1().ServiceAccounts(namespace)
	if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	made, err := accounts.CreateToken(t.Context(), name, &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made.Status.Token
}

// joinToken makes a token by which nodes join.
func (c *usersCluster) joinToken(t testing.TB, id string, more map[string]string) string {
	t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + id, Namespace: "kube-system"}, Type: "bootstrap.kubernetes.io/token",
		StringData: map[string]string{"token-id": id, "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"}}
	for k, v := range more {
		s.StringData[k] = v
	}
	if _, err := c.client.CoreV1().Secrets("kube-system").Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return id + ".0123456789abcdef"
}

// bind lets subjects do in a namespace what a role of Kubernetes says.
func (c *usersCluster) bind(t testing.TB, namespace, role string, subjects ...rbacv1.Subject) {
	t.Helper()
	b := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: role}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, Subjects: subjects}
	if _, err := c.client.RbacV1().RoleBindings(namespace).Create(t.Context(), b, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// nameOf returns who the server says that a client is; empty: it knows nobody.
func nameOf(t testing.TB, client kubernetes.Interface) string {
	t.Helper()
	r, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if apierrors.IsUnauthorized(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return r.Status.UserInfo.Username
}

// A user is who his certificate or token says, while both are good.
func TestWhoAsks(t *testing.T) {
	c := newUsersCluster(t)
	later := time.Now().Add(time.Hour)
	token := c.accountToken(t, "default", "robot", authenticationv1.TokenRequestSpec{})
	other := c.accountToken(t, "default", "robot", authenticationv1.TokenRequestSpec{Audiences: []string{"vault"}})
	join := c.joinToken(t, "abcdef", nil)
	serving := userOf("ci", later)
	serving.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for name, x := range map[string]struct {
		client kubernetes.Interface
		want   string
	}{
		"the admin's token":                {c.withToken(t, "secret"), access.Admin},
		"another token":                    {c.withToken(t, "secret2"), ""},
		"no token":                         {c.withToken(t, ""), ""},
		"a certificate":                    {c.withCert(t, c.ca, userOf("ci", later, "deployers")), "ci"},
		"a certificate that has ended":     {c.withCert(t, c.ca, userOf("ci", time.Now().Add(-time.Minute))), ""},
		"a certificate of another CA":      {c.withCert(t, newAuthority(t), userOf("ci", later)), ""},
		"a certificate for servers":        {c.withCert(t, c.ca, serving), ""},
		"an account's token":               {c.withToken(t, token), "system:serviceaccount:default:robot"},
		"an account's token for others":    {c.withToken(t, other), ""},
		"an account's token, changed":      {c.withToken(t, token[:len(token)-4]+"AAAA"), ""},
		"a token of a node that joins":     {c.withToken(t, join), "system:bootstrap:abcdef"},
		"its id with another secret":       {c.withToken(t, "abcdef.0123456789abcdee"), ""},
		"one whose time is over":           {c.withToken(t, c.joinToken(t, "expire", map[string]string{"expiration": "2020-01-01T00:00:00Z"})), ""},
		"one that is not for this":         {c.withToken(t, c.joinToken(t, "signed", map[string]string{"usage-bootstrap-authentication": "false"})), ""},
		"the sealed text of a join token":  {c.withToken(t, "abcdef."+strings.Repeat("*", 16)), ""},
		"an account's token, for no other": {c.withToken(t, c.accountToken(t, "default", "robot", authenticationv1.TokenRequestSpec{Audiences: []string{access.Issuer}})), "system:serviceaccount:default:robot"},
	} {
		if got := nameOf(t, x.client); got != x.want {
			t.Errorf("%s: the server knows %q, want %q", name, got, x.want)
		}
	}
}

// A token counts no more than what it is bound to: from the write on that takes
// the pod, the node, the Secret or the account away it is nobody's.
func TestTokensEndWithWhatTheyAreBoundTo(t *testing.T) {
	c := newUsersCluster(t)
	core := c.client.CoreV1()
	bound := func(kind, name string) string {
		if kind == "" {
			return c.accountToken(t, "default", "bound", authenticationv1.TokenRequestSpec{})
		}
		return c.accountToken(t, "default", "bound", authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: name}})
	}
	grace := int64(0)
	now := metav1.DeleteOptions{GracePeriodSeconds: &grace}
	c.accountToken(t, "default", "bound", authenticationv1.TokenRequestSpec{})
	if _, err := core.Pods("default").Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec: corev1.PodSpec{ServiceAccountName: "bound", Containers: []corev1.Container{{Name: "c", Image: "i"}}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := core.Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := core.Secrets("default").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		what, token string
		end         func(context.Context) error
	}{
		{"a pod", bound("Pod", "p"), func(ctx context.Context) error { return core.Pods("default").Delete(ctx, "p", now) }},
		{"a node", bound("Node", "n"), func(ctx context.Context) error { return core.Nodes().Delete(ctx, "n", now) }},
		{"a secret", bound("Secret", "s"), func(ctx context.Context) error { return core.Secrets("default").Delete(ctx, "s", now) }},
		{"its account", bound("", ""), func(ctx context.Context) error { return core.ServiceAccounts("default").Delete(ctx, "bound", now) }},
	} {
		client := c.withToken(t, x.token)
		if got := nameOf(t, client); got != "system:serviceaccount:default:bound" {
			t.Errorf("the token of %s is of %q", x.what, got)
		}
		if err := x.end(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := nameOf(t, client); got != "" {
			t.Errorf("%s is gone, and its token still is of %q", x.what, got)
		}
	}
	again := c.accountToken(t, "default", "again", authenticationv1.TokenRequestSpec{})
	if err := core.ServiceAccounts("default").Delete(t.Context(), "again", now); err != nil {
		t.Fatal(err)
	}
	c.accountToken(t, "default", "again", authenticationv1.TokenRequestSpec{})
	if got := nameOf(t, c.withToken(t, again)); got != "" {
		t.Errorf("the token of an account that was made anew is of %q", got)
	}
}
