package instance

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"rollcall/cmd/rollcall/datadir"
	"rollcall/events"
	"rollcall/events/files"
)

// User is somebody who is known to the Kubernetes API by a certificate.
type User struct {
	Name   string
	Groups []string
	For    time.Duration // how long the certificate is good; at most as long as that of the CA
}

// sign returns a certificate of a user and its key, both as PEM, and when it ends.
func (u User) sign(ca pair, now time.Time) (cert, key []byte, until time.Time, err error) {
	until = now.Add(u.For)
	if ca.Leaf.NotAfter.Before(until) {
		until = ca.Leaf.NotAfter
	}
	both, err := issue(ca, &x509.Certificate{Subject: pkix.Name{CommonName: u.Name, Organization: u.Groups}, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true}, now)
	if err != nil {
		return nil, nil, until, fmt.Errorf("sign the certificate of %s: %w", u.Name, err)
	}
	block, rest := pem.Decode(both)
	return pem.EncodeToMemory(block), rest, until, nil
}

// UserKubeconfig returns a kubeconfig of a user of the instance that runs, or has
// run, on a data directory, and when its certificate ends. It says of the cluster
// nothing but its address and its certificate.
func UserKubeconfig(dir string, u User, now time.Time) (kubeconfig []byte, until time.Time, err error) {
	path := filepath.Join(dir, caFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, until, notServed(dir, "it has no CA")
	}
	if err != nil {
		return nil, until, damagedSecret(path, files.Reason(err))
	}
	ca, err := parsePair(b)
	if err != nil {
		return nil, until, damagedSecret(path, "it holds no certificate with its key")
	}
	own, err := loadKubeconfig(filepath.Join(dir, datadir.KubeconfigFile))
	if err != nil {
		return nil, until, err
	}
	if own == nil || own.Contexts[own.CurrentContext] == nil || own.Clusters[own.Contexts[own.CurrentContext].Cluster] == nil {
		return nil, until, notServed(dir, "it has no kubeconfig")
	}
	name := own.Contexts[own.CurrentContext].Cluster
	cluster := own.Clusters[name].DeepCopy()
	cluster.Extensions = nil // where the log is, is not the user's
	cert, key, until, err := u.sign(ca, now)
	if err != nil {
		return nil, until, err
	}
	c, as := api.NewConfig(), u.Name+"@"+name
	c.Clusters[name], c.AuthInfos[as] = cluster, &api.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	c.Contexts[as], c.CurrentContext = &api.Context{Cluster: name, AuthInfo: as}, as
	kubeconfig, err = clientcmd.Write(*c)
	return kubeconfig, until, err
}

// notServed refuses to tell of an API that a directory never had.
func notServed(dir, why string) error {
	return &events.Error{Code: "E-CLI-API", What: "no Kubernetes API was served from the data directory", Where: dir, Why: why,
		Do: "start rollcall up --data " + QuoteShell(dir) + " first", Exit: events.ExitInput}
}
