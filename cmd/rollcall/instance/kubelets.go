package instance

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"path/filepath"
	"time"

	"rollcall/projector/apiserver"
)

// kubeletClientFile of a data directory has the certificate and the key by which
// kubelets know the API server when it asks them for logs, exec and the like.
const kubeletClientFile = "kubelet-client.pem"

// kubeletClientName is who that is, as by kubeadm.
const kubeletClientName = "kube-apiserver-kubelet-client"

// ensureKubeletClient returns the path of that file, which it makes.
func ensureKubeletClient(dir string, ca pair, now time.Time) (string, error) {
	path := filepath.Join(dir, kubeletClientFile)
	good := func(c *x509.Certificate) bool { return c.CheckSignatureFrom(ca.Leaf) == nil }
	_, err := ensurePair(path, now, good, func() ([]byte, error) {
		return issue(ca, &x509.Certificate{
			Subject:  pkix.Name{CommonName: kubeletClientName, Organization: []string{apiserver.KubeletClients}},
			NotAfter: now.Add(servingValid), KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
		}, now)
	})
	return path, err
}
